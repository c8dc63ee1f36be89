"""Matrices: cells, axes, and values with a meaning of their own."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from drawn import BOTH, CORNERS, UNIT, blocks, only, places, texts
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.contract import Heatmap, Scale, ScaleKind
from inspector.render.canvas import LABEL
from inspector.render.heatmap import _axes, _below, _beside
from inspector.render.lettering import height
from inspector.render.palette import HAIRLINE, LINES, MISSING, NOT_FINITE, SEQUENTIAL, SIGNED


def drawn(sheet, colour):
    """Whether a cell has that colour: more than the edges of letters have."""
    return bool((sheet == colour).all(axis=2).sum() > 500)


def test_nan_in_a_matrix_is_missing_where_the_block_says_so_and_else_looks_as_in_a_picture(written):
    values = np.array([[np.nan, 1.0]])
    sheet = only(Heatmap("t", values, UNIT, meanings=((np.nan, "no link"),)))
    assert [drawn(sheet, colour) for colour in (MISSING, NOT_FINITE)] == [True, False]
    assert "no link" in texts(written)
    assert "not a number (NaN)" not in texts(written)
    sheet = only(Heatmap("t", values, UNIT))
    assert [drawn(sheet, colour) for colour in (MISSING, NOT_FINITE)] == [False, True]
    assert "not a number (NaN)" in texts(written)


def test_a_value_with_a_meaning_has_a_colour_of_its_own_and_is_named_where_it_occurs(written):
    block = Heatmap("t", np.array([[0.9998, 1.0]]), UNIT, meanings=((1.0, "dead"), (0.0, "full")))
    sheet = only(block)
    assert len(places(sheet, blocks([[SEQUENTIAL[255], LINES[1]]], 36))) == 1
    assert "dead" in texts(written)
    assert "full" not in texts(written)


@pytest.mark.parametrize(("value", "marked"), [(1.0, True), (0.75, False)], ids=["among others", "by chance"])
def test_a_cell_of_several_is_marked_where_one_of_them_is_and_not_where_their_mean_is(written, value, marked):
    values = np.full((1, 3000), 0.5)
    values[0, :1000] = 1.0
    values[0, 1::2] = 0.5
    sheet = only(Heatmap("t", values, UNIT, meanings=((value, "dead"),)))
    assert drawn(sheet, LINES[1]) is marked is ("dead" in texts(written))


def test_a_row_or_column_whose_label_is_empty_has_no_tick():
    plain, bare = (only(Heatmap("t", CORNERS, BOTH, column_labels=labels)) for labels in (("0", "1"), ("", "")))
    assert (plain == HAIRLINE).all(axis=2).sum() > (bare == HAIRLINE).all(axis=2).sum()


def test_a_matrix_is_drawn_with_its_axes(written):
    sheet = only(Heatmap("Links", CORNERS, BOTH, "output", "input", ("o0", "o1"), ("i0", "i1"), "Caption."))
    white, red = SIGNED[127], SIGNED[254]
    assert len(places(sheet, blocks([[white, red], [red, white]], 36))) == 1
    assert {"Links", "Caption.", "output", "input", "o0", "o1", "i0", "i1", "-1", "0", "1"} <= texts(written)


def test_rows_and_columns_without_labels_are_numbered_from_0(written):
    only(Heatmap("t", np.zeros((3, 3)), Scale(ScaleKind.SEQUENTIAL, 5.0, 7.0)))
    assert [text for text, *_ in written if text in "0123"] == ["0", "1", "2", "0", "1", "2"]


def test_a_matrix_larger_than_the_sheet_is_averaged_and_says_so(written):
    only(Heatmap("t", np.broadcast_to(np.float32(1), (3, 5000)), UNIT))
    assert "Drawn smaller: 3 x 5000 values, a cell is the mean of 1 x 3." in texts(written)


@given(
    st.integers(1, 400),
    st.integers(1, 400),
    st.lists(st.text("abcW/", max_size=30), max_size=400),
    st.lists(st.text("abcW/", max_size=30), max_size=400),
)
@settings(max_examples=60, deadline=None)
def test_tick_labels_of_a_matrix_never_touch(rows, columns, row_labels, column_labels):
    values = np.broadcast_to(np.float32(0), (rows, columns))
    block = Heatmap("t", values, UNIT, row_labels=tuple(row_labels), column_labels=tuple(column_labels))
    down, across = _axes(block)
    assert all((b - a) * down.pitch >= height(LABEL) for a, b in pairwise(_beside(down)))
    below, turned = _below(across)
    for a, b in pairwise(below):
        room = (b - a) * across.pitch
        assert room >= (height(LABEL) if turned else across.widest([a]) / 2 + across.widest([b]) / 2)
