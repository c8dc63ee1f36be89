"""Runs beside the adding up: in order, never across the end of a shard, and what they wait for is counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from models import ZOO

from inspector import service
from inspector.analysis import overlap
from inspector.analysis.fitting import AT_ONCE
from inspector.analysis.groups import Groups
from inspector.analysis.overlap import Overlap
from inspector.runtime import data as data_module
from inspector.runtime.data import Raw
from inspector.runtime.items import SHARD_STRIDE
from inspector.runtime.session import Session

LONG = 30
"""Seconds after which something that never comes is given up."""


def test_a_piece_is_at_work_while_the_caller_has_the_result_of_the_one_before() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def second() -> int:
        begun.set()
        assert may_end.wait(LONG)
        return 2

    with Overlap[int]() as running:
        assert list(running.start(lambda: 1)) == []
        for result in running.start(second):
            assert result == 1
            assert begun.wait(LONG)
            may_end.set()
        assert list(running.finish()) == [2]
        assert list(running.finish()) == []


def test_an_error_comes_where_the_result_would_and_nothing_is_left_at_work() -> None:
    before = threading.active_count()
    with Overlap[float]() as running:
        assert list(running.start(lambda: 1 / 0)) == []
        with pytest.raises(ZeroDivisionError):
            list(running.start(lambda: 2))
        assert list(running.finish()) == [2]
    assert threading.active_count() == before


def test_only_time_in_which_nothing_was_at_work_counts_as_waited_for_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(overlap, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    may_end = threading.Event()

    def pieces() -> Iterator[str]:
        now[0] += 3  # nothing is at work
        yield "a"
        now[0] += 5  # `a` is at work all the while
        yield "b"
        now[0] += 7  # nothing is
        yield "c"

    with Overlap[str]() as running:
        each = running.each(pieces())
        assert next(each) == "a"
        assert running.waited == 3
        list(running.start(lambda: str(may_end.wait(LONG))))
        assert next(each) == "b"
        assert running.waited == 3
        may_end.set()
        assert list(running.finish()) == ["True"]
        now[0] += 11  # the caller's own time
        assert next(each) == "c"
        assert running.waited == 3 + 7
        assert list(each) == []


def test_of_a_piece_that_comes_after_the_work_has_ended_only_the_rest_counts_as_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(overlap, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    may_end = threading.Event()

    def pieces() -> Iterator[str]:
        yield "a"
        now[0] += 5  # `a` is at work
        may_end.set()
        assert running._last is not None
        assert running._last.result(LONG)
        now[0] += 7  # nothing is
        yield "b"

    with Overlap[bool]() as running:
        each = running.each(pieces())
        assert next(each) == "a"
        list(running.start(lambda: may_end.wait(LONG)))
        assert next(each) == "b"
        assert running.waited == 7


def test_a_batch_runs_while_the_one_before_is_added_up_but_not_across_the_end_of_a_shard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three shards of three batches of two inputs."""
    begun = threading.Semaphore(0)
    runs, seen = [0], list[int]()
    run, add = Session.run, Groups.add

    def running(self: Any, feeds: Any, **options: Any) -> Any:
        runs[0] += 1
        begun.release()
        return run(self, feeds, **options)

    def adding(self: Any, rows: Any, batch: Any) -> None:
        last = batch.first % SHARD_STRIDE == 4
        while runs[0] < len(seen) + (1 if last else 2):  # its own run, and that of the next batch
            assert begun.acquire(timeout=LONG)
        seen.append(runs[0])
        add(self, rows, batch)

    monkeypatch.setattr(Session, "run", running)
    monkeypatch.setattr(Groups, "add", adding)
    report = service.audit(
        ZOO["chain"].data, ZOO["chain"].inputs(18), ["sparsity"], batch_size=2, shard_size=6, self_check=False
    )
    assert report.provenance.inputs == 18
    assert seen == [2, 3, 3, 5, 6, 6, 8, 9, 9]


def test_while_a_batch_runs_as_many_are_there_as_the_memory_is_planned_for(monkeypatch: pytest.MonkeyPatch) -> None:
    case, size = ZOO["chain"], 4
    there, more = threading.Event(), threading.Event()

    def inputs() -> Iterator[Raw]:
        for i, x in enumerate(case.inputs(8 * size)):
            if i == AT_ONCE * size:
                more.set()
            yield Raw(str(i), tensors={"x": x})
            if i == AT_ONCE * size - 2:  # and now one more is asked for
                there.set()

    run = Session.run

    def looks_around(self: Session, feeds: Any, **options: Any) -> Any:
        assert there.wait(LONG)
        assert runs or not more.wait(0.05)
        runs.append(len(feeds["x"]))
        return run(self, feeds, **options)

    runs: list[int] = []
    monkeypatch.setattr(data_module, "cores", lambda: 1)
    monkeypatch.setattr(Session, "run", looks_around)
    service.audit(case.data, inputs(), ["sparsity"], batch_size=size, self_check=False)
    assert runs == [size] * 8
