"""Tar files: the samples of WebDataset, and what is wrong with a file told without losing what is right."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from pathlib import Path

import numpy as np
import pytest
from datasets import FILES, LABELS, PIXELS, RAW, X, assert_is_the_data_set, png, read, samples, tar_bytes

from inspector.contract import TensorInfo
from inspector.errors import ParameterError
from inspector.runtime import tar_members
from inspector.runtime.sources import open_source

FLAG = TensorInfo("flag", "int64", ("N",))
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def source_of(folder: Path, content: bytes, name: str = "s.tar"):
    (folder / name).write_bytes(content)
    return open_source(folder / name, [X], RAW)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("mode", "ending"), [("w", ".tar"), ("w:gz", ".tgz"), ("w:bz2", ".tar.bz2"), ("w:xz", ".tar.xz")]
)
def test_a_tar_file_holds_what_the_folder_holds(tmp_path, mode, ending, form):
    source = source_of(tmp_path, tar_bytes(samples(range(11)), mode, format=form), f"s{ending}")
    assert_is_the_data_set(source)
    assert [key for key, _, _ in read(source)] == [f"s{ending}/{i:02d}.png" for i in range(11)]
    assert (source.total, source.description) == (None, f"file {tmp_path}/s{ending} (1 tar file)")


@pytest.mark.parametrize("packed_as", [".tar", ".tar.gz"])
def test_how_it_is_packed_is_seen_from_its_bytes(tmp_path, packed_as):
    assert_is_the_data_set(source_of(tmp_path, tar_bytes(samples(range(11)), "w:bz2"), f"s{packed_as}"))


def test_a_packed_folder_is_that_folder_though_its_labels_are_not_known(tmp_path):
    found = read(source_of(tmp_path, tar_bytes({f"./{name}": content for name, content in FILES.items()})))
    assert [key for key, _, _ in found] == [f"s.tar/{name}" for name in FILES]
    assert {label for _, label, _ in found} == {None}
    np.testing.assert_array_equal([x[0] for _, _, x in found], PIXELS)


@pytest.mark.parametrize("form", FORMATS[1:])
def test_long_names_are_read_in_both_ways_of_writing_them(tmp_path, form):
    name = "d" * 200 + "/é.png"
    ((key, _, _),) = read(source_of(tmp_path, tar_bytes({name: png(1)}, format=form)))
    assert key == f"s.tar/{name}"


def test_shards_by_pattern_are_one_data_set(tmp_path):
    for shard, numbers in enumerate((range(5), range(5, 6), range(6, 11))):
        (tmp_path / f"train-{shard:03d}.tar").write_bytes(tar_bytes(samples(numbers)))
    for pattern in ("train-{000..002}.tar", "train-*.tar", "train-00{0,1,2}.tar"):
        source = open_source(str(tmp_path / pattern), [X], RAW)
        assert_is_the_data_set(source)
        assert next(iter(source)).id == "train-000.tar/00.png"
    assert_is_the_data_set(open_source(tmp_path, [X], RAW))


@pytest.mark.parametrize(
    ("member", "content", "label"),
    [
        ("0.cls", b" 7\n", "7"),
        ("0.json", b'{"label": "bee"}', "bee"),
        ("0.json", b'{"cls": 3}', "3"),
        ("0.json", b'{"label": [1]}', None),
        ("0.json", b"[" * 50_000, None),
        ("0.cls", b"", None),
        ("0.json", b'{"cls": 3, "label": "bee"}', "bee"),
        ("0.json", b'{"label": true}', "True"),
        ("0.txt", b"a caption", None),
    ],
)
def test_a_label_is_in_a_cls_or_json_member(tmp_path, member, content, label):
    ((_, found, _),) = read(source_of(tmp_path, tar_bytes({member: content, "0.png": png(1)})))
    assert found == label


@pytest.mark.parametrize(("cls", "label"), [(b"ant", "ant"), (b" ", "bee")])
def test_a_cls_member_that_says_something_goes_before_a_json_one(tmp_path, cls, label):
    members = {"0.json": b'{"label": "bee"}', "0.cls": cls, "0.png": png(1)}
    ((_, found, _),) = read(source_of(tmp_path, tar_bytes(members)))
    assert found == label


def test_folders_are_no_inputs_and_endings_may_be_in_capitals(tmp_path):
    folder = tarfile.TarInfo("a.png")
    folder.type = tarfile.DIRTYPE
    names = {"1.NPY": npy(np.full((1, 2, 2), 6, np.float32)), "2.CLS": b"Ant"}
    found = read(source_of(tmp_path, tar_bytes({"a.png": folder, "a.png/0.PNG": png(5), **names, "2.png": png(7)})))
    assert [(key, label) for key, label, _ in found] == [
        ("s.tar/a.png/0.PNG", None), ("s.tar/1.NPY", None), ("s.tar/2.png", "Ant"),
    ]  # fmt: skip
    assert [float(x.flat[0]) for _, _, x in found] == [5, 6, 7]


def test_what_is_unread_of_a_sample_counts_as_held(tmp_path):
    x = npy(np.zeros((1, 2, 2), np.float32))
    items = source_of(tmp_path, tar_bytes({"0.png": png(1), "0.cls": b"ant", "1.npy": x}))
    assert [item.held for item in items] == [len(png(1)), len(x)]


def test_a_mask_beside_a_picture_is_not_fed_and_a_doubt_is_told(tmp_path):
    members = {"a.mask.png": png(9), "a.png": png(1), "b.1.png": png(2), "b.2.png": png(3), "c.left.png": png(4)}
    a, b, c = read(source_of(tmp_path, tar_bytes(members)))
    assert (a[0], float(a[2].flat[0])) == ("s.tar/a.png", 1)
    assert b[2].startswith("s.tar/b: several pictures share a key, and nothing says which one to feed")
    assert (c[0], float(c[2].flat[0])) == ("s.tar/c.left.png", 4)


def test_arrays_feed_the_only_input_or_the_one_that_they_name(tmp_path):
    x = np.arange(4, dtype=np.float32).reshape(1, 2, 2)
    ((key, label, found),) = read(source_of(tmp_path, tar_bytes({"0.npy": npy(x), "0.cls": b"ant"})))
    assert (key, label) == ("s.tar/0.npy", "ant")
    np.testing.assert_array_equal(found, x)
    (tmp_path / "t.tar").write_bytes(tar_bytes({"0.flag.npy": npy(np.array([3])), "0.x.npy": npy(x)}))
    (item,) = open_source(tmp_path / "t.tar", [X, FLAG])
    np.testing.assert_array_equal(item.read()["x"], x)
    assert int(item.read()["flag"]) == 3


@pytest.mark.parametrize("content", [b"junk", npy(np.zeros((1, 2, 2)))[:-1], npy(np.array([object()], object))])
def test_a_broken_array_is_an_error_of_its_sample_alone(tmp_path, content):
    x = np.ones((1, 2, 2), np.float32)
    first, second = read(source_of(tmp_path, tar_bytes({"0.npy": content, "1.npy": npy(x)})))
    assert first[2].startswith("s.tar/0.npy: ")
    np.testing.assert_array_equal(second[2], x)


@pytest.mark.parametrize("order", ["aba", "aab", "aa", "baa"])
def test_an_id_that_comes_twice_is_fed_once_and_told_once(tmp_path, order):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for at, name in enumerate(order):
            info = tarfile.TarInfo(f"{name}.png")
            info.size = len(png(at))
            tar.addfile(info, io.BytesIO(png(at)))
    found = read(source_of(tmp_path, file.getvalue()))
    assert {key: float(x.flat[0]) for key, _, x in found if not isinstance(x, str)} == {
        f"s.tar/{name}.png": order.index(name) for name in order
    }
    (problem,) = [x for _, _, x in found if isinstance(x, str)]
    assert problem == "s.tar/a.png: an input of that id came before."


def test_a_member_that_is_read_after_a_link_of_its_name_is_fed(tmp_path):
    link = tarfile.TarInfo("a.png")
    link.type = tarfile.SYMTYPE
    content = link.tobuf() + tar_bytes({"a.png": png(3)})
    told, fed = read(source_of(tmp_path, content))
    assert "are not read" in told[2]
    assert (fed[0], float(fed[2].flat[0])) == ("s.tar/a.png", 3)


@pytest.mark.parametrize(
    ("begin", "by"), [("28b52ffd", "zstd"), ("04224d18", "lz4"), ("504b0304", "zip"), ("1f9d", "compress")]
)
def test_ways_of_packing_that_are_not_read_are_told_by_name(tmp_path, begin, by):
    ((key, _, problem),) = read(source_of(tmp_path, bytes.fromhex(begin) + bytes(2000)))
    assert key == "s.tar"
    assert f"it is packed by {by}, which is not read; noticed at byte 0. Pack it with gzip" in problem


def test_links_and_devices_are_told_and_never_followed(tmp_path):
    def special(name: str, kind: bytes) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        return info

    kinds = {"a": tarfile.SYMTYPE, "b": tarfile.LNKTYPE, "c": tarfile.CHRTYPE, "d": tarfile.FIFOTYPE}
    members = {f"{n}.png": special(f"{n}.png", kind) for n, kind in kinds.items()}
    found = read(source_of(tmp_path, tar_bytes({**members, "z.png": png(5)})))
    assert [key for key, _, _ in found] == [f"s.tar/{n}.png" for n in "abcdz"]
    assert all("are not read" in x for _, _, x in found[:4])
    assert float(found[4][2].flat[0]) == 5


def test_a_file_of_links_alone_has_these_skipped_and_nothing_else(tmp_path):
    link = tarfile.TarInfo("a.png")
    link.type, link.linkname = tarfile.SYMTYPE, "b.png"
    ((key, _, _),) = read(source_of(tmp_path, tar_bytes({"a.png": link})))
    assert key == "s.tar/a.png"


def test_every_one_of_many_links_is_told(tmp_path):
    links = {name: tarfile.TarInfo(name) for name in (f"k.{i}.png" for i in range(250))}
    for link in links.values():
        link.type = tarfile.SYMTYPE
    found = read(source_of(tmp_path, tar_bytes({**links, "z.png": png(5)})))
    assert [key for key, _, _ in found] == [f"s.tar/{name}" for name in (*links, "z.png")]


def test_hidden_members_are_passed_over(tmp_path):
    links = {name: tarfile.TarInfo(name) for name in (".0.png", "README")}
    for link in links.values():
        link.type = tarfile.SYMTYPE
    members = {"._0.png": b"resource fork", ".git/x.png": png(1), **links, "0.png": png(2)}
    found = read(source_of(tmp_path, tar_bytes(members)))
    assert [key for key, _, _ in found] == ["s.tar/0.png"]


def test_names_with_dots_for_folders_are_read_or_told_and_never_lost(tmp_path):
    names = ["../0.png", "a/../1.png", "././2.png", "b/./3.png", "./.hidden/4.png", "../notes.txt"]
    found = read(source_of(tmp_path, tar_bytes({name: png(7) for name in names})))
    assert [key for key, _, _ in found] == [f"s.tar/{n}" for n in ("../0.png", "a/../1.png", "2.png", "b/3.png")]
    assert all("names with '..' in a tar file are not read" in x for _, _, x in found[:2])
    assert [float(x.flat[0]) for _, _, x in found[2:]] == [7, 7]


def test_a_file_cut_anywhere_gives_what_came_before_and_one_error_with_the_place(tmp_path):
    content = tar_bytes(samples(range(3)))
    ends = [2048 * k + 512 + len(png(PIXELS[k])) for k in range(3)]  # of pictures; a sample takes four blocks of 512
    for cut in range(0, ends[-1] + 2049, 256):
        source = source_of(tmp_path, content[:cut])
        found = read(source)
        assert [item.id for item in source if item.incomplete] == [key for key, _, x in found if isinstance(x, str)]
        good = [x for _, _, x in found if not isinstance(x, str)]
        assert len(good) == sum(cut >= end for end in ends)
        assert all(np.array_equal(x[0], PIXELS[i]) for i, x in enumerate(good))
        told = [(key, x) for key, _, x in found if isinstance(x, str)]
        if cut >= 3 * 2048 + 512:  # one block of zeros is the end mark
            assert told == []
        else:
            ((key, problem),) = told
            assert key == "s.tar"
            assert f"noticed at byte {cut:,}" in problem


@pytest.mark.parametrize("mode", ["w:gz", "w:xz"])  # bzip2 packs 900 kB as one block, which is lost as a whole
def test_a_packed_file_that_is_cut_gives_what_came_before(tmp_path, mode):
    noise = np.random.default_rng(0).bytes(200_000)  # so that packing does not swallow the file whole
    content = tar_bytes({"0.png": png(3), "junk.bin": noise, "1.png": png(4)}, mode)
    first, problem = read(source_of(tmp_path, content[: len(content) * 9 // 10]))
    assert float(first[2].flat[0]) == 3
    assert problem[2].startswith("s.tar: it cannot be read on (")
    assert "of what it unpacks to" in problem[2]


def damaged(content: bytes, packing: str) -> bytes:
    """The content packed, and spoilt so that only the checksum at its end knows."""
    if packing == "xz":
        packed = lzma.compress(content)
        return packed[:-20] + bytes([packed[-20] ^ 1]) + packed[-19:]
    packed = gzip.compress(content, 0)
    at = packed.index(png(4)) + 2  # stored, not packed: inside of the second picture nothing but the sum is wrong
    return packed[:at] + bytes([packed[at] ^ 1]) + packed[at + 1 :]


@pytest.mark.parametrize("packing", ["gz", "xz"])
def test_the_checksum_after_the_end_mark_is_looked_at(tmp_path, packing):
    content = tar_bytes({"0.png": png(3), "1.png": png(4), "2.png": png(5)})
    found = read(source_of(tmp_path, damaged(content, packing), f"s.tar.{packing}"))
    assert [key.rpartition("/")[2] for key, _, _ in found] == ["0.png", "1.png", "2.png", f"s.tar.{packing}"]
    assert "it cannot be read on (" in found[3][2]
    assert "noticed at byte 3,584 of what it unpacks to" in found[3][2]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_packed_file_whose_trailer_is_cut_off_is_told(tmp_path, pack):
    content = tar_bytes({"0.png": png(3), "1.png": png(4)})
    found = read(source_of(tmp_path, pack(content[:1024]) + pack(content[1024:])[:-4], "s.tar"))
    assert float(found[0][2].flat[0]) == 3
    assert found[-1][2].startswith("s.tar: it cannot be read on (")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("between", [b"", bytes(12)])
def test_a_packed_file_may_be_of_several_streams(tmp_path, pack, between):
    content = tar_bytes(samples(range(11)))
    cuts = [content[at : at + 700] for at in range(0, len(content), 700)]
    between = b"" if pack is bz2.compress else between
    assert_is_the_data_set(source_of(tmp_path, between.join(map(pack, [*cuts, b""])) + between))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_what_follows_the_end_mark_is_read_as_far_as_the_limit(tmp_path, pack):
    good = tar_bytes(samples(range(11)))
    assert_is_the_data_set(source_of(tmp_path, pack(good + bytes(2**20 - 20_000))))
    last = read(source_of(tmp_path, pack(good + bytes(64 * 2**20))))[-1]
    assert "more than 1,048,576 bytes follow its end mark" in last[2]


def test_xz_that_asks_for_much_memory_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(tar_members, "XZ_MEMORY", 2**20)
    ((key, _, problem),) = read(source_of(tmp_path, tar_bytes({"0.png": png(1)}, "w:xz")))
    assert key == "s.tar"
    assert "it cannot be read on (" in problem


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_what_follows_the_end_mark_is_told_with_its_place(tmp_path, pack):
    """Two tar files in a row; zeros in place of a header; something far behind, which is looked for in plain files."""
    good = tar_bytes(samples(range(2)))
    two, hole, far = good + tar_bytes(samples(range(2, 4))), good[:2048] + bytes(512) + good[2560:], good + bytes(2**20)
    for content, whole, at in ((two, 2, len(good)), (hole, 1, 2560), (far + b"x", 2, len(far))):
        found = read(source_of(tmp_path, pack(content)))
        assert len(found) == whole + 1
        if pack is bytes or at < 2**20:
            assert "something follows its end mark, and is not read; noticed at byte" in found[-1][2]
            assert f"{at:,}" in found[-1][2]


def test_a_damaged_header_is_told_with_its_place(tmp_path):
    content = bytearray(tar_bytes(samples(range(2))))
    content[2048 + 10] ^= 0xFF
    first, problem = read(source_of(tmp_path, bytes(content)))
    assert first[1] == LABELS[0]
    assert problem[2].startswith("s.tar: it is damaged (bad checksum); noticed at byte 2,560")


def test_a_file_of_anything_else_is_told(tmp_path):
    ((key, _, problem),) = read(source_of(tmp_path, b"not a tar file at all" * 100))
    assert key == "s.tar"
    assert "it is damaged" in problem
    ((_, _, problem),) = read(source_of(tmp_path, tar_bytes({"readme.txt": b"hello"})))
    assert "it holds nothing to feed" in problem


def test_a_member_that_is_too_large_is_passed_over_and_the_next_one_read(tmp_path, monkeypatch):
    monkeypatch.setattr("inspector.runtime.pictures.MAX_BYTES", 100)
    large, small = read(source_of(tmp_path, tar_bytes({"a.png": bytes(200_000), "b.png": png(2)})))
    assert large[2] == "s.tar/a.png: it is too large in its tar file: 200,000 bytes, at most 100."
    assert float(small[2].flat[0]) == 2


def test_a_sample_that_grows_without_end_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("inspector.runtime.tars.MAX_SAMPLE", 300)
    members = {f"0.{i}.png": png(i) for i in range(20)} | {"1.png": png(7)}
    found = read(source_of(tmp_path, tar_bytes(members)))
    assert sum("its sample is too large" in x for _, _, x in found if isinstance(x, str)) > 10
    assert float(found[-1][2].flat[0]) == 7


def test_a_file_of_very_many_members_is_read_as_far_as_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(tar_members, "MAX_MEMBERS", 4)
    found = read(source_of(tmp_path, tar_bytes(samples(range(5)))))
    assert [isinstance(x, str) for _, _, x in found] == [False, False, True]
    assert "it has more than 4 members; the rest is not read" in found[2][2]


def test_pictures_in_a_tar_file_need_a_way_to_preprocess_them(tmp_path):
    (tmp_path / "s.tar").write_bytes(tar_bytes(samples(range(2))))
    with pytest.raises(ParameterError, match=r"s\.tar holds pictures, and nothing says"):
        list(open_source(tmp_path / "s.tar", [X]))
