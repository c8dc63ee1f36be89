"""Blocks to files of pictures: the one door for everything that has a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

from PIL import Image

from inspector.contract import Block, Curve, Graph, Heatmap, Images
from inspector.render.blame import blamed
from inspector.render.canvas import pixels_of
from inspector.render.curve import draw_curve
from inspector.render.graph import draw_graph
from inspector.render.heatmap import draw_heatmap
from inspector.render.images import draw_images
from inspector.render.pixels import packed, png

Drawn = Images | Heatmap | Curve | Graph
"""The blocks that are pictures; tables and notes are text."""


def is_drawn(block: Block) -> TypeGuard[Drawn]:
    """True for a block that is a picture."""
    return isinstance(block, Images | Heatmap | Curve | Graph)


def block_png(block: Drawn) -> bytes:
    """The block as one labelled picture, PNG; of several sheets the first, which says so.

    Raises:
        LimitError: the block is too large to be drawn in any way.
        PluginError: the block is not what its type promises.
    """
    return png(pixels_of(next(_drawn(block))))


def block_pngs(block: Drawn) -> tuple[bytes, ...]:
    """The block as labelled pictures, PNG, one or more: every sheet of it.

    Raises:
        LimitError: the block is too large to be drawn in any way.
        PluginError: the block is not what its type promises.
    """
    return tuple(png(pixels_of(sheet)) for sheet in _drawn(block))


@dataclass(frozen=True, slots=True)
class Sheet:
    """A picture for a browser: `webp` or `png`, its bytes, and its size in pixels."""

    kind: str
    data: bytes
    width: int
    height: int


def block_sheets(block: Drawn) -> tuple[Sheet, ...]:
    """The same pictures as `block_pngs` gives, pixel by pixel, packed for a browser.

    Raises:
        LimitError: the block is too large to be drawn in any way.
        PluginError: the block is not what its type promises.
    """
    return tuple(Sheet(*packed(sheet), *sheet.size) for sheet in _drawn(block))


def _drawn(block: Drawn) -> Iterator[Image.Image]:
    with blamed(type(block).__name__.lower(), block.title):
        match block:
            case Images():
                yield from draw_images(block)
            case Graph():
                yield from draw_graph(block)
            case Heatmap():
                yield draw_heatmap(block)
            case Curve():
                yield draw_curve(block)
