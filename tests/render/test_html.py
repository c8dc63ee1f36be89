"""Blocks for notebooks: whole, escaped, and asking the network for nothing."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from inspector.contract import (
    Column,
    Curve,
    Edge,
    Finding,
    Graph,
    Heatmap,
    Images,
    Node,
    Note,
    Picture,
    Scale,
    ScaleKind,
    Series,
    Severity,
    Table,
)
from inspector.render import pixels
from inspector.render.html import MOST_ROWS, block_html, findings_html
from inspector.render.sheet import block_pngs

UNIT = Scale(ScaleKind.SEQUENTIAL, 0.0, 1.0)
EVIL = "\"><script>alert('x')</script><img src=http://example.org/x onerror=evil()>&amp;"

BLOCKS = [
    Table(EVIL, (Column(EVIL, EVIL, EVIL),), ((EVIL,), (1.5,)), EVIL),
    Note(EVIL, EVIL),
    Images(EVIL, (Picture(np.zeros((2, 2)), EVIL, EVIL),), 1, UNIT, EVIL),
    Heatmap(EVIL, np.zeros((2, 2)), UNIT, EVIL, EVIL, (EVIL,), (EVIL,), EVIL),
    Curve(EVIL, EVIL, EVIL, (Series(EVIL, (0.0, 1.0), (0.0, 1.0)),), EVIL),
    Graph(EVIL, (Node(EVIL, EVIL, EVIL),), (Edge(EVIL, EVIL, 1.0, EVIL),), EVIL),
    Heatmap(EVIL, np.zeros((2, 2, 2)), UNIT),  # cannot be drawn: the reason names it
]


class Page(HTMLParser):
    """What a browser would make of it: balanced tags, their attributes, the text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page(html):
    found = Page(html)
    assert not found.open
    return found


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: type(b).__name__)
def test_nothing_in_a_block_becomes_markup_or_a_request(block):
    for tag, attributes in page(block_html(block)).tags:
        assert tag in {"div", "span", "img", "table", "thead", "tbody", "tr", "th", "td", "h3", "details", "summary"}
        assert set(attributes) <= {"class", "title", "alt", "src", "scope", "aria-label", "role", "tabindex", "width",
                                   "height", "decoding"}  # fmt: skip
        assert attributes.get("class", "n") in {"n", "block", "scroll", "text", "text muted", "muted", "pairs"}
        assert re.match("data:image/(webp|png);base64,", attributes.get("src", "data:image/webp;base64,"))


def test_hostile_texts_are_shown_as_they_are():
    assert EVIL in page(block_html(Note(EVIL))).text


FORBIDDEN = [*range(9), 0xB, *range(0xE, 0x20), *range(0x7F, 0xA0), *range(0xFDD0, 0xFDF0), 0xFFFE, 0x1FFFF, 0x10FFFE]
"""Control characters and noncharacters, from the HTML standard (13.2.3.5); some of those of other planes."""


@pytest.mark.parametrize("make", [
    lambda text: block_html(Note(text, text)),
    lambda text: block_html(Table(text, (Column(text, text, text),), ((text,),), text)),
    lambda text: findings_html([Finding(text, Severity.ERROR, text, text, (1,), {text: text}, text)]),
    lambda text: block_html(Heatmap(text, np.zeros((2, 2)), UNIT)),
])  # fmt: skip
def test_characters_that_html_forbids_are_replaced_and_others_stay(make):
    for code in FORBIDDEN:
        html = make(f"a{chr(code)}b")
        assert chr(code) not in html
        assert "a\N{REPLACEMENT CHARACTER}b" in html
    assert "\t\n\f\u202e\N{PILE OF POO}é" in make("\t\n\f\u202e\N{PILE OF POO}é")
    assert "a\\udc80b" in make("a\udc80b")  # part of a file name that is no UTF-8


def test_findings_are_escaped_as_well():
    finding = Finding(EVIL, Severity.ERROR, EVIL, EVIL, (1,), {EVIL: EVIL}, EVIL)
    found = page(findings_html([finding]))
    assert {tag for tag, _ in found.tags} == {"ul", "li", "strong", "div"}
    assert found.text.count(EVIL) == 6


@pytest.mark.parametrize("webp", [True, False])
def test_a_picture_is_inline_and_the_same_as_its_file_pixel_by_pixel(webp, monkeypatch):
    monkeypatch.setattr(pixels.features, "check", lambda _: webp)
    block = Images("t", (Picture(np.eye(3), "a"), Picture(np.random.default_rng(0).random((40, 40)))), 1, UNIT)
    html = block_html(block)
    ((kind, data),) = re.findall(r'src="data:image/([^;]+);base64,([^"]+)"', html)
    assert kind == ("webp" if webp else "png")
    shown, filed = (Image.open(io.BytesIO(some)) for some in (base64.b64decode(data), block_pngs(block)[0]))
    assert np.array_equal(np.asarray(shown), np.asarray(filed))
    assert f'width="{shown.width}" height="{shown.height}"' in html


def test_a_picture_takes_much_less_than_its_file():
    noise = Heatmap("Links", np.random.default_rng(0).random((128, 128)), UNIT)
    assert len(block_html(noise)) < len(block_pngs(noise)[0]) / 1.5


def test_a_picture_that_cannot_be_drawn_says_why():
    text = page(block_html(Heatmap("Links", np.zeros((2, 2, 2)), UNIT))).text
    assert "cannot be shown" in text
    assert "found shape (2, 2, 2)" in text


def test_a_table_has_its_numbers_its_units_and_tooltips():
    columns = (Column("layer"), Column("zeros", "share of exact zeros", "share"), Column("bound"))
    html = block_html(Table("Sparsity", columns, (("conv1", 0.5, None), ("conv2", 0.125, 3)), "Of 10 inputs."))
    found = page(html)
    assert [t for t, _ in found.tags].count("td") == 6 + 1
    assert {"title": "share of exact zeros"}.items() <= [a for t, a in found.tags if t == "th"][1].items()
    assert [a.get("class") for t, a in found.tags if t == "td"][:3] == [None, "n", "n"]
    for text in ("Sparsity", "share", "conv1", "0.500", "0.125", "\N{EN DASH}", "Of 10 inputs."):
        assert text in found.text


def test_a_long_table_is_cut_and_says_so():
    html = block_html(Table("t", (Column("n"),), tuple((i,) for i in range(MOST_ROWS + 1234))))
    assert html.count("<td") == MOST_ROWS
    assert "1,234 more rows" in html


def test_a_short_row_has_dashes():
    assert page(block_html(Table("t", (Column("a"), Column("b")), (("x",),)))).text.endswith("x\N{EN DASH}")


def test_a_finding_has_its_severity_evidence_and_remedy():
    finding = Finding("sparsity/dead", Severity.WARNING, "It is dead.", "conv1", (3, 4), {"n": 100}, "Prune it.")
    text = page(findings_html([finding])).text
    for part in ("Warning", "It is dead.", "Prune it.", "sparsity/dead", "conv1, channels 3, 4", "n = 100"):
        assert part in text


def test_no_findings_are_no_html():
    assert findings_html([]) == ""


def test_one_is_not_several():
    assert "conv1, channel 3<" in findings_html([Finding("a/b", Severity.INFO, "m", "conv1", (3,))])
    assert "1 more row," in block_html(Table("t", (Column("n"),), ((1,),) * (MOST_ROWS + 1)))


def test_a_wide_table_scrolls_by_itself_and_by_the_keyboard():
    regions = [a for tag, a in page(block_html(Table("Zeros", (Column("n"),), ((1,),)))).tags if tag == "div"]
    assert {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": "Zeros"} in regions


def test_a_cell_costs_little_beside_its_text():
    html = block_html(Table("", tuple(map(Column, "abcdefghij")), ((0.25,) * 10,) * MOST_ROWS))
    assert len(html) / (10 * MOST_ROWS) < 30


def test_of_many_channels_twelve_are_named():
    html = findings_html([Finding("a/b", Severity.INFO, "m", "conv1", tuple(range(1_300)))])
    assert "conv1, channels 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, … (1,300 in all)" in html
