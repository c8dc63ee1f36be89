"""Arrays and texts as messages, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import ml_dtypes
import numpy as np

from inspector._proto.inspector.v1 import tensor_pb2
from inspector.contract import Array, TensorInfo
from inspector.errors import InputError

_NUMPY = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64"
DTYPES: Final[dict[str, np.dtype[Any]]] = {name: np.dtype(name) for name in _NUMPY.split()} | {
    "bfloat16": np.dtype(ml_dtypes.bfloat16)
}
"""Element types that travel, by name."""
MAX_AXES: Final = 32
"""More axes than any operator of ONNX has a use for; also below NumPy's own limit."""
MAX_SIZE: Final = 1 << 63
"""Bytes of an array that no address space holds."""


def utf8(text: str) -> str:
    """The text, with what cannot be encoded (parts of file names that are no UTF-8) written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def little_endian(array: Array) -> Array:
    """The elements of an array of any shape as bytes: (n,) uint8, little-endian, row-major; a view where possible."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.astype(flat.dtype.newbyteorder("<"), copy=False).view(np.uint8)


def tensor_to_message(array: Array) -> tensor_pb2.Tensor:
    """The array as a message.

    Raises:
        InputError: its element type does not travel.
    """
    return tensor_pb2.Tensor(dtype=dtype_name(array), shape=array.shape, data=little_endian(array).tobytes())


def tensor_from_message(message: tensor_pb2.Tensor, subject: str = "tensor") -> Array:
    """The array in a message: a read-only view of its bytes. `subject` is what errors call it.

    Raises:
        InputError: unknown element type, an impossible shape, or not as many bytes as the shape says.
    """
    return array_from_bytes(message.data, message.dtype, tuple(message.shape), subject)


def array_from_bytes(data: bytes | bytearray, dtype: str, shape: Sequence[int], subject: str = "tensor") -> Array:
    """The array in little-endian, row-major bytes; nothing is allocated for the size that the shape claims.

    Raises:
        InputError: unknown element type, an impossible shape, or not as many bytes as the shape says.
    """
    size = size_in_bytes(dtype, shape, subject)
    if len(data) != size:
        expected = f"{size} bytes for {dtype} {tuple(shape)}"
        raise InputError(subject, "its data does not fit its shape", expected=expected, found=f"{len(data)} bytes")
    if dtype == "bool":  # any other bits than 0 and 1 in a NumPy bool are undefined
        flat: Array = np.frombuffer(data, np.uint8) != 0
    else:
        flat = np.frombuffer(data, DTYPES[dtype].newbyteorder("<"))
    return flat.reshape(shape)


def size_in_bytes(dtype: str, shape: Sequence[int], subject: str = "tensor") -> int:
    """Bytes that a tensor of that type and shape has.

    Raises:
        InputError: unknown element type, or an impossible shape.
    """
    if dtype not in DTYPES:
        raise InputError(subject, "unknown element type", expected=f"one of {', '.join(DTYPES)}", found=repr(dtype))
    if len(shape) > MAX_AXES:
        raise InputError(subject, "too many axes", expected=f"at most {MAX_AXES}", found=str(len(shape)))
    if any(n < 0 for n in shape):
        raise InputError(subject, "a size is negative", expected="sizes from 0", found=str(tuple(shape)))
    itemsize = DTYPES[dtype].itemsize
    if 0 in shape and math.prod(n for n in shape if n) * itemsize >= MAX_SIZE:  # empty, yet NumPy refuses it
        raise InputError(
            subject, "its sizes are too large", expected=f"below {MAX_SIZE} bytes", found=str(tuple(shape))
        )
    return math.prod(shape) * itemsize


def dtype_name(array: Array) -> str:
    """Name of the element type, without its byte order.

    Raises:
        InputError: it does not travel.
    """
    name = array.dtype.newbyteorder("=").name
    if name not in DTYPES:
        raise InputError(
            "array", "its element type does not travel", expected=f"one of {', '.join(DTYPES)}", found=name
        )
    return name


def info_to_message(info: TensorInfo) -> tensor_pb2.TensorInfo:
    """A model's input or output as a message."""
    message = tensor_pb2.TensorInfo(name=utf8(info.name), dtype=info.dtype)
    if info.shape is not None:
        message.shape.SetInParent()
        message.shape.dimensions.extend(_dimension_to_message(d) for d in info.shape)
    return message


def info_from_message(message: tensor_pb2.TensorInfo) -> TensorInfo:
    """A model's input or output from a message."""
    known = message.HasField("shape")
    shape = tuple(_dimension_from_message(d) for d in message.shape.dimensions) if known else None
    return TensorInfo(message.name, message.dtype, shape)


def _dimension_to_message(dimension: int | str | None) -> tensor_pb2.Dimension:
    if dimension is None:
        return tensor_pb2.Dimension()
    if isinstance(dimension, str):
        return tensor_pb2.Dimension(symbol=utf8(dimension))
    return tensor_pb2.Dimension(size=dimension)


def _dimension_from_message(message: tensor_pb2.Dimension) -> int | str | None:
    kind = message.WhichOneof("kind")
    return None if kind is None else message.size if kind == "size" else message.symbol
