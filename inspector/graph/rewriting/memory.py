"""How much memory a run of a graph takes: weights, and the largest sum of values that are alive at one time.

A pure estimate, made before anything runs. A value lives from the node that makes it to its last reader, an output of
the graph to the end; views share their source's memory. That a node may write over what it reads is not counted on.
Nodes are walked in the order in which onnxruntime walks them, which is not that of the file: depth first from the last
leaf, so that a trunk runs to its end before side branches that end by themselves, and what these read waits for them.

Not counted: what an allocator keeps beyond that, workspaces of kernels, a second copy of weights in a blocked layout,
bodies of If, Loop and Scan, and the process around it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import onnx
import onnx_ir as ir

from inspector.graph.contents import bodies_of, nodes_of
from inspector.graph.shapes import fix_shapes, infer_message, types

_VIEWS: Final = frozenset({"Reshape", "Flatten", "Identity", "Squeeze", "Unsqueeze", "Dropout"})


@dataclass(frozen=True, slots=True)
class _Step:
    """A node: what it reads and makes, by name; whether its first result is only a view of what it reads first."""

    reads: tuple[str, ...]
    makes: tuple[str, ...]
    view: bool


@dataclass(frozen=True, slots=True)
class Part:
    """Memory of a part of a graph.

    `weight` is the bytes of its weights. `moments` are the bytes of the values that are alive at one time, each as a
    fixed part and one that comes with every input of a batch.
    """

    weight: int
    moments: tuple[tuple[int, int], ...]

    def peak(self, batch: int) -> int:
        """Bytes that it takes at most, for `batch` inputs at a time."""
        return self.weight + max(fixed + each * batch for fixed, each in self.moments)


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

    def part(self, outputs: Iterable[str], *, in_turn: bool = False) -> Part:
        """What the graph above `outputs` takes.

        `in_turn`: they are made one after the other, as what a graph joins before it gives it out.
        """
        kept = tuple(outputs)
        order = self._order(kept, in_turn=in_turn)
        read = {name for step in order for name in step.reads}
        weight = sum(size for name, size in self.weights.items() if name in read)
        return Part(weight, tuple(self._moments(order, kept)))

    def _moments(self, order: Sequence[_Step], kept: Sequence[str]) -> Iterator[tuple[int, int]]:
        """The size of all values alive before the first step, and when each step has made its own."""
        copied = {step.makes[0] for step in order if step.reads[:1] and step.reads[0] in self.fed and step.makes}
        buffers = _buffers(order, copied.intersection(kept))  # what is given out never lies in what is fed
        last = _last_reads(order, buffers)
        forever = {buffers.get(name, name) for name in (*kept, *self.fed)}
        fixed, each = self._together(self.fed)
        yield fixed, each
        for number, step in enumerate(order):
            more = self._together(name for name in step.makes if buffers[name] == name)
            fixed, each = fixed + more[0], each + more[1]
            yield fixed, each
            touched = {buffers.get(name, name) for name in (*step.reads, *step.makes)} - forever
            less = self._together(name for name in touched if last.get(name, number) == number)
            fixed, each = fixed - less[0], each - less[1]

    def _together(self, names: Iterable[str]) -> tuple[int, int]:
        sizes = [self.sizes[name] for name in names if name in self.sizes]
        return sum(fixed for fixed, _ in sizes), sum(each for _, each in sizes)

    def _order(self, outputs: Sequence[str], *, in_turn: bool = False) -> list[_Step]:
        """The steps above `outputs`, in the order in which the runtime takes them."""
        maker = {name: i for i, step in enumerate(self._steps) for name in step.makes}
        needed = _above([maker[name] for name in outputs if name in maker], self._steps, maker)
        read = {maker[name] for i in needed for name in self._steps[i].reads if name in maker}
        stack = [(i, False) for i in sorted(needed - read, reverse=in_turn)]
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


def footprint(model: bytes, *, batch_is_free: bool, sized: Mapping[str, tuple[int, ...]] | None = None) -> Footprint:
    """The memory of a serialized model, which tells no shapes but those of inputs.

    Every size is inferred for one input and for two; where the batch is fixed, for that one.

    Args:
        model: with inputs whose shapes are fixed but for the batch,
        sized: or for inputs of these shapes, without the batch axis.
        batch_is_free: True where runs may have batches of any size.
    """
    message = onnx.ModelProto.FromString(model)
    fix_shapes(message, sized or {})
    graph = message.graph
    weights = {tensor.name: _bytes(tensor.data_type, tensor.dims) or 0 for tensor in graph.initializer}
    fed = tuple(info.name for info in graph.input if info.name not in weights)
    sizes = [_sizes(message, fed, batch) for batch in ((1, 2) if batch_is_free else (None,))]
    one, two = sizes[0], sizes[-1]
    known: dict[str, tuple[int, int]] = {}
    for name, size in one.items():
        more = two[name]
        if size is not None and more is not None:
            each = max(0, more - size)
            known[name] = (size - each, each) if batch_is_free else (size, 0)
    unknown = tuple(name for name in one if name not in known)
    return Footprint(fed, weights, known, unknown, tuple(_step(node) for node in graph.node))


def _step(node: onnx.NodeProto) -> _Step:
    within = nodes_of(inner for body in bodies_of([node]) for inner in body.node)  # it reads what lies around it
    reads = [*node.input, *(name for inner in within for name in inner.input)]
    plain = node.domain in ("", "ai.onnx")
    return _Step(tuple(filter(None, reads)), tuple(filter(None, node.output)), plain and node.op_type in _VIEWS)


def _sizes(message: onnx.ModelProto, fed: Sequence[str], batch: int | None) -> dict[str, int | None]:
    """Bytes of every value but the weights, for inputs of that batch; None where that is unknown."""
    for info in message.graph.input:
        dims = info.type.tensor_type.shape.dim
        if batch is not None and info.name in fed and dims:
            dims[0].dim_value = batch
    try:
        kinds = types(infer_message(message).graph)
    except onnx.shape_inference.InferenceError:
        kinds = types(message.graph)
    sizes: dict[str, int | None] = {}
    for name in (*fed, *(name for node in message.graph.node for name in node.output if name)):
        kind = kinds[name].tensor_type if name in kinds else onnx.TypeProto.Tensor()
        shape = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
        sizes[name] = _bytes(kind.elem_type, shape) if kind.HasField("shape") else None
    return sizes


def _bytes(element: int, dims: Iterable[int | None]) -> int | None:
    """Bytes of a tensor; None where its size or the type of its elements leaves that open."""
    dtype, sizes = ir.DataType(element), list(dims)
    if dtype in (ir.DataType.UNDEFINED, ir.DataType.STRING) or None in sizes:
        return None
    return int(math.prod(size for size in sizes if size is not None) * dtype.itemsize)


def _above(ends: Sequence[int], steps: Sequence[_Step], maker: Mapping[str, int]) -> set[int]:
    pending, found = list(ends), set[int]()
    while pending:
        at = pending.pop()
        if at not in found:
            found.add(at)
            pending.extend(maker[name] for name in steps[at].reads if name in maker)
    return found


def _buffers(order: Sequence[_Step], apart: Collection[str] = ()) -> dict[str, str]:
    """For every value that is made, the one whose memory it lies in: itself, or what it is a view of.

    `apart`: those that never are a view.
    """
    buffers: dict[str, str] = {}
    for step in order:
        for at, name in enumerate(step.makes):
            source = step.reads[0] if step.view and at == 0 and step.reads and name not in apart else name
            buffers[name] = buffers.get(source, source)
    return buffers


def _last_reads(order: Sequence[_Step], buffers: Mapping[str, str]) -> dict[str, int]:
    return {buffers.get(name, name): number for number, step in enumerate(order) for name in step.reads}
