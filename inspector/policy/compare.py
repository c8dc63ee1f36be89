"""Two reports compared: what is not finite any more, died, came back, drifted, and whether the comparison is fair."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from inspector.contract import Metric, MetricInfo
from inspector.errors import InputError
from inspector.policy.changes import LEAST, LEVEL, changes_of, turned_of
from inspector.policy.compare_view import NAME, Compared, blocks, findings
from inspector.policy.failed import failed_analyses
from inspector.policy.matching import matched, single_numbers
from inspector.policy.unfair import unfair_facts
from inspector.report import AnalysisResult, Report

LAYERS: Final = ("added", "removed", "renamed", "resized", "retapped")
"""What can be said of a layer; each is a finding, a metric, and an attribute of `Matches`."""
RULES: Final = tuple(
    f"{NAME}/{rule}"
    for rule in (
        *("unfair", "failed-analysis", "not-finite", "died", "constant", "revived", "drifted", "finite-again"),
        *(f"{word}-layer" for word in LAYERS),
    )
)
METRICS: Final = (
    MetricInfo("not_finite", "channels with NaN or Inf for some input that had none", "channels"),
    MetricInfo("finite_again", "channels that had NaN or Inf for some input and have none", "channels"),
    MetricInfo("died", "channels that are dead and were not", "channels"),
    MetricInfo("constant", "channels that give one value everywhere, are not dead, and did not before", "channels"),
    MetricInfo("revived", "channels that were dead and are not", "channels"),
    MetricInfo("drifted", "channels active in another share of inputs, beyond chance", "channels"),
    MetricInfo("added_layers", "layers without a counterpart before", "layers"),
    MetricInfo("removed_layers", "layers without a counterpart after", "layers"),
    MetricInfo("renamed_layers", "layers matched by position and channels", "layers"),
    MetricInfo("resized_layers", "layers whose channels are not compared, as their number differs", "layers"),
    MetricInfo("retapped_layers", "layers watched at other taps, which are not compared", "layers"),
    MetricInfo("failed", "analyses that failed on either side, or apply to one of the two models only", "analyses"),
    MetricInfo("unfair", "facts of the two runs that differ and should not"),
)


def metrics_of(declared: Mapping[str, Sequence[MetricInfo]]) -> tuple[MetricInfo, ...]:
    """What a comparison declares, given what the analyses do: its own metrics, and a difference of each of theirs."""
    deltas = [
        MetricInfo(_delta(analysis, info.name), f"after minus before: {info.about}", info.unit)
        for analysis, infos in declared.items()
        for info in infos
        if not info.per_channel
    ]
    return (*METRICS, *deltas)


def infos_of(result: AnalysisResult) -> tuple[MetricInfo, ...]:
    """What a stored result declares by holding it."""
    names = dict.fromkeys((m.name, bool(m.values.ndim)) for m in result.metrics)
    return tuple(MetricInfo(name, "", per_channel=each) for name, each in names)


def _delta(analysis: str, metric: str) -> str:
    return f"delta_{analysis}_{metric}"


def compare(before: Report, after: Report) -> Report:
    """What changed from one report to the other, as a report about the second with one result, `compare`.

    Raises:
        InputError: a report has no metrics, as when it was stored by a version that had none.
    """
    for word, report in (("first", before), ("second", after)):
        if not any(result.metrics for result in report.results):
            remedy = "Make it anew, with analyses that publish metrics."
            raise InputError(f"{word} report", "it has no metrics to compare", remedy=remedy)
    matches = matched(before, after)
    changes = changes_of(matches)
    found = Compared(
        matches, changes, turned_of(matches, changes), unfair_facts(before, after), failed_analyses(before, after)
    )
    old = before.provenance
    params = {"model": old.model, "sha256": old.sha256, "started": old.started, "level": LEVEL, "least": float(LEAST)}
    result = AnalysisResult(
        NAME,
        "1",
        json.dumps(params),
        tuple(blocks(before, after, found)),
        tuple(findings(found)),
        metrics=tuple(_metrics(found)),
    )
    note = f"compared with model {old.model} (sha256 {old.sha256[:12]}) of {old.started or 'an unknown time'}"
    origin = replace(after.provenance, notes=(note, *after.provenance.notes))
    return Report(origin, (result,), after.skipped, after.skipped_count)


def _metrics(found: Compared) -> Iterator[Metric]:
    for x in found.changes:
        for name, flag in x.flags.items():
            yield Metric(name, np.asarray(np.count_nonzero(flag)), x.layer, x.tap)
    for t in found.turned:
        for name, count in t.counts.items():
            yield Metric(name, np.asarray(count), t.layer, t.tap)
    for layer, tap, analysis, name, old, new in single_numbers(found.matches):
        yield Metric(_delta(analysis, name), new - old, layer, tap)
    for word in LAYERS:
        yield Metric(f"{word}_layers", np.asarray(len(getattr(found.matches, word))))
    yield Metric("failed", np.asarray(len(found.failed)))
    yield Metric("unfair", np.asarray(len(found.unfair)))
