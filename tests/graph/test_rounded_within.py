"""Activations in several nodes between which a quantiser has put pairs of QuantizeLinear and DequantizeLinear.

Quantisers of TFLite and of onnxruntime round what every node gives: a SiLU of integers is Sigmoid, a pair, Mul, a pair.
"""

from __future__ import annotations

import numpy as np
import pytest
from models import SAME, B, W, model

from inspector import Zeros, activations
from inspector.graph.load import load

X = np.random.default_rng(8).normal(size=(3, 3, 6, 5)).astype(np.float32)
CODES = {
    "sx": np.float32(0.05), "zx": np.int8(3), "low": np.int8(-128), "sg": np.float32(1 / 256), "sy": np.float32(0.04),
    "three": np.float32(3), "zero": np.float32(0), "six": np.float32(6), "sh": np.float32(6 / 255),
    "sp": np.float32([0.05, 0.04, 0.03, 0.02]), "zp": np.zeros(4, np.int8),
}  # fmt: skip
IN = "qa = QuantizeLinear(a, sx, zx) v = DequantizeLinear(qa, sx, zx)"
SILU = f"{IN} g = Sigmoid(v) qg = QuantizeLinear(g, sg, low) r = DequantizeLinear(qg, sg, low) m = Mul(v, r)"
SWISH = (
    f"{IN} h = Add(v, three) k = Clip(h, zero, six) qk = QuantizeLinear(k, sh, low) r = DequantizeLinear(qk, sh, low) "
    "d = Div(r, six) qd = QuantizeLinear(d, sg, low) e = DequantizeLinear(qd, sg, low) m = Mul(e, v)"
)


def net(middle: str) -> bytes:
    text = f"[c] a = Conv {SAME} (x, w, b) {middle} qm = QuantizeLinear(m, sy, zx) y = DequantizeLinear(qm, sy, zx)"
    known = {"w": W, "b": B, **{name: np.asarray(array) for name, array in CODES.items()}}
    return model(
        text, weights={n: a for n, a in known.items() if any(f"{c}{n}{e}" in text for c in "( " for e in ",)")}
    )


@pytest.mark.parametrize(
    ("middle", "name", "zeros"),
    [
        (SILU, "SiLU", Zeros.NOT_MEANINGFUL),
        (SILU.replace("Mul(v, r)", "Mul(r, v)"), "SiLU", Zeros.NOT_MEANINGFUL),
        (SWISH, "HardSwish", Zeros.EXACT),
    ],
)
def test_the_activation_has_its_name(middle: str, name: str, zeros: Zeros) -> None:
    (layer,) = load(net(middle)).layers
    act = layer.taps["act"]
    assert (layer.activation, act.tensor, act.zeros, act.bypassed) == (name, "m", zeros, False)


def test_the_maps_are_those_of_the_activation() -> None:
    maps = activations(net(SILU), X, ["c:conv", "c:act"])
    linear = maps["c:conv"]
    np.testing.assert_allclose(maps["c:act"], linear / (1 + np.exp(-linear)), atol=0.05)


def test_what_is_cut_off_by_rounding_is_another_function() -> None:
    # With nothing below the zero point, what is quantised is rectified: -max(-v, 0).
    within = f"{IN} n = Neg(v) qn = QuantizeLinear(n, sx, low) r = DequantizeLinear(qn, sx, low) m = Neg(r)"
    (layer,) = load(net(within)).layers
    assert (layer.activation, layer.taps["act"].zeros) == ("Clip(-inf,0)", Zeros.EXACT)


@pytest.mark.parametrize("codes", ["sp, zp", "sg, low"])
def test_scales_that_differ_within_are_not_looked_through(codes: str) -> None:
    # Several numbers, or another pair behind the integers than before them: what comes out is scaled.
    middle = SILU.replace(
        "DequantizeLinear(qg, sg, low)", f"DequantizeLinear <axis=1> (qg, {codes.replace('sg', 'sy')})"
    )
    assert load(net(middle)).layers[0].activation != "SiLU"


@pytest.mark.parametrize("scale", ["sx, zx", "sp, zp"])
def test_integers_that_are_turned_before_they_are_made_real_again(scale: str) -> None:
    # As exporters of TFLite files write them. Of several scales, the axis would have to turn with them.
    turned = (
        f"qa = QuantizeLinear <axis=1> (a, {scale}) t = Transpose <perm=[0,2,3,1]> (qa) "
        f"v = DequantizeLinear <axis=3> (t, {scale}) h = HardSwish(v) m = Transpose <perm=[0,3,1,2]> (h)"
    )
    data = net(turned)
    (layer,) = load(data).layers
    assert layer.activation == ("HardSwish" if scale == "sx, zx" else None)
    if layer.activation:
        maps = activations(data, X, ["c:conv", "c:act"])
        linear = maps["c:conv"]
        np.testing.assert_allclose(maps["c:act"], linear * np.clip(linear / 6 + 0.5, 0, 1), atol=0.05)
