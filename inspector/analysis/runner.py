"""One run, from a plan and data to a report."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import numpy as np

from inspector.analysis.feed import Feed
from inspector.analysis.how import How
from inspector.analysis.identity import Identity
from inspector.analysis.keep import NOTHING_KEPT, Keep, Keeper
from inspector.analysis.observe import Observer
from inspector.analysis.parts import combined
from inspector.analysis.plan import Plan
from inspector.analysis.registry import kind_of
from inspector.analysis.run import ModelLab, Totals, conclude
from inspector.analysis.shards import count
from inspector.contract import Array, Tap
from inspector.contract.measures import TAPPED, Ops
from inspector.control import Watcher
from inspector.errors import Inapplicable, InputError, LimitError
from inspector.graph.instrument import Request
from inspector.graph.view import OnnxView
from inspector.report import AnalysisResult, Provenance, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(How):
    """How a run is carried out, and what is fed: see `inspector.service.audit`; `most` limits the inputs.

    `shard_size`: inputs that are added up together before they are added to the others; 0: all of them.
    """

    preprocess: str
    watch: Watcher
    most: int | None = None
    strict: bool = False
    shard_size: int = 0

    def observer(self, view: OnnxView, requests: Sequence[Request]) -> Observer:
        """An observer of these requests; inputs share a run when the batch size allows it."""
        return Observer(view, requests, self)

    def feed(self, view: OnnxView, data: Any) -> Feed:
        """The data on its way in; an InputError where nothing tells what one input is."""
        _refuse_unclear(view)
        return Feed(
            data, view.inputs, self.preprocess, watch=self.watch, stop=self.stop, most=self.most, strict=self.strict,
            shard_size=self.shard_size,
        )  # fmt: skip

    def provenance(self, view: OnnxView, feed: Feed, ran: Observer) -> Provenance:
        """How it ran so far; what counts inputs and time is added at the end."""
        return replace(
            _origin(view),
            data=feed.source.description,
            batch=ran.batch,
            preprocess=feed.preprocessed,
            fidelity=self.fidelity if ran.device else "",
            device=ran.device,
            providers=ran.providers,
            notes=(*feed.source.notes, *ran.notes),
            check=ran.checked.check if ran.checked else None,
            operators=ran.checked.operators if ran.checked else (),
            memory=ran.memory,
        )

    def identity(self, view: OnnxView, plan: Plan, feed: Feed) -> Identity:
        """What identifies a run with these settings."""
        return Identity.of(
            view, plan, fidelity=self.fidelity, preprocess=feed.preprocess, shard_size=self.shard_size
        )  # fmt: skip


UNUSED: Final = "preprocessing was asked for and not needed, as no input was a picture"
Run = Callable[[Feed, Keeper], None]
"""Runs the shards that a keeper finds due, and hands it what they give, in order."""


def report(
    view: OnnxView, data: Any, plan: Plan, setting: Setting, *, keep: Keep = NOTHING_KEPT, run: Run | None = None
) -> Report:
    """Runs a plan. `data` None: only what the weights say. `run` None: here, one shard after the other.

    An OutputError has the report, where the run went on without what could not be written.
    """
    began, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    keep.check(plan)
    if data is None or not plan.needs_inputs:
        if plan.needs_inputs:
            raise InputError(
                f"analysis {plan.needs_inputs[0]!r}",
                "it needs inputs and none were given",
                remedy="Give pictures or arrays.",
            )
        results = conclude(view, plan, Totals(plan), None, setting.stop)
        notes = () if data is None else ("the data was not read: what ran looks at weights alone",)
        return Report(replace(_origin(view), notes=notes, started=started, seconds=time.monotonic() - began), results)
    feed = setting.feed(view, data)
    with Keeper(keep, setting.identity(view, plan, feed), plan, feed) as keeper:
        if not keeper.idle:
            (run or _here(view, plan, setting))(feed, keeper)
            feed.finish()
    if keeper.idle:
        results, provenance = (), _idle(view, feed, keeper)
    else:
        results, provenance = _concluded(view, plan, setting, feed, keeper)
    provenance = replace(provenance, started=started, seconds=time.monotonic() - began, waited=feed.waited)
    found = Report(provenance, results, tuple(keeper.gathered.skipped), keeper.gathered.skipped_count)
    if keeper.problem:
        raise keeper.problem.with_report(found)
    return found


def _here(view: OnnxView, plan: Plan, setting: Setting) -> Run:
    def run(feed: Feed, keeper: Keeper) -> None:
        observer = setting.observer(view, plan.requests)
        count(
            plan, observer, feed, keeper.due(),
            provenance=lambda: setting.provenance(view, feed, observer), ids=keeper.ids, done=keeper.done,
        )  # fmt: skip

    return run


def _concluded(
    view: OnnxView, plan: Plan, setting: Setting, feed: Feed, keeper: Keeper
) -> tuple[tuple[AnalysisResult, ...], Provenance]:
    """What the summaries mean; analyses that explore run the model again, on the first inputs."""
    if keeper.elsewhere and any(kind_of(entry.analysis) == "explored" for entry in plan.entries):
        feed.look_again(keeper.shards, keeper.gathered.skipped)
    again: list[Observer] = []
    quiet = replace(setting, self_check=setting.self_check and not keeper.gathered.provenance.device)
    lab = ModelLab(feed.looked_at, _lab(view, quiet, again))
    results = conclude(view, plan, keeper.gathered.totals, lab, setting.stop)
    provenance = keeper.gathered.provenance
    late = next((observer for observer in again if observer.device), None)
    if late is not None and not provenance.device:
        provenance = combined(provenance, setting.provenance(view, feed, late))
    if feed.preprocess and not provenance.preprocess:
        provenance = replace(provenance, notes=(*provenance.notes, UNUSED))
    return results, provenance


def _idle(view: OnnxView, feed: Feed, keeper: Keeper) -> Provenance:
    """Of a part that has no shard."""
    notes = (*feed.source.notes, keeper.idle)
    return replace(_origin(view), data=feed.source.description, notes=notes)


def _origin(view: OnnxView) -> Provenance:
    return Provenance(view.name, view.sha256, versions=_versions())


def gather(view: OnnxView, data: Any, taps: Sequence[Tap], setting: Setting) -> dict[Tap, Array]:
    """Whole maps (N, C, *space) at the taps, for all inputs.

    Raises:
        LimitError: they would be larger than the memory that the run may take.
        InputError: the maps of different inputs have different sizes.
        Inapplicable: all taps are in branches that no input took; where only some are, those are missing.
    """
    feed = setting.feed(view, data)
    observer = replace(setting, self_check=False).observer(view, _kept(taps))  # no report could say what it found
    return _gather(observer, feed, taps, setting.memory)


def _refuse_unclear(view: OnnxView) -> None:
    if view.unclear:
        shown = ", ".join(f"{i.name!r} {i.shape}" for i in view.inputs if i.name in view.unclear)
        raise InputError(
            f"model {view.name!r}",
            "its convolutions run one input at a time, and the first axis of what it takes is no batch for certain, so "
            "that nothing tells what one input is",
            found=shown,
            remedy="Export it with a batch axis. Analyses of weights work.",
        )


def _kept(taps: Sequence[Tap]) -> list[Request]:
    return [Request(tap.tensor, Ops().keep(TAPPED)) for tap in taps]


def _gather(observer: Observer, feed: Feed, taps: Sequence[Tap], most: int) -> dict[Tap, Array]:
    parts: dict[Tap, list[Array]] = {tap: [] for tap in taps}
    size = 0
    for rows, batch in observer(feed.batches(observer.together), feed.refuse):
        feed.accept(batch)
        size += sum(array.nbytes for array in rows.values())
        if size > most:
            raise LimitError(
                "activations",
                "they are too large to hold",
                expected=f"at most {most} bytes",
                remedy="Choose fewer taps or inputs, or allow the run more memory.",
            )
        for tap, request in zip(taps, _kept(taps), strict=True):
            parts[tap] += [rows[request]] if request in rows else []
    feed.finish()
    found = {tap: _joined(tap, arrays) for tap, arrays in parts.items() if arrays}
    if taps and not found:
        raise Inapplicable(
            f"tap {taps[0].name!r}",
            "it is in a branch that none of the inputs took, so it has no maps",
            remedy="Choose other taps, or other inputs.",
        )
    return found


def _joined(tap: Tap, parts: list[Array]) -> Array:
    if len({p.shape[1:] for p in parts}) > 1:
        raise InputError(
            f"tap {tap.name!r}",
            "inputs of different sizes give maps of different sizes",
            remedy="Bring all inputs to one size, for example with resize= in the preprocessing.",
        )
    return np.concatenate(parts)


def _lab(
    view: OnnxView, setting: Setting, ran: list[Observer]
) -> Callable[[Mapping[str, Array], tuple[Tap, ...]], Mapping[Tap, Array]]:
    """A way to run the model again; `ran` collects the observers of it."""
    quiet = replace(setting, preprocess="", watch=lambda _: None, most=None, shard_size=0)

    def run(feeds: Mapping[str, Array], taps: tuple[Tap, ...]) -> Mapping[Tap, Array]:
        first = replace(quiet, self_check=quiet.self_check and not ran)
        observer = first.observer(view, _kept(taps))
        ran.append(observer)
        return _gather(observer, quiet.feed(view, feeds), taps, quiet.memory)

    return run


def _versions() -> dict[str, str]:
    names = ("onnx-inspector", "onnx", "onnx-ir", "onnxruntime", "onnxruntime-gpu", "numpy", "pillow")
    found = {"python": platform.python_version()}
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
