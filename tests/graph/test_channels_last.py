"""Nets whose maps lie with channels last behind each convolution, as exporters of JAX and TensorFlow write them.

Each net is written twice: with channels last between two Transposes, and with channels first. What is found and what is
measured has to be the same. All sizes are equal, so that an axis taken for another shows in numbers alone.
"""

from __future__ import annotations

import numpy as np
import pytest
from models import NEWEST, model, numbers

from inspector import Array, Report, activations, audit
from inspector.graph.load import load

W, V, LINEAR = numbers(4, 4, 3, 3), numbers(4, 4, 1, 1), numbers(4, 4)
B, S = numbers(4), np.abs(numbers(4, scale=2)) + 0.5
X = np.random.default_rng(3).normal(size=(12, 4, 4, 4)).astype(np.float32)
SAME = "<pads=[1,1,1,1]>"
LAST = "Transpose <perm=[0,2,3,1]>"
FIRST = "Transpose <perm=[0,3,1,2]>"


def net(body: str, *, first: bool, opset: int = 20, sizes: str = "N,4,4,4", **weights: Array) -> bytes:
    """`body` ends at `y`; `LAST(v)` and `FIRST(v)` move the channels, but where they are first anyway."""
    last, back = ("Identity", "Identity") if first else (LAST, FIRST)
    text = body.replace("LAST", last).replace("FIRST", back)
    known = {"w": W, "v": V, "b": B, "s": S, "m": LINEAR, **weights}
    per_channel = {name: a.reshape(-1, 1, 1) if first and a.ndim == 1 else a for name, a in known.items()}
    used = {name: a for name, a in per_channel.items() if f", {name})" in text or f", {name}," in text}
    return model(text, inputs=f"float[{sizes}] x", outputs="float[N,C,H,W] y", weights=used, opset=opset)


CONV = f"[c] a = Conv {SAME} (x, w) t = LAST(a)"
NETS = {
    "relu": f"{CONV} r = Relu(t) y = FIRST(r)",
    "bias": f"{CONV} n = Add(t, b) r = Relu(n) y = FIRST(r)",
    "scale and bias": f"{CONV} z = Mul(t, s) n = Sub(z, b) r = Relu(n) y = FIRST(r)",
    "six": f"{CONV} n = Add(t, b) zero = Constant <value_float=0.0> () six = Constant <value_float=6.0> () "
    "r = Clip(n, zero, six) y = FIRST(r)",
    "silu": f"{CONV} n = Add(t, b) g = Sigmoid(n) r = Mul(n, g) y = FIRST(r)",
    "leaky": f"{CONV} n = Add(t, b) r = LeakyRelu(n) y = FIRST(r)",
    "residual": f"{CONV} n = Add(t, b) p = LAST(x) q = Add(p, n) r = Relu(q) y = FIRST(r)",
    "twice": f"{CONV} n = Add(t, b) r = Relu(n) f = FIRST(r) [d] e = Conv(f, v) u = LAST(e) o = Relu(u) y = FIRST(o)",
    "there and back": f"{CONV} n = Add(t, b) f = FIRST(n) y = Relu(f)",
}


def measured(data: bytes, **options: object) -> dict[str, list[object]]:
    report: Report = audit(data, X, ["sparsity", "distribution"], batch_size=5, **options)  # type: ignore[arg-type]
    assert not [r.failure for r in report.results if r.failure]
    return {f"{m.layer}:{m.tap} {m.name}": np.asarray(m.values).tolist() for r in report.results for m in r.metrics}


@pytest.mark.parametrize("sizes", ["N,4,4,4", "N,4,H,V"])
@pytest.mark.parametrize("name", NETS)
def test_channels_last_gives_the_numbers_of_channels_first(name: str, sizes: str) -> None:
    last, first = (net(NETS[name], first=first, sizes=sizes) for first in (False, True))
    found, expected = load(last), load(first)
    assert [(f.name, f.activation, f.linear, set(f.taps)) for f in found.layers] == [
        (f.name, f.activation, f.linear, set(f.taps)) for f in expected.layers
    ]
    assert found.layers[0].activation is not None
    one, other = measured(last), measured(first)
    assert one.keys() == other.keys()
    for metric, values in other.items():
        np.testing.assert_allclose(one[metric], values, rtol=2e-6, atol=1e-6, err_msg=metric)
    maps, twins = (activations(data, X, ["*"]) for data in (last, first))
    assert maps.keys() == twins.keys()
    for tap, array in twins.items():
        np.testing.assert_allclose(maps[tap], array, atol=1e-5, err_msg=tap)


@pytest.mark.parametrize("name", NETS)
def test_what_is_folded_is_the_same(name: str) -> None:
    last, first = (load(net(NETS[name], first=f)).filters("c", fold_norm=True) for f in (False, True))
    assert last.whole == first.whole
    np.testing.assert_array_equal(last.weight, first.weight)
    np.testing.assert_array_equal(last.bias, first.bias)


def test_the_maps_are_those_that_numpy_computes() -> None:
    padded = np.pad(X.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    linear = np.einsum("nchwij,ocij->nohw", windows, W.astype(np.float64)) + B.reshape(4, 1, 1)
    maps = activations(net(NETS["bias"], first=False), X, ["c:act"])["c:act"]
    np.testing.assert_allclose(maps, np.maximum(linear, 0), atol=1e-5)
    (zero,) = [v for k, v in measured(net(NETS["bias"], first=False)).items() if k == "c:act channel_zero_fraction"]
    np.testing.assert_array_equal(zero, (linear <= 0).mean(axis=(0, 2, 3)))


@pytest.mark.parametrize("opset", [9, 13, NEWEST])
def test_a_planted_dead_filter_is_found(opset: int) -> None:
    kernel, bias = W.copy(), B.copy()
    kernel[2], bias[2] = 0, -1
    metrics = measured(net(NETS["bias"], first=False, opset=opset, w=kernel, b=bias))
    assert metrics["c:act structurally_dead"] == 1
    assert metrics["c:act channel_zero_fraction"][2] == 1


def test_a_bias_for_each_column_is_no_bias_for_each_channel() -> None:
    body = f"{CONV} n = Add(t, k) r = Relu(n) y = FIRST(r)"
    view = load(net(body, first=False, k=numbers(1, 1, 4, 1)))
    assert view.layers[0].activation == "Relu"  # it is an activation still; only nothing can be folded
    assert not view.filters("c", fold_norm=True).whole


def test_a_normalisation_by_another_axis_is_not_folded() -> None:
    body = f"{CONV} n = BatchNormalization(t, s, b, b, s) r = Relu(n) y = FIRST(r)"
    filters = load(net(body, first=False)).filters("c", fold_norm=True)
    assert (filters.folded, filters.whole) == ((), False)


def test_layer_normalisation_over_the_channels_makes_the_norm_tap() -> None:
    (layer,) = load(net(f"{CONV} n = LayerNormalization(t, s, b) r = Relu(n) y = FIRST(r)", first=False)).layers
    assert layer.activation == "Relu"
    assert {kind: tap.tensor for kind, tap in layer.taps.items()} == {"conv": "a", "norm": "n", "act": "r"}
