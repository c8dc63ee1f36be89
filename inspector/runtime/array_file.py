"""The array of a .npy file, read input by input.

Each input is read where it stands, by a read of its own, from a file that stays open. A map of the file (`mmap`) does
as well until somebody cuts the file short: then it ends the process.
"""

from __future__ import annotations

import io
import math
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from inspector.contract import Array
from inspector.errors import InputError
from inspector.runtime.outages import changed

KEPT_OPEN: Final = 64
"""Files that stay open from one input to the next; of more, each is opened anew for every input."""

_room = threading.BoundedSemaphore(KEPT_OPEN)
_LONGEST = 2**16  # bytes of a header; NumPy refuses to parse more than 10,000
_HEADERS: dict[tuple[int, int], Callable[[IO[bytes]], tuple[tuple[int, ...], bool, np.dtype[Any]]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,  # differs in how names of fields are written, which no model takes
}


@dataclass(frozen=True, slots=True)
class Header:
    """What a .npy file says of its array; the numbers begin at `start`."""

    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype[Any]
    start: int

    @classmethod
    def of(cls, file: IO[bytes], size: int, name: str) -> Header:
        """The header of a file of that size.

        Raises:
            InputError: the file holds less than the header declares, or more, or Python objects.
            ValueError: it is no .npy file.
        """
        begun = io.BytesIO(file.read(_LONGEST))  # a longer header is a hostile one
        version = np.lib.format.read_magic(begun)
        if version not in _HEADERS:
            raise ValueError("version {}.{} of its format is not known".format(*version))
        shape, by_columns, dtype = _HEADERS[version](begun)
        if dtype.hasobject:
            remedy = "Store numbers, all inputs of one shape along axis 0."
            raise InputError(name, "it holds Python objects", expected="an array of numbers", remedy=remedy)
        declared, there = math.prod(shape) * dtype.itemsize, size - begun.tell()
        if min(shape, default=0) < 0 or declared != there:
            wrong = "something follows its array" if 0 <= declared < there else "it is cut short"
            expected = f"{declared:,} bytes for {dtype.name} {shape}"
            raise InputError(name, wrong, expected=expected, found=f"{there:,} bytes", remedy="Write it again.")
        return cls(shape, by_columns, dtype, begun.tell())


class Opened:
    """A file that any threads read at any places; with room for it, it is open until nobody has this any more."""

    def __init__(self, path: Path, name: str, about: os.stat_result) -> None:
        """`about`: of the file that has to be at this path."""
        self._path, self._name, self._file = path, name, (about.st_dev, about.st_ino)
        self._kept = -1
        self._lock = threading.Lock()

    def __del__(self) -> None:
        if self._kept >= 0:
            os.close(self._kept)
            _room.release()

    def read(self, at: int, size: int) -> bytes:
        """So many bytes from there on; InputError where they are not there any more, or another file is."""
        try:
            data = os.pread(self._kept, size, at) if self._keeps() else self._read(at, size)
        except OSError as error:
            raise InputError(self._name, f"it cannot be read ({error.strerror or error})") from error
        if len(data) < size:
            raise changed(self._name, "it was cut short while it was read")
        return data

    def _keeps(self) -> bool:
        if self._kept < 0 and hasattr(os, "pread"):
            with self._lock:
                if self._kept < 0 and _room.acquire(blocking=False):
                    self._keep()
        return self._kept >= 0

    def _keep(self) -> None:
        try:
            with self._path.open("rb", buffering=0) as file:
                self._check(file)
                self._kept = os.dup(file.fileno())
        except BaseException:
            _room.release()
            raise

    def _read(self, at: int, size: int) -> bytes:
        with self._path.open("rb") as file:
            self._check(file)
            file.seek(at)
            return file.read(size)

    def _check(self, file: IO[bytes]) -> None:
        about = os.fstat(file.fileno())
        if (about.st_dev, about.st_ino) != self._file:
            raise changed(self._name, "another file took its place while it was read")


@dataclass(frozen=True, slots=True)
class Rows:
    """An array (N, …) that lies in a file row by row: of an array what its inputs need, an index along axis 0 reads."""

    file: Opened = field(repr=False)
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def open(cls, path: Path, name: str, max_bytes: int) -> Rows | Array:
        """The array of a file; in column order it is read whole, as each of its inputs is all over the file.

        Raises:
            InputError: the file is cut short, goes on after its array, or is too large to be read whole.
            ValueError: it is no .npy file.
        """
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            header = Header.of(file, about.st_size, name)
            if header.by_columns:
                return _whole(file, about.st_size, name, max_bytes)
        return cls(Opened(path, name, about), header.start, header.shape, header.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def view(self, dtype: str) -> Rows:
        """The same bytes as another element type of that size."""
        return replace(self, dtype=np.dtype(dtype))

    def reshape(self, *shape: int) -> Rows:
        """The same numbers in another shape."""
        return replace(self, shape=shape)

    def __getitem__(self, index: int) -> Array:
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        row: Array = np.ndarray(self.shape[1:], self.dtype, self.file.read(self.start + index * size, size))
        return row


def _whole(file: IO[bytes], size: int, name: str, max_bytes: int) -> Array:
    if size > max_bytes:
        raise InputError(
            name, "it is in column order, and too large to be read whole", expected=f"at most {max_bytes:,} bytes",
            found=f"{size:,}", remedy="Save numpy.ascontiguousarray of it.",
        )  # fmt: skip
    file.seek(0)
    array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array
