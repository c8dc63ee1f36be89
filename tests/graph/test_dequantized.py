"""Weights that a file holds as small integers or floats: what they stand for, in every form that the standard has."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from models import NEWEST, SAME, W, model
from models_quantized import W_SCALES

from inspector import Array, Inapplicable
from inspector.graph.load import load

C = f"[c] a = Conv {SAME} (x, k) y = Relu(a)"
RANDOM = np.random.default_rng(11)
ROWS = np.float32(W_SCALES)


def weight(body: str, opset: int, weights: dict[str, Array]) -> Array:
    """What the layer's weight evaluates to."""
    return load(model(f"{body} {C}", weights=weights, opset=opset, ir=10)).filters("c").weight


def whole(low: int, high: int, dtype: object, shape: tuple[int, ...] = (4, 3, 3, 3)) -> Array:
    return RANDOM.integers(low, high, shape, endpoint=True).astype(dtype)  # type: ignore[call-overload,no-any-return]


TYPES = {
    "int8": (whole(-128, 127, np.int8), whole(-9, 9, np.int8, (4,)), 10),
    "uint8": (whole(0, 255, np.uint8), whole(90, 160, np.uint8, (4,)), 10),
    "int4": (whole(-8, 7, ml_dtypes.int4), whole(-2, 2, ml_dtypes.int4, (4,)), 21),
    "uint4": (whole(0, 15, ml_dtypes.uint4), whole(6, 9, ml_dtypes.uint4, (4,)), 21),
    "int16": (whole(-(2**15), 2**15 - 1, np.int16), whole(-9, 9, np.int16, (4,)), 21),
    "uint16": (whole(0, 2**16 - 1, np.uint16), whole(9, 99, np.uint16, (4,)), 21),
    "int32": (whole(-(2**20), 2**20, np.int32), np.zeros(4, np.int32), 10),
}


def real(q: Array, scale: Array, zero: Array) -> Array:
    """(q - zero) * scale, element by element, with scale and zero already as large as q."""
    return (q.astype(np.float64) - zero.astype(np.float64)) * scale.astype(np.float64)


OPSETS = [(name, o) for name, (_, _, since) in TYPES.items() for o in (10, 13, 19, 21, 23, NEWEST) if o >= since]


@pytest.mark.parametrize(("name", "opset"), OPSETS)
def test_one_scale_for_all(name: str, opset: int) -> None:
    q, zeros, _ = TYPES[name]
    given = {"q": q, "s": np.array(ROWS[0]), "z": np.array(zeros[0])}
    expected = real(q, np.full(q.shape, ROWS[0]), np.full(q.shape, int(zeros[0])))
    np.testing.assert_allclose(weight("k = DequantizeLinear(q, s, z)", opset, given), expected, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", TYPES)
def test_scales_along_an_axis(name: str, axis: int) -> None:
    q, zeros, _ = TYPES[name]
    shape = [1, 1, 1, 1]
    shape[axis] = q.shape[axis]
    scale, zero = ROWS[: q.shape[axis]], zeros[: q.shape[axis]]
    found = weight(f"k = DequantizeLinear <axis={axis}> (q, s, z)", 21, {"q": q, "s": scale, "z": zero})
    np.testing.assert_allclose(found, real(q, scale.reshape(shape), zero.reshape(shape)), rtol=1e-6)


@pytest.mark.parametrize("opset", [21, NEWEST])
@pytest.mark.parametrize("name", ["int8", "uint8", "int4", "uint4"])
def test_blocks_have_scales_of_their_own(name: str, opset: int) -> None:
    """24 numbers a filter, in four blocks of 6."""
    q = TYPES[name][0].reshape(4, 27)[:, :24]
    scale = np.abs(RANDOM.normal(size=(4, 4))).astype(np.float32) + 0.1
    zero = np.resize(TYPES[name][1], (4, 4)).astype(q.dtype)
    body = "f = DequantizeLinear <axis=1, block_size=6> (q, s, z) k = Reshape(f, t)"
    given = {"q": q, "s": scale, "z": zero, "t": np.array([4, 6, 2, 2])}
    found = load(
        model(f"{body} [c] a = Conv(v, k) y = Relu(a)", inputs="float[N,6,6,5] v", weights=given, opset=opset, ir=10)
    ).filters("c").weight  # fmt: skip
    blocks = np.arange(24) // 6
    np.testing.assert_allclose(found.reshape(4, 24), real(q, scale[:, blocks], zero[:, blocks]), rtol=1e-6)


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2"])
def test_small_floats_are_what_their_bits_say(kind: str) -> None:
    q = W.astype(getattr(ml_dtypes, kind))
    given = {"q": q, "s": np.array(np.float32(0.5))}
    found = weight("k = DequantizeLinear(q, s)", 21, given)
    np.testing.assert_array_equal(found, q.astype(np.float32) * np.float32(0.5))


def test_weights_that_are_quantised_in_the_graph_are_rounded_as_they_will_be() -> None:
    given = {"w": W, "s": ROWS * 50, "z": np.zeros(4, np.int8)}
    found = weight("q = QuantizeLinear <axis=0> (w, s, z) k = DequantizeLinear <axis=0> (q, s, z)", 21, given)
    scale = (ROWS * 50).reshape(4, 1, 1, 1)
    np.testing.assert_allclose(found, np.clip(np.rint(W / scale), -128, 127) * scale, rtol=1e-6)


def test_the_runtimes_own_dequantize_means_the_same() -> None:
    q, zeros, _ = TYPES["int16"]
    found = weight("k = com.microsoft.DequantizeLinear <axis=0> (q, s, z)", 17, {"q": q, "s": ROWS, "z": zeros})
    np.testing.assert_allclose(found, real(q, ROWS.reshape(4, 1, 1, 1), zeros.reshape(4, 1, 1, 1)), rtol=1e-6)


def test_scales_that_are_computed_from_the_input_leave_weights_without_a_value() -> None:
    body = "r = ReduceMax <keepdims=0> (x) k = DequantizeLinear(q, r, z) [c] a = Conv(x, k) y = Relu(a)"
    view = load(model(body, weights={"q": TYPES["int8"][0], "z": np.array(np.int8(0))}, opset=21, ir=10))
    with pytest.raises(Inapplicable, match="computed while the model runs"):
        view.filters("c")


def test_the_tensors_of_these_tests_are_stored_in_their_own_types() -> None:
    for name, (q, _, _) in TYPES.items():
        stored = onnx.load_from_string(model(f"k = Cast <to=1> (q) {C}", weights={"q": q}, opset=21, ir=10))
        assert [onnx.TensorProto.DataType.Name(t.data_type) for t in stored.graph.initializer] == [name.upper()]
