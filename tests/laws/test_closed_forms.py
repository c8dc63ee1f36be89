"""Random networks whose numbers are known in closed form, without weights that were trained and without data.

Counts are binomial, so each has to lie within five standard deviations: a sound program misses that once in 1.7 million
draws of weights, and the draws are fixed.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from models import model

from inspector import Array, service

DRAWS = 4096


def metric(net: bytes, x: Array, name: str, layer: str) -> float:
    report = service.audit(net, x, ["sparsity"], fidelity="exact")
    (found,) = (m for m in report.results[0].metrics if (m.name, m.layer) == (name, layer))
    return float(found.values)


def assert_binomial(count: float, draws: int, p: float) -> None:
    assert abs(count - draws * p) <= 5 * math.sqrt(draws * p * (1 - p)), (count, draws * p)


@pytest.mark.parametrize("seed", [0, 1])
def test_half_of_what_random_filters_without_a_bias_give_is_zero(seed: int) -> None:
    """Weights that are as often positive as negative, one position: every filter is off with probability 1/2."""
    rng, width = np.random.default_rng(seed), 512
    weights = {"u": rng.normal(size=(width, 3, 6, 5)), **{k: rng.normal(size=(width, width, 1, 1)) for k in "vw"}}
    body = "[c] a = Conv(x, u) r = Relu(a) [d] e = Conv(r, v) s = Relu(e) [f] g = Conv(s, w) y = Relu(g)"
    net = model(body, weights={k: v.astype(np.float32) for k, v in weights.items()})
    x = rng.normal(size=(1, 3, 6, 5)).astype(np.float32)
    for layer in "cdf":
        zeros = metric(net, x, "zero_fraction", layer) * width
        assert_binomial(zeros, width, 1 / 2)
        assert metric(net, x, "dead", layer) == round(zeros)


class Pairs:
    """4096 networks of two layers side by side, each with `inputs`, `hidden` units and one unit behind these."""

    def __init__(self, inputs: int, hidden: int) -> None:
        rng = np.random.default_rng(100 * inputs + hidden)
        self.w, self.b = rng.normal(size=(DRAWS * hidden, inputs, 1, 1)), rng.normal(size=DRAWS * hidden)
        weights = {"w": self.w, "b": self.b, "v": rng.normal(size=(DRAWS, hidden, 1, 1)), "d": rng.normal(size=DRAWS)}
        self.net = model(
            f"[c] a = Conv <group={DRAWS}> (x, w, b) r = Relu(a) [d] e = Conv <group={DRAWS}> (r, v, d) y = Relu(e)",
            inputs=f"float[N,{DRAWS * inputs},1,1] x", weights={k: v.astype(np.float32) for k, v in weights.items()},
        )  # fmt: skip


@pytest.mark.parametrize(("inputs", "hidden"), [(1, 1), (2, 1), (2, 2), (3, 3)])
def test_units_that_no_input_fires_are_as_frequent_as_theory_says(inputs: int, hidden: int) -> None:
    """1 / 2^(hidden + 1) for hidden <= inputs (Brownlowe et al. 2024, arXiv 2412.06829): then the bounds miss none."""
    nets = Pairs(inputs, hidden)
    x = np.zeros((1, DRAWS * inputs, 1, 1), np.float32)
    assert_binomial(metric(nets.net, x, "structurally_dead", "d"), DRAWS, 1 / 2 ** (hidden + 1))


def test_with_more_units_than_inputs_some_that_no_input_fires_are_missed_and_none_is_accused_wrongly() -> None:
    """(2^n + 1) / 4^(n + 1) for hidden = n + 1 (as above), here 3/16, of which the bounds find 1/8.

    A unit behind two others that read one number is greatest where one of these begins to fire, or far out; so these
    four inputs are all inputs.
    """
    nets = Pairs(1, 2)
    begins = (-nets.b / nets.w[:, 0, 0, 0]).reshape(DRAWS, 2).T
    x = np.stack([*begins, np.full(DRAWS, -1e6), np.full(DRAWS, 1e6)]).astype(np.float32)[..., None, None]
    assert_binomial(metric(nets.net, x, "dead", "d"), DRAWS, 3 / 16)
    assert_binomial(metric(nets.net, x, "structurally_dead", "d"), DRAWS, 1 / 8)
    report = service.audit(nets.net, x, ["sparsity:taps=d"], fidelity="exact")
    rules = [f.rule for f in report.results[0].findings]
    assert set(rules) == {"sparsity/dead", "sparsity/structurally-dead"}
    rows = report.results[0].blocks[2].rows  # type: ignore[union-attr]
    accused = [row[-1] for row in rows if "structurally dead" in str(row[-1])]
    assert {"structurally dead, dead"} == set(accused)
