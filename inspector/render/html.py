"""Blocks and findings as HTML for notebooks: escaped, complete in itself, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from html import escape as escape_markup
from typing import Final

from inspector.contract import Block, Column, Finding, Note, Severity, Table
from inspector.errors import InspectorError
from inspector.render.numbers import cell, column, is_numeric
from inspector.render.sheet import Drawn, block_pngs

MOST_ROWS = 500
"""Rows of a table that are written; a longer one says how many more there are."""

_BOX = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.45;margin:0 0 1.5em 0"
_TABLE = "border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.4em 0"
_HEAD = "padding:2px 10px;border-bottom:1px solid #888;font-weight:600"
_CELL = "padding:2px 10px;border-bottom:1px solid #8884"
_MUTED = "opacity:.7"
_LABEL = f"{_MUTED};font-weight:400;text-align:left;vertical-align:top;padding-right:1em"
COLOURS: Final = {Severity.ERROR: "#d93a30", Severity.WARNING: "#b86e00", Severity.INFO: "#3b7ec4"}
"""Of the line beside a finding, to be seen on white and in the dark. Its word has the colour of the text around it."""
IGNORED: Final = "#808080"
_SIZES = {1: 20, 2: 17, 3: 15}
_FORBIDDEN: Final = re.compile(
    "[\0-\x08\x0b\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)
"""Control characters and noncharacters: no HTML document may hold them, not even as references."""


def block_html(block: Block) -> str:
    """The block as one HTML element. A picture that cannot be drawn becomes a sentence that says why."""
    if isinstance(block, Table):
        body = heading(block.title) + paragraph(block.caption, _MUTED) + _table(block)
    elif isinstance(block, Note):
        body = heading(block.title) + paragraph(block.text)
    else:
        try:
            body = _images(block_pngs(block), block)
        except InspectorError as error:
            body = heading(block.title) + paragraph(f"This picture cannot be shown. {error}")
    return f'<div style="{_BOX}">{body}</div>'


def findings_html(findings: Sequence[Finding], prefix: str = "") -> str:
    """The findings as one HTML list, in their order; with a prefix, their ids are that and a number from 1.

    An empty text where there are none.
    """
    items = "".join(_finding(finding, f"{prefix}{at}" if prefix else "") for at, finding in enumerate(findings, 1))
    return f'<ul style="{_BOX};list-style:none;padding:0">{items}</ul>' if items else ""


def escape(text: str) -> str:
    """The text as HTML, in quotes too; what HTML forbids becomes the replacement character, halves of pairs escapes."""
    plain = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return escape_markup(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", plain))


def heading(title: str, level: int = 3) -> str:
    """A title, escaped: of a report (1), an analysis (2) or a block (3); nothing where there is none."""
    look = f"font:600 {_SIZES[level]}px system-ui,sans-serif;margin:.4em 0"
    return f'<h{level} style="{look}">{escape(title)}</h{level}>' if title else ""


def paragraph(text: str, style: str = "") -> str:
    """A text, escaped, as a paragraph; nothing where there is none."""
    return f'<div style="max-width:60em;white-space:pre-line;{style}">{escape(text)}</div>' if text else ""


def pairs(lines: Sequence[tuple[str, str]]) -> str:
    """Labels and texts, escaped, the texts below each other."""
    rows = "".join(
        f'<tr><th scope="row" style="{_LABEL}">{escape(label)}</th><td style="text-align:left">{escape(text)}</td></tr>'
        for label, text in lines
    )
    return f'<table style="{_BOX};max-width:75em">{rows}</table>' if rows else ""


def _images(sheets: Sequence[bytes], block: Drawn) -> str:
    """Every sheet of a picture, each with what it shows in words: its title, which sheet it is, its caption."""
    several = [f"Sheet {at} of {len(sheets)}" if len(sheets) > 1 else "" for at in range(1, len(sheets) + 1)]
    return "".join(
        _image(data, ". ".join(filter(None, [block.title, sheet, block.caption])))
        for data, sheet in zip(sheets, several, strict=True)
    )


def _image(data: bytes, words: str) -> str:
    source = base64.b64encode(data).decode("ascii")
    return f'<img alt="{escape(words)}" style="max-width:100%" src="data:image/png;base64,{source}">'


def _table(table: Table) -> str:
    rows = table.rows[:MOST_ROWS]
    cells = [[row[at] if at < len(row) else None for row in rows] for at in range(len(table.columns))]
    sides = ["right" if is_numeric(entries) else "left" for entries in cells]
    head = "".join(_head(c, side) for c, side in zip(table.columns, sides, strict=True))
    texts = [column(entries) for entries in cells]
    body = "".join(
        f"<tr>{''.join(_entry(t, s) for t, s in zip(line, sides, strict=True))}</tr>"
        for line in zip(*texts, strict=True)
    )
    more = len(table.rows) - len(rows)
    foot = paragraph(f"… {more:,} more row{'s' * (more > 1)}", _MUTED) if more else ""
    called = f' aria-label="{escape(table.title)}"' if table.title else ""
    return (
        f'<table{called} style="{_TABLE}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        f"{foot}{_key(table)}"
    )


def _key(table: Table) -> str:
    """What the columns mean, to be unfolded: tooltips are for those alone who have a mouse."""
    told = pairs([(c.name, c.about) for c in table.columns if c.about])
    return f'<details style="{_MUTED}"><summary>What the columns mean</summary>{told}</details>' if told else ""


def _head(heading: Column, side: str) -> str:
    unit = f' <span style="{_MUTED}">{escape(heading.unit)}</span>' if heading.unit else ""
    tip = f' title="{escape(heading.about)}"' if heading.about else ""
    return f'<th scope="col"{tip} style="{_HEAD};text-align:{side}">{escape(heading.name)}{unit}</th>'


def _entry(text: str, side: str) -> str:
    return f'<td style="{_CELL};text-align:{side}">{escape(text)}</td>'


def _finding(finding: Finding, name: str) -> str:
    colour = IGNORED if finding.ignored else COLOURS[finding.severity]
    word, named = escape(finding.standing.capitalize()), f' id="{escape(name)}"' if name else ""
    evidence = ", ".join(f"{name} = {cell(value)}" for name, value in finding.evidence.items())
    channels = len(finding.channels)
    where = " ".join(filter(None, [finding.layer, f"({channels} channel{'s' * (channels > 1)})" if channels else ""]))
    small = " · ".join(filter(None, [finding.rule, where, evidence, finding.because]))
    return (
        f'<li{named} style="border-left:3px solid {colour};padding:1px 0 1px 10px;margin:.5em 0">'
        f'<span style="font-weight:600">{word}</span> {escape(finding.message)}'
        f"{paragraph(finding.remedy)}{paragraph(small, _MUTED)}</li>"
    )
