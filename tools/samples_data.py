"""The pictures the samples are made from: hand-written digits and patches of photographs.

Everything comes from inside the scikit-learn and scikit-image packages; nothing is downloaded.
Pixels are uint8 throughout, exactly as they are written to PNG, so that a network is trained on the
very numbers that the service later reads back from the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data as skimage_data
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

Bytes = NDArray[np.uint8]
Indices = NDArray[np.int64]

DIGIT_SIDE = 16  # pixels; the originals are 8 x 8
DIGITS_SHIPPED_PER_CLASS = 20

PHOTOGRAPHS = ("astronaut", "brick", "chelsea", "coffee", "grass", "hubble_deep_field", "retina", "rocket")
LONGEST_SIDE = 720  # pixels; larger photographs are shrunk to this
TILE_SIDE = 64  # pixels of a held-out tile
PATCH_SIDE = 32  # pixels, what the network takes
TILES_HELD_OUT = 6  # per photograph, for the test figure
TILES_SHIPPED = 3  # per photograph, out of those
PATCHES_PER_PHOTOGRAPH = 1600  # training patches cut once, before augmentation
DULL = 6.0  # grey levels; a patch whose standard deviation is below this shows nothing


@dataclass(frozen=True)
class Digits:
    """All digits and the split: images (1797, 16, 16) in 0..255, labels (1797,) in 0..9."""

    images: Bytes
    labels: Indices
    train: Indices
    test: Indices
    shipped: Indices


@dataclass(frozen=True)
class Patches:
    """Training patches (n, 32, 32, 3) with labels (n,); held-out tiles (m, 64, 64, 3) with labels (m,)."""

    patches: Bytes
    labels: Indices
    tiles: Bytes
    tile_labels: Indices


def resize(picture: Bytes, *, width: int, height: int) -> Bytes:
    """Resample a grey (H, W) or RGB (H, W, 3) picture with an antialiased bilinear filter."""
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


def load_all_digits() -> Digits:
    """Read scikit-learn's digits, bring them from 8 x 8 in 0..16 to 16 x 16 in 0..255 and split them."""
    source = load_digits()
    levels = np.round(source.images * (255.0 / 16.0)).astype(np.uint8)
    images = np.stack([resize(level, width=DIGIT_SIDE, height=DIGIT_SIDE) for level in levels])
    labels = np.asarray(source.target, dtype=np.int64)
    train, test = train_test_split(np.arange(len(labels)), test_size=0.25, random_state=0, stratify=labels)
    shipped = [test[labels[test] == digit][:DIGITS_SHIPPED_PER_CLASS] for digit in range(10)]
    return Digits(images, labels, train, test, np.concatenate(shipped))


def write_digits(digits: Digits, folder: Path) -> None:
    """Write the shipped digits as ``<label>/<nnn>.png``, 8-bit grey, numbered within their class."""
    for digit in range(10):
        (folder / str(digit)).mkdir(parents=True, exist_ok=True)
        own = digits.shipped[digits.labels[digits.shipped] == digit]
        for number, index in enumerate(own):
            Image.fromarray(digits.images[index]).save(folder / str(digit) / f"{number:03d}.png", optimize=True)


def photograph(name: str) -> Bytes:
    """One photograph as RGB (H, W, 3); grey ones get three equal channels."""
    pixels = np.asarray(getattr(skimage_data, name)(), dtype=np.uint8)
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 3, axis=-1)
    height, width = pixels.shape[:2]
    shrink = min(1.0, LONGEST_SIDE / max(height, width))
    return resize(pixels, width=round(width * shrink), height=round(height * shrink))


def contrast(picture: Bytes) -> float:
    """How much there is to see: the standard deviation of the grey picture, in grey levels."""
    return float(picture.mean(axis=-1).std())


def choose_tiles(picture: Bytes, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Top-left corners of the tiles held out of training, on a 64 x 64 grid, none of them dull."""
    height, width = picture.shape[:2]
    corners = [
        (top, left)
        for top in range(0, height - TILE_SIDE + 1, TILE_SIDE)
        for left in range(0, width - TILE_SIDE + 1, TILE_SIDE)
        if contrast(picture[top : top + TILE_SIDE, left : left + TILE_SIDE]) > 2 * DULL
    ]
    chosen = rng.permutation(len(corners))[:TILES_HELD_OUT]
    return [corners[index] for index in chosen]


def cut_patches(picture: Bytes, tiles: list[tuple[int, int]], rng: np.random.Generator) -> list[Bytes]:
    """Random square patches of 32 to 64 pixels, brought to 32 x 32, that touch no held-out tile."""
    height, width = picture.shape[:2]
    taken = np.zeros((height, width), dtype=bool)
    for top, left in tiles:
        taken[top : top + TILE_SIDE, left : left + TILE_SIDE] = True
    patches: list[Bytes] = []
    while len(patches) < PATCHES_PER_PHOTOGRAPH:
        side = int(rng.integers(PATCH_SIDE, TILE_SIDE + 1))
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        window = np.s_[top : top + side, left : left + side]
        if not taken[window].any() and contrast(picture[window]) > DULL:
            patches.append(resize(np.ascontiguousarray(picture[window]), width=PATCH_SIDE, height=PATCH_SIDE))
    return patches


def load_all_patches(seed: int) -> Patches:
    """Cut every photograph into training patches and held-out tiles; the class is its place in the list."""
    rng = np.random.default_rng(seed)
    patches: list[Bytes] = []
    tiles: list[Bytes] = []
    for name in PHOTOGRAPHS:
        picture = photograph(name)
        corners = choose_tiles(picture, rng)
        tiles += [picture[top : top + TILE_SIDE, left : left + TILE_SIDE] for top, left in corners]
        patches += cut_patches(picture, corners, rng)
    classes = np.arange(len(PHOTOGRAPHS))
    return Patches(
        np.stack(patches),
        np.repeat(classes, PATCHES_PER_PHOTOGRAPH),
        np.stack(tiles),
        np.repeat(classes, TILES_HELD_OUT),
    )


def write_tiles(patches: Patches, folder: Path) -> None:
    """Write the shipped tiles as ``<photograph>/<nn>.png``, 64 x 64 RGB."""
    for label, name in enumerate(PHOTOGRAPHS):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, tile in enumerate(patches.tiles[patches.tile_labels == label][:TILES_SHIPPED]):
            Image.fromarray(tile).save(folder / name / f"{number:02d}.png", optimize=True)
