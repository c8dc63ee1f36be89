"""One pass over the bytes of a model file: the message without its big tensors' numbers, those numbers, and the hash.

Parsing a whole file copies every number into a message, checking and inferring copy the message again, and none of
them reads a single weight. So the numbers are taken out on the way in: of ModelProto.graph.initializer.raw_data, bytes
from some size on go to an array of their own, and the rest goes on unchanged to be parsed. What is odd in any way goes
on unchanged too: the parser is the judge, not this file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np

from inspector.contract import Array
from inspector.graph.loading.hashing import WINDOW, HashedReader

_GRAPH: Final = 7
_INITIALIZER: Final = 5
_RAW_DATA: Final = 9
"""Numbers of the fields on the way, from ModelProto down; see onnx.proto."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_BODIES: Final = {_VARINT: 0, _FIXED64: 8, _FIXED32: 4}
"""Bytes after the head of a field, by its kind; a varint belongs to the head."""
_LENGTH: Final = 5
"""Bytes that hold any length of a field here."""
_HEAD: Final = 20
"""Most bytes of a head: two varints of at most ten."""
_PIECE: Final = 32 << 20
"""Bytes that are taken from the system together: it gives large pieces in large pages, many times faster."""
_ALIGNED: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """A model file, read.

    Attributes:
        skeleton: the serialized ModelProto without the numbers.
        numbers: raw bytes of the big ones, by place among the graph's initializers; read-only.
        size: bytes of the file.
        sha256: of the file.
    """

    skeleton: bytearray
    numbers: Mapping[int, Array]
    size: int
    sha256: bytes


def read(file: BinaryIO, size: int, least: int) -> Contents:
    """Reads `size` bytes; numbers of `least` bytes or more are kept apart. EOFError where there are fewer bytes."""
    with HashedReader(file) as source:
        cutter = _Cutter(source, size, least)
        cutter.model()
        if source.count != size:
            raise EOFError
        for array in cutter.numbers.values():
            array.flags.writeable = False
        return Contents(cutter.skeleton, cutter.numbers, size, source.digest())


class _Cutter:
    """Copies a message to `skeleton` and leaves out numbers. Nests as deep as the fields above, whatever the file.

    It sees a window of the file, `_data` up to `_end`, of which `_at` bytes are done with; what is large is read past
    it.
    """

    def __init__(self, source: HashedReader, size: int, least: int) -> None:
        self._source, self._size, self._least = source, size, least
        self._data, self._at, self._end = bytearray(), 0, 0
        self._place = -1
        self._piece, self._used = np.empty(0, np.uint8), 0
        self.skeleton = bytearray()
        self.numbers: dict[int, Array] = {}

    def model(self) -> None:
        """A ModelProto, which is the whole file."""
        self._copy(self._size, _GRAPH, lambda n: self._message(_GRAPH, n, self._graph))

    def _graph(self, size: int) -> None:
        self._copy(size, _INITIALIZER, lambda n: self._message(_INITIALIZER, n, self._initializer))

    def _initializer(self, size: int) -> None:
        self._place += 1
        self._copy(size, _RAW_DATA, self._raw_data)

    def _raw_data(self, size: int) -> None:
        self.numbers.pop(self._place, None)  # where a field occurs twice, the last one counts
        self.skeleton.append(_RAW_DATA << 3 | _BYTES)
        if size < self._least:
            self.skeleton += _padded(size)
            self._keep(size)
        else:
            self.skeleton.append(0)
            self.numbers[self._place] = array = self._room(size)
            self._fill(array)

    def _message(self, number: int, size: int, copy: Callable[[int], None]) -> None:
        """A message within, whose length is known once it is copied."""
        self.skeleton.append(number << 3 | _BYTES)
        start = len(self.skeleton)
        self.skeleton += bytes(_LENGTH)
        copy(size)
        self.skeleton[start : start + _LENGTH] = _padded(len(self.skeleton) - start - _LENGTH)

    def _copy(self, left: int, number: int, special: Callable[[int], None]) -> None:
        """A message's fields; `special` copies those of that number, if they hold bytes."""
        wanted = number << 3 | _BYTES
        while left > 0:
            if self._end - self._at < _HEAD and self._source.count < self._size:
                self._look_on()
            plain, head, body = _next(self._data, self._at, self._end, left, wanted)
            left -= plain + head + body
            self._keep(plain)
            if head:
                self._at += head
                special(body)

    def _look_on(self) -> None:
        """Moves the window, so that it begins with what is not done yet."""
        kept = self._data[self._at : self._end]
        self._data, self._end = self._source.window(kept, self._size - self._source.count)
        self._at = 0
        if self._end == len(kept):
            raise EOFError

    def _room(self, size: int) -> Array:
        """Memory for numbers; small ones share a piece."""
        if size >= _PIECE // 4:
            return np.empty(size, np.uint8)
        start = -(-self._used // _ALIGNED) * _ALIGNED
        if start + size > self._piece.size:
            self._piece, start = np.empty(min(_PIECE, self._size), np.uint8), 0
        self._used = start + size
        return self._piece[start : self._used]

    def _seen(self, size: int) -> memoryview:
        """The next bytes, as far as they are in the window."""
        data = memoryview(self._data)[self._at : min(self._at + size, self._end)]
        self._at += len(data)
        return data

    def _keep(self, size: int) -> None:
        """The next bytes go on unchanged."""
        while True:
            seen = self._seen(size)
            self.skeleton += seen
            size -= len(seen)
            if not size:
                return
            self._look_on()

    def _fill(self, array: Array) -> None:
        """The next bytes go to an array; many of them do not go through the window."""
        seen = self._seen(array.size)
        array.data[: len(seen)] = seen
        rest = array[len(seen) :]
        if rest.size >= WINDOW:
            self._source.fill(rest)
        elif rest.size:
            self._look_on()
            self._fill(rest)


def _next(data: bytearray, start: int, stop: int, left: int, special: int) -> tuple[int, int, int]:
    """Bytes that go on unchanged, then lengths of head and body of a field with the key `special`; 0 and 0: not yet.

    `data` is known from `start` to `stop`; `left` bytes belong to the message. There can be millions of fields; most
    are whole in the window and have keys of one byte.
    """
    end = start + left
    at, last, seen = start, min(end, stop - _HEAD), min(end, stop)
    while at < last:
        key, number, after = data[at], data[at + 1], at + 2
        if number > 0x7F:
            number, after = _varint(data, at + 1, _HEAD)
        if key == special and 0 <= number <= end - after:
            return at - start, after - at, number
        if key & 7 == _BYTES and number >= 0:
            after += number
        elif key & 7 != _VARINT:
            break
        if key > 0x7F or after > seen:
            break
        at = after
    if at > start:
        return at - start, 0, 0
    key, head, body = _field(data, start, left)
    return (0, head, body) if key == special else (head + body, 0, 0)


def _field(data: bytearray, at: int, left: int) -> tuple[int, int, int]:
    """Key (0: to be copied) and lengths of head and body of the field at a place; something odd reaches to the end."""
    key, after = _varint(data, at, left)
    kind = key & 7
    body = _BODIES.get(kind, -1)
    if kind in (_VARINT, _BYTES):
        number, after = _varint(data, after, left - (after - at))
        body = number if kind == _BYTES else body
    head = after - at
    if not 0 <= body <= left - head:
        return 0, head, left - head
    return key, head, body


def _varint(data: bytearray, at: int, left: int) -> tuple[int, int]:
    """A number and the place after it; -1 where there is none, or an overlong one."""
    value = 0
    for place, byte in enumerate(data[at : at + min(left, 10)]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    return -1, min(at + min(left, 10), len(data))


def _padded(length: int) -> bytes:
    """A length as a varint of five bytes, which is legal, if longer than needed."""
    low = [length >> shift & 0x7F | 0x80 for shift in range(0, 28, 7)]
    return bytes([*low, length >> 28])
