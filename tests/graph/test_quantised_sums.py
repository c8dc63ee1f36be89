"""Quantised models against their definition: products of uint8 and int8 in 64 bits, roundings one by one.

On a processor that adds such products up in 32 bits anyway, these tests hold without the rewrite as well.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import model

from inspector import Array, service
from inspector.graph.instrument import instrument
from inspector.runtime.session import Fidelity, open_session

SCALES = {"sx": np.float32(0.02), "sw": np.float32(0.005), "sy": np.float32(0.5), "one": np.float32(1)}
RANDOM = np.random.default_rng(3)
FILTERS = RANDOM.integers(-128, 128, (8, 32, 3, 3)).astype(np.int8)
MATRIX = RANDOM.integers(-128, 128, (64, 48)).astype(np.int8)


def weights(**more: object) -> dict[str, Array]:
    numbers = SCALES | {"u0": np.uint8(0), "u128": np.uint8(128), "i0": np.int8(0), "i8": np.int8(0)} | more
    return {name: np.asarray(array) for name, array in numbers.items()}


def with_a_convolution(body: str, inputs: str, outputs: str, **more: object) -> bytes:
    """Without one there is nothing to inspect."""
    point = np.ones((1, 1, 1, 1), np.float32)
    body = f"{body} z = Conv(point, point)"
    return model(body, inputs=inputs, outputs=f"{outputs}, float[1,1,1,1] z", weights=weights(point=point, **more))


def ran(data: bytes, feeds: Array, fidelity: Fidelity) -> Array:
    written = instrument(service.load(data), (), keep_outputs=True)
    with open_session(written.model, weights=written.weights, device="cpu", fidelity=fidelity) as session:
        return np.asarray(session.run({"x": feeds})[0])


def convolved(maps: Array, filters: Array) -> Array:
    """Sums of products in 64 bits."""
    windows = np.lib.stride_tricks.sliding_window_view(maps.astype(np.int64), (3, 3), (2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, filters.astype(np.int64))


def requantised(sums: Array, factor: float, zero: int) -> Array:
    return np.clip(np.rint(sums * np.float64(factor)) + zero, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("fidelity", ["fast", "exact"])
@pytest.mark.parametrize("zero", ["i0", "per_filter", "constant"])
@pytest.mark.parametrize("size", [32, 256], ids=["in the message", "beside it"])
def test_a_quantised_convolution_adds_up_what_it_says(zero: str, size: int, fidelity: Fidelity) -> None:
    filters = np.random.default_rng(size).integers(-128, 128, (8, size, 3, 3)).astype(np.int8)
    stored = {"per_filter": np.full(8, -3, np.int8)}
    body = f"y = QLinearConv(x, sx, u128, w, sw, {zero}, sy, u128)"
    if zero == "constant":
        body = f"constant = Constant <value=int8 {{5}}> () {body}"
    shift = {"i0": 0, "per_filter": -3, "constant": 5}[zero]
    given = weights(w=filters, **stored)
    inputs = f"uint8[N,{size},8,7] x"
    data = model(body, inputs=inputs, outputs="uint8[N,8,6,5] y", opset=13, weights=given)
    maps = RANDOM.integers(0, 256, (3, size, 8, 7)).astype(np.uint8)
    sums = convolved(maps.astype(np.int64) - 128, filters.astype(np.int64) - shift)
    np.testing.assert_array_equal(ran(data, maps, fidelity), requantised(sums, 0.02 * 0.005 / 0.5, 128))


@pytest.mark.parametrize("fidelity", ["fast", "exact"])
@pytest.mark.parametrize(
    "body",
    [
        "y = QLinearMatMul(x, one, u0, w, one, i0, s2048, u128)",
        "y = com.microsoft.QGemm(x, one, u0, w, one, i0, , s2048, u128)",
        "t = MatMulInteger(x, w) f = Cast <to=1> (t) y = QuantizeLinear(f, s2048, u128)",
        "t = MatMulInteger(x, w, u0, i0) f = Cast <to=1> (t) y = QuantizeLinear(f, s2048, u128)",
        "f = com.microsoft.MatMulIntegerToFloat(x, w, one, one) y = QuantizeLinear(f, s2048, u128)",
        "f = com.microsoft.MatMulIntegerToFloat(x, w, one, one, u0, i0) y = QuantizeLinear(f, s2048, u128)",
    ],
)
def test_a_quantised_product_of_matrices_adds_up_what_it_says(body: str, fidelity: Fidelity) -> None:
    data = with_a_convolution(body, "uint8[N,64] x", "uint8[N,48] y", w=MATRIX, s2048=np.float32(2048))
    rows = RANDOM.integers(0, 256, (5, 64)).astype(np.uint8)
    sums = rows.astype(np.int64) @ MATRIX.astype(np.int64)
    np.testing.assert_array_equal(ran(data, rows, fidelity), requantised(sums, 1 / 2048, 128))


@pytest.mark.parametrize("fidelity", ["fast", "exact"])
def test_data_quantised_on_the_way_is_added_up_in_full(fidelity: Fidelity) -> None:
    body = "y = com.microsoft.DynamicQuantizeMatMul(x, w, one)"
    data = with_a_convolution(body, "float[N,64] x", "float[N,48] y", w=MATRIX)
    rows = np.linspace(0, 255, 5 * 64, dtype=np.float32).reshape(5, 64)  # its scale is 1, its zero point 0
    expected = np.rint(rows).astype(np.int64) @ MATRIX.astype(np.int64)
    np.testing.assert_allclose(ran(data, rows, fidelity), expected, rtol=0, atol=128 * 64)


@pytest.mark.parametrize("fidelity", ["fast", "exact"])
def test_a_convolution_between_dequantised_and_quantised_adds_up_in_full(fidelity: Fidelity) -> None:
    """The optimiser makes a QLinearConv of it; ties may round to the other side in float32."""
    body = """xr = DequantizeLinear(x, sx, u128) wr = DequantizeLinear(w, sw, i0) c = Conv(xr, wr)
        y = QuantizeLinear(c, sy, u128)"""
    data = model(body, inputs="uint8[N,32,8,7] x", outputs="uint8[N,8,6,5] y", weights=weights(w=FILTERS))
    maps = RANDOM.integers(0, 256, (3, 32, 8, 7)).astype(np.uint8)
    expected = requantised(convolved(maps.astype(np.int64) - 128, FILTERS), 0.02 * 0.005 / 0.5, 128)
    apart = np.abs(ran(data, maps, fidelity).astype(int) - expected)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.01


@pytest.mark.parametrize("fidelity", ["fast", "exact"])
def test_what_is_rounded_twice_is_rounded_twice(fidelity: Fidelity) -> None:
    """The optimiser would leave out the first, coarser rounding."""
    body = """a = QuantizeLinear(x, coarse, u0) b = DequantizeLinear(a, coarse, u0) c = QuantizeLinear(b, fine, u0)
        y = DequantizeLinear(c, fine, u0)"""
    scales = {"coarse": np.float32(0.5), "fine": np.float32(0.125)}
    data = with_a_convolution(body, "float[N,64] x", "float[N,64] y", **scales)
    numbers = np.linspace(0, 30, 64, dtype=np.float32)[None]
    np.testing.assert_array_equal(ran(data, numbers, fidelity), np.rint(numbers / 0.5) * 0.5)


@pytest.mark.parametrize("fidelity", ["fast", "exact"])
def test_convolutions_of_signed_data_run_as_before(fidelity: Fidelity) -> None:
    """They do not overflow, and have no kernel for weights of uint8."""
    body = "y = QLinearConv(x, sx, i0, w, sw, i8, sy, i0)"
    data = model(body, inputs="int8[N,32,8,7] x", outputs="int8[N,8,6,5] y", weights=weights(w=FILTERS))
    maps = RANDOM.integers(-128, 128, (3, 32, 8, 7)).astype(np.int8)
    expected = np.clip(np.rint(convolved(maps, FILTERS) * np.float64(0.02 * 0.005 / 0.5)), -128, 127)
    np.testing.assert_array_equal(ran(data, maps, fidelity), expected)


@pytest.mark.parametrize("fidelity", ["fast", "exact"])
def test_a_weight_read_twice_and_within_a_branch_is_shifted_once(fidelity: Fidelity) -> None:
    convolution = "QLinearConv <pads=[1,1,1,1]> (x, sx, u128, w, sw, i0, sy, u128)"
    body = f"""a = {convolution} k = Identity(w) b = QLinearConv <pads=[1,1,1,1]> (x, sx, u128, k, sw, i0, sy, u128)
        yes = Constant <value=bool {{1}}> ()
        c = If (yes) <then_branch = t () => (uint8[N,32,8,7] u) {{ u = {convolution} }},
                      else_branch = e () => (uint8[N,32,8,7] v) {{ v = Identity(x) }}>
        y = Concat <axis=1> (a, b, c)"""
    square = RANDOM.integers(-128, 128, (32, 32, 3, 3)).astype(np.int8)
    data = model(body, inputs="uint8[N,32,8,7] x", outputs="uint8[N,96,8,7] y", weights=weights(w=square))
    maps = RANDOM.integers(0, 256, (2, 32, 8, 7)).astype(np.uint8)
    padded = np.pad(maps.astype(np.int64) - 128, ((0, 0), (0, 0), (1, 1), (1, 1)))
    expected = requantised(convolved(padded, square), 0.02 * 0.005 / 0.5, 128)
    np.testing.assert_array_equal(ran(data, maps, fidelity), np.concatenate([expected] * 3, axis=1))
    written = onnx.ModelProto.FromString(instrument(service.load(data), (), keep_outputs=True).model)
    assert sum(tensor.name.startswith("inspector/unsigned") for tensor in written.graph.initializer) <= 4


@given(st.integers(0, 2**32 - 1), st.integers(-128, 127))
def test_shifted_weights_stand_for_the_same_numbers(seed: int, zero: int) -> None:
    filters = np.random.default_rng(seed).integers(-128, 128, (2, 1, 3, 3)).astype(np.int8)
    stored = weights(w=filters, z=np.int8(zero))
    body = "y = QLinearConv(x, sx, u128, w, sw, z, sy, u128)"
    data = model(body, inputs="uint8[N,1,4,4] x", outputs="uint8[N,2,2,2] y", weights=stored)
    written = onnx.ModelProto.FromString(instrument(service.load(data), (), keep_outputs=True).model)
    (node,) = [n for n in written.graph.node if n.op_type == "QLinearConv"]
    held = {t.name: onnx.numpy_helper.to_array(t).astype(int) for t in written.graph.initializer}
    assert held[node.input[3]].min() >= 0
    np.testing.assert_array_equal(held[node.input[3]] - held[node.input[5]], filters.astype(int) - zero)
