"""The one pass over a file: the parser finds the message that it would have found, but for numbers kept apart."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from models import ZOO, W

from inspector.graph.loading.reading import Contents, read

CHAIN = ZOO["chain"].data


def of(data: bytes, least: int = 0) -> Contents:
    return read(io.BytesIO(data), len(data), least)


def whole(contents: Contents) -> onnx.ModelProto:
    """The message, with the numbers back in it."""
    proto = onnx.load_from_string(bytes(contents.skeleton))
    for place, raw in contents.numbers.items():
        proto.graph.initializer[place].raw_data = raw.tobytes()
    return proto


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("least", [0, 100, 1 << 20])
def test_skeleton_and_numbers_are_the_message(name: str, least: int) -> None:
    data = ZOO[name].data
    contents, proto = of(data, least), onnx.load_from_string(data)
    assert whole(contents) == proto
    raw = [len(t.raw_data) for t in proto.graph.initializer if t.HasField("raw_data")]
    assert sorted(len(n) for n in contents.numbers.values()) == sorted(size for size in raw if size >= least)
    assert (contents.size, contents.sha256) == (len(data), hashlib.sha256(data).digest())


@pytest.mark.parametrize("window", [20, 21, 64])
@pytest.mark.parametrize("least", [0, 100])
def test_it_does_not_matter_where_one_window_ends_and_the_next_begins(
    window: int, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("hashing", "reading"):
        monkeypatch.setattr(f"inspector.graph.loading.{module}.WINDOW", window)
    for name in ZOO:
        data = ZOO[name].data
        contents = of(data, least)
        assert whole(contents) == onnx.load_from_string(data), name
        assert contents.sha256 == hashlib.sha256(data).digest()


@given(st.sampled_from(sorted(ZOO)), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=300)
def test_what_the_parser_makes_of_a_broken_message_it_makes_of_its_skeleton(
    name: str, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(ZOO[name].data)
    for place, byte in changes:
        data[int(place * (len(data) - 1))] = byte
    contents = of(bytes(data))
    assert contents.sha256 == hashlib.sha256(data).digest()
    try:
        expected = onnx.load_from_string(bytes(data))
    except DecodeError:
        return  # what the skeleton of such a file is does not matter
    assert whole(contents) == expected


@given(st.binary(max_size=300))
def test_noise_is_read_to_its_end(data: bytes) -> None:
    assert of(data).sha256 == hashlib.sha256(data).digest()


@given(st.integers(0, len(CHAIN) - 1))
def test_a_file_that_ends_early_is_noticed(cut: int) -> None:
    with pytest.raises(EOFError):
        read(io.BytesIO(CHAIN[:cut]), len(CHAIN), 0)


def field(number: int, data: bytes) -> bytes:
    """A field of bytes, with its length in two bytes."""
    return bytes([number << 3 | 2, len(data) & 0x7F | 0x80, len(data) >> 7]) + data


def test_a_message_in_two_parts_is_one_and_of_a_field_given_twice_the_last_counts() -> None:
    small, large = field(9, b"s" * 9), field(9, b"l" * 200)
    graphs = [
        [b"", small, large, small + large, large + small],
        [large + small + large, field(8, b"name") + large + small + large],
    ]
    data = b"".join(field(7, b"".join(field(5, tensor) for tensor in graph)) for graph in graphs)
    contents = of(data, least=100)
    assert whole(contents) == onnx.load_from_string(data)
    assert sorted(contents.numbers) == [2, 3, 5, 6]


def test_numbers_are_kept_where_they_may_not_be_changed_and_where_processors_like_them() -> None:
    (raw,) = (n for n in of(CHAIN).numbers.values() if len(n) == W.nbytes and n.tobytes() == W.tobytes())
    assert not raw.flags.writeable
    assert raw.ctypes.data % 16 == 0
    np.testing.assert_array_equal(raw.view(np.float32).reshape(W.shape), W)
