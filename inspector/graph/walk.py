"""From a convolution's output to its first activation: which nodes lie on the way, and what they are.

The walk follows one value downstream and stops at the first of these cases:

1. an activation, in one node or in several that compute it together: found, also where the linear value is read
   elsewhere as well (`bypassed`);
2. anything else, two activations, or none at all: linear, with the reason.

On the way it passes a separate bias, normalisations, Identity and Dropout (these make the `norm` tap), residual sums
(these make what follows `shared`), nodes that only move axes (see `layout`) or cut and pad space (see `windows`), and
what rounds to integers and back. What may be passed is `_passed`: one function for each kind. Where no activation
follows, quantisation that saturates at its zero point is one in itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

import onnx_ir as ir

from inspector.contract import Zeros
from inspector.graph import quantized
from inspector.graph.activations.curves import Curves, goes_on
from inspector.graph.activations.operators import Activation, activation, is_known
from inspector.graph.activations.regions import consumers
from inspector.graph.constants import STANDARD, Constants
from inspector.graph.layout import MOVING, Layout, layout_after
from inspector.graph.normalised import NORMS, OPENING, normalised
from inspector.graph.quantized import REALS, holds_integers, rectified
from inspector.graph.windows import CUTTING, is_window

_AFFINE: Final = frozenset({"Add", "Sub", "Mul", "Div"})
_PASS: Final = frozenset({"Identity", "Dropout"})
_SUMS: Final = frozenset({"Add", "Sum"})
_PASSED: Final = _AFFINE | _PASS | _SUMS | MOVING | CUTTING | quantized.PASSED | OPENING
"""Where anything is passed, one of these reads the value; so most ways end without a closer look."""
_VIEWS: Final = frozenset({"Transpose", "Reshape", "Flatten"})
_MAX_STEPS: Final = 64
"""Nodes between a convolution and its activation: a hostile graph must not make every walk as long as itself."""


NOWHERE: Final = Layout(0)
"""Of a value that is not there."""


@dataclass(frozen=True, slots=True)
class Path:
    """What follows a convolution.

    Attributes:
        norm: the value after the last bias or normalisation that belongs to the layer alone; None without any.
        steps: the nodes between the convolution and `norm`, in order.
        act: the value after the first activation, or None.
        activation: its name: the operator, `Clip(0,6)`, or `SiLU`, `GELU`, `HardSwish`, … when decomposed.
        zeros: what a zero means after it.
        shared: True where a residual sum lies between the layer and the activation.
        bypassed: True where the value before the activation is also read by something else, or given out.
        linear: why there is no activation.
        norm_layout, act_layout: how the maps lie in `norm` and `act`.
    """

    norm: ir.Value | None = None
    steps: tuple[ir.Node, ...] = ()
    act: ir.Value | None = None
    activation: str | None = None
    zeros: Zeros = Zeros.NOT_MEANINGFUL
    shared: bool = False
    bypassed: bool = False
    linear: str = ""
    norm_layout: Layout = NOWHERE
    act_layout: Layout = NOWHERE


@dataclass(frozen=True, slots=True)
class _Passed:
    """Nodes on the way to an activation, what they are together, and the value after them, in which maps lie so."""

    kind: Literal["step", "pass", "sum", "round", "view"]
    value: ir.Value
    nodes: tuple[ir.Node, ...]
    layout: Layout


class _End(NamedTuple):
    """How a way ends: at an activation, or without one, and why.

    `bypassed`: something else reads the value before the activation as well.
    """

    found: Activation | None
    bypassed: bool = False
    linear: str = ""


class Walks:
    """The walks through one model. What follows a residual sum is walked once, however many layers add to it."""

    def __init__(self, constants: Constants) -> None:
        self.constants = constants
        self._curves = Curves(constants)
        self._after_sums: dict[tuple[ir.Value, int, Layout], Path] = {}

    def follow(self, output: ir.Value, channels: int, layout: Layout, *, home: str = "the model") -> Path:
        """Walks from a convolution's raw output, in which maps lie so. `home` names its graph."""
        maker = output.producer()
        waiting = [maker] if maker is not None and holds_integers(output) else []
        value, saturated, before = output, None, Path()
        for _ in range(_MAX_STEPS):
            saturated = rectified(value, self.constants) or saturated
            reached = self._next(value, channels, layout, home, saturated)
            if isinstance(reached, _End):
                apart = reached.found is not None and (saturated is None or reached.found.value is not saturated.value)
                bypassed = reached.bypassed or (apart and value.is_graph_output())
                return _path(_End(reached.found, bypassed, reached.linear), before, layout)
            value, layout = reached.value, reached.layout
            if reached.kind == "sum":
                after = self._after_sum(value, channels, layout, home)
                return replace(after, norm=before.norm, steps=before.steps, norm_layout=before.norm_layout)
            if reached.kind in ("round", "view"):
                waiting.extend(reached.nodes)
            if reached.kind == "step":
                before = Path(value, (*before.steps, *waiting, *reached.nodes), norm_layout=layout)
                waiting.clear()
        return _path(_ended(value, home, saturated), before, layout)

    def _after_sum(self, value: ir.Value, channels: int, layout: Layout, home: str) -> Path:
        """From a residual sum on, where nothing belongs to the layer alone any more."""
        key = (value, channels, layout)
        if key not in self._after_sums:
            end, after = self._shared(value, channels, layout, home)
            self._after_sums[key] = _path(end, Path(shared=True), after)
        return self._after_sums[key]

    def _shared(self, value: ir.Value, channels: int, layout: Layout, home: str) -> tuple[_End, Layout]:
        """How it ends, and how the maps lie there."""
        saturated = None
        for _ in range(_MAX_STEPS):
            saturated = rectified(value, self.constants) or saturated
            reached = self._next(value, channels, layout, home, saturated)
            if isinstance(reached, _End):
                # Where the sum itself goes on, the activation belongs to the block that reads it.
                return (_ended(value, home, None) if reached.bypassed else reached), layout
            value, layout = reached.value, reached.layout
        return _ended(value, home, saturated), layout

    def _next(
        self, value: ir.Value, channels: int, layout: Layout, home: str, saturated: Activation | None
    ) -> _End | _Passed:
        """What is passed next, or how the way ends. `saturated`: what quantisation has rectified so far."""
        readers = consumers(value)
        if not readers or not all(_is_known(node, value) for node in readers):
            return _ended(value, home, saturated)
        ends = _PASSED.isdisjoint(node.op_type for node in readers)
        passed = None if ends else _passed(value, channels, layout, self.constants)
        if saturated is not None and passed is not None and passed.kind in ("step", "sum", "view"):
            passed = None
        found = _activation(value, channels, layout, self._curves)
        later = _activation(passed.value, channels, passed.layout, self._curves) if found and passed else None
        if found is not None and (passed is None or later is None or later[0].value is not found[0].value):
            return _End(*found)
        if passed is None and saturated is None:
            saturated = quantized.rectified_alike(readers, value, self.constants)
        # What has a name without what is passed begins behind it: `x * 2`, then Clip.
        return _ended(value, home, saturated) if passed is None else passed


def _path(end: _End, before: Path, layout: Layout) -> Path:
    """What was passed, and how the way ends: at a value in which maps lie so."""
    found = end.found
    if found is None:
        return replace(before, bypassed=end.bypassed, linear=end.linear)
    return replace(
        before,
        act=found.value,
        activation=found.name,
        zeros=found.zeros,
        bypassed=end.bypassed,
        act_layout=found.layout or layout,
    )


def _ended(value: ir.Value, home: str, saturated: Activation | None) -> _End:
    """How a way ends at which no activation was found: linear, or rectified by what it was quantised to."""
    return _End(None, linear=_why(value, home)) if saturated is None else _End(saturated)


def _activation(value: ir.Value, channels: int, layout: Layout, curves: Curves) -> tuple[Activation, bool] | None:
    """The activation that follows, and whether something else reads the linear value as well.

    Readers that compute elementwise from the value alone have to go through one activation together, as in
    `x * sigmoid(x)`; what the others do (sums, convolutions, pooling, gates made elsewhere) is no activation.
    """
    readers = consumers(value)
    if holds_integers(value):
        own_kind = quantized.activation(readers[0], value) if len(readers) == 1 else None
        return None if own_kind is None else (own_kind, False)
    single = {n: a for n in readers if n.inputs[0] is value and (a := activation(n, curves.constants)) is not None}
    if len(readers) == 1 and single and not goes_on(readers[0].outputs[0]):
        return single[readers[0]], False
    region = curves.regions.behind(value, channels, layout)
    own = {n for n in readers if n in region or n in single}
    found = curves.activation(value, region) if all(n in region for n in own) else None
    if found is None and len(own) == 1 and single:
        found = next(iter(single.values()))
    if found is None and len(own) > 1:
        sloped = curves.regions.behind(value, channels, layout, slopes=True)
        found = curves.with_slopes(sloped) if sloped.has_slopes else None
    return None if found is None else (found, len(own) < len(readers))


def _passed(value: ir.Value, channels: int, layout: Layout, constants: Constants) -> _Passed | None:
    """What all of the value goes through on the way to an activation; None where the way ends at it."""
    readers = consumers(value)
    node = readers[0]
    over = _passed_over(node, value, constants) if len(readers) == 1 else None
    if over is not None:
        return _Passed(over, node.outputs[0], (node,), layout) if over != "sum" or channels > 1 else None
    if holds_integers(value):
        moved = layout_after(node, layout, constants) if len(readers) == 1 and node.inputs[0] is value else None
        return None if moved is None else _Passed("view", node.outputs[0], (node,), moved)
    if len(readers) == 1 and _is_affine(node, channels, layout, constants):
        return _Passed("step", node.outputs[0], (node,), layout)
    norm = normalised(value, channels, layout, constants)
    if norm is not None:
        return _Passed("step", norm.value, norm.nodes, layout)
    if len(readers) == 1 and _is_sum(node, value, channels, layout, constants):
        return _Passed("sum", node.outputs[0], (node,), layout)
    seen = _layout_seen(node, layout, constants) if len(readers) == 1 and node.inputs[0] is value else None
    return None if seen is None else _Passed("view", node.outputs[0], (node,), seen)


def _passed_over(node: ir.Node, value: ir.Value, constants: Constants) -> quantized.Passed | None:
    """What a node is that hands on what it reads, or belongs to quantised arithmetic; None for every other."""
    hands_on = node.op_type in _PASS or _is_between_reals(node, value)
    return "pass" if hands_on else quantized.passed_over(node, value, constants)


def _is_between_reals(node: ir.Node, value: ir.Value) -> bool:
    """From one real element type to another, as where a normalisation computes in float32 among float16."""
    to = node.attributes.get("to") if node.op_type == "Cast" and node.domain in STANDARD else None
    return to is not None and value.dtype in REALS and to.as_int() in REALS


def _layout_seen(node: ir.Node, layout: Layout, constants: Constants) -> Layout | None:
    """How the maps lie behind a node that moves axes, or cuts and pads space; None for every other."""
    return layout if is_window(node, layout, constants) else layout_after(node, layout, constants)


def _is_known(node: ir.Node, value: ir.Value) -> bool:
    """True for an operator known here, in the same graph."""
    return (is_known(node) or quantized.is_known(node)) and not _is_nested(node, value)


def _is_nested(node: ir.Node, value: ir.Value) -> bool:
    """What a body of an If, Loop or Scan computes cannot be brought out."""
    home = value.producer()
    return home is None or node.graph is not home.graph


def _why(value: ir.Value, home: str) -> str:
    readers = consumers(value)
    if not readers:
        return f"is an output of {home}" if value.is_graph_output() else "is used by nothing"
    chain = _views(value)
    if any(node.op_type in NORMS for node in chain):
        return "feeds " + " → ".join(node.op_type for node in chain)
    return "feeds " + ", ".join(dict.fromkeys(_label(node, value) for node in readers))


def _views(value: ir.Value) -> list[ir.Node]:
    """A Transpose or Reshape, what normalises behind it, and the node after that, where all of the value goes so."""
    chain: list[ir.Node] = []
    while len(readers := consumers(value)) == 1 and len(chain) < 4:
        chain.append(readers[0])
        value = readers[0].outputs[0]
        if readers[0].op_type not in (_VIEWS if len(chain) == 1 else _VIEWS | NORMS):
            break
    return chain


def _label(node: ir.Node, value: ir.Value) -> str:
    name = node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}"
    return name + " in the body of an If, Loop or Scan" * _is_nested(node, value)


def _is_affine(node: ir.Node, channels: int, layout: Layout, constants: Constants) -> bool:
    """A bias or a scale by constants that leaves the channels as they are."""
    if node.op_type not in _AFFINE or len(node.inputs) != 2:
        return False
    arrays = [constants(i) for i in node.inputs]
    operand = next((a for a in arrays if a is not None), None)
    if operand is None or (node.op_type == "Div" and arrays[0] is not None):
        return False
    shape = layout.against(operand)
    return bool(shape) and shape[0] == 1 and shape[layout.axis] in (1, channels)


def _is_sum(node: ir.Node, value: ir.Value, channels: int, layout: Layout, constants: Constants) -> bool:
    """A residual sum, of values that are no constants, which has the channels of `value`."""
    others = [i for i in node.inputs if i is not value]
    if node.op_type not in _SUMS or not others or any(constants.is_constant(i) for i in others):
        return False
    shape = node.outputs[0].shape
    if shape is None:
        return channels > 1  # then broadcasting cannot change it
    found = shape[layout.axis] if len(shape) == layout.rank else 0
    return found == channels or (channels > 1 and not isinstance(found, int))
