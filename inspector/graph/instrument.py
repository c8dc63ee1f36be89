"""The one rewrite: a model and what to watch in it become a model that gives just that.

The view's graph is never touched: a clone is changed, cut down to what the requested rows need (asking a runtime for
fewer outputs does not skip any work), and given one output per distinct request. The slot table says what output i
is; nothing is ever read back out of a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from inspector.contract import Array, Value
from inspector.contract.measures import keeps_maps
from inspector.errors import LimitError, ModelError
from inspector.graph.batching import fixed_batch, free_batch
from inspector.graph.bodies import Nesting, all_values, bodies
from inspector.graph.convolutions import has_channels_last
from inspector.graph.memory import Footprint, footprint
from inspector.graph.ops import PREFIX, Lowering, area_of, type_of
from inspector.graph.runnable import refuse_what_cannot_run
from inspector.graph.shapes import infer
from inspector.graph.view import OnnxView
from inspector.graph.weights import hand_out

NEWEST_IR: Final = 13
"""The newest file format that onnxruntime 1.31 reads. onnx 1.23 writes 14; operators have versions of their own."""


@dataclass(frozen=True, slots=True)
class Request:
    """One row to bring out: a measure of a tensor. Equal requests are one request."""

    tensor: str
    measure: Value


@dataclass(frozen=True, eq=False)  # without slots, so that the footprint can be kept
class Instrumented:
    """A model that gives the requested rows.

    Attributes:
        model: serialized ONNX, whose big weights are only named.
        weights: those, by name; they belong to the view. A runtime is given both.
        slots: what output i of the model is.
        names: names of all its outputs, those of the slots first.
        own: names of the model's own outputs, which follow the slots; empty when they were pruned away.
        freed: True where the batch dimension was made free.
        branched: the slots that give no rows where a branch of an If is not taken.
        map_bytes: bytes of whole maps per input among the slots; None where a shape is not known.
        batch_is_free: True where runs may have batches of any size.
    """

    model: bytes
    weights: Mapping[str, Array]
    slots: tuple[Request, ...]
    names: tuple[str, ...]
    own: tuple[str, ...]
    freed: bool
    branched: frozenset[Request]
    map_bytes: int | None
    batch_is_free: bool

    @cached_property
    def footprint(self) -> Footprint:
        """The memory that it takes, and that any part of it would take; estimated when it is first asked for."""
        return footprint(self.model, batch_is_free=self.batch_is_free)


def instrument(
    view: OnnxView,
    requests: Sequence[Request],
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    free: bool = False,
    keep_outputs: bool = False,
) -> Instrumented:
    """Writes the requests into a clone of the model.

    Args:
        view: the model.
        requests: what to bring out; duplicates are made once.
        shapes: shapes of the inputs that will be fed, without the batch axis; known areas allow cheaper measures.
        free: make a fixed batch dimension free.
        keep_outputs: keep the model's own outputs beside the slots.

    Raises:
        ModelError: the model uses names that belong to the rewrite, or operators that cannot be run.
        LimitError: the result would not fit one protobuf message.
    """
    model = view.model.clone()
    model.ir_version = min(model.ir_version or NEWEST_IR, NEWEST_IR)
    _refuse_our_names(view, model)
    _drop_repeated_names(model)
    batch = fixed_batch(view.inputs) if free else None
    if batch is not None:
        free_batch(model, batch)
    _set_shapes(model, shapes or {})
    slots = tuple(dict.fromkeys(requests))
    outputs, branched, maps = _write(model, view, slots)
    own = list(model.graph.outputs) if keep_outputs else []
    for value in own:
        value.shape = None
    model.graph.outputs.clear()
    model.graph.outputs.extend([*outputs, *own])
    RemoveUnusedNodesPass()(model)
    refuse_what_cannot_run(model, view.name)
    weights = hand_out(model)
    data = _serialize(model, view.name)
    names = tuple(str(v.name) for v in model.graph.outputs)
    batch_is_free = batch is not None or fixed_batch(view.inputs) is None
    own_names = names[len(slots) :]
    return Instrumented(data, weights, slots, names, own_names, batch is not None, branched, maps, batch_is_free)


def _refuse_our_names(view: OnnxView, model: ir.Model) -> None:
    taken = next((v.name for v in all_values(model) if v.name and v.name.startswith(PREFIX)), None)
    if taken:
        raise ModelError(
            f"model {view.name!r}",
            "a value has a name that the inspector needs for itself",
            expected=f"no name that begins with {PREFIX!r}",
            found=repr(taken),
            remedy="Give the original model, not one that was instrumented before.",
        )


def _drop_repeated_names(model: ir.Model) -> None:
    """Node names that occur twice, which the standard allows and runtimes refuse; nothing depends on them."""
    seen: set[str] = set()
    for node in model.graph.all_nodes():
        if node.name in seen:
            node.name = None
        elif node.name:
            seen.add(node.name)


def _set_shapes(model: ir.Model, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Fixes the inputs' shapes but for the batch, and infers the rest again."""
    for value in model.graph.inputs:
        shape = shapes.get(str(value.name))
        if shape is not None and value.shape is not None:
            value.shape = ir.Shape([value.shape[0], *shape])
    if shapes:
        for node in model.graph.all_nodes():
            for output in node.outputs:
                output.shape = None
    infer(model)
    _forget_doubtful_shapes(model)


def _forget_doubtful_shapes(model: ir.Model) -> None:
    """Behind pooling that rounds up: before opset 22, inference gives a row more than runtimes in some cases."""
    if not any("ceil_mode" in node.attributes for node in model.graph.all_nodes()):
        return
    doubtful: set[ir.Value] = set()
    for node in model.graph.all_nodes():
        if (
            "ceil_mode" in node.attributes
            or bodies(node)
            or not doubtful.isdisjoint(i for i in node.inputs if i is not None)
        ):
            doubtful.update(node.outputs)
    for value in doubtful:
        value.shape = None


def _write(
    model: ir.Model, view: OnnxView, slots: Sequence[Request]
) -> tuple[list[ir.Value], frozenset[Request], int | None]:
    nesting, writers = Nesting(model), dict[ir.Graph, Lowering]()
    opset = model.graph.opset_imports.get("", 1)
    values = {v.name: v for node in model.graph.all_nodes() for v in node.outputs}
    known = {tap.tensor: layer for layer in view.layers for tap in layer.taps.values()}
    outputs: list[ir.Value] = []
    maps: list[int | None] = []
    branched: set[Request] = set()
    for slot in slots:
        tensor, layer = values[slot.tensor], known[slot.tensor]
        dtype, rank = tensor.dtype or ir.DataType.FLOAT, len(layer.kernel) + 2
        area = None if has_channels_last(tensor) else area_of(tensor.shape)
        home = tensor.graph
        assert home is not None
        if home not in writers:
            writers[home] = Lowering(home, opset, f"{len(writers)}/" if home is not model.graph else "")
        row = writers[home](tensor, slot.measure, dtype=dtype, rank=rank, area=area)
        channels = 1 if slot.measure.op == "positions" else layer.out_channels
        absent = (channels,) + ((1,) * (rank - 2) if keeps_maps(slot.measure) else ())
        outputs.append(nesting.carry(row, type_of(slot.measure, dtype), absent))
        if outputs[-1] is not row:
            branched.add(slot)
        if keeps_maps(slot.measure):
            maps.append(None if area is None else int(area * layer.out_channels * dtype.itemsize))
    sizes = [m for m in maps if m is not None]
    return outputs, frozenset(branched), sum(sizes) if len(sizes) == len(maps) else None


def _serialize(model: ir.Model, name: str) -> bytes:
    try:
        return ir.to_proto(model).SerializeToString()
    except ValueError as error:
        raise LimitError(
            f"model {name!r}", "it does not fit one message once rewritten", expected="under 2 GiB"
        ) from error
    except RuntimeError as error:  # onnx_ir's, around whatever it could not write
        raise ModelError(
            f"model {name!r}", "it cannot be written back", found=str(error.__cause__ or error)[:300]
        ) from error
