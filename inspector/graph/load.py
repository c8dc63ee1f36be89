"""Bytes or a path to a view: the only door from .onnx, and where nothing is trusted yet."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Final

import onnx
import onnx.inliner
import onnx_ir as ir
from google.protobuf.message import DecodeError
from onnx_ir.passes.common import ShapeInferencePass

from inspector.errors import LimitError, ModelError, NotFoundError
from inspector.graph.bodies import prepare
from inspector.graph.contents import broken_texts, count_nodes, tensors
from inspector.graph.convolutions import NAMES
from inspector.graph.tidy import tidy
from inspector.graph.view import OnnxView


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may hold.

    Attributes:
        size: bytes; one protobuf message cannot be larger than 2 GiB.
        nodes: with those in bodies of If, Loop and Scan, and with every function call written out.
        initializers: of the main graph.
    """

    size: int = (1 << 31) - 1
    nodes: int = 100_000
    initializers: int = 100_000


DEFAULT_LIMITS: Final = Limits()


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
    _check(proto, label, limits)
    facts = {
        "producer": f"{proto.producer_name} {proto.producer_version}".strip() or "unknown",
        "ir_version": str(proto.ir_version),
        "opsets": ", ".join(f"{o.domain or 'ai.onnx'} {o.version}" for o in proto.opset_import),
        "bytes": str(len(data)),
    }
    return OnnxView(_model(proto, label), name=name, sha256=hashlib.sha256(data).hexdigest(), facts=facts)


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


def _check(proto: onnx.ModelProto, label: str, limits: Limits) -> None:
    _check_tensors(proto, label)
    broken = next(broken_texts(proto), None)
    if broken is not None:
        raise ModelError(label, "it breaks the ONNX standard", expected="names in UTF-8", found=repr(broken[:80]))
    try:
        onnx.checker.check_model(proto)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(
            label, "it breaks the ONNX standard", found=_first_line(error), remedy="onnx.checker.check_model says more."
        ) from error
    for what, count, most in (
        ("nodes", count_nodes(proto), limits.nodes),
        ("initializers", len(proto.graph.initializer), limits.initializers),
    ):
        if count > most:
            raise LimitError(label, f"it has too many {what}", expected=f"at most {most}", found=str(count))


def _check_tensors(proto: onnx.ModelProto, label: str) -> None:
    """All numbers must be in the file itself, wherever they hang in the graph: a location could name any file."""
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in tensors(proto)):
        raise ModelError(
            label,
            "its weights lie in other files",
            expected="one self-contained file",
            remedy="Save it in one file: onnx.save_model(model, path, save_as_external_data=False).",
        )
    if proto.graph.sparse_initializer:
        raise ModelError(label, "it stores weights as sparse tensors", expected="dense initializers")


def _model(proto: onnx.ModelProto, label: str) -> ir.Model:
    if not proto.graph.output:
        raise ModelError(label, "it gives nothing out", expected="a graph with outputs", found="none")
    try:
        if proto.functions:
            proto = onnx.inliner.inline_local_functions(proto)
        model = ir.from_proto(proto)
        tidy(model, frozenset(NAMES))
        ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ModelError(label, "its graph cannot be read", found=_first_line(error)) from error
    if model.functions:
        raise ModelError(
            label,
            "its functions cannot be written out",
            expected="functions of the model's own opset",
            found=", ".join(sorted({f.name for f in model.functions.values()})[:5]),
            remedy="Inline them when exporting.",
        )
    prepare(model)
    return model


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
