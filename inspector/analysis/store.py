"""Summaries to bytes and back, derived from their fields: an `.npz` archive without pickles.

`header` holds the format's version and, by analysis, its failure and why each of its taps gives nothing (empty: it
does); every other entry is one field of one summary, named `<analysis index>/<tap index>/<field>[.<field>…]`. What run
they are of is said by the file around it: `inspector/analysis/sums.py`.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import typing
import zipfile
from collections.abc import Mapping
from typing import Any, Final, cast

import numpy as np

from inspector.analysis.plan import Plan
from inspector.analysis.run import Totals
from inspector.contract import Array, Measured, Summary
from inspector.errors import SummaryError
from inspector.report import Failure

FORMAT: Final = 3
MAX_BYTES: Final = 1 << 30
"""Largest archive that is read, counted after decompression."""
MAX_ENTRIES: Final = 200_000
"""Fields that an archive may have."""
_KINDS: Final = "biufU"
"""Kinds of arrays in a summary: no complex numbers, no dates."""
_ENTRY: Final = b"PK\x01\x02"  # begins an entry of a zip file's directory


def to_bytes(plan: Plan, totals: Totals) -> bytes:
    """The summaries of a run, and what failed or gave nothing."""
    arrays: dict[str, Array] = {}
    for index, entry in enumerate(plan.entries):
        for number, watch in enumerate(entry.watches):
            if watch.tap in totals.summaries[index]:
                arrays |= _fields(f"{index}/{number}", totals.summaries[index][watch.tap])
    entries = [
        {
            "failure": dataclasses.asdict(failure) if failure else None,
            "nothing": [nothing.get(watch.tap, "") for watch in entry.watches],
        }
        for entry, failure, nothing in zip(plan.entries, totals.failures, totals.nothing, strict=True)
    ]
    header = json.dumps({"format": FORMAT, "entries": entries})
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, header=np.array(header), **arrays)
    return buffer.getvalue()


def from_bytes(plan: Plan, data: bytes, most: int = MAX_BYTES) -> Totals:
    """The summaries of a run of the same plan; `most` bytes are unpacked.

    Raises:
        SummaryError: not such an archive, larger than that, or of another plan.
    """
    arrays = _read(data, most)
    header = _header(arrays)
    totals = Totals(plan)
    for index, entry in enumerate(plan.entries):
        totals.failures[index] = _failure(header, index) or totals.failures[index]
        for number, watch in enumerate(entry.watches):
            kind = cast("Measured[Summary, Any]", entry.analysis).summary
            prefix = f"{index}/{number}"
            if reason := _reason(header, index, number):
                totals.nothing[index][watch.tap] = reason
            if any(f"{prefix}/{name}" in arrays for name in _names(kind)):
                totals.summaries[index][watch.tap] = _summary(kind, prefix + "/", arrays)
    return totals


def _names(kind: type[Summary]) -> list[str]:
    """Names of the entries of a summary."""
    hints = typing.get_type_hints(kind)
    inner = {f.name: hints[f.name] for f in dataclasses.fields(kind)}
    return [
        full
        for name, hint in inner.items()
        for full in (
            [f"{name}.{below}" for below in _names(hint)]
            if isinstance(hint, type) and issubclass(hint, Summary)
            else [name]
        )
    ]


def _failure(header: Mapping[str, Any], index: int) -> Failure | None:
    try:
        found = header["entries"][index]["failure"]
        return None if found is None else Failure(*(str(found[name]) for name in ("kind", "message", "remedy")))
    except (KeyError, IndexError, TypeError) as error:
        raise SummaryError("summaries", "their header is not whole", expected="a failure or none") from error


def _reason(header: Mapping[str, Any], index: int, number: int) -> str:
    try:
        return str(header["entries"][index]["nothing"][number])
    except (KeyError, IndexError, TypeError) as error:
        raise SummaryError("summaries", "their header is not whole", expected="a text for every tap") from error


def _fields(prefix: str, summary: Summary, separator: str = "/") -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for field in dataclasses.fields(summary):
        value, key = getattr(summary, field.name), f"{prefix}{separator}{field.name}"
        arrays |= _fields(key, value, ".") if isinstance(value, Summary) else {key: np.asarray(value)}
    return arrays


def _summary(kind: type[Summary], prefix: str, arrays: Mapping[str, Array]) -> Summary:
    hints = typing.get_type_hints(kind)
    values = {f.name: _value(hints[f.name], prefix + f.name, arrays) for f in dataclasses.fields(kind)}
    return kind(**values)


def _value(hint: Any, key: str, arrays: Mapping[str, Array]) -> Array | Summary:
    if isinstance(hint, type) and issubclass(hint, Summary):
        return _summary(hint, key + ".", arrays)
    if key not in arrays:
        raise SummaryError("summaries", "a field is missing", expected=key)
    if arrays[key].dtype.kind not in _KINDS:
        raise SummaryError(
            "summaries", f"{key} is of another kind", expected="numbers, or texts", found=str(arrays[key].dtype)
        )
    return arrays[key]


def _read(data: bytes, most: int) -> dict[str, Array]:
    try:
        if (entries := data.count(_ENTRY)) > MAX_ENTRIES:
            raise _too_large(f"{MAX_ENTRIES} fields", f"{entries} fields")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(i.file_size for i in archive.infolist())
            if size > most:
                raise _too_large(f"{most} bytes", f"{size} bytes")
            return {info.filename.removesuffix(".npy"): _array(archive, info) for info in archive.infolist()}
    except SummaryError:
        raise
    except Exception as error:  # zip and NumPy raise a dozen unrelated types on damaged bytes
        raise SummaryError(
            "summaries",
            "they cannot be read",
            expected="an archive written by the inspector",
            found=f"{len(data)} bytes ({type(error).__name__}: {error})",
        ) from error


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    """One entry; its announced size is checked before memory is taken."""
    with archive.open(info) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{info.filename} is no array of format 1.0")
        shape, in_columns, dtype = np.lib.format.read_array_header_1_0(file)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or size != info.file_size - file.tell():
            raise ValueError(f"{info.filename} is not as large as it says, or holds objects")
        found = np.frombuffer(bytearray(file.read(size)), dtype, math.prod(shape))  # a bytearray: may be written to
    return found.reshape(shape, order="F" if in_columns else "C")


def _too_large(expected: str, found: str) -> SummaryError:
    return SummaryError("summaries", "they are too large", expected=f"at most {expected}", found=found)


def _header(arrays: Mapping[str, Array]) -> dict[str, Any]:
    try:
        header = json.loads(str(arrays["header"]))
    except (KeyError, ValueError, RecursionError) as error:
        raise SummaryError("summaries", "they have no header", expected="format and analyses") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise SummaryError(
            "summaries", "their format is not known", expected=f"format {FORMAT}", found=str(header)[:80]
        )
    return header
