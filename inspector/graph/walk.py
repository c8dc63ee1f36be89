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
from typing import Final

import numpy as np
import onnx_ir as ir

from inspector.contract import Zeros
from inspector.graph.constants import Constants

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


def follow(output: ir.Value, constants: Constants) -> Path:
    """Walks from a convolution's raw output."""
    value, norm, shared = output, None, False
    steps: list[ir.Node] = []
    while True:
        consumers = list(dict.fromkeys(node for node, _ in value.uses()))
        found = _activation(value, consumers, constants)
        if found:
            act, name, zeros = found
            return Path(norm, tuple(steps), act, name, zeros, shared, "")
        node = consumers[0] if len(consumers) == 1 else None
        if node is None or not (node.op_type in _PASS or _is_step(node, value, constants) or _is_sum(node, value)):
            return Path(norm, tuple(steps), None, None, Zeros.NOT_MEANINGFUL, shared, _why(consumers))
        if _is_sum(node, value) and not _is_step(node, value, constants):
            shared = True
        value = node.outputs[0]
        if not shared and node.op_type not in _PASS:
            steps.append(node)
            norm = value


def _why(consumers: list[ir.Node]) -> str:
    if not consumers:
        return "is an output of the model"
    return "feeds " + ", ".join(dict.fromkeys(n.op_type for n in consumers))


def _is_step(node: ir.Node, value: ir.Value, constants: Constants) -> bool:
    """A bias, scale or normalisation of `value` by constants."""
    if node.op_type in _NORMS:
        return node.inputs[0] is value
    others = [constants.is_constant(i) for i in node.inputs]
    return node.op_type in _AFFINE and sum(others) == 1 and not (node.op_type == "Div" and others[0])


def _is_sum(node: ir.Node, value: ir.Value) -> bool:
    return node.op_type in ("Add", "Sum") and any(i is not value for i in node.inputs)


def _activation(value: ir.Value, consumers: list[ir.Node], constants: Constants) -> tuple[ir.Value, str, Zeros] | None:
    if len(consumers) == 1:
        return _single(consumers[0], constants) if consumers[0].inputs[0] is value else None
    return _region(value, constants) if len(consumers) > 1 else None


def _single(node: ir.Node, constants: Constants) -> tuple[ir.Value, str, Zeros] | None:
    if node.op_type == "Clip":
        low, high = clip_bounds(node, constants)
        zeros = Zeros.EXACT if low == 0 else Zeros.NOT_MEANINGFUL
        return node.outputs[0], f"Clip({low:g},{high:g})", zeros
    if node.op_type in _EXACT:
        return node.outputs[0], node.op_type, Zeros.EXACT
    if node.op_type in _SMOOTH:
        return node.outputs[0], node.op_type, Zeros.NOT_MEANINGFUL
    return None


def clip_bounds(node: ir.Node, constants: Constants) -> tuple[float, float]:
    """Lower and upper bound of a Clip, attributes (opset < 11) or inputs; ±inf where open or computed."""

    def bound(index: int, name: str, default: float) -> float:
        if name in node.attributes:
            return float(node.attributes[name].as_float())
        array = constants(node.inputs[index]) if index < len(node.inputs) else None
        return default if array is None or array.size != 1 else float(array.reshape(())[()])

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
            name = _named(inside)
            return name and _with_tail(values[-1], name, inside, constants)
    return None


def _forward(value: ir.Value, constants: Constants) -> Iterator[ir.Node]:
    """Elementwise nodes computed from `value` and constants alone, in graph order, boundedly many."""
    reached, done = {value}, set[ir.Node]()
    for _ in range(_MAX_REGION):
        ready = [
            n
            for v in reached
            for n, _ in v.uses()
            if n not in done
            and n.op_type in _ELEMENTWISE
            and all(i is None or i in reached or constants.is_constant(i) for i in n.inputs)
        ]
        if not ready:
            return
        # Non-products first: a product closes the region, so everything that feeds it must be inside before.
        node = min(ready, key=lambda n: n.op_type == "Mul" and sum(i in reached for i in n.inputs) > 1)
        done.add(node)
        reached.add(node.outputs[0])
        yield node


_DECOMPOSED: Final = (  # (operators that must be there, name, meaning of zero)
    ({"Erf"}, "GELU", Zeros.NOT_MEANINGFUL),
    ({"Softplus", "Tanh"}, "Mish", Zeros.NOT_MEANINGFUL),
    ({"Tanh"}, "GELU", Zeros.NOT_MEANINGFUL),
    ({"HardSigmoid"}, "HardSwish", Zeros.EXACT),
    ({"Add", "Clip"}, "HardSwish", Zeros.EXACT),
    ({"Add", "Relu"}, "HardSwish", Zeros.EXACT),
    ({"Sigmoid"}, "SiLU", Zeros.NOT_MEANINGFUL),
)


def _named(nodes: list[ir.Node]) -> tuple[str, Zeros] | None:
    ops = {n.op_type for n in nodes}
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
