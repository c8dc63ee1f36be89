"""Blocks as arrays of pixels, and what to look for in them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from inspector.contract import Scale, ScaleKind
from inspector.render.sheet import block_pngs

UNIT = Scale(ScaleKind.SEQUENTIAL, 0.0, 1.0)
BOTH = Scale(ScaleKind.SIGNED, -1.0, 1.0)
CORNERS = np.array([[0.0, 1.0], [1.0, 0.0]])


def sheets(block):
    return [np.asarray(Image.open(io.BytesIO(data))) for data in block_pngs(block)]


def only(block):
    (sheet,) = sheets(block)
    return sheet


def places(sheet, patch):
    """Where exactly this patch of pixels is, as (row, column) of its top left corner."""
    down, across = patch.shape[:2]
    starts = (sheet[: sheet.shape[0] - down + 1, : sheet.shape[1] - across + 1] == patch[0, 0]).all(axis=2)
    return [(y, x) for y, x in np.argwhere(starts) if (sheet[y : y + down, x : x + across] == patch).all()]


def texts(written):
    return {text for text, _, _ in written}


def has(sheet, colour):
    return bool((sheet == colour).all(axis=2).any())


def blocks(colours, factor):
    """A grid of colours, every one a square of `factor` pixels: by definition."""
    return np.kron(np.array(colours), np.ones((factor, factor, 1), int)).astype(np.uint8)
