"""Grids of pictures."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from operator import or_
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from inspector.contract import Array, Images, Picture, Scale, ScaleKind
from inspector.render import canvas, colourbar
from inspector.render.canvas import LABEL, MARGIN, PAGE
from inspector.render.lettering import cut, height, lines, readable, width
from inspector.render.numbers import brief, told_apart
from inspector.render.palette import HAIRLINE, INK, LINES, MUTED, Colour, deep
from inspector.render.pixels import (
    MAX_PIXELS,
    MAX_SIDE,
    Extremes,
    as_floats,
    check_picture,
    ends,
    extremes,
    painted,
    scale_of,
    shrunk,
)

MAX_PICTURES: Final = 4096
"""Of a longer grid the first are drawn; the sheets say so."""

MAX_TOTAL: Final = 1 << 26
"""Of a grid with more values in all the first pictures are drawn; the sheets say so."""

MAX_SHEETS: Final = 16
"""Of a grid that needs more sheets the first are drawn; they say so."""

_COMFORT, _SMALL, _SCREEN = 256, 72, 1500
"""Pictures are enlarged to about `_COMFORT` squared pixels, and to less, down to `_SMALL` pixels high, where so many
are below each other that a sheet would be higher than `_SCREEN`."""

_USUAL: Final = {"silent": LINES[1], "zero": LINES[1], "not finite": LINES[3]}
"""Colours of marks that are often seen."""

_FRAME, _BETWEEN, _WIDEST_LABEL = 3, 10, 150

_HEADROOM = 520
"""Height kept for the title, the caption, the legend and the notes."""


@dataclass(frozen=True, slots=True)
class _Tile:
    """A picture with its look settled: first made smaller by `shrink`, then larger by `grow`."""

    picture: Picture
    scale: Scale
    shrink: int
    grow: int
    texts: tuple[tuple[str, Colour], ...] = ()
    frame: Colour | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Pixels across and down."""
        down, across = (-(-side // self.shrink) * self.grow for side in self.picture.values.shape[:2])
        return across, down

    @property
    def tall(self) -> int:
        """Pixels down, frame and texts included."""
        return self.size[1] + 2 * _FRAME + 4 + len(self.texts) * height(LABEL)


def draw_images(block: Images) -> Iterator[Image.Image]:
    """The sheets of a grid, one after the other."""
    pictures = _taken(block)
    columns = min(max(1, int(block.columns)), max(1, len(pictures)))
    room = max(8, (PAGE - 2 * MARGIN) // columns - _BETWEEN - 2 * _FRAME)
    tall = max(_SMALL, _SCREEN // max(1, math.ceil(len(pictures) / columns)) - 2 * height(LABEL))
    tiles, cell = _tiles(pictures, block.scale, (room, tall))
    columns = min(columns, max(1, (MAX_SIDE - 2 * MARGIN) // (cell + _BETWEEN)))
    rows = [tiles[at : at + columns] for at in range(0, len(tiles), columns)]
    pages = _pages(rows, min(MAX_SIDE, MAX_PIXELS // (columns * (cell + _BETWEEN) + 2 * MARGIN)) - _HEADROOM)
    legend, total = _legend(tiles, block.scale), len(block.pictures)
    for number, page in enumerate(pages[:MAX_SHEETS], start=1):
        several = [f"Sheet {number} of {min(len(pages), MAX_SHEETS)}: {_which(page, total)}."] if len(pages) > 1 else []
        notes = several + _notes(tiles, total, pages)
        yield canvas.sheet(block.title, block.caption, [*legend, _grid(page, cell)], notes)
    if not pages:
        yield canvas.sheet(block.title, block.caption, [], ["There are no pictures."])


def _taken(block: Images) -> list[Picture]:
    """The pictures to draw, checked: the first ones, within the limits."""
    taken, values = list[Picture](), 0
    for picture in islice(block.pictures, MAX_PICTURES):
        check_picture(picture)
        values += picture.values.size
        if values > MAX_TOTAL:
            break
        taken.append(picture)
    return taken


def _tiles(pictures: Sequence[Picture], common: Scale | None, room: tuple[int, int]) -> tuple[list[_Tile], int]:
    """The tiles, and the width of a cell of the grid; `room` is what a picture is enlarged to, across and down."""
    marks = _colours_of({p.mark for p in pictures if p.mark})
    bare = [_Tile(p, scale_of(p, common), *_zoom(p, room)) for p in pictures]
    texts = {text for tile in bare for text, _ in _said(tile, marks, own_scale=common is None)}
    labels = [min(width(text, LABEL), _WIDEST_LABEL) + 6 for text in texts]
    cell = max([tile.size[0] + 2 * _FRAME for tile in bare] + labels, default=0)
    return [_finished(tile, marks, cell, own_scale=common is None) for tile in bare], cell


def _colours_of(marks: Set[str]) -> dict[str, Colour]:
    """A colour for every mark, the same wherever it stands; two marks of one grid share one only where there are many.

    It follows from the letters of the mark, unless another mark of the grid, earlier by name, has taken that one.
    """
    found = {mark: _USUAL[mark] for mark in marks & _USUAL.keys()}
    for mark in sorted(marks - _USUAL.keys()):
        start = zlib.crc32(mark.encode(errors="replace"))
        ring = [LINES[(start + step) % len(LINES)] for step in range(len(LINES))]
        found[mark] = next((colour for colour in ring if colour not in found.values()), ring[0])
    return found


def _zoom(picture: Picture, room: tuple[int, int]) -> tuple[int, int]:
    """Whole factors to make a picture smaller, and larger again; one of them is 1."""
    down, across = (max(1, side) for side in picture.values.shape[:2])
    shrink = math.ceil(max(down, across) / (PAGE - 2 * MARGIN))
    grow = min(room[0] // across, room[1] // down, int(_COMFORT // math.sqrt(down * across)))
    return shrink, max(1, grow)


def _said(tile: _Tile, marks: Mapping[str, Colour], *, own_scale: bool) -> list[tuple[str, Colour]]:
    """What is written under a picture: label, mark, and the range of its own scale."""
    picture = tile.picture
    mark = [(readable(picture.mark), deep(marks[picture.mark]))] if picture.mark else []
    label = [(readable(picture.label), INK)] if picture.label else []
    return label + mark + ([(_range(tile), MUTED)] if own_scale else [])


def _range(tile: _Tile) -> str:
    """The numbers at the ends of a picture's own scale."""
    (low, high), values = ends(tile.scale), as_floats(tile.picture.values, "values")
    if not np.isfinite(values).any():
        return "no numbers"
    if low == high:
        numbers = f"all {brief(low)}" if (values == low).all() else brief(low)
    elif tile.scale.kind is ScaleKind.SIGNED:
        numbers = f"±{brief(high)}"
    else:
        numbers = " … ".join(told_apart(low, high))
    return f"{numbers} {readable(tile.scale.unit)}".strip()


def _finished(tile: _Tile, marks: Mapping[str, Colour], cell: int, *, own_scale: bool) -> _Tile:
    texts = [(t, c) for text, c in _said(tile, marks, own_scale=own_scale) for t in lines(text, LABEL, cell - 4, 2)]
    frame = marks.get(tile.picture.mark)
    return _Tile(tile.picture, tile.scale, tile.shrink, tile.grow, tuple(texts), frame)


def _pages(rows: Sequence[list[_Tile]], room: int) -> list[list[list[_Tile]]]:
    """Rows of the grid, shared out so that the rows of a page are no higher than `room` together."""
    pages, left = list[list[list[_Tile]]](), 0
    for row in rows:
        tall = max(tile.tall for tile in row) + _BETWEEN
        if not pages or tall > left:
            pages.append([])
            left = room
        pages[-1].append(row)
        left -= tall
    return pages


def _legend(tiles: Sequence[_Tile], common: Scale | None) -> list[Image.Image]:
    """The bar of the common scale, or one for every kind of scale; and what is drawn for NaN and infinities."""
    seen = reduce(or_, (extremes(tile.picture.values, tile.scale) for tile in tiles), Extremes())
    kinds = dict.fromkeys(tile.scale.kind for tile in tiles)
    grey = all(_is_grey(tile.picture.values) for tile in tiles if tile.scale.kind is ScaleKind.COLOUR)
    bars = [colourbar.bar(common, seen)] if common else [colourbar.words(kind, grey=grey) for kind in kinds]
    return colourbar.legend([*bars, *colourbar.swatches(seen)])


def _is_grey(values: Array) -> bool:
    """Whether red, green and blue are the same in (H, W, 3)."""
    return np.array_equal(values[..., :2], values[..., 1:], equal_nan=values.dtype.kind == "f")


def _which(page: Sequence[Sequence[_Tile]], total: int) -> str:
    """Which pictures a page shows: by their labels, where they have some."""
    tiles = [tile for row in page for tile in row]
    first, last = (canvas.label_text(tile.picture.label) for tile in (tiles[0], tiles[-1]))
    if not (first and last):
        return f"{len(tiles):,} of {total:,} pictures"
    span = f"pictures {first} to {last}" if len(tiles) > 1 else f"picture {first}"
    return f"{span}, {len(tiles):,} of {total:,}"


def _notes(tiles: Sequence[_Tile], total: int, pages: Sequence[list[list[_Tile]]]) -> list[str]:
    drawn = sum(len(row) for page in pages[:MAX_SHEETS] for row in page)
    left_out = [f"Only the first {drawn:,} of {total:,} pictures are drawn."] if drawn < total else []
    factors = sorted({tile.shrink for tile in tiles if tile.shrink > 1})
    shares = " or ".join(f"{factor} x {factor}" for factor in factors)
    return left_out + ([f"Large pictures are drawn smaller: a pixel is the mean of {shares} values."] if shares else [])


def _grid(rows: Sequence[Sequence[_Tile]], cell: int) -> Image.Image:
    """One page of the grid."""
    heights = [max(tile.tall for tile in row) + _BETWEEN for row in rows]
    image = canvas.blank(max(map(len, rows)) * (cell + _BETWEEN) - _BETWEEN, sum(heights) - _BETWEEN)
    top = 0
    for row, tall in zip(rows, heights, strict=True):
        for at, tile in enumerate(row):
            _place(image, tile, at * (cell + _BETWEEN), top, cell)
        top += tall
    return image


def _place(image: Image.Image, tile: _Tile, left: int, top: int, cell: int) -> None:
    """Draws a tile into a cell `cell` pixels wide: the picture and its texts centred, its frame around it."""
    across, down = tile.size
    x, y = left + (cell - across) // 2, top + _FRAME
    if across and down:
        values = shrunk(tile.picture.values, tile.shrink, tile.shrink)
        image.paste(Image.fromarray(painted(values, tile.scale, tile.grow, tile.grow)), (x, y))
    rim = _FRAME if tile.frame else 1
    box = (x - rim, y - rim, x + across + rim - 1, y + down + rim - 1)
    ImageDraw.Draw(image).rectangle(box, outline=tile.frame or HAIRLINE, width=rim)
    for at, (text, colour) in enumerate(tile.texts):
        place = (left + cell / 2, y + down + _FRAME + 3 + at * height(LABEL))
        canvas.write(image, place, cut(text, LABEL, cell), colour=colour, anchor="ma")
