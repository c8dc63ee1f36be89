"""Standard output, and what comes of it: 1 is a verdict and nothing else, whoever reads and however it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from inspector import service
from inspector.faces.cli import main
from inspector.faces.exports import FORMATS
from inspector.faces.wire import report_to_json
from inspector.samples import SAMPLES

DIGITS, HOT, _ = SAMPLES
FULL = Path("/dev/full")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Path]:
    """Reports of whole audits, made once; with a layer whose name is not ASCII."""
    folder = tmp_path_factory.mktemp("reports")

    def file(sample: Any) -> Path:
        path = folder / f"{sample.name}.json"
        if not path.exists():
            report = service.audit(sample.model, str(sample.pictures), preprocess="unit")
            path.write_text(report_to_json(report).replace('"conv2"', '"cönv2"'), "utf-8")
        return path

    return file


def run(arguments: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own, with a variable of the environment as `env`."""
    env = {**os.environ, **options.pop("env", {})}
    command = [sys.executable, "-m", "inspector", *arguments]
    return subprocess.run(command, env=env, check=False, **{"stderr": subprocess.PIPE, **options})


def unread(arguments: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The command into a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return run(arguments, stdout=writing, **options)
    finally:
        os.close(writing)


@pytest.mark.parametrize(("sample", "code"), [(DIGITS, 0), (HOT, 1)], ids=["fine", "found"])
@pytest.mark.parametrize("to", [[], ["--json", "-"], ["--format", "junit=-"], ["--json", "/dev/stdout"]])
def test_a_reader_that_goes_early_changes_no_verdict(
    sample: Any, code: int, to: list[str], stored: Callable[[Any], Path], tmp_path: Path
) -> None:
    beside = tmp_path / "summary.md"
    arguments = ["check", str(stored(sample)), "--policy", "builtin:release", *to, "--format", f"summary={beside}"]
    done = unread(arguments)
    assert (done.returncode, done.stderr) == (code, b"")
    assert beside.read_text().startswith("## ")


@pytest.mark.parametrize("arguments", [["plugins"], ["plugins", "--json"], ["describe", str(DIGITS.model)], ["--help"]])
def test_a_list_that_nobody_reads_to_its_end_is_no_failure(arguments: list[str]) -> None:
    done = unread(arguments)
    assert (done.returncode, done.stderr) == (0, b"")


def test_neither_are_messages_that_nobody_reads(stored: Callable[[Any], Path]) -> None:
    arguments = ["check", str(stored(HOT)), "--policy", "builtin:release"]
    assert unread(arguments, stderr=subprocess.STDOUT).returncode == 1
    assert unread(["check", "none.json", "--policy", "builtin:release"], stderr=subprocess.STDOUT).returncode == 2


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("to", [[], ["--json", "-"]])
def test_a_full_disk_below_standard_output_is_no_verdict(
    to: list[str], stored: Callable[[Any], Path], tmp_path: Path
) -> None:
    beside = tmp_path / "summary.md"
    arguments = ["check", str(stored(HOT)), "--policy", "builtin:release", *to, "--format", f"summary={beside}"]
    with FULL.open("wb") as full:
        done = run(arguments, stdout=full)
        again = run(["plugins"], stdout=full)
        assert run(arguments, stdout=full, stderr=full).returncode == 2
    says = b"error: standard output: it cannot be written; found No space left on device. Make room, or name another."
    assert (done.returncode, b" ".join(done.stderr.split())) == (2, says)
    assert beside.read_text().startswith("## Failed")
    assert (again.returncode, again.stderr.count(b"\n")) == (2, 1)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "ascii:surrogateescape"])
def test_letters_that_a_terminal_lacks_change_no_verdict(
    encoding: str, stored: Callable[[Any], Path], tmp_path: Path
) -> None:
    arguments = ["check", str(stored(HOT)), "--policy", "builtin:release"]
    env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = run(arguments, env=env, stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"c?nv2" in done.stdout if "ascii" in encoding else b"c\xf6nv2" in done.stdout
    for to in ("--json=-", "--format=junit=-"):  # for programs, which read UTF-8
        assert "cönv2" in run([*arguments, to], env=env, stdout=subprocess.PIPE).stdout.decode()


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_goes_to_standard_output_too(
    name: str, stored: Callable[[Any], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["check", str(stored(HOT)), "--policy", "builtin:release", "--format"]
    assert main([*arguments, f"{name}=file"]) == 1
    assert "cönv2:act" in capsys.readouterr().out
    assert main([*arguments, f"{name}=-"]) == 1
    shown = capsys.readouterr()
    assert shown.out == Path("file").read_text("utf-8")
    assert shown.err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_one_thing_goes_to_standard_output(stored: Callable[[Any], Path], capsys: Capture) -> None:
    arguments = ["check", str(stored(HOT)), "--policy", "builtin:release", "--format", "junit=-"]
    for more in (["--json", "-"], ["--format", "sarif=-"]):
        assert main([*arguments, *more]) == 2
        assert capsys.readouterr().err.startswith("error: standard output: two things are to be written to it.")


@pytest.mark.parametrize(
    "error", [KeyError("x"), RecursionError("deep"), MemoryError(), UnicodeDecodeError("a", b"", 0, 1, "b")]
)
def test_whatever_goes_wrong_is_one_line_its_place_and_no_verdict(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(service, "plugins", broken)
    assert main(["plugins"]) == 2
    first, second, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith(f"error: this is a fault of the inspector, please report it: {type(error).__name__}")
    assert second == "Traceback (most recent call last):"
    assert type(error).__name__ in last


@pytest.mark.parametrize(
    ("error", "code"),
    [(click.Abort(), 2), (EOFError(), 2), (click.ClickException("x"), 2), (SystemExit("x"), 2), (SystemExit(1), 2),
     (KeyboardInterrupt(), 130), (SystemExit(0), 0), (SystemExit(None), 0)],
)  # fmt: skip
def test_whatever_ends_a_command_is_no_verdict(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def ends(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(service, "plugins", ends)
    assert main(["plugins"]) == code


def test_a_process_without_standard_output_still_judges(stored: Callable[[Any], Path], tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    words = ["check", str(stored(HOT)), "--policy", "builtin:release", "--json", str(file)]
    command = f"{sys.executable} -m inspector {' '.join(words)} >&-"
    assert subprocess.run(["sh", "-c", command], check=False, capture_output=True).returncode == 1
    assert json.loads(file.read_text("utf-8"))["ok"] is False


def test_streams_are_what_they_were_afterwards(capsys: Capture) -> None:
    before = sys.stdout, sys.stderr
    assert main(["plugins"]) == 0
    assert (sys.stdout, sys.stderr) == before
    assert "sparsity" in capsys.readouterr().out
