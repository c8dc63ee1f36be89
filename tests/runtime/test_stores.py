"""Stores whose listings say nothing, whose files change while they are read, or that give short pieces."""

from __future__ import annotations

import io
import threading
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from datasets import LABELS, PIXELS, RAW, X, assert_is_the_data_set, png
from fsspec.implementations.memory import MemoryFileSystem
from pyarrow import parquet as pq

from inspector.errors import InputError
from inspector.runtime import urls
from inspector.runtime.outages import may_mend
from inspector.runtime.sources import open_source


def away(*_: object) -> None:
    raise OSError("503")


def test_files_of_which_a_listing_says_nothing_are_asked_several_at_a_time(memory, monkeypatch):
    memory.pipe({f"/w/{i}.png": png(i) for i in range(2)})
    (shard,) = open_source("memory://w", [X], RAW).shards(8)
    together = threading.Barrier(2, timeout=30)
    monkeypatch.setattr(urls, "_TIMES", ())
    monkeypatch.setattr(MemoryFileSystem, "info", lambda *_: {"size": together.wait()})
    assert shard.id.endswith("unmarked")


def test_an_array_that_changes_between_two_answers_of_its_store_is_not_mixed(memory, monkeypatch):
    x = io.BytesIO()
    np.save(x, np.zeros((2000, 1, 2, 2), np.float32))

    class Changing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() == 16384:
                memory.store["/x.npy"].created += timedelta(1)
            return super().read(size)

    monkeypatch.setattr(urls, "_PIECE", 1000)
    memory.pipe("/x.npy", x.getvalue())
    monkeypatch.setattr(MemoryFileSystem, "_open", lambda self, path, *_, **__: Changing(self.cat(path)))
    with pytest.raises(InputError, match="it changed during the run") as caught:
        open_source("memory://x.npy", [X])
    assert may_mend(caught.value)


def test_a_store_that_is_away_when_an_array_is_looked_at_again_may_give_it_later(memory, monkeypatch):
    x = io.BytesIO()
    np.save(x, np.zeros((2000, 1, 2, 2), np.float32))
    memory.pipe("/w/x.npy", x.getvalue())
    source = open_source("memory://w", [X])
    monkeypatch.setattr(urls, "_PIECE", 1000)
    monkeypatch.setattr(urls, "FIRST_PAUSE", 0)
    monkeypatch.setattr(MemoryFileSystem, "info", away)
    (item,) = source
    with pytest.raises(InputError, match="it cannot be looked at") as caught:
        item.read()
    assert may_mend(caught.value)


def test_a_picture_is_not_looked_at_again_as_a_mixed_one_shows(memory, monkeypatch):
    memory.pipe("/w/0.png", png(np.random.default_rng(0).integers(0, 256, (2, 2), np.uint8)))
    monkeypatch.setattr(urls, "_PIECE", 10)
    (item,) = open_source("memory://w", [X], RAW)
    monkeypatch.setattr(urls.Remote, "now", away)
    assert item.read()["x"].shape == (1, 2, 2)


@pytest.mark.parametrize("place", ["memory", "local"])
def test_one_file_that_was_read_is_known_by_what_was_read(memory, tmp_path, place):
    data = "memory://x.npz" if place == "memory" else tmp_path / "x.npz"

    def write(level: int) -> None:
        file = io.BytesIO()
        np.savez(file, x=np.full((3, 1, 2, 2), level, np.float32))
        memory.pipe("/x.npz", file.getvalue())
        (tmp_path / "x.npz").write_bytes(file.getvalue())

    write(1)
    source = open_source(data, [X])
    before = [shard.id for shard in source.shards(2)]
    write(2)
    assert [shard.id for shard in source.shards(2)] == before
    assert [shard.id for shard in open_source(data, [X]).shards(2)] != before


def test_parquet_is_read_from_a_store_that_gives_short_pieces(memory, monkeypatch):
    file = io.BytesIO()
    pq.write_table(pa.table({"image": [png(p) for p in PIXELS], "label": LABELS}), file, row_group_size=4)
    memory.pipe("/d.parquet", file.getvalue())
    short = type("Short", (io.BytesIO,), {"read": lambda self, size: io.BytesIO.read(self, min(size, 700))})
    monkeypatch.setattr(MemoryFileSystem, "_open", lambda self, path, *_, **__: short(self.cat(path)))
    assert_is_the_data_set(open_source("memory://d.parquet", [X], RAW))
