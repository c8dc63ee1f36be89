"""Parquet files: rows with pictures, a few at a time, and what is wrong with some told without losing the rest."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from datasets import CLASSES, LABELS, PIXELS, RAW, X, assert_is_the_data_set, png, read
from fsspec.implementations.memory import MemoryFileSystem
from pyarrow import parquet as pq
from pyarrow.parquet import encryption

from inspector.errors import InputError, ParameterError
from inspector.runtime import parquet, urls
from inspector.runtime.data import batches
from inspector.runtime.sources import open_source

BYTES = [png(pixels) for pixels in PIXELS]


def structs(contents):
    return pa.array([None if c is None else {"bytes": c, "path": f"{i}.png"} for i, c in enumerate(contents)])


def named(table: pa.Table) -> pa.Table:
    """With the names of classes, as the library `datasets` writes them."""
    features = {"label": {"names": list(CLASSES), "_type": "ClassLabel"}}
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


NUMBERS = pa.array([CLASSES.index(label) for label in LABELS])
TABLES = {
    "as datasets writes it": named(pa.table({"label": NUMBERS, "image": structs(BYTES), "x": pa.array(range(11))})),
    "bytes and texts": pa.table({"image": pa.array(BYTES, pa.binary()), "label": pa.array(LABELS)}),
    "large bytes": pa.table({"image": pa.array(BYTES, pa.large_binary()), "label": pa.array(LABELS)}),
    "views of bytes": pa.table({"image": pa.array(BYTES, pa.binary_view()), "label": pa.array(LABELS)}),
    "dictionary of bytes": pa.table(
        {"image": pa.array(BYTES, pa.binary()).dictionary_encode(), "label": pa.array(LABELS)}
    ),
    "another name": named(pa.table({"img": structs(BYTES), "label": NUMBERS})),
    "a mask beside it": pa.table({"mask": structs(BYTES[::-1]), "image": structs(BYTES), "label": pa.array(LABELS)}),
    "dictionary of labels": pa.table({"image": structs(BYTES), "label": pa.array(LABELS).dictionary_encode()}),
}


@pytest.mark.parametrize("rows", [1, 4, 100])
@pytest.mark.parametrize("name", TABLES)
def test_a_parquet_file_holds_what_the_folder_holds(tmp_path, name, rows):
    pq.write_table(TABLES[name], tmp_path / "d.parquet", row_group_size=rows)
    source = open_source(tmp_path / "d.parquet", [X], RAW)
    assert_is_the_data_set(source)
    assert [key for key, _, _ in read(source)] == [f"d.parquet[{i}]" for i in range(11)]
    assert source.description == f"file {tmp_path}/d.parquet (1 Parquet file)"


def test_a_folder_of_parquet_files_is_one_data_set(tmp_path):
    table = TABLES["as datasets writes it"]
    (tmp_path / "data").mkdir()
    pq.write_table(table.slice(0, 6), tmp_path / "data" / "train-0.parquet")
    pq.write_table(table.slice(6), tmp_path / "data" / "train-1.parquet")
    source = open_source(tmp_path, [X], RAW)
    assert_is_the_data_set(source)
    assert [item.id for item in source][5:7] == ["data/train-0.parquet[5]", "data/train-1.parquet[0]"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(pa.array([7, None]), ["7", None]), (pa.array([1.5, 2.0]), [None, None]), (pa.array([[1], [2]]), [None, None])],
)
def test_labels_without_names_are_numbers_and_what_is_no_class_is_none(tmp_path, labels, expected):
    pq.write_table(pa.table({"image": structs(BYTES[:2]), "label": labels}), tmp_path / "d.parquet")
    assert [label for _, label, _ in read(open_source(tmp_path, [X], RAW))] == expected


def test_a_number_without_a_name_is_a_label_of_its_own(tmp_path):
    """-1 is what data sets without labels hold; it is not the last class."""
    table = pa.table({"image": structs(BYTES[:3]), "label": pa.array([-1, 2, 3])})
    pq.write_table(named(table), tmp_path / "d.parquet")
    assert [label for _, label, _ in read(open_source(tmp_path, [X], RAW))] == ["-1", "cat", "3"]


def test_a_label_that_two_columns_hold_is_none(tmp_path):
    table = pa.table([pa.array(BYTES[:2], pa.binary()), *[pa.array(LABELS[:2])] * 2], names=["image", "label", "label"])
    pq.write_table(table, tmp_path / "d.parquet")
    assert [label for _, label, _ in read(open_source(tmp_path, [X], RAW))] == [None, None]


def test_a_file_that_declares_too_many_rows_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "MAX_ROWS", 11)
    pq.write_table(TABLES["bytes and texts"], tmp_path / "d.parquet")
    ((_, _, problem),) = read(open_source(tmp_path, [X], RAW))
    assert problem == "d.parquet: it has too many rows; expected fewer than 11, found 11."


@pytest.mark.parametrize("names", [["image", "image"], ["before", "after"]])
def test_a_doubt_which_column_holds_the_pictures_is_told(tmp_path, names):
    table = pa.table([pa.array(BYTES, pa.binary())] * 2, names=names)
    pq.write_table(table, tmp_path / "d.parquet")
    ((_, _, problem),) = read(open_source(tmp_path / "d.parquet", [X], RAW))
    assert problem.startswith("d.parquet: it has no column of pictures")


def test_a_server_that_gives_no_parts_of_files_is_told(tmp_path, monkeypatch):
    pq.write_table(TABLES["bytes and texts"], tmp_path / "d.parquet")
    monkeypatch.setattr("inspector.runtime.urls.Steady.seekable", lambda _: False)
    ((_, _, problem),) = read(open_source(f"local://{tmp_path}/d.parquet", [X], RAW))
    assert problem == "d.parquet: its server gives no parts of files. Download it first."


def test_row_groups_of_the_asked_size_are_shards_of_their_own(tmp_path):
    pq.write_table(TABLES["bytes and texts"], tmp_path / "d.parquet", row_group_size=4)
    shards = open_source(tmp_path / "d.parquet", [X], RAW).shards(4)
    assert [shard.id.partition("@")[0] for shard in shards] == [f"d.parquet[groups {n}:{n + 1}]" for n in range(3)]


def test_a_row_that_cannot_be_used_is_an_error_of_that_row_alone(tmp_path):
    pq.write_table(pa.table({"image": structs([BYTES[0], None, b"junk", BYTES[3]])}), tmp_path / "d.parquet")
    found = read(open_source(tmp_path / "d.parquet", [X], RAW))
    assert [isinstance(x, str) for _, _, x in found] == [False, True, True, False]
    assert found[1][2] == "d.parquet[1]: it holds no picture."
    assert found[2][2].startswith("d.parquet[2]: it is no picture")
    np.testing.assert_array_equal(found[3][2][0], PIXELS[3])


def test_a_damaged_page_loses_its_rows_and_no_others(tmp_path):
    path = tmp_path / "d.parquet"
    pq.write_table(TABLES["bytes and texts"].select(["image"]), path, row_group_size=4, compression="snappy",
                   write_page_checksum=True)  # fmt: skip
    place = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[place : place + 8] = b"\xff" * 8  # the description of the page
    path.write_bytes(content)
    found = read(open_source(path, [X], RAW))
    assert [key for key, _, _ in found] == [f"d.parquet[{i}]" for i in range(4)] + ["d.parquet[4:8]"] + [
        f"d.parquet[{i}]" for i in range(8, 11)
    ]
    assert "these rows cannot be read" in found[4][2]
    items = list(open_source(path, [X], RAW))
    assert [item.count for item in items] == [1] * 4 + [4] + [1] * 3
    assert not any(item.incomplete for item in items)
    skips = []
    assert sum(len(b.info.ids) for b in batches(open_source(path, [X], RAW), 4, on_skip=skips.append)) == 7
    assert [(s.id, s.count, s.incomplete) for s in skips] == [("d.parquet[4:8]", 4, False)]


def test_rows_that_a_group_promises_and_does_not_have_are_counted(tmp_path, monkeypatch):
    whole = pq.ParquetFile.iter_batches
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *a, **o: list(whole(*a, **o))[:-1])
    pq.write_table(TABLES["bytes and texts"], tmp_path / "d.parquet")
    (item,) = open_source(tmp_path, [X], RAW)
    assert (item.id, item.count) == ("d.parquet[0:11]", 11)


def test_rows_of_a_file_whose_store_fails_after_it_was_looked_at_are_counted(monkeypatch):
    content = io.BytesIO()
    pq.write_table(TABLES["bytes and texts"], content, row_group_size=2)
    fsspec.filesystem("memory").pipe("/d.parquet", content.getvalue())
    shards = open_source("memory://d.parquet", [X], RAW).shards(4)
    monkeypatch.setattr(urls, "FIRST_PAUSE", 0)
    monkeypatch.setattr(MemoryFileSystem, "_open", lambda *_, **__: (_ for _ in ()).throw(OSError("down")))
    lost = [(item.id, item.count, item.incomplete) for shard in shards for item in shard]
    assert lost == [(f"d.parquet[{a}:{b}]", b - a, False) for a, b in ((0, 4), (4, 8), (8, 11))]


@pytest.mark.parametrize("cut", [0, 3, 100, -1])
def test_a_file_that_is_cut_has_no_description_and_is_told_as_one(tmp_path, cut):
    path = tmp_path / "d.parquet"
    pq.write_table(TABLES["bytes and texts"], path)
    path.write_bytes(path.read_bytes()[:cut])
    source = open_source(tmp_path, [X], RAW)
    ((key, _, problem),) = read(source)
    assert key == "d.parquet"
    assert problem.startswith("d.parquet: the Parquet file cannot be read (")
    assert [read(shard)[0][2] for shard in source.shards(3)] == [problem]
    for items in (source, *source.shards(3)):
        assert [(item.count, item.incomplete) for item in items] == [(1, True)]


def test_a_table_without_pictures_says_what_it_has(tmp_path):
    pq.write_table(pa.table({"text": pa.array(["a"]), "label": pa.array([1])}), tmp_path / "d.parquet")
    ((_, _, problem),) = read(open_source(tmp_path, [X], RAW))
    assert "it has no column of pictures" in problem
    assert "found text: string, label: int64" in problem


def test_a_group_that_declares_too_much_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "MAX_GROUP", 10)
    pq.write_table(TABLES["bytes and texts"], tmp_path / "d.parquet", row_group_size=6)
    first, second = read(open_source(tmp_path, [X], RAW))
    assert (first[0], second[0]) == ("d.parquet[0:6]", "d.parquet[6:11]")
    assert "it is too large; expected at most 10" in first[2]


def test_the_bound_holds_for_a_column_with_a_dot_in_its_name(tmp_path, monkeypatch):
    pq.write_table(pa.table({"my.img": pa.array(BYTES, pa.binary())}), tmp_path / "d.parquet")
    assert len(read(open_source(tmp_path, [X], RAW))) == 11
    monkeypatch.setattr(parquet, "MAX_GROUP", 10)
    ((key, _, problem),) = read(open_source(tmp_path, [X], RAW))
    assert (key, "it is too large" in problem) == ("d.parquet[0:11]", True)


class Keys(encryption.KmsClient):
    """Keys that are wrapped as they are."""

    def __init__(self, _: object) -> None:
        super().__init__()

    def wrap_key(self, key_bytes, master_key_identifier):
        return base64.b64encode(key_bytes)


READS = """
import sys
from datasets import RAW, X, read
from inspector.runtime.sources import open_source
print([problem for _, _, problem in read(open_source(sys.argv[1], [X], RAW))])
"""


def test_an_encrypted_column_is_an_error_and_not_the_end_of_the_process(tmp_path):
    """Asked for the column's description, pyarrow ends it; so another process reads the file."""
    form = encryption.EncryptionConfiguration(footer_key="f", column_keys={"c": ["image"]}, plaintext_footer=True)
    secret = encryption.CryptoFactory(Keys).file_encryption_properties(encryption.KmsConnectionConfig(), form)
    table = pa.table({"image": pa.array(BYTES, pa.binary())})
    with pq.ParquetWriter(tmp_path / "d.parquet", table.schema, encryption_properties=secret) as file:
        file.write_table(table)
    command = [sys.executable, "-c", READS, str(tmp_path / "d.parquet")]
    ran = subprocess.run(command, capture_output=True, check=False, text=True, cwd=Path(__file__).parent)
    assert "these rows cannot be read (Cannot decrypt" in ran.stdout, ran.stderr


def test_only_some_rows_are_in_memory_at_a_time(tmp_path, monkeypatch):
    asked = []
    whole = pq.ParquetFile.iter_batches

    def noted(file, rows, **options):
        asked.append((rows, options["row_groups"], options["columns"]))
        return whole(file, rows, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noted)
    pq.write_table(TABLES["as datasets writes it"], tmp_path / "d.parquet", row_group_size=6)
    read(open_source(tmp_path, [X], RAW))
    assert asked == [(16, [0], ["image.bytes", "label"]), (16, [1], ["image.bytes", "label"])]


def test_without_pyarrow_the_package_is_named(tmp_path, monkeypatch):
    pq.write_table(TABLES["bytes and texts"], tmp_path / "d.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ParameterError, match=rf"{tmp_path}: .* needs pyarrow\. Install onnx-inspector\[parquet\]"):
        open_source(tmp_path, [X], RAW)


def test_parquet_of_pictures_needs_a_way_to_preprocess_them(tmp_path):
    pq.write_table(TABLES["bytes and texts"], tmp_path / "d.parquet")
    with pytest.raises(ParameterError, match=r"d\.parquet holds pictures, and nothing says"):
        list(open_source(tmp_path, [X]))


def test_a_model_that_takes_no_pictures_reads_no_row(tmp_path):
    pq.write_table(TABLES["bytes and texts"], tmp_path / "d.parquet")
    ((_, _, problem),) = read(open_source(tmp_path, [type(X)("x", "float32", (1, 8))], RAW))
    assert "pictures cannot feed it" in problem
    with pytest.raises(InputError):
        next(iter(open_source(tmp_path, [type(X)("x", "float32", (1, 8))], RAW))).read()
