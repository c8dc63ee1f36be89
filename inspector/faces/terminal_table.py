"""Tables that fit into a terminal: too wide ones go on below, repeating their first column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.table import Table as Grid
from rich.text import Text

from inspector.contract import Cell
from inspector.render.numbers import column, is_numeric

_WIDEST = 44
"""Longer texts in cells are broken."""

_MARGIN = 3
"""Columns of the terminal between two columns of the table."""


def plain(text: str) -> str:
    """The text without anything that could steer a terminal: control characters are shown as a replacement mark."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def fitted(headings: Sequence[str], columns: Sequence[Sequence[Cell]], room: int) -> Iterator[Grid]:
    """The table, in as many parts as it needs to fit into `room` columns of the terminal.

    Args:
        headings: one text per column; a second line is its unit.
        columns: cells, column by column, all equally long.
        room: width of the terminal.
    """
    texts = [[plain(text).replace("\n", " ") for text in column(cells)] for cells in columns]
    wides = [_wide(heading, cells) for heading, cells in zip(headings, texts, strict=True)]
    if not wides:
        return
    wides[0] = min(wides[0], max(room // 2 - _MARGIN, 8))
    wides[1:] = [min(wide, max(room - wides[0] - 2 * _MARGIN, 8)) for wide in wides[1:]]
    for part in _parts(wides, room):
        yield _grid([(plain(headings[i]), texts[i], wides[i], is_numeric(columns[i])) for i in part])


def _wide(heading: str, cells: Sequence[str]) -> int:
    """Columns of the terminal that a column of the table wants: no line of its heading is broken inside a word."""
    words = max((cell_len(word) for word in heading.split()), default=1)
    return min(max(words, *map(cell_len, cells), 1), _WIDEST)


def _parts(wides: Sequence[int], room: int) -> list[list[int]]:
    """Which columns are printed beside each other; every part has the first one."""
    parts, left = [[0]], room - wides[0]
    for at, wide in enumerate(wides[1:], 1):
        if wide + _MARGIN > left and len(parts[-1]) > 1:
            parts.append([0])
            left = room - wides[0]
        parts[-1].append(at)
        left -= wide + _MARGIN
    return parts


def _grid(columns: Sequence[tuple[str, Sequence[str], int, bool]]) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for heading, _, wide, numeric in columns:
        grid.add_column(
            Text(heading), justify="right" if numeric else "left", width=wide, overflow="fold", vertical="bottom"
        )
    for row in zip(*(texts for _, texts, _, _ in columns), strict=True):
        grid.add_row(*map(Text, row))
    return grid
