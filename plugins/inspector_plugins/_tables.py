"""What the tables of these plugins have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from inspector import Array, Table

_ALWAYS: Final = 5
"""Leading columns of a table of layers that are there even when no tap has such a number."""


def without_empty(table: Table) -> Table:
    """The table without the columns that have a number in no row."""
    kept = [i for i in range(len(table.columns)) if i < _ALWAYS or any(row[i] is not None for row in table.rows)]
    columns = tuple(table.columns[i] for i in kept)
    rows = tuple(tuple(row[i] for i in kept) for row in table.rows)
    return replace(table, columns=columns, rows=rows)


def number(value: Any) -> float | None:
    """A cell; a dash for what is not finite."""
    return float(value) if np.isfinite(value) else None


def numbers(values: Array) -> list[float | None]:
    """A cell for each of some values (n,)."""
    return [value if finite else None for value, finite in zip(values.tolist(), np.isfinite(values), strict=True)]


def verdicts(flags: Mapping[str, Array]) -> list[str]:
    """What is special about each channel, in words; `flags` says of which channels (C,) each word is true."""
    words: list[list[str]] = [[] for _ in next(iter(flags.values()))]
    for word, flag in flags.items():
        for channel in np.flatnonzero(flag):
            words[channel].append(word)
    return [", ".join(found) for found in words]


def mean_of(values: Array) -> float | None:
    """The mean of the values that are finite; a dash where none is."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else None
