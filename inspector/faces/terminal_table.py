"""Tables that fit into a terminal: too wide ones go on below, every part with the columns that tell rows apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from unicodedata import category

from rich import box
from rich.align import Align
from rich.cells import cell_len
from rich.table import Table as Grid
from rich.text import Text

from inspector.contract import Cell
from inspector.render.numbers import column, is_numeric

_WIDEST = 44
"""Columns of texts get no more than this where other columns would have to go on below."""

_LEAST = 8
"""No column is narrower than this, however little room there is, unless its texts are."""

_MARGIN = 3
"""Columns of the terminal between two columns of the table."""


def plain(text: str) -> str:
    """The text without anything that could steer a terminal: control characters are shown as a replacement mark.

    Blanks of other kinds, such as one where no line is broken, are blanks.
    """
    return "".join(c if c.isprintable() or c == "\n" else _instead(c) for c in text)


def _instead(character: str) -> str:
    return " " if category(character) == "Zs" else "\N{REPLACEMENT CHARACTER}"


def fitted(headings: Sequence[str], columns: Sequence[Sequence[Cell]], room: int) -> Iterator[Grid]:
    """The table, in as many parts as it needs to fit into `room` columns of the terminal.

    Every part has the columns that tell rows apart: the fewest leading ones, of texts and whole numbers only, in which
    no two rows are alike. Where there are no such ones, or half of the room is too little for them, it is the first
    column alone.

    Args:
        headings: one text per column; a second line is its unit.
        columns: cells, column by column, all equally long.
        room: width of the terminal.
    """
    if not columns:
        return
    texts = [[plain(text).replace("\n", " ") for text in column(cells)] for cells in columns]
    wides = [_wide(heading, cells) for heading, cells in zip(headings, texts, strict=True)]
    for part in _parts(wides, _fewer(wides, _keys(columns), room // 2), room):
        fits = zip(part, _squeezed([wides[i] for i in part], room), strict=True)
        yield _grid([(plain(headings[i]), texts[i], wide, is_numeric(columns[i])) for i, wide in fits])


def _keys(columns: Sequence[Sequence[Cell]]) -> int:
    """How many leading columns tell rows apart."""
    names = list(takewhile(lambda cells: not any(isinstance(c, float) for c in cells), columns))
    prefixes = (n for n in range(1, len(names) + 1) if len(set(zip(*names[:n], strict=True))) == len(names[0]))
    return next(prefixes, 1)


def _fewer(wides: Sequence[int], keys: int, room: int) -> int:
    """As many as there are, if they can be made to fit into the room; else one."""
    return keys if _across(_squeezed(wides[:keys], room - _MARGIN)) <= room else 1


def _across(wides: Sequence[int]) -> int:
    """Columns of the terminal that these take, with a margin after each."""
    return sum(wide + _MARGIN for wide in wides)


def _wide(heading: str, cells: Sequence[str]) -> int:
    """Columns of the terminal that a column of the table wants: no line of its heading is broken inside a word."""
    words = max((cell_len(word) for word in heading.split()), default=1)
    return max(words, *map(cell_len, cells), 1)


def _squeezed(wides: Sequence[int], room: int) -> list[int]:
    """The widths, the widest made narrower until all fit into `room`."""
    caps = range(max(wides), _LEAST, -1)
    cap = next((cap for cap in caps if _across([min(w, cap) for w in wides]) - _MARGIN <= room), _LEAST)
    return [min(wide, cap) for wide in wides]


def _parts(wides: Sequence[int], keys: int, room: int) -> list[list[int]]:
    """Which columns are printed beside each other; every part has the first `keys`, in half of the room at most."""
    first = list(range(keys))
    free = room - _across(_squeezed(wides[:keys], room // 2 - _MARGIN))
    parts, left = [first.copy()], free
    for at, wide in enumerate(wides[keys:], keys):
        need = min(wide, _WIDEST)
        if need > left and len(parts[-1]) > keys:
            parts.append(first.copy())
            left = free
        parts[-1].append(at)
        left -= need + _MARGIN
    return parts


def _grid(columns: Sequence[tuple[str, Sequence[str], int, bool]]) -> Grid:
    """The table: headings stand on the line below them, cells begin at the top of their row."""
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for heading, _, wide, numeric in columns:
        head = Align(Text(heading), "right" if numeric else "left", vertical="bottom")
        grid.add_column(head, justify="right" if numeric else "left", width=wide, overflow="fold")
    for row in zip(*(texts for _, texts, _, _ in columns), strict=True):
        grid.add_row(*map(Text, row))
    return grid
