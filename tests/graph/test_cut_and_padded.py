"""Maps that are cut or padded between a convolution and its activation.

Exporters of Keras write `Conv2DTranspose` so: ConvTranspose without padding, Slice and Pad by sizes that they compute
from shapes, then bias and activation. Causal convolutions over time are cut by hand.
"""

from __future__ import annotations

import numpy as np
import pytest
from models import NEWEST, model, numbers

from inspector import Array, Zeros, activations, audit
from inspector.graph.load import load

KERNEL, BIAS = numbers(3, 4, 3, 3), numbers(4, 1, 1)
X = np.random.default_rng(4).normal(size=(5, 3, 4, 6)).astype(np.float32)
LISTS = {
    "one": np.array([1]), "two": np.array([2]), "five": np.array([5]), "space": np.array([2, 3]),
    "nil": np.array([0]), "batch": np.array([0, 3]), "deep": np.array([1, 3]), "begin": np.array([0, 1]),
    "end": np.array([-1, 9]), "edge": np.array([0, 0, 1, 2, 0, 0, 0, 1]), "more": np.array([0, 1, 0, 0, 0, 0, 0, 0]),
    "sides": np.array([1, 2, 0, 1]), "fill": np.array(0.5, np.float32), "shift": np.array([-5.0], np.float32),
}  # fmt: skip


def net(behind: str, *, opset: int = 18, sizes: str = "N,3,4,6", **weights: Array) -> bytes:
    """A transposed convolution (N, 3, 4, 6) -> `a`, (N, 4, 9, 13), and what follows up to `y`; `b` is a bias."""
    known = {"w": KERNEL, "b": BIAS, **LISTS, **weights}
    text = f"[c] a = ConvTranspose <strides=[2,2]> (x, w{', o' * ('o' in weights)}) {behind}"
    used = {n: a for n, a in known.items() if any(f"{c}{n}{e}" in text for c in "( " for e in ",)")}
    return model(text, inputs=f"float[{sizes}] x", outputs="float[N,C,H,W] y", weights=used, opset=opset)


CUT = "s = Slice (a, begin, end, space) n = Add(s, b) y = Relu(n)"
# As tf2onnx has it: twice the size that was read, and zeros where that is more than there is.
COMPUTED = (
    "p = Shape(x) h = Slice(p, two, five, nil) d = Mul(h, two) g = Shape(a) q = Slice(g, two, five, nil) "
    "e = Sub(q, d) f = Max(e, nil) first = Div(f, two) last = Add(first, d) s = Slice(a, first, last, space) "
    "i = Neg(e) j = Max(i, nil) u, v = Split <axis=0, num_outputs=2> (j) "
    "k = Concat <axis=0> (nil, nil, nil, nil, nil, u, v, nil) "
    "l0, l1, l2, l3, l4, l5, l6, l7 = Split <axis=0, num_outputs=8> (k) "
    "m = Concat <axis=0> (l0, l3, l1, l2, l4, l7, l5, l6) t = Pad(s, m) n = Add(t, b) y = Relu(n)"
)
FOUND = {
    "cut": (CUT, lambda a: a[:, :, :-1, 1:9], 18),
    "cut by attributes": (
        "s = Slice <axes=[2,3], starts=[0,1], ends=[-1,9]> (a) n = Add(s, b) y = Relu(n)",
        lambda a: a[:, :, :-1, 1:9],
        9,
    ),
    "some": ("s = Slice(a, begin, end, space, space) n = Add(s, b) y = Relu(n)", lambda a: a[:, :, :-1:2, 1:9:3], 18),
    "padded": (
        "s = Pad(a, edge) n = Add(s, b) y = Relu(n)",
        lambda a: np.pad(a, ((0, 0), (0, 0), (1, 0), (2, 1))),
        18,
    ),
    "padded by attributes": (
        "s = Pad <pads=[0,0,1,2,0,0,0,1]> (a) n = Add(s, b) y = Relu(n)",
        lambda a: np.pad(a, ((0, 0), (0, 0), (1, 0), (2, 1))),
        10,
    ),
    "padded along axes": (
        "s = Pad(a, sides, , space) n = Add(s, b) y = Relu(n)",
        lambda a: np.pad(a, ((0, 0), (0, 0), (1, 0), (2, 1))),
        NEWEST,
    ),
    "by sizes of a run": (COMPUTED, lambda a: a[:, :, :8, :12], 18),
}  # fmt: skip


def linear(kernel: Array = KERNEL) -> Array:
    """The transposed convolution, (N, 4, 9, 13), in float64."""
    result = np.zeros((len(X), 4, 9, 13))
    for row, column in np.ndindex(3, 3):
        result[:, :, row : row + 7 : 2, column : column + 11 : 2] += np.einsum(
            "nchw,co->nohw", X, kernel[:, :, row, column]
        )
    return result


@pytest.mark.parametrize("sizes", ["N,3,4,6", "N,3,H,V"])
@pytest.mark.parametrize("name", FOUND)
def test_bias_and_activation_are_found_behind(name: str, sizes: str) -> None:
    text, window, opset = FOUND[name]
    data = net(text, opset=opset, sizes=sizes)
    view = load(data)
    (layer,) = view.layers
    assert (layer.activation, layer.taps["act"].zeros, layer.taps["norm"].tensor) == ("Relu", Zeros.EXACT, "n")
    expected = window(linear()) + BIAS
    maps = activations(data, X, ["c:conv", "c:norm", "c:act"])
    np.testing.assert_allclose(maps["c:conv"], linear(), atol=1e-5)
    np.testing.assert_allclose(maps["c:norm"], expected, atol=1e-5)
    np.testing.assert_allclose(maps["c:act"], np.maximum(expected, 0), atol=1e-5)
    (zero,) = [m.values for m in audit(data, X, ["sparsity"]).results[0].metrics if m.name == "channel_zero_fraction"]
    np.testing.assert_array_equal(zero, (expected <= 0).mean(axis=(0, 2, 3)))
    folded = view.filters("c", fold_norm=True)
    assert folded.whole
    np.testing.assert_array_equal(folded.bias, BIAS[:, 0, 0])


@pytest.mark.parametrize("name", FOUND)
def test_a_filter_that_can_never_fire_is_found(name: str) -> None:
    kernel, bias = KERNEL.copy(), np.abs(BIAS)
    kernel[:, 2], bias[2] = 0, -1
    text, _, opset = FOUND[name]
    (result,) = audit(net(text, opset=opset, w=kernel, b=bias), X, ["sparsity"]).results
    assert [m.values for m in result.metrics if m.name == "structurally_dead"] == [1]
    assert [m.values.tolist()[2] for m in result.metrics if m.name == "channel_active"] == [0]


def test_a_border_of_zeros_behind_a_bias_does_not_fire_a_filter_by_folding() -> None:
    # -5 within the border becomes -4, the zeros of it become 1: these fire.
    kernel, own = KERNEL * 0, np.full(4, -5, np.float32)
    data = net("s = Pad(a, edge) n = Add(s, b) y = Relu(n)", w=kernel, o=own, b=np.ones((4, 1, 1), np.float32))
    assert not load(data).filters("c", fold_norm=True).whole
    metrics = {m.name: m.values for m in audit(data, X, ["sparsity"]).results[0].metrics}
    assert (metrics["structurally_dead"], metrics["dead"]) == (0, 0)
    np.testing.assert_allclose(metrics["channel_zero_fraction"], 9 * 13 / (10 * 16))


LINEAR = {
    "inputs are cut": "s = Slice(a, begin, end, batch) y = Relu(s)",
    "channels are cut": "s = Slice(a, begin, end, deep) y = Relu(s)",
    "channels are added": "s = Pad(a, more) y = Relu(s)",
    "another number is laid around": "s = Pad(a, edge, fill) y = Relu(s)",
    "the border is repeated": 's = Pad <mode="edge"> (a, edge) y = Relu(s)',
    "axes are not told": "s = Slice(a, edge, edge) y = Relu(s)",
    "the run tells how many": "p = Shape(x) q = Shape(x) r = Concat <axis=0> (p, q) s = Pad(a, r) y = Relu(s)",
}  # fmt: skip


@pytest.mark.parametrize("name", LINEAR)
def test_other_cuts_end_the_way(name: str) -> None:
    (layer,) = load(net(LINEAR[name])).layers
    assert layer.activation is None
    assert layer.linear.startswith("feeds ")


def test_maps_with_channels_last_are_cut_along_space_alone() -> None:
    last = "t = Transpose <perm=[0,2,3,1]> (a)"
    cut = f"{last} s = Slice(t, begin, end, one_two) r = Relu(s) y = Transpose <perm=[0,3,1,2]> (r)"
    (layer,) = load(net(cut, one_two=np.array([1, 2]))).layers
    assert layer.activation == "Relu"
    (layer,) = load(net(cut.replace("one_two", "space"))).layers
    assert layer.activation is None
