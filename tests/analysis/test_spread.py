"""Shards as tasks: run elsewhere, in whatever order they end, they give what one process gives."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from toys import Again, installed

from inspector import Report, service
from inspector.analysis import cluster
from inspector.analysis.spread import Job, Outcome, Task, run_task
from inspector.control import Stop
from inspector.errors import InputError, InspectorError, NotFoundError, ParameterError, StoppedError, SummaryError
from inspector.faces.wire import report_to_json
from inspector.runtime import urls
from inspector.runtime.data import Raw
from inspector.samples import SAMPLES

DIGITS = SAMPLES[0]
X = np.random.default_rng(8).random((23, 1, 16, 16), np.float32)
OPTIONS: dict[str, Any] = {"device": "cpu", "shard_size": 4, "batch_size": 3}


def content(report: Report) -> dict[str, Any]:
    """The report, without its times."""
    tree: dict[str, Any] = json.loads(report_to_json(report))
    for time in ("started", "seconds", "waited"):
        del tree["provenance"][time]
    return tree


class Here:
    """A pool that does its tasks in this process, the last one first, on copies as another process would have them."""

    width = 3

    def __init__(self, job: Job) -> None:
        self.job = pickle.loads(pickle.dumps(job))
        self.waiting: dict[int, Task] = {}
        self.done: dict[int, Any] = {}
        self.most = self.dropped = 0

    def submit(self, task: Task) -> int:
        self.waiting[task.index] = pickle.loads(pickle.dumps(task))
        self.most = max(self.most, len(self.waiting) + len(self.done))
        return task.index

    def take(self, handle: int, stop: Stop) -> Any:
        for index in sorted(self.waiting, reverse=True):
            try:
                outcome: Any = run_task(self.job, self.waiting.pop(index))
            except InspectorError as error:
                outcome = error
            self.done[index] = pickle.dumps(outcome)
        found = pickle.loads(self.done.pop(handle))
        if isinstance(found, InspectorError):
            raise found
        return found

    def drop(self, handle: int) -> None:
        self.dropped += 1


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[Here]:
    made: list[Here] = []

    @contextmanager
    def pool(runner: str, job: Job) -> Iterator[Here]:
        made.append(Here(job))
        yield made[-1]

    monkeypatch.setattr(service, "ray_pool", pool)
    return made


def test_tasks_give_what_one_process_gives_bit_for_bit(pools: list[Here]) -> None:
    spread = service.audit(DIGITS.model, X, **OPTIONS, runner="ray")
    assert content(spread) == content(service.audit(DIGITS.model, X, **OPTIONS))
    assert pools[0].most == 3


def test_checkpoints_parts_and_skipped_inputs_go_with_tasks(pools: list[Here], tmp_path: Path) -> None:
    data = tmp_path / "pictures"
    data.mkdir()
    for i, picture in enumerate(sorted(DIGITS.pictures.rglob("*.png"))[:13]):
        (data / f"{i:02d}.png").write_bytes(picture.read_bytes()[: 30 if i in {2, 8, 9, 10, 11} else None])
    options = OPTIONS | {"preprocess": "unit", "part": "1/2"}
    whole = content(service.audit(DIGITS.model, data, **options))
    points = tmp_path / "points"
    assert content(service.audit(DIGITS.model, data, **options, resume=points, runner="ray")) == whole
    (points / "00000000.sum").unlink()
    (points / "00000002.sum").write_bytes(b"damaged")
    assert content(service.audit(DIGITS.model, data, **options, resume=points, runner="ray")) == whole
    with pytest.raises(InputError, match="none of 4 inputs could be used"):
        service.audit(DIGITS.model, data, **options | {"part": "3/4"}, runner="ray")


def test_errors_of_tasks_are_those_of_a_run_here(pools: list[Here], tmp_path: Path) -> None:
    for i in range(9):
        (tmp_path / f"{i}.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"input '0\.png': it cannot be used"):
        service.audit(DIGITS.model, tmp_path, **OPTIONS, preprocess="unit", strict=True, runner="ray")
    assert pools[0].dropped == 3


def test_a_task_that_is_handed_over_again_is_dropped_where_the_run_ends(
    pools: list[Here], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.audit(DIGITS.model, X, **OPTIONS, resume=tmp_path)
    (tmp_path / "00000002.sum").write_bytes(b"damaged")

    def stopped(self: Here, handle: int, stop: Stop) -> Any:
        raise StoppedError("run", "it was stopped by its caller")

    monkeypatch.setattr(Here, "take", stopped)
    with pytest.raises(StoppedError):
        service.audit(DIGITS.model, X, **OPTIONS, resume=tmp_path, runner="ray")
    assert (len(pools[0].waiting), pools[0].dropped) == (1, 1)


def test_a_worker_looks_for_the_gpu_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[Job] = []

    def pool(runner: str, job: Job) -> Any:
        jobs.append(job)
        raise StoppedError("run", "it was stopped by its caller")

    monkeypatch.setattr(service, "ray_pool", pool)
    for device in ("cuda:1", "auto", "cpu"):
        with pytest.raises(StoppedError):
            service.audit(DIGITS.model, X, **OPTIONS | {"device": device}, runner="ray")
    assert [job.setting["device"] for job in jobs] == ["cuda", "auto", "cpu"]


def elsewhere(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], Any], undo: Callable[[], Any] = str) -> None:
    """Does that before a task of that place runs, and takes it back after it."""

    original = run_task

    def changed(job: Job, task: Task) -> Any:
        act(task.index)
        try:
            return original(job, task)
        finally:
            undo()

    monkeypatch.setattr(f"{__name__}.run_task", changed)


def test_a_worker_that_sees_other_data_ends_the_run(
    pools: list[Here], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.npy"
    np.save(path, X)
    os.utime(path, (1, 1))
    with monkeypatch.context() as patched:
        elsewhere(patched, lambda _: os.utime(path, (2, 2)), lambda: os.utime(path, (1, 1)))
        says = r"a worker sees other data; expected x\.npy\[0:4\]@\d+-1000000000, found"
        with pytest.raises(SummaryError, match=says):
            service.audit(DIGITS.model, path, **OPTIONS, runner="ray")
    elsewhere(monkeypatch, lambda _: path.rename(tmp_path / "y"), lambda: (tmp_path / "y").rename(path))
    with pytest.raises(NotFoundError):
        service.audit(DIGITS.model, path, **OPTIONS, runner="ray")


def test_a_worker_with_another_version_of_an_analysis_ends_the_run(
    pools: list[Here], monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(text: str) -> None:
        monkeypatch.setattr(Again, "version", text)

    elsewhere(monkeypatch, lambda _: version("2"), lambda: version("1"))
    says = "the run that this worker belongs to: they are of another run, differing in the version of 'again'"
    with installed(Again), pytest.raises(SummaryError, match=says):
        service.audit(DIGITS.model, X, ["sparsity", "again"], **OPTIONS, runner="ray")


def test_a_path_is_where_the_run_began_also_for_workers_that_began_elsewhere(
    pools: list[Here], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "x.npy", X)
    monkeypatch.chdir(tmp_path)
    elsewhere(monkeypatch, lambda _: os.chdir("/"), lambda: os.chdir(tmp_path))
    spread = service.audit(DIGITS.model, "x.npy", **OPTIONS, runner="ray")
    assert content(spread) == content(service.audit(DIGITS.model, "x.npy", **OPTIONS))


@pytest.mark.parametrize("how", ["written anew", "cut short", "half written", "gone"])
def test_a_file_that_changes_costs_the_shards_that_no_worker_had_read(
    pools: list[Here], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    data, points = tmp_path / "data", tmp_path / "points"
    data.mkdir()
    path = data / "x.npy"
    np.save(path, X)

    def change(index: int) -> None:
        if index == 4:  # of the second three, the last one first
            match how:
                case "written anew":
                    os.utime(path, (1, 1))
                case "cut short":
                    np.save(path, X[:5])
                case "half written":
                    path.write_bytes(path.read_bytes()[:300])
                case _:
                    path.unlink()

    elsewhere(monkeypatch, change)
    report = service.audit(DIGITS.model, path, **OPTIONS, resume=points, runner="ray")
    assert report.provenance.inputs + report.skipped_count == 23
    assert {skipped.reason for skipped in report.skipped} == {
        "it changed during the run. Try again when nothing writes to it."
    }
    kept = [int(file.stem) for file in points.glob("*.sum")]
    assert [s.id.partition("[")[2] for s in report.skipped] == [
        f"{4 * i}:{min(4 * i + 4, 23)}]" for i in range(6) if i not in kept
    ]
    assert 0 < len(kept) < 6


@pytest.mark.parametrize("data", ["memory://w/x.npy", "memory://w"])
def test_a_store_that_is_away_for_one_task_costs_its_shard_and_is_asked_again_the_next_time(
    pools: list[Here], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    alone = data.endswith(".npy")
    np.save(tmp_path / "a.npy", X)
    for name in ("x", "y"):
        fsspec.filesystem("memory").pipe(f"/w/{name}.npy", (tmp_path / "a.npy").read_bytes())
    options = OPTIONS | {"shard_size": 12 if alone else 1, "resume": tmp_path / "points"}
    monkeypatch.setattr(urls, "FIRST_PAUSE", 0)

    def away(*_: Any, **__: Any) -> Any:
        raise OSError("503")

    with monkeypatch.context() as patched, monkeypatch.context() as store:

        def act(index: int) -> None:
            for name in ("info", "find", "isdir", "_open") if index == 1 else ():
                store.setattr(MemoryFileSystem, name, away)

        elsewhere(patched, act, store.undo)
        report = service.audit(DIGITS.model, data, **options, runner="ray")
    assert "503; tried 4 times" in report.skipped[0].reason
    assert (report.skipped_count, report.provenance.incomplete) == ((11, 0) if alone else (1, 1))
    assert any("not kept, the same command tries these again" in note for note in report.provenance.notes)
    whole = service.audit(DIGITS.model, data, **options, runner="ray")
    assert (whole.provenance.inputs, whole.skipped_count) == (23 if alone else 46, 0)
    fsspec.filesystem("memory").store.clear()


def test_analyses_that_explore_run_here_on_the_first_inputs(pools: list[Here]) -> None:
    with installed(Again):
        spread = service.audit(DIGITS.model, X, ["again", "sparsity"], **OPTIONS, runner="ray")
        assert content(spread) == content(service.audit(DIGITS.model, X, ["again", "sparsity"], **OPTIONS))


def test_what_cannot_be_spread_is_refused(pools: list[Here]) -> None:
    with pytest.raises(ParameterError, match="a loaded one cannot be sent"):
        service.audit(service.load(DIGITS.model), X, runner="ray")
    with pytest.raises(InputError, match="a stream cannot be divided"):
        service.audit(DIGITS.model, [Raw("a", tensors={"image": X[0]})], runner="ray")
    for text in ("dask", "rays", ":", "local:4"):
        with pytest.raises(ParameterError, match="ray or ray:ADDRESS"):
            service.audit(DIGITS.model, X, runner=text)


def test_without_ray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ParameterError, match=r"Install onnx-inspector\[ray\]"), cluster.ray_pool("ray", None):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize(("seconds", "share"), [(0.0, None), (1e6, 0.25)])
def test_what_workers_waited_is_added_up_as_far_as_they_were_at_work_one_after_the_other(
    seconds: float, share: float | None, pools: list[Here], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks that took far longer together than the run were at work at one time: the share of their time counts."""
    original = Here.take

    def timed(pool: Here, handle: int, stop: Stop) -> Any:
        return replace(original(pool, handle, stop), seconds=seconds, waited=0.25 * seconds if share else 0.5)

    monkeypatch.setattr(Here, "take", timed)
    origin = service.audit(DIGITS.model, X, **OPTIONS, runner="ray").provenance
    if share is None:
        assert origin.waited == 0.5 * 6  # shards
    else:
        assert 0 < origin.waited < 0.25 * origin.seconds


def test_a_task_tells_how_long_it_took_and_waited(pools: list[Here], monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: list[Outcome] = []
    original = Here.take

    def kept(pool: Here, handle: int, stop: Stop) -> Any:
        outcomes.append(original(pool, handle, stop))
        return outcomes[-1]

    monkeypatch.setattr(Here, "take", kept)
    service.audit(DIGITS.model, X, **OPTIONS, runner="ray")
    assert len(outcomes) == 6
    assert all(0 < outcome.waited < outcome.seconds for outcome in outcomes)


def test_errors_travel_between_processes_whole() -> None:
    error = NotFoundError("layer 'a'", "there is none", expected="b", found="a", remedy="Say b.")
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), vars(back)) == (NotFoundError, str(error), vars(error))
