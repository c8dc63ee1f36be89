"""Pairs of QuantizeLinear and DequantizeLinear against their definition, with and without the runtime's optimiser."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from models import model

from inspector import Array, service
from inspector.graph.instrument import instrument
from inspector.runtime.session import Fidelity, open_session

RANDOM = np.random.default_rng(4)
FILTERS = RANDOM.choice([-128, 127], (8, 8, 3, 3)).astype(np.int8)
"""The ends of int8: two products of them and a number above 128 do not fit 16 bits."""
SCALE, FINE = np.float32(2**-4), np.float32(2**-7)
NUMBERS = {
    "s": SCALE, "fine": FINE, "coarse": np.float32(16), "u": np.uint8(3), "i": np.int8(-125), "i0": np.int8(0),
    "i1": np.int8(1), "w": FILTERS, "real": FILTERS.astype(np.float32) * FINE,
}  # fmt: skip
BEFORE = "q = QuantizeLinear(x, s, {zero}) d = DequantizeLinear(q, s, {zero})"
AFTER = "r = QuantizeLinear(c, coarse, {zero}) y = DequantizeLinear(r, coarse, {zero})"
MAPS = (RANDOM.integers(0, 256, (2, 8, 6, 5)) - 3).astype(np.float32) * SCALE


def net(body: str, *, zero: str = "u", outputs: str = "float[N,8,H,W] y", opset: int = 13, **more: object) -> bytes:
    """Data are quantised before `body`, which makes c of d, and after it."""
    stored = {name: np.asarray(array) for name, array in (NUMBERS | more).items()}
    whole = f"{BEFORE.format(zero=zero)} {body} {AFTER.format(zero=zero)}"
    return model(whole, inputs="float[N,8,6,5] x", outputs=outputs, opset=opset, weights=stored)


def ran(data: bytes, fidelity: Fidelity) -> Array:
    written = instrument(service.load(data), (), keep_outputs=True)
    with open_session(written.model, weights=written.weights, device="cpu", fidelity=fidelity) as session:
        return np.asarray(session.run({"x": MAPS})[0])


def convolved(maps: Array, filters: Array) -> Array:
    """In float64."""
    windows = np.lib.stride_tricks.sliding_window_view(maps.astype(np.float64), (3, 3), (2, 3))
    return np.asarray(np.einsum("nchwij,ocij->nohw", windows, filters.astype(np.float64)))


def quantised(real: Array, zero: int = 3, low: int = 0) -> Array:
    return np.asarray((np.clip(np.rint(real / 16) + zero, low, low + 255) - zero) * 16)


WEIGHTS = {
    "stored": "k = DequantizeLinear(w, fine, i0)",
    "by the runtime's own operator": "k = com.microsoft.DequantizeLinear(w, fine, i0)",
    "without a zero point": "k = DequantizeLinear(w, fine)",
    "per filter": "k = DequantizeLinear <axis=0> (w, each, zeros)",
    "per filter, without a zero point": "k = DequantizeLinear <axis=0> (w, each)",
    "of a Constant": "n = Constant <value=int8 {0}> () k = DequantizeLinear(w, fine, n)",
    "quantised on the way": "e = QuantizeLinear(real, fine, i0) k = DequantizeLinear(e, fine, i0)",
    "quantised per filter": """e = QuantizeLinear <axis=0> (real, each, zeros)
        k = DequantizeLinear <axis=0> (e, each, zeros)""",
    "quantised without a zero point": """e = QuantizeLinear <output_dtype=3> (real, fine)
        k = DequantizeLinear(e, fine)""",
    "quantised by numbers found on the way": """f = Mul(each, ones)
        e = QuantizeLinear <axis=0, output_dtype=3> (real, f) k = DequantizeLinear <axis=0> (e, f, zeros)""",
    "by numbers found on the way": "f = Mul(each, ones) k = DequantizeLinear <axis=0> (w, f)",
    "in blocks": """f = Reshape(w, flat) k0 = DequantizeLinear <axis=0, block_size=4> (f, blocks)
        form = Shape(w) k = Reshape(k0, form)""",
    "handed on": "e = Identity(w) k = DequantizeLinear(e, fine, i0)",
    "turned": "e = Transpose <perm=[0,1,3,2]> (turned) k = DequantizeLinear(e, fine, i0)",
}


@pytest.mark.parametrize("fidelity", ["fast", "exact"])
@pytest.mark.parametrize("zero", ["u", "i"])
@pytest.mark.parametrize("form", WEIGHTS)
def test_a_convolution_adds_up_in_full_wherever_its_weights_come_from(form: str, zero: str, fidelity: Fidelity) -> None:
    """Data of int8 as well: the optimiser makes uint8 of them on processors that need it."""
    each = FINE * np.array([1, 0.5] * 4, np.float32)
    real = FILTERS * (each.reshape(8, 1, 1, 1) if "each" in WEIGHTS[form] else FINE)
    more: dict[str, Array] = {"each": each, "zeros": np.zeros(8, np.int8), "turned": FILTERS.swapaxes(2, 3).copy()}
    more |= {"ones": np.ones(8, np.float32), "flat": np.array([8, 72]), "blocks": np.full((2, 72), FINE)}
    opset = 21 if any(word in WEIGHTS[form] for word in ("output_dtype", "block_size")) else 13
    body = f"{WEIGHTS[form]} c = Conv(d, k)"
    data = net(body, zero=zero, opset=opset, real=real, **more)
    expected = quantised(convolved(MAPS, real))
    np.testing.assert_array_equal(ran(data, fidelity), expected)


@pytest.mark.parametrize("fidelity", ["fast", "exact"])
@pytest.mark.parametrize("weight", ["w", "v"])
@pytest.mark.parametrize("zero", ["i0", "j0"])
def test_convolutions_may_share_weights_and_zero_points(zero: str, weight: str, fidelity: Fidelity) -> None:
    """onnxruntime's own way around the overflow cannot load these."""
    body = f"""k = DequantizeLinear(w, fine, i0) a = Conv <pads=[1,1,1,1]> (d, k) e = QuantizeLinear(a, coarse, u)
        f = DequantizeLinear(e, coarse, u) l = DequantizeLinear({weight}, fine, {zero}) c = Conv(f, l)"""
    other = FILTERS if weight == "w" else -1 - FILTERS
    first = quantised(convolved(np.pad(MAPS, ((0, 0), (0, 0), (1, 1), (1, 1))), FILTERS * np.float64(FINE)))
    expected = quantised(convolved(first, other * np.float64(FINE)))
    np.testing.assert_array_equal(ran(net(body, v=-1 - FILTERS, j0=np.int8(0)), fidelity), expected)


@pytest.mark.parametrize("fidelity", ["fast", "exact"])
def test_weights_in_a_branch_are_shifted_as_well(fidelity: Fidelity) -> None:
    body = """top = ReduceMax <keepdims=0> (x) yes = Less(top, coarse)
        c = If (yes) <then_branch = t () => (float[N,8,4,3] m) {
                h = DequantizeLinear(q, s, u) k = DequantizeLinear(w, fine, i0) m0 = Conv(h, k)
                n = QuantizeLinear(m0, coarse, u) m = DequantizeLinear(n, coarse, u) },
            else_branch = o () => (float[N,8,4,3] p) { l = DequantizeLinear(w, fine, i1) p = Conv(d, l) }>"""
    np.testing.assert_array_equal(ran(net(body), fidelity), quantised(convolved(MAPS, FILTERS * np.float64(FINE))))


@pytest.mark.parametrize("fidelity", ["fast", "exact"])
def test_weights_of_real_numbers_stay_what_they_are(fidelity: Fidelity) -> None:
    """The optimiser would quantise them, as their data are."""
    real = (RANDOM.standard_normal((8, 8, 3, 3)) * 1e-3).astype(np.float32)
    real[::2] *= 1000
    data = net("c = Conv(d, real)", real=real, coarse=np.float32(2**-6))
    expected = (np.clip(np.rint(convolved(MAPS, real) * 64) + 3, 0, 255) - 3) / 64
    assert (np.abs(ran(data, fidelity) - expected) > 1e-6).mean() < 0.01, "but for ties"


def test_a_bias_of_real_numbers_beside_quantised_weights_loads_in_every_opset() -> None:
    """The optimiser would quantise it, with a Round, which opset 10 has not."""
    data = net("k = DequantizeLinear(w, fine, i0) c = Conv(d, k, b)", opset=10, b=np.full(8, 80, np.float32))
    expected = quantised(convolved(MAPS, FILTERS * np.float64(FINE)) + 80)
    np.testing.assert_array_equal(ran(data, "fast"), expected)


def test_signed_data_that_pass_a_pool_load_in_opset_21() -> None:
    """The optimiser would move their pair over it, and contradict itself about the type."""
    body = "p = MaxPool <kernel_shape=[2,2]> (d) k = DequantizeLinear(w, fine, i0) c = Conv(p, k)"
    pooled = np.lib.stride_tricks.sliding_window_view(MAPS, (2, 2), (2, 3)).max((-1, -2))
    expected = quantised(convolved(pooled, FILTERS * np.float64(FINE)))
    np.testing.assert_array_equal(ran(net(body, zero="i", opset=21), "fast"), expected)


def test_a_weight_that_is_read_twice_is_shifted_once() -> None:
    body = """k = DequantizeLinear(w, fine, i0) a = Conv(d, k) l = DequantizeLinear(w, fine, i0) b = Conv(d, l)
        c = Add(a, b)"""
    written = onnx.ModelProto.FromString(instrument(service.load(net(body)), (), keep_outputs=True).model)
    assert [tuple(t.dims) for t in written.graph.initializer].count(FILTERS.shape) == 1
