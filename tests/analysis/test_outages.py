"""Stores that are away for a while, and files that change: the report says what is lost, and nothing of it is kept."""

from __future__ import annotations

import errno
import io
import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pyarrow import parquet as pq

from inspector import Report, service
from inspector.analysis.feed import Feed
from inspector.analysis.keep import Keeper
from inspector.errors import InputError
from inspector.faces.wire import report_to_json
from inspector.runtime import array_file, urls
from inspector.runtime.data import Batch
from inspector.samples import SAMPLES

DIGITS = SAMPLES[0]
PICTURES = [picture.read_bytes() for picture in sorted(DIGITS.pictures.rglob("*.png"))[:6]]
OPTIONS: dict[str, Any] = {"preprocess": "unit", "device": "cpu", "shard_size": 2}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "FIRST_PAUSE", 0)


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    """Six pictures in a store."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    for number, content in enumerate(PICTURES):
        system.pipe(f"/set/{number}.png", content)
    yield system
    system.store.clear()


def test_that_a_change_could_go_unnoticed_is_said(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(urls, "_TIMES", ())
    report = service.audit(DIGITS.model, "memory://set", **OPTIONS, resume=tmp_path)
    assert "3 shards of files without ETag or time of change: a change that keeps the size is not noticed" in (
        report.provenance.notes
    )


class Cut(io.BytesIO):
    """Half of a file, and then the connection breaks."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = len(self.getvalue()) // 2 - self.tell()
        if left <= 0:
            raise ConnectionResetError("the other side hung up")
        return super().read(min(left, size or 0))


class Outage:
    """What the store raises, or gives in place of a file, for the paths of which `fails` says so; what was opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails: Callable[[str], bool], error: Exception | None) -> None:
        self.fails, self.opened = fails, list[str]()
        original = MemoryFileSystem._open

        def opening(system: MemoryFileSystem, path: str, *args: Any, **options: Any) -> Any:
            self.opened.append(path)
            if not self.fails(path):
                return original(system, path, *args, **options)
            if error is not None:
                raise error
            return Cut(system.cat(path))

        monkeypatch.setattr(MemoryFileSystem, "_open", opening)


def text(report: Report) -> str:
    """The report as JSON, without its times."""
    tree = json.loads(report_to_json(report))
    for time in ("started", "seconds", "waited"):
        del tree["provenance"][time]
    return json.dumps(tree)


@pytest.mark.parametrize("error", [OSError("503"), PermissionError("the token ran out"), FileNotFoundError("gone")])
def test_what_a_store_did_not_give_is_tried_again_by_the_same_command(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    whole = text(service.audit(DIGITS.model, "memory://set", **OPTIONS))
    outage = Outage(monkeypatch, lambda path: "3.png" in path or "4.png" in path, error)
    report = service.audit(DIGITS.model, "memory://set", **OPTIONS, resume=tmp_path)
    assert (report.provenance.inputs, report.skipped_count) == (4, 2)
    assert any("2 in 2 shards; not kept, the same command" in note for note in report.provenance.notes)
    outage.fails = lambda _: False
    outage.opened.clear()
    assert text(service.audit(DIGITS.model, "memory://set", **OPTIONS, resume=tmp_path)) == whole
    assert sorted(outage.opened) == [f"/set/{number}.png" for number in range(2, 6)]


def test_what_is_damaged_is_stored_and_not_tried_again(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    memory.pipe("/set/3.png", PICTURES[3][:40])
    first = text(service.audit(DIGITS.model, "memory://set", **OPTIONS, resume=tmp_path))
    outage = Outage(monkeypatch, lambda _: True, OSError("503"))
    assert text(service.audit(DIGITS.model, "memory://set", **OPTIONS, resume=tmp_path)) == first
    assert outage.opened == []


def packed(kind: str) -> bytes:
    """The six pictures in one file."""
    file = io.BytesIO()
    if kind == "parquet":
        pq.write_table(pa.table({"image": PICTURES}), file, row_group_size=2)
    else:
        with tarfile.open(fileobj=file, mode="w:gz" if kind == "tar.gz" else "w") as tar:
            for number, content in enumerate(PICTURES):
                info = tarfile.TarInfo(f"{number}.png")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize(("kind", "opened"), [("tar", 0), ("tar.gz", 0), ("parquet", 2)])
def test_a_file_of_several_inputs_whose_store_fails_in_the_middle_is_tried_again(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, opened: int
) -> None:
    memory.pipe({f"/w/0.{kind}": packed(kind), f"/w/1.{kind}": packed(kind)})
    whole = text(service.audit(DIGITS.model, "memory://w", **OPTIONS))
    fails = lambda path: "/1." in path and outage.opened.count(path) > opened  # noqa: E731 - see below
    outage = Outage(monkeypatch, fails, None)
    report = service.audit(DIGITS.model, "memory://w", **OPTIONS, resume=tmp_path)
    assert report.skipped_count == (4 if kind == "parquet" else 1)
    assert any("not kept, the same command tries these again" in note for note in report.provenance.notes)
    outage.fails = lambda _: False
    assert text(service.audit(DIGITS.model, "memory://w", **OPTIONS, resume=tmp_path)) == whole


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_where_a_store_is_away_when_a_run_that_is_kept_begins_it_does_not_begin(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    """Its shards could be divided in another way, or be known by other names, than the next time."""
    memory.pipe({f"/w/0.{kind}": packed(kind), "/w/1.tar": packed("tar")})
    if kind == "parquet":
        Outage(monkeypatch, lambda path: "/0." in path, OSError("503"))
    else:
        monkeypatch.setattr(urls, "_TIMES", ())  # so that the file itself is asked
        monkeypatch.setattr(MemoryFileSystem, "info", lambda *_: (_ for _ in ()).throw(OSError("503")))
    with pytest.raises(InputError, match=r"503; tried 4 times"):
        service.audit(DIGITS.model, [f"memory://w/0.{kind}", "memory://w/1.tar"], **OPTIONS, resume=tmp_path)


def test_a_store_that_is_away_when_all_was_read_takes_nothing_back(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    memory.pipe("/w/0.tar", packed("tar"))
    original = Feed._give

    def add(self: Feed, batch: Batch) -> None:
        monkeypatch.setattr(MemoryFileSystem, "info", lambda *_, **__: (_ for _ in ()).throw(OSError("503")))
        original(self, batch)

    monkeypatch.setattr(Feed, "_give", add)
    report = service.audit(DIGITS.model, "memory://w", **OPTIONS, resume=tmp_path)
    assert (report.provenance.inputs, report.skipped_count) == (6, 0)
    assert len(list(tmp_path.glob("*.sum"))) == 1


def test_a_store_is_not_asked_for_what_checkpoints_hold(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    memory.pipe({f"/w/{i}.tar": packed("tar") for i in range(2)})
    service.audit(DIGITS.model, "memory://w", **OPTIONS, resume=tmp_path)
    asked: list[str] = []
    monkeypatch.setattr(urls.Remote, "now", lambda self: asked.append(self.id) or "1")
    (tmp_path / "00000001.sum").unlink()
    service.audit(DIGITS.model, "memory://w", **OPTIONS, resume=tmp_path)
    assert set(asked) == {"1.tar"}


def test_without_checkpoints_it_is_said_too(memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    Outage(monkeypatch, lambda path: "3.png" in path, OSError("503"))
    report = service.audit(DIGITS.model, "memory://set", **OPTIONS)
    assert report.provenance.notes[-1] == (
        "inputs that a store did not give, or that changed during the run: 1 in 1 shard; try these again later"
    )


def test_a_merge_says_what_a_store_did_not_give_and_takes_a_shard_from_the_file_that_has_most_of_it(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sums, note = [tmp_path / f"{name}.sum" for name in "abc"], "inputs that a store did not give"
    lost = [("0.png", "1.png", "4.png"), ("1.png", "3.png"), ()]
    outage = Outage(monkeypatch, lambda _: False, OSError("503"))
    for file, names in zip(sums, lost, strict=True):
        outage.fails = lambda path, names=names: path.endswith(names)  # type: ignore[misc]
        service.audit(DIGITS.model, "memory://set", **OPTIONS, summaries=file)
    report = service.merge(DIGITS.model, sums[:1])
    assert any(
        f"{note}, or that changed during the run: 3 in 2 shards; run these" in n for n in report.provenance.notes
    )
    for order in (sums[:2], sums[1::-1]):
        report = service.merge(DIGITS.model, order)
        assert (report.provenance.inputs, report.skipped_count) == (5, 1)
        assert any(f"{note}, or that changed during the run: 1 in 1 shard;" in n for n in report.provenance.notes)
    whole = service.audit(DIGITS.model, "memory://set", **OPTIONS)
    for order in (sums, sums[::-1]):
        report = service.merge(DIGITS.model, order)
        assert json.loads(text(report))["results"] == json.loads(text(whole))["results"]
        assert report.skipped_count == 0
        assert report.provenance.data_sha256 == whole.provenance.data_sha256
        assert not any(note in n for n in report.provenance.notes)


class Disk:
    """A disk of the network under a folder: `gone` says of which names nothing can be had."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, number: int = errno.ESTALE) -> None:
        self.gone = set[str]()

        def failing(original: Callable[..., Any]) -> Callable[..., Any]:
            def call(path: Any, *args: Any, **options: Any) -> Any:
                if str(path).startswith(str(folder)) and Path(path).name in self.gone:
                    raise OSError(number, os.strerror(number), str(path))
                return original(path, *args, **options)

            return call

        monkeypatch.setattr(Path, "open", failing(Path.open))
        self.close = lambda: [monkeypatch.setattr(os, name, failing(getattr(os, name))) for name in ("stat", "scandir")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures in two folders, and one file for each other kind."""
    for number, content in enumerate(PICTURES):
        place = tmp_path / "set" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.png").write_bytes(content)
    for kind in ("npy", "tar", "parquet"):
        write(tmp_path / "set", kind)
    return tmp_path / "set"


@pytest.mark.parametrize("name", ["3.png", "0.npy", "0.tar"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE])
def test_what_a_disk_did_not_give_is_tried_again_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, number: int
) -> None:
    options = OPTIONS | {"shard_size": 100}  # so that no array file is divided
    whole = text(service.audit(DIGITS.model, folder, **options))
    disk = Disk(monkeypatch, folder, number)
    disk.gone = {name}
    report = service.audit(DIGITS.model, folder, **options, resume=tmp_path / "points")
    assert report.skipped_count == 1
    assert f"({os.strerror(number)})" in report.skipped[0].reason
    assert str(folder) not in report.skipped[0].reason
    assert any("not kept, the same command tries these again" in note for note in report.provenance.notes)
    disk.gone = set()
    assert text(service.audit(DIGITS.model, folder, **options, resume=tmp_path / "points")) == whole


@pytest.mark.parametrize("name", ["3.png", "0.tar", "b"])
def test_where_a_disk_is_away_when_a_run_that_is_kept_begins_it_does_not_begin(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """What cannot be looked at would have another name the next time, and all checkpoints be of other data."""
    whole = text(service.audit(DIGITS.model, folder, **OPTIONS))
    with monkeypatch.context() as patched:
        disk = Disk(patched, folder)
        disk.gone = {name}
        disk.close()
        with pytest.raises(
            InputError, match=rf"{name}: it cannot be looked at \(Stale file handle\)\. Try again later"
        ):
            service.audit(DIGITS.model, folder, **OPTIONS, resume=tmp_path / "points")
        report = service.audit(DIGITS.model, folder, **OPTIONS)
        assert any("try these again later" in note for note in report.provenance.notes)
        assert (report.skipped_count, report.provenance.incomplete) == (1, name != "3.png")
    assert text(service.audit(DIGITS.model, folder, **OPTIONS, resume=tmp_path / "points")) == whole


def write(folder: Path, kind: str) -> Path:
    """The six pictures in one file; arrays as the model takes them."""
    path = folder / f"0.{kind}"
    if kind == "npy":
        np.save(path, np.random.default_rng(0).random((6, 1, 16, 16), np.float32))
    else:
        path.write_bytes(packed(kind))
    return path


@pytest.mark.parametrize("alone", [True, False], ids=["a file", "a folder"])
@pytest.mark.parametrize(("kind", "shards"), [("npy", 3), ("tar", 1), ("parquet", 3)])
def test_a_file_that_changes_while_it_is_read_is_incomplete_and_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, shards: int, *, alone: bool
) -> None:
    path = write(tmp_path / "data", kind) if not (tmp_path / "data").mkdir() else tmp_path
    data, points = path if alone else path.parent, tmp_path / "points"
    original = Feed._give

    def add(self: Feed, batch: Batch) -> None:
        os.utime(path, (1, 1))
        original(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(Feed, "_give", add)
        report = service.audit(DIGITS.model, data, **OPTIONS, resume=points)
        assert (report.provenance.inputs, report.skipped_count, report.provenance.incomplete) == (6, shards, shards)
        assert "it changed during the run" in report.skipped[0].reason
        assert not list(points.glob("*.sum"))
        os.utime(path, (2, 2))
        with pytest.raises(InputError, match="it changed during the run"):
            service.audit(DIGITS.model, data, **OPTIONS, strict=True)
    report = service.audit(DIGITS.model, data, **OPTIONS, resume=points)
    assert (report.provenance.inputs, report.skipped_count) == (6, 0)
    assert not [note for note in report.provenance.notes if "changed" in note]


@pytest.mark.parametrize("kept_open", [True, False])
def test_inputs_of_an_array_file_that_is_replaced_count_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, kept_open: bool
) -> None:
    path = write(tmp_path, "npy")
    (tmp_path / "new").mkdir()
    original, new = Feed._give, write(tmp_path / "new", "npy")
    monkeypatch.setattr(array_file, "_room", threading.BoundedSemaphore(1 if kept_open else 0))

    def add(self: Feed, batch: Batch) -> None:
        original(self, batch)
        if new.exists():
            new.replace(path)

    with monkeypatch.context() as patched:
        patched.setattr(Feed, "_give", add)
        report = service.audit(DIGITS.model, path, **OPTIONS, resume=tmp_path / "points")
    got, incomplete = report.provenance.inputs, report.provenance.incomplete
    assert (got, report.skipped_count, incomplete) == ((6, 3, 3) if kept_open else (2, 5, 3))
    assert "0.npy" not in report.skipped[0].reason + report.skipped[-1].reason  # their ids say it
    assert not list((tmp_path / "points").glob("*.sum"))


def test_a_file_that_changes_between_the_start_of_a_run_and_its_turn_is_not_kept_under_its_old_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write(tmp_path, "tar")
    original = Keeper.__enter__
    monkeypatch.setattr(Keeper, "__enter__", lambda self: (os.utime(path, (1, 1)), original(self))[1])
    service.audit(DIGITS.model, path, **OPTIONS, resume=tmp_path / "points")
    assert not list((tmp_path / "points").glob("*.sum"))
