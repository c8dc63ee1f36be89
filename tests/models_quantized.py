"""Tiny networks, one per operator and hazard of quantised, deformable and fused convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from models import SAME, B, W, model, numbers

from inspector import Array, Zeros

X_SCALE, X_ZERO = np.float32(0.04), np.uint8(120)
Y_SCALE = np.float32(0.03)
W8 = np.random.default_rng(5).integers(-100, 100, (4, 3, 3, 3)).astype(np.int8)
U8 = np.random.default_rng(6).integers(0, 255, (4, 3, 3, 3)).astype(np.uint8)
W_SCALES = np.float32([0.001, 0.002, 0.0015, 0.0005])
B32 = np.int32([400, -2000, 100, 0])
NUMBERS: Mapping[str, Array] = {
    "w": W, "b": B, "w8": W8, "u8": U8, "sw": W_SCALES, "s1": np.array(W_SCALES[0]), "b32": B32,
    "sx": np.array(X_SCALE), "zx": np.array(X_ZERO), "sy": np.array(Y_SCALE),
    "z0": np.array(0, np.uint8), "z90": np.array(90, np.uint8), "zi": np.array(-128, np.int8),
    "zw": np.zeros(4, np.int8), "zu": np.array(7, np.uint8), "zero8": np.array(0, np.int8),
    "k": numbers(4, 1, 1), "b2": numbers(2),
    "four": np.array([4, 2]), "sy2": np.array(Y_SCALE), "z02": np.array(0, np.uint8), "s9": np.array(np.float32(0.09)),
}  # fmt: skip
REAL = W8.astype(np.float64) * W_SCALES.astype(np.float64).reshape(-1, 1, 1, 1)
"""What the integers W8 stand for."""
REAL_BIAS = B32 * (float(X_SCALE) * W_SCALES.astype(np.float64))
Q = "q = QuantizeLinear(x, sx, zx)"
FOUR = "g = Concat <axis=1> (x, x) z, i = Split <axis=1> (g, four)"
"""A value z with four channels, which is no constant."""
LAST = "xl = Transpose <perm=[0,2,3,1]> (x)"
HIGH = f"Saturation(0,{255 * float(Y_SCALE):g})"
OUTPUT = "is an output of the model"


@dataclass(frozen=True, slots=True, eq=False)
class Net:
    """A network of one layer c, and what a reader of its text would expect of it.

    Attributes:
        body: its nodes; initializers are those of `NUMBERS` that it names.
        taps: tensor by kind.
        activation: None where `linear` says why there is none.
        weight, bias: what the numbers of the file stand for; None: they have no value of their own.
        twin: nodes of standard operators that give the same values by the same names, where the reference
            implementation does not know the operator.
        runs: False where onnxruntime has no kernel for CPUs.
    """

    name: str
    body: str
    taps: Mapping[str, str]
    op: str = "Conv"
    activation: str | None = None
    zeros: Zeros = Zeros.NOT_MEANINGFUL
    linear: str = ""
    weight: Array | None = field(default_factory=lambda: REAL)
    bias: Array = field(default_factory=lambda: np.zeros(4))
    twin: str = ""
    runs: bool = True
    shared: bool = False
    opset: int = 22

    @property
    def data(self) -> bytes:
        """The file."""
        return net(self.body, self.opset)

    @property
    def standard(self) -> bytes:
        """The file that the reference implementation runs."""
        return net(self.twin or self.body)


def net(body: str, opset: int = 22) -> bytes:
    """A model of these nodes, from x (N, 3, 6, 5) to y."""
    words = body.replace(" ", "").replace("(", ",").replace(")", ",")
    used = {name: numbers for name, numbers in NUMBERS.items() if f",{name}," in words}
    return model(body, opset=opset, ir=9, outputs="float y", weights=used)


def dequantized(value: str, zero: str, scale: str = "sy") -> str:
    """The real numbers of a quantised value, as a term of a node."""
    return f"DequantizeLinear({value}, {scale}, {zero})"


def qlinear(zero: str, *, weights: str = "w8, sw, zw", bias: str = ", b32") -> str:
    """A quantised convolution of q into a."""
    return f"{Q} [c] a = QLinearConv {SAME} (q, sx, zx, {weights}, sy, {zero}{bias})"


def channels_last(zero: str) -> str:
    """The same with channels last, into y."""
    return (
        f"{LAST} ql = QuantizeLinear(xl, sx, zx) [c] a = com.microsoft.QLinearConv <pads=[1,1,1,1], channels_last=1> "
        f"(ql, sx, zx, w8, sw, zw, sy, {zero}, b32) y = {dequantized('a', zero)}"
    )


def quantized() -> list[Net]:
    """Integers in, integers out."""
    real = {"op": "QLinearConv", "weight": REAL, "bias": REAL_BIAS}
    exact = real | {"activation": HIGH, "zeros": Zeros.EXACT}
    low, mid, out = qlinear("z0"), qlinear("z90"), {"linear": OUTPUT}
    y0, y90 = f"y = {dequantized('a', 'z0')}", f"y = {dequantized('a', 'z90')}"
    d0, d90 = y0.replace("y", "d", 1), y90.replace("y", "d", 1)
    leaky = "com.microsoft.QLinearLeakyRelu <alpha=0.1> (a, sy, z90, sy, z90)"
    per_tensor = {"weight": (U8.astype(np.float64) - 7) * float(W_SCALES[0]), "bias": np.zeros(4)}
    signed = f"[c] a = QLinearConv {SAME} (q, sx, zero8, w8, sw, zw, sy, zi, b32)"
    add = "s = com.microsoft.QLinearAdd(a, sy, z90, j, sx, zx, sy, z0) y = DequantizeLinear(s, sy, z0)"
    added = f"{d90} t = {dequantized('j', 'zx', 'sx')} v = Add(t, d) s = QuantizeLinear(v, sy, z0) y = "
    residual = f"{mid} {FOUR} j = QuantizeLinear(z, sx, zx)"
    return [
        Net("rectifying", f"{low} {y0}", {"act": "y"}, **exact),
        Net("scales_written_twice", f"{low} y = {dequantized('a', 'z02', 'sy2')}", {"act": "y"}, **exact),
        Net("another_scale", f"{low} y = {dequantized('a', 'z0', 's9')}", {"act": "a"}, **exact),
        Net("centred", f"{mid} {y90}", {"conv": "a"}, **real, **out),
        Net("relu_after", f"{mid} {d90} y = Relu(d)", {"conv": "a", "act": "y"}, activation="Relu", zeros=Zeros.EXACT,
            **real),
        Net("bias_after", f"{mid} {d90} n = Add(d, k) y = Relu(n)", {"conv": "a", "norm": "n", "act": "y"},
            activation="Relu", zeros=Zeros.EXACT, **real),
        Net("leaky_after_saturation", f"{low} {d0} y = LeakyRelu(d)", {"act": "y"}, activation="LeakyRelu", **real),
        Net("two_readers", f"{low} {d0} e = MaxPool <kernel_shape=[1,1]> (a) f = {dequantized('e', 'z0')} "
            "y = Add(d, f)", {"act": "a"}, **exact),
        Net("per_tensor", f"{qlinear('z0', weights='u8, s1, zu', bias='')} {y0}", {"act": "y"}, **exact | per_tensor),
        Net("signed", f"q = QuantizeLinear(x, sx, zero8) {signed} y = {dequantized('a', 'zi')}", {"act": "y"}, opset=10,
            **exact),
        Net("relu_of_integers", f"{mid} r = Relu(a) y = Cast <to=1> (r)", {"conv": "a"}, linear="feeds Relu",
            runs=False, **real),
        Net("channels_last", channels_last("z0"), {"act": "y"}, twin=f"{low} {y0}", **exact),
        Net("channels_last_relu", f"{channels_last('z90').replace(' y = ', ' d = ')} y = Relu(d)",
            {"conv": "a", "act": "y"}, activation="Relu", zeros=Zeros.EXACT, twin=f"{mid} {d90} y = Relu(d)", **real),
        Net("channels_last_centred", channels_last("z90"), {"conv": "a"}, twin=f"{mid} {y90}", **out, **real),
        Net("residual", f"{residual} {add}", {"conv": "a", "act": "y"}, shared=True,
            twin=f"{residual} {added}{dequantized('s', 'z0')}", **exact),
        Net("quantized_leaky", f"{mid} r = {leaky} y = {dequantized('r', 'z90')}", {"conv": "a", "act": "r"},
            activation="LeakyRelu", twin=f"{mid} {d90} l = LeakyRelu <alpha=0.1> (d) r = QuantizeLinear(l, sy, z90) "
            f"y = {dequantized('r', 'z90')}", **real),
    ]  # fmt: skip


def fake() -> list[Net]:
    """Real convolutions between QuantizeLinear and DequantizeLinear, and weights that are integers in the file."""
    conv, bare = f"[c] a = Conv {SAME} (x, w, b)", f"[c] a = Conv {SAME} (x, w)"
    known = {"op": "Conv", "weight": W, "bias": B}
    exact = known | {"activation": HIGH, "zeros": Zeros.EXACT}
    relu, none = known | {"activation": "Relu", "zeros": Zeros.EXACT}, {"bias": np.zeros(4)}

    def there_and_back(value: str, zero: str, result: str) -> str:
        return f"r = QuantizeLinear({value}, sy, {zero}) {result} = {dequantized('r', zero)}"

    def twice(zero: str, other: str, scale: str) -> str:
        second = f"f = QuantizeLinear(a, {scale}, {other}) g = {dequantized('f', other, scale)}"
        return f"{there_and_back('a', zero, 'd')} {second} p = MaxPool <kernel_shape=[1,1]> (g) y = Add(d, p)"

    forked = known | {"linear": "feeds QuantizeLinear"}
    return [
        Net("qdq_rectifying", f"{conv} {there_and_back('a', 'z0', 'y')}", {"conv": "a", "act": "y"}, **exact),
        Net("qdq_centred", f"{conv} {there_and_back('a', 'z90', 'y')}", {"conv": "a"}, linear=OUTPUT, **known),
        Net("qdq_then_relu", f"{conv} {there_and_back('a', 'z90', 'd')} y = Relu(d)",
            {"conv": "a", "act": "y"}, **relu),
        Net("relu_then_qdq", f"{conv} e = Relu(a) {there_and_back('e', 'z0', 'y')}", {"conv": "a", "act": "e"}, **relu),
        Net("bias_then_qdq", f"{bare} n = Add(a, k) {there_and_back('n', 'z0', 'y')}",
            {"conv": "a", "norm": "n", "act": "y"}, **exact | none),
        Net("qdq_then_bias", f"{bare} {there_and_back('a', 'z90', 'd')} n = Add(d, k) y = Relu(n)",
            {"conv": "a", "norm": "n", "act": "y"}, **relu | none),
        Net("saturation_before_a_sum", f"{conv} {FOUR} {there_and_back('a', 'z0', 'd')} s = Add(d, z) y = Relu(s)",
            {"conv": "a", "act": "d"}, **exact),
        Net("quantised_for_each_reader", f"{conv} {twice('z0', 'z02', 'sy2')}", {"conv": "a", "act": "d"}, **exact),
        Net("differently_for_each", f"{conv} {twice('z0', 'z0', 's9')}", {"conv": "a"}, **forked),
        Net("of_another_zero_for_each", f"{conv} {twice('z0', 'z90', 'sy')}", {"conv": "a"}, **forked),
        Net("centred_for_each", f"{conv} {twice('z90', 'z90', 'sy')}", {"conv": "a"}, **forked),
        Net("weights_of_integers", f"v = DequantizeLinear <axis=0> (w8, sw, zw) [c] a = Conv {SAME} (x, v) y = Relu(a)",
            {"conv": "a", "act": "y"}, **relu | none | {"weight": REAL}),
    ]  # fmt: skip


def integer() -> list[Net]:
    """ConvInteger, whose sums get their scale later."""
    known = {"op": "ConvInteger", "weight": U8.astype(np.float64) - 7}
    relu = known | {"activation": "Relu", "zeros": Zeros.EXACT}
    made = f"{Q} [c] a = ConvInteger {SAME} (q, u8, zx, zu)"
    dynamic = f"q, qs, qz = DynamicQuantizeLinear(x) [c] a = ConvInteger {SAME} (q, u8, qz, zu) t = Mul(qs, s1)"
    rounded = "v = Div(k, t) f = Floor(v) i = Cast <to=6> (f) o = Constant <value_ints=[1,-1,1,1]> () r = Reshape(i, o)"
    taps, tail = {"conv": "a", "norm": "n", "act": "y"}, "n = Add(m, k) y = Relu(n)"
    bare = f"p = Abs(x) q = Cast <to=2> (p) [c] a = ConvInteger {SAME} (q, w8) y = Cast <to=1> (a)"
    return [
        Net("integer", f"{made} y = Cast <to=1> (a)", {"conv": "a"}, linear=OUTPUT, **known),
        Net("integer_scaled", f"{made} d = Cast <to=1> (a) m = Mul(d, s1) {tail}", taps, **relu),
        Net("integer_dynamic", f"{dynamic} d = Cast <to=1> (a) m = Mul(d, t) {tail}", taps, **relu),
        Net("integer_bias", f"{dynamic} {rounded} e = Add(a, r) d = Cast <to=1> (e) n = Mul(d, t) y = Relu(n)",
            taps, **relu),
        Net("integer_bare", bare, {"conv": "a"}, linear=OUTPUT, **known | {"weight": W8.astype(np.float64)}),
    ]  # fmt: skip


def fused() -> list[Net]:
    """Convolutions of the runtime's optimiser, which carry an activation, and a sum before it."""
    known = {"op": "FusedConv", "weight": W, "bias": B}
    conv, clip = f"[c] e = Conv {SAME} (x, w, b)", "n = Constant <value_float=0.0> () o = Constant <value_float=0.5> ()"

    def fusing(name: str, attributes: str, twin: str, activation: str, zeros: Zeros = Zeros.NOT_MEANINGFUL) -> Net:
        body = f"[c] a = com.microsoft.FusedConv <pads=[1,1,1,1], {attributes}> (x, w, b) y = Identity(a)"
        return Net(
            f"fused_{name}", body, {"act": "a"}, activation=activation, zeros=zeros,
            twin=f"{conv} {twin} y = Identity(a)", **known,
        )  # fmt: skip

    return [
        fusing("relu", 'activation="Relu"', "a = Relu(e)", "Relu", Zeros.EXACT),
        fusing("tanh", 'activation="Tanh"', "a = Tanh(e)", "Tanh"),
        fusing("sigmoid", 'activation="Sigmoid"', "a = Sigmoid(e)", "Sigmoid"),
        fusing("leaky", 'activation="LeakyRelu", activation_params=[0.2]', "a = LeakyRelu <alpha=0.2> (e)",
               "LeakyRelu"),
        fusing("clip", 'activation="Clip", activation_params=[0.0,0.5]', f"{clip} a = Clip(e, n, o)", "Clip(0,0.5)",
               Zeros.EXACT),
        Net("fused_nothing", "[c] a = com.microsoft.FusedConv <pads=[1,1,1,1]> (x, w, b) y = Relu(a)",
            {"conv": "a", "act": "y"}, activation="Relu", zeros=Zeros.EXACT,
            twin=f"{conv.replace('e', 'a', 1)} y = Relu(a)", **known),
        Net("fused_sum", f'{FOUR} [c] a = com.microsoft.FusedConv <pads=[1,1,1,1], activation="Relu"> (x, w, b, z) '
            "y = Identity(a)", {"act": "a"}, activation="Relu", zeros=Zeros.EXACT, shared=True,
            twin=f"{FOUR} {conv} f = Add(e, z) a = Relu(f) y = Identity(a)", **known),
        Net("nhwc_fused", f'{LAST} [c] a = com.microsoft.NhwcFusedConv <pads=[1,1,1,1], activation="Relu"> (xl, w, b) '
            "y = Identity(a)", {"act": "a"}, activation="Relu", zeros=Zeros.EXACT, runs=False,
            **known | {"op": "NhwcFusedConv"}),
    ]  # fmt: skip


NETS: Mapping[str, Net] = {n.name: n for n in [*quantized(), *fake(), *integer(), *fused()]}
