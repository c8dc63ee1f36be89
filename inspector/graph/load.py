"""Bytes or a path to a view: the only door from .onnx, and where nothing is trusted yet."""

from __future__ import annotations

import hashlib
from os import PathLike
from pathlib import Path

import onnx
import onnx.inliner
import onnx_ir as ir
from google.protobuf.message import DecodeError
from onnx_ir.passes.common import ShapeInferencePass

from inspector.errors import LimitError, ModelError, NotFoundError
from inspector.graph.age import modernise
from inspector.graph.checks import check, first_line
from inspector.graph.limits import DEFAULT_LIMITS, Limits
from inspector.graph.runnable import custom_operators
from inspector.graph.view import OnnxView

__all__ = ["DEFAULT_LIMITS", "Limits", "load"]


def load(source: str | PathLike[str] | bytes, *, name: str = "", limits: Limits = DEFAULT_LIMITS) -> OnnxView:
    """Reads an ONNX file, or its bytes.

    Args:
        source: path, or the file's content.
        name: what to call the model; by default the file's name without its ending.
        limits: what is refused.

    Raises:
        NotFoundError: no such file.
        ModelError: not ONNX, cut short, breaking the standard, or without convolutions.
        LimitError: beyond `limits`.
    """
    if isinstance(source, bytes):
        name = name or "model"
        data, label = source, f"model {name!r}"
        _check_size(len(data), label, limits)
    else:
        name = name or Path(source).stem
        data, label = _read(Path(source), limits), str(source)
    proto = _parse(data, label)
    facts = {
        "producer": f"{proto.producer_name} {proto.producer_version}".strip() or "unknown",
        "ir_version": str(proto.ir_version),
        "opsets": ", ".join(f"{o.domain or 'ai.onnx'} {o.version}" for o in proto.opset_import) or "ai.onnx 1",
        "bytes": str(len(data)),
    }
    modernise(proto, label)
    check(proto, label, limits)
    model = _model(proto, label)
    if custom := custom_operators(model):
        facts["custom_operators"] = custom
    return OnnxView(model, name=name, sha256=hashlib.sha256(data).hexdigest(), facts=facts)


def _read(path: Path, limits: Limits) -> bytes:
    if not path.exists():
        raise NotFoundError(str(path), "there is no such file", remedy="Give the path of an .onnx file.")
    if not path.is_file():
        raise ModelError(str(path), "it is not a file", expected="an .onnx file", found="a folder or device")
    _check_size(path.stat().st_size, str(path), limits)
    return path.read_bytes()


def _check_size(size: int, label: str, limits: Limits) -> None:
    if size > limits.size:
        raise LimitError(label, "it is too large", expected=f"at most {limits.size} bytes", found=f"{size} bytes")


def _parse(data: bytes, label: str) -> onnx.ModelProto:
    if not data:
        raise ModelError(label, "it is empty", expected="an ONNX model", found="0 bytes")
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except (DecodeError, RecursionError) as error:
        raise ModelError(
            label,
            "it is not an ONNX file, or it is cut short",
            expected="a serialized ModelProto",
            found=f"{len(data)} bytes that begin with {data[:8]!r}",
            remedy="Check the file against its source, for example by size or sha256.",
        ) from error
    if not proto.ir_version or not proto.graph.node:
        raise ModelError(
            label,
            "it is not an ONNX model",
            expected="a graph with nodes",
            found=f"IR version {proto.ir_version}, {len(proto.graph.node)} nodes",
        )
    return proto


def _model(proto: onnx.ModelProto, label: str) -> ir.Model:
    try:
        if proto.functions:
            proto = onnx.inliner.inline_local_functions(proto)
        model = ir.from_proto(proto)
        ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
    except MemoryError as error:
        raise LimitError(label, "there is not enough memory to read its graph") from error
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ModelError(label, "its graph cannot be read", found=first_line(error)) from error
    if model.functions:
        raise ModelError(
            label,
            "its functions cannot be written out",
            expected="functions of the model's own opset",
            found=", ".join(sorted({f.name for f in model.functions.values()})[:5]),
            remedy="Inline them when exporting.",
        )
    return model
