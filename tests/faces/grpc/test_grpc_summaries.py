"""Summaries over the wire: what audits give is what merges take, within limits, and nothing of the server leaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import served

from inspector import Report, service
from inspector.analysis import sums
from inspector.control import Stop
from inspector.errors import InputError, LimitError, ParameterError, StoppedError, SummaryError
from inspector.faces.grpc.client import Client
from inspector.faces.grpc.settings import Settings
from inspector.faces.grpc.summaries import receive
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


def test_files_are_told_apart_and_have_to_be_ended(tmp_path: Path) -> None:
    pieces = [(b"ab", False), (b"c", True), (b"", True), (b"d", True)]
    assert [path.read_bytes() for path in receive(pieces, tmp_path, 100, Stop())] == [b"abc", b"", b"d"]
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="the last file is cut short"):
        receive([(b"ab", False)], tmp_path / "other", 100, Stop())


def test_a_merge_that_was_stopped_or_has_no_room_ends(tmp_path: Path) -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(StoppedError):
        receive([(b"ab", True)], tmp_path, 100, stop)
    with pytest.raises(LimitError, match="they cannot be stored; found No such file"):
        receive([(b"ab", True)], tmp_path / "nowhere", 100, Stop())
