"""Whole pictures: what must be on them is on them, and nothing makes them large."""

from __future__ import annotations

import re

import numpy as np
import pytest
from drawn import BOTH, CORNERS, UNIT, blocks, has, only, places, sheets, texts

from inspector.contract import (
    Curve,
    Edge,
    Graph,
    Heatmap,
    Images,
    Node,
    Note,
    Picture,
    Scale,
    ScaleKind,
    Series,
    Table,
)
from inspector.errors import InspectorError, LimitError, PluginError
from inspector.render.canvas import LABEL, TEXT, TITLE, text_image
from inspector.render.palette import INK, LINES, MUTED, NOT_FINITE, SEQUENTIAL, deep
from inspector.render.pixels import MAX_PIXELS, MAX_SIDE
from inspector.render.sheet import block_png, block_pngs, is_drawn


def test_a_picture_is_enlarged_by_a_whole_factor_without_blending():
    sheet = only(Images("t", (Picture(CORNERS, "a"),), 1, UNIT))
    dark, bright = SEQUENTIAL[0], SEQUENTIAL[255]
    assert len(places(sheet, blocks([[dark, bright], [bright, dark]], 128))) == 1


def test_title_caption_labels_marks_and_the_scale_are_written(written):
    pictures = (Picture(CORNERS, "channel 7", "silent"), Picture(CORNERS, "channel 8"))
    only(Images("The title", pictures, 2, Scale(ScaleKind.SEQUENTIAL, 0.25, 4.75, "volts"), "The caption."))
    assert set(written) == {
        ("The title", TITLE, INK),
        ("The caption.", TEXT, MUTED),
        ("channel 7", LABEL, INK),
        ("channel 8", LABEL, INK),
        ("silent", LABEL, deep(LINES[1])),
        ("0.25", LABEL, INK),
        ("2.5", LABEL, INK),
        ("4.75", LABEL, INK),
        ("volts", LABEL, MUTED),
    }


def test_texts_are_on_the_sheet_letter_for_letter():
    sheet = only(Images("The title", (Picture(CORNERS),), 1, UNIT))
    line = np.asarray(text_image("The title", TITLE))
    rows, columns = (np.flatnonzero((line != 255).any(axis=(other, 2))) for other in (1, 0))
    assert len(places(sheet, line[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])) == 1


def test_only_a_marked_picture_has_a_coloured_frame():
    plain = only(Images("t", (Picture(CORNERS, "a"),), 1, UNIT))
    marked = only(Images("t", (Picture(CORNERS, "a", "silent"),), 1, UNIT))
    side = 2 * 128 + 6
    frame = np.broadcast_to(np.array(LINES[1], np.uint8), (3, side, 3))
    assert len(places(marked, frame)) == 2
    assert not has(plain, LINES[1])


def test_without_a_common_scale_the_numbers_are_under_every_picture(written):
    own = (
        Picture(CORNERS * 3, "a", scale=Scale(ScaleKind.SEQUENTIAL, 0.5, 3.0)),
        Picture(CORNERS, "b", scale=Scale(ScaleKind.SIGNED, -2.0, 2.0)),
        Picture(np.zeros((2, 2)), "c"),
        Picture(np.full((2, 2), np.nan), "d"),
    )
    only(Images("t", own, 4))
    assert {"0.5 … 3", "±2", "all 0", "no numbers"} < texts(written)


def test_pictures_of_a_grid_stand_left_to_right_then_down():
    shades = [tuple(SEQUENTIAL[i].tolist()) for i in (51, 102, 204)]
    pictures = tuple(Picture(np.full((1, 1), i / 255)) for i in (51, 102, 204))
    sheet = only(Images("t", pictures, 2, UNIT))
    corners = [places(sheet, blocks([[shade]], 256))[0] for shade in shades]
    assert corners[0][0] == corners[1][0] < corners[2][0]
    assert corners[0][1] == corners[2][1] < corners[1][1]


@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_what_is_not_finite_is_drawn_in_its_own_colour_and_named(strange, written):
    values = CORNERS.copy()
    values[0, 0] = strange
    sheet = only(Images("t", (Picture(values, "a"),), 1, UNIT))
    assert has(sheet, NOT_FINITE)
    assert f"not a number ({'NaN' if np.isnan(strange) else 'Inf'})" in texts(written)
    assert not has(only(Images("t", (Picture(CORNERS, "a"),), 1, UNIT)), NOT_FINITE)


def test_a_curve_has_round_ticks_names_and_a_legend(written):
    lines = (Series("first", (0.0, 10.0), (0.0, 1.0)), Series("second", (0.0, 10.0), (1.0, 0.0)))
    sheet = only(Curve("Loss", "step", "value", lines, "Caption."))
    assert {"Loss", "Caption.", "0.0", "0.2", "1.0", "0", "10", "step", "value", "first", "second"} <= texts(written)
    assert has(sheet, LINES[0])
    assert has(sheet, LINES[1])


def test_a_curve_goes_through_its_points():
    sheet = only(Curve("t", "x", "y", (Series("", (0.0, 1.0, 2.0), (0.0, 5.0, 0.0)),)))
    drawn = np.argwhere((sheet == LINES[0]).all(axis=2))
    top, ends = drawn[drawn[:, 0].argmin()], drawn[drawn[:, 0] > drawn[:, 0].max() - 2]
    assert top[1] == pytest.approx((drawn[:, 1].min() + drawn[:, 1].max()) / 2, abs=2)  # the peak is in the middle
    assert ends[:, 1].min() < top[1] - 370
    assert ends[:, 1].max() > top[1] + 370


def test_a_curve_says_where_it_has_gaps(written):
    line = Series("", (0.0, 1.0, 2.0, 3.0), (0.0, np.nan, 1.0, 1.0))
    only(Curve("t", "x", "y", (line,)))
    assert "Lines are interrupted where a value is not a finite number." in texts(written)


def test_a_long_line_keeps_its_peak():
    y = np.zeros(100_000)
    y[34_567] = 9.0
    sheet = only(Curve("t", "x", "y", (Series("", tuple(map(float, range(100_000))), tuple(y.tolist())),)))
    drawn = np.argwhere((sheet == LINES[0]).all(axis=2))
    assert np.ptp(drawn[:, 0]) > 370  # the plot is 420 high, less its margins


def test_a_graph_is_drawn_with_its_names_and_groups(written):
    nodes = (Node("a", "conv a", "one"), Node("b", "conv b", "two"), Node("c"))
    only(Graph("Net", nodes, (Edge("a", "b", 2.0, "skip"), Edge("b", "c")), "Caption."))
    heavy = "The thicker an arrow, the larger its weight."
    assert texts(written) == {"Net", "Caption.", "conv a", "conv b", "c", "one", "two", "skip", heavy}


def test_a_graph_says_which_edges_it_does_not_draw(written):
    only(Graph("t", (Node("a"), Node("b")), (Edge("a", "a"), Edge("a", "x"), Edge("a", "b"))))
    assert "Not drawn: 2 edges from a node to itself, or to no node of the graph." in texts(written)


def test_a_wide_graph_goes_on_below_and_repeats_where_it_was_cut(written):
    nodes = tuple(Node(f"node {i}") for i in range(40))
    sheet = only(Graph("t", nodes, tuple(Edge(f"node {i}", f"node {i + 1}") for i in range(39))))
    assert sheet.shape[1] < 1700
    assert [text for text, _, colour in written if colour == INK and text != "t"] == [node.name for node in nodes]
    repeated = [text for text, _, colour in written if colour == MUTED and text.startswith("node")]
    assert len(repeated) == len(set(repeated)) > 1


LONG = "an endless text " * 100_000
HOSTILE = {
    "one value": Images("t", (Picture(np.zeros((1, 1))),), 1, UNIT),
    "512 pictures": Images("t", tuple(Picture(np.full((13, 13), i), f"{i}") for i in range(512)), 16),
    "thin maps": Images("t", tuple(Picture(np.zeros((7, 300)), "a") for _ in range(9)), 4, UNIT),
    "thin the other way": Images("t", tuple(Picture(np.zeros((300, 7)), "a") for _ in range(9)), 4, UNIT),
    "constant": Images("t", (Picture(np.full((9, 9), 3.0)),), 1),
    "all nan": Images("t", (Picture(np.full((9, 9), np.nan)),), 1),
    "empty picture": Images("t", (Picture(np.zeros((0, 4))),), 1),
    "no pictures": Images("t", (), 3),
    "large picture": Images("t", (Picture(np.broadcast_to(np.float32(0), (3000, 5000))),), 1, UNIT),
    "large pictures": Images("t", (Picture(np.broadcast_to(np.float32(0), (900, 900))),) * 30, 1000, UNIT),
    "many pictures": Images("t", (Picture(np.zeros((2, 2))),) * 5000, 5000, UNIT),
    "negative columns": Images("t", (Picture(CORNERS),) * 3, -5, UNIT),
    "long texts": Images(LONG, (Picture(CORNERS, LONG, LONG, Scale(ScaleKind.SEQUENTIAL, 0, 1, LONG)),), 1, None, LONG),
    "one cell": Heatmap("t", np.zeros((1, 1)), UNIT),
    "1000 x 1000": Heatmap("t", np.random.default_rng(0).normal(size=(1000, 1000)), BOTH),
    "wide matrix": Heatmap("t", np.broadcast_to(np.float32(0), (1, 10**6)), UNIT, "r" * 99, "c" * 99),
    "no cells": Heatmap("t", np.zeros((0, 3)), UNIT),
    "infinite matrix": Heatmap("t", np.full((4, 4), np.inf), Scale(ScaleKind.SIGNED, np.nan, np.inf)),
    "long labels": Heatmap(LONG, np.zeros((30, 30)), UNIT, LONG, LONG, (LONG,) * 30, (LONG,) * 30, LONG),
    "no series": Curve("t", "x", "y", ()),
    "no points": Curve("t", "x", "y", (Series("a", (), ()),)),
    "one point": Curve("t", "x", "y", (Series("a", (1.0,), (1.0,)),)),
    "huge numbers": Curve(LONG, LONG, LONG, (Series(LONG, (-1.7e308, 1.7e308), (-1e308, 1e308)),)),
    "many lines": Curve("t", "x", "y", tuple(Series(f"{i}", (0.0, 1.0), (0.0, float(i))) for i in range(300))),
    "no nodes": Graph("t", (), ()),
    "nodes of one name": Graph("t", (Node("a"),) * 9, (Edge("a", "a"),)),
    "long chain": Graph(
        "t", tuple(Node(f"{i}") for i in range(900)), tuple(Edge(f"{i}", f"{i + 1}") for i in range(899))
    ),
    "long names": Graph(LONG, (Node(LONG, LONG, LONG), Node("b")), (Edge(LONG, "b", np.nan, LONG),), LONG),
}


@pytest.mark.parametrize("block", HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_is_drawn_is_bounded(block):
    for sheet in sheets(block):
        assert max(sheet.shape[:2]) <= MAX_SIDE
        assert sheet.shape[0] * sheet.shape[1] <= MAX_PIXELS
        assert (sheet != 255).any()


def test_pictures_that_do_not_fit_are_on_more_sheets_that_say_which(written):
    block = Images("t", tuple(Picture(np.full((13, 13), i), f"no. {i}") for i in range(512)), 16)
    first = block_png(block)
    (said,) = [text for text in texts(written) if text.startswith("Sheet 1 of ")]
    count = int(said.split()[-3])
    assert said.endswith(f": pictures no. 0 to no. {count - 1}, {count} of 512.")
    assert [text for text, *_ in written if text.startswith("no.")] == [f"no. {i}" for i in range(count)]
    written.clear()
    assert block_pngs(block)[0] == first
    assert [text for text, *_ in written if text.startswith("no.")] == [f"no. {i}" for i in range(512)]
    assert f"Sheet 2 of 2: pictures no. {count} to no. 511, {512 - count} of 512." in texts(written)


def test_sheets_of_pictures_without_labels_say_how_many_they_show(written):
    block_png(Images("t", (Picture(np.zeros((13, 13))),) * 1000, 16))
    assert any(re.fullmatch(r"Sheet 1 of \d: \d+ of 1,000 pictures\.", text) for text in texts(written))


def test_a_mark_has_one_colour_whatever_else_is_marked_and_in_whatever_order(written):
    def looks(*marks):
        written.clear()
        only(Images("t", tuple(Picture(CORNERS, "a", mark) for mark in marks), 4, UNIT))
        return {text: colour for text, _, colour in written if text in marks}

    every = ("silent", "not finite", "odd", "faint")
    expected = looks(*every)
    assert looks(*reversed(every)) == expected
    assert len(set(expected.values())) == len(every)
    assert {mark: looks(mark)[mark] for mark in every[:2]} == {mark: expected[mark] for mark in every[:2]}
    many = looks(*(f"mark {i}" for i in range(30)))
    assert len(many) == 30
    assert len(set(many.values())) == 7


def test_long_names_leave_room_for_what_the_picture_is(written):
    """Two pictures of one layer do not look alike, nor do those of two layers whose names end differently."""
    scope = "model/very/long/scope/" * 12
    titles = [f"{scope}conv{i}: {what}" for i in (1, 2) for what in ("filters as slices", "strength of links")]
    seen = []
    for title in [*titles, f"{scope}conv1:act for {'folder/' * 90}picture.png", LONG]:
        written.clear()
        only(Heatmap(title, CORNERS, BOTH))
        seen.append(" ".join(text for text, size, _ in written if size == TITLE))
    for title, text in zip(titles, seen, strict=False):
        assert text.replace(" ", "").endswith(title[-21:].replace(" ", ""))
        assert text.startswith("model/very/")
    assert "conv1:actforfolder/" in seen[4].replace(" ", "")
    assert seen[4].endswith("picture.png")
    assert len(set(seen)) == 6


def test_pictures_beyond_the_limit_are_counted(written):
    block_png(Images("t", (Picture(np.zeros((2, 2))),) * 5000, 500, UNIT))
    assert "Only the first 4,096 of 5,000 pictures are drawn." in texts(written)


TOO_LARGE = {
    "matrix": Heatmap("big", np.broadcast_to(np.float32(0), (5000, 5000)), UNIT),
    "picture": Images("t", (Picture(np.broadcast_to(np.float32(0), (5000, 5000)), "big"),), 1, UNIT),
    "graph": Graph("big", (Node("a"),) * 2000, ()),
    "tall graph": Graph("big", tuple(Node(f"{i}") for i in range(500)), ()),
    "dense graph": Graph(
        "big",
        tuple(Node(f"{i}") for i in range(100)),
        tuple(Edge(f"{i}", f"{j}") for j in range(100) for i in range(j)),
    ),
    "curve": Curve("big", "x", "y", (Series("a", (0.0, 2.0, 1.0) * 50_000, (0.0, 1.0, 2.0) * 50_000),)),
}


@pytest.mark.parametrize("block", TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_what_is_too_large_is_refused_by_name(block):
    with pytest.raises(LimitError, match="'big'") as error:
        block_pngs(block)
    assert error.value.expected
    assert error.value.found


BROKEN = {
    "no array": Images("bad", (Picture([[1.0]]),), 1, UNIT),
    "no numbers": Images("bad", (Picture(np.array([["a"]])),), 1, UNIT),
    "wrong shape": Heatmap("bad", np.zeros((2, 2, 2)), UNIT),
    "colours on a plain scale": Images("bad", (Picture(np.zeros((2, 2, 3))),), 1, UNIT),
    "scale of text": Heatmap("bad", CORNERS, Scale(ScaleKind.SEQUENTIAL, "0", "1")),
    "title": Heatmap(3, CORNERS, UNIT),
    "lonely points": Curve("bad", "x", "y", (Series("a", (1.0, 2.0), (1.0,)),)),
    "points of text": Curve("bad", "x", "y", (Series("a", ("x",), ("y",)),)),
    "nodes": Graph("bad", ("a", "b"), ()),
}


@pytest.mark.parametrize("block", BROKEN.values(), ids=BROKEN.keys())
def test_what_breaks_the_contract_is_the_plugins_error(block):
    with pytest.raises(PluginError) as error:
        block_pngs(block)
    assert isinstance(error.value, InspectorError)
    assert len(str(error.value)) < 1000


def test_only_blocks_that_are_pictures_are_drawn():
    assert is_drawn(Heatmap("t", CORNERS, UNIT))
    assert not is_drawn(Table("t", (), ()))
    assert not is_drawn(Note("n"))
