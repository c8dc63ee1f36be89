"""Shards as tasks for other processes: each opens a session of its own, and only summaries come back."""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol

from inspector.analysis.feed import Feed, shortened
from inspector.analysis.identity import Identity
from inspector.analysis.keep import Keeper
from inspector.analysis.parts import Part, Tally
from inspector.analysis.plan import Plan, make_plan
from inspector.analysis.registry import AnalysisRequest
from inspector.analysis.run import Totals
from inspector.analysis.runner import Setting
from inspector.analysis.shards import count
from inspector.analysis.store import from_bytes, to_bytes
from inspector.control import Progress, Stop
from inspector.errors import InputError, InspectorError, NotFoundError, SummaryError
from inspector.graph.load import load
from inspector.graph.view import OnnxView
from inspector.report import Provenance, Skipped
from inspector.runtime.data import Shard
from inspector.runtime.digest import Digest
from inspector.runtime.items import SHARD_STRIDE
from inspector.runtime.outages import changed, may_mend

_HERE: Final = ("watch", "stop")
"""Settings that stay with whoever asked."""
_NOT_SEEN: Final = (InputError, NotFoundError)
"""What opening data raises where it is not what it was."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What every task of a run needs. `folder` is where relative paths of `data` begin, if it is there."""

    model: bytes
    name: str
    data: Any
    requests: tuple[AnalysisRequest, ...]
    setting: Mapping[str, Any]
    identity: Identity
    folder: str


@dataclass(frozen=True, slots=True)
class Task:
    """One shard: its place in the data and its id."""

    index: int
    shard: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a task gives: a tally, and the summaries as bytes.

    It took so many `seconds`, in `waited` of which nothing ran because inputs were not there yet.
    """

    tally: Tally
    summaries: bytes
    seconds: float
    waited: float


@dataclass(frozen=True, slots=True)
class Lost:
    """What a task gives that did not find its shard.

    Attributes:
        why: as an error that ends the run, if nothing changed.
        away: True where a store did not answer.
        provenance: of a part where nothing ran.
    """

    why: InspectorError
    away: bool
    provenance: Provenance


class Pool(Protocol):
    """Other processes."""

    @property
    def width(self) -> int:
        """Tasks to hand over before the first of them has to be waited for."""

    def submit(self, task: Task) -> Any:
        """Hands a task over; gives what `take` wants."""

    def drop(self, handle: Any) -> None:
        """Nobody waits for that any more."""

    def take(self, handle: Any, stop: Stop) -> Outcome | Lost:
        """Waits for what `run_task` gives there. The errors of that, and RunError where the processes died."""


def make_job(model: bytes, view: OnnxView, data: Any, *, plan: Plan, setting: Setting, feed: Feed) -> Job:
    """The job of a run; InputError where the data is a stream, which no other process can open."""
    if feed.source.is_stream:
        raise InputError(feed.source.description, "a stream cannot be divided", remedy="Store it, or run it here.")
    plain = {f.name: getattr(setting, f.name) for f in fields(Setting) if f.name not in _HERE}
    if str(plain["device"]).startswith("cuda"):
        plain["device"] = "cuda"  # a worker sees the GPU that it was given, and no other
    requests = tuple(AnalysisRequest(e.analysis.name, json.loads(e.params)) for e in plan.entries)
    return Job(model, view.name, data, requests, plain, setting.identity(view, plan, feed), str(Path.cwd()))


def run_task(job: Job, task: Task) -> Outcome | Lost:
    """In the other process: one shard, from the beginning.

    Raises:
        SummaryError: the analyses are not the same there.
        InspectorError: as of a run here.
    """
    began = time.perf_counter()
    view = _view(job.model, job.name)
    plan = make_plan(view, job.requests, allow_maps=False)
    setting = Setting(**job.setting, watch=_ignore, stop=Stop())
    with contextlib.chdir(job.folder) if Path(job.folder).is_dir() else contextlib.nullcontext():
        origin = Provenance(view.name, view.sha256)
        try:
            feed = setting.feed(view, job.data)
            found = _seen(feed, task.index)
        except _NOT_SEEN as error:
            return Lost(error, away=may_mend(error), provenance=origin)
        setting.identity(view, plan, feed).check(job.identity, "the run that this worker belongs to")
        if found != task.shard:
            other = SummaryError("data", "a worker sees other data", expected=task.shard, found=found)
            return Lost(other, away=False, provenance=origin)
        parts: list[Part] = []
        observer = setting.observer(view, plan.requests)
        count(
            plan, observer, feed, [feed.shards[task.index]],
            provenance=lambda: setting.provenance(view, feed, observer), ids={task.index: task.shard},
            done=parts.append,
        )  # fmt: skip
    (part,) = parts
    return Outcome(part.tally, to_bytes(plan, part.totals), time.perf_counter() - began, feed.waited)


def run_on(pool: Pool, plan: Plan, feed: Feed, keeper: Keeper, stop: Stop, *, again: Callable[[], Feed]) -> None:
    """Runs all shards that are due in other processes, and takes in what they give in the order of the data.

    A shard that a task did not find is unread where its store is away, or where the data, opened `again` here, is not
    what it was either.

    Raises:
        InspectorError: what a task raises; of a shard that it did not find too, where nothing changed.
    """
    began = time.perf_counter()
    seconds = waited = 0.0
    waiting = deque(Task(i, keeper.ids.get(i) or shard.id) for i, shard in keeper.missing())
    names = {task.index: task.shard for task in waiting}
    flying: dict[int, Any] = {}
    keeper.elsewhere = True
    try:
        for shard in keeper.due():
            index = shard.first // SHARD_STRIDE
            while waiting and len(flying) < pool.width:
                task = waiting.popleft()
                flying[task.index] = pool.submit(task)
            task = Task(index, names.get(index) or keeper.ids[index])
            if index not in flying:  # its checkpoint could not be read
                flying[index] = pool.submit(task)
            given = pool.take(flying[index], stop)
            del flying[index]
            if isinstance(given, Lost):
                if not given.away and _found(again, task):
                    raise given.why
                part = Part(_unread(given, task, shard), Totals(plan))
            else:
                part = Part(given.tally, from_bytes(plan, given.summaries))
                seconds, waited = seconds + given.seconds, waited + given.waited
            feed.pass_over(part.tally)
            keeper.done(part)
    finally:
        for handle in flying.values():
            pool.drop(handle)
    at_once = seconds / (time.perf_counter() - began)
    feed.waited += waited / max(1.0, at_once)


def _seen(feed: Feed, index: int) -> str:
    """The id of the shard at that place, or what is there in its stead."""
    return feed.shards[index].id if index < len(feed.shards) else f"{len(feed.shards)} shards"


def _found(again: Callable[[], Feed], task: Task) -> bool:
    """Whether a shard is what it was when the run began."""
    try:
        return _seen(again(), task.index) == task.shard
    except _NOT_SEEN:
        return False


def _unread(lost: Lost, task: Task, shard: Shard) -> Tally:
    """Of a shard that another try may find; of some, nobody knows how many inputs they hold."""
    count, reason = shard.total or 1, str(lost.why) if lost.away else str(changed(shard.name))
    told = Skipped(
        shortened(shard.name), shortened(reason.removeprefix(f"{shard.name}: ")), count, incomplete=not shard.total
    )
    return Tally(
        task.shard, task.index, 0, Digest().hex, (told,), count, lost.provenance,
        incomplete=int(told.incomplete), may_mend=count,
    )  # fmt: skip


@lru_cache(maxsize=2)
def _view(model: bytes, name: str) -> OnnxView:
    return load(model, name=name)


def _ignore(_: Progress) -> None:
    """Progress is what comes back."""
