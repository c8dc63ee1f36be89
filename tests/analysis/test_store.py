"""Summaries as bytes: what comes back is what went in, and nothing else is let in."""

from __future__ import annotations

import dataclasses
import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector import service
from inspector.analysis.plan import Plan, make_plan
from inspector.analysis.run import Totals, conclude, fold
from inspector.analysis.runner import Setting
from inspector.analysis.store import from_bytes, to_bytes
from inspector.control import Stop
from inspector.errors import SummaryError
from inspector.report import Failure
from inspector.samples import SAMPLES

VIEW = service.load(SAMPLES[0].model)
INPUTS = np.random.default_rng(1).uniform(0, 1, (6, 1, 16, 16)).astype(np.float32)


def counted(plan: Plan, inputs: np.ndarray) -> Totals:
    setting = Setting("", "cpu", "fast", 4, lambda _: None, Stop())
    return fold(plan, setting.observer(VIEW, plan.requests)(setting.feed(VIEW, inputs).batches(4)))


PLAN = make_plan(VIEW, ["sparsity"], allow_maps=False)
TOTALS = counted(PLAN, INPUTS)
DATA = to_bytes(PLAN, TOTALS)


def test_summaries_come_back_as_they_were() -> None:
    back = from_bytes(PLAN, DATA)
    assert repr(conclude(VIEW, PLAN, back, None)) == repr(conclude(VIEW, PLAN, TOTALS, None))
    assert to_bytes(PLAN, back) == DATA


def test_summaries_of_halves_that_were_stored_add_up_to_the_whole() -> None:
    halves = [from_bytes(PLAN, to_bytes(PLAN, counted(PLAN, part))) for part in (INPUTS[:4], INPUTS[4:])]
    for tap, whole in TOTALS.summaries[0].items():
        added = halves[0].summaries[0][tap] + halves[1].summaries[0][tap]
        for name in ("inputs", "finite", "elements", "zeros", "active", "peak", "low"):
            np.testing.assert_array_equal(getattr(added, name), getattr(whole, name), err_msg=name)
        np.testing.assert_allclose(added.total, whole.total, rtol=1e-12)


def test_failures_and_taps_that_gave_nothing_come_back() -> None:
    totals = Totals(PLAN)
    tap = PLAN.entries[0].watches[1].tap
    totals.nothing[0][tap] = "no reason at all"
    totals.failures[0] = Failure("PLUGIN_FAILED", "it raised", "mend it")
    back = from_bytes(PLAN, to_bytes(PLAN, totals))
    assert (back.nothing, back.failures) == (totals.nothing, totals.failures)


@given(st.integers(0, len(DATA) - 1))
def test_summaries_cut_short_are_refused(end: int) -> None:
    with pytest.raises(SummaryError):
        from_bytes(PLAN, DATA[:end])


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(SummaryError):
        from_bytes(PLAN, data)


def test_a_pickle_is_never_opened() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(SummaryError):
        from_bytes(PLAN, buffer.getvalue())


def archive(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return buffer.getvalue()


def test_an_archive_that_would_unpack_to_too_much_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(SummaryError, match="too large"):
        from_bytes(PLAN, archive("header.npy", bytes(2 << 20)), 1 << 20)


def test_an_array_that_claims_more_than_there_is_takes_no_memory() -> None:
    head = io.BytesIO()
    claim = {"descr": "<f8", "fortran_order": False, "shape": (1 << 50,)}
    np.lib.format.write_array_header_1_0(head, claim)
    with pytest.raises(SummaryError, match="not as large as it says"):
        from_bytes(PLAN, archive("header.npy", head.getvalue() + bytes(64)))


def test_an_archive_of_very_many_entries_is_refused_before_its_directory_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inspector.analysis.store.MAX_ENTRIES", 10)
    with pytest.raises(SummaryError, match="at most 10 fields"):
        from_bytes(PLAN, DATA)


def test_summaries_of_other_shapes_are_not_stretched_to_fit() -> None:
    """Two small arrays, (n, 1) and (1, n), would add up to n x n."""
    (tap, whole), *_ = TOTALS.summaries[0].items()
    odd = Totals(PLAN)
    odd.summaries[0][tap] = dataclasses.replace(whole, zeros=np.zeros((len(whole.zeros), 1), np.int64))
    joined = Totals(PLAN)
    joined.join(TOTALS)
    joined.join(odd)
    assert joined.failures[0] is not None
    assert joined.failures[0].kind == "INVALID_SUMMARY"
    assert "'zeros'" in joined.failures[0].message
