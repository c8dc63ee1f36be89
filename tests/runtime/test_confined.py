"""Children that die: whatever one does, its parent is told how it ended, in time."""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from inspector.control import Stop
from inspector.errors import StoppedError
from inspector.runtime.confined import MAX_ANSWER, Bounds, End, Outcome, run_confined

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not enforce all of the limits")
BOUNDS = Bounds(seconds=20, memory=1 << 30)


def run(task: str, data: bytes = b"", *arguments: str, bounds: Bounds = BOUNDS) -> Outcome:
    return run_confined(f"confined_tasks:{task}", data, arguments, bounds, Stop())


def test_a_child_reads_bytes_and_answers_with_bytes_and_nothing_else_gets_between() -> None:
    assert run("ends", b"abc" * 1_000_000, "é") == Outcome(End.ANSWERED, "a3000000cé".encode())


def test_a_child_has_limits_an_empty_folder_and_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s")
    found = json.loads(run("surroundings").answer)
    assert found == {
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": MAX_ANSWER,
        "RLIMIT_NOFILE": 64,
        "RLIMIT_CPU": 21,
        "RLIMIT_AS": 1 << 30,
        "secret": False,
        "folder": [],
    }


@pytest.mark.parametrize(
    ("task", "end", "detail"),
    [
        ("segfault", End.CRASHED, "signal SIGSEGV"),
        ("raises", End.CRASHED, "exit status 1"),
        ("no_such_task", End.CRASHED, "exit status 1"),
        ("talkative", End.CRASHED, "exit status 1"),
        ("hungry", End.MEMORY, f"more than {1 << 30} bytes"),
    ],
)
def test_how_a_child_ended_is_told(task: str, end: End, detail: str) -> None:
    assert run(task) == Outcome(end, b"", detail)


def test_a_large_module_that_only_a_child_has_imported_can_be_imported_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large_task.py").write_text(
        f"def answer(stream, arguments):\n    return b'here'\nTEXT = {'ab' * MAX_ANSWER!r}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run_confined("large_task:answer", b"", (), BOUNDS, Stop()).answer == b"here"
    assert len(importlib.import_module("large_task").TEXT) == 2 * MAX_ANSWER


def test_a_child_that_takes_too_long_is_ended() -> None:
    assert run("ends", bounds=Bounds(0.2, 1 << 30)) == Outcome(End.TIME, b"", "0.2 s on the clock")


def test_a_child_ends_with_all_that_it_started_when_its_parent_is_asked_to_stop(tmp_path: Path) -> None:
    note, stop = tmp_path / "pid", Stop()
    note.touch()
    watching = threading.Thread(target=lambda: _set_once_written(note, stop))
    watching.start()
    with pytest.raises(StoppedError):
        run_confined("confined_tasks:hang_with_a_child", b"", (str(note),), Bounds(50, 1 << 30), stop)
    watching.join()
    deadline = time.monotonic() + 20
    while _runs(int(note.read_text())):  # whoever inherits it has to notice its end first
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _set_once_written(note: Path, stop: Stop) -> None:
    while not note.read_text():
        time.sleep(0.02)
    stop.set()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
