"""The sheet of paper: margins, headings, text at a place, and the bounds of every picture that is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image

from inspector.errors import LimitError
from inspector.render.lettering import ELLIPSIS, height, lettered, lines, readable, shortened, width
from inspector.render.palette import INK, MUTED, PAPER, Colour, Pixels
from inspector.render.pixels import MAX_PIXELS, MAX_SIDE

MARGIN: Final = 24
GAP: Final = 16
TITLE: Final = 20
TEXT: Final = 14
LABEL: Final = 12
"""Sizes of letters, in pixels."""

PAGE: Final = 1600
"""Width that pictures are laid out for, where nothing forces a larger one."""

_NARROWEST = 520


def blank(across: int, down: int) -> Image.Image:
    """White paper of that size.

    Raises:
        LimitError: it would be larger than `MAX_SIDE` or `MAX_PIXELS`.
    """
    if max(across, down) > MAX_SIDE or across * down > MAX_PIXELS:
        raise LimitError(
            "picture",
            "it would be too large",
            expected=f"sides up to {MAX_SIDE} pixels, {MAX_PIXELS:,} in all",
            found=f"{across} x {down}",
            remedy="Ask the analysis for a part of it, or read the values from the report's JSON.",
        )
    return Image.new("RGB", (max(1, across), max(1, down)), PAPER)


def write(  # noqa: PLR0917 - a place, then a look: the order of Pillow's own text()
    image: Image.Image, at: tuple[float, float], text: str, size: int = LABEL, colour: Colour = INK, anchor: str = "la"
) -> None:
    """Draws readable text, if any; `anchor` as in Pillow: l, m, r and a (top), m, s (baseline), d (bottom)."""
    if text:
        covered, corner = lettered(text, at, size, anchor)
        image.paste(colour, corner, covered)


def text_image(text: str, size: int = LABEL, colour: Colour = INK) -> Image.Image:
    """One line of readable text on paper of its own size, to be turned or pasted."""
    image = blank(width(text, size) + 2, height(size))
    write(image, (1, 0), text, size, colour)
    return image


def paragraph(text: str, room: int, most: int, size: int = TEXT, colour: Colour = INK) -> list[Image.Image]:
    """The text broken into lines of `room` pixels, as one image; an empty list where there is no text."""
    found = lines(text, size, room, most)
    if not found:
        return []
    image = blank(max(width(line, size) for line in found) + 2, height(size) * len(found) + 2)
    for at, line in enumerate(found):
        write(image, (1, at * height(size)), line, size, colour)
    return [image]


def sheet(title: str, caption: str, parts: Sequence[Image.Image], notes: Sequence[str] = ()) -> Image.Image:
    """The whole picture: title, caption, the parts below each other, all from the same left edge.

    A long title loses the middle of its longest words, which are names, and keeps what the picture is.
    """
    room = max(_NARROWEST, *(part.width for part in parts), 0)
    head = stacked(
        [*paragraph(shortened(title, TITLE, room, 2), room, 2, TITLE), *paragraph(caption, room, 8, TEXT, MUTED)], 8
    )
    tail = stacked([image for note in notes for image in paragraph(note, room, 3, LABEL, MUTED)], 2)
    content = stacked([*head, *parts, *tail], GAP)[0]
    image = blank(max(content.width, _NARROWEST) + 2 * MARGIN, content.height + 2 * MARGIN)
    image.paste(content, (MARGIN, MARGIN))
    return image


def stacked(parts: Sequence[Image.Image], gap: int) -> list[Image.Image]:
    """The parts below each other as one image; an empty list of an empty one."""
    if not parts:
        return []
    image = blank(max(p.width for p in parts), sum(p.height for p in parts) + gap * (len(parts) - 1))
    top = 0
    for part in parts:
        image.paste(part, (0, top))
        top += part.height + gap
    return [image]


def pixels_of(image: Image.Image) -> Pixels:
    """(H, W, 3) of an image."""
    return np.asarray(image, dtype=np.uint8)


def label_text(text: str, most: int = 40) -> str:
    """A short readable text for ticks and boxes, cut in its middle."""
    line = readable(text)
    return line if len(line) <= most else line[: most // 2] + ELLIPSIS + line[-(most - most // 2 - 1) :]
