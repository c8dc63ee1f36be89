"""Text in pictures: every character can be drawn, every line fits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.render import lettering
from inspector.render.lettering import (
    ELLIPSIS,
    MOST_CHARACTERS,
    cut,
    cut_end,
    font,
    lettered,
    lines,
    readable,
    shortened,
    width,
)


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("\N{GREEK SMALL LETTER TAU} \N{LESS-THAN OR EQUAL TO} 1", "tau <= 1"),
        ("3\N{MULTIPLICATION SIGN}3", "3x3"),
        ("±1", "±1"),
        ("Größe", "Grosse"),
        ("a\N{EN DASH}b", "a-b"),
        ("\N{GREEK CAPITAL LETTER DELTA}", "Delta"),
        ("中", "?"),
        ("a\nb\tc", "a b c"),
        ("a\x1b\x00\N{RIGHT-TO-LEFT OVERRIDE}b", "ab"),
    ],
)
def test_what_the_font_lacks_is_spelled(text, spelling):
    assert readable(text) == spelling


@given(st.text(max_size=40))
def test_readable_text_is_drawn_without_the_box_for_unknown_characters(text):
    unknown = bytes(font(16).getmask("\uffff"))
    assert all(c == " " or bytes(font(16).getmask(c)) != unknown for c in readable(text))


@pytest.mark.parametrize("size", [12, 14, 20])
@pytest.mark.parametrize("letter", "ez1x_:. ,f")
def test_letters_are_as_far_apart_as_the_font_wants(letter, size):
    """Within an eighth of a pixel of what the font says at a hundred times the size, and drawn as measured."""
    line = letter * 100
    assert width(line, size) / 100 == pytest.approx(font(100 * size).getlength(line) / 10_000, abs=0.13)
    covered, (left, _) = lettered(f"|{line}|", (0, 0), size, "la")
    ink = np.flatnonzero(np.asarray(covered).any(axis=0)) + left
    assert ink[-1] - ink[0] == pytest.approx(width(f"{line}|", size), abs=3)


@pytest.mark.parametrize("anchor", ["la", "ma", "ra", "lm", "rm", "ls", "md"])
def test_letters_are_where_the_anchor_says(anchor):
    """The centre of an o, by its coverage, against Pillow's own at ten times the size."""
    covered, (left, top) = lettered("o", (40.25, 30), 12, anchor)
    ink = np.asarray(covered, float)
    x = (ink.sum(0) * (np.arange(ink.shape[1]) + 0.5)).sum() / ink.sum() + left
    y = (ink.sum(1) * (np.arange(ink.shape[0]) + 0.5)).sum() / ink.sum() + top
    box = font(120).getbbox("o", anchor=anchor)
    assert x == pytest.approx(40.25 + (box[0] + box[2]) / 20, abs=0.2)
    assert y == pytest.approx(30 + (box[1] + box[3]) / 20, abs=0.7)  # the base line is on a whole pixel


@pytest.mark.parametrize("anchor", ["la", "mm", "rs"])
def test_letters_are_the_same_a_whole_number_of_pixels_further(anchor):
    for x, y in ((0.0, 0.5), (0.25, 1.5), (3.5, 0.125)):
        covered, (left, top) = lettered("conv1", (x, y), 12, anchor)
        moved, corner = lettered("conv1", (x + 1001, y - 44), 12, anchor)
        assert corner == (left + 1001, top - 44)
        assert np.array_equal(np.asarray(covered), np.asarray(moved))


def test_labels_that_come_again_are_drawn_once():
    lettering._lettered.cache_clear()
    for step in range(50):
        lettered("17", (8.0 * step, 40.0), 12, "ma")
    assert lettering._lettered.cache_info().misses == 1


def test_endless_texts_are_cut_before_they_are_measured():
    assert len(readable("word " * 10**6)) <= MOST_CHARACTERS + 1


@given(st.text("abcdefghij/_. ", max_size=200), st.integers(40, 300), st.integers(1, 5))
def test_lines_fit_and_are_not_too_many(text, room, most):
    found = lines(text, 13, room, most)
    assert len(found) <= most
    assert all(width(line, 13) <= room for line in found)


@given(st.text("abcdefghij/_. ", max_size=60), st.integers(60, 200))
def test_lines_lose_nothing_while_there_is_room_for_more(text, room):
    assert "".join(lines(text, 13, room, 1000)).replace(" ", "") == readable(text).replace(" ", "")


def test_names_break_at_their_joints():
    assert lines("features/denseblock/layer", 12, width("features/denseblock/l", 12), 3) == [
        "features/denseblock/",
        "layer",
    ]


@pytest.mark.parametrize("cutter", [cut, cut_end])
def test_a_cut_text_fits_and_says_so(cutter):
    found = cutter("a_very_long_name_of_a_layer", 12, 80)
    assert width(found, 12) <= 80
    assert ELLIPSIS in found
    assert found.startswith("a_ve")
    assert cutter("short", 12, 80) == "short"


def test_cutting_the_middle_keeps_the_end():
    assert cut("layer/with/a/long/name/conv17", 12, 100).endswith("17")


@given(st.text("abcdefghij/_. ", max_size=400), st.integers(100, 400), st.integers(1, 3))
def test_shortened_texts_fit_or_are_as_they_were(text, room, most):
    found = shortened(text, 13, room, most)
    assert found == text or len(lines(found, 13, room, most + 1)) <= most


def test_only_the_longest_words_are_shortened_and_only_as_far_as_they_must_be():
    name = "a/b" * 40
    room = width("x" * 40, 12)
    found = shortened(f"{name}17: strength of links", 12, room, 2)
    assert found.startswith("a/ba/b")
    assert found.endswith("17: strength of links")
    assert len(found) > 60
    assert shortened("short name: links", 12, room, 2) == "short name: links"
    assert shortened("", 12, room, 2) == ""
