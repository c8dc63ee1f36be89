"""Whether inputs that share a run have the rows that each has alone, found out by running some of them alone."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np

from inspector.analysis.run import Rows
from inspector.contract import Array
from inspector.errors import RunError
from inspector.graph.instrument import Request

Feeds = Mapping[str, Array]
Run = Callable[[Feeds], Rows]


class Sharing(Enum):
    """What becomes of inputs that share a run."""

    APART = auto()
    """Each has the rows that it has alone."""
    MIXED = auto()
    """They change each other's rows, or there are as many rows as inputs by chance."""
    RANDOM = auto()
    """Not even one input has the same rows twice."""
    UNKNOWN = auto()
    """Not even one input could be run to tell."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a look found.

    Attributes:
        sharing: how inputs share a run.
        rows: what the run of all of them gave.
        scattered: requests of which a run of copies of one input gives rows that are not copies of each other.
        short: requests of which such a run gives fewer rows than copies.
    """

    sharing: Sharing
    rows: Rows
    scattered: frozenset[Request] = frozenset()
    short: frozenset[Request] = frozenset()


def look(run: Run, feeds: Feeds, *, copies: int, tolerance: float) -> Found:
    """Runs a batch, then its first input alone, one from its middle and its last.

    Where the first and the last are alike, mixing them might not show; then the same is done with another beside it.

    Args:
        run: rows of any number of inputs.
        feeds: the batch.
        copies: how many inputs a run always takes: an input alone is so many copies of it. 1 where it takes any number.
        tolerance: by which reals may differ, of the largest of an input's rows of the same tensor: kernels may add in
            another order.
    """
    found = _look(run, feeds, copies, tolerance)
    count = len(next(iter(feeds.values())))
    if found.sharing is Sharing.APART and count > 1 and all(np.array_equal(a[0], a[-1]) for a in feeds.values()):
        with contextlib.suppress(RunError):  # not every model takes any numbers
            other = _look(run, {name: two(array) for name, array in feeds.items()}, copies, tolerance)
            return replace(other, rows=found.rows)
    return found


def _look(run: Run, feeds: Feeds, copies: int, tolerance: float) -> Found:
    together, count = run(feeds), len(next(iter(feeds.values())))
    alone = [
        _Alone(place, copies, run(_only(feeds, place, copies)), tolerance)
        for place in sorted({0, count // 2, count - 1})
    ]
    requests = {**together, **alone[0].rows}
    scattered = frozenset(r for r in requests if any(one.is_scattered(r) for one in alone))
    short = frozenset(r for r in requests if any(r in one.rows and 0 < len(one.rows[r]) < copies for one in alone))
    if not scattered and all(_agree(r, together.get(r), count, alone) for r in requests):
        return Found(Sharing.APART, together, short=short)
    again = run(_only(feeds, 0, copies))
    if not all(alone[0].is_like(r, slice(None), again[r]) for r in again if r in alone[0].rows):
        return Found(Sharing.RANDOM, together, short=short)
    return Found(Sharing.MIXED, together, scattered, short)


def _only(feeds: Feeds, place: int, copies: int) -> dict[str, Array]:
    return {name: np.repeat(array[place : place + 1], copies, axis=0) for name, array in feeds.items()}


class _Alone:
    """What a run of one input of a batch gave, in so many copies."""

    def __init__(self, place: int, copies: int, rows: Rows, tolerance: float) -> None:
        self.place, self.copies, self.rows = place, copies, rows
        self._slack: defaultdict[str, float] = defaultdict(float)
        for request, row in rows.items():
            if is_real(row):
                self._slack[request.tensor] = max(self._slack[request.tensor], tolerance * magnitude(row))

    def has_one_each(self, request: Request) -> bool:
        """Whether there are as many rows as copies."""
        return request in self.rows and len(self.rows[request]) == self.copies

    def is_scattered(self, request: Request) -> bool:
        """Whether the copies of the input have different rows."""
        return self.has_one_each(request) and not all(
            self.is_like(request, slice(1), self.rows[request][i : i + 1]) for i in range(1, self.copies)
        )

    def is_like(self, request: Request, part: slice, others: Array) -> bool:
        """Whether these rows are equal up to rounding. A count may differ: a value can round across a threshold."""
        own = self.rows[request][part]
        return own.shape == others.shape and (not is_real(own) or _within(own, others, self._slack[request.tensor]))


def _agree(request: Request, together: Array | None, count: int, alone: list[_Alone]) -> bool:
    """Whether the rows are those of each input alone, or cannot be taken for rows of inputs at all."""
    if together is None or any(request not in one.rows for one in alone):
        return False  # a branch was taken in some of the runs
    if not all(one.has_one_each(request) for one in alone):
        return len(together) != count
    return len(together) == count and all(
        one.is_like(request, slice(1), together[one.place : one.place + 1]) for one in alone
    )


def is_real(array: Array) -> bool:
    """Floating-point numbers: those of NumPy, and bfloat16, which it takes for bytes."""
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"


def magnitude(array: Array) -> float:
    """The largest finite number of reals, whatever its sign."""
    return float(np.max(np.abs(array), initial=0, where=np.isfinite(array)))


def close(a: Array, b: Array, tolerance: float) -> bool:
    """Equal, reals up to rounding, to so much of the largest: batched kernels may add in another order."""
    if not is_real(a):
        return np.array_equal(a, b)
    return a.shape == b.shape and _within(a, b, tolerance * magnitude(a), tolerance)


def _within(a: Array, b: Array, slack: float, share: float = 0) -> bool:
    """NaN and infinities have to be in the same places."""
    wide = np.promote_types(a.dtype, np.float32)
    return bool(np.allclose(a.astype(wide), b.astype(wide), rtol=share, atol=slack, equal_nan=True))


def two(array: Array) -> Array:
    """The first and the last input of a batch; where they are alike, another one instead of the last."""
    one, last = array[:1], array[-1:]
    others = (last, np.flip(one / 2).astype(one.dtype), np.zeros_like(one), np.ones_like(one))
    return np.concatenate([one, next(x for x in others if not np.array_equal(x, one))])
