"""From a convolution's output to its first activation: which nodes lie on the way, and what they are.

The walk follows one value downstream and stops at the first of these cases:

1. an activation operator: found;
2. several consumers that meet again in one product (`x * sigmoid(x)` and its like): a decomposed activation, found;
3. anything else, several consumers that do not meet again, or none at all: linear, with the reason.

On the way it passes a separate bias, per-channel normalisation, Identity and Dropout (these make the `norm` tap), and
residual sums (these make what follows `shared`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import onnx_ir as ir

from inspector.contract import Zeros
from inspector.graph.constants import STANDARD, Constants

_EXACT: Final = frozenset({"Relu", "ThresholdedRelu", "HardSigmoid", "HardSwish"})
_SMOOTH: Final = frozenset(
    {
        "LeakyRelu",
        "PRelu",
        "Elu",
        "Selu",
        "Celu",
        "Sigmoid",
        "Tanh",
        "Softplus",
        "Softsign",
        "Mish",
        "Gelu",
        "Swish",
        "Shrink",
    }
)
_NORMS: Final = frozenset({"BatchNormalization", "InstanceNormalization", "GroupNormalization"})
_AFFINE: Final = frozenset({"Add", "Sub", "Mul", "Div"})
_PASS: Final = frozenset({"Identity", "Dropout"})
_ELEMENTWISE: Final = frozenset(
    {
        "Sigmoid",
        "HardSigmoid",
        "Tanh",
        "Erf",
        "Softplus",
        "Clip",
        "Relu",
        "Min",
        "Mul",
        "Add",
        "Sub",
        "Div",
        "Pow",
        "Exp",
        "Log",
        "Neg",
    }
)
_MAX_REGION: Final = 12
"""Nodes a decomposed activation can have; tanh-GELU, the longest known, has 9."""
_MAX_STEPS: Final = 64
"""Nodes between a convolution and its activation: a hostile graph must not make every walk as long as itself."""


@dataclass(frozen=True, slots=True)
class Path:
    """What follows a convolution.

    Attributes:
        norm: the value after the last bias or normalisation that belongs to the layer alone; None without any.
        steps: the nodes between the convolution and `norm`, in order.
        act: the value after the first activation, or None.
        activation: its name: the operator, `Clip(0,6)`, or `SiLU`, `GELU`, `HardSwish`, `Mish` when decomposed.
        zeros: what a zero means after it.
        shared: True where a residual sum lies between the layer and the activation.
        linear: why there is no activation.
    """

    norm: ir.Value | None
    steps: tuple[ir.Node, ...]
    act: ir.Value | None
    activation: str | None
    zeros: Zeros
    shared: bool
    linear: str


def follow(output: ir.Value, channels: int, rank: int, constants: Constants, *, home: str = "the model") -> Path:
    """Walks from a convolution's raw output, (N, channels, *space) with `rank` axes. `home`: what to call its graph."""
    value, norm, shared = output, None, False
    steps: list[ir.Node] = []
    for _ in range(_MAX_STEPS):
        consumers = _consumers(value)
        if not all(_is_known(node, value) for node in consumers):
            break
        found = _activation(value, consumers, constants)
        if found:
            act, name, zeros = found
            return Path(norm, tuple(steps), act, name, zeros, shared, "")
        passed = _passed(consumers[0], value, channels, rank, constants) if len(consumers) == 1 else None
        if passed is None:
            break
        value = consumers[0].outputs[0]
        shared = shared or passed == "sum"
        if passed == "step" and not shared:
            steps.append(consumers[0])
            norm = value
    return Path(norm, tuple(steps), None, None, Zeros.NOT_MEANINGFUL, shared, _why(value, home))


def _consumers(value: ir.Value) -> list[ir.Node]:
    return list(dict.fromkeys(node for node, _ in value.uses()))


def _passed(
    node: ir.Node, value: ir.Value, channels: int, rank: int, constants: Constants
) -> Literal["step", "pass", "sum"] | None:
    """What the node is on the way to an activation; None where the way ends at it."""
    if node.op_type in _PASS:
        return "pass"
    if _is_step(node, value, channels, rank, constants):
        return "step"
    return "sum" if _is_sum(node, value, channels, rank, constants) else None


def _is_known(node: ir.Node, value: ir.Value) -> bool:
    """True for an operator known here, in the same graph: what a body of an If computes cannot be brought out."""
    standard = node.domain in STANDARD or (node.domain, node.op_type) == ("com.microsoft", "Gelu")
    return standard and not _is_nested(node, value)


def _is_nested(node: ir.Node, value: ir.Value) -> bool:
    home = value.producer()
    return home is None or node.graph is not home.graph


def _why(value: ir.Value, home: str) -> str:
    consumers = _consumers(value)
    if not consumers:
        return f"is an output of {home}" if value.is_graph_output() else "is used by nothing"
    return "feeds " + ", ".join(dict.fromkeys(_label(node, value) for node in consumers))


def _label(node: ir.Node, value: ir.Value) -> str:
    name = node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}"
    return name + " in the body of an If, Loop or Scan" * _is_nested(node, value)


def _is_step(node: ir.Node, value: ir.Value, channels: int, rank: int, constants: Constants) -> bool:
    """A bias, scale or normalisation of `value` by constants that leaves its channels as they are."""
    if node.op_type in _NORMS:
        return node.inputs[0] is value
    if node.op_type not in _AFFINE or len(node.inputs) != 2:
        return False
    arrays = [constants(i) for i in node.inputs]
    operand = next((a for a in arrays if a is not None), None)
    if operand is None or operand.ndim > rank or (node.op_type == "Div" and arrays[0] is not None):
        return False
    shape = (1,) * (rank - operand.ndim) + operand.shape
    return shape[0] == 1 and shape[1] in (1, channels)


def _is_sum(node: ir.Node, value: ir.Value, channels: int, rank: int, constants: Constants) -> bool:
    """A residual sum, of values that are no constants, which has the channels of `value`."""
    others = [i for i in node.inputs if i is not value]
    if node.op_type not in ("Add", "Sum") or not others or any(constants.is_constant(i) for i in others):
        return False
    shape = node.outputs[0].shape
    if shape is None:
        return channels > 1  # then broadcasting cannot change it
    return len(shape) == rank and (shape[1] == channels or (channels > 1 and not isinstance(shape[1], int)))


def _activation(value: ir.Value, consumers: list[ir.Node], constants: Constants) -> tuple[ir.Value, str, Zeros] | None:
    if len(consumers) == 1:
        return _single(consumers[0], constants) if consumers[0].inputs[0] is value else None
    return _region(value, constants) if len(consumers) > 1 else None


def _single(node: ir.Node, constants: Constants) -> tuple[ir.Value, str, Zeros] | None:
    if node.op_type == "Clip":
        low, high = clip_bounds(node, constants)
        zeros = Zeros.EXACT if low == 0 and high > 0 else Zeros.NOT_MEANINGFUL
        return node.outputs[0], f"Clip({_number(low)},{_number(high)})", zeros
    if node.op_type in _EXACT:
        return node.outputs[0], node.op_type, Zeros.EXACT
    if node.op_type in _SMOOTH:
        return node.outputs[0], node.op_type, Zeros.NOT_MEANINGFUL
    return None


def _number(bound: float) -> str:
    """As short as it can be while it still reads as the same float32: analyses look for values at this bound."""
    short = f"{bound:g}"
    if np.isnan(bound):
        return "computed"
    return short if np.float32(short) == np.float32(bound) else str(np.float32(bound))


def clip_bounds(node: ir.Node, constants: Constants) -> tuple[float, float]:
    """Lower and upper bound of a Clip, attributes (opset < 11) or inputs; ±inf where open, NaN where computed."""

    def bound(index: int, name: str, default: float) -> float:
        if name in node.attributes:
            return float(node.attributes[name].as_float())
        value = node.inputs[index] if index < len(node.inputs) else None
        array = constants(value)
        if array is None:
            return default if value is None else np.nan
        return float(array.reshape(())[()]) if array.size == 1 else np.nan

    return bound(1, "min", -np.inf), bound(2, "max", np.inf)


def _region(value: ir.Value, constants: Constants) -> tuple[ir.Value, str, Zeros] | None:
    """The smallest set of elementwise nodes after `value` that leads to one single value again."""
    inside: list[ir.Node] = []
    values = [value]
    for node in _forward(value, constants):
        inside.append(node)
        values.append(node.outputs[0])
        open_values = [v for v in values if v.is_graph_output() or any(n not in inside for n, _ in v.uses())]
        if open_values in ([], [values[-1]]) and node.op_type == "Mul":
            name = _named(inside, constants)
            return name and _with_tail(values[-1], name, inside, constants)
    return None


def _forward(value: ir.Value, constants: Constants) -> Iterator[ir.Node]:
    """Elementwise nodes computed from `value` and constants alone, nearest first, boundedly many."""
    reached, done = {value: None}, set[ir.Node]()
    for _ in range(_MAX_REGION):
        ready = [
            n
            for v in reached
            for n, _ in v.uses()
            if n not in done
            and n.op_type in _ELEMENTWISE
            and _is_known(n, value)
            and all(i is None or i in reached or constants.is_constant(i) for i in n.inputs)
        ]
        if not ready:
            return
        # Non-products first: a product closes the region, so everything that feeds it must be inside before.
        node = min(ready, key=lambda n: n.op_type == "Mul" and sum(i in reached for i in n.inputs) > 1)
        done.add(node)
        reached[node.outputs[0]] = None
        yield node


_DECOMPOSED: Final = (  # (operators that must be there, name, meaning of zero)
    ({"Erf"}, "GELU", Zeros.NOT_MEANINGFUL),
    ({"Softplus", "Tanh"}, "Mish", Zeros.NOT_MEANINGFUL),
    ({"Exp", "Log", "Tanh"}, "Mish", Zeros.NOT_MEANINGFUL),
    ({"Add", "Tanh"}, "GELU", Zeros.NOT_MEANINGFUL),
    ({"HardSigmoid"}, "HardSwish", Zeros.EXACT),
    ({"Add", "Clip"}, "HardSwish", Zeros.EXACT),
    ({"Add", "Relu", "Min"}, "HardSwish", Zeros.EXACT),
    ({"Sigmoid"}, "SiLU", Zeros.NOT_MEANINGFUL),
)


def _named(nodes: list[ir.Node], constants: Constants) -> tuple[str, Zeros] | None:
    ops = {n.op_type for n in nodes}
    if any(n.op_type == "Clip" and clip_bounds(n, constants)[0] != 0 for n in nodes):
        return None
    return next(((name, zeros) for needed, name, zeros in _DECOMPOSED if needed <= ops), None)


def _with_tail(
    value: ir.Value, name: tuple[str, Zeros], inside: list[ir.Node], constants: Constants
) -> tuple[ir.Value, str, Zeros]:
    """Takes in the constant factor that some exporters put last: GELU's 1/2, HardSwish's 1/6."""
    factor = {"GELU": 0.5, "HardSwish": 1 / 6}.get(name[0])
    uses = list(value.uses())
    if factor is not None and len(uses) == 1 and not value.is_graph_output():
        node = uses[0][0]
        number = next((c for i in node.inputs if (c := constants(i)) is not None and c.size == 1), None)
        scale = {"Mul": number, "Div": None if number is None else 1 / number}.get(node.op_type)
        if scale is not None and np.isclose(float(scale.reshape(())), factor, rtol=1e-3) and node not in inside:
            value = node.outputs[0]
    return value, *name
