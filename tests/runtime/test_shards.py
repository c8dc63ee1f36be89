"""Shards: parts that make up the whole, in any order and number, known by names that change with their content."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import LABELS, PIXELS, RAW, X, png, read, samples, tar_bytes, write_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

from inspector import First
from inspector.contract import TensorInfo
from inspector.errors import InputError, ParameterError
from inspector.runtime import stored_items
from inspector.runtime.arrays import rows_in
from inspector.runtime.data import Raw, batches
from inspector.runtime.items import SHARD_STRIDE
from inspector.runtime.sources import open_source

WHOLE = np.array(PIXELS, np.float32)[:, None]


def write_mixed(folder: Path) -> Path:
    """Pictures, an array file, tar and Parquet files side by side."""
    write_folder(folder)
    np.save(folder / "b.npy", WHOLE[:3])
    for shard, numbers in enumerate((range(4), range(4, 11))):
        (folder / f"t-{shard}.tar").write_bytes(tar_bytes(samples(numbers)))
    pq.write_table(
        pa.table({"image": [png(p) for p in PIXELS], "label": LABELS}), folder / "z.parquet", row_group_size=3
    )
    return folder


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixed(tmp_path_factory.mktemp("mixed"))


def sources(mixed: Path):
    return {
        "folder": open_source(mixed, [X], RAW),
        "pattern": open_source(str(mixed / "t-{0..1}.tar"), [X], RAW),
        "array file": open_source(mixed / "b.npy", [X]),
        "memory": open_source(WHOLE, [X]),
        "noise": open_source("noise:11", [X]),
    }


@pytest.mark.parametrize("kind", ["folder", "pattern", "array file", "memory", "noise"])
@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_shards_put_together_are_the_whole(mixed, kind, size):
    source = sources(mixed)[kind]
    shards = source.shards(size)
    whole, parts = read(source), [entry for shard in shards for entry in read(shard)]
    assert [entry[:2] for entry in parts] == [entry[:2] for entry in whole]
    np.testing.assert_array_equal([x for _, _, x in parts], [x for _, _, x in whole])
    assert [shard.first for shard in shards] == [i * SHARD_STRIDE for i in range(len(shards))]
    assert len({shard.id for shard in shards}) == len(shards)
    assert all(shard.total is None or shard.total == len(read(shard)) for shard in shards)
    assert [s.id for s in shards] == [s.id for s in sources(mixed)[kind].shards(size)]


@settings(max_examples=8, deadline=None)
@given(size=st.integers(1, 12), batch=st.integers(1, 5), order=st.randoms(use_true_random=False))
def test_read_in_any_order_and_sorted_by_position_it_is_the_whole(mixed, size, batch, order):
    source = sources(mixed)["folder"]
    shards = list(source.shards(size))
    order.shuffle(shards)
    rows = [
        (found.info.first + i, key, label, float(found.feeds["x"][i].sum()))
        for shard in shards
        for found in batches(shard, batch, first=shard.first, workers=1)
        for i, (key, label) in enumerate(zip(found.info.ids, found.info.labels, strict=True))
    ]
    expected = [(key, label, float(x.sum())) for key, label, x in read(source)]
    assert [row[1:] for row in sorted(rows)] == expected


@pytest.mark.parametrize("limit", [1, 5, 100])
def test_the_first_inputs_are_the_same_however_they_are_read(mixed, limit):
    def first(items, start: int) -> First:
        found = batches(items, 3, first=start, workers=1)
        return sum_of([First.of(limit, b.info.first, b.info.ids, b.feeds["x"]) for b in found])

    def sum_of(parts: list[First]) -> First:
        return functools.reduce(lambda a, b: a + b, parts)

    source = sources(mixed)["folder"]
    whole, parts = first(source, 0), [first(shard, shard.first) for shard in source.shards(2)]
    for order in (parts, parts[::-1]):
        np.testing.assert_array_equal(sum_of(order).ids, whole.ids)
        np.testing.assert_array_equal(sum_of(order).flat, whole.flat)
    assert len(whole.ids) == min(limit, len(read(source)))


def test_blocks_are_of_the_asked_size_and_tar_files_are_shards_of_their_own(mixed):
    ids = [shard.id.partition("@")[0] for shard in sources(mixed)["folder"].shards(5)]
    assert ids == [
        "ant/00.png..ant/03.png",
        "b.npy..bee/05.png",
        "bee/06.png..cat/10.png",
        "t-0.tar",
        "t-1.tar",
        "z.parquet[groups 0:2]",
        "z.parquet[groups 2:4]",
    ]


def test_array_files_are_divided_where_a_part_of_them_can_be_read_alone(tmp_path):
    for name in ("a.npy", "b.npy", "c.npz"):
        np.savez(tmp_path / name, x=WHOLE) if name == "c.npz" else np.save(tmp_path / name, WHOLE)
    (tmp_path / "d.npy").write_bytes(b"junk")
    (tmp_path / "e.png").write_bytes(png(3))
    shards = open_source(tmp_path, [X], RAW).shards(4)
    stretches = [f"{name}.npy[{start}:{stop}]" for name in "ab" for start, stop in ((0, 4), (4, 8), (8, 11))]
    assert [shard.id.partition("@")[0] for shard in shards] == [*stretches, "c.npz..e.png"]
    assert [shard.total for shard in shards] == [4, 4, 3, 4, 4, 3, None]
    assert [len(read(shard)) for shard in shards] == [4, 4, 3, 4, 4, 3, 11 + 1 + 1]


@pytest.mark.parametrize(("rows", "size", "opened"), [(1, 4, 1), (2, 4, 1), (5, 4, 3)])
def test_few_array_files_are_opened_to_divide_a_folder(tmp_path, monkeypatch, rows, size, opened):
    for name in "abc":
        np.save(tmp_path / f"{name}.npy", WHOLE[:rows])
    asked = list[str]()
    monkeypatch.setattr(stored_items, "rows_in", lambda path, *rest: (asked.append(path.name), rows_in(path, *rest))[1])
    free = TensorInfo("x", "float32", ("N", 1, "h", "w"))
    shards = open_source(tmp_path, [free]).shards(size)
    assert len(asked) == opened
    assert [len(read(shard)) for shard in shards] == {1: [3], 2: [4, 2], 5: [4, 1] * 3}[rows]


@pytest.mark.parametrize("name", ["ant/00.png", "b.npy", "t-1.tar", "z.parquet"])
def test_a_file_that_changed_is_another_shard_and_the_others_stay(tmp_path, name):
    folder = write_mixed(tmp_path)
    before = [shard.id for shard in open_source(folder, [X], RAW).shards(1)]
    found = (folder / name).stat()
    os.utime(folder / name, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    after = [shard.id for shard in open_source(folder, [X], RAW).shards(1)]
    changed = [old for old, new in zip(before, after, strict=True) if old != new]
    assert changed
    assert all(old.startswith(name) for old in changed)


def test_a_file_in_a_block_that_is_called_otherwise_is_another_shard(tmp_path):
    """Its name is part of its input's id, and so of what a report says."""
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(png(1))
    (before,) = (shard.id for shard in open_source(tmp_path, [X], RAW).shards(8))
    (tmp_path / "b.png").rename(tmp_path / "bb.png")
    (after,) = (shard.id for shard in open_source(tmp_path, [X], RAW).shards(8))
    assert before.partition("@")[0] == after.partition("@")[0] == "a.png..c.png"
    assert before != after


def test_arrays_in_memory_are_known_by_what_they_hold():
    before = [shard.id for shard in open_source(WHOLE, [X]).shards(4)]
    other = WHOLE.copy()
    other[5] += 1
    after = [shard.id for shard in open_source(other, [X]).shards(4)]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]


def test_noise_of_another_seed_is_other_shards():
    ids = {shard.id for seed in (1, 2) for shard in open_source(f"noise:4,seed={seed}", [X]).shards(2)}
    assert len(ids) == 4


def test_a_stream_cannot_be_divided():
    with pytest.raises(InputError, match="a stream cannot be divided"):
        open_source([Raw("a", picture=png(1))], [X], RAW).shards(4)


@pytest.mark.parametrize("size", [0, -1])
def test_a_senseless_size_is_refused(mixed, size):
    for source in sources(mixed).values():
        with pytest.raises(ParameterError, match="shard size"):
            source.shards(size)


def test_broken_files_are_part_of_their_shard(tmp_path):
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(b"junk" if i == 1 else png(i))
    shards = open_source(tmp_path, [X], RAW).shards(2)
    assert [[isinstance(x, str) for _, _, x in read(shard)] for shard in shards] == [[False, True], [False, False]]


def test_a_model_without_a_fitting_input_has_no_shards_to_read(tmp_path):
    np.save(tmp_path / "a.npy", WHOLE)
    (shard,) = open_source(tmp_path, [TensorInfo("x", "float32", ("N", 9))]).shards(3)
    ((_, _, problem),) = read(shard)
    assert "has another shape" in problem
    (shard,) = open_source(tmp_path, [TensorInfo("x", "string", ("N", 9))]).shards(3)
    ((_, _, problem),) = read(shard)
    assert "another element type" in problem
