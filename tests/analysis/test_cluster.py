"""A real Ray cluster of two workers on this machine: `make ray`. Skipped, with the reason, where Ray is missing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_spread import DIGITS, OPTIONS, X, content

from inspector import service
from inspector.analysis import spread
from inspector.errors import InputError, RunError

pytestmark = pytest.mark.ray
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install onnx-inspector[ray]")


@pytest.fixture(scope="module", autouse=True)
def two_workers() -> Iterator[None]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20)
    yield
    ray.shutdown()


def test_two_workers_one_of_which_is_killed_give_what_one_process_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, pids, marker = spread.run_task, tmp_path / "pids", tmp_path / "killed"
    pids.mkdir()

    def once_killed(job: Any, task: Any) -> Any:
        (pids / str(os.getpid())).touch()
        if task.index == 2 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return original(job, task)

    monkeypatch.setattr(spread, "run_task", once_killed)
    np.save(tmp_path / "x.npy", X)
    found = service.audit(DIGITS.model, tmp_path / "x.npy", **OPTIONS, runner="ray")
    assert content(found) == content(service.audit(DIGITS.model, tmp_path / "x.npy", **OPTIONS))
    assert 0 < found.provenance.waited < found.provenance.seconds
    assert marker.exists()
    names = {path.name for path in pids.iterdir()}
    assert str(os.getpid()) not in names
    assert len(names) >= 2


def test_a_shard_whose_workers_always_die_is_an_error_and_the_others_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = spread.run_task

    def deadly(job: Any, task: Any) -> Any:
        if task.index == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(job, task)

    monkeypatch.setattr("inspector.analysis.cluster.RETRIES", 0)
    monkeypatch.setattr(spread, "run_task", deadly)
    with pytest.raises(RunError, match="worker: it was lost"):
        service.audit(DIGITS.model, X, **OPTIONS, resume=tmp_path, runner="ray")
    assert len(list(tmp_path.glob("*.sum"))) == 3
    monkeypatch.undo()
    found = service.audit(DIGITS.model, X, **OPTIONS, resume=tmp_path, runner="ray")
    assert content(found) == content(service.audit(DIGITS.model, X, **OPTIONS))


def test_errors_of_workers_come_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"input 'a\.png': it cannot be used"):
        service.audit(DIGITS.model, tmp_path, **OPTIONS, preprocess="unit", strict=True, runner="ray")
