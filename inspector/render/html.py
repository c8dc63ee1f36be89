"""Blocks and findings as HTML: escaped, looking as `style.py` says, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from html import escape as escape_markup
from typing import Final

from inspector.contract import Block, Cell, Column, Finding, Note, Table
from inspector.errors import InspectorError
from inspector.render.numbers import cell, column, is_numeric, listed
from inspector.render.sheet import Drawn, Sheet, block_sheets

MOST_ROWS = 500
"""Rows of a table that are written; a longer one says how many more there are."""

_FORBIDDEN: Final = re.compile(
    "[\0-\x08\x0b\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)
"""Control characters and noncharacters: no HTML document may hold them, not even as references."""


def block_html(block: Block, name: str = "") -> str:
    """The block as one HTML element, with that id, if any. A picture that cannot be drawn says why in its place."""
    if isinstance(block, Table):
        body = heading(block.title) + paragraph(block.caption, muted=True) + _table(block)
    elif isinstance(block, Note):
        body = heading(block.title) + paragraph(block.text)
    else:
        try:
            body = _images(block_sheets(block), block)
        except InspectorError as error:
            body = heading(block.title) + paragraph(f"This picture cannot be shown. {error}")
    return f'<div class="block"{_named(name)}>{body}</div>'


def findings_html(findings: Sequence[Finding], prefix: str = "") -> str:
    """The findings as one HTML list, in their order; with a prefix, their ids are that and a number from 1.

    An empty text where there are none.
    """
    items = "".join(_finding(finding, f"{prefix}{at}" if prefix else "") for at, finding in enumerate(findings, 1))
    return f'<ul class="findings">{items}</ul>' if items else ""


def escape(text: str) -> str:
    """The text as HTML, in quotes too; what HTML forbids becomes the replacement character, halves of pairs escapes."""
    plain = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return escape_markup(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", plain))


def heading(title: str, level: int = 3) -> str:
    """A title, escaped: of a report (1), an analysis (2) or a block (3); nothing where there is none."""
    return f"<h{level}>{escape(title)}</h{level}>" if title else ""


def paragraph(text: str, *, muted: bool = False) -> str:
    """A text, escaped, as a paragraph; nothing where there is none."""
    return f'<div class="text{" muted" * muted}">{escape(text)}</div>' if text else ""


def pairs(lines: Sequence[tuple[str, str]]) -> str:
    """Labels and texts, escaped, the texts below each other."""
    rows = "".join(f'<tr><th scope="row">{escape(label)}</th><td>{escape(text)}</td></tr>' for label, text in lines)
    return f'<table class="pairs">{rows}</table>' if rows else ""


def folded(summary: str, html: str) -> str:
    """HTML to be unfolded, below a text, which is escaped; nothing where there is nothing to unfold."""
    return f"<details><summary>{escape(summary)}</summary>{html}</details>" if html else ""


def _named(name: str) -> str:
    return f' id="{escape(name)}"' if name else ""


def _images(sheets: Sequence[Sheet], block: Drawn) -> str:
    """Every sheet of a picture, each with what it shows in words: its title, which sheet it is, its caption."""
    several = [f"Sheet {at} of {len(sheets)}" if len(sheets) > 1 else "" for at in range(1, len(sheets) + 1)]
    return "".join(
        _image(sheet, ". ".join(filter(None, [block.title, which, block.caption])))
        for sheet, which in zip(sheets, several, strict=True)
    )


def _image(sheet: Sheet, words: str) -> str:
    """Its size is told, so that nothing moves while pictures are unpacked and links lead where they should."""
    source = f"data:image/{sheet.kind};base64,{base64.b64encode(sheet.data).decode('ascii')}"
    size = f'width="{sheet.width}" height="{sheet.height}"'
    return f'<div class="scroll"><img alt="{escape(words)}" {size} decoding="async" src="{source}"></div>'


def _table(table: Table) -> str:
    """The table, which scrolls by itself where it is too wide, and by the keyboard too."""
    rows = table.rows[:MOST_ROWS]
    cells = [[row[at] if at < len(row) else None for row in rows] for at in range(len(table.columns))]
    numbers = [is_numeric(entries) for entries in cells]
    head = "".join(_head(c, numeric=n) for c, n in zip(table.columns, numbers, strict=True))
    texts = [_entries(entries, numeric=n) for entries, n in zip(cells, numbers, strict=True)]
    body = "".join(f"<tr>{''.join(line)}</tr>" for line in zip(*texts, strict=True))
    more = len(table.rows) - len(rows)
    said = f"… {more:,} more row{'s' * (more > 1)}, which are in the report's JSON" if more else ""
    called = escape(table.title or "Table")
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{called}">'
        f'<table aria-label="{called}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f"{paragraph(said, muted=True)}{_key(table)}"
    )


def _key(table: Table) -> str:
    """What the columns mean, to be unfolded: tooltips are for those alone who have a mouse."""
    return folded("What the columns mean", pairs([(c.name, c.about) for c in table.columns if c.about]))


def _head(heading: Column, *, numeric: bool) -> str:
    unit = f' <span class="muted">{escape(heading.unit)}</span>' if heading.unit else ""
    tip = f' title="{escape(heading.about)}"' if heading.about else ""
    return f'<th scope="col"{_side(numeric)}{tip}>{escape(heading.name)}{unit}</th>'


def _entries(entries: Sequence[Cell], *, numeric: bool) -> list[str]:
    """A column's cells."""
    opened = f"<td{_side(numeric)}>"
    return [f"{opened}{escape(text)}</td>" for text in column(entries)]


def _side(numeric: bool) -> str:  # noqa: FBT001 - its name says it all
    return ' class="n"' * numeric


def _finding(finding: Finding, name: str) -> str:
    look = "ignored" if finding.ignored else finding.severity.value
    word = escape(finding.standing.capitalize())
    evidence = ", ".join(f"{name} = {cell(value)}" for name, value in finding.evidence.items())
    where = ", ".join(filter(None, [finding.layer, listed("channel", finding.channels)]))
    small = " · ".join(filter(None, [finding.rule, where, evidence, finding.because]))
    return (
        f'<li{_named(name)} class="{look}"><strong>{word}</strong> {escape(finding.message)}'
        f"{paragraph(finding.remedy)}{paragraph(small, muted=True)}</li>"
    )
