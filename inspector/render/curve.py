"""Lines over a pair of axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from inspector.contract import Curve, Series
from inspector.errors import LimitError, PluginError
from inspector.render import canvas
from inspector.render.canvas import LABEL, TEXT, label_text, text_image, write
from inspector.render.lettering import height, width
from inspector.render.numbers import tick_texts, ticks
from inspector.render.palette import FAINT, HAIRLINE, LINES, MUTED, Floats

MOST_SERIES: Final = 42
"""Lines that are drawn; of more the first, and the picture says so."""

MOST_POINTS: Final = 1 << 17
"""A curve with more points in all is not drawn. Lines with ascending x never have so many: see `_points`."""

_WIDE, _TALL, _FINE = 760, 420, 4
_FARTHEST = 8e307
"""Where numbers beyond it are drawn: the length of an axis is a number as well."""
_SOLID = len(LINES)
"""So many lines are told apart by colour; the next are dashed, those after them dotted."""


@dataclass(frozen=True, slots=True)
class _Range:
    """One axis: numbers at its two ends, where its ticks are, and how long it is in pixels."""

    low: float
    high: float
    ticks: tuple[float, ...]
    pixels: int

    def place(self, values: Floats) -> Floats:
        """Pixels from the low end."""
        half = self.high / 2 - self.low / 2
        return (values / 2 - self.low / 2) / half * self.pixels


def draw_curve(block: Curve) -> Image.Image:
    """The whole picture of a curve.

    Raises:
        PluginError: a series has not as many x as y.
        LimitError: there are too many points.
    """
    lines = _lines(block)
    finite = [line[np.isfinite(line).all(axis=1)] for line in lines]
    seen = np.concatenate([np.empty((0, 2)), *finite])
    if not len(seen):
        return canvas.sheet(block.title, block.caption, [], ["There are no points."])
    x, y = _range(seen[:, 0], _WIDE, 8, 0.0), _range(seen[:, 1], _TALL, 7, 0.04)
    names = [label_text(series.name) for series in block.series[:MOST_SERIES]]
    plot = _plot(x, y, label_text(block.x_axis, 90), label_text(block.y_axis, 50), lines)
    return canvas.sheet(block.title, block.caption, [*_legend(names, plot.width), plot], _notes(block, lines))


def _lines(block: Curve) -> list[Floats]:
    """The lines to draw, (P, 2) each."""
    subject = f"curve {block.title[:80]!r}"
    for series in block.series[:MOST_SERIES]:
        if len(series.x) != len(series.y):
            found = f"{len(series.x)} and {len(series.y)} in {series.name[:80]!r}"
            raise PluginError(subject, "it has points without a partner", expected="as many x as y", found=found)
    lines = [_points(series) for series in block.series[:MOST_SERIES]]
    points = sum(map(len, lines))
    if points > MOST_POINTS:
        raise LimitError(subject, "it has too many points", expected=f"{MOST_POINTS:,} at most", found=f"{points:,}")
    return lines


def _points(series: Series) -> Floats:
    """(P, 2) x and y; of many points in ascending x only the lowest and highest nearby, which look the same."""
    points = np.stack([np.asarray(series.x, np.float64), np.asarray(series.y, np.float64)], axis=-1)
    points = np.where(np.isinf(points), points, np.clip(points, -_FARTHEST, _FARTHEST))
    bucket = len(points) // (2 * _WIDE)
    if bucket <= 2 or not (np.diff(points[:, 0]) >= 0).all():
        return points
    starts = range(0, len(points), bucket)
    parts = [points[start : start + bucket, 1] for start in starts]
    kept = [start + int(at) for start, y in zip(starts, parts, strict=True) for at in (y.argmin(), y.argmax())]
    return points[sorted([*kept, len(points) - 1])]


def _range(values: Floats, pixels: int, most: int, margin: float) -> _Range:
    """An axis that holds all the values, with round ticks; `margin` is its share beyond them at either end."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    low, high = low - (high - low) * margin, high + (high - low) * margin
    return _Range(low, high, tuple(ticks(low, high, most)), pixels)


def _plot(x: _Range, y: _Range, x_name: str, y_name: str, lines: Sequence[Floats]) -> Image.Image:
    """Axes, grid, lines. The plot itself has its top left corner at (left, top)."""
    x_texts, y_texts = tick_texts(x.ticks), tick_texts(y.ticks)
    top, right = height(LABEL), max(width(text, LABEL) for text in [*x_texts, ""]) // 2 + 4
    left = max([width(text, LABEL) for text in y_texts], default=0) + 10 + (height(TEXT) + 6 if y_name else 0)
    image = canvas.blank(left + x.pixels + right, top + y.pixels + 8 + height(LABEL) + 8 + height(TEXT))
    draw, bottom = ImageDraw.Draw(image), top + y.pixels
    for at, text in zip(y.place(np.array(y.ticks)), y_texts, strict=True):
        draw.line([(left, bottom - round(at)), (left + x.pixels, bottom - round(at))], fill=FAINT)
        write(image, (left - 8, bottom - at), text, anchor="rm")
    for at, text in zip(x.place(np.array(x.ticks)), x_texts, strict=True):
        draw.line([(left + round(at), bottom), (left + round(at), bottom + 4)], fill=HAIRLINE)
        write(image, (left + at, bottom + 8), text, anchor="ma")
    draw.line([(left, top), (left, bottom), (left + x.pixels, bottom)], fill=HAIRLINE)
    for at, line in enumerate(lines):
        places = np.stack([x.place(line[:, 0]), y.pixels - y.place(line[:, 1])], axis=-1)
        _stroke(image, places, (left, top), (x.pixels, y.pixels), at)
    write(image, (left + x.pixels / 2, bottom + 16 + height(LABEL)), x_name, TEXT, MUTED, anchor="ma")
    name = text_image(y_name, TEXT, MUTED).rotate(90, expand=True)
    image.paste(name, (0, max(0, top + (y.pixels - name.height) // 2)))
    return image


def _stroke(image: Image.Image, places: Floats, corner: tuple[int, int], size: tuple[int, int], which: int) -> None:
    """Draws one line smoothly: `_FINE` times as large, then made smaller. Points that are not finite leave a gap.

    Few points, and points that stand alone, are dots as well.
    """
    pad = 4
    mask = Image.new("L", ((size[0] + 2 * pad) * _FINE, (size[1] + 2 * pad) * _FINE))
    draw, colour = ImageDraw.Draw(mask), LINES[which % _SOLID]
    marked = 2 < len(places) <= 40
    for run in _runs(places):
        for piece in _dashed((run + pad) * _FINE, which // _SOLID):
            draw.line([tuple(p) for p in piece.tolist()], fill=255, width=2 * _FINE - 1, joint="curve")
        for px, py in (run + pad) * _FINE if marked or len(run) == 1 else ():
            draw.circle((px, py), 3 * _FINE - 1, fill=255)
    small = mask.resize((size[0] + 2 * pad, size[1] + 2 * pad), Image.Resampling.BOX)
    image.paste(colour, (corner[0] - pad, corner[1] - pad), small)


def _runs(places: Floats) -> list[Floats]:
    """The stretches between points that are not finite."""
    finite = np.isfinite(places).all(axis=1)
    edges = np.flatnonzero(np.diff(finite)) + 1
    return [run for run, whole in zip(np.split(places, edges), np.split(finite, edges), strict=True) if whole.all()]


def _dashed(run: Floats, style: int) -> list[Floats]:
    """The pieces to draw of a run: all of it (style 0), long dashes (1), short ones (2), ….

    A run of points is cut at equal distances along its length.
    """
    if style == 0 or len(run) < 2:
        return [run]
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(run, axis=0), axis=1))])
    dash = {1: 8.0, 2: 3.0}.get(style, 5.0) * _FINE
    starts = np.arange(0.0, length[-1], 2 * dash)[:2000]
    return [_between(run, length, start, min(start + dash, length[-1])) for start in starts]


def _between(run: Floats, length: Floats, start: float, end: float) -> Floats:
    inside = length[(length > start) & (length < end)]
    at = np.concatenate([[start], inside, [end]])
    return np.stack([np.interp(at, length, run[:, axis]) for axis in (0, 1)], axis=-1)


def _legend(names: Sequence[str], room: int) -> list[Image.Image]:
    """Every line's colour and name, in rows as wide as the plot; nothing for one line without a name."""
    if not any(names):
        return []
    rows, left = [list[tuple[int, int]]()], 0
    for at, name in enumerate(names):
        need = 30 + width(name, LABEL) + 18
        if left + need > room and rows[-1]:
            rows.append([])
            left = 0
        rows[-1].append((left, at))
        left += need
    image = canvas.blank(room, len(rows) * (height(LABEL) + 2))
    for row, entries in enumerate(rows):
        for left, at in entries:
            middle = row * (height(LABEL) + 2) + height(LABEL) // 2
            _stroke(image, np.array([[0.0, 4.0], [24.0, 4.0]]), (left + 4, middle - 4), (24, 8), at)
            write(image, (left + 36, middle), names[at], anchor="lm")
    return [image]


def _notes(block: Curve, lines: Sequence[Floats]) -> list[str]:
    more = len(block.series) - len(lines)
    left_out = [f"Only the first {len(lines)} of {len(block.series):,} lines are drawn."] if more else []
    gaps = any(not np.isfinite(line).all() for line in lines)
    return left_out + (["Lines are interrupted where a value is not a finite number."] if gaps else [])
