"""Data files beside a model: which bytes of them it may have, and those bytes.

A location is text of the file, so it could name anything that the process may read. Only a plain name in the model's
own folder is taken; the file is opened once, as no link, and everything else is asked of what was opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import onnx
import onnx_ir as ir

from inspector.contract import Array
from inspector.errors import LimitError, ModelError
from inspector.graph.contents import Survey
from inspector.graph.data_files import DataFile
from inspector.graph.loading.hashing import HashedReader

_KEYS: Final = frozenset({"location", "offset", "length", "checksum"})
_MOST_AXES: Final = 16
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True, eq=False)
class External:
    """What came from data files.

    Attributes:
        numbers: raw bytes by place among the main graph's initializers; read-only.
        files: the files, by name.
        size: bytes of all tensors together.
        digests: the SHA-256 of each tensor's bytes, in the order of the model file.
    """

    numbers: Mapping[int, Array]
    files: tuple[DataFile, ...]
    size: int
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Which bytes of which file a tensor is; `place` counts all tensors of the model, `subject` is for messages."""

    place: int
    tensor: onnx.TensorProto
    location: str
    offset: int
    length: int
    subject: str


def has_external(survey: Survey) -> bool:
    """Whether the numbers of any tensor, wherever it hangs in the graph, are said to be in another file."""
    return any(map(_is_external, survey.tensors))


def read_external(survey: Survey, folder: Path, label: str, *, limit: int, least: int) -> External:
    """Reads the numbers that lie in other files. In the message, no tensor is external afterwards.

    Tensors of the main graph with `least` bytes or more come back as numbers; all others get their bytes in it.
    Tensors may share bytes. `label` names the model in messages; `limit` is on the bytes of all tensors together.

    Raises:
        ModelError: a reference that is not allowed, leads nowhere, or does not fit the tensor or the file.
        LimitError: more bytes than `limit`.
    """
    parts = [_part(place, t, label) for place, t in enumerate(survey.tensors) if _is_external(t)]
    total = sum(part.length for part in parts)
    if total > limit:
        raise LimitError(
            label, "its data files hold too much", expected=f"at most {limit} bytes", found=f"{total} bytes"
        )
    by_file: defaultdict[str, list[_Part]] = defaultdict(list)
    for part in parts:
        by_file[part.location].append(part)
    numbers: dict[int, Array] = {}
    digests: dict[int, bytes] = {}
    files, initializers = [], len(survey.proto.graph.initializer)
    for location in sorted(by_file):
        with _opened(folder, location, label) as (file, facts):
            files.append(facts)
            for part in by_file[location]:
                raw, digests[part.place] = _read(file, part, facts.size)
                _take(part, raw, numbers, initializers, least)
    return External(numbers, tuple(files), total, tuple(digests[place] for place in sorted(digests)))


def digest(main: bytes, external: External | None) -> str:
    """The SHA-256 that names a model, in hexadecimal digits.

    Of a model in one file, that of the file. With data files: the SHA-256 of the file's SHA-256 (32 bytes) followed by
    the SHA-256 of every external tensor's bytes, in the order in which the file has the tensors.
    """
    if external is None:
        return main.hex()
    return hashlib.sha256(b"".join([main, *external.digests])).hexdigest()


def _is_external(tensor: onnx.TensorProto) -> bool:
    return tensor.data_location == onnx.TensorProto.EXTERNAL


def _part(place: int, tensor: onnx.TensorProto, label: str) -> _Part:
    subject = f"{label}, tensor {tensor.name!r}"
    keys = [entry.key for entry in tensor.external_data]
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if not _KEYS.issuperset(keys) or len(keys) != len(entries) or "location" not in entries:
        raise ModelError(
            subject,
            "it does not say properly where its numbers are",
            expected="a location, and at most one each of offset, length and checksum",
            found=", ".join(keys)[:200] or "nothing",
        )
    location = entries["location"]
    if not location or location in {".", ".."} or set(location) & set("/\\\0:"):
        raise ModelError(
            subject,
            "its numbers are in a file that it may not name",
            expected="the plain name of a file in the model's own folder",
            found=repr(location[:200]),
            remedy="Save the model with its data in one file beside it: onnx.save_model(..., location='net.data').",
        )
    length = _bytes_of(tensor, subject)
    if "length" in entries:
        _check_length(_number(entries["length"], "length", subject), length, subject)
    return _Part(place, tensor, location, _number(entries.get("offset", "0"), "offset", subject), length, subject)


def _number(text: str, what: str, subject: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ModelError(subject, f"its {what} is none", expected="up to 18 decimal digits", found=repr(text[:50]))
    return int(text)


def _bytes_of(tensor: onnx.TensorProto, subject: str) -> int:
    """What shape and element type say."""
    unfit = ModelError(
        subject,
        "it cannot lie in a data file",
        expected=f"at most {_MOST_AXES} axes of lengths from 0, elements of a fixed size",
        found=f"shape {list(tensor.dims)[:8]}, element type {tensor.data_type}",
    )
    try:
        bits = int(8 * ir.DataType(tensor.data_type).itemsize)
    except (ValueError, TypeError) as error:  # no such type; one whose elements have no fixed size
        raise unfit from error
    if min(tensor.dims, default=0) < 0 or len(tensor.dims) > _MOST_AXES:
        raise unfit
    return -(-math.prod(tensor.dims) * bits // 8)


def _check_length(length: int, expected: int, subject: str) -> None:
    if length != expected:
        raise ModelError(
            subject,
            "its length does not fit its shape and element type",
            expected=f"{expected} bytes",
            found=str(length),
        )


@contextlib.contextmanager
def _opened(folder: Path, name: str, label: str) -> Iterator[tuple[BinaryIO, DataFile]]:
    """A regular file of one name in a folder; neither a link nor a pipe is waited for or followed."""
    subject = f"{label}, data file {name!r}"
    try:
        handle = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: a name that cannot be one of a file
        found = getattr(error, "strerror", None) or str(error)
        raise ModelError(
            subject, "it cannot be opened", expected="a file in the model's folder, no link", found=found
        ) from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(handle)
        found = f"{status.st_nlink} names" if stat.S_ISREG(status.st_mode) else "something else"
        raise ModelError(subject, "it is not used", expected="a regular file with one name", found=found)
    with os.fdopen(handle, "rb", buffering=0) as file:
        yield file, DataFile(folder / name, status.st_size, status.st_mtime_ns)


def _read(file: BinaryIO, part: _Part, size: int) -> tuple[Array, bytes]:
    if part.offset + part.length > size:
        raise ModelError(
            part.subject,
            f"data file {part.location!r} is too short",
            expected=f"{part.offset + part.length} bytes",
            found=str(size),
        )
    raw = np.empty(part.length, np.uint8)
    file.seek(part.offset)
    with HashedReader(file) as source:
        if source.fill(raw) != part.length:
            raise ModelError(part.subject, f"data file {part.location!r} changed while it was read")
        raw.flags.writeable = False
        return raw, source.digest()


def _take(part: _Part, raw: Array, numbers: dict[int, Array], initializers: int, least: int) -> None:
    part.tensor.ClearField("data_location")
    part.tensor.ClearField("external_data")
    if part.place < initializers and part.length >= least:
        numbers[part.place] = raw
    else:
        part.tensor.raw_data = raw.tobytes()
