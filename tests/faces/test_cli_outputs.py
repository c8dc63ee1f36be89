"""What commands write: tried before anything runs; where it fails at the end, nothing else is lost."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from inspector import paths, service
from inspector.control import Watcher
from inspector.errors import InspectorError, OutputError
from inspector.faces import terminal
from inspector.faces.cli import main
from inspector.faces.grpc.client import Client
from inspector.faces.wire import report_from_json
from inspector.samples import SAMPLES

MODEL = str(SAMPLES[0].model)
NOISE = ["-d", "noise:4", "-a", "sparsity"]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may run."""

    def run(*_: object, **__: object) -> Any:
        raise AssertionError("it ran")

    for name in ("report", "merged", "gather", "load"):
        monkeypatch.setattr(service, name, run)


COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "audit --json": lambda to: ["audit", MODEL, *NOISE, "--json", to],
    "audit --format": lambda to: ["audit", MODEL, *NOISE, "--format", "junit=yes.xml", "--format", f"sarif={to}"],
    "audit --summaries": lambda to: ["audit", MODEL, *NOISE, "--summaries", to],
    "inspect --json": lambda to: ["inspect", MODEL, "--json", to],
    "inspect --format": lambda to: ["inspect", MODEL, "--format", f"html={to}"],
    "activations": lambda to: ["activations", MODEL, "-i", "noise:1", "-o", to],
}


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("none/a.npz", "file 'none/a.npz': its folder does not exist; found none. Make it, or name another."),
        ("file/a.npz", "file 'file/a.npz': what should be its folder is none; found file. Name another."),
        ("folder.npz", "file 'folder.npz': it is a folder. Name a file in it."),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_anything_runs(  # noqa: PLR0917 - what pytest hands out
    command: str, to: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder.npz").mkdir()
    assert main(COMMANDS[command](to)) == 2
    assert capsys.readouterr().err.strip() == f"error: {says}"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.npz"]


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize("option", ["--out", "--resume"])
def test_a_folder_that_cannot_be_made_is_told_before_anything_runs(
    option: str, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "file").touch()
    assert main(["audit", MODEL, *NOISE, option, str(tmp_path / "file" / "a")]) == 2
    assert "a file is in its place; found" in capsys.readouterr().err


@pytest.mark.usefixtures("never")
def test_rights_are_looked_at_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Here of somebody who may write nothing; whoever may do anything cannot lose a right."""
    (tmp_path / "old.json").touch()
    monkeypatch.setattr(paths.os, "access", lambda _, how: not how & os.W_OK)
    for name, says in (("new.json", "its folder cannot be written"), ("old.json", "it cannot be written")):
        assert main(["audit", MODEL, *NOISE, "--json", str(tmp_path / name)]) == 2
        assert f"{name}': {says}" in capsys.readouterr().err
    assert main(["audit", MODEL, *NOISE, "--out", str(tmp_path / "new" / "deep")]) == 2
    assert "it cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--json", "--format", "--out", "--summaries"])
def test_a_full_disk_at_the_end_costs_one_file_and_no_table(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """What is asked for beside that is written, and the code is 2 whatever the report says."""
    victim, other = tmp_path / "victim", tmp_path / "other"

    def refuse(path: Path, real: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if victim.name in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, *args, **options)

    for name in ("write_text", "write_bytes", "replace"):
        real = getattr(Path, name)
        monkeypatch.setattr(Path, name, lambda p, *a, _real=real, **o: refuse(p, _real, *a, **o))
    to = f"html={victim}" if option == "--format" else str(victim)
    beside = ["--format", f"summary={other}"] if option == "--json" else ["--json", str(other)]
    assert main(["audit", MODEL, *NOISE, option, to, *beside]) == 2
    shown = capsys.readouterr()
    assert "Sparsity by layer" in shown.out
    what = "folder" if option == "--out" else "file"
    says = f"{what} '{victim}': it cannot be written; found No space left on device. Make room, or name another."
    assert says in " ".join(shown.err.split())
    assert other.stat().st_size > 100
    if option != "--json":
        assert report_from_json(other.read_text("utf-8")).provenance.inputs == 4


def test_maps_are_written_where_it_is_said_that_they_are(tmp_path: Path, capsys: Capture) -> None:
    assert main(["activations", MODEL, "-i", "noise:1", "-t", "conv1", "-o", str(tmp_path / "maps")]) == 0
    assert "maps.npz" in "".join(capsys.readouterr().out.split())
    with np.load(tmp_path / "maps.npz") as maps:
        assert list(maps) == ["conv1:act"]


def test_a_client_tries_its_file_before_it_asks_anything(tmp_path: Path) -> None:
    with Client("localhost:1", timeout=0.1) as client, pytest.raises(OutputError, match="its folder does not exist"):
        client.audit("digits", "server:digits", summaries=tmp_path / "none" / "a.sum")


def test_summaries_that_a_server_does_not_send_leave_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a.sum"
    file.write_bytes(b"old")
    with Client("localhost:1", timeout=0.1) as client, pytest.raises(InspectorError):
        client.audit("digits", "server:digits", summaries=file)
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.sum"]


@pytest.mark.parametrize(
    ("options", "stages"),
    [(["-o", "out"], ["pictures"]), (["--format", "html=p.html"], ["page"]), (["--format", "html=-"], ["page"]),
     (["-o", "out", "--format", "html=p.html"], ["pictures", "page"]), (["--json", "r.json"], [])],
)  # fmt: skip
def test_drawing_is_seen_at_a_terminal_as_a_run_is(
    options: list[str], stages: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[str] = []

    @contextmanager
    def watched(console: Console) -> Iterator[Watcher]:
        assert console.stderr
        yield lambda step: seen.append(step.stage)

    monkeypatch.setattr(terminal, "progress", watched)
    assert main(["inspect", MODEL, *options]) == 0
    assert list(dict.fromkeys(seen)) == stages
