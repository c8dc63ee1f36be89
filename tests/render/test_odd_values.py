"""Numbers, names and sizes that are seldom seen: the picture and the text say what they are."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import UNIT, has, only, texts

from inspector.contract import Curve, Edge, Graph, Heatmap, Images, Node, Picture, Scale, ScaleKind, Series
from inspector.render import colourbar
from inspector.render.graph import _tints
from inspector.render.numbers import column, number, tick_texts, told_apart
from inspector.render.palette import INK, LINES, PAPER, deep


def contrast(one, other):
    """Of two colours, from 1 to 21, by definition (WCAG 2.2)."""
    lights = []
    for colour in (one, other):
        parts = [c / 255 for c in colour]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        lights.append(np.dot(linear, (0.2126, 0.7152, 0.0722)) + 0.05)
    return max(lights) / min(lights)


def test_zero_has_no_sign():
    assert column([-0.0, 1.5, np.float32(-0.0)]) == ["0.0", "1.5", "0.0"]
    assert column([10**20, -3, 0]) == ["100,000,000,000,000,000,000", "-3", "0"]
    assert number(-0.0) == "0"


def test_no_exponent_of_nought():
    assert tick_texts([1.0, 1.0 + 1e-10])[0] == "1"


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.25, 0.5, ("0.25", "0.5")), (1.0, 1.000001, ("1", "1.000001")), (-1.0, np.nextafter(-1.0, 0), None)],
)
def test_the_two_ends_of_a_scale_are_told_apart(low, high, said):
    found = told_apart(low, high)
    assert found[0] != found[1]
    assert found == (said or found)


def test_a_picture_of_nearly_one_value_says_between_which(written):
    only(Images("t", (Picture(np.array([[1.0, 1.000001]]), "a"),), 1))
    assert "1 … 1.000001" in texts(written)


def test_the_last_points_of_many_are_drawn_too(written):
    y = np.zeros(1520 * 5 - 1)
    y[-3] = 1000.0
    only(Curve("t", "x", "y", (Series("", tuple(map(float, range(len(y)))), tuple(y.tolist())),)))
    assert "1000" in texts(written)


def test_numbers_at_the_ends_of_floating_point_are_a_line_and_no_area():
    sheet = only(Curve("t", "x", "y", (Series("", (-1e308, 1e308), (-1.7e308, 1.7e308)),)))
    share = (sheet == LINES[0]).all(axis=2).mean()
    assert 0.0005 < share < 0.02


def test_values_with_a_meaning_are_not_beyond_the_scale(monkeypatch):
    seen, bar = [], colourbar.bar
    monkeypatch.setattr(colourbar, "bar", lambda scale, beyond: seen.append(beyond) or bar(scale, beyond))
    values = np.array([[0.5, -1.0], [2.0, np.nan]])
    only(Heatmap("t", values, UNIT, meanings=((-1.0, "dead"), (np.nan, "missing"))))
    assert (seen[0].below, seen[0].above) == (False, True)


def test_few_names_of_columns_are_all_written(written):
    values = np.zeros((300, 2))
    only(Heatmap("t", values, UNIT, column_labels=("a", "b")))
    assert {"a", "b"} <= texts(written)


def test_a_legend_says_how_many_groups_it_leaves_out(written):
    nodes = tuple(Node(f"n{i}", group=f"g{i}") for i in range(15))
    only(Graph("t", nodes, (Edge("n0", "n0"), Edge("n0", "n1"))))
    assert {"g11", "and 3 more"} <= texts(written)
    assert "Not drawn: 1 edge from a node to itself, or to no node of the graph." in texts(written)


def test_letters_are_seen():
    assert min(contrast(deep(colour), PAPER) for colour in LINES) >= 4.5
    tints = _tints([Node(str(i), group=str(i)) for i in range(40)])
    assert min(contrast(INK, tint) for tint in tints.values()) >= 4.5


def test_the_mark_of_a_picture_has_the_hue_of_its_frame(written):
    sheet = only(Images("t", (Picture(np.zeros((2, 2)), "a", "silent"),), 1, Scale(ScaleKind.SEQUENTIAL, 0, 1)))
    assert has(sheet, LINES[1])
    assert ("silent", deep(LINES[1])) in {(text, colour) for text, _, colour in written}
