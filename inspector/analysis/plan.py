"""What a run has to bring out of the graph: pure, decided before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from inspector.analysis.attempt import Attempt, attempt
from inspector.analysis.registry import AnalysisRequest, kind_of, make
from inspector.contract import Analysis, Measured, ModelView, Ops, Summary, Tap
from inspector.contract.measures import TAPPED, keeps_maps
from inspector.control import Stop
from inspector.errors import LimitError, PluginError
from inspector.graph.instrument import Request
from inspector.graph.rewriting.ops import is_known
from inspector.report import Failure

MAX_ANALYSES: Final = 64
"""Analyses of one run."""


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """What one analysis wants of one tap: its rows by name."""

    tap: Tap
    rows: Mapping[str, Request]


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One analysis of a plan. With a `failure` it takes no part in the run."""

    analysis: Analysis[Any]
    params: str
    watches: tuple[Watch, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Every analysis of a run, and the distinct requests of all of them together."""

    entries: tuple[Entry, ...]
    requests: tuple[Request, ...]

    @property
    def needs_inputs(self) -> tuple[str, ...]:
        """Names of the analyses that cannot say anything without inputs."""
        return tuple(e.analysis.name for e in self.entries if kind_of(e.analysis) != "static" and e.failure is None)


def make_plan(
    view: ModelView, analyses: Sequence[str | AnalysisRequest], *, allow_maps: bool, stop: Stop | None = None
) -> Plan:
    """Finds the analyses and asks each what it wants.

    Args:
        view: the model.
        analyses: what to run, in this order; what is asked for twice is answered twice, from the same rows.
        allow_maps: whether whole maps may leave the graph; where not, an analysis that keeps them fails.
        stop: ends it between two analyses.

    Raises:
        NotFoundError, ParameterError, PluginError: an analysis that cannot be made; nothing has run yet.
        LimitError: more than `MAX_ANALYSES`, or the text of one is too long.
    """
    if len(analyses) > MAX_ANALYSES:
        raise LimitError(
            "analyses",
            "there are too many for one run",
            expected=f"at most {MAX_ANALYSES}",
            found=str(len(analyses)),
            remedy="Run them in several.",
        )
    requests = [AnalysisRequest.parse(a) if isinstance(a, str) else a for a in analyses]
    entries: list[Entry] = []
    for request in requests:
        if stop is not None:
            stop.check()
        entries.append(_entry(view, request, allow_maps=allow_maps))
    distinct = dict.fromkeys(r for e in entries for w in e.watches for r in w.rows.values())
    return Plan(tuple(entries), tuple(distinct))


def _entry(view: ModelView, request: AnalysisRequest, *, allow_maps: bool) -> Entry:
    params, analysis = make(request)
    if kind_of(analysis) != "measured":
        return Entry(analysis, params)
    tried: Attempt[tuple[Watch, ...]] = attempt(
        analysis.name, lambda: _watches(view, cast("Measured[Summary, Any]", analysis), allow_maps=allow_maps)
    )
    return Entry(analysis, params, tried.value or (), tried.failure)


def _watches(view: ModelView, analysis: Measured[Summary, Any], *, allow_maps: bool) -> tuple[Watch, ...]:
    taps = dict.fromkeys(analysis.select(view))
    for tap in taps:
        if tap not in (view.input_taps if tap.is_input else view.layer(tap.layer).taps.values()):
            raise PluginError(f"tap {tap.name!r}", "it is none of this model's", remedy="Choose among model.taps().")
    return tuple(_watch(analysis, tap, allow_maps=allow_maps) for tap in taps)


def _watch(analysis: Measured[Summary, Any], tap: Tap, *, allow_maps: bool) -> Watch:
    rows = analysis.observe(Ops(), TAPPED, tap)
    for name, value in rows.items():
        if not is_known(value):
            raise PluginError(f"row {name!r}", "it is made of an unknown operator", expected="what Ops builds")
        if value.form != "rows":
            raise PluginError(
                f"row {name!r}", "it is not small enough to leave the graph", expected="rows", found=value.form
            )
        if keeps_maps(value) and not allow_maps:
            raise LimitError(
                f"analysis {analysis.name!r}",
                "it keeps whole maps, which an audit of many inputs refuses",
                remedy="Use inspect with a few inputs.",
            )
    return Watch(tap, {name: Request(tap.tensor, value) for name, value in rows.items()})
