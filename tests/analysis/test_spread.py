"""Shards as tasks: run elsewhere, in whatever order they end, they give what one process gives."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import Again, installed

from inspector import Report, service
from inspector.analysis import cluster
from inspector.analysis.spread import Job, Outcome, Task, run_task
from inspector.control import Stop
from inspector.errors import InputError, InspectorError, NotFoundError, ParameterError, StoppedError, SummaryError
from inspector.faces.wire import report_to_json
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


def test_a_worker_that_sees_other_data_says_so(pools: list[Here], tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    service.audit(DIGITS.model, tmp_path / "x.npy", **OPTIONS, runner="ray")
    np.save(tmp_path / "x.npy", X[:5])
    with pytest.raises(SummaryError, match=r"a worker sees other data; expected x\.npy\[0:4\]@other"):
        run_task(pools[0].job, Task(0, "x.npy[0:4]@other"))


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
