"""Summaries that merge, each against its definition in plain Python, and against the law."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import random
import statistics
from collections import Counter, defaultdict
from fractions import Fraction
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inspector import ByLabel, Earliest, First, Histogram, Moments, Summary
from inspector.errors import LimitError, SummaryError

S = TypeVar("S", bound=Summary)
COUNT, CHANNELS = 12, 3
SHARES = (0.0, 0.01, 0.25, 0.5, 0.99, 1.0)
single = st.floats(width=32)
cuts = st.lists(st.integers(1, COUNT - 1), max_size=4)


def tables(elements: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    """(12, 3), float32 or float64."""
    flat = st.lists(elements, min_size=COUNT * CHANNELS, max_size=COUNT * CHANNELS)
    kinds = st.sampled_from([np.float32, np.float64])
    return st.builds(lambda v, kind: np.array(v, kind).reshape(COUNT, CHANNELS), flat, kinds)


masks = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).random((COUNT, CHANNELS)) < 0.8)


def edges(inner: list[int]) -> list[tuple[int, int]]:
    ends = sorted({0, COUNT, *inner})
    return list(itertools.pairwise(ends))


def joined(parts: list[S], chance: random.Random) -> S:
    """Added up in any order and grouping."""
    left = list(parts)
    while len(left) > 1:
        chance.shuffle(left)
        left.append(left.pop() + left.pop())
    return left[0]


def assert_equal(found: Summary, expected: Summary) -> None:
    for field in dataclasses.fields(expected):
        a, b = np.asarray(getattr(found, field.name)), np.asarray(getattr(expected, field.name))
        np.testing.assert_array_equal(a, b, strict=True, err_msg=field.name)


# ------------------------------------------------------------------------------------------------ Moments


@given(tables(st.floats(-1e6, 1e6, width=32)), masks)
def test_moments_are_those_of_exact_arithmetic(values: np.ndarray, valid: np.ndarray) -> None:
    found = Moments.of(values, valid)
    scale = float(np.abs(values).max())
    for c in range(CHANNELS):
        exact = [Fraction(float(v)) for v, ok in zip(values[:, c], valid[:, c], strict=True) if ok]
        assert found.count[c] == len(exact)
        mean = sum(exact) / len(exact) if exact else Fraction(0)
        assert found.mean[c] == pytest.approx(float(mean), rel=0, abs=1e-12 * scale)
        assert found.m2[c] == pytest.approx(float(sum((v - mean) ** 2 for v in exact)), rel=1e-9, abs=1e-12 * scale**2)
        if exact:
            assert found.variance[c] == pytest.approx(
                float(statistics.pvariance(exact)), rel=1e-9, abs=1e-12 * scale**2
            )
        else:
            assert math.isnan(found.variance[c])


@given(tables(st.floats(-1e6, 1e6, width=32)), masks, cuts, st.randoms(use_true_random=False))
def test_parts_of_moments_add_up_to_the_whole(
    values: np.ndarray, valid: np.ndarray, inner: list[int], chance: random.Random
) -> None:
    parts = [Moments.of(values[a:b], valid[a:b]) for a, b in edges(inner)]
    found, whole, scale = joined(parts, chance), Moments.of(values, valid), float(np.abs(values).max())
    np.testing.assert_array_equal(found.count, whole.count, strict=True)
    np.testing.assert_allclose(found.mean, whole.mean, rtol=1e-12, atol=1e-12 * scale)
    np.testing.assert_allclose(found.m2, whole.m2, rtol=1e-12, atol=1e-12 * scale**2)


@given(st.floats(-(2.0**99), 2.0**99, width=32), cuts)
@example(value=0.1, inner=[3])
def test_equal_values_have_no_spread_at_all_however_they_are_split(value: float, inner: list[int]) -> None:
    values, valid = np.full((COUNT, 1), value), np.ones((COUNT, 1), bool)
    found = functools.reduce(lambda a, b: a + b, [Moments.of(values[a:b], valid[a:b]) for a, b in edges(inner)])
    assert (found.mean[0], found.m2[0]) == (value, 0)


def test_a_spread_a_million_times_smaller_than_the_mean_keeps_its_digits() -> None:
    """Sums of squares in float64 would keep about four."""
    values = 1e6 + np.random.default_rng(0).normal(size=(1000, 1))
    valid = np.ones(values.shape, bool)
    found = functools.reduce(
        lambda a, b: a + b, [Moments.of(values[i : i + 7], valid[i : i + 7]) for i in range(0, 1000, 7)]
    )
    assert found.variance[0] == pytest.approx(float(statistics.pvariance(map(Fraction, values[:, 0]))), rel=1e-9)


# ------------------------------------------------------------------------------------------------ Histogram


@given(tables(single), masks, cuts, st.randoms(use_true_random=False))
def test_parts_of_a_histogram_add_up_to_the_whole_bit_for_bit_in_any_order(
    values: np.ndarray, valid: np.ndarray, inner: list[int], chance: random.Random
) -> None:
    parts = [Histogram.of(values[a:b], valid[a:b]) for a, b in edges(inner)]
    assert_equal(joined(parts, chance), Histogram.of(values, valid))


@given(tables(single), masks)
def test_a_histogram_counts_every_value_once_in_the_bucket_that_it_lies_in(
    values: np.ndarray, valid: np.ndarray
) -> None:
    found = Histogram.of(values, valid)
    assert (np.diff(found.cells) > 0).all()
    assert (found.counts > 0).all()
    for c in range(CHANNELS):
        kept = [float(v) for v, ok in zip(values[:, c], valid[:, c], strict=True) if ok]
        odd = [sum(map(math.isnan, kept)), kept.count(-math.inf), kept.count(math.inf)]
        assert found.odd[c].tolist() == odd
        assert found.count[c] == len(kept) - odd[0]
        own = found.cells // 2**14 == c
        assert Counter(bucket_of(v) for v in kept if math.isfinite(v)) == Counter(
            dict(zip((found.cells[own] % 2**14 - 2**13).tolist(), found.counts[own].tolist(), strict=True))
        )


def bucket_of(value: float) -> int:
    """From the definition: 32 equal parts of every power of two, from 2^-126 on; below, parts of the same size."""
    if value == 0:
        return 0
    mantissa, exponent = math.frexp(abs(value))  # 1/2 <= mantissa < 1
    octave = exponent - 1 + 127
    part = math.floor((2 * mantissa - 1) * 32) if octave >= 1 else math.floor(abs(value) * 2.0**126 * 32)
    return int(math.copysign(32 * max(octave, 0) + part + 1, value))


@given(tables(single), masks)
def test_quantiles_are_the_values_of_their_rank_to_a_64th(values: np.ndarray, valid: np.ndarray) -> None:
    found = Histogram.of(values, valid).quantiles(SHARES)
    for c in range(CHANNELS):
        kept = sorted(float(v) for v, ok in zip(values[:, c], valid[:, c], strict=True) if ok and not math.isnan(v))
        for q, share in enumerate(SHARES):
            if not kept:
                assert math.isnan(found[q, c])
                continue
            true = kept[max(1, math.ceil(Fraction(str(share)) * len(kept))) - 1]
            assert found[q, c] == pytest.approx(true, rel=1 / 64, abs=2.0**-132)
            assert (found[q, c] == 0) == (true == 0)


def test_quantiles_of_many_values_have_the_rank_that_is_said() -> None:
    """100 values 1 to 100: the hundredth part is the first, 7 % the seventh, although 0.07 * 100 is above 7."""
    values = np.random.default_rng(0).permutation(np.arange(1.0, 101.0))[:, None]
    found = Histogram.of(values, np.ones(values.shape, bool)).quantiles((0.01, 0.07, 0.5, 0.99))[:, 0]
    np.testing.assert_allclose(found, [1, 7, 50, 99], rtol=1 / 64)


def test_values_beyond_float32_count_in_the_last_bucket() -> None:
    values = np.array([[1e300], [-1e300], [3.4e38]])
    found = Histogram.of(values, np.ones((3, 1), bool))
    assert found.counts.tolist() == [1, 2]
    assert found.odd.tolist() == [[0, 0, 0]]


def test_a_histogram_whose_parts_do_not_fit_is_refused() -> None:
    good = Histogram.of(np.ones((2, 1)), np.ones((2, 1), bool))
    for change in ({"counts": good.counts[:0]}, {"cells": good.cells + 2**14}, {"odd": good.odd[0]}):
        with pytest.raises(SummaryError, match="do not fit"):
            dataclasses.replace(good, **change)


# ------------------------------------------------------------------------------------------------ Earliest


@given(masks, cuts, st.randoms(use_true_random=False))
def test_the_earliest_is_the_first_input_by_position_however_the_data_is_split(
    free: np.ndarray, inner: list[int], chance: random.Random
) -> None:
    true, ids = ~free, [f"{'x' * (i % 5)}{i}" for i in range(COUNT)]
    true[:, 0] = False
    parts = [Earliest.of(100 + a, tuple(ids[a:b]), true[a:b]) for a, b in edges(inner)]
    found = joined(parts, chance)
    assert_equal(found, Earliest.of(100, tuple(ids), true))
    for c in range(CHANNELS):
        first = next((i for i in range(COUNT) if true[i, c]), None)
        assert found.ids[c] == ("" if first is None else ids[first])
        assert found.positions[c] == (2**63 - 1 if first is None else 100 + first)
    assert found.id == next((ids[i] for i in range(COUNT) if true[i].any()), "")


def test_the_earliest_of_a_tap_is_one_answer() -> None:
    late, early = (Earliest.of(at, ("a", "b"), np.array([False, True])) for at in (8, 2))
    assert (int((late + early).positions), (late + early).id) == (3, "b")
    assert Earliest.of(0, ("a",), np.array([False])).id == ""


# ------------------------------------------------------------------------------------------------ ByLabel

LABELS = ("b", None, "a", "b", "", "a\0", None, "ü", "b", "a", "b", "a")


@given(tables(st.floats(-1e6, 1e6, width=32)), cuts, st.randoms(use_true_random=False))
def test_sums_by_class_are_those_of_the_rows_of_each_class(
    values: np.ndarray, inner: list[int], chance: random.Random
) -> None:
    found = joined([ByLabel.of(9, LABELS[a:b], values[a:b]) for a, b in edges(inner)], chance)
    rows: dict[str, list[np.ndarray]] = defaultdict(list)
    for label, row in zip(LABELS, values.astype(np.float64), strict=True):
        if label is not None:
            rows[label.strip("\0")].append(row)
    assert found.labels.tolist() == sorted(rows)
    assert found.inputs.tolist() == [len(rows[x]) for x in sorted(rows)]
    assert (int(found.unlabelled), found.labels.dtype, found.inputs.dtype) == (2, np.dtype("<U1"), np.dtype("int64"))
    expected = [sum(rows[x]) for x in sorted(rows)]
    np.testing.assert_allclose(found.sums, expected, rtol=1e-12, atol=1e-12 * COUNT * float(np.abs(values).max()))


def test_without_labels_every_input_is_unlabelled() -> None:
    found = ByLabel.of(5, (), np.ones((4, 2))) + ByLabel.of(5, (None,), np.ones((1, 2)))
    assert (int(found.unlabelled), found.labels.tolist(), found.sums.shape) == (5, [], (0, 2))


def test_a_row_that_is_not_finite_leaves_its_class_without_a_sum_there() -> None:
    values = np.array([[np.inf, 1], [-np.inf, 1], [1, 1]])
    found = ByLabel.of(5, ("a", "a", "b"), values)
    np.testing.assert_array_equal(found.sums, [[np.nan, 2], [1, 1]])


def test_too_many_classes_are_refused_in_one_part_and_in_many() -> None:
    said = r"too many classes; expected at most 2, found 3 so far"
    two, one = ByLabel.of(2, ("a", "b"), np.ones((2, 1))), ByLabel.of(2, ("c",), np.ones((1, 1)))
    with pytest.raises(LimitError, match=said):
        two + one
    with pytest.raises(LimitError, match=said):
        ByLabel.of(2, ("a", "b", "c"), np.ones((3, 1)))


def test_a_label_as_long_as_a_page_is_refused() -> None:
    with pytest.raises(LimitError, match="at most 256 characters, found 257"):
        ByLabel.of(2, ("a" * 257,), np.ones((1, 1)))


def test_parts_with_other_limits_are_refused() -> None:
    with pytest.raises(SummaryError, match="expected 2, found 3"):
        ByLabel.of(2, ("a",), np.ones((1, 1))) + ByLabel.of(3, ("a",), np.ones((1, 1)))


# ------------------------------------------------------------------------------------------------ First

SIZES = ((2, 3), (2, 3), (2, 1), (2, 5), (2, 0), (2, 3))


def maps_of(sizes: tuple[tuple[int, int], ...]) -> list[np.ndarray]:
    """One map per input, all of different numbers."""
    starts = itertools.accumulate((a * b for a, b in sizes), initial=0)
    return [np.arange(s, s + a * b, dtype=np.float32).reshape(a, b) for s, (a, b) in zip(starts, sizes, strict=False)]


@given(
    st.lists(st.sampled_from(SIZES), min_size=1, max_size=9).map(tuple),
    st.integers(0, 6),
    st.randoms(use_true_random=False),
)
def test_the_first_inputs_keep_their_own_shapes_in_any_order_and_grouping(
    sizes: tuple[tuple[int, int], ...], limit: int, chance: random.Random
) -> None:
    """Batches are of one size each; positions have gaps, as between parts that are read apart."""
    maps, ids = maps_of(sizes), [f"{'x' * i}{i}" for i in range(len(sizes))]
    batches = [list(group) for _, group in itertools.groupby(range(len(sizes)), key=lambda i: sizes[i])]
    parts = [First.of(limit, 7 * g[0], tuple(ids[i] for i in g), np.stack([maps[i] for i in g])) for g in batches]
    found, whole = joined(parts, chance), functools.reduce(lambda a, b: a + b, parts)
    assert_equal(found, whole)
    assert found.ids.tolist() == ids[:limit]
    assert len(found.values) == min(limit, len(sizes))
    for value, expected in zip(found.values, maps, strict=False):
        np.testing.assert_array_equal(value, expected, strict=True)


def test_first_inputs_whose_parts_do_not_fit_are_refused() -> None:
    good = First.of(5, 0, ("a", "b"), np.ones((2, 3), np.float32))
    huge, below = np.full((2, 1), 2**62, np.int64), np.array([[9], [-3]])
    for change in ({"flat": good.flat[1:]}, {"shapes": good.shapes[:1]}, {"shapes": huge}, {"ids": good.ids[:1]},
                   {"shapes": below}, {"shapes": good.shapes.astype(float)}, {"flat": good.flat[None]}):  # fmt: skip
        with pytest.raises(SummaryError, match="do not fit"):
            dataclasses.replace(good, **change)


def test_first_inputs_of_other_ranks_or_numbers_are_not_added() -> None:
    line = First.of(5, 0, ("a",), np.ones((1, 3)))
    with pytest.raises(SummaryError, match="different numbers of axes"):
        line + First.of(5, 1, ("b",), np.ones((1, 3, 2)))
    with pytest.raises(SummaryError, match="different numbers of inputs"):
        line + First.of(4, 1, ("b",), np.ones((1, 3)))


def test_first_inputs_without_any_take_rank_and_type_of_the_others() -> None:
    """Of a part whose inputs never reached the tap."""
    some, none = First.of(5, 0, ("a",), np.ones((1, 3), np.int8)), First.of(5, 9, (), np.ones((0, 2, 2)))
    for found in (some + none, none + some):
        assert_equal(found, some)
