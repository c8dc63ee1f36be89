"""Which filters are off: for one input, over a data set, or for ever.

Definitions, for the maps a[n, c, ...] at a named tensor (peers differ here, so every table repeats them):

- zero fraction of channel c (APoZ; Hu et al. 2016, arXiv 1607.03250): zeros over elements, exact zeros only;
- silent for input n: every element of a[n, c] is zero;
- dead over the data set: silent for every input. After n inputs without a firing, the 95 % upper bound of the rate
  at which it fires is 1 - 0.05^(1/n);
- structurally dead: no input can make it fire, by its weights, its bias and the range of its input (see `_bounds`);
- a map with NaN or Inf counts as not finite and in nothing else; a channel that has one is neither dead nor constant.
  NaN shows in the mean, Inf in the extremes; that a mean overflows float32 makes no map infinite.

Where the activation gives no exact zeros (SiLU, GELU, LeakyRelu, a linear output, …) `|a| < near` stands in for zero,
and no channel is called silent or dead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydantic import Field

from inspector import (
    Array,
    BatchInfo,
    Block,
    Earliest,
    Finding,
    First,
    Max,
    Metric,
    Min,
    ModelView,
    Ops,
    Sum,
    Summary,
    Tap,
    Value,
    Zeros,
)
from inspector_plugins._bounds import never_fires
from inspector_plugins._sparsity_metrics import METRICS, metrics
from inspector_plugins._sparsity_result import LayerSparsity
from inspector_plugins._sparsity_view import RULES, show
from inspector_plugins._watched import Watching, watched

_NOT_BELOW_ZERO: Final = ("Relu", "Clip(0", "HardSigmoid", "Saturation(0")


@dataclass(frozen=True, eq=False)
class Activity(Summary):
    """What is remembered of one tap.

    Attributes:
        inputs: () inputs seen; those that never reached a tap in a branch of an If are none of them.
        finite: (C,) maps without NaN and Inf; only these count below.
        elements: (C,) elements of those maps.
        zeros: (C,) of them exactly zero, or nearer to zero than `near` where zeros mean nothing.
        active: (C,) of those maps with at least one element that is not (near) zero.
        peak: (C,) largest element. low: (C,) smallest.
        total: (C,) sum of the maps' means.
        first: (K, C) True where the map of one of the first K inputs was silent.
        broken: (C,) the first input whose map held NaN or Inf.
    """

    inputs: Sum
    finite: Sum
    elements: Sum
    zeros: Sum
    active: Sum
    peak: Max
    low: Min
    total: Sum
    first: First
    broken: Earliest


class Sparsity:
    """Measures how often every channel is zero, and which filters are silent, dead, constant or not finite."""

    name = "sparsity"
    version = "3"
    summary = Activity
    metrics = METRICS
    rules = RULES

    class Params(Watching):
        """Where to look, and what counts as zero and as rare."""

        near: float = Field(1e-3, gt=0, le=1e30, description="what counts as near zero where exact zeros mean nothing")
        rare: float = Field(0.01, ge=0, le=1, description="a channel active in a smaller share of inputs is rare")
        per_input: int = Field(
            8, ge=0, le=1024, description="for how many inputs silent channels are listed one by one"
        )

    def __init__(self, params: Params) -> None:
        self.params = params

    def select(self, model: ModelView) -> Sequence[Tap]:
        """The taps of the patterns."""
        return watched(model, self.params)

    def observe(self, op: Ops, x: Value, tap: Tap) -> Mapping[str, Value]:
        """Counts, extremes and mean of every map."""
        rows = {"elements": op.positions(x), "peak": op.max(x), "low": op.min(x), "mean": op.mean(x)}
        if tap.zeros is not Zeros.EXACT:
            return rows | {"near": op.count(op.less(op.abs(x), self.params.near))}
        rows["above"] = op.count(op.greater(x, 0.0))
        if not (tap.activation or "").startswith(_NOT_BELOW_ZERO):
            rows["below"] = op.count(op.less(x, 0.0))
        return rows

    def summarize(self, tap: Tap, rows: Mapping[str, Array], batch: BatchInfo) -> Activity:  # noqa: ARG002 - contract
        """One batch's rows, each (N, C), added up."""
        finite = np.isfinite(rows["peak"]) & np.isfinite(rows["low"]) & ~np.isnan(rows["mean"])
        elements = np.broadcast_to(rows["elements"], finite.shape)
        zeros = rows["near"] if "near" in rows else elements - rows["above"] - rows.get("below", np.int64(0))
        silent = finite & (zeros == elements)
        whole = bool(finite.all())

        def only(values: Array, otherwise: float) -> Array:
            return values if whole else np.where(finite, values, otherwise)

        return Activity(
            inputs=np.array(len(batch.ids), np.int64),
            finite=finite.sum(0, dtype=np.int64),
            elements=only(elements, 0).sum(0),
            zeros=only(zeros, 0).sum(0),
            active=(finite & ~silent).sum(0, dtype=np.int64),
            peak=only(rows["peak"], -np.inf).max(0),
            low=only(rows["low"], np.inf).min(0),
            total=only(rows["mean"], 0).sum(0, dtype=np.float64),
            first=First.of(self.params.per_input, batch.first, batch.ids, silent),
            broken=Earliest.of(batch.first, batch.ids, ~finite),
        )

    def finalize(self, model: ModelView, summaries: Mapping[Tap, Activity]) -> tuple[LayerSparsity, ...]:
        """What the counts mean, per tap, in layer order."""
        return tuple(self._layer(model, tap, s) for tap, s in summaries.items())

    def present(self, result: tuple[LayerSparsity, ...]) -> Sequence[Block | Finding | Metric]:
        """Tables, pictures of all channels, findings and metrics."""
        return [*show(result, self.params), *metrics(result)]

    def _layer(self, model: ModelView, tap: Tap, s: Activity) -> LayerSparsity:
        exact, seen = tap.zeros is Zeros.EXACT, s.finite > 0
        none = np.zeros(tap.channels, bool)
        whole = s.finite == int(s.inputs)
        dead = whole & (s.active == 0) & exact
        share = s.active / np.maximum(s.finite, 1)
        return LayerSparsity(
            tap=tap,
            inputs=int(s.inputs),
            finite=s.finite,
            zero_fraction=_ratio(s.zeros, s.elements),
            active=s.active,
            peak=np.where(seen, s.peak, np.nan),
            low=np.where(seen, s.low, np.nan),
            mean=_ratio(s.total, s.finite),
            dead=dead,
            structurally_dead=never_fires(model, tap) if exact else none,
            rare=(s.active > 0) & (share < self.params.rare) & exact,
            never_zero=seen & (s.zeros == 0) & exact,
            constant=whole & (s.peak == s.low) & ~dead,
            not_finite=~whole,
            silent=s.first,
            broken=s.broken,
        )


def _ratio(count: Array, of: Array) -> Array:
    ratio: Array = np.divide(count, of, out=np.full(count.shape, np.nan), where=of > 0)
    return ratio
