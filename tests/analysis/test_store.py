"""Summaries as bytes: what comes back is what went in, and nothing else is let in."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector import ByLabel, Earliest, First, Histogram, Max, Moments, Summary, service
from inspector.analysis.groups import Groups
from inspector.analysis.plan import Plan, make_plan
from inspector.analysis.run import Totals, conclude
from inspector.analysis.runner import Setting
from inspector.analysis.store import FORMAT, MAX_BYTES, _fields, _read, _summary, from_bytes, to_bytes
from inspector.control import Stop
from inspector.errors import SummaryError
from inspector.report import Failure
from inspector.samples import SAMPLES

VIEW = service.load(SAMPLES[0].model)
INPUTS = np.random.default_rng(1).uniform(0, 1, (6, 1, 16, 16)).astype(np.float32)


def counted(plan: Plan, inputs: np.ndarray) -> Totals:
    setting = Setting(preprocess="", device="cpu", fidelity="fast", batch_size=4, watch=lambda _: None, stop=Stop())
    groups = Groups(plan)
    for rows, batch in setting.observer(VIEW, plan.requests)(setting.feed(VIEW, inputs).batches(4)):
        groups.add(rows, batch)
    return groups.finish()


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


@pytest.mark.parametrize("count", [1 << 50, 7])
def test_an_array_that_claims_more_or_less_than_there_is_takes_no_memory(count: int) -> None:
    head = io.BytesIO()
    claim = {"descr": "<f8", "fortran_order": False, "shape": (count,)}
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


def test_of_two_failures_and_of_two_reasons_the_first_counts() -> None:
    tap, joined = PLAN.entries[0].watches[0].tap, Totals(PLAN)
    for word in ("first", "second"):
        part = Totals(PLAN)
        part.nothing[0][tap] = word
        joined.join(part)
    assert joined.nothing[0] == {tap: "first"}
    for word in ("first", "second"):
        part = Totals(PLAN)
        part.failures[0] = Failure("PLUGIN_FAILED", word, "")
        joined.join(part)
    assert joined.failures[0] == Failure("PLUGIN_FAILED", "first", "")


@dataclass(frozen=True, eq=False)
class Everything(Summary):
    """One field of every kind, those with entries by the number of values or with text among them."""

    peak: Max
    spread: Moments
    shape: Histogram
    classes: ByLabel
    broken: Earliest
    first: First

    @classmethod
    def of(cls, values: np.ndarray) -> Everything:
        ids, valid = tuple(f"bild/ä{i}" for i in range(len(values))), np.isfinite(values)
        return cls(
            values.max(0),
            Moments.of(values, valid),
            Histogram.of(values, valid),
            ByLabel.of(9, ["cat", None, "größe"][: len(ids)], values),
            Earliest.of(0, ids, ~valid),
            First.of(2, 0, ids, values),
        )


@pytest.mark.parametrize("count", [1, 3])
def test_summaries_with_sparse_fields_and_texts_come_back_as_they_were(count: int) -> None:
    """As the summary of the one tap of a plan."""
    values = np.array([[1.0, np.nan], [np.inf, -2.0], [0.5, 0.0]])[:count]
    summary = Everything.of(values)
    with np.load(io.BytesIO(_archive(_fields("0/0", summary))), allow_pickle=False) as loaded:
        arrays = dict(loaded)
    back = _summary(Everything, "0/0/", arrays)
    assert _archive(_fields("0/0", back)) == _archive(_fields("0/0", summary))
    assert isinstance(back, Everything)
    assert back.broken.ids.tolist() == summary.broken.ids.tolist()
    assert back.classes.labels.tolist() == summary.classes.labels.tolist()


def _archive(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def test_a_sparse_field_that_was_cut_is_refused() -> None:
    arrays = _fields("0/0", Everything.of(np.ones((1, 2))))
    with pytest.raises(SummaryError, match="do not fit"):
        _summary(Everything, "0/0/", arrays | {"0/0/shape.counts": np.zeros(0, np.int64)})


@pytest.mark.parametrize("kind", ["complex128", "datetime64[s]", "timedelta64[s]", "S8"])
def test_a_field_that_is_neither_numbers_nor_texts_is_refused(kind: str) -> None:
    with np.load(io.BytesIO(DATA), allow_pickle=False) as loaded:
        arrays = dict(loaded)
    key = "0/0/zeros"
    with pytest.raises(SummaryError, match=f"{key} is of another kind; expected numbers, or texts"):
        from_bytes(PLAN, _archive(arrays | {key: arrays[key].astype(kind)}))


def test_an_array_by_columns_comes_back_as_it_was_and_may_be_written_to() -> None:
    x = np.arange(6.0).reshape(2, 3)
    back = _read(_archive({"x": np.asfortranarray(x)}), MAX_BYTES)["x"]
    np.testing.assert_array_equal(back, x)
    back += 1


@pytest.mark.parametrize("header", [f'{{"format": {FORMAT - 1}, "entries": []}}', '{"entries": []}', "[]"])
def test_summaries_of_another_format_are_refused(header: str) -> None:
    with pytest.raises(SummaryError, match=f"their format is not known; expected format {FORMAT}"):
        from_bytes(PLAN, _archive({"header": np.array(header)}))
