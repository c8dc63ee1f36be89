"""Numbers as text: short, honest, aligned; ticks round, labels apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.render import numbers
from inspector.render.numbers import DASH, brief, cell, column, is_numeric, number, thinned, tick_texts, ticks


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (7, "7"),
        (np.int64(4096), "4096"),
        (12345678, "12,345,678"),
        (0.12345, "0.1235"),
        (123.456, "123.5"),
        (0.5, "0.5"),
        (1e-7, "1e-7"),
        (-1.5e9, "-1.5e9"),
        (math.nan, "NaN"),
        (-math.inf, "-Inf"),
        (np.float32(0.1), "0.1"),
    ],
)
def test_a_number_is_short(value, text):
    assert number(value) == text


@given(st.floats(-100, 100).filter(lambda v: abs(v - round(v)) > 1e-6))
def test_a_fraction_never_looks_like_a_whole_number(value):
    assert "." in number(value) or "e-" in number(value)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
def test_a_number_keeps_four_digits(value):
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=5.1e-4, abs=1e-320)


def test_a_brief_number_has_three_digits():
    assert [brief(v) for v in (0.99987, 1.23456, 1234.5, -0.05)] == ["1", "1.23", "1230", "-0.05"]


def test_cells_that_are_no_numbers_have_words():
    assert [cell(v) for v in (None, True, False, "text")] == [DASH, "yes", "no", "text"]


def test_fractions_of_a_column_share_their_decimals():
    assert column([0.5, 0.25, None, 12.375, 3]) == ["0.50", "0.25", DASH, "12.38", "3"]


def test_a_column_tells_nearly_all_from_all():
    assert column([1.0, 0.99999]) == ["1.00000", "0.99999"]


def test_a_column_of_very_different_sizes_keeps_each_number_readable():
    assert column([1e-9, 1.0, 5e7]) == ["1e-9", "1", "5e7"]


def test_a_long_column_looks_at_every_number_a_few_times_only(monkeypatch):
    looked, places = [], numbers._places
    monkeypatch.setattr(numbers, "_places", lambda value: looked.append(value) or places(value))
    column([at / 4 for at in range(1000)])
    assert len(looked) <= 2 * 1000


def test_only_columns_of_numbers_are_numeric():
    assert is_numeric([1, 2.5, None])
    assert not is_numeric([None, None])
    assert not is_numeric([True, False])
    assert not is_numeric(["1", 2])


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 12))
def test_ticks_are_round_and_even_and_within_the_axis(low, span, most):
    high = low + span
    found = ticks(low, high, most)
    assert len(found) <= most
    assert all(low - 1e-6 * span <= t <= high + 1e-6 * span for t in found)
    if len(found) > 1:
        step = found[1] - found[0]
        mantissa = step / 10 ** math.floor(math.log10(step) + 1e-6)
        assert min(abs(mantissa - m) for m in (1, 2, 5)) < 1e-3
        np.testing.assert_allclose(np.diff(found), step, rtol=1e-3)


@given(st.floats(-1e9, 1e9), st.floats(1e-4, 1e9), st.integers(2, 12))
def test_tick_texts_tell_the_ticks_apart_and_are_exact(low, span, most):
    found = ticks(low, low + span, most)
    texts = [float(text.replace(",", "")) for text in tick_texts(found)]
    step = found[1] - found[0] if len(found) > 1 else span
    np.testing.assert_allclose(texts, found, rtol=0 if len(found) > 1 else 1e-3, atol=step / 50)


def test_tick_texts_have_the_decimals_of_their_step():
    assert tick_texts([0.0, 0.5, 1.0]) == ["0.0", "0.5", "1.0"]
    assert tick_texts([0.9991, 0.99915, 0.9992]) == ["0.99910", "0.99915", "0.99920"]
    assert tick_texts([0.0, 10000.0]) == ["0", "10,000"]
    assert tick_texts([0.0, 2e-10, 4e-10]) == ["0", "2e-10", "4e-10"]


def test_an_axis_of_no_length_has_one_tick_and_one_without_numbers_none():
    assert ticks(3.0, 3.0, 5) == [3.0]
    assert ticks(math.nan, 1.0, 5) == []


@given(st.integers(0, 10**6), st.floats(0.001, 100), st.floats(1, 400))
def test_thinned_labels_never_touch_and_are_no_rarer_than_needed(count, pitch, extent):
    chosen = thinned(count, pitch, extent)
    step = chosen.step
    assert list(chosen[:1]) == [0][:count]
    assert step * pitch >= extent * (1 - 1e-9)
    assert step == 1 or step * pitch <= 2.5 * max(extent, pitch) * (1 + 1e-9)
    assert int(str(step).rstrip("0")) in {1, 2, 5}
