"""All that is asked of a model's message before anything else looks at it. No memory is taken for what it declares."""

from __future__ import annotations

import math
from collections.abc import Iterable

import onnx

from inspector.errors import LimitError, ModelError
from inspector.graph.contents import (
    attributes,
    call_depth,
    count_nodes,
    depth_of_bodies,
    functions,
    graph_attributes,
    graphs,
    shapes,
    tensors,
    texts,
)
from inspector.graph.limits import Limits
from inspector.graph.payload import held_and_asked

_PROSE = ("doc_string", "value")
"""Fields with texts for people: descriptions, and values of metadata. They may be long."""


def check(proto: onnx.ModelProto, label: str, limits: Limits) -> None:
    """Our own limits first, in Python's integers, which do not overflow; then what the standard asks for.

    Raises:
        ModelError: it breaks the standard, or needs what is not supported.
        LimitError: beyond `limits`.
    """
    _check_calls(proto, label, limits)
    _check_counts(proto, label, limits)
    _check_names(proto, label, limits)
    _check_references(proto, label)
    _check_tensors(proto, label, limits)
    _check_shapes(proto, label, limits)
    try:
        onnx.checker.check_model(proto)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise ModelError(
            label, "it breaks the ONNX standard", found=first_line(error), remedy="onnx.checker.check_model says more."
        ) from error


def first_line(error: BaseException) -> str:
    """What an error of a library says, in one line that is not too long."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _check_calls(proto: onnx.ModelProto, label: str, limits: Limits) -> None:
    _limit(label, "bodies in bodies", depth_of_bodies(proto), limits.bodies)
    if len(functions(proto)) < len(proto.functions):
        raise ModelError(label, "two of its functions have one name", expected="one function of each name")
    ambiguous = [f.name for f in proto.functions if f.domain in ("", "ai.onnx") and onnx.defs.has(f.name)]
    if ambiguous:
        raise ModelError(
            label,
            "one of its functions has the name of an operator of ONNX, and runtimes differ in which of them counts",
            expected="functions in a domain of their own",
            found=ambiguous[0][:80],
        )
    deepest = call_depth(proto)
    if deepest is None:
        raise ModelError(label, "one of its functions calls itself", expected="functions that are not recursive")
    _limit(label, "functions in functions", deepest, limits.calls)


def _check_counts(proto: onnx.ModelProto, label: str, limits: Limits) -> None:
    _limit(label, "nodes", count_nodes(proto), limits.nodes)
    initializers = sum(len(graph.initializer) for graph in graphs(proto))
    _limit(label, "initializers", initializers, limits.initializers)
    _limit(label, "inputs", len(proto.graph.input), limits.values)
    _limit(label, "outputs", len(proto.graph.output), limits.values)
    for attribute in attributes(proto):
        most = max(len(attribute.ints), len(attribute.floats), len(attribute.strings), len(attribute.tensors))
        _limit(label, f"values in attribute {attribute.name[:80]!r}", most, limits.attribute)


def _check_names(proto: onnx.ModelProto, label: str, limits: Limits) -> None:
    for field, name in texts(proto):
        if isinstance(name, bytes):
            raise ModelError(label, "it breaks the ONNX standard", expected="names in UTF-8", found=repr(name[:80]))
        if field in _PROSE:
            continue
        if "\0" in name:
            raise ModelError(label, "it breaks the ONNX standard", expected="names without NUL", found=repr(name[:80]))
        if len(name) > limits.name:
            raise LimitError(
                label,
                "one of its names is too long",
                expected=f"at most {limits.name} characters",
                found=f"{len(name)}, beginning with {name[:40]!r}",
            )


def _check_references(proto: onnx.ModelProto, label: str) -> None:
    for attribute in graph_attributes(proto):
        if attribute.ref_attr_name:
            raise ModelError(
                label,
                "it breaks the ONNX standard",
                expected="references to a function's attributes within functions only",
                found=f"attribute {attribute.name[:80]!r} refers to {attribute.ref_attr_name[:80]!r}",
            )


def _check_tensors(proto: onnx.ModelProto, label: str, limits: Limits) -> None:
    """Of those whose numbers are in the message; tensors that were kept apart are empty here."""
    for tensor in tensors(proto):
        subject = f"{label}, tensor {tensor.name[:80]!r}"
        elements = _elements(tensor.dims, subject, limits)
        sizes = held_and_asked(tensor, elements)
        if sizes is not None and sizes[0] != sizes[1]:
            raise ModelError(
                subject,
                "its shape and its content differ in size",
                expected=f"{sizes[1]} bytes or numbers for the shape {list(tensor.dims)}",
                found=str(sizes[0]),
            )
    if any(graph.sparse_initializer for graph in graphs(proto)):
        raise ModelError(label, "it stores weights as sparse tensors", expected="dense initializers")


def _check_shapes(proto: onnx.ModelProto, label: str, limits: Limits) -> None:
    for name, dims in shapes(proto):
        known = [dim.dim_value if dim.HasField("dim_value") else 1 for dim in dims]
        _elements(known, f"{label}, value {name[:80]!r}", limits)


def _elements(dims: Iterable[int], subject: str, limits: Limits) -> int:
    sizes = list(dims)
    _limit(subject, "dimensions", len(sizes), limits.rank)
    if any(size < 0 for size in sizes):
        raise ModelError(subject, "it has a negative dimension", found=str(sizes))
    count = math.prod(sizes)
    _limit(subject, "elements", max(count, *sizes, 0), limits.elements)
    return count


def _limit(label: str, what: str, count: int, most: int) -> None:
    if count > most:
        raise LimitError(label, f"it has too many {what}", expected=f"at most {most}", found=str(count))
