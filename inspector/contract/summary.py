"""What an analysis remembers of many inputs: frozen values that add up.

A summary is a frozen dataclass whose every field says how it merges:

    @dataclass(frozen=True)
    class Peak(Summary):
        images: Sum          # int64 ()
        peak: Max            # float32 (C,)

`+` is derived from that. The law, tested for every plugin: for any split of the data, adding the parts' summaries
gives the summary of the whole. Counts are int64; spread is (n, mean, M2) as in `Moments`.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Hashable, Mapping
from functools import cache
from typing import Annotated, Any, Self

import numpy as np

from inspector.contract.model import Array
from inspector.errors import PluginError, SummaryError

Merge = Callable[[Any, Any], Any]


def _same(a: Array, b: Array) -> Array:
    if not np.array_equal(a, b):
        raise SummaryError(
            "summary",
            "a field that must agree differs between the two sides",
            expected=str(a),
            found=str(b),
            remedy="Only add summaries of one model and plan.",
        )
    return a


Sum = Annotated[Array, np.add]
"""Adds. For counts: int64."""
Max = Annotated[Array, np.fmax]
"""Elementwise maximum; a NaN loses against a number."""
Min = Annotated[Array, np.fmin]
"""Elementwise minimum; a NaN loses against a number."""
Any_ = Annotated[Array, np.logical_or]
"""True where either side is True."""
Same = Annotated[Array, _same]
"""A fact of the plan, equal on both sides; anything else is an error."""


@dataclasses.dataclass(frozen=True, eq=False)
class Summary:
    """Base of all summaries: supplies `+`. Subclasses are frozen dataclasses of merging fields or other summaries."""

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        merges = merges_of(type(self))
        return type(self)(**{n: m(getattr(self, n), getattr(other, n)) for n, m in merges.items()})


def merges_of(kind: type[Summary]) -> Mapping[str, Merge]:
    """Field name -> function of two values, read from the annotations of a summary class.

    Raises:
        PluginError: a field does not say how it merges.
    """
    return _merges(typing.cast("Hashable", kind))


@cache
def _merges(kind: Any) -> Mapping[str, Merge]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {f.name: _merge_of(kind, f.name, hints[f.name]) for f in dataclasses.fields(kind)}


def _merge_of(kind: type, name: str, hint: Any) -> Merge:
    if isinstance(hint, type) and issubclass(hint, Summary):
        return lambda a, b: a + b
    if typing.get_origin(hint) is Annotated:
        return typing.cast("Merge", hint.__metadata__[0])
    raise PluginError(
        f"{kind.__name__}.{name}",
        "it does not say how it merges",
        expected="Sum, Max, Min, Any_, Same or another Summary",
        found=str(hint),
        remedy=f"Plugin author: write `{name}: Sum`, or whichever is meant.",
    )


def check_shapes(a: Summary, b: Summary) -> None:
    """Raises SummaryError where fields that merge element by element have different shapes.

    Stored summaries may hold anything; arrays that stretch to each other's shape could take any amount of memory.
    """
    own_way = type(a).__add__ is not Summary.__add__
    for name, merge in () if own_way else merges_of(type(a)).items():
        x, y = getattr(a, name), getattr(b, name)
        if isinstance(x, Summary):
            check_shapes(x, y)
        elif isinstance(merge, np.ufunc) and np.shape(x) != np.shape(y):
            raise SummaryError(
                f"summary field {name!r}",
                "its two sides have different shapes",
                expected=str(np.shape(x)),
                found=str(np.shape(y)),
                remedy="Only add summaries that the inspector wrote.",
            )
