"""Summaries over the wire: what audits give is what merges take, within limits, and nothing of the server leaks."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grpc_served import served

from inspector import Report, service
from inspector.analysis import sums
from inspector.control import Stop
from inspector.errors import InputError, LimitError, ParameterError, StoppedError, SummaryError
from inspector.faces.grpc import summaries
from inspector.faces.grpc.client import Client
from inspector.faces.grpc.settings import Settings
from inspector.faces.grpc.summaries import of_the_files, receive
from inspector.faces.wire import report_to_json
from inspector.samples import SAMPLES

DIGITS, HOT = SAMPLES[0], SAMPLES[1]
X = np.random.default_rng(3).random((9, 1, 16, 16), np.float32)


def content(report: Report) -> dict[str, Any]:
    """The report, without its times."""
    tree: dict[str, Any] = json.loads(report_to_json(report))
    for time in ("started", "seconds", "waited"):
        del tree["provenance"][time]
    return tree


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data").resolve()
    np.save(data / "x.npy", X)
    return data


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    settings = Settings(DIGITS.model.parent, folder, device="cpu", grace=1.0, max_summary_bytes=200_000)
    with served(settings, service) as address, Client(address) as made:
        yield made


def test_parts_that_a_server_ran_are_merged_by_it_to_what_the_whole_gives(client: Client, tmp_path: Path) -> None:
    whole = client.audit("digits", "server:x.npy", shard_size=2)
    files = [tmp_path / "1.sum", tmp_path / "2.sum"]
    for k, file in enumerate(files, 1):
        client.audit("digits", "server:x.npy", shard_size=2, part=f"{k}/2", summaries=file)
    merged = client.merge("digits", files, summaries=tmp_path / "union.sum")
    assert content(merged) == content(whole)
    again = service.merge(DIGITS.model, [tmp_path / "union.sum"])
    assert content(again) == content(whole)


def test_summaries_do_not_say_where_the_data_lies(client: Client, folder: Path, tmp_path: Path) -> None:
    client.audit("digits", "server:x.npy", summaries=tmp_path / "a.sum")
    data = (tmp_path / "a.sum").read_bytes()
    assert str(folder).encode() not in data
    assert b"server:x.npy" in data


def test_what_a_client_sends_is_one_shard_that_merges(client: Client, tmp_path: Path) -> None:
    for name, part in (("a", X[:4]), ("b", X[4:])):
        client.audit("digits", part, summaries=tmp_path / name)
    merged = client.merge("digits", [tmp_path / "a", tmp_path / "b"])
    assert merged.provenance.inputs == 9


def test_a_merge_of_another_model_is_refused_without_a_word_of_the_servers_folders(
    client: Client, tmp_path: Path
) -> None:
    for name in ("digits", "digits_hot"):
        client.audit(name, "server:x.npy", summaries=tmp_path / name)
    with pytest.raises(SummaryError, match=r"^1\.sum: they are of another model"):
        client.merge("digits", [tmp_path / "digits_hot"])
    with pytest.raises(SummaryError, match=r"^2\.sum: they are of another run, differing in the model"):
        client.merge("digits", [tmp_path / "digits", tmp_path / "digits_hot"])


def test_damaged_and_missing_files_are_refused(client: Client, tmp_path: Path) -> None:
    client.audit("digits", "server:x.npy", summaries=tmp_path / "a")
    (tmp_path / "cut").write_bytes((tmp_path / "a").read_bytes()[:-9])
    with pytest.raises(SummaryError, match=r"^1\.sum: it was cut short"):
        client.merge("digits", [tmp_path / "cut"])
    with pytest.raises(ParameterError, match="none to merge"):
        client.merge("digits", [])
    with pytest.raises(ParameterError, match="K/N"):
        client.audit("digits", "server:x.npy", part="5")
    with pytest.raises(InputError, match="neither resumed nor divided"):
        client.audit("digits", X, part="1/2")


def test_more_than_the_server_takes_is_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(sums.MAGIC + bytes(300_000))
    with pytest.raises(LimitError, match="at most 200000 bytes"):
        client.merge("digits", [tmp_path / "large"])


def resealed(file: Path, at: int, change: Callable[[bytes], bytes]) -> Path:
    """The file with another frame at that place, its length and checksum put right."""
    data, place, frames = file.read_bytes(), len(sums.MAGIC), []
    while place < len(data):
        size = int.from_bytes(data[place : place + 8], "little")
        frames.append(data[place + 40 : place + 40 + size])
        place += 40 + size
    frames[at] = change(frames[at])
    sealed = [len(f).to_bytes(8, "little") + hashlib.sha256(f).digest() + f for f in frames]
    file.write_bytes(sums.MAGIC + b"".join(sealed))
    return file


def with_array(name: str, make: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    """Another array of that name among the summaries."""

    def change(frame: bytes) -> bytes:
        arrays = dict(np.load(io.BytesIO(frame)))
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays | {name: make(arrays[name])})
        return buffer.getvalue()

    return change


def with_fact(name: str, value: Any) -> Callable[[bytes], bytes]:
    """Another fact in the provenance of a tally."""

    def change(frame: bytes) -> bytes:
        tally = json.loads(frame)
        tally["provenance"][name] = value
        return json.dumps(tally).encode()

    return change


MADE_UP = {
    "a header without end": (2, with_array("header", lambda _: np.array("[" * 100_000))),
    "complex numbers": (2, with_array("0/0/low", lambda a: a.astype(np.complex128))),
    "dates": (2, with_array("0/0/low", lambda a: np.zeros(a.shape, "M8[s]"))),
    "a batch beyond 64 bits": (1, with_fact("batch", 1 << 70)),
    "operators beyond 64 bits": (
        1,
        with_fact("operators", [{"domain": "", "op": "x", "plain": 1 << 70, "watched": 1}]),
    ),
}


@pytest.mark.parametrize(("at", "change"), MADE_UP.values(), ids=MADE_UP)
def test_files_that_were_made_up_are_refused_as_summaries(
    client: Client, tmp_path: Path, at: int, change: Callable[[bytes], bytes]
) -> None:
    client.audit("digits", "server:x.npy", summaries=tmp_path / "a")
    with pytest.raises(SummaryError):
        client.merge("digits", [resealed(tmp_path / "a", at, change)])
    if at == 2:
        with pytest.raises(SummaryError):
            service.merge(DIGITS.model, [tmp_path / "a"])


def test_texts_that_are_no_utf8_travel_as_escapes(client: Client, tmp_path: Path) -> None:
    client.audit("digits", "server:x.npy", summaries=tmp_path / "a")
    merged = client.merge("digits", [resealed(tmp_path / "a", 1, with_fact("device", "c\ud800pu"))])
    assert merged.provenance.device == "c\\ud800pu"


def test_counts_that_add_up_to_more_than_64_bits_are_refused_as_summaries(client: Client, tmp_path: Path) -> None:
    files = []
    for k in range(3):
        client.audit("digits", X[:2], summaries=tmp_path / str(k))

        def many(frame: bytes, k: int = k) -> bytes:
            changed = {"inputs": (1 << 62) - 1, "skipped_count": (1 << 62) - 1, "shard": f"{k}", "index": k}
            return json.dumps(json.loads(frame) | changed).encode()

        files.append(resealed(tmp_path / str(k), 1, many))
    with pytest.raises(SummaryError):
        client.merge("digits", files)


class Full(io.RawIOBase):
    """A file on a disk that is full: it takes three bytes."""

    room = 3

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = min(self.room, len(data))
        self.room -= taken
        return taken


def test_a_disk_that_is_full_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", buffering: int = -1) -> Any:
        return (
            opened(path, mode, buffering) if "x" not in mode else Full() if not buffering else io.BufferedWriter(Full())
        )

    monkeypatch.setattr(Path, "open", full)
    for data in (b"abcd", b"ab", bytes(100_000)):
        with pytest.raises(LimitError, match="they cannot be stored; found No space left"):
            receive([(data, False), (data, True)], tmp_path, 1_000_000, Stop())


def test_a_folder_that_cannot_be_made_is_a_limit(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.audit("digits", "server:x.npy", summaries=tmp_path / "a")

    def full(*_: Any, **__: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(LimitError, match="No space left"):
        client.merge("digits", [tmp_path / "a"])


def test_files_are_told_apart_and_have_to_be_ended(tmp_path: Path) -> None:
    pieces = [(b"ab", False), (b"c", True), (b"", True), (b"d", True)]
    assert [path.read_bytes() for path in receive(pieces, tmp_path, 100, Stop())] == [b"abc", b"", b"d"]
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="the last file is cut short"):
        receive([(b"ab", False)], tmp_path / "other", 100, Stop())


def test_as_many_files_are_taken_as_the_limit_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summaries, "MAX_FILES", 2)
    pieces = [(b"a", True), (b"b", False), (b"c", True)]
    (tmp_path / "two").mkdir()
    assert len(receive(pieces, tmp_path / "two", 100, Stop())) == 2
    with pytest.raises(LimitError, match="at most 100 bytes in 2 files"):
        receive([*pieces, (b"d", True)], tmp_path, 100, Stop())
    assert not (tmp_path / "3.sum").exists()


@pytest.mark.parametrize(
    "error", [OverflowError("secret"), KeyError("secret"), TypeError(), ValueError(), RecursionError()]
)
def test_whatever_the_numbers_of_a_file_break_is_an_error_of_the_file(error: Exception) -> None:
    with pytest.raises(SummaryError, match=f"they do not add up; found {type(error).__name__}"), of_the_files():
        raise error


def test_a_merge_that_was_stopped_or_has_no_room_ends(tmp_path: Path) -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(StoppedError):
        receive([(b"ab", True)], tmp_path, 100, stop)
    with pytest.raises(LimitError, match="they cannot be stored; found No such file"):
        receive([(b"ab", True)], tmp_path / "nowhere", 100, Stop())
