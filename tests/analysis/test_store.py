"""Summaries as bytes: what comes back is what went in, and nothing else is let in."""

from __future__ import annotations

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


@pytest.mark.parametrize("analyses", [["sparsity:near=0.5"], ["sparsity:taps=conv1"], ["activations"]])
def test_summaries_of_another_plan_are_refused(analyses: list[str]) -> None:
    with pytest.raises(SummaryError, match="another model, analysis or parameters"):
        from_bytes(make_plan(VIEW, analyses, allow_maps=True), DATA)


def test_summaries_of_another_model_are_refused() -> None:
    other = make_plan(service.load(SAMPLES[1].model), ["sparsity"], allow_maps=False)
    with pytest.raises(SummaryError, match="another model"):
        from_bytes(other, DATA)


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


def test_an_archive_that_would_unpack_to_too_much_is_refused_before_it_is_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inspector.analysis.store.MAX_BYTES", 1 << 20)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.npy", bytes(2 << 20))
    with pytest.raises(SummaryError, match="too large"):
        from_bytes(PLAN, buffer.getvalue())
