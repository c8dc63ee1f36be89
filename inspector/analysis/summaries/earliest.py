"""The first input for which something was true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from inspector.contract.model import Array
from inspector.contract.summary import Summary

_NEVER: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Earliest(Summary):
    """The first input of a data set, in its order, for which something was true, however the data is split.

    Attributes:
        positions: (C,) int64, or () for one answer per tap; position of that input, 2^63 - 1 where there is none.
        ids: of that shape, text: its name; empty where there is none.
    """

    positions: Array
    ids: Array

    @classmethod
    def of(cls, first: int, ids: tuple[str, ...], true: Array) -> Self:
        """From one batch, whose first input is at position `first` of the data set: `true` is (N, C) or (N,)."""
        found = true.any(0)
        row = true.argmax(0) if len(true) else np.zeros(true.shape[1:], np.int64)
        names = [ids[i] if some else "" for i, some in zip(row.flat, found.flat, strict=True)] if found.any() else [""]
        held = np.broadcast_to(np.array(names, np.str_), row.size)
        return cls(np.where(found, first + row, _NEVER).astype(np.int64), held.reshape(row.shape))

    def __add__(self, other: Self) -> Self:
        positions = np.minimum(self.positions, other.positions)
        if (positions == _NEVER).all():
            return self
        mine = self.positions <= other.positions
        ids = np.where(mine, self.ids, other.ids)
        narrow = np.array(ids.ravel().tolist(), np.str_).reshape(ids.shape)  # as wide as what is kept
        return type(self)(positions, narrow)

    @property
    def id(self) -> str:
        """The name of the first of all these inputs; empty where there is none."""
        return str(self.ids.ravel()[self.positions.argmin()]) if self.positions.size else ""
