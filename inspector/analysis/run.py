"""Rows in, one summary per analysis and tap; then what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from numbers import Real
from typing import Any, Final, cast

from inspector.analysis.attempt import Attempt, attempt
from inspector.analysis.plan import Entry, Plan
from inspector.analysis.registry import kind_of
from inspector.contract import (
    Array,
    BatchInfo,
    Column,
    Explored,
    Finding,
    Heatmap,
    Lab,
    Measured,
    Metric,
    ModelView,
    Summary,
    Table,
    Tap,
)
from inspector.contract.summary import check_shapes
from inspector.control import Stop
from inspector.errors import Inapplicable, PluginError
from inspector.graph.instrument import Request
from inspector.origin import many
from inspector.report import AnalysisResult, Failure

Rows = Mapping[Request, Array]


class Totals:
    """What has been added up so far, per analysis of a plan. An analysis that fails stays out from then on.

    Attributes:
        summaries: by tap. A tap is missing where it was never executed.
        nothing: by tap, why it gives nothing, whatever else was added up of it.
        failures: of the analyses.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.summaries: list[dict[Tap, Summary]] = [{} for _ in plan.entries]
        self.nothing: list[dict[Tap, str]] = [{} for _ in plan.entries]
        self.failures: list[Failure | None] = [entry.failure for entry in plan.entries]

    def add(self, rows: Rows, batch: BatchInfo) -> None:
        """One batch's rows, by request; each (N, ...). Those of a branch that was not taken are missing."""
        for index, entry in enumerate(self._plan.entries):
            if self.failures[index] is None and entry.watches:
                work = partial(self._add, index, entry, rows, batch)
                self.failures[index] = attempt(entry.analysis.name, work).failure

    def _add(self, index: int, entry: Entry, rows: Rows, batch: BatchInfo) -> None:
        analysis = cast("Measured[Summary, Any]", entry.analysis)
        totals, nothing = self.summaries[index], self.nothing[index]
        for watch in entry.watches:
            if watch.tap in nothing or any(request not in rows for request in watch.rows.values()):
                continue
            own = {name: rows[r] for name, r in watch.rows.items()}
            if reason := _not_one_each(own, batch):
                nothing[watch.tap] = reason
                continue
            part = analysis.summarize(watch.tap, own, batch)
            totals[watch.tap] = totals[watch.tap] + part if watch.tap in totals else part

    def join(self, other: Totals) -> None:
        """Adds what was added up elsewhere, of the same plan; the order of such calls is the order of adding."""
        for index, entry in enumerate(self._plan.entries):
            self.failures[index] = self.failures[index] or other.failures[index]
            if self.failures[index] is None and entry.watches:
                work = partial(self._join, index, other)
                self.failures[index] = attempt(entry.analysis.name, work).failure

    def _join(self, index: int, other: Totals) -> None:
        totals, parts = self.summaries[index], other.summaries[index]
        self.nothing[index] = other.nothing[index] | self.nothing[index]
        for tap, part in parts.items():
            if tap in totals:
                check_shapes(totals[tap], part)
                totals[tap] += part
            else:
                totals[tap] = part

    def found(self, index: int) -> tuple[dict[Tap, Summary], dict[Tap, str]]:
        """The summaries of an analysis, and why the other taps that it watches have none, in the plan's order."""
        nothing, totals = self.nothing[index], self.summaries[index]
        taps = [watch.tap for watch in self._plan.entries[index].watches]
        found = {tap: totals[tap] for tap in taps if tap in totals and tap not in nothing}
        return found, {tap: nothing.get(tap, _NEVER) for tap in taps if tap not in found}


_NEVER: Final = "it was never executed: no input took the branch that it is in"


def _not_one_each(rows: Mapping[str, Array], batch: BatchInfo) -> str:
    """A model may join several images along the batch axis inside; then no row belongs to one input."""
    found = next((len(row) for row in rows.values() if len(row) != len(batch.ids)), None)
    if found is None:
        return ""
    return (
        "the model changes the batch axis before it, so that its values cannot be told apart by input: "
        f"{many(found, 'row')} for {many(len(batch.ids), 'input')}; `activations` gives its maps as they are"
    )


def conclude(
    view: ModelView, plan: Plan, totals: Totals, lab: Lab | None, stop: Stop | None = None
) -> tuple[AnalysisResult, ...]:
    """Summaries to results, in the order of the plan. `lab` is for analyses that explore.

    `stop` ends it between two steps of analyses, with StoppedError; what a step itself takes cannot be cut short.
    """
    asked = stop or Stop()
    return tuple(
        _result(view, entry, *totals.found(i), totals.failures[i], lab, asked) for i, entry in enumerate(plan.entries)
    )


def _result(  # noqa: PLR0917 - everything about one analysis
    view: ModelView,
    entry: Entry,
    summaries: Mapping[Tap, Summary],
    nothing: Mapping[Tap, str],
    failure: Failure | None,
    lab: Lab | None,
    stop: Stop,
) -> AnalysisResult:
    stop.check()
    analysis = entry.analysis

    def shown() -> list[Any]:
        if kind_of(analysis) == "explored":
            if lab is None:
                raise Inapplicable(
                    "analysis", "it runs the model itself, and where summaries are added up there is nothing to run",
                    remedy="Ask for it in a run of its own.",
                )  # fmt: skip
            result = cast("Explored[Any]", analysis).explore(view, lab)
        else:
            if nothing and not summaries:
                tap, reason = next(iter(nothing.items()))
                raise Inapplicable(f"tap {tap.name!r}", reason, remedy="Choose other taps, or other inputs.")
            result = analysis.finalize(view, summaries)
        stop.check()
        return [*_checked(analysis, list(analysis.present(result))), *_left_out(nothing)]

    tried: Attempt[list[Any]] = Attempt(failure=failure) if failure else attempt(analysis.name, shown)
    items = tried.value or []
    return AnalysisResult(
        name=analysis.name,
        version=analysis.version,
        params=entry.params,
        blocks=tuple(i for i in items if not isinstance(i, Finding | Metric)),
        findings=tuple(i for i in items if isinstance(i, Finding)),
        failure=tried.failure,
        metrics=tuple(i for i in items if isinstance(i, Metric)),
    )


def _checked(analysis: Any, items: list[Any]) -> list[Any]:
    """The items; a policy can rely on it that no metric or rule is there that was not declared.

    Nor is there a heat map that no report could be stored with.
    """
    rules = getattr(analysis, "rules", ())
    declared = {info.name: info.per_channel for info in getattr(analysis, "metrics", ())}
    for item in items:
        if isinstance(item, Metric) and declared.get(item.name) is not bool(item.values.ndim):
            raise PluginError(
                f"metric {item.name!r} of {analysis.name!r}",
                "it is published in another way than it is declared",
                expected=f"one of {', '.join(declared) or '(none)'}, per channel as declared",
                remedy="Add a MetricInfo to the analysis's `metrics`.",
            )
        if isinstance(item, Finding) and rules and item.rule not in rules:
            raise PluginError(
                f"finding {item.rule!r} of {analysis.name!r}",
                "its rule is not declared",
                expected=f"one of {', '.join(rules)}",
                remedy="Add it to the analysis's `rules`.",
            )
        if isinstance(item, Heatmap) and not _are_meanings(item.meanings):
            raise PluginError(
                f"heat map {item.title!r} of {analysis.name!r}",
                "its `meanings` cannot be used",
                expected="a tuple of pairs of a number and a text",
                found=repr(item.meanings)[:80],
            )
    return items


def _are_meanings(given: Any) -> bool:
    return isinstance(given, tuple | list) and all(map(_is_meaning, given))


def _is_meaning(given: Any) -> bool:
    pair = isinstance(given, tuple | list) and len(given) == 2
    return pair and isinstance(given[0], Real) and isinstance(given[1], str)


def _left_out(nothing: Mapping[Tap, str]) -> list[Table]:
    """The taps that gave nothing, each with its reason; nothing to show where all gave something."""
    rows = tuple((tap.name, tap.tensor, reason) for tap, reason in nothing.items())
    columns = (Column("tap", "layer:kind"), Column("tensor", "name of the ONNX value"), Column("reason"))
    return [Table("Taps left out", columns, rows)] if rows else []


class ModelLab:
    """A lab over one model: runs it as often as an analysis asks, with whole maps as the answer."""

    def __init__(
        self, inputs: Mapping[str, Array], run: Callable[[Mapping[str, Array], tuple[Tap, ...]], Mapping[Tap, Array]]
    ) -> None:
        self.inputs = inputs
        self._run = run

    def run(self, feeds: Mapping[str, Array], taps: Iterable[Tap]) -> Mapping[Tap, Array]:
        """Whole maps (N, C, *space) at the taps; those that ran for no input are missing."""
        return self._run(feeds, tuple(taps))
