"""Structural death: never said of a filter that some input fires, and said of those that the definition names."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inspector_plugins._bounds import never_fires
from models import model
from onnx.reference import ReferenceEvaluator
from reference import most_before_activation

from inspector import Array, TapKind, service

FRONTS = {
    "": (-np.inf, np.inf), "Relu": (0.0, np.inf), "Clip": (0.0, 6.0), "Sigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0),
}  # fmt: skip
"""What the layer may read, and its bounds."""
GUARD = 0.01
"""A bound this near to zero, relative to what makes it up, may or may not be told from it."""

entry = st.sampled_from([0.0, -0.0, -1.0, 1.0, -0.1, 0.1, -2.0, 3e-5, -3e-5])
shift = st.sampled_from([0.0, -0.0, -0.1, 0.1, -1.0, 1.0, -1e-7, 1e-7, -30.0])
factor = st.sampled_from([1.0, 1 - 1e-7, 1 + 1e-7, 1 - 1e-4, 1 + 1e-4, 1.03])


@dataclass(frozen=True, slots=True, eq=False)
class Net:
    """One layer c of two filters (2, 2, 2, 2) behind `front`, before `after`; `norm`: gamma, beta, mean, variance."""

    front: str
    after: str
    weight: Array
    bias: Array
    norm: Array | None
    padded: bool
    residual: bool = False

    @property
    def data(self) -> bytes:
        front = f"f = {self.front}(x)".replace("Clip(x)", "Clip(x, lo, hi)") if self.front else "f = Identity(x)"
        pads = "<pads=[1,1,1,1]>" if self.padded else ""
        norm = "BatchNormalization(a, g, h, m, v)" if self.norm is not None else "Identity(a)"
        add = f"p = Conv {pads} (x, w) s = Add(n, p)" if self.residual else "s = Identity(n)"
        after = "Clip(s, lo, hi)" if self.after == "Clip" else f"{self.after}(s)"
        weights = {"w": self.weight, "b": self.bias}
        if "Clip" in (self.front, self.after):
            weights |= {"lo": np.float32(0), "hi": np.float32(6)}  # type: ignore[dict-item]
        if self.norm is not None:
            weights |= dict(zip("ghmv", self.norm, strict=True))
        body = f"{front} [c] a = Conv {pads} (f, w, b) n = {norm} {add} y = {after}"
        return model(body, inputs="float[N,2,3,3] x", weights={k: np.asarray(v) for k, v in weights.items()})

    def inputs(self) -> Array:
        """Random ones of several sizes, and for every filter those that drive each weight to the end that helps it."""
        rng = np.random.default_rng(0)
        random = [rng.normal(size=(6, 2, 3, 3)) * scale for scale in (0.1, 1, 100)]
        signs = np.sign(self.weight * (1 if self.norm is None else np.sign(self.norm[0]).reshape(-1, 1, 1, 1)))
        best = np.pad(signs, [(0, 0), (0, 0), (0, 1), (0, 1)])
        driven = [best * scale for scale in (1, 6, 1e3)]
        return np.concatenate([*random, *driven, np.zeros((1, 2, 3, 3))]).astype(np.float32)


@st.composite
def nets(draw: st.DrawFn) -> Net:
    """Many with a bias that just outweighs, or just does not, all that the best input can give."""
    front, after = draw(st.sampled_from(list(FRONTS))), draw(st.sampled_from(["Relu", "Clip"]))
    weight = np.array(draw(st.lists(entry, min_size=16, max_size=16)), np.float32).reshape(2, 2, 2, 2)
    if draw(st.booleans()):
        weight = -np.abs(weight)
    bias = np.array([draw(shift), draw(shift)], np.float32)
    low, high = FRONTS[front]
    if np.isfinite(high) and draw(st.booleans()):
        most = np.maximum(weight * low, weight * high).sum((1, 2, 3))
        bias = (-most * draw(factor)).astype(np.float32)
    norm = None
    if draw(st.booleans()):
        gamma, beta, mean = (np.array([draw(shift), draw(shift)], np.float32) for _ in range(3))
        variance = np.array([draw(st.sampled_from([1.0, 0.5, 0.01, 0.3])) for _ in range(2)], np.float32)
        if draw(st.booleans()):  # what is added cancels, but for rounding
            beta = ((mean - bias) * gamma / np.sqrt(variance + np.float32(1e-5))).astype(np.float32)
        norm = np.stack([gamma, beta, mean, variance])
    return Net(front, after, weight, bias, norm, draw(st.booleans()), draw(st.booleans()))


@given(nets(), st.sampled_from(["exact", "fast"]))
@settings(max_examples=300)
def test_no_filter_that_fires_is_called_structurally_dead(net: Net, fidelity: str) -> None:
    view = service.load(net.data)
    claimed = never_fires(view, view.layer("c").taps[TapKind.ACT])
    maps = service.activations(view, net.inputs(), ["c:act"], fidelity=fidelity)["c:act"]  # type: ignore[arg-type]
    assert not (claimed & (maps > 0).any((0, 2, 3))).any()
    assert not (net.residual and claimed.any())


@pytest.mark.parametrize("fidelity", ["exact", "fast"])
def test_a_bias_that_rounding_alone_keeps_below_zero_is_no_death(fidelity: str) -> None:
    """Empty filters, whose bias and normalisation cancel: what is left of them has either sign, by chance."""
    rng, count = np.random.default_rng(5), 2048
    gamma, bias, mean = (rng.normal(size=count).astype(np.float32) for _ in range(3))
    variance = rng.uniform(0.1, 2, count).astype(np.float32)
    beta = ((mean.astype(np.float64) - bias) * gamma / np.sqrt(variance + 1e-5)).astype(np.float32)
    sure = np.arange(count) < 10
    beta[sure] -= 1
    norm = {"b": bias, "g": gamma, "h": beta, "m": mean, "v": variance}
    view = service.load(
        model("[c] a = Conv(x, w, b) n = BatchNormalization(a, g, h, m, v) y = Relu(n)", inputs="float[N,1,1,1] x",
              weights={"w": np.zeros((count, 1, 1, 1), np.float32), **norm})
    )  # fmt: skip
    maps = service.activations(view, np.ones((1, 1, 1, 1), np.float32), ["c:act"], fidelity=fidelity)  # type: ignore[arg-type]
    fired = maps["c:act"][0, :, 0, 0] > 0
    assert fired.sum() > 100
    assert never_fires(view, view.layer("c").taps[TapKind.ACT]).tolist() == sure.tolist()


@given(nets())
@settings(max_examples=150)
def test_the_filters_of_the_definition_are_found(net: Net) -> None:
    """Bounded by the best input of every weight, clearly below zero: found. Clearly above: not."""
    net = Net(net.front, net.after, net.weight, net.bias, net.norm, net.padded)
    view = service.load(net.data)
    filters = view.filters("c", fold_norm=True)
    low, high = (min(FRONTS[net.front][0], 0.0), max(FRONTS[net.front][1], 0.0))
    claimed = never_fires(view, view.layer("c").taps[TapKind.ACT])
    for c, most in enumerate(most_before_activation(filters, low, high)):
        guard = GUARD * (abs(filters.bias[c]) + 1e-3 + abs(most - filters.bias[c]))
        if not np.isfinite(most) or abs(most) > guard:
            assert claimed[c] == (most <= 0)


W, B = np.array([[[[0.0]]], [[[-1.0]]], [[[1.0]]], [[[-1.0]]]], np.float32), np.array([-1.0, 0.0, -1.0, 0.5], "f")


@pytest.mark.parametrize(
    ("front", "after", "expected"),
    [
        ("Identity(x)", "Relu(s)", [0]),
        ("Relu(x)", "Relu(s)", [0, 1]),
        ("Sigmoid(x)", "Relu(s)", [0, 1]),
        ("Clip(x, zero, half)", "Relu(s)", [0, 1, 2]),
        ("Clip(x, zero, half)", "Clip(s, zero, six)", [0, 1, 2]),
        ("Clip(x, zero, half)", "Clip(s, half, six)", []),
        ("Clip(x, zero, half)", "LeakyRelu(s)", []),
        ("Clip(x, zero, half)", "HardSwish(s)", []),
    ],
)
def test_what_a_layer_reads_and_what_follows_decide(front: str, after: str, expected: list[int]) -> None:
    numbers = {"zero": np.float32(0), "half": np.float32(0.5), "six": np.float32(6)}
    used = {k: np.asarray(v) for k, v in numbers.items() if k in front + after}
    body = f"f = {front} [c] s = Conv(f, w, b) y = {after}"
    view = service.load(model(body, inputs="float[N,1,2,2] x", weights={"w": W, "b": B, **used}))
    assert np.flatnonzero(never_fires(view, view.layer("c").taps[TapKind.ACT])).tolist() == expected


@pytest.mark.parametrize(
    "body",
    [
        "[c] a = Conv(x, w, b) n = InstanceNormalization(a, b, b) y = Relu(n)",
        "g = ReduceMean <keepdims=1> (x) k = Mul(w, g) [c] a = Conv(x, k, b) y = Relu(a)",
        "[c] a = Conv(x, w, b) s = Add(a, x) y = Relu(s)",
    ],
    ids=["normalised by what comes in", "computed weights", "residual sum"],
)
def test_where_nothing_can_be_said_nothing_is(body: str) -> None:
    zero = {"w": np.zeros((4, 4, 1, 1), np.float32), "b": np.full(4, -1, np.float32)}
    view = service.load(model(body, inputs="float[N,4,3,3] x", weights=zero))
    assert not never_fires(view, view.layer("c").taps[TapKind.ACT]).any()


@pytest.mark.parametrize(("weight", "low", "high"), [(-1, 1, 6), (1, -6, -1)])
def test_padding_counts_as_zeros_even_where_the_input_itself_is_never_zero(weight: int, low: int, high: int) -> None:
    """A filter of -1 over an input from 1 up: at most 0.5 - 1 inside, and 0.5 in a corner that sees padding alone."""
    body = "f = Clip(x, low, high) [c] a = Conv <pads=[1,1,1,1]> (f, w, b) y = Relu(a)"
    weights = {"w": np.full((1, 1, 1, 1), weight, np.float32), "b": np.array([0.5], np.float32),
               "low": np.array(low, "f"), "high": np.array(high, "f")}  # fmt: skip
    view = service.load(model(body, inputs="float[N,1,2,2] x", weights=weights))
    assert service.activations(view, np.ones((1, 1, 2, 2), np.float32))["c:act"].max() == 0.5
    assert not never_fires(view, view.layer("c").taps[TapKind.ACT]).any()


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_filter_with_a_number_that_is_none_is_not_called_dead(broken: float) -> None:
    weight, bias = np.full((3, 1, 1, 1), -1, np.float32), np.full(3, -1, np.float32)
    weight[0], bias[1] = broken, broken
    view = service.load(model("r = Relu(x) [c] a = Conv(r, w, b) y = Relu(a)", inputs="float[N,1,2,2] x",
                              weights={"w": weight, "b": bias}))  # fmt: skip
    assert never_fires(view, view.layer("c").taps[TapKind.ACT]).tolist() == [False, False, True]


@pytest.mark.parametrize("width", [1, 2, 3])
def test_second_layer_filters_are_stably_off_as_often_as_brownlowe_et_al_prove(width: int) -> None:
    """Inputs and first layer of `width` units, symmetric weights and biases: P = 1 / 2^(width+1), arXiv 2412.06829.

    With as many independent directions as units, every pattern of the first layer's values from 0 up is reached, so
    a unit is off for all inputs exactly when its weights and its bias are below zero. 20,000 filters of one layer,
    fixed seed; five standard deviations of the binomial: false alarm in under one of a million seeds.
    """
    draws, rng = 20_000, np.random.default_rng(2412)
    first = rng.normal(size=(width, width, 1, 1)).astype(np.float32)
    second, bias = (rng.normal(size=s).astype(np.float32) for s in ((draws, width, 1, 1), draws))
    view = service.load(
        model("[b] p = Conv(x, u, k) r = Relu(p) [c] a = Conv(r, w, b) y = Relu(a)", inputs=f"float[N,{width},1,1] x",
              weights={"u": first, "k": rng.normal(size=width).astype("f"), "w": second, "b": bias})
    )  # fmt: skip
    dead = never_fires(view, view.layer("c").taps[TapKind.ACT])
    chance = 1 / 2 ** (width + 1)
    assert abs(dead.mean() - chance) <= 5 * math.sqrt(chance * (1 - chance) / draws)
    x = np.linalg.solve(first[:, :, 0, 0], reached(width).T).T.reshape(-1, width, 1, 1).astype(np.float32)
    maps = service.activations(view, x, ["c:act"])["c:act"]
    assert not (maps[:, dead] > 0).any()
    assert ((maps[:, ~dead] > 0).any(0).mean()) > 0.999


def reached(width: int) -> Array:
    """Values before the first rectifier, (K, width): every pattern of hugely negative, large and tiny."""
    return np.array(list(itertools.product([-1e4, 1.0, 1e4], repeat=width)))


def test_symmetric_weights_without_bias_leave_half_of_everything_at_zero() -> None:
    """P(w · x <= 0) = 1/2 for every filter and position.

    4096 independent 1x1 filters on one position: five standard deviations, 5 * sqrt(1/4 / 4096) = 0.039.
    """
    rng = np.random.default_rng(53)
    weight = rng.normal(size=(4096, 8, 1, 1)).astype(np.float32)
    net = model("[c] a = Conv(x, w) y = Relu(a)", inputs="float[N,8,1,1] x", weights={"w": weight})
    report = service.inspect(net, rng.normal(size=(1, 8, 1, 1)).astype(np.float32), ["sparsity"])
    (row,) = report.result("sparsity").blocks[0].rows  # type: ignore[union-attr]
    assert abs(row[4] - 0.5) <= 5 * math.sqrt(0.25 / 4096)


HALF = {"float16": np.float16, "float": np.float32}


def narrow(kind: str, body: str, weights: dict[str, Array]) -> bytes:
    dtype = HALF[kind]
    return model(
        body, inputs=f"{kind}[N,C,1,1] x", outputs=f"{kind}[N,K,1,1] y",
        weights={k: np.asarray(v, dtype) for k, v in weights.items()},
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "weight", "dead"), [("float16", 3e4, 0), ("float16", 1e4, 1), ("float", 3e4, 1)])
def test_a_filter_that_overflows_before_it_is_scaled_down_is_not_accused(kind: str, weight: float, dead: int) -> None:
    """6 * 3e4 is Inf in float16, however small the factor is that follows."""
    weights = {
        "lo": np.zeros(()), "hi": np.full((), 6), "w": np.full((1, 2, 1, 1), weight / 2),
        "s": np.full((1, 1, 1, 1), 1e-3), "b": np.full((1, 1, 1, 1), -300),
    }  # fmt: skip
    body = "k = Clip(x, lo, hi) [c] a = Conv(k, w) m = Mul(a, s) n = Add(m, b) y = Relu(n)"
    view = service.load(narrow(kind, body, weights))
    assert never_fires(view, view.layer("c").taps[TapKind.ACT]).sum() == dead


def test_a_float16_that_rounds_up_past_zero_is_not_accused() -> None:
    """1 + 2^-11 rounds to 1 + 2^-10, times 1.5, minus 1.5 + 2^-10: above zero where every operation rounds."""
    weights = {
        "lo": np.zeros(()), "hi": np.ones(()), "w": np.array([[1, 2.0**-11 * 1.02], [1, 0], [-1, 0]])[..., None, None],
        "s": np.full((1, 3, 1, 1), 1.5), "b": np.array([-1.5 - 2.0**-10, -3, -1]).reshape(1, 3, 1, 1),
    }  # fmt: skip
    body = "k = Clip(x, lo, hi) [c] a = Conv(k, w) m = Mul(a, s) n = Add(m, b) y = Relu(n)"
    data = narrow("float16", body, weights)
    reference = ReferenceEvaluator(onnx.load_from_string(data)).run(None, {"x": np.full((1, 2, 1, 1), 3, np.float16)})
    assert np.asarray(reference[0])[0, 0, 0, 0] > 0
    view = service.load(data)
    assert never_fires(view, view.layer("c").taps[TapKind.ACT]).tolist() == [False, True, True]
    assert view.filters("c", fold_norm=True).rounding == view.filters("c").rounding == 2.0**-11


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["float16", "float"]))
def test_no_sum_that_rounds_at_every_step_fires_what_is_called_dead(seed: int, kind: str) -> None:
    """Sums of 512 products, added up one by one in the element type, best input, biases that just outweigh them."""
    rng, dtype, count = np.random.default_rng(seed), HALF[kind], 64
    weight = np.abs(rng.normal(size=(count, 512))).astype(dtype)
    best = weight.astype(np.float64).sum(1)
    bias = (-best * (1 + rng.choice([1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1], count))).astype(dtype)
    body = "k = Clip(x, lo, hi) [c] a = Conv(k, w, b) y = Relu(a)"
    numbers = {"lo": np.zeros(()), "hi": np.ones(()), "w": weight[..., None, None], "b": bias}
    view = service.load(narrow(kind, body, numbers))
    claimed = never_fires(view, view.layer("c").taps[TapKind.ACT])
    total = np.zeros(count, dtype)
    for column in rng.permutation(weight.T):
        total = (total + column).astype(dtype)
    fired = (total + bias).astype(dtype) > 0
    assert claimed.any()
    assert not (claimed & fired).any()
