"""What a client asks for as messages, and back: inputs and fidelity."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final, Literal, cast

from inspector._proto.inspector.v1 import input_pb2, inspector_service_pb2
from inspector.errors import InputError, ParameterError
from inspector.faces.wire_tensor import tensor_from_message, tensor_to_message, utf8
from inspector.runtime.data import Raw

Fidelity = Literal["fast", "exact"]

FIDELITIES: Final[dict[str, inspector_service_pb2.Fidelity]] = {
    "": inspector_service_pb2.FIDELITY_UNSPECIFIED,
    "fast": inspector_service_pb2.FIDELITY_FAST,
    "exact": inspector_service_pb2.FIDELITY_EXACT,
}
MAX_ID: Final = 256
"""Characters of an input's id: reports name many inputs in one message."""


def input_to_message(raw: Raw) -> input_pb2.Input:
    """An input as a message; InputError for arrays that do not travel."""
    message = input_pb2.Input(id=utf8(raw.id), label=None if raw.label is None else utf8(raw.label))
    if raw.picture is not None:
        message.picture = raw.picture
    elif raw.tensors is not None:
        message.tensors.SetInParent()
        for name, array in raw.tensors.items():
            message.tensors.tensors[utf8(name)].CopyFrom(tensor_to_message(array))
    return message


def input_from_message(message: input_pb2.Input) -> Raw:
    """The input in a message; a very long id is cut in the middle.

    Raises:
        InputError: it has no id, nothing to feed, or a tensor whose data does not fit its shape.
    """
    if not message.id:
        raise InputError("input", "it has no id", remedy="Give every input of a run an id of its own.")
    name = _short(message.id)
    label = message.label if message.HasField("label") else None
    match message.WhichOneof("content"):
        case "picture":
            return Raw(name, picture=message.picture, label=label)
        case "tensors":
            named = message.tensors.tensors
            subject = f"input {name!r}, tensor"
            tensors = {n: tensor_from_message(named[n], f"{subject} {_short(n)!r}") for n in sorted(named)}
            return Raw(name, tensors=tensors, label=label)
        case _:
            raise InputError(f"input {name!r}", "there is nothing to feed", expected="a picture or tensors")


def streamed_inputs(messages: Iterable[input_pb2.Input]) -> Iterator[Raw]:
    """The inputs in messages, one by one; one that is broken is handed on as such, for the run to skip and name it."""
    for number, message in enumerate(messages, 1):
        try:
            yield input_from_message(message)
        except InputError as error:
            yield Raw(_short(message.id) or f"input {number}", broken=error)


def _short(name: str) -> str:
    """The id, in at most `MAX_ID` characters; another one for every id."""
    if len(name) <= MAX_ID:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    half = (MAX_ID - len(digest) - 2) // 2
    return f"{name[:half]}…{digest}…{name[-half:]}"


def fidelity_to_message(fidelity: str) -> inspector_service_pb2.Fidelity:
    """`fast`, `exact`, or empty for the default; ParameterError for anything else."""
    if fidelity not in FIDELITIES:
        raise ParameterError("fidelity", "unknown value", expected="fast, exact or nothing", found=repr(fidelity))
    return FIDELITIES[fidelity]


def fidelity_from_message(number: int) -> Fidelity | None:
    """The word for it, None for the default; ParameterError for an unknown number."""
    for word, known in FIDELITIES.items():
        if known == number:
            return cast("Fidelity", word) if word else None
    expected = ", ".join(map(str, FIDELITIES.values()))
    raise ParameterError("fidelity", "unknown value", expected=expected, found=str(number))
