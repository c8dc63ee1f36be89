"""How much content a tensor of a file holds, and how much its shape asks for."""

from __future__ import annotations

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
    try:
        dtype = ir.DataType(tensor.data_type)
        bits = 0 if dtype is ir.DataType.STRING else int(dtype.bitwidth)
    except (ValueError, TypeError):
        return None
    if dtype is ir.DataType.UNDEFINED or (bits < 8 and bits not in (0, 2, 4)):
        return None
    packed = (elements * bits + 7) // 8
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data), packed
    field = getattr(tensor, _FIELD_OF.get(dtype.name, "int32_data"))
    if dtype.name in _IN_PAIRS:
        return len(field), 2 * elements
    return len(field), packed if bits in (2, 4) else elements
