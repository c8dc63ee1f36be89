"""Headers of tar files: names and sizes told before a member, kinds that are not read, and what no header may say."""

from __future__ import annotations

import gzip
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from datasets import RAW, X, png, read

from inspector.runtime.sources import open_source


def source_of(folder: Path, content: bytes):
    (folder / "s.tar").write_bytes(content)
    return open_source(folder / "s.tar", [X], RAW)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def test_a_size_that_is_only_declared_takes_no_memory(tmp_path):
    content = header("a.png", 100 * 2**20) + png(1)
    (tmp_path / "s.tar").write_bytes(content)
    tracemalloc.start()
    ((key, _, problem),) = read(open_source(tmp_path / "s.tar", [X], RAW))
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert key == "s.tar"
    assert "cut short, in the middle of a member" in problem
    assert highest < 8 * 2**20


@pytest.mark.parametrize(
    ("kind", "stored"), [(tarfile.LNKTYPE, b""), (tarfile.GNUTYPE_SPARSE, bytes(1024)), (b"Z", bytes(1024))]
)
def test_the_member_after_one_that_is_not_read_is_found(tmp_path, kind, stored):
    """Links have a size and no data; kinds that nobody knows have as much data as they say."""
    content = header("a.png", 1024, kind) + stored + header("b.png", len(png(3))) + padded(png(3)) + bytes(1024)
    first, second = read(source_of(tmp_path, content))
    assert "are not read" in first[2]
    assert (second[0], float(second[2].flat[0])) == ("s.tar/b.png", 3)


def extended(kind: bytes, content: bytes) -> bytes:
    return header("x", len(content), kind) + padded(content)


@pytest.mark.parametrize(
    "before",
    [
        extended(tarfile.GNUTYPE_LONGNAME, b"long.png\0") + extended(tarfile.GNUTYPE_LONGLINK, b"elsewhere\0"),
        extended(tarfile.SOLARIS_XHDTYPE, b"17 path=long.png\n"),
    ],
)
def test_a_name_in_an_extended_header_holds_for_the_next_member_alone(tmp_path, before):
    member = padded(png(3))
    content = before + header("a.png", len(png(3))) + member + header("b.png", len(png(3))) + member + bytes(1024)
    assert [key for key, _, _ in read(source_of(tmp_path, content))] == ["s.tar/long.png", "s.tar/b.png"]


def test_what_a_damaged_record_follows_in_an_extended_header_still_holds(tmp_path):
    content = extended(tarfile.XHDTYPE, b"17 path=long.png\nnonsense\n") + header("a.png", len(png(3))) + padded(png(3))
    ((key, _, _),) = read(source_of(tmp_path, content + bytes(1024)))
    assert key == "s.tar/long.png"


def test_a_sparse_file_is_told_though_it_looks_like_a_regular_one(tmp_path):
    said = b"22 GNU.sparse.major=1\n25 GNU.sparse.name=a.png\n"
    content = extended(tarfile.XHDTYPE, said) + header("GNUSparseFile.0/a.png", len(png(3))) + padded(png(3))
    ((key, _, problem),) = read(source_of(tmp_path, content + bytes(1024)))
    assert key == "s.tar/a.png"
    assert "sparse files in a tar file are not read" in problem


def test_the_member_after_a_sparse_file_of_many_parts_is_found(tmp_path):
    """As GNU tar writes them: two more blocks list parts, between the header and the data."""
    begun = bytearray(header("a.png", 1024, tarfile.GNUTYPE_SPARSE))
    begun[482] = 1
    begun[148:156] = b"%06o\0 " % (sum(begun[:148]) + sum(begun[156:]) + 8 * ord(" "))
    listed = bytes(504) + b"\1" + bytes(7) + bytes(512)
    content = bytes(begun) + listed + bytes(1024) + header("b.png", len(png(3))) + padded(png(3)) + bytes(1024)
    first, second = read(source_of(tmp_path, content))
    assert "sparse files in a tar file are not read" in first[2]
    assert (second[0], float(second[2].flat[0])) == ("s.tar/b.png", 3)


def test_a_size_below_zero_is_damage(tmp_path):
    content = header("a.png", -512) + header("b.png", len(png(3))) + padded(png(3)) + bytes(1024)
    ((key, _, problem),) = read(source_of(tmp_path, content))
    assert key == "s.tar"
    assert "it is damaged (a member has a negative size)" in problem


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_bomb_in_an_extended_header_is_refused_before_it_is_unpacked(tmp_path, kind):
    bomb = gzip.compress(header("x", 16 * 2**20, kind) + bytes(16 * 2**20))
    (tmp_path / "s.tgz").write_bytes(bomb)
    tracemalloc.start()
    ((_, _, problem),) = read(open_source(tmp_path / "s.tgz", [X], RAW))
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "an extended header of 16,777,216 bytes" in problem
    assert highest < 4 * 2**20


@pytest.mark.parametrize("records", [b"12 size=-50\n", b"11 size=x1\n", b"30 size=99999999999999999999\n"])
def test_a_size_in_an_extended_header_is_no_more_believed_than_any(tmp_path, records):
    content = header("x", len(records), tarfile.XHDTYPE) + padded(records) + header("a.png", 10) + padded(png(1))
    found = read(source_of(tmp_path, content))
    assert [type(x) for _, _, x in found] == [str] * len(found)
    assert found
