"""Messages looked at before they are decoded: what a few bytes may become is bounded, and nothing is passed over."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from inspector.errors import InputError, LimitError, ParameterError

MAX_FIELDS: Final = 200_000
"""Fields of a message, those of messages inside it included: two bytes are a field, which takes fifty when decoded."""
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED: Final = {
    FieldDescriptor.TYPE_DOUBLE: _FIXED64,
    FieldDescriptor.TYPE_FIXED64: _FIXED64,
    FieldDescriptor.TYPE_SFIXED64: _FIXED64,
    FieldDescriptor.TYPE_FLOAT: _FIXED32,
    FieldDescriptor.TYPE_FIXED32: _FIXED32,
    FieldDescriptor.TYPE_SFIXED32: _FIXED32,
}
_TEXTS: Final = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
_PLAIN, _PACKED = None, False
_Tags = Mapping[int, Any]
"""What a field holds, by its tag: the descriptor of a message, `_PACKED` numbers, or `_PLAIN` content."""
M = TypeVar("M", bound=Message)


def decoded(data: bytes, kind: type[M], most: int = MAX_FIELDS) -> M:
    """The message in these bytes.

    Raises:
        InputError: they cannot be decoded.
        LimitError: there are more than `most` fields.
        ParameterError: there is a field, at whatever depth, that this version does not know.
    """
    check_fields(data, kind.DESCRIPTOR, most)
    return _decode(data, kind)


def _decode(data: bytes, kind: type[M]) -> M:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise _garbled(len(data)) from error


def check_fields(data: bytes, descriptor: Any, most: int = MAX_FIELDS) -> None:
    """Walks through the fields of a message of that descriptor, without decoding it. Errors as of `decoded`."""
    at, left, inside = 0, most, [(len(data), descriptor)]
    while inside:
        end, kind = inside[-1]
        if at == end:
            inside.pop()
            continue
        tag, at = _varint(data, at, end)
        known = _tags(kind)
        if tag not in known:
            raise _unknown(tag >> 3, kind)
        content = known[tag]
        size, at = _size(tag & 7, data, at, end)
        left -= 1 + (size if content is _PACKED else 0)
        if left < 0:
            raise LimitError("message", "it has too many fields", expected=f"at most {most}, numbers in lists included")
        if content is _PLAIN or content is _PACKED:
            at += size
        else:
            inside.append((at + size, content))


def _size(wire: int, data: bytes, at: int, end: int) -> tuple[int, int]:
    """Bytes of a field's content, and where it begins."""
    if wire == _VARINT:
        _, after = _varint(data, at, end)
        return after - at, at
    if wire == _LENGTH:
        size, at = _varint(data, at, end)
    else:
        size = 8 if wire == _FIXED64 else 4
    if size > end - at:
        raise _garbled(len(data))
    return size, at


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A number, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise _garbled(len(data))


@functools.cache
def _tags(descriptor: Any) -> _Tags:
    """All tags that the fields of a message may have."""
    found: dict[int, Any] = {}
    for field in descriptor.fields:
        if field.message_type is not None or field.type in _TEXTS:
            found[field.number << 3 | _LENGTH] = field.message_type
            continue
        found[field.number << 3 | _FIXED.get(field.type, _VARINT)] = _PLAIN
        if field.is_repeated:
            found[field.number << 3 | _LENGTH] = _PACKED
    return found


def _unknown(number: int, descriptor: Any) -> ParameterError:
    return ParameterError(
        f"field {number} of {descriptor.name}",
        "this server does not know it, and it could change the answer",
        remedy="Use a client that is not newer than the server.",
    )


def _garbled(size: int) -> InputError:
    return InputError("message", "it cannot be decoded", expected="protobuf", found=f"{size} other bytes")
