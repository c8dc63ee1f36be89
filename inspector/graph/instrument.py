"""The one rewrite: a model and what to watch in it become a model that gives just that.

The view's message is never touched: a copy is added to, cut down to what the requested rows need, and given as few
outputs as can hold them all. The slot table says what is where; nothing is ever read back out of a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Final

import onnx

from inspector.contract import Array
from inspector.errors import InputError, LimitError, ModelError
from inspector.graph.batching import fix_batch, fixed_batch, fixing, free_batch
from inspector.graph.collector import paused
from inspector.graph.contents import Holding, graphs, hold, nodes_of
from inspector.graph.perils import is_perilous, peril
from inspector.graph.rewriting.batch_statistics import write_out_statistics
from inspector.graph.rewriting.maps import Maps, Watched, for_any_size
from inspector.graph.rewriting.memory import Footprint, footprint
from inspector.graph.rewriting.pruning import prune
from inspector.graph.rewriting.rows import Place, Request, write_rows
from inspector.graph.rewriting.unsigned import write_unsigned
from inspector.graph.runnable import refuse_what_cannot_run
from inspector.graph.shapes import fix_shapes, inferred
from inspector.graph.view import OnnxView
from inspector.graph.writing import PREFIX

__all__ = ["NEWEST_IR", "Instrumented", "Place", "Request", "instrument"]

NEWEST_IR: Final = 13
"""The newest file format that onnxruntime 1.31 reads. onnx 1.23 writes 14; operators have versions of their own."""


Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of inputs by name, without the batch axis."""
Spaces = Mapping[str, tuple[int, ...]]
"""Sizes of one map, by the value that it is of."""


@dataclass(frozen=True, eq=False)  # without slots, so that the footprint can be kept
class Instrumented:
    """A model that gives the requested rows.

    Attributes:
        model: serialized ONNX, whose big weights are only named.
        weights: those, by name; they belong to the view. A runtime is given both.
        slots: the requests, each once, and where their rows are.
        names: names of all outputs of `model`; those of rows first.
        own: names of the model's own outputs, the last ones; empty when they were pruned away.
        branched: the slots that give no rows where a branch of an If is not taken.
        map_bytes: bytes of whole maps per input among the slots; None where a shape is not known.
        batch_is_free: True where runs may have batches of any size.
        has_ifs_within: True where an If stands in the body of another node; see `inspector.runtime.session`.
        perilous: True where inputs of some sizes may end the runtime's process: see `peril`.
        sized: shapes of inputs that memory is estimated for, where the model takes others as well.
        maps: what is known of the maps of every value that is measured, for inputs of these.
    """

    model: bytes
    weights: Mapping[str, Array]
    slots: Mapping[Request, Place]
    names: tuple[str, ...]
    own: tuple[str, ...]
    branched: frozenset[Request]
    map_bytes: int | None
    batch_is_free: bool
    has_ifs_within: bool
    perilous: bool = False
    sized: Shapes = field(default_factory=dict)
    maps: Mapping[str, Watched] = field(default_factory=dict)

    @cached_property
    def footprint(self) -> Footprint:
        """The memory that it takes, and that any part of it would take; estimated when it is first asked for."""
        return footprint(self.model, batch_is_free=self.batch_is_free, sized=self.sized)

    def peril(self, shapes: Shapes) -> str:
        """What would end the runtime's process for inputs of these shapes; empty: nothing that is known."""
        message = onnx.ModelProto.FromString(self.model)
        fix_shapes(message, shapes)
        return peril(nodes_of(message.graph.node), inferred(message))

    @cached_property
    def measured(self) -> bytes:
        """`model` without what measures: sizes of maps are inferred of it, for every shape of inputs that comes."""
        message = onnx.ModelProto.FromString(self.model)
        del message.graph.output[:]
        if not self.branched:  # what is measured in a body is known by no name out here
            prune(message.graph, self.maps)
        return message.SerializeToString()

    @cached_property
    def widths(self) -> Mapping[int, int]:
        """Columns of the outputs that hold rows of several slots, by number."""
        ends = [(place.output, place.columns[1]) for place in self.slots.values() if place.columns is not None]
        return {output: max(end for number, end in ends if number == output) for output in {n for n, _ in ends}}

    def rows(self, outputs: Sequence[Array], spaces: Spaces = MappingProxyType({})) -> dict[Request, Array]:
        """Of what a run gave out: the rows of every slot, in order. `spaces`: see `spaces_of`."""
        return {slot: place.of(outputs, spaces.get(slot.tensor)) for slot, place in self.slots.items()}

    def own_of(self, outputs: Sequence[Array]) -> list[Array]:
        """Of what a run gave out: the model's own outputs."""
        return list(outputs[len(self.names) - len(self.own) :])


@paused()
def instrument(
    view: OnnxView,
    requests: Sequence[Request],
    *,
    shapes: Shapes | None = None,
    free: bool = False,
    any_size: bool = False,
    keep_outputs: bool = False,
) -> Instrumented:
    """Writes the requests into a copy of the model.

    Args:
        view: the model.
        requests: what to bring out; duplicates are made once.
        shapes: shapes of the inputs that will be fed, without the batch axis; known areas allow cheaper measures.
        free: make a fixed batch dimension free.
        any_size: take inputs of other shapes as well; `shapes` are only what memory is estimated for then.
        keep_outputs: keep the model's own outputs beside the slots.

    Raises:
        ModelError: the model uses names that belong to the rewrite, or operators that cannot be run.
        LimitError: the result would not fit one protobuf message.
        RunError: inputs of these shapes would end the runtime's process.
    """
    _refuse_our_names(view)
    message = _copy(view.source.message)
    message.ir_version = min(message.ir_version, NEWEST_IR)
    given = shapes or {}
    has_other_batch = _settle_batch(message, view, free=free)
    has_other_shapes = fix_shapes(message, {} if any_size else given)
    kinds = inferred(message) if has_other_batch or has_other_shapes else view.source.kinds
    within = graphs(message) if view.source.nested else [message.graph]
    opset = next((o.version for o in message.opset_import if not o.domain), 1)
    write_out_statistics(within, opset, kinds)
    unsigned = write_unsigned(within, opset, kinds, view.source.weights)
    own = list(message.graph.output) if keep_outputs else []
    del message.graph.output[:]
    maps = _maps_of(_copy(message), view, given) if any_size else Maps(message, view, kinds)
    written = write_rows(message, view, maps, requests, any_size=any_size)
    message.graph.output.extend(own)
    names = tuple(value.name for value in message.graph.output)
    prune(message.graph, names, nested=view.source.nested)
    held = hold(message.graph.node)
    _drop_repeated_names(held)
    refuse_what_cannot_run(message, held, kinds, view.name)
    weights = _hand_out(message.graph, held, {**view.source.weights, **unsigned})
    return Instrumented(
        model=_serialize(message, view.name),
        weights=weights,
        slots=written.places,
        names=names,
        own=tuple(value.name for value in own),
        branched=written.branched,
        map_bytes=written.map_bytes,
        batch_is_free=free or fixed_batch(view.inputs) is None,
        has_ifs_within=any(node.op_type == "If" for graph in within[1:] for node in graph.node),
        perilous=any(map(is_perilous, held.nodes)),
        sized=given if any_size else {},
        maps=written.planned,
    )


def spaces_of(model: Instrumented, view: OnnxView, shapes: Shapes) -> Spaces | None:
    """Sizes of one map of every value that is measured, where inputs have these shapes, and rows need them.

    None where a model that takes any size cannot be used for these: what follows from them is not what was known when
    it was written.

    Raises:
        InputError: see `refuse_empty`.
    """
    maps = _maps_of(onnx.ModelProto.FromString(model.measured), view, shapes)
    found: dict[str, tuple[int, ...]] = {}
    for tensor, planned in model.maps.items():
        here = maps(tensor)
        refuse_empty(view, here)
        if (here.channels, here.is_of_inputs) != (planned.channels, planned.is_of_inputs):
            return None
        space = for_any_size(here).space
        if planned.space is not None and space is None:
            return None
        found[tensor] = space or ()
    return found


def refuse_empty(view: OnnxView, maps: Watched) -> None:
    """Raises InputError where maps have no positions: nothing can be measured of them, though they can be given."""
    if maps.area == 0:
        name = view.watchable[maps.name].tap.name
        raise InputError("input", f"nothing can be measured at tap {name!r}", found="a map without positions")


def _maps_of(message: onnx.ModelProto, view: OnnxView, shapes: Shapes) -> Maps:
    """What is known of maps where inputs have these shapes, which the message is given."""
    fix_shapes(message, shapes)
    return Maps(message, view, inferred(message))


def _copy(message: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(message)
    return copied


def _refuse_our_names(view: OnnxView) -> None:
    if view.reserved:
        raise ModelError(
            f"model {view.name!r}",
            "a value has a name that the inspector needs for itself",
            expected=f"no name that begins with {PREFIX!r}",
            found=repr(view.reserved),
            remedy="Give the original model, not one that was instrumented before.",
        )


def _settle_batch(message: onnx.ModelProto, view: OnnxView, *, free: bool) -> bool:
    """Frees a fixed batch, or has inputs that leave it open fix it too; True where that changes anything."""
    fixed = fixed_batch(view.inputs)
    if fixed is None:
        return False
    if free:
        free_batch(message, view.model, fixed)
        return True
    if len(fixing(view.inputs)) == len(view.inputs):
        return False
    fix_batch(message, fixed)
    return True


def _drop_repeated_names(held: Holding) -> None:
    """Node names that occur twice, which the standard allows and runtimes refuse; nothing depends on them."""
    seen: set[str] = set()
    for node in held.nodes:
        if node.name in seen:
            node.name = ""
        elif node.name:
            seen.add(node.name)


def _hand_out(main: onnx.GraphProto, held: Holding, weights: Mapping[str, Array]) -> dict[str, Array]:
    """The numbers that the message only names. Those that a body reads go into it: onnxruntime looks nowhere else."""
    within = {name for body in held.bodies for node in body.node for name in node.input}
    within |= {value.name for body in held.bodies for value in body.output}
    handed: dict[str, Array] = {}
    for tensor in main.initializer:
        if tensor.name not in weights or tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        if tensor.name in within:
            tensor.ClearField("data_location")
            tensor.ClearField("external_data")
            tensor.raw_data = weights[tensor.name].tobytes()
        else:
            handed[tensor.name] = weights[tensor.name]
    return handed


def _serialize(message: onnx.ModelProto, name: str) -> bytes:
    try:
        return message.SerializeToString()
    except ValueError as error:
        raise LimitError(
            f"model {name!r}", "it does not fit one message once rewritten", expected="under 2 GiB"
        ) from error
