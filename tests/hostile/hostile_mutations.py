"""Good files with something broken, by a number: the same number always gives the same file."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import Message
from hostile_files import BOMBS, NEVER_ENDS, NONSENSE, STRUCTURES, made
from models import ZOO

INTS = (0, 1, -1, 2, 3, 7, 8, 16, 127, 255, 65536, (1 << 31) - 1, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 63))
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-40, 1e38, float("inf"), float("-inf"), float("nan"))
TEXTS = ("", "x", "y", "a", "w", "c", "../w", "inspector/0", "n" * 300, "\U0001f600", "ai.onnx", "com.microsoft")
OPERATORS = (
    "Relu", "Add", "Conv", "ConvTranspose", "MaxPool", "GlobalAveragePool", "Reshape", "Concat", "Split", "Resize",
    "BatchNormalization", "Identity", "Cast", "Transpose", "Shape", "Gather", "Slice", "Pad", "Clip", "Softmax", "If",
    "Loop", "Scan", "Constant", "ConstantOfShape", "Expand", "MatMul", "Gemm", "Flatten", "Squeeze", "Upsample",
    "DequantizeLinear", "QLinearConv", "ConvInteger", "DeformConv", "PRelu", "Dropout", "Where", "NonZero", "Einsum",
)  # fmt: skip
INTEGRAL = {Field.CPPTYPE_INT32, Field.CPPTYPE_INT64, Field.CPPTYPE_UINT32, Field.CPPTYPE_UINT64, Field.CPPTYPE_ENUM}
SMALL = 100_000


@functools.cache
def seeds() -> Sequence[bytes]:
    """Files to begin with: the good ones, and the smaller ones of those that were made to hurt."""
    hostile = [made(name) for name in (*BOMBS, *NONSENSE, *STRUCTURES) if name not in NEVER_ENDS]
    return [case.data for case in ZOO.values()] * 2 + [data for data in hostile if 0 < len(data) < SMALL]


def mutant(seed: int) -> bytes:
    """The file of that number."""
    rng = random.Random(seed)
    data = rng.choice(seeds())
    if rng.random() < 0.25:
        return _bytes(data, rng)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except Exception:  # noqa: BLE001 - seeds that are no protobuf are changed byte by byte
        return _bytes(data, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        _fields(proto, rng)
    return proto.SerializeToString()


def _bytes(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        place = rng.randrange(len(out) or 1)
        match rng.randrange(5):
            case 0:
                out[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                out[place : place + 1] = bytes([out[place] ^ (1 << rng.randrange(8))]) if out else b""
            case 2:
                del out[place : place + rng.choice((1, 2, 8, 64))]
            case 3:
                out[place:place] = out[place : place + rng.choice((1, 8, 64))]
            case _:
                out[place:place] = rng.choice((b"\xff" * 9 + b"\x01", b"\x00", b"\x0a\xff\xff\xff\x7f"))
    return bytes(out[: rng.randrange(len(out) + 1)] if rng.random() < 0.15 else out)


def _fields(proto: onnx.ModelProto, rng: random.Random) -> None:
    messages = _all(proto)
    for _ in range(20):
        message = rng.choice(messages)
        fields = message.DESCRIPTOR.fields if rng.random() < 0.2 else [field for field, _ in message.ListFields()]
        if fields:
            _field(message, rng.choice(fields), messages, rng)
            return


def _all(message: Message) -> list[Message]:
    found, pending = [], [message]
    while pending:
        current = pending.pop()
        found.append(current)
        for field, value in current.ListFields():
            if field.type == Field.TYPE_MESSAGE:
                pending.extend(value if field.is_repeated else [value])
    return found


def _field(message: Message, field: Any, messages: Sequence[Message], rng: random.Random) -> None:
    if field.type == Field.TYPE_MESSAGE:
        _message(message, field, messages, rng)
    elif field.is_repeated:
        _list(getattr(message, field.name), field, rng)
    else:
        setattr(message, field.name, _value(field, getattr(message, field.name), rng))


def _message(message: Message, field: Any, messages: Sequence[Message], rng: random.Random) -> None:
    alike = [m for m in messages if m.DESCRIPTOR is field.message_type and m.ByteSize() < SMALL]
    if not field.is_repeated:
        if alike and rng.random() < 0.6:
            copy = type(rng.choice(alike))()
            copy.CopyFrom(rng.choice(alike))
            getattr(message, field.name).CopyFrom(copy)
        else:
            message.ClearField(field.name)
        return
    items = getattr(message, field.name)
    match rng.randrange(4):
        case 0 if items:
            del items[rng.randrange(len(items))]
        case 1 if alike:
            copy = type(alike[0])()
            copy.CopyFrom(rng.choice(alike))
            items.append(copy)
        case 2 if len(items) > 1:
            items.insert(0, items.pop(rng.randrange(len(items))))
        case _:
            items.add()


def _list(items: Any, field: Any, rng: random.Random) -> None:
    place = rng.randrange(len(items)) if items else 0
    match rng.randrange(5):
        case 0 if items:
            del items[place]
        case 1:
            items.extend([_value(field, None, rng)] * rng.choice((1, 1, 2, 20)))
        case 2 if items:
            items.append(items[place])
        case _ if items:
            items[place] = _value(field, items[place], rng)
        case _:
            items.append(_value(field, None, rng))


def _value(field: Any, old: Any, rng: random.Random) -> Any:
    if field.cpp_type == Field.CPPTYPE_ENUM and field.enum_type.name != "DataType":
        return rng.choice(field.enum_type.values).number
    if field.cpp_type in INTEGRAL:
        value = rng.choice((*INTS, rng.randrange(30), (old or 0) + 1, (old or 0) * 2))
        return _wrapped(value, field)
    if field.cpp_type in (Field.CPPTYPE_FLOAT, Field.CPPTYPE_DOUBLE):
        return rng.choice((*FLOATS, rng.uniform(-10, 10)))
    if field.type == Field.TYPE_BYTES:
        data = bytes(old or b"")
        return rng.choice((b"", data[:-1], data + b"\0", data[::-1], data * 2, rng.randbytes(len(data))))
    return rng.choice(OPERATORS if field.name == "op_type" else TEXTS)


def _wrapped(value: int, field: Any) -> int:
    bits = 64 if field.cpp_type in (Field.CPPTYPE_INT64, Field.CPPTYPE_UINT64) else 32
    value &= (1 << bits) - 1
    signed = field.cpp_type in (Field.CPPTYPE_INT32, Field.CPPTYPE_INT64, Field.CPPTYPE_ENUM)
    return value - (1 << bits) if signed and value >> (bits - 1) else value
