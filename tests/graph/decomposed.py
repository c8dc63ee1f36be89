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
    "tenth": _scalar(0.1), "down": _scalar(-0.1), "twenty": _scalar(20), "low": _scalar(-0.5),
    "gain": _scalar(1.0507009873554805),
    "alpha": _scalar(1.6732632423543772), "tiny": _scalar(1e-8), "k5": numbers(5),
    "zeros": np.zeros((1, 4, 1, 1), np.float32),
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
    Written("gelu_tanh", 'y = Gelu <approximate="tanh"> (a)', "Gelu(tanh)", opset=20),
    Written("swish", "y = Swish(a)", "Swish", opset=24),
    Written("shrink", "y = Shrink <lambd=0.1> (a)", "Shrink", EXACT),
    Written("shrink_nothing", "y = Shrink <lambd=0.0> (a)", "Shrink"),
    Written("clip_from_above", "y = Clip(a, minus, zero)", "Clip(-1,0)", EXACT),
]

_TANH = "t = Tanh(s) p = Add(t, one)"

DECOMPOSED = [
    Written("silu", "s = Sigmoid(a) y = Mul(a, s)", "SiLU"),
    Written("silu_swapped", "s = Sigmoid(a) y = Mul(s, a)", "SiLU"),
    Written("silu_scaled", "k = Mul(a, beta) s = Sigmoid(k) y = Mul(a, s)", "QuickGELU"),
    Written("hard_swish_of_hard_sigmoid", "s = HardSigmoid <alpha=0.16666667, beta=0.5> (a) y = Mul(a, s)",
            "HardSwish", EXACT),
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
            + " m = Mul(a, p) y = Mul(m, half)", "GELU(tanh)"),
    Written("gelu_tanh_mul", "q = Mul(a, a) c = Mul(q, a) v = Mul(cubic, c) u = Add(a, v) s = Mul(pi, u) " + _TANH
            + " h = Mul(half, a) y = Mul(h, p)", "GELU(tanh)"),
    Written("gelu_tanh_torch", "h = Mul(half, a) q = Mul(a, a) c = Mul(a, q) v = Mul(cubic, c) u = Add(a, v) "
            "s = Mul(pi, u) " + _TANH + " y = Mul(h, p)", "GELU(tanh)"),
    Written("gelu_tanh_tf", "q = Pow(a, three) c = Mul(cubic, q) u = Add(c, a) s = Mul(pi, u) " + _TANH
            + " h = Mul(half, p) y = Mul(a, h)", "GELU(tanh)"),
    Written("gelu_tanh_factored", "q = Mul(a, a) v = Mul(q, cubic) u = Add(v, one) w2 = Mul(u, a) s = Mul(w2, pi) "
            + _TANH + " h = Mul(a, half) y = Mul(h, p)", "GELU(tanh)"),
    Written("mish_parts", "s = Softplus(a) t = Tanh(s) y = Mul(a, t)", "Mish"),
    Written("mish_smaller_parts", "e = Exp(a) p = Add(e, one) l = Log(p) t = Tanh(l) y = Mul(a, t)", "Mish"),
]  # fmt: skip

_CUT = "g = Greater(a, zero) "
_SPREAD = "d = Shape(a) z = Expand(zero, d) "
_GUARDED = "s = Softplus(a) g = Greater(a, twenty) w2 = Where(g, a, s)"
_SHIFTED = "t = Add(a, three) "
_SCALED = "p = Mul(a, sixth) "

PIECES = [
    Written("relu_max", "y = Max(a, zero)", "Relu", EXACT),
    Written("relu_max_of_zeros", "y = Max(zeros, a)", "Relu", EXACT),
    Written("relu_where", _CUT + "y = Where(g, a, zero)", "Relu", EXACT),
    Written("relu_where_not", "l = LessOrEqual(a, zero) y = Where(l, zero, a)", "Relu", EXACT),
    Written("relu_mask", _CUT + "m = Cast <to=1> (g) y = Mul(a, m)", "Relu", EXACT),
    Written("relu_absolute", "b2 = Abs(a) s = Add(a, b2) y = Mul(s, half)", "Relu", EXACT),
    Written("relu6_min_of_relu", "r = Relu(a) y = Min(r, six)", "Clip(0,6)", EXACT),
    Written("relu6_min_of_max", "r = Max(a, zero) y = Min(six, r)", "Clip(0,6)", EXACT),
    Written("relu6_max_of_min", "r = Min(a, six) y = Max(r, zero)", "Clip(0,6)", EXACT),
    Written("leaky_max", "s = Mul(a, tenth) y = Max(a, s)", "LeakyRelu"),
    Written("leaky_where", _CUT + "s = Mul(a, tenth) y = Where(g, a, s)", "LeakyRelu"),
    Written("leaky_relu_parts", "p = Relu(a) n = Neg(a) q = Relu(n) s = Mul(q, down) y = Add(p, s)", "LeakyRelu"),
    Written("leaky_that_leaks_little", "s = Mul(a, tiny) y = Max(a, s)", "LeakyRelu"),
    Written("softplus_parts", "e = Exp(a) p = Add(e, one) y = Log(p)", "Softplus"),
    Written("softplus_guarded", _GUARDED.replace("w2", "y"), "Softplus"),
    Written("softplus_stable", "m = Max(a, zero) d = Abs(a) n = Neg(d) e = Exp(n) p = Add(e, one) l = Log(p) "
            "y = Add(m, l)", "Softplus"),
    Written("log_sigmoid", "n = Neg(a) s = Softplus(n) y = Neg(s)", "LogSigmoid"),
    Written("log_of_sigmoid", "s = Sigmoid(a) y = Log(s)", "LogSigmoid"),
    Written("relu6_then_a_sixth", "y = Clip(a, zero, six) z = Div(y, six)", "Clip(0,6)", EXACT),
    Written("mish_guarded", _GUARDED + " t = Tanh(w2) y = Mul(a, t)", "Mish"),
    Written("sigmoid_parts", "n = Neg(a) e = Exp(n) p = Add(one, e) y = Reciprocal(p)", "Sigmoid"),
    Written("silu_parts", "n = Neg(a) e = Exp(n) p = Add(one, e) y = Div(a, p)", "SiLU"),
    Written("silu_twice_too_steep", "k = Mul(a, two) s = Sigmoid(k) y = Mul(a, s)", "Swish"),
    Written("silu_by_tanh", "h = Mul(a, half) t = Tanh(h) p = Add(t, one) y = Mul(h, p)", "SiLU"),
    Written("softsign_parts", "d = Abs(a) p = Add(d, one) y = Div(a, p)", "Softsign"),
    Written("hard_sigmoid_parts", _SHIFTED + "r = Clip(t, zero, six) y = Div(r, six)", "HardSigmoid", EXACT),
    Written("hard_sigmoid_min_relu", _SHIFTED + "r = Relu(t) i = Min(r, six) y = Mul(i, sixth)", "HardSigmoid", EXACT),
    Written("hard_swish_mul_first", _SCALED + _SHIFTED + "r = Clip(t, zero, six) y = Mul(r, p)", "HardSwish", EXACT),
    Written("hard_swish_unit_clip", _SCALED + "q = Add(p, half) r = Clip(q, zero, one) y = Mul(a, r)",
            "HardSwish", EXACT),
    Written("hard_swish_min_max", _SHIFTED + "r = Min(t, six) i = Max(r, zero) d = Div(i, six) y = Mul(d, a)",
            "HardSwish", EXACT),
    Written("gate_of_hard_sigmoid", "s = HardSigmoid(a) y = Mul(a, s)", "x*HardSigmoid", EXACT),
    Written("elu_where", _CUT + "e = Exp(a) n = Sub(e, one) y = Where(g, a, n)", "Elu"),
    Written("selu_where", _CUT + "e = Exp(a) n = Sub(e, one) m = Mul(n, alpha) u = Where(g, a, m) y = Mul(gain, u)",
            "Selu"),
    Written("celu_parts", "p = Max(a, zero) n = Min(a, zero) d = Div(n, half) e = Exp(d) o = Sub(e, one) "
            "m = Mul(o, half) y = Add(p, m)", "Celu"),
    Written("relu_where_spread", _CUT + _SPREAD + "y = Where(g, a, z)", "Relu", EXACT),
    Written("elu_where_guarded", _CUT + _SPREAD + "v = Where(g, z, a) e = Exp(v) n = Sub(e, one) y = Where(g, a, n)",
            "Elu"),
    Written("hard_tanh_where", "l = Less(a, minus) h = Greater(a, one) d = Shape(a) n = Expand(minus, d) "
            "v = Where(l, n, a) e = Shape(v) o = Expand(one, e) y = Where(h, o, v)", "Clip(-1,1)"),
    Written("thresholded_where", "g = Greater(a, half) y = Where(g, a, zero)", "ThresholdedRelu", EXACT),
    Written("soft_shrink", "u = Sub(a, half) p = Relu(u) v = Add(a, half) n = Min(v, zero) y = Add(p, n)", "Shrink",
            EXACT),
    Written("hard_shrink_torchscript", "g = Greater(a, half) l = Less(a, low) p = Cast <to=9> (g) q = Cast <to=9> (l) "
            "o = Or(p, q) y = Where(o, a, zero)", "Shrink", EXACT),
    Written("hard_shrink", "d = Abs(a) g = Greater(d, half) y = Where(g, a, zero)", "Shrink", EXACT),
    Written("relu_then_squared", "y = Relu(a) z = Mul(y, y)", "Relu", EXACT),
    Written("relu_whose_shape_is_read", "y = Relu(a) z = Shape(a) u = Size(a)", "Relu", EXACT),
    Written("relu_of_an_identity", "i = Identity(a) y = Max(i, zero)", "Relu", EXACT),
]  # fmt: skip
"""Forms made of comparisons, bounds and exponentials, as exporters and people write them."""

CONTRIBUTED = [
    Written("microsoft_gelu", "y = com.microsoft.Gelu(a)", "Gelu"),
    Written("microsoft_fast_gelu", "y = com.microsoft.FastGelu(a)", "FastGelu"),
    Written("microsoft_quick_gelu", "y = com.microsoft.QuickGelu <alpha=1.702> (a)", "QuickGelu"),
    Written("microsoft_silu", "y = com.microsoft.QuickGelu <alpha=1.0> (a)", "SiLU"),
    Written("microsoft_bias_gelu", "y = com.microsoft.BiasGelu(a, k5)", "BiasGelu"),
]
"""What the graph optimiser of onnxruntime leaves in the files that it writes."""
