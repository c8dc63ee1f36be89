"""What a client asks for as messages, and back: inputs, fidelity; and that nothing in a request is passed over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, cast

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

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
    """The input in a message.

    Raises:
        InputError: it has no id, nothing to feed, or a tensor whose data does not fit its shape.
    """
    if not message.id:
        raise InputError("input", "it has no id", remedy="Give every input of a run an id of its own.")
    label = message.label if message.HasField("label") else None
    match message.WhichOneof("content"):
        case "picture":
            return Raw(message.id, picture=message.picture, label=label)
        case "tensors":
            named = message.tensors.tensors
            subject = f"input {message.id!r}, tensor"
            tensors = {n: tensor_from_message(named[n], f"{subject} {n!r}") for n in sorted(named)}
            return Raw(message.id, tensors=tensors, label=label)
        case _:
            raise InputError(f"input {message.id!r}", "there is nothing to feed", expected="a picture or tensors")


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


def check_known(message: Message) -> None:
    """Raises ParameterError where the message, or one inside it, has a field that this version does not know."""
    unknown = UnknownFieldSet(message)
    if len(unknown):
        raise ParameterError(
            f"field {unknown[0].field_number} of {message.DESCRIPTOR.name}",
            "this server does not know it, and it could change the answer",
            remedy="Use a client that is not newer than the server.",
        )
    for field, value in message.ListFields():
        for inner in _messages(field, value):
            check_known(inner)


def _messages(field: Any, value: Any) -> Iterable[Message]:
    """The messages in a field's value; `field` is its descriptor, which is of one of two unrelated classes."""
    if field.message_type is None:
        return ()
    if field.message_type.GetOptions().map_entry:
        holds_messages = field.message_type.fields_by_name["value"].message_type is not None
        return cast("Iterable[Message]", value.values()) if holds_messages else ()
    return (value,) if isinstance(value, Message) else cast("Iterable[Message]", value)
