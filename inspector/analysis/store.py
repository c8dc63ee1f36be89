"""Summaries to bytes and back, derived from their fields: an `.npz` archive without pickles.

`header` holds the format's version, the plan's digest and, by analysis and tap, why the tap gives nothing (empty: it
does); every other entry is one field of one summary, named `<analysis index>/<tap index>/<field>[.<field>…]`.
"""

from __future__ import annotations

import dataclasses
import io
import json
import typing
import zipfile
from collections.abc import Mapping
from typing import Any, Final, cast

import numpy as np

from inspector.analysis.plan import Plan
from inspector.analysis.run import Totals
from inspector.contract import Array, Measured, Summary
from inspector.errors import SummaryError

FORMAT: Final = 2
MAX_BYTES: Final = 1 << 30
"""Largest archive that is read, counted after decompression."""


def to_bytes(plan: Plan, totals: Totals) -> bytes:
    """The summaries of a run."""
    arrays: dict[str, Array] = {}
    for index, entry in enumerate(plan.entries):
        for number, watch in enumerate(entry.watches):
            if watch.tap in totals.summaries[index]:
                arrays |= _fields(f"{index}/{number}", totals.summaries[index][watch.tap])
    nothing = [
        [totals.nothing[index].get(watch.tap, "") for watch in entry.watches]
        for index, entry in enumerate(plan.entries)
    ]
    header = json.dumps({"format": FORMAT, "digest": plan.digest, "nothing": nothing})
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, header=np.array(header), **arrays)
    return buffer.getvalue()


def from_bytes(plan: Plan, data: bytes) -> Totals:
    """The summaries of a run of the same plan.

    Raises:
        SummaryError: not such an archive, or of another model, version, analysis or parameters.
    """
    arrays = _read(data)
    header = _header(arrays)
    if header.get("digest") != plan.digest:
        raise SummaryError(
            "summaries",
            "they belong to another model, analysis or parameters",
            expected=f"plan {plan.digest[:12]}",
            found=f"plan {str(header.get('digest'))[:12]}",
            remedy="Run with the model and parameters that made them.",
        )
    totals = Totals(plan)
    for index, entry in enumerate(plan.entries):
        for number, watch in enumerate(entry.watches):
            kind = cast("Measured[Summary, Any]", entry.analysis).summary
            prefix = f"{index}/{number}"
            if reason := _reason(header, index, number):
                totals.nothing[index][watch.tap] = reason
            if any(key.startswith(prefix + "/") for key in arrays):
                totals.summaries[index][watch.tap] = _summary(kind, prefix + "/", arrays)
    return totals


def _reason(header: Mapping[str, Any], index: int, number: int) -> str:
    try:
        return str(header["nothing"][index][number])
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
    return arrays[key]


def _read(data: bytes) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(i.file_size for i in archive.infolist())
        if size > MAX_BYTES:
            raise SummaryError("summaries", "they are too large", expected=f"{MAX_BYTES} bytes", found=f"{size} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as loaded:
            return {key: loaded[key] for key in loaded.files}
    except SummaryError:
        raise
    except Exception as error:  # zip and NumPy raise a dozen unrelated types on damaged bytes
        raise SummaryError(
            "summaries",
            "they cannot be read",
            expected="an archive written by the inspector",
            found=f"{len(data)} bytes ({type(error).__name__}: {error})",
        ) from error


def _header(arrays: Mapping[str, Array]) -> dict[str, Any]:
    try:
        header = json.loads(str(arrays["header"]))
    except (KeyError, ValueError) as error:
        raise SummaryError("summaries", "they have no header", expected="format and plan digest") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise SummaryError(
            "summaries", "their format is not known", expected=f"format {FORMAT}", found=str(header)[:80]
        )
    return header
