"""How much content a tensor of a file holds, and how much its shape asks for."""

from __future__ import annotations

from functools import lru_cache

import onnx
import onnx_ir as ir

_FIELDS = {
    "float_data": ("FLOAT", "COMPLEX64"),
    "double_data": ("DOUBLE", "COMPLEX128"),
    "int64_data": ("INT64",),
    "uint64_data": ("UINT32", "UINT64"),
    "string_data": ("STRING",),
}
_FIELD_OF = {kind: field for field, kinds in _FIELDS.items() for kind in kinds}
_IN_PAIRS = ("COMPLEX64", "COMPLEX128")


def held_and_asked(tensor: onnx.TensorProto, elements: int) -> tuple[int, int] | None:
    """Bytes of raw content, or numbers in the field for the element type: those held, and those for so many elements.

    None for an element type that is not known here: the checker has to judge it.
    """
    stored = _stored(tensor.data_type)
    if stored is None:
        return None
    field, bits, each = stored
    packed = (elements * bits + 7) // 8
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data), packed
    return len(getattr(tensor, field)), packed if bits in (2, 4) else elements * each


@lru_cache(64)
def _stored(data_type: int) -> tuple[str, int, int] | None:
    """The field for an element type, the bits of an element, and the numbers that make one in the field."""
    try:
        dtype = ir.DataType(data_type)
        bits = 0 if dtype is ir.DataType.STRING else int(dtype.bitwidth)
    except (ValueError, TypeError):
        return None
    if dtype is ir.DataType.UNDEFINED or (bits < 8 and bits not in (0, 2, 4)):
        return None
    return _FIELD_OF.get(dtype.name, "int32_data"), bits, 2 if dtype.name in _IN_PAIRS else 1
