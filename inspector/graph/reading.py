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
from inspector.graph.hashing import HashedReader

_GRAPH: Final = 7
_INITIALIZER: Final = 5
_RAW_DATA: Final = 9
"""Numbers of the fields on the way, from ModelProto down; see onnx.proto."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LENGTH: Final = 5
"""Bytes that hold any length of a field here."""


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
        cutter = _Cutter(source, least)
        cutter.model(size)
        if source.count != size:
            raise EOFError
        for array in cutter.numbers.values():
            array.flags.writeable = False
        return Contents(cutter.skeleton, cutter.numbers, size, source.digest())


class _Cutter:
    """Copies a message to `skeleton` and leaves out numbers. Nests as deep as the fields above, whatever the file."""

    def __init__(self, source: HashedReader, least: int) -> None:
        self._source, self._least = source, least
        self._place = -1
        self.skeleton = bytearray()
        self.numbers: dict[int, Array] = {}

    def model(self, size: int) -> None:
        """A ModelProto of so many bytes."""
        self._copy(size, _GRAPH, lambda n: self._message(_GRAPH, n, self._graph))

    def _graph(self, size: int) -> None:
        self._copy(size, _INITIALIZER, lambda n: self._message(_INITIALIZER, n, self._initializer))

    def _initializer(self, size: int) -> None:
        self._place += 1
        self._copy(size, _RAW_DATA, self._raw_data)

    def _raw_data(self, size: int) -> None:
        self.numbers.pop(self._place, None)  # where a field occurs twice, the last one counts
        if size < self._least:
            self.skeleton += bytes([_RAW_DATA << 3 | _BYTES]) + _padded(size) + self._source.read(size)
        else:
            self.numbers[self._place] = array = np.empty(size, np.uint8)
            self.skeleton += bytes([_RAW_DATA << 3 | _BYTES, 0])
            self._source.fill(array)

    def _message(self, number: int, size: int, copy: Callable[[int], None]) -> None:
        """A message within, whose length is known once it is copied."""
        self.skeleton.append(number << 3 | _BYTES)
        start = len(self.skeleton)
        self.skeleton += bytes(_LENGTH)
        copy(size)
        self.skeleton[start : start + _LENGTH] = _padded(len(self.skeleton) - start - _LENGTH)

    def _copy(self, left: int, number: int, special: Callable[[int], None]) -> None:
        """A message's fields; `special` copies those of that number, if they hold bytes."""
        while left > 0:
            found, head, body = self._field(left)
            left -= len(head) + body
            if found == number:
                special(body)
            else:
                self.skeleton += head
                self.skeleton += self._source.read(body)

    def _field(self, left: int) -> tuple[int, bytes, int]:
        """Number (0: to be copied), head and length of what follows it; something odd reaches to the end."""
        key, head = self._varint(left)
        kind = key & 7
        if kind == _VARINT:
            return 0, head + self._varint(left - len(head))[1], 0
        body = {_FIXED64: 8, _FIXED32: 4}.get(kind, -1)
        if kind == _BYTES:
            body, more = self._varint(left - len(head))
            head += more
        if not 0 <= body <= left - len(head):
            return 0, head, left - len(head)
        return (key >> 3 if kind == _BYTES else 0), head, body

    def _varint(self, left: int) -> tuple[int, bytes]:
        """A number and its bytes; -1 where there is none, or an overlong one."""
        value, data = 0, b""
        for shift in range(0, 7 * min(left, 10), 7):
            byte = self._source.read(1)
            data += byte
            if not byte:
                break
            value |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return value, data
        return -1, data


def _padded(length: int) -> bytes:
    """A length as a varint of five bytes, which is legal, if longer than needed."""
    low = [length >> shift & 0x7F | 0x80 for shift in range(0, 28, 7)]
    return bytes([*low, length >> 28])
