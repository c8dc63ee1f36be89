"""Rows of several batches, added up together: calling an analysis costs more than what it does with a few rows."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

import numpy as np

from inspector.analysis.plan import Plan
from inspector.analysis.run import Rows, Totals
from inspector.contract import BatchInfo
from inspector.contract.measures import keeps_maps

MOST_INPUTS: Final = 256
MOST_BYTES: Final = 32 << 20
"""A group has at most so many inputs, and rows of about so many bytes."""


class Groups:
    """Adds up the rows of one shard at a time, in groups whose size does not depend on that of the batches.

    So sums are rounded alike whatever ran together. A group ends early with its shard, and where the next batch has
    rows of other requests or shapes. Whole maps, and rows that are not one for each input, are in no group.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan, self._totals = plan, Totals(plan)
        self._maps = any(keeps_maps(request.measure) for request in plan.requests)
        self._waiting: list[tuple[Rows, BatchInfo]] = []
        self._count, self._size = 0, 0
        self._kind: Hashable = None

    def add(self, rows: Rows, batch: BatchInfo) -> None:
        """The next batch; what it holds may be looked at later, so it may not be changed."""
        inputs = len(batch.ids)
        if self._maps or not rows or any(len(row) != inputs for row in rows.values()):
            self._join()
            self._totals.add(rows, batch)
            return
        kind = (bool(batch.labels), *((request, row.shape[1:], row.dtype) for request, row in rows.items()))
        if kind != self._kind:
            self._join()
            self._kind, self._size = kind, _group_size(sum(row.nbytes for row in rows.values()) // inputs)
        start = 0
        while start < inputs:
            end = min(inputs, start + self._size - self._count)
            self._waiting.append(_part(rows, batch, start, end))
            self._count += end - start
            if self._count == self._size:
                self._join()
            start = end

    def finish(self) -> Totals:
        """What was added since the last time."""
        self._join()
        found, self._totals = self._totals, Totals(self._plan)
        return found

    def _join(self) -> None:
        waiting, self._waiting, self._count = self._waiting, [], 0
        if not waiting:
            return
        parts, batches = zip(*waiting, strict=True)
        rows = {request: np.concatenate([part[request] for part in parts]) for request in parts[0]}
        ids = tuple(name for batch in batches for name in batch.ids)
        labels = tuple(label for batch in batches for label in batch.labels)
        self._totals.add(rows, BatchInfo(ids, batches[0].first, labels))


def _group_size(row_bytes: int) -> int:
    """A power of two, so that batches of usual sizes divide it."""
    size = MOST_INPUTS
    while size > 1 and size * row_bytes > MOST_BYTES:
        size //= 2
    return size


def _part(rows: Rows, batch: BatchInfo, start: int, end: int) -> tuple[Rows, BatchInfo]:
    """Copied: what a runtime gave lies in its session's memory, all of which it would keep when that is closed."""
    part = {request: row[start:end].copy() for request, row in rows.items()}
    return part, BatchInfo(batch.ids[start:end], batch.first + start, batch.labels[start:end])
