"""Matrices as colours, with axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from inspector.contract import Heatmap
from inspector.errors import PluginError
from inspector.render import canvas, colourbar
from inspector.render.canvas import LABEL, TEXT, label_text, text_image, write
from inspector.render.lettering import cut, height, width
from inspector.render.numbers import thinned
from inspector.render.palette import HAIRLINE, LINES, MISSING, MUTED, NOT_FINITE, Colour, Floats, Pixels
from inspector.render.pixels import Own, as_floats, check_values, equal, extremes, occurs, painted, shrunk

MOST_CELLS: Final = 2400
"""Rows, and columns, that are drawn; of a larger matrix neighbours are averaged, and the picture says so."""

_WIDE, _TALL, _LARGEST, _READABLE = 1100, 800, 36, 12
_SHORT, _LONGEST_LABEL, _FEW = 40, 220, 12
_TICK, _SPACE = 4, 6


@dataclass(frozen=True, slots=True)
class _Axis:
    """One side of the plot.

    Attributes:
        name: what it counts.
        labels: one text per row or column, or none.
        count: rows or columns of the matrix itself.
        shrink: how many of them make one cell.
        pixels: how large a cell is.
    """

    name: str
    labels: Sequence[str]
    count: int
    shrink: int
    pixels: int

    @property
    def length(self) -> int:
        return -(-self.count // self.shrink) * self.pixels

    @property
    def pitch(self) -> float:
        """Pixels from one row or column of the matrix to the next."""
        return self.pixels / self.shrink

    def text(self, at: int) -> str:
        """The label of a row or column, or its number, from 0."""
        return cut(label_text(self.labels[at]), LABEL, _LONGEST_LABEL) if at < len(self.labels) else str(at)

    def widest(self, which: Sequence[int]) -> int:
        """Pixels of the longest of these labels."""
        return max((width(self.text(at), LABEL) for at in which), default=0)

    @property
    def broadest(self) -> int:
        """Pixels that no label exceeds."""
        if self.count > MOST_CELLS and self.labels:
            return _LONGEST_LABEL
        return self.widest(range(self.count) if self.labels else [8 * (10 ** len(str(self.count)) // 9)])

    def centre(self, at: int) -> float:
        return (at + 0.5) * self.pitch


def draw_heatmap(block: Heatmap) -> Image.Image:
    """The whole picture of a matrix.

    Raises:
        PluginError: the values are no matrix.
        LimitError: they are too many.
    """
    subject = f"heat map {block.title[:80]!r}"
    if block.values.ndim != 2:
        found = f"shape {block.values.shape}"
        raise PluginError(subject, "it has the wrong shape", expected="(rows, columns)", found=found)
    check_values(subject, block.values)
    if not block.values.size:
        return canvas.sheet(block.title, block.caption, [], ["There are no values."])
    rows, columns = _axes(block)
    own = _own_colours([value for value, _ in block.meanings])
    small = _shrunk(block, rows.shrink, columns.shrink)
    cells = painted(small, block.scale, rows.pixels, columns.pixels, own)
    parts = [*_legend(block, small, own), _plot(cells, rows, columns)]
    return canvas.sheet(block.title, block.caption, parts, _notes(rows, columns, marked=bool(_marks(block))))


def _marks(block: Heatmap) -> list[float]:
    """The values with a meaning of their own; entries that are missing are none."""
    return [value for value, _ in block.meanings if not math.isnan(value)]


def _shrunk(block: Heatmap, down: int, across: int) -> Floats:
    """Means of cells; a cell in which there is a value with a meaning is that value, and no mean is one by chance."""
    small = shrunk(block.values, down, across)
    if down == across == 1:
        return small
    real = as_floats(block.values, "values")
    for value in reversed(_marks(block)):
        chance = equal(small, value) & np.isfinite(small)
        small[chance] = np.nextafter(value, 0.0 if value else 1.0)
        small[occurs(equal(real, value), down, across)] = value
    return small


def _own_colours(values: Sequence[float]) -> list[tuple[float, Colour]]:
    """A colour for each of these values that no number has: grey is missing."""
    marks = cycle((*LINES[1:], LINES[0]))
    return [(v, next(marks) if math.isfinite(v) else MISSING if math.isnan(v) else NOT_FINITE) for v in values]


def _legend(block: Heatmap, small: Floats, own: Own) -> list[Image.Image]:
    """The bar, the values with a meaning of their own as far as they are drawn, and what else is not finite."""
    parts, rest, numbers = list[Image.Image](), small, as_floats(block.values, "values")
    for (_, text), (value, colour) in zip(block.meanings, own, strict=True):
        those = equal(rest, value)
        parts += [colourbar.swatch(value, colour, label_text(text, 80))] if those.any() else []
        rest, numbers = rest[~those], numbers[~equal(numbers, value)]
    bar = colourbar.bar(block.scale, extremes(numbers, block.scale))
    return colourbar.legend([bar, *parts, *colourbar.swatches(extremes(rest, block.scale))])


def _axes(block: Heatmap) -> tuple[_Axis, _Axis]:
    """Rows and columns. Cells are square where both sides are readable, and never needlessly long."""
    shrinks = [math.ceil(count / MOST_CELLS) for count in block.values.shape]
    cells = [math.ceil(count / shrink) for count, shrink in zip(block.values.shape, shrinks, strict=True)]
    down, across = (max(1, min(room // count, _LARGEST)) for count, room in zip(cells, (_TALL, _WIDE), strict=True))
    if min(down, across) >= _READABLE:
        down = across = min(down, across)
    down, across = min(down, max(4 * across, height(LABEL))), min(across, max(4 * down, height(LABEL)))
    return (
        _Axis(label_text(block.row_axis, 80), block.row_labels, block.values.shape[0], shrinks[0], down),
        _Axis(label_text(block.column_axis, 80), block.column_labels, block.values.shape[1], shrinks[1], across),
    )


def _notes(rows: _Axis, columns: _Axis, *, marked: bool) -> list[str]:
    if rows.shrink == columns.shrink == 1:
        return []
    cell = f"the mean of {rows.shrink} x {columns.shrink}{', or one of these that has a meaning of its own' * marked}"
    return [f"Drawn smaller: {rows.count} x {columns.count} values, a cell is {cell}."]


def _plot(cells: Pixels, rows: _Axis, columns: _Axis) -> Image.Image:
    """The cells with both axes around them."""
    beside, (below, turned) = _beside(rows), _below(columns)
    upright = width(rows.name, TEXT) <= rows.length
    left = rows.widest(beside) + _TICK + _SPACE + (height(TEXT) + _SPACE if rows.name and upright else 0)
    top = 1 + max(0, math.ceil(height(LABEL) / 2 - rows.centre(0))) + (0 if upright else height(TEXT) + _SPACE)
    widest = columns.widest(below)
    foot = _TICK + _SPACE + (widest if turned else height(LABEL) * bool(widest)) + _SPACE
    right = left + max(columns.length + (0 if turned else widest // 2), width(columns.name, TEXT))
    image = canvas.blank(max(right, width(rows.name, TEXT)) + 2, top + rows.length + foot + height(TEXT))
    image.paste(Image.fromarray(cells), (left, top))
    ImageDraw.Draw(image).rectangle((left - 1, top - 1, left + columns.length, top + rows.length), outline=HAIRLINE)
    _label_rows(image, rows, beside, (left, top))
    _label_columns(image, columns, below, (left, top + rows.length), turned=turned)
    middle = left + max(columns.length, width(columns.name, TEXT)) / 2
    write(image, (middle, top + rows.length + foot), columns.name, TEXT, MUTED, anchor="ma")
    if upright and rows.name:
        name = text_image(rows.name, TEXT, MUTED).rotate(90, expand=True)
        image.paste(name, (0, top + (rows.length - name.height) // 2))
    else:
        write(image, (0, 0), rows.name, TEXT, MUTED)
    return image


def _beside(rows: _Axis) -> range:
    """Which row labels to draw."""
    crowded = not rows.labels and rows.pitch < height(LABEL)
    return thinned(rows.count, rows.pitch, height(LABEL) * (2 if crowded else 1))


def _below(columns: _Axis) -> tuple[range, bool]:
    """Which column labels to draw, and whether they are turned upright: where more fit so, if long, or all of few."""
    flat = thinned(columns.count, columns.pitch, columns.broadest + 14)
    upright = thinned(columns.count, columns.pitch, height(LABEL))
    few = bool(columns.labels) and len(upright) == columns.count <= _FEW
    turned = (columns.broadest > _SHORT or few) and len(upright) > len(flat)
    return (upright, True) if turned else (flat, False)


def _label_rows(image: Image.Image, rows: _Axis, which: Sequence[int], corner: tuple[int, int]) -> None:
    left, top = corner
    for at in filter(rows.text, which):
        middle = top + rows.centre(at)
        ImageDraw.Draw(image).line([(left - 1 - _TICK, int(middle)), (left - 2, int(middle))], fill=HAIRLINE)
        write(image, (left - _TICK - _SPACE, middle), rows.text(at), anchor="rm")


def _label_columns(
    image: Image.Image, columns: _Axis, which: Sequence[int], corner: tuple[int, int], *, turned: bool
) -> None:
    left, top = corner
    for at in filter(columns.text, which):
        middle = left + columns.centre(at)
        ImageDraw.Draw(image).line([(int(middle), top + 1), (int(middle), top + _TICK)], fill=HAIRLINE)
        if turned:
            text = text_image(columns.text(at)).rotate(90, expand=True)
            image.paste(text, (int(middle - text.width / 2), top + _TICK + _SPACE - 2))
        else:
            write(image, (middle, top + _TICK + _SPACE - 2), columns.text(at), anchor="ma")
