"""Legends: what the colours of a picture stand for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from inspector.contract import Scale, ScaleKind
from inspector.render.canvas import LABEL, blank, label_text, write
from inspector.render.lettering import height, width
from inspector.render.numbers import number
from inspector.render.palette import HAIRLINE, INK, MUTED, NOT_FINITE, Colour, Pixels
from inspector.render.pixels import Extremes, colours, ends, painted

_ACROSS, _DOWN, _POINT, _SPACE = 240, 12, 8, 24


def bar(scale: Scale, beyond: Extremes) -> Image.Image:
    """The colours from low to high with three numbers and the unit; a pointed end where values lie beyond it."""
    low, high = ends(scale)
    texts = [number(low), number(low / 2 + high / 2), number(high)]
    return _labelled(scale.kind, texts if high > low else ["", texts[1], ""], label_text(scale.unit), beyond)


def words(kind: ScaleKind, *, grey: bool = False) -> Image.Image:
    """The colours of a kind of scale where every picture has numbers of its own, given under it.

    `grey`: red, green and blue are the same everywhere.
    """
    texts = ["-limit", "0", "+limit"] if kind is ScaleKind.SIGNED else ["low", "", "high"]
    return _labelled(kind, texts, "numbers under each picture", Extremes(), grey=grey)


def swatches(seen: Extremes) -> list[Image.Image]:
    """What is drawn for NaN and infinities, by name; nothing where there are none."""
    both = " or ".join(["NaN"] * seen.nan + ["Inf"] * seen.infinite)
    return [swatch(np.nan, NOT_FINITE, f"not a number ({both})")] if both else []


def swatch(value: float, colour: Colour, text: str) -> Image.Image:
    """A cell of that value, which has a colour of its own, and what it stands for."""
    scale = Scale(ScaleKind.SEQUENTIAL, 0.0, 1.0)
    return _named(painted(np.full((1, 1), value), scale, _DOWN, _DOWN, [(value, colour)]), text)


def patch(colour: Colour, text: str) -> Image.Image:
    """A square of that colour and what it stands for."""
    return _named(np.full((_DOWN, _DOWN, 3), colour, np.uint8), text)


def legend(parts: Sequence[Image.Image]) -> list[Image.Image]:
    """The parts beside each other as one image; an empty list of an empty one."""
    if not parts:
        return []
    image = blank(sum(p.width for p in parts) + _SPACE * (len(parts) - 1), max(p.height for p in parts))
    left = 0
    for part in parts:
        image.paste(part, (left, 0))
        left += part.width + _SPACE
    return [image]


def _labelled(kind: ScaleKind, texts: Sequence[str], unit: str, beyond: Extremes, *, grey: bool = False) -> Image.Image:
    left, right = _POINT * beyond.below, _POINT * beyond.above
    end = left + _ACROSS
    image = blank(end + right + (12 + width(unit, LABEL) if unit else 0), _DOWN + 6 + height(LABEL))
    ramp = _ramp(kind, grey=grey)
    image.paste(Image.fromarray(ramp), (left, 0))
    _ends(ImageDraw.Draw(image), left, ramp, beyond)
    places = ((left, "la"), (left + _ACROSS / 2, "ma"), (end, "ra"))
    for (at, anchor), text in zip(places, texts, strict=True):
        write(image, (at, _DOWN + 4), text, anchor=anchor)
    if unit:
        write(image, (end + right + 10, _DOWN / 2), unit, colour=MUTED, anchor="lm")
    return image


def _ends(draw: ImageDraw.ImageDraw, left: int, ramp: Pixels, beyond: Extremes) -> None:
    right, middle = left + _ACROSS - 1, (_DOWN - 1) / 2
    draw.rectangle((left, 0, right, _DOWN - 1), outline=HAIRLINE)
    first, last = (tuple(int(v) for v in ramp[_DOWN // 2, at]) for at in (0, -1))
    if beyond.below:
        draw.polygon([(left, 0), (left, _DOWN - 1), (left - _POINT, middle)], fill=first, outline=HAIRLINE)
    if beyond.above:
        draw.polygon([(right, 0), (right, _DOWN - 1), (right + _POINT, middle)], fill=last, outline=HAIRLINE)


def _ramp(kind: ScaleKind, *, grey: bool) -> Pixels:
    """The colours of a scale from low to high, (_DOWN, _ACROSS, 3); red, green and blue below each other."""
    share = np.linspace(-1.0 if kind is ScaleKind.SIGNED else 0.0, 1.0, _ACROSS)
    if kind is not ScaleKind.COLOUR:
        return colours(np.tile(share, (_DOWN, 1)), Scale(kind, -1.0 if kind is ScaleKind.SIGNED else 0.0, 1.0))
    channel = np.arange(_DOWN) * 3 // _DOWN
    tints = np.ones((_DOWN, 3)) if grey else np.eye(3)[channel]
    return colours(share[None, :, None] * tints[:, None, :], Scale(kind, 0.0, 1.0))


def _named(square: Pixels, text: str) -> Image.Image:
    image = blank(_DOWN + 8 + width(text, LABEL), _DOWN + 4)
    image.paste(Image.fromarray(square), (0, 0))
    ImageDraw.Draw(image).rectangle((0, 0, _DOWN - 1, _DOWN - 1), outline=HAIRLINE)
    write(image, (_DOWN + 6, _DOWN / 2), text, colour=INK, anchor="lm")
    return image
