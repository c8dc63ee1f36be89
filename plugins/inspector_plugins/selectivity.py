"""Which channels answer to one class: the class selectivity of Morcos et al. 2018 (arXiv 1803.06959).

For the maps a[n, c, ...] at a named tensor, mu_k(c) is the mean over the inputs of class k of the mean over positions:

    index(c) = (mu_max - mu_rest) / (mu_max + mu_rest)

mu_max is the largest mu_k(c), mu_rest the mean of the others, every class weighing the same. 0: all classes alike; 1:
one class alone. There is none for a channel that is zero for all of them (0/0), or that gave NaN or Inf. It needs
values that are not below zero, so other activations are left out, and at least two classes. Inputs without a label are
left out and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from inspector import (
    Array,
    BatchInfo,
    Block,
    ByLabel,
    Finding,
    Inapplicable,
    Metric,
    ModelView,
    Ops,
    Summary,
    Tap,
    Value,
)
from inspector_plugins._activation_bounds import is_nonnegative, sign_depends_on
from inspector_plugins._selectivity_result import Selectivities, TapSelectivity
from inspector_plugins._selectivity_view import METRICS, metrics, show
from inspector_plugins._watched import Watching, watched


@dataclass(frozen=True, eq=False)
class Classes(Summary):
    """What is remembered of one tap: sums (L, C) of the maps' means, by class."""

    means: ByLabel


class Selectivity:
    """Measures how far every channel answers to one class alone; needs labels."""

    name = "selectivity"
    version = "1"
    summary = Classes
    metrics = METRICS

    class Params(Watching):
        """Where to look, and how much to show."""

        most_classes: int = Field(1000, ge=2, le=100_000, description="more classes than this are refused")
        top: int = Field(24, ge=1, le=256, description="how many of the most selective channels are drawn")

    def __init__(self, params: Params) -> None:
        self.params = params

    def select(self, model: ModelView) -> Sequence[Tap]:
        """The taps of the patterns whose values are not below zero."""
        taps = watched(model, self.params)
        chosen = tuple(tap for tap in taps if is_nonnegative(tap))
        if not chosen:
            raise Inapplicable(f"model {model.name!r}", f"no tap can be used: {_below_zero(taps[0])}")
        return chosen

    def observe(self, op: Ops, x: Value, tap: Tap) -> Mapping[str, Value]:  # noqa: ARG002 - contract
        """The mean of every map."""
        return {"mean": op.mean(x)}

    def summarize(self, tap: Tap, rows: Mapping[str, Array], batch: BatchInfo) -> Classes:  # noqa: ARG002 - contract
        """One batch's means, (N, C), added up by class."""
        return Classes(ByLabel.of(self.params.most_classes, batch.labels, rows["mean"]))

    def finalize(self, model: ModelView, summaries: Mapping[Tap, Classes]) -> Selectivities:
        """The index of every channel, per tap, in layer order.

        Raises:
            Inapplicable: no tap has seen inputs of two classes.
        """
        left_out = {tap: _below_zero(tap) for tap in watched(model, self.params) if not is_nonnegative(tap)}
        found = []
        for tap, summary in summaries.items():
            s = summary.means
            if len(s.labels) < 2:
                left_out[tap] = f"it saw inputs of {len(s.labels)} classes; at least 2 are needed"
                continue
            found.append(TapSelectivity.of(tap, s.labels.tolist(), s.inputs, int(s.unlabelled), s.sums))
        if not found:
            classes = max(len(s.means.labels) for s in summaries.values())
            raise Inapplicable(
                "labels",
                "selectivity compares classes, and the inputs do not have two",
                expected="labels of at least 2 classes",
                found=f"{classes}",
                remedy="Put pictures into one folder per class, or use tar or Parquet files that hold labels.",
            )
        return Selectivities(found, left_out)

    def present(self, result: Selectivities) -> Sequence[Block | Finding | Metric]:
        """Tables, a picture of the most selective channels, metrics."""
        return [*show(result, self.params), *metrics(result)]


def _below_zero(tap: Tap) -> str:
    what = f"after {tap.activation}" if tap.activation else "without an activation"
    if unknown := sign_depends_on(tap):
        return f"{what} it depends on {unknown} whether values can lie below zero, where the index means nothing"
    return f"{what} values can lie below zero, where the index means nothing"
