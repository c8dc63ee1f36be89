"""How the distribution analysis is shown: tables, a picture of all scores, findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from inspector import Block, Cell, Column, Finding, Heatmap, Note, Scale, ScaleKind, Severity, Table
from inspector_plugins._distribution_result import TapDistribution
from inspector_plugins._findings import severity_after
from inspector_plugins._ranked import ranked
from inspector_plugins._tables import mean_of, number, numbers, verdicts, without_empty
from inspector_plugins._wording import channels_of, counted

_GATES: Final = frozenset({"Sigmoid", "HardSigmoid"})
"""Activations of gates and of outputs, which go to their bounds where a network is sure."""
_DECIDES: Final = (
    "Healthy where this is a gate that is open or shut for good, or an output that is sure: a detector finds nothing "
    "nearly everywhere. Elsewhere look at the scale of weights and inputs: at a bound there is no gradient."
)
_LOST: Final = "Look at the scale of weights and inputs: what lies beyond a bound is lost, as is its gradient."

RULES: Final = ("distribution/dormant", "distribution/saturated", "distribution/unvarying")
_MOST_SCORE: Final = 2.0


def show(result: Sequence[TapDistribution], params: Any) -> list[Block | Finding]:
    """Everything, most important first."""
    blocks: list[Block | Finding] = [_layers(result, params), _scores(result), _channels(result), _definitions(params)]
    return blocks + [finding for x in result for finding in _findings(x, params)]


def _layers(result: Sequence[TapDistribution], params: Any) -> Table:
    columns = (
        Column("tap", "layer:kind"),
        Column("tensor", "name of the watched ONNX value"),
        Column("after", "activation just before it"),
        Column("channels"),
        Column("dormant", f"channels whose score is at most {params.tau:g}", "channels"),
        Column("unvarying", "channels whose map has one mean and one peak for every input, not zero", "channels"),
        Column("not finite", "channels with NaN or Inf for some input", "channels"),
        Column("mean", "mean over channels of the mean over inputs of the maps' means"),
        Column("median deviation", "median over channels of the standard deviation over inputs of the maps' means"),
        Column("median peak", "median over channels of the median over inputs of the maps' peaks"),
        Column("greatest p99 peak", "largest over channels of the 99 % quantile over inputs of the maps' peaks"),
        Column("bound", "where elements are saturated; none where the activation has no bound"),
        Column("at bound", "mean over channels of the share of elements there; none as before"),
        Column("saturated", f"channels with at least {params.saturated:g} of their elements there", "channels"),
        Column("shared", "yes: behind a residual sum, so the values belong to the sum"),
    )
    reached = [x.inputs for x in result] or [0]
    rows = tuple(_layer_row(x) for x in result)
    fewest = f" (some taps: {min(reached)})" * (min(reached) < max(reached))
    caption = f"Over {counted(max(reached), 'input')}{fewest}: of one number per map and input, not of elements."
    return without_empty(Table("Distribution by layer", columns, rows, caption))


def _layer_row(x: TapDistribution) -> tuple[Cell, ...]:
    def median(values: Any) -> float | None:
        finite = values[np.isfinite(values)]
        return float(np.median(finite)) if finite.size else None

    return (
        x.tap.name, x.tap.tensor, x.tap.activation or "(linear)", x.tap.channels,
        int(x.dormant.sum()), int(x.unvarying.sum()), int(x.not_finite.sum()),
        mean_of(x.mean), median(x.deviation), median(x.peaks[1]), number(np.fmax.reduce(x.peaks[2])),
        x.bound or None, mean_of(x.at_bound), int(x.saturated.sum()) if x.bound else None, x.tap.shared,
    )  # fmt: skip


def _scores(result: Sequence[TapDistribution]) -> Heatmap:
    return ranked(
        "Score of every channel",
        {x.tap: np.minimum(x.score, _MOST_SCORE) for x in result},
        Scale(ScaleKind.SEQUENTIAL, 0.0, _MOST_SCORE, f"score; {_MOST_SCORE:g}: that or more"),
        "quietest to the loudest",
        {0.0: "exactly 0: zero everywhere"},
        "Dark at the left end of a row: channels that are hardly ever used. 1 is the layer's mean.",
    )


def _channels(result: Sequence[TapDistribution]) -> Table:
    columns = (
        Column("tap", "layer:kind"),
        Column("channel"),
        Column("mean", "mean over inputs of the maps' means"),
        Column("deviation", "standard deviation over inputs of the maps' means"),
        *(Column(f"{share} mean", "quantile over inputs of the maps' means") for share in ("p1", "p50", "p99")),
        *(Column(f"{share} peak", "quantile over inputs of the maps' peaks") for share in ("p1", "p50", "p99")),
        Column("score", "mean |a| over the layer's mean of that"),
        Column("at bound", "share of elements at a bound, where there is one"),
        Column("verdict", "dormant, saturated, unvarying, not finite; empty: nothing special"),
    )
    rows = tuple(row for x in result for row in _channel_rows(x))
    return Table("Distribution by channel", columns, rows, "Quantiles are right to a 64th of their value.")


def _channel_rows(x: TapDistribution) -> Iterator[tuple[Cell, ...]]:
    flags = {
        "dormant": x.dormant, "saturated": x.saturated, "unvarying": x.unvarying, "not finite": x.not_finite,
    }  # fmt: skip
    columns = (x.mean, x.deviation, *x.means, *x.peaks, x.score, x.at_bound)
    for channel, row in enumerate(zip(*map(numbers, columns), verdicts(flags), strict=True)):
        yield x.tap.name, channel, *row


def _definitions(params: Any) -> Note:
    return Note(
        "Every map gives two numbers, its mean and its peak (largest element); what is shown is how these are spread "
        "over the inputs. The score compares a channel's mean |a| with that of its layer's channels; at most "
        f"{params.tau:g} is dormant, 0 is zero everywhere (Sokar et al. 2023). Saturated elements lie at the bound of "
        f"a bounded activation, for Sigmoid and Tanh within {params.edge:g} of it; zeros of a rectifier are no "
        "saturation. Maps with NaN or Inf are left out of everything but the count of channels that are not finite.",
        "What the numbers mean",
    )


def _findings(x: TapDistribution, params: Any) -> Iterator[Finding]:
    sure, inputs = severity_after(x.inputs), counted(x.inputs, "input")
    decides = x.tap.activation in _GATES
    if x.dormant.sum() >= max(1, params.many * x.tap.channels):
        be, their = _of(x.dormant, "is", "are"), _of(x.dormant, "its", "their")
        state, over = ("quiet", "for the only input") if x.inputs == 1 else ("dormant", f"over {inputs}")
        yield _finding(
            x, x.dormant, f"{be} {state}: {their} mean |a| {over} is at most {params.tau:g} of the layer's",
            rule="distribution/dormant", severity=sure,
            remedy="Check with more data; prune them, or look at the learning rate. Channels that sleep on clean data "
            "are also where backdoors have been found to hide (Fine-Pruning, arXiv:1805.12185): a signal that is worth "
            "a look, not a verdict.",
        )  # fmt: skip
    if x.saturated.any():
        yield _finding(
            x, x.saturated, f"{_of(x.saturated, 'has', 'have')} at least {params.saturated:g} of "
            f"{_of(x.saturated, 'its', 'their')} elements {x.bound}",
            rule="distribution/saturated", severity=Severity.INFO if decides else Severity.WARNING,
            remedy=_DECIDES if decides else _LOST,
        )  # fmt: skip
    if x.unvarying.any():
        yield _finding(
            x, x.unvarying, f"gave the same mean and the same peak for each of {inputs}",
            rule="distribution/unvarying", severity=sure,
            remedy="What never varies says nothing about the input; look at its weights, or fold it into a bias.",
        )  # fmt: skip


def _of(flag: Any, one: str, several: str) -> str:
    """The words for one channel, or those for several."""
    return one if flag.sum() == 1 else several


def _finding(x: TapDistribution, flag: Any, what: str, *, rule: str, severity: Severity, remedy: str) -> Finding:
    channels = channels_of(flag)
    whose = " (of the residual sum)" * x.tap.shared
    return Finding(
        rule=rule,
        severity=severity,
        message=f"{x.tap.name}: {len(channels)} of {counted(x.tap.channels, 'channel')}{whose} {what}",
        layer=x.tap.layer,
        channels=channels,
        evidence={"tensor": x.tap.tensor, "tap": x.tap.kind.value, "inputs": x.inputs},
        remedy=remedy,
    )
