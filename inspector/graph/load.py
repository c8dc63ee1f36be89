"""Bytes or a path to a view: the only door from .onnx, and where nothing is trusted yet."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Final

import onnx
import onnx.inliner
import onnx_ir as ir
from google.protobuf.message import DecodeError

from inspector.contract import Array
from inspector.errors import LimitError, ModelError, NotFoundError
from inspector.graph.bodies import Nesting, prepare
from inspector.graph.collector import paused
from inspector.graph.contents import Survey, hold, survey_of
from inspector.graph.convolutions import NAMES
from inspector.graph.doubts import doubtful, forget
from inspector.graph.loading.age import modernise
from inspector.graph.loading.checks import check, first_line
from inspector.graph.loading.external import External, digest, has_external, read_external
from inspector.graph.loading.limits import DEFAULT_LIMITS, Limits
from inspector.graph.loading.lone import Lone, give_batch_axis
from inspector.graph.loading.order import put_in_order
from inspector.graph.loading.reading import Contents, read
from inspector.graph.loading.sparse import write_out
from inspector.graph.loading.tidy import drop_empty_ends, tidy
from inspector.graph.loading.weights import APART, attach, declare, detach
from inspector.graph.runnable import custom_operators
from inspector.graph.shapes import infer
from inspector.graph.skeleton import Skeleton, skeleton, write_again
from inspector.graph.view import OnnxView
from inspector.origin import many

__all__ = ["DEFAULT_LIMITS", "Limits", "load"]


_ORT_FORMAT: Final = b"ORTM"
"""What a file of onnxruntime's own says of itself, behind four bytes that tell where its content begins."""


@paused()
def load(source: str | PathLike[str] | bytes, *, name: str = "", limits: Limits = DEFAULT_LIMITS) -> OnnxView:
    """Reads an ONNX file, with the data files beside it, or the bytes of a self-contained one.

    Everything is read once, into memory of its own: what happens to the files afterwards does not matter. The view's
    `sha256` is that of the file; with data files, see `inspector.graph.loading.external.digest`. Its fact `bytes`
    counts the file and the external tensors.

    Args:
        source: path, or the file's content.
        name: what to call the model, in messages too; by default the file's name without its ending.
        limits: what is refused.

    Raises:
        NotFoundError: no such file.
        ModelError: not ONNX, cut short, breaking the standard, without convolutions, or data files that do not fit.
        LimitError: beyond `limits`.
    """
    path = None if isinstance(source, bytes) else Path(source)
    label = str(path) if path is not None and not name else f"model {name or 'model'!r}"
    contents = (
        _read_bytes(source, label, limits) if isinstance(source, bytes) else _read_file(Path(source), label, limits)
    )
    proto = _parse(contents, label)
    survey = survey_of(proto)
    external = _external(survey, path, label, limits)
    facts = {
        "producer": f"{proto.producer_name} {proto.producer_version}".strip() or "unknown",
        "ir_version": str(proto.ir_version),
        "opsets": ", ".join(f"{o.domain or 'ai.onnx'} {o.version}" for o in proto.opset_import) or "ai.onnx 1",
        "bytes": str(contents.size + (external.size if external else 0)),
    }
    tensors = detach(proto, {**contents.numbers, **(external.numbers if external else {})})
    modernise(survey, label)
    survey = put_in_order(survey)
    check(survey, label, limits)
    model, frame, nesting, lone = _model(survey, tensors, label, limits)
    if custom := custom_operators(nesting.nodes):
        facts["custom_operators"] = custom
    if lone.given:
        facts["without_batch_axis"] = ", ".join(f"{name} {shape}" for name, shape in lone.given.items())
    return OnnxView(
        model,
        frame,
        nesting,
        name=name or (path.stem if path else "model"),
        sha256=digest(contents.sha256, external),
        facts=facts,
        data_files=external.files if external else (),
        alone=tuple(lone.given),
        unclear=lone.unclear,
    )


def _read_bytes(data: bytes, label: str, limits: Limits) -> Contents:
    _check_size(len(data), label, limits)
    return read(io.BytesIO(data), len(data), APART)


def _read_file(path: Path, label: str, limits: Limits) -> Contents:
    if not path.exists():
        raise NotFoundError(label, "there is no such file", remedy="Give the path of an .onnx file.")
    if not path.is_file():
        raise ModelError(label, "it is not a file", expected="an .onnx file", found="a folder or device")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        _check_size(size, label, limits)
        try:
            return read(file, size, APART)
        except EOFError as error:
            raise ModelError(label, "it changed while it was read", expected=f"{size} bytes", found="fewer") from error


def _external(survey: Survey, path: Path | None, label: str, limits: Limits) -> External | None:
    """What lies in data files. Bytes have no folder: there, a location could only name any file."""
    if not has_external(survey):
        return None
    if path is None:
        raise ModelError(
            label,
            "its weights lie in other files",
            expected="one self-contained file where a model is given as bytes",
            remedy="Load it from its path, or save it in one file: "
            "onnx.save_model(model, path, save_as_external_data=False).",
        )
    return read_external(survey, path.parent, label, limit=limits.external, least=APART)


def _check_size(size: int, label: str, limits: Limits) -> None:
    if size > limits.size:
        raise LimitError(label, "it is too large", expected=f"at most {limits.size} bytes", found=f"{size} bytes")


def _parse(contents: Contents, label: str) -> onnx.ModelProto:
    data, size = contents.skeleton, contents.size
    if not data:
        raise ModelError(label, "it is empty", expected="an ONNX model", found="0 bytes")
    if data[4:8] == _ORT_FORMAT:
        remedy = "Load the .onnx file that it was made from."
        raise ModelError(label, "it is in onnxruntime's own format", expected="a serialized ModelProto", remedy=remedy)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)  # type: ignore[arg-type]  # any bytes do; a copy could be large
    except (DecodeError, RecursionError) as error:
        raise ModelError(
            label,
            "it is not an ONNX file, or it is cut short",
            expected="a serialized ModelProto",
            found=f"{size} bytes" + f" that begin with {bytes(data[:8])!r}" * (len(data) == size),
            remedy="Check the file against its source, for example by size or sha256.",
        ) from error
    if not proto.ir_version or not proto.graph.node:
        raise ModelError(
            label,
            "it is not an ONNX model",
            expected="a graph with nodes",
            found=f"IR version {proto.ir_version}, {many(len(proto.graph.node), 'node')}",
        )
    return proto


def _model(
    survey: Survey, tensors: Mapping[str, ir.Tensor[Array]], label: str, limits: Limits
) -> tuple[ir.Model, Skeleton, Nesting, Lone]:
    proto, held = survey.proto, survey.main
    if not proto.graph.output:
        raise ModelError(label, "it gives nothing out", expected="a graph with outputs", found="none")
    try:
        if proto.functions:
            proto = onnx.inliner.inline_local_functions(proto)
            held = hold(proto.graph.node)
        if survey.sparse:
            tensors = {**tensors, **write_out(proto, label, limits)}
        drop_empty_ends(held.nodes)
        model = ir.from_proto(proto)
        attach(model, tensors)
        declare(proto, tensors)
        kinds = infer(model, proto, held)
        tidy(model, frozenset(NAMES))
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
    nesting = Nesting(model)
    renamed, lone = prepare(nesting), give_batch_axis(model, nesting)
    if lone.given:
        nesting = Nesting(model)
    if renamed or lone.given:
        proto, kinds = write_again(model, tensors), None
        held = hold(proto.graph.node)
    frame = skeleton(model, proto, held, tensors, kinds)
    forget(nesting.values(), doubtful(frame.message, frame.kinds, nested=frame.nested))
    return model, frame, nesting, lone
