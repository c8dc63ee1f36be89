"""Operators that are activations, each with the question that matters: is a zero after it exact?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from inspector.contract import Zeros
from inspector.graph.constants import STANDARD, Constants
from inspector.graph.layout import Layout

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
        "Swish",
    }
)
_CONTRIBUTED: Final = frozenset({"Gelu", "FastGelu", "QuickGelu", "BiasGelu"})
"""Of com.microsoft; none gives exact zeros. FastGelu and BiasGelu may add a bias first, which has no value then."""
_PLAIN: Final = (_EXACT | _SMOOTH | _CONTRIBUTED) - {"Gelu", "QuickGelu"}
"""Those whose name says all."""
_LARGEST: Final = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation that was found.

    Attributes:
        value: what it gives.
        name: the operator, `Clip(0,6)`, or the name of what several operators compute together.
        zeros: what a zero means after it.
        layout: how the maps lie in it; None: as in the value that it reads.
    """

    value: ir.Value
    name: str
    zeros: Zeros
    layout: Layout | None = None


def is_known(node: ir.Node) -> bool:
    """True for operators that are known here; another domain may use a name for something else."""
    return node.domain in STANDARD or (node.domain == "com.microsoft" and node.op_type in _CONTRIBUTED)


def activation(node: ir.Node, constants: Constants) -> Activation | None:
    """The activation that one node is."""
    name = node.op_type
    if name in _PLAIN:
        return Activation(node.outputs[0], name, meaning(exact=name in _EXACT))
    if name == "Clip":
        return Activation(node.outputs[0], *clip(*clip_bounds(node, constants)))
    if name == "Shrink":
        return Activation(node.outputs[0], "Shrink", meaning(exact=_float(node, "lambd", 0.5) > 0))
    if name == "QuickGelu":  # x * sigmoid(alpha * x)
        return Activation(node.outputs[0], "SiLU" if _float(node, "alpha", 1.702) == 1 else name, Zeros.NOT_MEANINGFUL)
    if name == "Gelu":
        tanh = "approximate" in node.attributes and node.attributes["approximate"].value == "tanh"
        return Activation(node.outputs[0], "Gelu(tanh)" if tanh else "Gelu", Zeros.NOT_MEANINGFUL)
    return None


def meaning(*, exact: bool) -> Zeros:
    """What a zero means where the activation is 0 on a whole interval, or is not."""
    return Zeros.EXACT if exact else Zeros.NOT_MEANINGFUL


def clip(low: float, high: float) -> tuple[str, Zeros]:
    """Name of a Clip, and what a zero after it means.

    Where `low` is above `high` everything becomes `high`: opset 13 says so, and onnxruntime does it from
    opset 11 on; what is older it refuses.
    """
    low = min(low, high)  # NaN, where it is computed, stays
    return clip_name(low, high), meaning(exact=low == 0 < high or low < 0 == high)


def clip_name(low: float, high: float) -> str:
    """`Clip(0,6)`; a bound that is computed at run time is NaN."""
    return f"Clip({bound_text(low)},{bound_text(high)})"


def bound_text(bound: float) -> str:
    """As short as it can be while it still reads as the same float32: analyses look for values at this bound."""
    short = f"{bound + 0.0:g}"  # never -0
    if np.isnan(bound):
        return "computed"
    return short if np.float32(short) == np.float32(bound) else str(np.float32(bound))


def clip_bounds(node: ir.Node, constants: Constants) -> tuple[float, float]:
    """Lower and upper bound of a Clip, attributes (opset < 11) or inputs; ±inf where open, NaN where computed.

    Attributes are float32; what is clipped holds them as its own element type does. The largest float32 is how
    onnxruntime writes an open bound.
    """

    def bound(index: int, name: str, default: float) -> float:
        if name in node.attributes:
            return in_type(_float(node, name, default), node.outputs[0].dtype)
        value = node.inputs[index] if index < len(node.inputs) else None
        array = constants(value)
        if array is None:
            return default if value is None else np.nan
        return float(array.reshape(())[()]) if array.size == 1 else np.nan

    low, high = bound(1, "min", -np.inf), bound(2, "max", np.inf)
    return -np.inf if low <= -_LARGEST else low, np.inf if high >= _LARGEST else high


def in_type(number: float, kind: ir.DataType | None) -> float:
    """The number as an element type holds it."""
    if kind is None or kind not in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16):
        return number
    with np.errstate(over="ignore"):
        return float(np.array(number).astype(kind.numpy()))


def _float(node: ir.Node, name: str, default: float) -> float:
    return float(node.attributes[name].as_float()) if name in node.attributes else default
