"""Make the sample models and pictures in ``inspector/samples/``; a developer's tool, run by hand.

    pip install torch==2.13.0 scikit-learn scikit-image
    python tools/make_samples.py [folder]

Needs the two packages' own pictures only, no network, and about three minutes on one core. Everything is
seeded and single threaded, so a second run on the same machine and versions gives the same files; another
processor may round differently and end in slightly different figures. The claims that the samples are
there to show (no dead filter in one network, many in the other) are measured on the written files, and
the script stops with a message when one of them does not hold.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import samples_check as check
import torch
from samples_data import (
    DIGIT_SIDE,
    PATCH_SIDE,
    PHOTOGRAPHS,
    Digits,
    Patches,
    load_all_digits,
    load_all_patches,
    resize,
    write_digits,
    write_tiles,
)
from samples_nets import PatchRecipe, Recipe, train_digits, train_patches
from samples_onnx import export
from samples_sources import DigitFigures, PatchFigures, sources

FOLDER = Path(__file__).parent.parent / "inspector" / "samples"
SEED = 14
SANE = Recipe(learning_rate=0.01, seed=SEED)
HOT = Recipe(learning_rate=0.12, seed=SEED)
LIMIT = 2_000_000  # bytes of all samples together
FAINT = 1e-3  # a filter whose strongest answer is below this could be called dead on another processor


def measure_digits(name: str, digits: Digits, folder: Path, *, dead_over: np.ndarray | None = None) -> DigitFigures:
    """Accuracy and firing counts of a written digit model: dead over the given digits (default all)."""
    model = folder / f"{name}.onnx"
    shipped, labels = check.read_pictures(folder / "pictures" / "digits", DIGIT_SIDE, check.unit)
    images = check.unit(digits.images[:, None])
    everything = images if dead_over is None else images[dead_over]
    return DigitFigures(
        name,
        check.accuracy(model, images[digits.test], digits.labels[digits.test]),
        check.accuracy(model, shipped, np.asarray([int(label) for label in labels])),
        check.layers(model, everything, shipped),
        len(shipped),
    )


def measure_patches(patches: Patches, folder: Path) -> PatchFigures:
    """Accuracy and firing counts of the written patch model, on the shipped and all held-out tiles."""
    model = folder / "patches.onnx"
    shipped, names = check.read_pictures(folder / "pictures" / "photos", PATCH_SIDE, check.signed)
    small = np.stack([resize(tile, width=PATCH_SIDE, height=PATCH_SIDE) for tile in patches.tiles])
    held_out = check.signed(small.transpose(0, 3, 1, 2))
    return PatchFigures(
        check.accuracy(model, held_out, patches.tile_labels),
        check.accuracy(model, shipped, np.asarray([PHOTOGRAPHS.index(name) for name in names])),
        check.layers(model, held_out, shipped),
        len(held_out),
        len(shipped),
    )


def demand(claims: dict[str, bool]) -> None:
    """Stop with the claims that do not hold."""
    broken = [claim for claim, holds in claims.items() if not holds]
    if broken:
        raise SystemExit("these claims do not hold, try another seed: " + "; ".join(broken))


def demand_digits(sane: DigitFigures, hot: DigitFigures) -> None:
    """What the two digit networks are there to show."""
    demand(
        {
            "the sound network is right on more than 97 %": sane.accuracy > 0.97,
            "the sound network has no dead filter": all(layer.dead == 0 for layer in sane.layers),
            "the sound network has a rare filter": any(layer.rare(sane.shipped) for layer in sane.layers),
            "the hot network is better than chance": hot.accuracy > 0.2,
            "the hot network has dead filters": sum(layer.dead for layer in hot.layers) >= 5,
            "every layer of the hot network lives": all(layer.dead < len(layer.fired_all) for layer in hot.layers),
            "no filter is faint": all(layer.lowest > FAINT for layer in (*sane.layers, *hot.layers)),
        }
    )


def make_digits(folder: Path) -> tuple[DigitFigures, DigitFigures]:
    """Pictures and both models of the digits; returns what was measured on the files."""
    digits = load_all_digits()
    write_digits(digits, folder / "pictures" / "digits")
    for name, recipe in (("digits", SANE), ("digits_hot", HOT)):
        print(f"{name}: learning rate {recipe.learning_rate}")
        export(train_digits(digits, recipe), (1, DIGIT_SIDE, DIGIT_SIDE), folder / f"{name}.onnx")
    sane = measure_digits("digits", digits, folder, dead_over=digits.test)
    hot = measure_digits("digits_hot", digits, folder)
    for figures in (sane, hot):
        print(f"{figures.name}: accuracy {figures.accuracy:.4f}\n{check.table(figures.layers, figures.shipped)}")
    demand_digits(sane, hot)
    return sane, hot


def make_patches(folder: Path) -> PatchFigures:
    """Pictures and model of the photographs; returns what was measured on the files."""
    recipe = PatchRecipe()
    print("patches:")
    patches = load_all_patches(recipe.seed)
    write_tiles(patches, folder / "pictures" / "photos")
    export(train_patches(patches, recipe, print), (3, PATCH_SIDE, PATCH_SIDE), folder / "patches.onnx")
    figures = measure_patches(patches, folder)
    print(f"patches: accuracy {figures.accuracy:.4f}\n{check.table(figures.layers, figures.shipped)}")
    demand({"the patch network is right on more than 90 %": figures.accuracy > 0.9})
    return figures


def main() -> None:
    """Make everything anew."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    shutil.rmtree(folder / "pictures", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    sane, hot = make_digits(folder)
    patches = make_patches(folder)
    (folder / "SOURCES.md").write_text(sources(sane, hot, patches), encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in {".onnx", ".png", ".md"})
    print(f"{size / 1000:.0f} kB in {folder}")
    demand({f"all samples fit in {LIMIT} bytes": size <= LIMIT})


if __name__ == "__main__":
    main()
