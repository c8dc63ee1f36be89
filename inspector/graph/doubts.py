"""Where onnx infers other sizes than a runtime gives: one wrong size, and every count behind it is wrong.

The few operators whose size was read in more than one way are worked out again here, as onnxruntime does it, whatever
the opset. Where both agree all is well; where they do not, or nothing can be said, nothing behind that node is known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
import onnx_ir as ir

from inspector.contract import Array
from inspector.graph.contents import bodies_of, nodes_of
from inspector.graph.shapes import Kinds, dims_of

Space = tuple[int, ...] | None
"""Sizes of the axes from 2 on; None where one is not known."""
_MOST_SCALE: Final = 1e6
"""Beyond, and below 0, a scale is none, and a size may be too large for an integer."""
_SAME: Final = (b"SAME_UPPER", b"SAME_LOWER")


@dataclass(frozen=True, slots=True)
class _Case:
    """A node, what it reads and makes by inference, and the constants of the model."""

    node: onnx.NodeProto
    attributes: Mapping[str, onnx.AttributeProto]
    given: Space
    made: Space
    numbers: _Numbers

    def ints(self, name: str, count: int, default: int) -> tuple[int, ...]:
        return tuple(self.attributes[name].ints) if name in self.attributes else (default,) * count

    def text(self, name: str, default: bytes) -> bytes:
        return self.attributes[name].s if name in self.attributes else default

    def constant(self, index: int) -> Array | None:
        return self.numbers(self.node.input[index]) if index < len(self.node.input) else None


def doubtful(message: onnx.ModelProto, kinds: Kinds, *, nested: bool) -> frozenset[str]:
    """Values whose sizes may not be those of `kinds`, by name.

    Args:
        message: the model; nodes stand behind those that they read.
        kinds: types that were inferred of it, as it is.
        nested: some of its nodes may have bodies.
    """
    nodes = nodes_of(message.graph.node) if nested else message.graph.node[:]
    if not any(node.op_type in _RULES for node in nodes):
        return frozenset()
    numbers = _Numbers(message, nodes)
    wrong = [node.op_type in _RULES and not _agrees(node, kinds, numbers) for node in nodes]
    found: set[str] = set()
    for node, is_wrong in zip(nodes, wrong, strict=True) if any(wrong) else ():
        if is_wrong or any(True for _ in bodies_of([node])) or not found.isdisjoint(node.input):
            found.update(node.output)
    return frozenset(found - {""})


def forget(values: Iterable[ir.Value], names: Collection[str]) -> None:
    """Takes the sizes of space from the shapes of values of these names; how many axes there are stays known."""
    for value in values if names else ():
        if value.name in names and value.shape is not None:
            value.shape = ir.Shape([*value.shape[:2], *[None] * (len(value.shape) - 2)])


class _Numbers:
    """Small constants of a message by name; None for what is computed, or kept elsewhere."""

    def __init__(self, message: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
        held = [tensor for graph in (message.graph, *bodies_of(nodes)) for tensor in graph.initializer]
        self._tensors = {tensor.name: tensor for tensor in held}
        for node in nodes:
            if node.op_type == "Constant":
                self._tensors.update((node.output[0], a.t) for a in node.attribute if a.name == "value")

    def __call__(self, name: str) -> Array | None:
        tensor = self._tensors.get(name)
        if tensor is None or tensor.data_location == onnx.TensorProto.EXTERNAL:
            return None
        return ir.TensorProtoTensor(tensor).numpy()


def _agrees(node: onnx.NodeProto, kinds: Kinds, numbers: _Numbers) -> bool:
    """Whether the sizes of the node's first output are those that its rule gives; true where none are inferred."""
    made = _space(kinds.get(node.output[0])) if node.output else None
    if made is None:
        return True
    given = _space(kinds.get(node.input[0])) if node.input else None
    attributes = {attribute.name: attribute for attribute in node.attribute}
    return _RULES[node.op_type](_Case(node, attributes, given, made, numbers)) == made


def _space(kind: onnx.TypeProto | None) -> Space:
    dims = dims_of(kind)
    known = tuple(size for size in dims[2:] if size is not None) if dims is not None else ()
    return None if dims is None or len(known) < len(dims) - 2 else known


def _pooled(case: _Case) -> Space:
    """SAME pads as if there were no dilation; rounding up makes no window that begins behind the end."""
    if case.given is None:
        return None
    n = len(case.given)
    kernel, strides = case.ints("kernel_shape", n, 1), case.ints("strides", n, 1)
    dilations, pads = case.ints("dilations", n, 1), case.ints("pads", 2 * n, 0)
    if {len(kernel), len(strides), len(dilations), len(pads) / 2} != {n} or min(strides) < 1:
        return None
    mode, up = case.text("auto_pad", b"NOTSET"), "ceil_mode" in case.attributes and case.attributes["ceil_mode"].i == 1
    sizes = []
    for i, size in enumerate(case.given):
        before, after = (0, 0) if mode == b"VALID" else (pads[i], pads[i + n])
        if mode in _SAME:
            total = (-(-size // strides[i]) - 1) * strides[i] + kernel[i] - size
            before = total // 2 if mode == b"SAME_UPPER" else total - total // 2
            after = total - before
        room = size + before + after - dilations[i] * (kernel[i] - 1) - 1
        count = (-(-room // strides[i]) if up else room // strides[i]) + 1
        sizes.append(count - 1 if up and (count - 1) * strides[i] >= size + before else count)
    return tuple(sizes)


def _scaled(case: _Case) -> Space:
    """Given sizes are taken; scales times sizes are rounded down, in float32."""
    if case.text("coordinate_transformation_mode", b"") == b"tf_crop_and_resize":
        return None
    if len(case.node.input) > 3 and case.node.input[3]:
        return case.made if case.text("keep_aspect_ratio_policy", b"stretch") == b"stretch" else None
    scales = case.constant(1 if case.node.op_type == "Upsample" or len(case.node.input) == 2 else 2)
    if "scales" in case.attributes:
        scales = np.array(case.attributes["scales"].floats, np.float32)
    if scales is None or case.given is None:
        return None
    rank = len(case.given) + 2
    axes = [axis % rank for axis in case.ints("axes", 0, 0)] or list(range(rank))
    factors = scales.ravel().astype(np.float32)
    if len(axes) != factors.size or not (factors > 0).all() or not (factors < _MOST_SCALE).all():
        return None
    by_axis = dict(zip(axes, factors, strict=True))
    one = np.float32(1)
    return tuple(int(by_axis.get(axis, one) * np.float32(size)) for axis, size in enumerate(case.given, 2))


def _transposed(case: _Case) -> Space:
    """Padding by a name, and more at the end: read in several ways."""
    named = case.text("auto_pad", b"NOTSET") in _SAME
    return None if named and any(case.ints("output_padding", 0, 0)) else case.made


_RULES: Final[Mapping[str, Callable[[_Case], Space]]] = {
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), _pooled),
    **dict.fromkeys(("Resize", "Upsample"), _scaled),
    "ConvTranspose": _transposed,
}
