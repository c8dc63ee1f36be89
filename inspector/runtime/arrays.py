"""Arrays of numbers, from memory or from .npy and .npz files, checked against what a model takes.

Files are hostile until checked: nothing is unpickled, and no size is believed before it is compared with the file's.
"""

from __future__ import annotations

import io
import math
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import ml_dtypes
import numpy as np

from inspector.contract import Array, TensorInfo
from inspector.errors import InputError, InspectorError
from inspector.runtime.array_file import Header, Rows

SUFFIXES = (".npy", ".npz")
"""Endings of array files, lower case."""
NO_DATA: Final = "Fix its value in the model, as an initializer (docs/data.md says how)"
"""What to do about an input that is one for a whole run."""
MAX_BYTES = 2**30
"""Bytes of one input of a .npy file (which is read piece by piece), or of a whole .npz file (which is not)."""

_PLAIN_COMPRESSION = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # what NumPy writes
_ZIP = b"PK\x03\x04"  # how a zip file begins


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Inputs side by side: `arrays` is name -> (N, …), of equal N, in memory or in a file.

    `single` is True where the arrays came without a batch axis and hold one input.
    """

    arrays: Mapping[str, Array | Rows]
    count: int
    single: bool

    @classmethod
    def of(cls, arrays: Mapping[str, Any], inputs: Sequence[TensorInfo], subject: str) -> Stack:
        """Arrays for all of a model's inputs: axis 0 counts inputs, or is absent in all of them for one input.

        Raises:
            InputError: a name, element type, rank or length that the model does not take.
        """
        if not inputs:
            raise InputError(subject, "this model takes no inputs", remedy="Inspect its weights alone.")
        _check_names(arrays, inputs, subject)
        columns = {i.name: _column(arrays[i.name], i, subject) for i in inputs}
        counts = {name: len(column) for name, column in columns.items()}
        if len(set(counts.values())) > 1:
            found = ", ".join(f"{n} in {name!r}" for name, n in counts.items())
            raise InputError(
                subject,
                "its arrays hold different numbers of inputs",
                expected="as many along axis 0 of each",
                found=found,
                remedy=f"If one of them is no data, such as a state: {NO_DATA[0].lower()}{NO_DATA[1:]}.",
            )
        count = min(counts.values())
        if count == 0:
            raise InputError(subject, "it holds no inputs", expected="at least one along axis 0")
        return cls(columns, count, all(arrays[i.name].ndim < columns[i.name].ndim for i in inputs))

    def ids(self, name: str) -> list[str]:
        """A name for every input."""
        return [self.id(name, i) for i in range(self.count)]

    def id(self, name: str, index: int) -> str:
        """What to call an input: `name[3]`, or `name` alone for a single one."""
        return name if self.single else f"{name}[{index}]"

    def one(self, index: int) -> dict[str, Array]:
        """Copies of one input's arrays, without the batch axis, in this machine's byte order."""
        return {n: np.array(a[index], a.dtype.newbyteorder("="), order="C") for n, a in self.arrays.items()}


def read_stack(source: Path | bytes, inputs: Sequence[TensorInfo], name: str, *, max_bytes: int = MAX_BYTES) -> Stack:
    """The inputs in a .npy file (for a model with one input) or a .npz file (one array per input, by name).

    `source` is the file's path, by whose ending it is read, or its bytes, which say themselves what they are.

    Raises:
        InputError: missing, damaged, too large, or not what the model takes.
    """
    try:
        if isinstance(source, Path) and not source.is_file():
            raise InputError(name, "it is not a regular file", remedy="Give a file that exists and can be read.")
        if source[:4] == _ZIP if isinstance(source, bytes) else source.suffix.lower() == ".npz":
            return Stack.of(_npz(source, inputs, name, max_bytes), inputs, name)
        array = npy(source, name) if isinstance(source, bytes) else Rows.open(source, name, MAX_BYTES)
        stack = Stack.of({only_input(inputs, name).name: array}, inputs, name)
    except InspectorError:
        raise
    except OSError as error:
        raise InputError(name, f"it cannot be read ({error.strerror or error})") from error
    except Exception as error:  # zip and NumPy raise a dozen unrelated types on damaged bytes
        why = str(error) or type(error).__name__
        raise InputError(name, f"the array file cannot be read ({why})", remedy="Write it again.") from error
    largest = max(math.prod(a.shape[1:]) * a.dtype.itemsize for a in stack.arrays.values())
    _check_bytes(largest, name, "one input", max_bytes)
    return stack


def rows_in(path: Path, inputs: Sequence[TensorInfo], name: str) -> int:
    """How many inputs a .npy file holds; 0 where they cannot be read one by one.

    Raises:
        InputError: as `read_stack`.
    """
    stack = read_stack(path, inputs, name)
    return stack.count if all(isinstance(a, Rows) for a in stack.arrays.values()) else 0


def holds_one(inputs: Sequence[TensorInfo]) -> int:
    """Up to how many bytes a .npy file holds no more than one input."""
    try:
        return 2 * _least(only_input(inputs, "")) - 1
    except (InputError, TypeError):  # TypeError: an element type that no array has
        return sys.maxsize


def only_input(inputs: Sequence[TensorInfo], subject: str) -> TensorInfo:
    """The model's input where it has one.

    Raises:
        InputError: it has several, so that every array needs a name.
    """
    if len(inputs) != 1:
        raise InputError(
            subject,
            f"the model has {len(inputs)} inputs, so every array needs a name",
            expected=taken(inputs),
            remedy="Give a mapping of name to array, or a .npz file with these names.",
        )
    return inputs[0]


def _least(info: TensorInfo) -> int:
    """Bytes that one input has at least."""
    sides = [side for side in (info.shape or ())[1:] if isinstance(side, int)]
    return math.prod(sides) * np.dtype(info.dtype).itemsize


def taken(inputs: Sequence[TensorInfo]) -> str:
    """A model's inputs in words: `data float32 (N, 3, 224, 224); …`."""
    return "; ".join(f"{i.name} {i.dtype} {_shape(i.shape)}" for i in inputs) or "(no inputs)"


def _shape(shape: Sequence[int | str | None] | None) -> str:
    if shape is None:
        return "of any shape"
    axes = ["N", *("?" if d is None else str(d) for d in shape[1:])][: len(shape)]
    return f"({', '.join(axes)})"


def _check_names(arrays: Mapping[str, Any], inputs: Sequence[TensorInfo], subject: str) -> None:
    if set(arrays) != {i.name for i in inputs}:
        raise InputError(
            subject,
            "its arrays are not the model's inputs",
            expected=taken(inputs),
            found=", ".join(map(str, arrays)) or "none",
            remedy="Name every array after the input it is for.",
        )


def _column(array: Any, info: TensorInfo, subject: str) -> Array | Rows:
    """`array` as (N, …), checked against one input."""
    if not isinstance(array, (np.ndarray, Rows)):
        found = type(array).__name__
        raise InputError(subject, f"{info.name!r} is no array", expected="a NumPy array", found=found)
    array = _as_stored(array, info.dtype)
    if array.dtype.name != info.dtype:
        raise InputError(
            subject,
            f"the array for {info.name!r} has another element type than the model takes",
            expected=f"{info.dtype} (the model takes {taken([info])})",
            found=array.dtype.name,
            remedy=f"If no precision that matters is lost, convert it to {info.dtype}.",
        )
    if info.shape == ():
        raise InputError(
            subject,
            f"the model's input {info.name!r} has no batch axis, so it cannot be fed one for each input",
            expected="(N, ...)",
            found="()",
            remedy=f"{NO_DATA}.",
        )
    alone = info.shape is not None and array.ndim == len(info.shape) - 1
    with_batch: Array | Rows = array.reshape(1, *array.shape) if alone else array
    if not _fits(with_batch.shape, info.shape):
        expected = f"{_shape(info.shape)}, or without N for one input" if info.shape else "one axis or more, N first"
        found = str(array.shape)
        raise InputError(subject, f"the array for {info.name!r} has another shape", expected=expected, found=found)
    return with_batch


def _as_stored(array: Array | Rows, dtype: str) -> Array | Rows:
    """NumPy files keep element types that are not NumPy's own, such as bfloat16, as bare bytes."""
    bare = hasattr(ml_dtypes, dtype) and array.dtype.kind == "V" and array.dtype.fields is None
    if not bare or array.dtype.itemsize != np.dtype(dtype).itemsize:
        return array
    viewed: Array | Rows = array.view(dtype)
    return viewed


def _fits(found: tuple[int, ...], shape: tuple[int | str | None, ...] | None) -> bool:
    """True where all axes but the first are as the model wants them; a free axis takes any length from 1."""
    if shape is None:
        return len(found) > 0
    if len(found) != len(shape) or not shape:
        return False
    return all(n == d if isinstance(d, int) else n > 0 for n, d in zip(found[1:], shape[1:], strict=True))


def _check_bytes(size: int, name: str, what: str, max_bytes: int) -> None:
    if size > max_bytes:
        remedy = "Split it; a .npy file may hold any number of inputs."
        raise InputError(
            name, f"{what} is too large", expected=f"at most {max_bytes:,} bytes", found=f"{size:,}", remedy=remedy
        )


def npy(data: bytes, name: str) -> Array:
    """The array in the bytes of a .npy file.

    Raises:
        InputError: there is less than its header declares, or more.
        ValueError: it is no .npy file.
    """
    with io.BytesIO(data) as file:
        Header.of(file, len(data), name)
        file.seek(0)
        array: Array = np.lib.format.read_array(file, allow_pickle=False)
        return array


def _opened(source: Path | bytes) -> IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _size(source: Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def _npz(source: Path | bytes, inputs: Sequence[TensorInfo], name: str, max_bytes: int) -> dict[str, Array]:
    _check_bytes(_size(source), name, "the file", max_bytes)
    with _opened(source) as file, zipfile.ZipFile(file) as archive:
        members = {m.filename.removesuffix(".npy"): m for m in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise InputError(name, "two of its arrays have one name", remedy="Write it with numpy.savez.")
        _check_names(members, inputs, name)
        _check_bytes(sum(m.file_size for m in members.values()), name, "what it unpacks to", max_bytes)
        return {n: _member(archive, m, f"{name}:{n}") for n, m in members.items()}


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Array:
    if member.compress_type not in _PLAIN_COMPRESSION:
        raise InputError(name, "it is packed in a way that NumPy never uses", remedy="Write it with numpy.savez.")
    with archive.open(member) as file:
        Header.of(file, member.file_size, name)
    with archive.open(member) as file:
        array: Array = np.lib.format.read_array(file, allow_pickle=False)
        return array
