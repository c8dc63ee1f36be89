"""The numbers that the distribution analysis publishes for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from inspector import Metric, MetricInfo
from inspector_plugins._distribution_result import TapDistribution

METRICS: Final = (
    MetricInfo("inputs", "inputs that were seen", "inputs"),
    MetricInfo("channels", "channels of the tap", "channels"),
    MetricInfo("not_finite", "channels with NaN or Inf for some input", "channels"),
    MetricInfo("dormant", "channels whose score is at most tau", "channels"),
    MetricInfo("dormant_share", "dormant over channels, 0 to 1"),
    MetricInfo("unvarying", "channels whose map has one mean and one peak for every input, not zero", "channels"),
    MetricInfo("saturated", "channels with too large a share of elements at a bound; where bounded", "channels"),
    MetricInfo("saturated_share", "mean over channels of the share of elements at a bound; where bounded"),
    MetricInfo("channel_mean", "mean over inputs of the maps' means", per_channel=True),
    MetricInfo("channel_deviation", "standard deviation over inputs of the maps' means", per_channel=True),
    MetricInfo("channel_peak_median", "median over inputs of the maps' largest elements", per_channel=True),
    MetricInfo("channel_peak_p99", "99 % quantile over inputs of the maps' largest elements", per_channel=True),
    MetricInfo("channel_score", "mean |a| over the layer's mean of that, 0 to C", per_channel=True),
    MetricInfo("channel_saturated_share", "share of elements at a bound; where bounded", per_channel=True),
)


def metrics(result: Sequence[TapDistribution]) -> Iterator[Metric]:
    """All of them, tap by tap; where nothing is bounded, nothing is said about bounds."""
    for x in result:
        for name, values in _numbers(x).items():
            yield Metric(name, np.asarray(values), x.tap.layer, x.tap.kind.value)


def _numbers(x: TapDistribution) -> dict[str, Any]:
    dormant = int(np.count_nonzero(x.dormant))
    numbers = {
        "inputs": x.inputs,
        "channels": x.tap.channels,
        "not_finite": np.count_nonzero(x.not_finite),
        "dormant": dormant,
        "dormant_share": dormant / x.tap.channels,
        "unvarying": np.count_nonzero(x.unvarying),
        "channel_mean": x.mean,
        "channel_deviation": x.deviation,
        "channel_peak_median": x.peaks[1],
        "channel_peak_p99": x.peaks[2],
        "channel_score": x.score,
    }
    if not x.bound:
        return numbers
    shares = x.at_bound[np.isfinite(x.at_bound)]
    return numbers | {
        "saturated": np.count_nonzero(x.saturated),
        "saturated_share": shares.mean() + (shares - shares.mean()).mean() if shares.size else np.nan,
        "channel_saturated_share": x.at_bound,
    }
