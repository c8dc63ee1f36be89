"""How every channel's activity is distributed over a data set: moments, quantiles, dormant and saturated channels.

Definitions, for the maps a[n, c, ...] at a named tensor:

- what is distributed is one number per map, over the inputs: its mean, or its peak (largest element); never the
  elements;
- score of channel c (Sokar et al. 2023, arXiv 2302.12902): E|a[:, c]| over the mean of that over the layer's channels,
  E being the mean over inputs of the mean over positions; 0 for a channel that is zero everywhere. Dormant: score at
  most `tau`. Means the same whatever the activation is;
- saturated: an element at the bound of a bounded activation (Clip, HardSigmoid), or within `edge` of it (Sigmoid,
  Tanh, Softsign);
- unvarying: mean and peak of the map are the same for every input, at least two, and the map is not zero;
- a map with NaN or Inf counts as not finite and in nothing else; a channel that has one is neither dormant nor
  unvarying.
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
    Finding,
    Histogram,
    Metric,
    ModelView,
    Moments,
    Ops,
    Sum,
    Summary,
    Tap,
    Value,
)
from inspector_plugins._activation_bounds import is_nonnegative, saturation
from inspector_plugins._distribution_metrics import METRICS, metrics
from inspector_plugins._distribution_result import SHARES, TapDistribution
from inspector_plugins._distribution_view import RULES, show
from inspector_plugins._watched import Watching, watched

MEAN_ROUNDING: Final = 3e-6
"""How far the mean of a map of equal numbers may be from these, of one (docs/numbers.md)."""


@dataclass(frozen=True, eq=False)
class Spread(Summary):
    """What is remembered of one tap.

    Attributes:
        inputs: () inputs seen; those that never reached a tap in a branch of an If are none of them.
        means: of the means of the maps that are finite; only these maps count below.
        peaks: of their largest elements.
        mean_shape: how the means are distributed. peak_shape: the largest elements.
        size: (C,) sum of the means of |a|.
        elements: (C,) elements of the maps. saturated: (C,) of them at a bound; both 0 where nothing is bounded.
    """

    inputs: Sum
    means: Moments
    peaks: Moments
    mean_shape: Histogram
    peak_shape: Histogram
    size: Sum
    elements: Sum
    saturated: Sum


class Distribution:
    """Measures how every channel's activity is spread over inputs, and which ones are dormant or saturated."""

    name = "distribution"
    version = "1"
    summary = Spread
    metrics = METRICS
    rules = RULES

    class Params(Watching):
        """Where to look, and what counts as dormant and as saturated."""

        tau: float = Field(0.025, ge=0, le=1, description="a channel with at most this score is dormant")
        many: float = Field(
            0.1, ge=0, le=1, description="share of dormant channels in a layer from which it is a finding"
        )
        edge: float = Field(0.01, gt=0, lt=0.5, description="how near to a bound of Sigmoid or Tanh is saturated")
        saturated: float = Field(
            0.5, gt=0, le=1, description="share of elements at a bound from which a channel is called saturated"
        )

    def __init__(self, params: Params) -> None:
        self.params = params

    def select(self, model: ModelView) -> Sequence[Tap]:
        """The taps of the patterns."""
        return watched(model, self.params)

    def observe(self, op: Ops, x: Value, tap: Tap) -> Mapping[str, Value]:
        """Mean, peak and size of every map, and how many elements are at a bound."""
        rows = {"mean": op.mean(x), "peak": op.max(x)}
        if not is_nonnegative(tap):
            rows["size"] = op.mean(op.abs(x))
        if bounds := saturation(tap, self.params.edge):
            rows["elements"] = op.positions(x)
            if bounds.below is not None:
                rows["low"] = op.count(op.less(x, bounds.below))
            if bounds.above is not None:
                rows["high"] = op.count(op.greater(x, bounds.above))
        return rows

    def summarize(self, tap: Tap, rows: Mapping[str, Array], batch: BatchInfo) -> Spread:  # noqa: ARG002 - contract
        """One batch's rows, each (N, C), added up."""
        mean, peak, size = rows["mean"], rows["peak"], rows.get("size", rows["mean"])
        finite = np.isfinite(mean) & np.isfinite(peak) & np.isfinite(size)
        none = np.zeros((1, 1), np.int64)
        at_bound = rows.get("low", none) + rows.get("high", none)
        return Spread(
            inputs=np.array(len(batch.ids), np.int64),
            means=Moments.of(mean, finite),
            peaks=Moments.of(peak, finite),
            mean_shape=Histogram.of(mean, finite),
            peak_shape=Histogram.of(peak, finite),
            size=np.where(finite, size, 0).sum(0, dtype=np.float64),
            elements=np.where(finite, rows.get("elements", none), 0).sum(0),
            saturated=np.where(finite, at_bound, 0).sum(0),
        )

    def finalize(self, model: ModelView, summaries: Mapping[Tap, Spread]) -> tuple[TapDistribution, ...]:  # noqa: ARG002 - contract
        """What the numbers mean, per tap, in layer order."""
        return tuple(self._tap(tap, s) for tap, s in summaries.items())

    def present(self, result: tuple[TapDistribution, ...]) -> Sequence[Block | Finding | Metric]:
        """Tables, a picture of all scores, findings and metrics."""
        return [*show(result, self.params), *metrics(result)]

    def _tap(self, tap: Tap, s: Spread) -> TapDistribution:
        finite, inputs = s.means.count, int(s.inputs)
        seen, whole = finite > 0, finite == inputs
        size = _ratio(s.size, finite)
        score = _scores(size)
        bounds = saturation(tap, self.params.edge)
        at_bound = _ratio(s.saturated, s.elements)
        deviation = np.sqrt(s.means.variance)
        fixed = (s.peaks.m2 == 0) & ((deviation == 0) | _is_flat(s.means.mean, deviation, s.peaks.mean)) & (size > 0)
        return TapDistribution(
            tap=tap,
            inputs=inputs,
            finite=finite,
            mean=np.where(seen, s.means.mean, np.nan),
            deviation=deviation,
            means=s.mean_shape.quantiles(SHARES),
            peaks=s.peak_shape.quantiles(SHARES),
            score=score,
            dormant=whole & (score <= self.params.tau),
            bound=bounds.where if bounds else "",
            at_bound=at_bound,
            saturated=np.nan_to_num(at_bound) >= self.params.saturated,
            unvarying=whole & fixed & (inputs > 1),
        )


def _is_flat(mean: Array, deviation: Array, peak: Array) -> Array:
    """(C,) whether all maps are of one value: their means differ by rounding only, as those of several sizes do."""
    room = MEAN_ROUNDING * np.abs(peak)
    flat: Array = (np.abs(mean - peak) <= room) & (deviation <= room)
    return flat


def _scores(size: Array) -> Array:
    """(C,) sizes over their mean; 0 where the size is, NaN where no map was finite."""
    typical = np.nanmean(size) if np.isfinite(size).any() else np.nan
    return np.where(size == 0, 0.0, size / typical if typical > 0 else size)


def _ratio(count: Array, of: Array) -> Array:
    ratio: Array = np.divide(count, of, out=np.full(count.shape, np.nan), where=of > 0)
    return ratio
