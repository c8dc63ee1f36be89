"""Files that appear whole: what a failure, a kill, a device or a link makes of them."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inspector import service
from inspector import whole as module
from inspector.faces.files import save_report
from inspector.samples import SAMPLES
from inspector.whole import Whole, clear_left_of, whole, write_whole


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_that_cannot_be_opened_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on systems that open none, or where it may be written and not read."""
    opened = os.open

    def refuse(path: object, *arguments: object, **options: object) -> int:
        if os.path.isdir(path):  # type: ignore[arg-type]  # noqa: PTH112 - it may be a number as well
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_file_that_is_replaced_stays_its_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "chown", lambda _, user, group: given.append((user, group)))
    write_whole(tmp_path / "a", b"old")
    assert given == []
    write_whole(tmp_path / "a", b"new")
    assert given == [(os.getuid(), os.getgid())]


def python(code: str, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, text=True, check=False, stdout=subprocess.PIPE, **options)  # type: ignore[call-overload, no-any-return]


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("old")
    with whole(file) as new:
        new.write(b"new")
        new.flush()
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    with contextlib.suppress(KeyboardInterrupt), whole(file) as new:
        new.write(b"half")
        raise KeyboardInterrupt
    assert file.read_text() == "new"
    assert names(tmp_path) == ["a"]


ALONE = f"""
import importlib.util, os, pathlib, signal, sys
spec = importlib.util.spec_from_file_location("whole", {module.__file__!r})  # without the rest, which takes seconds
whole = importlib.util.module_from_spec(spec)
spec.loader.exec_module(whole)
file = pathlib.Path(sys.argv[1])
"""


def test_a_file_that_there_is_no_room_for_costs_nothing(tmp_path: Path) -> None:
    """The limit on the size of files stands for a full disk."""
    file = tmp_path / "a"
    file.write_text("old")
    code = ALONE + (
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: whole.write_whole(file, bytes(100_000))\nexcept OSError as e: print(e.strerror)"
    )
    assert python(code, file).stdout == "File too large\n"
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_rights_that_the_umask_leaves(mask: int, expected: int, tmp_path: Path) -> None:
    with umask(mask):
        write_whole(tmp_path / "a", b"x")
        view = service.load(SAMPLES[0].model)
        service.audit(view, "noise:2", summaries=tmp_path / "a.sum", resume=tmp_path / "kept")
        save_report(service.inspect(view), tmp_path / "out")
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert {p.suffix for p in files} == {"", ".sum", ".png", ".json"}
    assert {mode(p) for p in files} == {expected}


def test_a_file_that_is_replaced_hands_on_its_rights_and_links_are_followed(tmp_path: Path) -> None:
    file, link = tmp_path / "a", tmp_path / "link"
    file.touch()
    file.chmod(0o640)
    link.symlink_to(file)
    write_whole(link, b"x")
    assert link.is_symlink()
    assert (file.read_bytes(), mode(file)) == (b"x", 0o640)


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b"through")
    reader.join(10)
    assert read == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("to_file", [True, False])
def test_standard_output_has_a_name_too(name: str, to_file: bool, tmp_path: Path) -> None:
    code = ALONE + "print('one'); whole.write_whole(file, b'two\\n'); print('three')"
    if to_file:
        with (tmp_path / "out").open("w") as out:
            subprocess.run([sys.executable, "-c", code, name], check=True, stdout=out)
        said = (tmp_path / "out").read_text()
    else:
        said = python(code, name).stdout
    assert said == "one\ntwo\nthree\n"


def test_a_device_takes_anything_and_says_when_it_does_not() -> None:
    write_whole(Path("/dev/null"), b"x")
    if Path("/dev/full").exists():
        with pytest.raises(OSError, match="No space left"):
            write_whole(Path("/dev/full"), b"x")


@pytest.mark.parametrize("method", ["open", "replace"])
def test_where_a_folder_takes_no_other_name_the_file_itself_is_written(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a single file that is mounted into a container."""
    file = tmp_path / "a"
    file.write_text("old, and longer")

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(*((module.os, "open") if method == "open" else (Path, "replace")), refuse)
    write_whole(file, b"new")
    monkeypatch.undo()
    assert file.read_bytes() == b"new"
    assert names(tmp_path) == ["a"]
    monkeypatch.setattr(module.os, "open", refuse)
    with pytest.raises(PermissionError):
        write_whole(tmp_path / "b", b"new")


KILLED = f"""{ALONE}
one = whole.Whole(file)
one.file.write(b"half")
one.file.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("name", ["a.sum", "n" * 250])
def test_what_a_killed_process_left_goes_with_the_next_write_and_nothing_else(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    assert python(KILLED, file).returncode == -9
    assert python(KILLED, tmp_path / "other").returncode == -9
    (tmp_path / ".a.sum.notes.tmp").touch()
    assert len(names(tmp_path)) == 3
    write_whole(file, b"x")
    left = names(tmp_path)
    assert left[0] == ".a.sum.notes.tmp"
    assert left[1].startswith(".other.")
    assert left[2:] == [name]


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "a"
    one = Whole(file)
    one.file.write(b"first")
    write_whole(file, b"second")
    assert len(names(tmp_path)) == 2
    one.finish()
    assert file.read_bytes() == b"first"
    assert names(tmp_path) == ["a"]


def test_a_file_that_is_cleared_away_while_it_is_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[[int], bool] = module._hold
    times = []

    def late(number: int, *, wait: bool = True) -> bool:
        if wait and not times:
            times.append(number)
            clear_left_of(tmp_path / "a")  # before it is held
        return real(number, wait=wait)  # type: ignore[call-arg]

    monkeypatch.setattr(module, "_hold", late)
    write_whole(tmp_path / "a", b"x")
    assert times
    assert (tmp_path / "a").read_bytes() == b"x"


def test_the_summaries_of_an_audit_clear_up_too(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    assert python(KILLED, tmp_path / "a.sum").returncode == -9
    assert python(KILLED, kept / "00000000.sum").returncode == -9
    assert len(names(tmp_path)) == 2
    service.audit(SAMPLES[0].model, "noise:2", summaries=tmp_path / "a.sum", resume=kept)
    assert names(tmp_path) == ["a.sum", "kept"]
    assert names(kept) == ["00000000.sum"]
