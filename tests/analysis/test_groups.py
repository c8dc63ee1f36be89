"""Rows added up in groups: every input once, in order, and the same groups whatever the batches were."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import ZOO

from inspector import service
from inspector.analysis import groups
from inspector.analysis.groups import Groups
from inspector.analysis.plan import Plan, make_plan
from inspector.analysis.run import Rows, Totals
from inspector.contract import BatchInfo
from inspector.contract.measures import TAPPED, Ops
from inspector.graph.instrument import Request

VIEW = service.load(ZOO["chain"].data)
PLAN = make_plan(VIEW, ["sparsity"], allow_maps=False)
A, B = Request("a", Ops().max(TAPPED)), Request("b", Ops().mean(TAPPED))
SHARD = 1000
"""Position of the first input."""


class Recorded(Totals):
    """Remembers what was added, instead of adding it."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.added: list[tuple[Rows, BatchInfo]] = []

    def add(self, rows: Rows, batch: BatchInfo) -> None:
        self.added.append((rows, batch))


@pytest.fixture(autouse=True)
def _recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "Totals", Recorded)


def batch(start: int, end: int, *, channels: int = 3, only: Sequence[Request] = (A, B)) -> tuple[Rows, BatchInfo]:
    """Inputs `start` to `end` of a shard; rows tell which input they are of."""
    number = np.arange(start, end, dtype=np.float32)
    rows = {request: np.stack([number] * channels, axis=1) + 0.5 * (request is B) for request in only}
    labels = tuple(f"l{i % 2}" for i in range(start, end))
    return rows, BatchInfo(tuple(f"i{i}" for i in range(start, end)), SHARD + start, labels)


def added(of: Groups) -> list[tuple[Rows, BatchInfo]]:
    totals = of.finish()
    assert isinstance(totals, Recorded)
    return totals.added


def split(count: int, cuts: Sequence[int]) -> list[tuple[Rows, BatchInfo]]:
    ends = sorted({0, count, *(c for c in cuts if c < count)})
    return [batch(a, b) for a, b in itertools.pairwise(ends)]


@given(st.integers(1, 700), st.lists(st.integers(1, 700), max_size=8))
def test_groups_are_the_same_whatever_the_batches_were(count: int, cuts: list[int]) -> None:
    of = Groups(PLAN)
    for rows, info in split(count, cuts):
        of.add(rows, info)
    found = added(of)
    assert [len(info.ids) for _, info in found] == [256] * (count // 256) + [count % 256] * bool(count % 256)
    for start, (rows, info) in zip(range(0, count, 256), found, strict=True):
        expected, about = batch(start, min(count, start + 256))
        assert info == about
        assert rows.keys() == expected.keys()
        assert all(np.array_equal(rows[r], expected[r]) and rows[r].dtype == expected[r].dtype for r in rows)


def test_a_group_has_no_more_inputs_than_its_rows_may_have_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST_BYTES", 100)
    of = Groups(PLAN)
    of.add(*batch(0, 9))  # 24 bytes an input
    assert [len(info.ids) for _, info in added(of)] == [4, 4, 1]
    of.add(*batch(9, 11, channels=100))  # more than that for one
    assert [len(info.ids) for _, info in added(of)] == [1, 1]


def test_rows_that_wait_keep_nothing_of_the_session_that_gave_them() -> None:
    """A runtime's results lie in the memory of their session, which is as large as the largest run of it."""
    of = Groups(PLAN)
    rows, info = batch(0, 5)
    given = weakref.ref(rows[A])
    of.add(rows, info)
    del rows
    assert given() is None
    assert len(added(of)) == 1


def test_every_shard_has_groups_of_its_own() -> None:
    of = Groups(PLAN)
    for _ in range(2):
        of.add(*batch(0, 5))
        assert [info.first for _, info in added(of)] == [SHARD]
    assert added(of) == []


@pytest.mark.parametrize("other", [batch(2, 4, only=[A]), batch(2, 4, channels=5)], ids=["requests", "channels"])
def test_a_group_ends_where_other_rows_begin(other: tuple[Rows, BatchInfo]) -> None:
    of = Groups(PLAN)
    for rows, info in (batch(0, 2), other, batch(4, 6), batch(6, 7)):
        of.add(rows, info)
    assert [info.ids for _, info in added(of)] == [("i0", "i1"), ("i2", "i3"), ("i4", "i5", "i6")]


def test_rows_that_are_not_one_for_each_input_are_in_no_group() -> None:
    rows, info = batch(2, 4)
    of = Groups(PLAN)
    of.add(*batch(0, 2))
    of.add({**rows, B: rows[B][:1]}, info)
    of.add(*batch(4, 5))
    assert [(info.ids, len(rows[B])) for rows, info in added(of)] == [
        (("i0", "i1"), 2),
        (("i2", "i3"), 1),
        (("i4",), 1),
    ]


def test_whole_maps_are_in_no_group() -> None:
    of = Groups(make_plan(VIEW, ["activations"], allow_maps=True))
    of.add(*batch(0, 2))
    of.add(*batch(2, 3))
    assert [info.ids for _, info in added(of)] == [("i0", "i1"), ("i2",)]


def test_batches_without_rows_are_passed_on() -> None:
    of = Groups(PLAN)
    of.add({}, batch(0, 2)[1])
    assert [info.ids for _, info in added(of)] == [("i0", "i1")]
