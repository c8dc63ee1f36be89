"""Arrays against what a model takes, and array files that are out to do harm."""

from __future__ import annotations

import io
import os
import pickle
import re
import struct
import threading
import tracemalloc
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.contract import TensorInfo
from inspector.errors import InputError
from inspector.runtime import array_file, arrays
from inspector.runtime.array_file import Rows
from inspector.runtime.arrays import Stack, only_input, read_stack, taken
from inspector.runtime.outages import may_mend

X = TensorInfo("x", "float32", ("N", 3, 4, "w"))
FLAG = TensorInfo("flag", "int64", (1,))
X5 = np.arange(5 * 3 * 4 * 2, dtype=np.float32).reshape(5, 3, 4, 2)


def npy_bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def open_files() -> int:
    return len([*Path("/dev/fd").iterdir()])


def header(description: str) -> bytes:
    """A .npy header as the format's specification has it, version 1.0, with any content."""
    text = description.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def test_the_first_axis_counts_inputs():
    stack = Stack.of({"x": X5}, [X], "array")
    assert (stack.count, stack.single) == (5, False)
    assert stack.ids("array") == [f"array[{i}]" for i in range(5)]
    assert stack.one(3)["x"].dtype.isnative
    np.testing.assert_array_equal(stack.one(3)["x"], X5[3])


def test_an_array_without_a_batch_axis_is_one_input():
    stack = Stack.of({"x": X5[0]}, [X], "array")
    assert (stack.count, stack.single, stack.ids("a.npy")) == (1, True, ["a.npy"])
    np.testing.assert_array_equal(stack.one(0)["x"], X5[0])


def test_several_inputs_go_side_by_side():
    flags = np.arange(5)
    stack = Stack.of({"flag": flags, "x": X5}, [X, FLAG], "arrays")
    one = stack.one(4)
    assert one["flag"].shape == ()
    assert one["flag"] == 4
    np.testing.assert_array_equal(one["x"], X5[4])


def test_a_model_of_unknown_rank_takes_the_first_axis_as_inputs():
    assert Stack.of({"x": X5}, [TensorInfo("x", "float32", None)], "array").count == 5
    with pytest.raises(InputError, match=r"another shape; expected one axis or more, N first, found \(\)"):
        Stack.of({"x": np.ones(())}, [TensorInfo("x", "float64", None)], "array")


def test_an_input_is_a_copy_in_this_machines_byte_order():
    swapped = X5.astype(">f4")
    one = Stack.of({"x": swapped}, [X], "array").one(2)["x"]
    assert one.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(one, X5[2])
    swapped[2] = 0
    np.testing.assert_array_equal(one, X5[2])


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"y": X5}, "its arrays are not the model's inputs; expected x float32 (N, 3, 4, w), found y"),
        ({}, "found none"),
        ({"x": X5, "y": X5}, "found x, y"),
        ({"x": [1, 2]}, "'x' is no array; expected a NumPy array, found list"),
        (
            {"x": X5.astype(np.float64)},
            (
                "another element type than the model takes; expected float32 (the model takes x float32 (N, 3, 4, w)), "
                "found float64. If no precision that matters is lost, convert it to float32."
            ),
        ),
        ({"x": X5.astype(np.uint8)}, "found uint8"),
        ({"x": X5.astype(object)}, "found object"),
        ({"x": X5[:, :2]}, "another shape; expected (N, 3, 4, w), or without N for one input, found (5, 2, 4, 2)"),
        ({"x": X5[:, :, :3]}, "found (5, 3, 3, 2)"),
        ({"x": X5[..., :0]}, "found (5, 3, 4, 0)"),
        ({"x": X5[0, 0]}, "found (4, 2)"),
        ({"x": X5[None]}, "found (1, 5, 3, 4, 2)"),
        ({"x": X5[:0]}, "it holds no inputs; expected at least one along axis 0"),
    ],
)
def test_arrays_that_the_model_does_not_take_are_refused_with_a_reason(named, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        Stack.of(named, [X], "array")
    assert caught.value.subject == "array"


def test_different_numbers_of_inputs_are_refused():
    with pytest.raises(
        InputError,
        match="different numbers of inputs; expected as many along axis 0 of each, found 5 in 'x', 4 in 'flag'",
    ):
        Stack.of({"x": X5, "flag": np.arange(4)}, [X, FLAG], "arrays")


def test_a_model_with_several_inputs_needs_names():
    assert only_input([X], "array") is X
    with pytest.raises(InputError, match=r"the model has 2 inputs, .*expected x float32 .*; flag int64 \(N\)\. Give"):
        only_input([X, FLAG], "array")


def test_shapes_are_told_as_a_caller_thinks_of_them():
    inputs = [X, FLAG, TensorInfo("a", "bool", None), TensorInfo("b", "bool", (4, None)), TensorInfo("c", "bool", ())]
    assert taken(inputs) == "x float32 (N, 3, 4, w); flag int64 (N); a bool of any shape; b bool (N, ?); c bool ()"


def test_a_npy_file_is_read_piece_by_piece(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, X5)
    stack = read_stack(path, [X], "x.npy", max_bytes=X5[0].nbytes)
    assert isinstance(stack.arrays["x"], Rows)
    np.testing.assert_array_equal(np.stack([stack.one(i)["x"] for i in range(5)]), X5)
    with pytest.raises(InputError, match="one input is too large; expected at most 95 bytes, found 96"):
        read_stack(path, [X], "x.npy", max_bytes=95)


def test_a_npy_file_that_changes_while_it_is_read_costs_what_is_not_there_and_nothing_else(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, X5)
    stack = read_stack(path, [X], "x.npy")
    os.truncate(path, path.stat().st_size - 97)  # of 96 bytes are an input
    np.testing.assert_array_equal(stack.one(2)["x"], X5[2])
    for gone in (3, 4):
        with pytest.raises(InputError, match=r"x\.npy: it was cut short while it was read"):
            stack.one(gone)
    np.save(tmp_path / "y.npy", X5 + 1)
    (tmp_path / "y.npy").replace(path)
    np.testing.assert_array_equal(stack.one(2)["x"], X5[2])  # of the old one, which is still open


def test_many_npy_files_are_read_with_few_of_them_open_and_none_is_left_open(tmp_path, monkeypatch):
    monkeypatch.setattr(array_file, "_room", threading.BoundedSemaphore(1))
    for name in "xyz":
        np.save(tmp_path / f"{name}.npy", X5)
    before = open_files()
    stacks = [read_stack(tmp_path / f"{name}.npy", [X], f"{name}.npy") for name in "xyz"]
    for stack in stacks:
        np.testing.assert_array_equal(np.stack([stack.one(i)["x"] for i in range(5)]), X5)
    assert open_files() == before + 1
    (tmp_path / "x.npy").replace(tmp_path / "z.npy")
    with pytest.raises(InputError, match=r"z\.npy: another file took its place while it was read") as caught:
        stacks[2].one(2)
    assert may_mend(caught.value)
    (tmp_path / "z.npy").unlink()
    with pytest.raises(InputError, match=r"z\.npy: it cannot be read \(No such file or directory\)"):
        stacks[2].one(2)
    del stack, stacks
    assert open_files() == before


def test_what_follows_an_array_in_its_file_is_told(tmp_path):
    (tmp_path / "x.npy").write_bytes(2 * npy_bytes(X5))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", npy_bytes(X5) + b"x")
    for name in ("x.npy", "x.npz"):
        with pytest.raises(InputError, match=r"something follows its array; expected 480 bytes for float32 .*, found "):
            read_stack(tmp_path / name, [X], name)


def test_every_version_of_the_format_is_read_and_one_to_come_is_called_that(tmp_path):
    text = npy_bytes(X5)[10:128]
    for version in (2, 3):
        begin = b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<I", len(text))
        (tmp_path / "x.npy").write_bytes(begin + text + X5.tobytes())
        for source in (tmp_path / "x.npy", begin + text + X5.tobytes()):
            np.testing.assert_array_equal(read_stack(source, [X], "x.npy").one(3)["x"], X5[3])
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x04\x00" + bytes(100))
    with pytest.raises(InputError, match=r"cannot be read \(version 4\.0 of its format is not known\)"):
        read_stack(tmp_path / "x.npy", [X], "x.npy")


def test_a_npy_file_in_column_order_gives_the_same_where_it_can_be_read_whole(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.asfortranarray(X5))
    one = read_stack(tmp_path / "x.npy", [X], "x.npy").one(3)["x"]
    assert one.flags.c_contiguous
    np.testing.assert_array_equal(one, X5[3])
    monkeypatch.setattr(arrays, "MAX_BYTES", (tmp_path / "x.npy").stat().st_size - 1)
    with pytest.raises(InputError, match=r"column order, and too large to be read whole.* Save numpy\.ascontiguousarr"):
        read_stack(tmp_path / "x.npy", [X], "x.npy")


def test_bfloat16_comes_back_from_a_file_that_cannot_name_it(tmp_path):
    values = X5.astype(ml_dtypes.bfloat16)
    np.save(tmp_path / "x.npy", values)
    info = TensorInfo("x", "bfloat16", X.shape)
    np.testing.assert_array_equal(read_stack(tmp_path / "x.npy", [info], "x").one(2)["x"], values[2])
    np.save(tmp_path / "wide.npy", X5.view("V4"))
    with pytest.raises(InputError, match=r"expected bfloat16 .*, found void32"):
        read_stack(tmp_path / "wide.npy", [info], "wide.npy")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_npz_file_holds_every_input_by_name(tmp_path, save):
    save(tmp_path / "both.npz", x=X5, flag=np.arange(5))
    stack = read_stack(tmp_path / "both.npz", [X, FLAG], "both.npz")
    assert stack.count == 5
    np.testing.assert_array_equal(stack.arrays["x"], X5)
    np.testing.assert_array_equal(stack.arrays["flag"], np.arange(5))
    with pytest.raises(InputError, match=r"not the model's inputs; expected x float32 .*, found x, flag"):
        read_stack(tmp_path / "both.npz", [X], "both.npz")


def test_nothing_is_unpickled(tmp_path):
    (tmp_path / "tool.npy").write_bytes(npy_bytes(np.array([{}], dtype=object)))
    (tmp_path / "bare.npy").write_bytes(pickle.dumps([1, 2]))
    np.savez(tmp_path / "tool.npz", x=np.array([{}], dtype=object))
    for name in ("tool.npy", "bare.npy", "tool.npz"):
        with pytest.raises(InputError, match=r"the array file cannot be read|it holds Python objects"):
            read_stack(tmp_path / name, [TensorInfo("x", "object", ("N",))], name)


@pytest.mark.parametrize(
    ("shape", "found"),
    [("(2, 3, 4, 2)", "64 bytes"), ("(4611686018427387904, 3, 4, 2)", "64 bytes"), ("(-1, 3, 4, 2)", "64 bytes")],
)
def test_a_declared_size_is_not_believed(tmp_path, shape, found):
    data = header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}") + bytes(64)
    (tmp_path / "x.npy").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", data)
    for name in ("x.npy", "x.npz"):
        with pytest.raises(InputError, match=f"it is cut short; expected .* bytes for float32 .*, found {found}"):
            read_stack(tmp_path / name, [X], name)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\x93NUMPY\x07\x00",
        header("{'descr': '<f4'"),
        header("__import__('os').getcwd()"),
        b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{" * 100_000,
        npy_bytes(X5)[:40],
    ],
    ids=["empty", "text", "version", "syntax", "code", "long header", "half a header"],
)
def test_damaged_array_files_are_refused_by_name(tmp_path, data):
    for name in ("x.npy", "x.npz"):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=f"{name}: the array file cannot be read"):
            read_stack(tmp_path / name, [X], name)


def test_a_long_header_is_not_even_read(tmp_path):
    with (tmp_path / "x.npy").open("wb") as file:
        file.write(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**26))
        file.truncate(2**26)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="the array file cannot be read"):
            read_stack(tmp_path / "x.npy", [X], "x.npy")
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((20_000, 3, 4, 2), np.float32))
    size = (tmp_path / "x.npz").stat().st_size
    assert size < 10_000
    with pytest.raises(InputError, match=r"what it unpacks to is too large; expected at most 100,000 bytes, found 1,9"):
        read_stack(tmp_path / "x.npz", [X], "x.npz", max_bytes=100_000)
    with pytest.raises(InputError, match="the file is too large"):
        read_stack(tmp_path / "x.npz", [X], "x.npz", max_bytes=size - 1)


def test_a_zip_that_lies_about_its_sizes_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((2000, 3, 4, 2), np.float32))
    data = (tmp_path / "x.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        real = archive.infolist()[0].file_size
    (tmp_path / "x.npz").write_bytes(data.replace(struct.pack("<I", real), struct.pack("<I", 1000)))
    with pytest.raises(InputError, match=r"it is cut short|cannot be read"):
        read_stack(tmp_path / "x.npz", [X], "x.npz")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["x.npy", "x"])
def test_two_arrays_of_one_name_are_refused(tmp_path, second):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", npy_bytes(X5))
        archive.writestr(second, npy_bytes(X5 + 1))
    with pytest.raises(InputError, match=r"x\.npz: two of its arrays have one name\. Write it with numpy\.savez"):
        read_stack(tmp_path / "x.npz", [X], "x.npz")


def test_packings_that_numpy_never_uses_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.npy", npy_bytes(X5))
    with pytest.raises(InputError, match=r"x\.npz:x: it is packed in a way that NumPy never uses.*numpy\.savez"):
        read_stack(tmp_path / "x.npz", [X], "x.npz")


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    for name in ("pipe.npy", "absent.npz"):
        with pytest.raises(InputError, match="it is not a regular file"):
            read_stack(tmp_path / name, [X], name)


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
@given(data=st.data())
def test_damaged_bytes_give_arrays_or_an_input_error_and_nothing_else(tmp_path_factory, name, data):
    path = tmp_path_factory.getbasetemp() / name
    with path.open("wb") as file:
        np.savez(file, x=X5) if name == "x.npz" else np.save(file, X5)
    good = path.read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    patch = data.draw(st.binary(min_size=1, max_size=6))
    path.write_bytes((good[:at] + patch + good[at + len(patch) :])[: data.draw(st.integers(at, len(good)))])
    try:
        stack = read_stack(path, [X], name)
    except InputError:
        return
    assert stack.one(stack.count - 1)["x"].shape[:2] == (3, 4)
