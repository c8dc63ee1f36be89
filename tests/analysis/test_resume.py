"""Runs that are killed and go on: the report is that of a run that nobody disturbed, byte for byte."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import Again, Peak, Peaks, installed

import inspector
from inspector import Report, service, whole
from inspector.analysis import sums
from inspector.errors import InputError, ParameterError, SummaryError
from inspector.faces.wire import report_to_json
from inspector.runtime.data import Raw
from inspector.samples import SAMPLES

DIGITS, HOT = SAMPLES[0], SAMPLES[1]
SIZE, COUNT = 7, 40
OPTIONS = {"preprocess": "unit", "device": "cpu", "batch_size": 4, "shard_size": SIZE}
CHILD = """
import os, signal, sys
from inspector import whole
from inspector.analysis import sums
from inspector.faces.cli import main

when, most, *arguments = sys.argv[1:]
calls = 0

def killing(original):
    def call(*args):
        global calls
        calls += 1
        if calls == int(most):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args)
    return call

if when == "written":      # under its temporary name, not on the disk yet
    os.fsync = killing(os.fsync)
elif when == "appeared":
    whole._sync_folder = killing(whole._sync_folder)
elif when == "half":       # some of its frames are in the file
    sums._write = killing(sums._write)
sys.exit(main(arguments))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 pictures, every ninth of them broken; one shard is of broken ones only."""
    data = tmp_path_factory.mktemp("pictures")
    pictures = sorted(DIGITS.pictures.rglob("*.png"))[:COUNT]
    for i, picture in enumerate(pictures):
        broken = i % 9 == 0 or 14 <= i < 21
        (data / f"{i:02d}.png").write_bytes(picture.read_bytes()[: 40 if broken else None])
    return data


def text(report: Report) -> str:
    """The report as JSON, without its times."""
    tree = json.loads(report_to_json(report))
    for time in ("started", "seconds", "waited"):
        del tree["provenance"][time]
    return json.dumps(tree)


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> str:
    return text(service.audit(DIGITS.model, folder, **OPTIONS))


def killed(folder: Path, checkpoints: Path, when: str, most: int) -> int:
    arguments = ["audit", DIGITS.model, "-d", folder, "-p", "unit", "--device", "cpu", "--batch-size", 4]
    options = ["--shard-size", SIZE, "--resume", checkpoints]
    command = [sys.executable, "-c", CHILD, when, most, *arguments, *options]
    return subprocess.run([str(c) for c in command], capture_output=True, check=False, timeout=120).returncode


def test_a_run_that_was_killed_again_and_again_gives_the_report_of_one_that_was_not(
    folder: Path, tmp_path: Path, undisturbed: str
) -> None:
    there = []
    for when, most in (("half", 3), ("appeared", 2), ("written", 3)):
        assert killed(folder, tmp_path, when, most) == -9
        there.append(len(list(tmp_path.glob("*.sum"))))
    assert there == [0, 2, 3]  # an fsync of a file and one of its folder make a checkpoint
    assert list(tmp_path.glob(".*.tmp"))  # what the last one was writing when it ended
    report = service.audit(DIGITS.model, folder, **OPTIONS, resume=tmp_path)
    assert text(report) == undisturbed
    assert (report.provenance.inputs, report.skipped_count) == (29, 11)
    assert not list(tmp_path.glob(".*.tmp"))
    assert len(list(tmp_path.glob("*.sum"))) == 6


def test_what_is_there_is_not_run_again_in_whatever_order_it_came(
    folder: Path, tmp_path: Path, undisturbed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.audit(DIGITS.model, folder, **OPTIONS, resume=tmp_path)
    for index in (0, 3):
        (tmp_path / f"{index:08d}.sum").unlink()
    ran: list[int] = []
    monkeypatch.setattr("inspector.analysis.keep.Keeper.done", _listening(ran))
    report = service.audit(DIGITS.model, folder, **OPTIONS, resume=tmp_path)
    assert text(report) == undisturbed
    assert ran == [0, 3]
    ran.clear()
    assert text(service.audit(DIGITS.model, folder, **OPTIONS, resume=tmp_path)) == undisturbed
    assert ran == []


def _listening(ran: list[int]) -> Any:
    from inspector.analysis.keep import Keeper

    original = Keeper.done

    def done(self: Any, part: Any) -> None:
        ran.append(part.tally.index)
        original(self, part)

    return done


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_checkpoint_is_never_read_and_its_shard_is_done_again(
    folder: Path, tmp_path: Path, undisturbed: str, damage: str
) -> None:
    service.audit(DIGITS.model, folder, **OPTIONS, resume=tmp_path)
    victim = tmp_path / "00000001.sum"
    data = bytearray(victim.read_bytes())
    data[len(data) * 3 // 4] ^= 1
    victim.write_bytes({"cut": bytes(data[:-50]), "flipped": bytes(data), "empty": b""}[damage])
    assert text(service.audit(DIGITS.model, folder, **OPTIONS, resume=tmp_path)) == undisturbed
    assert victim.read_bytes() != data


@pytest.mark.parametrize("other", ["another shard", "two shards"])
def test_a_checkpoint_that_holds_something_else_is_not_taken_for_its_shard(
    folder: Path, tmp_path: Path, undisturbed: str, other: str
) -> None:
    service.audit(DIGITS.model, folder, **OPTIONS, resume=tmp_path)
    first, second = (tmp_path / f"0000000{i}.sum" for i in (0, 1))
    if other == "another shard":
        shutil.copy(first, second)
    else:
        union = tmp_path / "union"
        service.merge(DIGITS.model, [first, second], summaries=union)
        union.replace(first)
    assert text(service.audit(DIGITS.model, folder, **OPTIONS, resume=tmp_path)) == undisturbed


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": HOT.model}, "the model; expected sha256"),
        ({"analyses": ["sparsity:near=0.5"]}, "the parameters of 'sparsity'"),
        ({"analyses": ["sparsity", "filters"]}, "the analyses"),
        ({"fidelity": "exact"}, "the fidelity; expected exact, found fast"),
        ({"preprocess": "raw"}, "the preprocessing"),
        ({"shard_size": 8}, "the shard size; expected 8, found 7"),
    ],
)
def test_checkpoints_of_another_run_are_refused_and_told_what_differs(
    folder: Path, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    service.audit(DIGITS.model, folder, **OPTIONS, resume=tmp_path)
    options = {"model": DIGITS.model, "data": folder, **OPTIONS, "resume": tmp_path} | change
    with pytest.raises(SummaryError, match=r"another run, differing in .*") as caught:
        service.audit(**options)
    assert says in str(caught.value)


def test_the_batch_size_is_recorded_and_bars_no_resumption(folder: Path, tmp_path: Path) -> None:
    service.audit(DIGITS.model, folder, **OPTIONS, resume=tmp_path)
    (tmp_path / "00000005.sum").unlink()
    report = service.audit(DIGITS.model, folder, **OPTIONS | {"batch_size": 2}, resume=tmp_path)
    assert (report.provenance.inputs, report.provenance.batch) == (29, 4)


@pytest.mark.parametrize("memory", [None, 150_000], ids=["enough memory", "little memory"])
def test_a_batch_size_that_is_chosen_is_the_same_after_a_resumption(
    folder: Path, tmp_path: Path, memory: int | None
) -> None:
    options = {name: value for name, value in OPTIONS.items() if name != "batch_size"} | {"memory": memory}
    whole = service.audit(DIGITS.model, folder, **options)
    assert whole.provenance.batch == (64 if memory is None else 4)
    service.audit(DIGITS.model, folder, **options, resume=tmp_path)
    for index in (0, 3):
        (tmp_path / f"{index:08d}.sum").unlink()
    assert text(service.audit(DIGITS.model, folder, **options, resume=tmp_path)) == text(whole)


def test_checkpoints_of_other_data_are_refused(folder: Path, tmp_path: Path) -> None:
    changed, checkpoints = tmp_path / "pictures", tmp_path / "checkpoints"
    shutil.copytree(folder, changed)
    service.audit(DIGITS.model, changed, **OPTIONS, resume=checkpoints)
    os.utime(changed / "10.png", (1, 1))
    with pytest.raises(SummaryError, match=r"other data: shard 1 differs; expected 07\.png\.\.13\.png@"):
        service.audit(DIGITS.model, changed, **OPTIONS, resume=checkpoints)
    with pytest.raises(SummaryError, match="other data: shard 0 differs"):
        service.audit(DIGITS.model, "noise:20", device="cpu", shard_size=SIZE, resume=checkpoints, preprocess="unit")


def test_checkpoints_of_more_data_are_refused(folder: Path, tmp_path: Path) -> None:
    """Of exactly one shard more."""
    fewer, checkpoints = tmp_path / "pictures", tmp_path / "checkpoints"
    shutil.copytree(folder, fewer)
    service.audit(DIGITS.model, fewer, **OPTIONS, resume=checkpoints)
    for picture in sorted(fewer.glob("*.png"))[5 * SIZE :]:
        picture.unlink()
    with pytest.raises(SummaryError, match="other data: shard 5 differs; expected 5 shards"):
        service.audit(DIGITS.model, fewer, **OPTIONS, resume=checkpoints)


def test_why_nothing_could_be_used_is_said_after_a_resumption_too(tmp_path: Path) -> None:
    data = tmp_path / "pictures"
    data.mkdir()
    for i in range(9):
        (data / f"{i}.png").write_bytes(b"no picture")
    said = []
    for _ in range(2):
        with pytest.raises(InputError, match="none of 9 inputs could be used") as caught:
            service.audit(DIGITS.model, data, **OPTIONS, resume=tmp_path / "points")
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "there was no input" not in said[0]


def test_a_checkpoint_that_skipped_an_input_does_not_pass_a_strict_run(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.zeros((1, 16, 16), np.float32))
    (tmp_path / "wrong.npy").write_bytes(b"no array")
    options: dict[str, Any] = {"device": "cpu", "resume": tmp_path / "points"}
    assert service.audit(DIGITS.model, tmp_path, ["sparsity"], **options).skipped_count == 1
    with pytest.raises(InputError, match=r"input 'wrong\.npy': it cannot be used"):
        service.audit(DIGITS.model, tmp_path, ["sparsity"], **options, strict=True)


@pytest.mark.parametrize("failing", ["_write", "_sync_folder"])
def test_a_full_disk_ends_the_checkpoints_and_not_the_run(
    folder: Path, tmp_path: Path, undisturbed: str, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    module = sums if failing == "_write" else whole
    calls, original = 0, getattr(module, failing)

    def full(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > (5 if failing == "_write" else 1):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(*arguments)

    monkeypatch.setattr(module, failing, full)
    report = service.audit(DIGITS.model, folder, **OPTIONS, resume=tmp_path)
    (note,) = report.provenance.notes
    assert note == "checkpoints could not be written from shard 1 on: No space left on device"
    expected, found = json.loads(undisturbed), json.loads(text(report))
    expected["provenance"]["notes"] = [note]
    assert found == expected
    assert not list(tmp_path.glob(".*.tmp"))
    monkeypatch.undo()
    assert text(service.audit(DIGITS.model, folder, **OPTIONS, resume=tmp_path)) == undisturbed


class Fussy(Peaks):
    """Raises where a peak is no number."""

    name = "fussy"

    def summarize(self, tap: Any, rows: Any, batch: Any) -> Peak:
        if np.isnan(rows["peak"]).any():
            raise ValueError(f"it minds NaN in {batch.ids}")
        return super().summarize(tap, rows, batch)


def test_an_analysis_that_fails_in_one_shard_fails_in_the_same_words_after_a_resumption(tmp_path: Path) -> None:
    raised = np.zeros((10, 1, 16, 16), np.float32)
    raised[6] = np.nan
    options = {"device": "cpu", "shard_size": 5, "batch_size": 2}
    with installed(Fussy):
        whole = text(service.audit(DIGITS.model, raised, ["fussy", "sparsity"], **options))
        service.audit(DIGITS.model, raised, ["fussy", "sparsity"], **options, resume=tmp_path)
        (tmp_path / "00000000.sum").unlink()
        again = service.audit(DIGITS.model, raised, ["fussy", "sparsity"], **options, resume=tmp_path)
    assert text(again) == whole
    failure = again.results[0].failure
    assert failure is not None
    assert "it minds NaN" in failure.message


def test_analyses_that_explore_see_the_same_inputs_after_a_resumption(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((24, 1, 16, 16), np.float32)
    options = {"device": "cpu", "shard_size": 7, "batch_size": 2}
    with installed(Again):
        whole = text(service.audit(DIGITS.model, x, ["again", "sparsity"], **options))
        assert "16 inputs, ratio" in whole
        for missing in ((), (2,), (0, 1)):
            for index in missing:
                (tmp_path / f"{index:08d}.sum").unlink()
            report = service.audit(DIGITS.model, x, ["again", "sparsity"], **options, resume=tmp_path)
            assert text(report) == whole


def test_a_stream_cannot_be_resumed(tmp_path: Path) -> None:
    raws = [Raw("a", tensors={"image": np.zeros((1, 16, 16), np.float32)})]
    with pytest.raises(InputError, match="neither resumed nor divided"):
        service.audit(DIGITS.model, raws, resume=tmp_path)


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "/", "a/b", "-1/2", "1/2/3"])
def test_a_part_that_is_none_is_refused(part: str) -> None:
    with pytest.raises(ParameterError, match=r"K/N"):
        inspector.audit(DIGITS.model, "noise:4", part=part)


def test_a_run_that_adds_nothing_up_has_nothing_to_keep(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="they add nothing up"):
        inspector.audit(DIGITS.model, "noise:4", ["filters"], resume=tmp_path)
