"""All that is asked of a model's message before anything else looks at it. No memory is taken for what it declares."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import onnx

from inspector.errors import LimitError, ModelError
from inspector.graph.contents import Survey, call_depth, texts
from inspector.graph.loading.limits import Limits
from inspector.graph.loading.payload import held_and_asked

_PROSE = ("doc_string", "value")
"""Fields with texts for people: descriptions, and values of metadata. They may be long."""


def check(survey: Survey, label: str, limits: Limits) -> None:
    """Our own limits first, in Python's integers, which do not overflow; then what the standard asks for.

    Raises:
        ModelError: it breaks the standard, or needs what is not supported.
        LimitError: beyond `limits`.
    """
    _check_calls(survey, label, limits)
    _check_counts(survey, label, limits)
    _check_names(survey.proto, label, limits)
    _check_references(survey, label)
    _check_tensors(survey, label, limits)
    _check_shapes(survey, label, limits)
    try:
        onnx.checker.check_model(survey.proto)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise ModelError(
            label, "it breaks the ONNX standard", found=first_line(error), remedy="onnx.checker.check_model says more."
        ) from error


def first_line(error: BaseException) -> str:
    """What an error of a library says, in one line that is not too long."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _check_calls(survey: Survey, label: str, limits: Limits) -> None:
    _limit(label, "bodies in bodies", max(part.depth for part in (survey.main, *survey.functions)), limits.bodies)
    functions, calls = survey.proto.functions, survey.calls()
    if len(calls) < len(functions):
        raise ModelError(label, "two of its functions have one name", expected="one function of each name")
    ambiguous = [f.name for f in functions if f.domain in ("", "ai.onnx") and onnx.defs.has(f.name)]
    if ambiguous:
        raise ModelError(
            label,
            "one of its functions has the name of an operator of ONNX, and runtimes differ in which of them counts",
            expected="functions in a domain of their own",
            found=ambiguous[0][:80],
        )
    deepest = call_depth(calls)
    if deepest is None:
        raise ModelError(label, "one of its functions calls itself", expected="functions that are not recursive")
    _limit(label, "functions in functions", deepest, limits.calls)


def _check_counts(survey: Survey, label: str, limits: Limits) -> None:
    _limit(label, "nodes", survey.count_nodes(), limits.nodes)
    initializers = sum(len(graph.initializer) + len(graph.sparse_initializer) for graph in survey.graphs)
    _limit(label, "initializers", initializers, limits.initializers)
    _limit(label, "inputs", len(survey.proto.graph.input), limits.values)
    _limit(label, "outputs", len(survey.proto.graph.output), limits.values)
    for attribute in survey.attributes:
        most = max(len(attribute.ints), len(attribute.floats), len(attribute.strings), len(attribute.tensors))
        if most > limits.attribute:
            _limit(label, f"values in attribute {attribute.name[:80]!r}", most, limits.attribute)


def _check_names(proto: onnx.ModelProto, label: str, limits: Limits) -> None:
    for found in texts(proto):
        for field, names in found.items():
            most = None if field in _PROSE else limits.name
            if not _are_well_formed(names, most):
                for name in names:
                    _check_name(name, most, label)


def _are_well_formed(names: Sequence[str | bytes], most: int | None) -> bool:
    """Whether each would pass on its own; asked of all together, as there are many and nearly all do."""
    try:
        together = "".join(names)  # type: ignore[arg-type]  # with bytes among them it raises
    except TypeError:
        return False
    return most is None or ("\0" not in together and max(map(len, names), default=0) <= most)


def _check_name(name: str | bytes, most: int | None, label: str) -> None:
    """`most`: characters of a name; None for prose, which may be long and hold anything."""
    if isinstance(name, bytes):
        raise ModelError(label, "it breaks the ONNX standard", expected="names in UTF-8", found=repr(name[:80]))
    if most is None:
        return
    if "\0" in name:
        raise ModelError(label, "it breaks the ONNX standard", expected="names without NUL", found=repr(name[:80]))
    if len(name) > most:
        raise LimitError(
            label,
            "one of its names is too long",
            expected=f"at most {most} characters",
            found=f"{len(name)}, beginning with {name[:40]!r}",
        )


def _check_references(survey: Survey, label: str) -> None:
    for attribute in survey.main.attributes:
        if attribute.ref_attr_name:
            raise ModelError(
                label,
                "it breaks the ONNX standard",
                expected="references to a function's attributes within functions only",
                found=f"attribute {attribute.name[:80]!r} refers to {attribute.ref_attr_name[:80]!r}",
            )


def _check_tensors(survey: Survey, label: str, limits: Limits) -> None:
    """Of those whose numbers are in the message; tensors that were kept apart are empty here."""
    for tensor in survey.tensors:
        elements = _elements(tensor.dims, label, "tensor", tensor.name, limits)
        sizes = held_and_asked(tensor, elements)
        if sizes is not None and sizes[0] != sizes[1]:
            raise ModelError(
                _subject(label, "tensor", tensor.name),
                "its shape and its content differ in size",
                expected=f"{sizes[1]} bytes or numbers for the shape {list(tensor.dims)}",
                found=str(sizes[0]),
            )
    for sparse in survey.sparse:
        _elements(sparse.dims, label, "sparse tensor", sparse.values.name, limits)


def _check_shapes(survey: Survey, label: str, limits: Limits) -> None:
    for name, dims in survey.shapes():
        known = [dim.dim_value if dim.HasField("dim_value") else 1 for dim in dims]
        _elements(known, label, "value", name, limits)


def _elements(dims: Iterable[int], label: str, what: str, name: str, limits: Limits) -> int:
    """How many elements a shape has; `what` and `name` say whose it is."""
    sizes = list(dims)
    if len(sizes) > limits.rank:
        _limit(_subject(label, what, name), "dimensions", len(sizes), limits.rank)
    if min(sizes, default=0) < 0:
        raise ModelError(_subject(label, what, name), "it has a negative dimension", found=str(sizes))
    count = math.prod(sizes)
    if max(count, *sizes, 0) > limits.elements:
        _limit(_subject(label, what, name), "elements", max(count, *sizes), limits.elements)
    return count


def _subject(label: str, what: str, name: str) -> str:
    return f"{label}, {what} {name[:80]!r}"


def _limit(label: str, what: str, count: int, most: int) -> None:
    if count > most:
        raise LimitError(label, f"it has too many {what}", expected=f"at most {most}", found=str(count))
