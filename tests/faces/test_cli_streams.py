"""Standard output, and what comes of it: 1 is a verdict and nothing else, whoever reads and however it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer

import inspector
from inspector.faces.cli import main
from inspector.faces.exports import FORMATS
from inspector.faces.streams import forgiving, settle, write_out
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
            report = inspector.audit(sample.model, str(sample.pictures), preprocess="unit")
            path.write_text(report_to_json(report).replace('"conv2"', '"cönv2"'), "utf-8")
        return path

    return file


@contextmanager
def printing_to(number: int, encoding: str = "utf-8", errors: str = "strict") -> Iterator[None]:
    """What the block prints goes to an open file, as in a process of its own; so does what is buffered at its end."""
    before = sys.stdout
    sys.stdout = open(number, "w", encoding=encoding, errors=errors)  # noqa: SIM115 - a number is no path
    try:
        yield
        sys.stdout.close()
    finally:
        sys.stdout = before


def unread() -> int:
    """A pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def judge(report: Path, *more: str) -> list[str]:
    return ["check", str(report), "--policy", "builtin:release", *more]


@pytest.mark.parametrize(("sample", "code"), [(DIGITS, 0), (HOT, 1)], ids=["fine", "found"])
@pytest.mark.parametrize("to", [[], ["--json", "-"], ["--format", "junit=-"]])
def test_a_reader_that_goes_early_changes_no_verdict(  # noqa: PLR0917 - what pytest hands out
    sample: Any, code: int, to: list[str], stored: Callable[[Any], Path], tmp_path: Path, capsys: Capture
) -> None:
    beside = tmp_path / "summary.md"
    with printing_to(unread()):
        assert main(judge(stored(sample), *to, "--format", f"summary={beside}")) == code
    assert beside.read_text().startswith("## ")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("to", [[], ["--json", "/dev/stdout"]])
def test_the_same_in_a_process_of_its_own(to: list[str], stored: Callable[[Any], Path]) -> None:
    command = [sys.executable, "-m", "inspector", *judge(stored(HOT), *to)]
    pipe = unread()
    done = subprocess.run(command, check=False, stdout=pipe, stderr=subprocess.PIPE)
    os.close(pipe)
    assert (done.returncode, done.stderr) == (1, b"")


def test_neither_are_messages_that_nobody_reads(stored: Callable[[Any], Path]) -> None:
    pipe = unread()
    command = [sys.executable, "-m", "inspector", *judge(Path("none.json"))]
    assert subprocess.run(command, check=False, stdout=pipe, stderr=pipe).returncode == 2
    os.close(pipe)


@pytest.mark.parametrize("arguments", [["plugins"], ["plugins", "--json"], ["describe", str(DIGITS.model)], ["--help"]])
def test_a_list_that_nobody_reads_to_its_end_is_no_failure(arguments: list[str], capsys: Capture) -> None:
    with printing_to(unread()):
        assert main(arguments) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("to", [[], ["--json", "-"], ["--format", "sarif=-"]])
def test_a_full_disk_below_standard_output_is_no_verdict(
    to: list[str], stored: Callable[[Any], Path], tmp_path: Path, capsys: Capture
) -> None:
    beside = tmp_path / "summary.md"
    with printing_to(os.open(FULL, os.O_WRONLY)):
        assert main(judge(stored(HOT), *to, "--format", f"summary={beside}")) == 2
    says = "error: standard output: it cannot be written; found No space left on device. Make room, or name another."
    assert " ".join(capsys.readouterr().err.split()) == says
    assert beside.read_text().startswith("## Failed")


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
def test_a_full_disk_below_both_streams_ends_with_2() -> None:
    with FULL.open("wb") as full:
        command = [sys.executable, "-m", "inspector", "plugins"]
        assert subprocess.run(command, check=False, stdout=full, stderr=full).returncode == 2


@pytest.mark.parametrize(
    ("encoding", "errors", "said"),
    [("ascii", "strict", b"c?nv2"), ("ascii", "surrogateescape", b"c?nv2"), ("cp1252", "strict", b"c\xf6nv2")],
)
def test_letters_that_a_terminal_lacks_change_no_verdict(  # noqa: PLR0917 - what pytest hands out
    encoding: str, errors: str, said: bytes, stored: Callable[[Any], Path], tmp_path: Path, capsys: Capture
) -> None:
    def shown(*more: str) -> bytes:
        file = tmp_path / "out"
        with printing_to(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), encoding, errors):
            assert main(judge(stored(HOT), *more)) == 1
        return file.read_bytes()

    assert said in shown()
    for to in ("--json=-", "--format=junit=-"):  # for programs, which read UTF-8
        assert "cönv2" in shown(to).decode()
    assert capsys.readouterr().err == ""


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
    "error",
    [KeyError("x"), RecursionError("deep"), MemoryError(), UnicodeDecodeError("a", b"", 0, 1, "b"), EOFError("short")],
)
def test_whatever_goes_wrong_is_one_line_its_place_and_no_verdict(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(inspector, "plugins", broken)
    assert main(["plugins"]) == 2
    first, second, *_, last = capsys.readouterr().err.lstrip().splitlines()
    assert first.startswith(f"error: this is a fault of the inspector, please report it: {type(error).__name__}")
    assert second == "Traceback (most recent call last):"
    assert type(error).__name__ in last


@pytest.mark.parametrize(
    ("error", "code"),
    [(typer.Abort(), 2), (typer.BadParameter("x"), 2), (SystemExit("x"), 2), (SystemExit(1), 2),
     (KeyboardInterrupt(), 130), (SystemExit(0), 0), (SystemExit(None), 0)],
)  # fmt: skip
def test_whatever_ends_a_command_is_no_verdict(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def ends(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(inspector, "plugins", ends)
    assert main(["plugins"]) == code


TERMINATED = """
import os, signal, sys, time
from pathlib import Path
import inspector
from inspector.faces.cli import main
from inspector.whole import whole

def plugins():
    with whole(Path(sys.argv[1])) as file:
        file.write(b"half")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

inspector.plugins = plugins
code = main(["plugins"])
assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
sys.exit(code)
"""


def test_a_scheduler_that_ends_a_command_is_told_and_nothing_half_written_is_left(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TERMINATED, str(tmp_path / "a.json")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.split("\n")[-2]) == (143, "", "ended by SIGTERM")
    assert list(tmp_path.iterdir()) == []


def test_a_process_without_standard_output_still_judges(stored: Callable[[Any], Path], tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    command = f"{sys.executable} -m inspector {' '.join(judge(stored(HOT), '--json', str(file)))} >&-"
    assert subprocess.run(["sh", "-c", command], check=False, capture_output=True).returncode == 1
    assert json.loads(file.read_text("utf-8"))["ok"] is False


def test_what_is_written_in_whatever_way_comes_in_order(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with printing_to(os.open(out, os.O_WRONLY | os.O_CREAT)), forgiving():
        sys.stdout.write("one\n")
        write_out("twö\n")
        sys.stdout.writelines(["three\n", "four\n"])
    assert out.read_text("utf-8") == "one\ntwö\nthree\nfour\n"


def test_lines_that_nobody_reads_are_no_failure_either() -> None:
    with printing_to(unread()), forgiving():
        sys.stdout.writelines(["x" * 100_000])
        settle()
    with printing_to(unread()), pytest.raises(BrokenPipeError):
        sys.stdout.writelines(["x" * 100_000])  # as it would be without


def test_streams_are_what_they_were_afterwards(capsys: Capture) -> None:
    before = sys.stdout, sys.stderr
    assert main(["plugins"]) == 0
    assert (sys.stdout, sys.stderr) == before
    assert "sparsity" in capsys.readouterr().out
