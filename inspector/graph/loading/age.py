"""Files of every age, in the form that is read today; see onnx/docs/Versioning.md for what changed when."""

from __future__ import annotations

from typing import Final

import onnx

from inspector.errors import ModelError
from inspector.graph.contents import Survey

_FREE_INITIALIZERS: Final = 4
"""The IR version since which an initializer need not be an input as well. Before, it is one and cannot be replaced."""
_OPSETS: Final = 3
"""The IR version since which a file says which operators it means. Before, they are those of the first set."""
_Kind = onnx.AttributeProto.AttributeType
_FIELDS: Final = (
    ("f", _Kind.FLOAT),
    ("i", _Kind.INT),
    ("s", _Kind.STRING),
    ("t", _Kind.TENSOR),
    ("g", _Kind.GRAPH),
    ("floats", _Kind.FLOATS),
    ("ints", _Kind.INTS),
    ("strings", _Kind.STRINGS),
    ("tensors", _Kind.TENSORS),
    ("graphs", _Kind.GRAPHS),
)


def modernise(survey: Survey, label: str) -> None:
    """Changes a message, in place, into the form of IR version 4 or newer. Operators stay what they are.

    Raises:
        ModelError: newer than what is known here, or with two versions of one set of operators.
    """
    proto = survey.proto
    newest, operators = int(onnx.IR_VERSION), onnx.defs.onnx_opset_version()
    if proto.ir_version > newest:
        raise _too_new(label, f"IR version {newest}", f"IR version {proto.ir_version}")
    if proto.ir_version < 2:
        _name_kinds(survey)
    if proto.ir_version < _OPSETS and not proto.opset_import:
        proto.opset_import.add(domain="", version=1)
    if proto.ir_version < _FREE_INITIALIZERS:
        _free_initializers(proto)
    _free_dimensions(survey)
    _join_imports(proto, label)
    opset = next((o.version for o in proto.opset_import if not o.domain), 0)
    if opset > operators:
        raise _too_new(label, f"opset {operators}", f"opset {opset}")


def _too_new(label: str, expected: str, found: str) -> ModelError:
    remedy = "Install a newer onnx, or export the model for an older version."
    return ModelError(
        label, "it is newer than the standard known here", expected=f"up to {expected}", found=found, remedy=remedy
    )


def _name_kinds(survey: Survey) -> None:
    """In the first version an attribute did not say of what kind it is: the field that is there told."""
    for attribute in survey.attributes:
        if not attribute.type:
            present = {field.name for field, _ in attribute.ListFields()}
            attribute.type = next((kind for field, kind in _FIELDS if field in present), _Kind.UNDEFINED)


def _free_initializers(proto: onnx.ModelProto) -> None:
    constants = {tensor.name for tensor in proto.graph.initializer}
    kept = [value for value in proto.graph.input if value.name not in constants]
    del proto.graph.input[:]
    proto.graph.input.extend(kept)
    proto.ir_version = _FREE_INITIALIZERS


def _free_dimensions(survey: Survey) -> None:
    """Some exporters wrote -1 for a dimension that is not known, as there was no other way."""
    for _, dims in survey.shapes():
        for dim in dims:
            if dim.dim_value < 0:
                dim.Clear()


def _join_imports(proto: onnx.ModelProto, label: str) -> None:
    """One entry for a set of operators. `ai.onnx` is another name of the empty one."""
    versions: dict[str, int] = {}
    for entry in proto.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if versions.setdefault(domain, entry.version) != entry.version:
            raise ModelError(
                label,
                f"it asks for two versions of the operators {domain or 'ai.onnx'!r}",
                expected="one",
                found=f"{versions[domain]} and {entry.version}",
            )
    if any(entry.domain == "ai.onnx" for entry in proto.opset_import) or len(versions) < len(proto.opset_import):
        del proto.opset_import[:]
        for domain, version in versions.items():
            proto.opset_import.add(domain=domain, version=version)
