"""Activations as exporters write them: as one operator, or as the arithmetic that defines it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from models import NEWEST, SAME, B, W, model, numbers

from inspector import Array, Zeros

NONE = Zeros.NOT_MEANINGFUL
EXACT = Zeros.EXACT


@dataclass(frozen=True, slots=True)
class Written:
    """One way to write an activation of `a` into `y`: its nodes, the name it must get, what its zeros mean."""

    name: str
    nodes: str
    activation: str
    zeros: Zeros = NONE
    opset: int = 17

    @property
    def data(self) -> bytes:
        weights = {k: v for k, v in {"w": W, "b": B, **CONSTANTS}.items() if any(_uses(self.nodes, k))}
        return model(
            f"[c] a = Conv {SAME} (x, w, b) {self.nodes}",
            weights={"w": W, "b": B} | weights,
            opset=self.opset,
            ir=4 if self.opset < 10 else 8,
        )


def _uses(nodes: str, name: str) -> list[bool]:
    text = nodes.replace(" ", "")
    return [f"{before}{name}{after}" in text for before in "(," for after in ",)"]


def _scalar(value: float) -> Array:
    return np.array(value, np.float32)


CONSTANTS = {
    "half": _scalar(0.5), "one": _scalar(1), "two": _scalar(2), "root": _scalar(2**0.5), "over": _scalar(2**-0.5),
    "three": _scalar(3), "six": _scalar(6), "sixth": _scalar(1 / 6), "zero": _scalar(0), "cubic": _scalar(0.044715),
    "pi": _scalar((2 / np.pi) ** 0.5), "beta": _scalar(1.702), "slope": numbers(4, 1, 1), "minus": _scalar(-1),
}  # fmt: skip

OPERATORS = [
    Written("relu", "y = Relu(a)", "Relu", EXACT),
    Written("relu6_attributes_6", "y = Clip <min=0.0, max=6.0> (a)", "Clip(0,6)", EXACT, 7),
    Written("relu6_attributes_10", "y = Clip <max=6.0, min=0.0> (a)", "Clip(0,6)", EXACT, 10),
    Written("relu6_inputs_11", "y = Clip(a, zero, six)", "Clip(0,6)", EXACT, 11),
    Written("relu6_inputs_newest", "y = Clip(a, zero, six)", "Clip(0,6)", EXACT, NEWEST),
    Written("clip_at_a_third", "y = Clip <min=0.0, max=0.33333334> (a)", "Clip(0,0.33333334)", EXACT, 7),
    Written("clip_at_a_tenth", "y = Clip <min=0.0, max=0.1> (a)", "Clip(0,0.1)", EXACT, 7),
    Written("clip_below", "y = Clip(a, zero)", "Clip(0,inf)", EXACT),
    Written("clip_above", "y = Clip(a, , six)", "Clip(-inf,6)"),
    Written("clip_around", "y = Clip(a, minus, one)", "Clip(-1,1)"),
    Written("clip_above_zero", "y = Clip(a, half, one)", "Clip(0.5,1)"),
    Written("clip_computed", "m = ReduceMax <keepdims=0> (x) y = Clip(a, zero, m)", "Clip(0,computed)"),
    Written("thresholded_relu", "y = ThresholdedRelu <alpha=0.1> (a)", "ThresholdedRelu", EXACT),
    Written("hard_sigmoid", "y = HardSigmoid(a)", "HardSigmoid", EXACT),
    Written("hard_swish", "y = HardSwish(a)", "HardSwish", EXACT),
    Written("leaky_relu", "y = LeakyRelu(a)", "LeakyRelu"),
    Written("prelu", "y = PRelu(a, slope)", "PRelu"),
    Written("elu", "y = Elu(a)", "Elu"),
    Written("selu", "y = Selu(a)", "Selu"),
    Written("celu", "y = Celu(a)", "Celu"),
    Written("sigmoid", "y = Sigmoid(a)", "Sigmoid"),
    Written("tanh", "y = Tanh(a)", "Tanh"),
    Written("softplus", "y = Softplus(a)", "Softplus"),
    Written("softsign", "y = Softsign(a)", "Softsign"),
    Written("mish", "y = Mish(a)", "Mish", opset=18),
    Written("gelu", "y = Gelu(a)", "Gelu", opset=20),
    Written("gelu_tanh", 'y = Gelu <approximate="tanh"> (a)', "Gelu", opset=20),
    Written("swish", "y = Swish(a)", "Swish", opset=24),
]

_TANH = "t = Tanh(s) p = Add(t, one)"

DECOMPOSED = [
    Written("silu", "s = Sigmoid(a) y = Mul(a, s)", "SiLU"),
    Written("silu_swapped", "s = Sigmoid(a) y = Mul(s, a)", "SiLU"),
    Written("silu_scaled", "k = Mul(a, beta) s = Sigmoid(k) y = Mul(a, s)", "SiLU"),
    Written("hard_swish_of_hard_sigmoid", "s = HardSigmoid(a) y = Mul(a, s)", "HardSwish", EXACT),
    Written("hard_swish_clip_div_last", "t = Add(a, three) r = Clip(t, zero, six) m = Mul(a, r) y = Div(m, six)",
            "HardSwish", EXACT),
    Written("hard_swish_clip_mul_last", "t = Add(a, three) r = Clip(t, zero, six) m = Mul(a, r) y = Mul(m, sixth)",
            "HardSwish", EXACT),
    Written("hard_swish_clip_div_first", "t = Add(three, a) r = Clip(t, zero, six) d = Div(r, six) y = Mul(a, d)",
            "HardSwish", EXACT),
    Written("hard_swish_min_relu", "t = Add(a, three) r = Relu(t) i = Min(r, six) d = Mul(i, sixth) y = Mul(d, a)",
            "HardSwish", EXACT),
    Written("gelu_erf_torch", "d = Div(a, root) e = Erf(d) p = Add(e, one) m = Mul(a, p) y = Mul(m, half)", "GELU"),
    Written("gelu_erf_half_first", "h = Mul(a, half) d = Mul(a, over) e = Erf(d) p = Add(e, one) y = Mul(h, p)",
            "GELU"),
    Written("gelu_erf_tf", "d = Mul(a, over) e = Erf(d) p = Add(one, e) h = Mul(half, p) y = Mul(a, h)", "GELU"),
    Written("gelu_erf_half_last", "d = Mul(a, over) e = Erf(d) p = Add(e, one) m = Mul(p, a) y = Div(m, two)",
            "GELU"),
    Written("gelu_tanh_pow", "q = Pow(a, three) c = Mul(q, cubic) u = Add(a, c) s = Mul(u, pi) " + _TANH
            + " m = Mul(a, p) y = Mul(m, half)", "GELU"),
    Written("gelu_tanh_mul", "q = Mul(a, a) c = Mul(q, a) v = Mul(cubic, c) u = Add(a, v) s = Mul(pi, u) " + _TANH
            + " h = Mul(half, a) y = Mul(h, p)", "GELU"),
    Written("gelu_tanh_torch", "h = Mul(half, a) q = Mul(a, a) c = Mul(a, q) v = Mul(cubic, c) u = Add(a, v) "
            "s = Mul(pi, u) " + _TANH + " y = Mul(h, p)", "GELU"),
    Written("gelu_tanh_tf", "q = Pow(a, three) c = Mul(cubic, q) u = Add(c, a) s = Mul(pi, u) " + _TANH
            + " h = Mul(half, p) y = Mul(a, h)", "GELU"),
    Written("gelu_tanh_factored", "q = Mul(a, a) v = Mul(q, cubic) u = Add(v, one) w2 = Mul(u, a) s = Mul(w2, pi) "
            + _TANH + " h = Mul(a, half) y = Mul(h, p)", "GELU"),
    Written("mish_parts", "s = Softplus(a) t = Tanh(s) y = Mul(a, t)", "Mish"),
    Written("mish_smaller_parts", "e = Exp(a) p = Add(e, one) l = Log(p) t = Tanh(l) y = Mul(a, t)", "Mish"),
]  # fmt: skip
