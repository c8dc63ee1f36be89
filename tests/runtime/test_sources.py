"""Folders, files, arrays and inputs from the wire as sequences of inputs."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inspector.contract import TensorInfo
from inspector.errors import InputError, NotFoundError, ParameterError
from inspector.runtime.preprocess import Preprocess
from inspector.runtime.sources import Raw, Source, open_source

X = TensorInfo("x", "float32", ("N", 1, 2, 2))
FLAG = TensorInfo("flag", "int64", ("N",))
RAW = Preprocess.parse("raw")
X5 = np.arange(20, dtype=np.float32).reshape(5, 1, 2, 2)


def png(level: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (3, 3), level).save(file, "PNG")
    return file.getvalue()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_arrays(path: Path, x: np.ndarray) -> None:
    if path.suffix == ".npz":
        np.savez(path, x=x)
    else:
        np.save(path, x)


def levels(source: Source) -> dict[str, float | str]:
    """Id -> first number of the input, or why it cannot be read."""

    def read(item):
        try:
            return float(item.read()["x"].flat[0])
        except InputError as error:
            return str(error)

    return {item.id: read(item) for item in source}


def test_a_folder_gives_its_pictures_by_relative_path_and_counts_the_rest(tmp_path):
    files = {"b.png": 2, "a/z.PNG": 1, "a.png": 3, "a/b/c.png": 4}
    write(tmp_path, {name: png(level) for name, level in files.items()})
    write(tmp_path, {"notes.txt": b"", ".hidden.png": png(9), ".git/x.png": png(9), "a/model.onnx": b""})
    source = open_source(str(tmp_path), [X], RAW)
    assert levels(source) == {"a.png": 3, "a/b/c.png": 4, "a/z.PNG": 1, "b.png": 2}
    assert [item.id for item in source] == sorted(files)
    assert source.total == 4
    assert source.description == f"folder {tmp_path} (4 pictures; 4 other files ignored)"


def test_the_first_folder_below_is_the_label(tmp_path):
    write(tmp_path, {"ant/a.png": png(1), "bee/deep/b.png": png(2), "c.png": png(3)})
    np.save(tmp_path / "ant" / "x.npy", X5[:1])
    for data in (tmp_path, [tmp_path], str(tmp_path)):
        found = {item.id: item.label for item in open_source(data, [X], RAW)}
        assert found == {"ant/a.png": "ant", "ant/x.npy[0]": "ant", "bee/deep/b.png": "bee", "c.png": None}
    several = [item.label for item in open_source([tmp_path / "ant" / "a.png", tmp_path / "bee"], [X], RAW)]
    assert several == [None, "deep"]


def test_one_folder_is_one_label_whatever_its_files_are_called(tmp_path):
    (tmp_path / "c\\l").mkdir()
    for name in ("1.png", os.fsdecode(b"\xff.png")):
        (tmp_path / "c\\l" / name).write_bytes(png(1))
    for data in (tmp_path, f"local://{tmp_path}"):
        assert [item.label for item in open_source(data, [X], RAW)] == ["c\\l"] * 2


def test_an_input_from_the_wire_brings_its_label():
    raws = [Raw("a", picture=png(1), label="ant"), Raw("b", tensors={"x": X5[1]})]
    assert [item.label for item in open_source(raws, [X], RAW)] == ["ant", None]


def test_patterns_are_for_texts_and_a_file_of_that_name_comes_first(tmp_path):
    write(tmp_path, {f"{i}.png": png(i) for i in range(12)} | {"[1].png": png(77)})
    assert list(levels(open_source(f"{tmp_path}/{{9..11}}.png", [X], RAW))) == ["9.png", "10.png", "11.png"]
    assert list(levels(open_source(f"{tmp_path}/{{3,1}}.png", [X], RAW))) == ["3.png", "1.png"]
    assert list(levels(open_source(f"{tmp_path}/1?.png", [X], RAW))) == ["10.png", "11.png"]
    assert levels(open_source(f"{tmp_path}/[1].png", [X], RAW)) == {"[1].png": 77}
    assert list(levels(open_source(f"{tmp_path}/{{[1],2}}.png", [X], RAW))) == ["[1].png", "2.png"]
    with pytest.raises(NotFoundError):
        open_source(tmp_path / "*.png", [X], RAW)
    with pytest.raises(InputError, match="it stands for too many files"):
        open_source("{0..999}{0..999}.png", [X], RAW)


def test_a_wildcard_stands_for_no_more_files_than_a_pattern_may(tmp_path, monkeypatch):
    write(tmp_path, {f"{i}.png": png(i) for i in range(3)})
    monkeypatch.setattr("inspector.runtime.patterns.MOST", 3)
    assert len(levels(open_source(f"{tmp_path}/*.png", [X], RAW))) == 3
    monkeypatch.setattr("inspector.runtime.patterns.MOST", 2)
    with pytest.raises(InputError, match="it stands for too many files; expected at most 2"):
        open_source(f"{tmp_path}/*.png", [X], RAW)


def test_a_folder_may_hold_arrays_beside_pictures(tmp_path):
    write(tmp_path, {"c.png": png(7)})
    np.save(tmp_path / "a.npy", X5[:3])
    np.save(tmp_path / "b.npy", X5[4])
    np.savez(tmp_path / "d.npz", x=X5[1:2])
    source = open_source(tmp_path, [X], RAW)
    assert levels(source) == {"a.npy[0]": 0, "a.npy[1]": 4, "a.npy[2]": 8, "b.npy": 16, "c.png": 7, "d.npz[0]": 4}
    assert source.total is None
    assert source.description == f"folder {tmp_path} (1 picture, 3 array files)"


def test_what_is_broken_in_a_folder_is_an_error_of_that_input_alone(tmp_path):
    write(tmp_path, {"a.png": png(1), "b.png": b"no picture", "c.npy": b"no array", "d.png": png(2)})
    np.save(tmp_path / "e.npy", X5.astype(np.float64))
    got = levels(open_source(tmp_path, [X], RAW))
    assert (got["a.png"], got["d.png"]) == (1, 2)
    assert got["b.png"].startswith("b.png: it is no picture")
    assert got["c.npy"].startswith("c.npy: the array file cannot be read")
    assert got["e.npy"].startswith("e.npy: the array for 'x' has another element type")


def test_links_may_lead_about_the_folder_but_not_out_of_it(tmp_path):
    inside = write(tmp_path / "in", {"a.png": png(1), "sub/b.png": png(2)})
    write(tmp_path / "out", {"secret.png": png(9)})
    np.save(tmp_path / "out" / "secret.npy", X5)
    (inside / "near.png").symlink_to("sub/b.png")
    (inside / "far.png").symlink_to("../out/secret.png")
    (inside / "far.npy").symlink_to(tmp_path / "out" / "secret.npy")
    (inside / "gone.png").symlink_to("nothing.png")
    (inside / "self.png").symlink_to("self.png")
    (inside / "door").symlink_to("../out")
    (inside / "sub" / "loop").symlink_to("..")
    got = levels(open_source(inside, [X], RAW))
    assert {k: v for k, v in got.items() if isinstance(v, float)} == {"a.png": 1, "near.png": 2, "sub/b.png": 2}
    for name in ("far.png", "far.npy"):
        assert got[name] == f"{name}: it is a link that leads out of the folder. Copy the file instead."
    unknown = [item.id for item in open_source(inside, [X], RAW) if item.incomplete]
    assert unknown == ["door", "far.npy", "sub/loop"]  # a picture is one input
    for name in ("gone.png", "self.png"):
        assert got[name] == f"{name}: it leads nowhere. Repair or remove the link."
    for name in ("door", "sub/loop"):
        assert got[name] == f"{name}: links to folders are not followed."
    assert len(got) == 9


def test_a_link_is_looked_at_when_it_is_read(tmp_path):
    inside = write(tmp_path / "in", {"a.png": png(1)})
    outside = write(tmp_path / "out", {"secret.png": png(9)})
    (item,) = open_source(inside, [X], RAW)
    (inside / "a.png").unlink()
    (inside / "a.png").symlink_to(outside / "secret.png")
    with pytest.raises(InputError, match="leads out of the folder"):
        item.read()


def test_a_folder_that_is_itself_a_link_is_fine(tmp_path):
    write(tmp_path / "real", {"a.png": png(5)})
    (tmp_path / "link").symlink_to("real")
    assert levels(open_source(tmp_path / "link", [X], RAW)) == {"a.png": 5}


def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch):
    write(tmp_path, {"a.png": png(1), "closed/b.png": png(2)})
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # what os.walk lists folders with; file modes do not stop root
    got = levels(open_source(tmp_path, [X], RAW))
    assert got == {"a.png": 1, "closed": "closed: the folder cannot be listed (Permission denied)."}


def test_file_names_that_are_no_utf8_are_written_out(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        write(tmp_path, {name: png(3)})
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert levels(open_source(tmp_path, [X], RAW)) == {"caf\\xe9.png": 3}
    write(tmp_path, {"caf\\xe9.png": png(4), r"a\b.png": png(5)})  # what the other one is called
    assert levels(open_source(tmp_path, [X], RAW)) == {r"a\b.png": 5, "caf\\xe9.png": 3, r"caf\\xe9.png": 4}


@pytest.mark.parametrize(("names", "found"), [([], "no files"), (["a.txt", ".b"], "2 other files: .b, a.txt")])
def test_a_folder_without_anything_to_feed_says_what_it_looked_for_and_found(tmp_path, names, found):
    write(tmp_path, dict.fromkeys(names, b""))
    expected = (
        f"folder {tmp_path}: it holds nothing to feed; expected pictures (.jpg, .jpeg, .png, .webp, .bmp, .gif, .tif, "
        f".tiff) or arrays (.npy, .npz) of x float32 (N, 1, 2, 2); tar files (.tar, .tar.gz, .tgz, .tar.bz2, .tar.xz) "
        f"or Parquet files (.parquet) of these, found {found}"
    )
    with pytest.raises(InputError, match=re.escape(expected)):
        open_source(tmp_path, [X], RAW)


def test_a_picture_file_is_one_input(tmp_path):
    write(tmp_path, {"a.png": png(6)})
    source = open_source(tmp_path / "a.png", [X], RAW)
    assert levels(source) == {"a.png": 6}
    assert (source.total, source.description) == (1, f"file {tmp_path / 'a.png'} (1 picture)")


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_an_array_file_is_checked_at_once(tmp_path, name):
    path = tmp_path / name
    write_arrays(path, X5)
    source = open_source(path, [X])
    assert levels(source) == {f"{name}[{i}]": 4 * i for i in range(5)} == levels(source)
    assert (source.total, source.description) == (5, f"file {path} (5 inputs)")
    write_arrays(path, X5.astype(np.float64))
    with pytest.raises(InputError, match=f"{name}: the array for 'x' has another element type"):
        open_source(path, [X])


def test_a_list_of_paths_is_one_after_the_other(tmp_path):
    write(tmp_path, {"b.png": png(1), "d/b.png": png(2), "d/a.png": png(3), "d/no.txt": b""})
    paths = [tmp_path / "b.png", str(tmp_path / "d")]
    source = open_source(paths, [X], RAW)
    assert list(levels(source).items()) == [
        ("b.png", 1),
        ("d/a.png", 3),
        ("d/b.png", 2),
    ]
    assert source.description == f"{tmp_path}/b.png, {tmp_path}/d (3 pictures; 1 other file ignored)"
    with pytest.raises(InputError, match=r"d/a\.png': it is listed twice"):
        open_source([*paths, tmp_path / "d/a.png"], [X], RAW)


def test_a_long_list_is_described_in_short(tmp_path):
    write(tmp_path, {f"{i}.png": png(i) for i in range(5)})
    source = open_source([tmp_path / f"{i}.png" for i in range(5)], [X], RAW)
    assert source.description.endswith("2.png, … (5 in all) (5 pictures)")
    assert open_source([tmp_path / f"{i}.png" for i in range(3)], [X], RAW).description.endswith("2.png (3 pictures)")


def test_paths_that_are_not_there_or_cannot_be_fed_are_refused(tmp_path):
    write(tmp_path, {"a.txt": b"", "plain": b""})
    for data in (tmp_path / "absent.png", [tmp_path / "absent.png"]):
        with pytest.raises(NotFoundError, match=r"absent\.png': there is no such file or folder"):
            open_source(data, [X], RAW)
    for name, ending in (("a.txt", r"\.txt"), ("plain", "no ending")):
        for data in (tmp_path / name, [str(tmp_path / name)]):
            with pytest.raises(
                InputError, match=rf"its ending .* expected \.jpg, .*\.npz, \.tar, .*\.parquet, found {ending}"
            ):
                open_source(data, [X], RAW)


@pytest.mark.parametrize("place", ["", "file://", "{,a.npy}", ["b.npy", ""]])
def test_an_empty_text_is_not_the_folder_that_one_happens_to_be_in(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.npy", "b.npy"):
        write_arrays(tmp_path / name, X5)
    with pytest.raises(
        NotFoundError, match=r"data '': the text is empty; expected a path, URL or pattern\. Here is `\.`"
    ):
        open_source(place, [X], RAW)
    assert levels(open_source(".", [X], RAW)).keys() == {f"{name}.npy[{i}]" for name in "ab" for i in range(5)}


def test_an_array_in_memory_is_a_row_of_inputs():
    source = open_source(X5, [X])
    assert levels(source) == {f"array[{i}]": 4 * i for i in range(5)} == levels(source)
    assert (source.total, source.description) == (5, "arrays in memory (5 inputs)")
    assert levels(open_source(X5[2], [X])) == {"array": 8}


def test_arrays_by_name_feed_a_model_with_several_inputs():
    source = open_source({"x": X5, "flag": np.arange(5)}, [X, FLAG])
    assert [int(item.read()["flag"]) for item in source] == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match="the model has 2 inputs, so every array needs a name"):
        open_source(X5, [X, FLAG])


def test_pictures_need_a_way_to_preprocess_them(tmp_path):
    write(tmp_path, {"a.png": png(6)})
    for data in (tmp_path, tmp_path / "a.png", [tmp_path / "a.png"]):
        with pytest.raises(ParameterError, match=r"nothing says how pixels become this model's numbers.*imagenet"):
            open_source(data, [X])
    with pytest.raises(ParameterError, match="nothing says"):
        list(open_source([Raw("a", picture=png(1))], [X]))


def test_what_no_picture_can_mend_is_an_error_of_the_source(tmp_path):
    write(tmp_path, {"a.png": png(6)})
    for data, start in ((tmp_path, open_source), ([Raw("a", picture=png(1))], lambda *a: list(open_source(*a)))):
        with pytest.raises(InputError, match="the model has 2 inputs"):
            start(data, [X, FLAG], RAW)
        with pytest.raises(InputError, match="pictures cannot feed it"):
            start(data, [TensorInfo("x", "float32", (1, 8))], RAW)
        with pytest.raises(ParameterError, match="single channel"):
            start(data, [X], Preprocess.parse("imagenet"))


def test_inputs_from_the_wire_are_pictures_or_tensors():
    raws = [Raw("p", picture=png(3)), Raw("t", tensors={"x": X5[1]}), Raw("n", tensors={"x": X5[2:3]})]
    source = open_source(raws, [X], RAW)
    assert levels(source) == {"p": 3, "t": 4, "n": 8}
    assert (source.total, source.description) == (3, "inputs sent by the caller (3 inputs)")
    stream = open_source(iter(raws), [X], RAW)
    assert (stream.total, stream.description) == (None, "inputs sent by the caller")
    assert levels(stream) == {"p": 3, "t": 4, "n": 8}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (Raw("b"), "b: it must hold one thing to feed; expected a picture or tensors, found neither"),
        (Raw("b", png(1), {"x": X5[0]}), "found both"),
        (Raw("b", tensors={"x": X5}), "b: it holds several inputs; expected 1, found 5"),
        (Raw("b", tensors={"y": X5[0]}), "b: its arrays are not the model's inputs"),
        (Raw("b", picture=b"junk"), "b: it is no picture"),
        (Raw("a", picture=png(1)), "a: an input of that id came before"),
    ],
)
def test_a_broken_input_from_the_wire_is_an_error_of_that_input_alone(raw, message):
    first, second = open_source([Raw("a", picture=png(1)), raw], [X], RAW)
    assert first.read()["x"].shape == (1, 2, 2)
    with pytest.raises(InputError, match=message):
        second.read()


@pytest.mark.parametrize("data", [[], 7, None])
def test_nothing_to_feed_is_refused(data):
    with pytest.raises(InputError, match="data: there is nothing to feed"):
        open_source(data, [X], RAW)


def test_entries_that_are_no_input_are_refused():
    with pytest.raises(InputError, match=r"data: an entry is no input; expected paths, .*, or Raw, found ndarray"):
        list(open_source([X5], [X], RAW))
