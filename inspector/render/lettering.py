"""Text in pictures: the built-in font, its gaps filled, letters where they belong, lines broken and cut to a width."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from functools import cache, lru_cache

from PIL import Image, ImageDraw, ImageFont

ELLIPSIS = "…"
MOST_CHARACTERS = 1000
"""Longer texts are cut before anything is measured: they cannot be read in a picture anyway."""

_FINE = 8
"""Text is laid out and drawn so many times larger, then made smaller: Pillow places letters on whole pixels."""

_REMEMBERED = 4096
"""Texts whose widths, and whose letters, are kept: pictures of one report share most of theirs."""

_MOST_TITLE, _LEAST_WORD = 10_000, 8
_NOWHERE = "\uffff"
_INSTEAD = {
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{MINUS SIGN}": "-",
    "\N{HYPHEN}": "-",
    "\N{NON-BREAKING HYPHEN}": "-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{DOT OPERATOR}": "·",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{NOT EQUAL TO}": "!=",
    "\N{ALMOST EQUAL TO}": "~",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{LEFTWARDS ARROW}": "<-",
    "\N{LEFT RIGHT ARROW}": "<->",
    "\N{INFINITY}": "Inf",
    "\N{SQUARE ROOT}": "sqrt ",
    "\N{SUPERSCRIPT TWO}": "^2",
    "\N{SUPERSCRIPT THREE}": "^3",
    "\N{ELEMENT OF}": "in",
    "\N{DOUBLE VERTICAL LINE}": "||",
    "\N{N-ARY SUMMATION}": "sum",
    "\N{MICRO SIGN}": "u",
    "\N{LATIN SMALL LETTER SHARP S}": "ss",
}
"""Spellings for what the built-in font lacks, which is nearly everything beyond ASCII."""


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with Pillow, at that size in pixels."""
    found = ImageFont.load_default(size)
    if not isinstance(found, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType; install a wheel of Pillow from PyPI")
    return found


def readable(text: str) -> str:
    """The text on one line with only characters that the font can draw, or a spelling of them; `?` at the worst."""
    line = " ".join(text[:MOST_CHARACTERS].split())
    shown = "".join(_drawable(character) for character in line)
    return shown + ELLIPSIS if len(text) > MOST_CHARACTERS else shown


@lru_cache(maxsize=_REMEMBERED)
def width(text: str, size: int) -> int:
    """Pixels from the first letter to the last, rounded up."""
    return math.ceil(font(size * _FINE).getlength(text) / _FINE)


def lettered(text: str, at: tuple[float, float], size: int, anchor: str) -> tuple[Image.Image, tuple[int, int]]:
    """How much of every pixel readable text covers, 0 to 255, and where the left top corner of that is.

    Letters lie between pixels, all at the distances that the font wants; their base line is on a whole one.

    Args:
        text: not empty.
        at: where it goes, in pixels.
        size: of its letters, in pixels.
        anchor: as in Pillow, such as `la`.
    """
    across, down = math.floor(at[0]), 2 * math.floor(at[1] / 2)  # an even number, as halves are rounded to even ones
    image, (x, y) = _lettered(text, (at[0] - across, at[1] - down), size, anchor)
    return image, (across + x, down + y)


@lru_cache(maxsize=_REMEMBERED)
def _lettered(text: str, at: tuple[float, float], size: int, anchor: str) -> tuple[Image.Image, tuple[int, int]]:
    """`lettered` near the corner; the labels of one picture are mostly those of the next."""
    face, across, on_line = font(size * _FINE), at[0] * _FINE, anchor[0] + "s"
    left, top, right, bottom = face.getbbox(text, anchor=on_line)
    down = round(at[1] + (face.getbbox(text, anchor=anchor)[1] - top) / _FINE) * _FINE
    x, y = math.floor((across + left) / _FINE), math.floor((down + top) / _FINE)
    end, foot = math.ceil((across + right) / _FINE) + 1, math.ceil((down + bottom) / _FINE) + 1
    fine = Image.new("L", ((end - x) * _FINE, (foot - y) * _FINE))
    ImageDraw.Draw(fine).text((across - x * _FINE, down - y * _FINE), text, fill=255, font=face, anchor=on_line)
    return fine.reduce(_FINE), (x, y)


def height(size: int) -> int:
    """Pixels from one line of text to the next."""
    return round(size * 1.3)


def cut(text: str, size: int, room: int) -> str:
    """The text, or as much of its beginning and end as fits into `room` pixels, with an ellipsis between."""
    if width(text, size) <= room:
        return text
    keep = _longest(len(text) - 1, lambda n: width(_without_middle(text, n), size) <= room)
    return _without_middle(text, keep)


def lines(text: str, size: int, room: int, most: int) -> list[str]:
    """The text broken into `most` lines of `room` pixels; the last may be cut.

    Lines break at spaces, else after a `/`, `_`, `.`, `:` or `-`, else anywhere.
    """
    rest, found = readable(text), list[str]()
    while rest and len(found) < most - 1 and width(rest, size) > room:
        end = _line_end(rest, size, room)
        found.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return [*found, cut_end(rest, size, room)] if rest else found


def shortened(text: str, size: int, room: int, most: int) -> str:
    """The text with its longest words cut in their middle, no more than it must be to fit into that many lines.

    So a title keeps what the picture is, and the end of a name, whatever else the name has. A text that does not fit
    even with words of eight letters comes back as it is.
    """
    words = _without_middle(text, _MOST_TITLE).split() if len(text) > _MOST_TITLE else text.split()

    def with_words_of(letters: int) -> str:
        return " ".join(w if len(w) <= letters else _without_middle(w, letters - 1) for w in words)

    def fits(letters: int) -> bool:
        return len(lines(with_words_of(letters), size, room, most + 1)) <= most

    kept = _longest(min(MOST_CHARACTERS // 4, max(map(len, words), default=0)), fits)
    return with_words_of(kept) if kept >= _LEAST_WORD else text


def _line_end(text: str, size: int, room: int) -> int:
    """How many characters go on the first line, one at least; the text is too long for it."""
    fits = max(1, _longest(len(text), lambda n: width(text[:n].rstrip(), size) <= room))
    space = text.rfind(" ", 1, fits + 1)
    joint = max(text.rfind(mark, 0, fits) + 1 for mark in "/_.:-")
    return next((end for end in (space, joint) if end > fits // 3), fits)


def cut_end(text: str, size: int, room: int) -> str:
    """The text, or as much of its beginning as fits into `room` pixels, with an ellipsis."""
    if width(text, size) <= room:
        return text
    keep = _longest(len(text) - 1, lambda n: width(text[:n].rstrip() + ELLIPSIS, size) <= room)
    return text[:keep].rstrip() + ELLIPSIS


def _without_middle(text: str, keep: int) -> str:
    head = (keep + 1) // 2
    return text[:head] + ELLIPSIS + text[len(text) - (keep - head) :]


def _longest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest n in 0..most for which `fits(n)`; larger n are never easier than smaller ones."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


@lru_cache(maxsize=4096)
def _drawable(character: str) -> str:
    """The character, or its spelling: from the table, its letters without accents, its Greek name, or `?`."""
    if _has(character):
        return character
    if character in _INSTEAD:
        return _INSTEAD[character]
    if unicodedata.category(character).startswith(("C", "M")):
        return ""
    plain = "".join(c for c in unicodedata.normalize("NFKD", character) if _has(c))
    return plain or _greek(character) or "?"


def _greek(character: str) -> str:
    """`tau` for the Greek letter, capitalised for the capital; empty for anything else."""
    words = unicodedata.name(character, "").split()
    if words[:1] != ["GREEK"] or "LETTER" not in words:
        return ""
    name = words[words.index("LETTER") + 1].lower().replace("lamda", "lambda")
    return name.capitalize() if "CAPITAL" in words else name


@cache
def _has(character: str) -> bool:
    mask, empty = font(16).getmask(character), font(16).getmask(_NOWHERE)
    return character == " " or (mask.size, bytes(mask)) != (empty.size, bytes(empty))
