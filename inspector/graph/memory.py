"""How much memory a run of a graph takes: weights, and the largest sum of values that are alive at one time.

A pure estimate, made before anything runs. A value lives from the node that makes it to its last reader, an output of
the graph to the end; views share their source's memory. That a node may write over what it reads is not counted on.
Nodes are walked in the order in which onnxruntime walks them, which is not that of the file: depth first from the last
leaf, so that a trunk runs to its end before the side branches that measure it, and every watched map waits for them.

Not counted: what an allocator keeps beyond that, workspaces of kernels, a second copy of weights in a blocked layout,
bodies of If, Loop and Scan, and the process around it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

_VIEWS: Final = frozenset({"Reshape", "Flatten", "Identity", "Squeeze", "Unsqueeze", "Dropout"})


@dataclass(frozen=True, slots=True)
class _Step:
    """A node: what it reads and makes, by name; whether its first result is only a view of what it reads first."""

    reads: tuple[str, ...]
    makes: tuple[str, ...]
    view: bool


@dataclass(frozen=True, slots=True, eq=False)
class Footprint:
    """Memory of a graph and of every part of it.

    Attributes:
        fed: names of the inputs.
        weights: bytes of every initializer.
        sizes: bytes of every other value, as a fixed part and one that comes with every input of a batch.
        unknown: values whose size is not known before the run; they count as nothing.
    """

    fed: tuple[str, ...]
    weights: Mapping[str, int]
    sizes: Mapping[str, tuple[int, int]]
    unknown: tuple[str, ...]
    _steps: tuple[_Step, ...]

    def weight(self, outputs: Iterable[str]) -> int:
        """Bytes of the weights that the part of the graph above `outputs` holds."""
        read = {name for step in self._order(tuple(outputs)) for name in step.reads}
        return sum(size for name, size in self.weights.items() if name in read)

    def peak(self, outputs: Iterable[str], batch: int) -> int:
        """Bytes that the part of the graph above `outputs` takes at most, for `batch` inputs at a time."""
        kept = tuple(outputs)
        order = self._order(kept)
        buffers = _buffers(order)
        last = _last_reads(order, buffers)
        forever = {buffers.get(name, name) for name in (*kept, *self.fed)}
        live = sum(self._size(name, batch) for name in self.fed)
        most = live
        for number, step in enumerate(order):
            made = sum(self._size(name, batch) for name in step.makes if buffers[name] == name)
            touched = {buffers.get(name, name) for name in (*step.reads, *step.makes)} - forever
            live += made
            most = max(most, live)
            live -= sum(self._size(name, batch) for name in touched if last.get(name, number) == number)
        return self.weight(kept) + most

    def _size(self, name: str, batch: int) -> int:
        fixed, each = self.sizes.get(name, (0, 0))
        return fixed + each * batch

    def _order(self, outputs: Sequence[str]) -> list[_Step]:
        """The steps above `outputs`, in the order in which the runtime takes them."""
        maker = {name: i for i, step in enumerate(self._steps) for name in step.makes}
        needed = _above([maker[name] for name in outputs if name in maker], self._steps, maker)
        read = {maker[name] for i in needed for name in self._steps[i].reads if name in maker}
        stack = [(i, False) for i in sorted(needed - read)]
        order: list[_Step] = []
        seen: set[int] = set()
        while stack:
            at, done = stack.pop()
            if done:
                order.append(self._steps[at])
            elif at not in seen:
                seen.add(at)
                stack.append((at, True))
                stack.extend((i, False) for i in sorted({maker[n] for n in self._steps[at].reads if n in maker}))
        return order


def footprint(model: ir.Model, *, batch_is_free: bool) -> Footprint:
    """The memory of a model whose inputs' shapes are fixed but for the batch; shapes in it are inferred anew.

    Every size is inferred for one input and for two; where the batch is fixed, for that one.
    """
    sizes = [_sizes(model, batch) for batch in ((1, 2) if batch_is_free else (None,))]
    one, two = sizes[0], sizes[-1]
    graph = model.graph
    weights = {str(v.name): _bytes_of(v) or 0 for v in graph.initializers.values()}
    known: dict[str, tuple[int, int]] = {}
    for name, size in one.items():
        more = two[name]
        if size is not None and more is not None:
            each = max(0, more - size)
            known[name] = (size - each, each) if batch_is_free else (size, 0)
    return Footprint(
        tuple(str(v.name) for v in graph.inputs if not v.is_initializer()),
        weights,
        known,
        tuple(name for name in one if name not in known),
        tuple(_step(node) for node in graph),
    )


def _step(node: ir.Node) -> _Step:
    reads = [str(v.name) for v in node.inputs if v is not None]
    for attribute in node.attributes.values():  # a body reads what lies around it
        bodies = list(attribute.as_graphs()) if attribute.type == ir.AttributeType.GRAPHS else []
        bodies += [attribute.as_graph()] if attribute.type == ir.AttributeType.GRAPH else []
        reads += [str(v.name) for body in bodies for n in body.all_nodes() for v in n.inputs if v is not None]
    makes = tuple(str(v.name) for v in node.outputs if v.name)
    plain = node.domain in ("", "ai.onnx")
    return _Step(tuple(reads), makes, plain and node.op_type in _VIEWS)


def _sizes(model: ir.Model, batch: int | None) -> dict[str, int | None]:
    """Bytes of every value but the weights, for inputs of that batch; None where that is unknown."""
    graph = model.graph
    fed = [v for v in graph.inputs if not v.is_initializer()]
    for value in fed:
        if batch is not None and value.shape is not None and len(value.shape):
            value.shape = ir.Shape([batch, *list(value.shape)[1:]])
    for node in graph.all_nodes():
        for output in node.outputs:
            output.shape = None
    ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
    values = [*fed, *(v for node in graph for v in node.outputs if v.name)]
    return {str(v.name): _bytes_of(v) for v in values}


def _bytes_of(value: ir.Value) -> int | None:
    if value.const_value is not None:
        return value.const_value.nbytes
    if value.shape is None or value.dtype in (None, ir.DataType.UNDEFINED, ir.DataType.STRING):
        return None
    sizes = [d for d in value.shape if isinstance(d, int)]
    assert value.dtype is not None
    return int(math.prod(sizes) * value.dtype.itemsize) if len(sizes) == len(value.shape) else None


def _above(ends: Sequence[int], steps: Sequence[_Step], maker: Mapping[str, int]) -> set[int]:
    pending, found = list(ends), set[int]()
    while pending:
        at = pending.pop()
        if at not in found:
            found.add(at)
            pending.extend(maker[name] for name in steps[at].reads if name in maker)
    return found


def _buffers(order: Sequence[_Step]) -> dict[str, str]:
    """For every value that is made, the one whose memory it lies in: itself, or what it is a view of."""
    buffers: dict[str, str] = {}
    for step in order:
        for at, name in enumerate(step.makes):
            source = step.reads[0] if step.view and at == 0 and step.reads else name
            buffers[name] = buffers.get(source, source)
    return buffers


def _last_reads(order: Sequence[_Step], buffers: Mapping[str, str]) -> dict[str, int]:
    return {buffers.get(name, name): number for number, step in enumerate(order) for name in step.reads}
