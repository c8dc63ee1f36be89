"""Axes of size 1 that come or go behind a convolution: one over time, written as one over pictures of one row.

Exporters of Keras write `Conv1D` so: Unsqueeze, Conv with a kernel (1, k), Squeeze, then bias and activation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from models import model, numbers

from inspector import Array, Zeros, activations, audit
from inspector.graph.load import load

KERNEL, BIAS = numbers(4, 3, 1, 3), numbers(4, 1)
X = np.random.default_rng(2).normal(size=(5, 3, 9)).astype(np.float32)


def over_time(behind: str, *, opset: int = 17, **weights: Array) -> bytes:
    """A convolution (N, 3, 9) -> `a`, (N, 4, 1, 7), and what follows up to `y`; `b` is a bias, `two` the axis."""
    before = "q = Unsqueeze <axes=[2]> (x)" if opset < 13 else "q = Unsqueeze (x, two)"
    known: Mapping[str, Array] = {"w": KERNEL, "b": BIAS, "two": np.array([2]), **weights}
    text = f"{before} [c] a = Conv (q, w) {behind}"
    used = {name: array for name, array in known.items() if f", {name})" in text or f"({name}, " in text}
    return model(text, inputs="float[N,3,9] x", outputs="float[N,C,W] y", weights=used, opset=opset)


def biased(kernel: Array = KERNEL, bias: Array = BIAS) -> Array:
    """The convolution over time and its bias, (N, 4, 7), in float64."""
    windows = np.lib.stride_tricks.sliding_window_view(X.astype(np.float64), 3, axis=2)
    return np.asarray(np.einsum("ncwk,ock->now", windows, kernel[:, :, 0].astype(np.float64)) + bias)


FOUND = {
    "as an attribute": over_time("s = Squeeze <axes=[2]> (a) n = Add(s, b) y = Relu(n)", opset=11),
    "as an input": over_time("s = Squeeze (a, two) n = Add(b, s) y = Relu(n)"),
    "from the end": over_time("s = Squeeze (a, back) n = Add(s, b) y = Relu(n)", back=np.array([-2])),
    "before the channels": over_time(
        "t = Unsqueeze (a, one) n = Add(t, d) r = Relu(n) y = Squeeze (r, more)",
        one=np.array([1]),
        more=np.array([1, 3]),
        d=BIAS.reshape(1, 4, 1, 1),
    ),
    "by a Reshape": over_time("s = Reshape (a, flat) n = Add(s, b) y = Relu(n)", flat=np.array([-1, 4, 7])),
    "by a Reshape to what it was": over_time(
        "t = Reshape (a, same) s = Squeeze (t, two) n = Add(s, b) y = Relu(n)", same=np.array([0, 4, 1, -1])
    ),
    "by a Reshape and back, as equinox under vmap": over_time(
        "t = Reshape (a, more) s = Squeeze (t, ones) n = Add(s, b) y = Relu(n)",
        more=np.array([-1, 1, 4, 1, 7]),
        ones=np.array([1, 3]),
    ),
    "there and back": over_time(
        "s = Squeeze (a, two) t = Unsqueeze (s, two) n = Add(t, c) r = Relu(n) y = Squeeze (r, two)",
        c=BIAS.reshape(4, 1, 1),
    ),
    "by a shape": over_time("s = Reshape (a, to) n = Add(s, b) y = Relu(n)", to=np.array([-1, 4, 7])),
    "by a shape that copies": over_time("s = Reshape (a, to) n = Add(b, s) y = Relu(n)", to=np.array([0, 4, -1])),
    "by a shape, channels last": over_time(
        "t = Transpose <perm=[0,2,3,1]> (a) s = Reshape (t, to) n = Add(s, l) r = Relu(n) "
        "y = Transpose <perm=[0,2,1]> (r)",
        to=np.array([-1, 7, 4]),
        l=BIAS[:, 0],
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_bias_and_activation_are_found_behind_them(name: str) -> None:
    view = load(FOUND[name])
    (layer,) = view.layers
    assert layer.activation == "Relu"
    act, norm = layer.taps["act"], layer.taps["norm"]
    assert (act.zeros, act.channels, norm.tensor) == (Zeros.EXACT, 4, "n")
    filters = view.filters("c", fold_norm=True)
    assert filters.whole
    assert len(filters.folded) == 1
    np.testing.assert_allclose(filters.bias, BIAS[:, 0], rtol=1e-12)


@pytest.mark.parametrize("name", FOUND)
def test_what_is_measured_there_is_what_numpy_counts(name: str) -> None:
    expected = np.maximum(biased(), 0)
    report = audit(FOUND[name], X, ["sparsity"], batch_size=2)
    (zero,) = [m.values for m in report.results[0].metrics if m.name == "channel_zero_fraction"]
    np.testing.assert_array_equal(zero, (expected == 0).mean(axis=(0, 2)))
    maps = activations(FOUND[name], X, ["c:conv", "c:norm", "c:act"])
    np.testing.assert_allclose(maps["c:conv"][:, :, 0], biased(bias=np.zeros((4, 1))), atol=1e-5)
    np.testing.assert_allclose(maps["c:norm"].reshape(5, 4, 7), biased(), atol=1e-5)
    np.testing.assert_allclose(maps["c:act"].reshape(5, 4, 7), expected, atol=1e-5)


def test_a_filter_that_can_never_fire_is_found_behind_them() -> None:
    kernel, bias = KERNEL.copy(), np.abs(BIAS)
    kernel[1], bias[1] = 0, -1
    data = over_time("s = Squeeze (a, two) n = Add(s, b) y = Relu(n)", w=kernel, b=bias)
    (result,) = audit(data, X, ["sparsity"]).results
    assert [m.values.tolist() for m in result.metrics if m.name == "channel_active"] == [[5, 0, 5, 5]]
    assert [m.values.tolist() for m in result.metrics if m.name == "structurally_dead"] == [1]


LINEAR = {
    "channels go, by an axis": over_time("s = Squeeze (a, one) n = Add(s, b) y = Relu(n)", one=np.array([1])),
    "every axis of size 1": over_time("s = Squeeze (a) n = Add(s, b) y = Relu(n)"),
    "a Reshape joins channels and space": over_time("s = Reshape (a, k) y = Relu(s)", k=np.array([0, 1, 28])),
    "a Reshape mixes channels and space": over_time("s = Reshape (a, k) y = Relu(s)", k=np.array([0, 7, 4])),
    "a Reshape moves inputs": over_time("s = Reshape (a, k) y = Relu(s)", k=np.array([1, -1, 4, 7])),
    "a shape that mixes channels and space": over_time("s = Reshape (a, to) y = Relu(s)", to=np.array([-1, 7, 4])),
    "a shape that joins inputs": over_time("s = Reshape (a, to) y = Relu(s)", to=np.array([1, 4, -1])),
    "a shape that makes more inputs": over_time("s = Reshape (a, to) y = Relu(s)", to=np.array([-1, 1, 4, 1])),
    "inputs leave the first axis": over_time("t = Unsqueeze (a, none) y = Relu(t)", none=np.array([0])),
}


@pytest.mark.parametrize("name", LINEAR)
def test_where_channels_would_lie_elsewhere_nothing_is_followed(name: str) -> None:
    (layer,) = load(LINEAR[name]).layers
    assert layer.activation is None
    assert layer.linear.startswith("feeds ")
