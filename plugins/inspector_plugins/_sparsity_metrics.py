"""The numbers that the sparsity analysis publishes for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from inspector import Metric, MetricInfo
from inspector_plugins._sparsity_result import LayerSparsity

METRICS: Final = (
    MetricInfo("inputs", "inputs that were seen", "inputs"),
    MetricInfo("channels", "channels of the tap", "channels"),
    MetricInfo("zero_fraction", "mean zero fraction of the channels, 0 to 1; where zeros mean something"),
    MetricInfo("near_zero", "mean near-zero share of the channels, 0 to 1; where zeros mean nothing"),
    MetricInfo("dead", "channels silent for every input; where zeros mean something", "channels"),
    MetricInfo("dead_share", "dead over channels, 0 to 1; where zeros mean something"),
    MetricInfo("structurally_dead", "channels that no input can make fire; where zeros mean something", "channels"),
    MetricInfo("rare", "channels active in too small a share of inputs; where zeros mean something", "channels"),
    MetricInfo("silent_share", "maps zero everywhere over finite maps, 0 to 1; where zeros mean something"),
    MetricInfo("never_zero", "channels without a single zero; where zeros mean something", "channels"),
    MetricInfo("constant", "channels with one value everywhere, not dead", "channels"),
    MetricInfo("not_finite", "channels with NaN or Inf for some input", "channels"),
    MetricInfo("peak", "largest element; NaN where no map was finite"),
    MetricInfo("mean", "mean over channels of the channels' means; NaN where no map was finite"),
    MetricInfo("channel_finite", "finite maps that were seen", "maps", per_channel=True),
    MetricInfo("channel_active", "finite maps with an element that is not (near) zero", "maps", per_channel=True),
    MetricInfo("channel_dead", "1 where dead, else 0; where zeros mean something", per_channel=True),
    MetricInfo("channel_constant", "1 where one value everywhere, and not dead, else 0", per_channel=True),
    MetricInfo("channel_zero_fraction", "zero fraction, or near-zero share where zeros mean nothing", per_channel=True),
    MetricInfo("channel_peak", "largest element", per_channel=True),
    MetricInfo("channel_mean", "mean of the maps' means", per_channel=True),
)


def metrics(result: Sequence[LayerSparsity]) -> Iterator[Metric]:
    """All of them, tap by tap; where zeros mean nothing, nothing is said about zeros."""
    for x in result:
        for name, values in _numbers(x).items():
            yield Metric(name, np.asarray(values), x.tap.layer, x.tap.kind.value)


def _numbers(x: LayerSparsity) -> dict[str, Any]:
    zero, maps = _mean(x.zero_fraction), int(x.finite.sum())
    common = {
        "inputs": x.inputs,
        "channels": x.tap.channels,
        "constant": np.count_nonzero(x.constant),
        "not_finite": np.count_nonzero(x.not_finite),
        "peak": np.fmax.reduce(x.peak, initial=-np.inf) if np.isfinite(x.peak).any() else np.nan,
        "mean": _mean(x.mean),
        "channel_finite": x.finite,
        "channel_active": x.active,
        "channel_constant": x.constant,
        "channel_zero_fraction": x.zero_fraction,
        "channel_peak": x.peak,
        "channel_mean": x.mean,
    }
    if not x.exact:
        return common | {"near_zero": zero}
    dead = int(np.count_nonzero(x.dead))
    return common | {
        "zero_fraction": zero,
        "dead": dead,
        "dead_share": dead / x.tap.channels,
        "structurally_dead": np.count_nonzero(x.structurally_dead),
        "rare": np.count_nonzero(x.rare),
        "silent_share": (maps - int(x.active.sum())) / maps if maps else np.nan,
        "never_zero": np.count_nonzero(x.never_zero),
        "channel_dead": x.dead,
    }


def _mean(values: Any) -> float:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return float("nan")
    mean = finite.mean()
    return float(mean + (finite - mean).mean())  # the mean of equal shares is that share, to the last digit
