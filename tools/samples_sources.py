"""The text of SOURCES.md: where the samples come from, under which licences, and what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from samples_check import Layer, table
from samples_data import PHOTOGRAPHS


@dataclass(frozen=True)
class DigitFigures:
    """What was measured on a digit model: accuracy on the test split and on the ``shipped`` pictures."""

    name: str
    accuracy: float
    accuracy_shipped: float
    layers: list[Layer]
    shipped: int


@dataclass(frozen=True)
class PatchFigures:
    """What was measured on the patch model: accuracy on the held-out tiles and on those shipped."""

    accuracy: float
    accuracy_shipped: float
    layers: list[Layer]
    held_out: int
    shipped: int


ORIGINS = {
    "astronaut": ("Eileen Collins, NASA Great Images", "public domain"),
    "brick": ("Bricks25 from CC0Textures", "CC0"),
    "chelsea": ("Stéfan van der Walt", "CC0"),
    "coffee": ("Rachel Michetti, courtesy of Pikolo Espresso Bar", "CC0"),
    "grass": ("Grass-01 by linolafett, DeviantArt", "CC0"),
    "hubble_deep_field": ("Hubble eXtreme Deep Field, NASA, from HubbleSite", "public domain"),
    "retina": ("Mikael Häggström, fundus of a normal left eye, Wikimedia Commons", "CC0 1.0"),
    "rocket": ("DSCOVR launch, SpaceX Photos", "public domain"),
}

DIGITS_TEXT = """# Where the samples come from

All files in this folder were written by `tools/make_samples.py`. The networks were trained from scratch
for this project and are under its licence; the pictures are under the licences given below.

## Digits

Pictures: the 1797 handwritten digits that scikit-learn ships (`sklearn.datasets.load_digits`), which are
the test part of *Optical Recognition of Handwritten Digits* by E. Alpaydin and C. Kaynak, UCI Machine
Learning Repository, 1998, <https://doi.org/10.24432/C50P49>, licence CC BY 4.0
(<https://creativecommons.org/licenses/by/4.0/>). Changes made: grey levels spread from 0..16 to 0..255 and
the 8 x 8 pixels enlarged to 16 x 16 (bilinear). A stratified quarter is the test split; its first
{per_class} digits of every class are in `pictures/digits/<class>/`, the other digits are not included.

Both networks have one architecture, one starting point, one order of batches and one recipe (momentum SGD,
a small penalty on the mean activation of the last convolution); only the learning rate differs, 0.01
against 0.12. `digits` learned well. In `digits_hot` the large steps threw filters so far into the negative
that their ReLU never opens again: they are dead, and no gradient can bring them back.
"""

DIGIT_TEXT = """
### {name}.onnx

Right on {accuracy:.1%} of the test split, on {shipped:.1%} of the pictures here. *Dead*: zero everywhere on
{over}. *Silent*: zero everywhere on the {count} pictures here, which a filter can be
without being dead. *Rare*: fires on some of the {count} pictures here, but on fewer than a fifth.

{table}
"""

PATCHES_TEXT = """
## Photographs

Pictures: {names} photographs from inside the scikit-image package (`skimage.data`), as its documentation
describes them:

| class | origin | licence |
|---|---|---|
{origins}

Photographs longer than 720 pixels were shrunk to that. Six tiles of 64 x 64 pixels were held out of every
photograph; three of them are in `pictures/photos/<photograph>/`. Training saw only patches that share no
pixel with a held-out tile. Neighbouring parts of one photograph resemble each other, so the accuracy says
how well this photograph is recognised, not how well such objects are.

### patches.onnx

Classes in the order of the table. Trained on patches of 32 to 64 pixels brought to 32 x 32, with flips,
changes of brightness, contrast and colour, and noise; the first layer is kept smooth and its filters apart.
Right on {accuracy:.1%} of the {held_out} held-out tiles, on {shipped:.1%} of the {count} pictures here.
*Dead* is counted over the held-out tiles, *silent* and *rare* over the pictures here.

{table}
"""


def digit_section(figures: DigitFigures, over: str) -> str:
    """The figures of one digit model."""
    return DIGIT_TEXT.format(
        name=figures.name,
        accuracy=figures.accuracy,
        shipped=figures.accuracy_shipped,
        over=over,
        count=figures.shipped,
        table=table(figures.layers, figures.shipped),
    )


def sources(sane: DigitFigures, hot: DigitFigures, patches: PatchFigures) -> str:
    """The whole file."""
    origins = "\n".join(f"| {name} | {ORIGINS[name][0]} | {ORIGINS[name][1]} |" for name in PHOTOGRAPHS)
    return (
        DIGITS_TEXT.format(per_class=sane.shipped // 10)
        + digit_section(sane, "every digit of the test split")
        + digit_section(hot, "every one of the 1797 digits")
        + PATCHES_TEXT.format(
            names=len(PHOTOGRAPHS),
            origins=origins,
            accuracy=patches.accuracy,
            held_out=patches.held_out,
            shipped=patches.accuracy_shipped,
            count=patches.shipped,
            table=table(patches.layers, patches.shipped),
        )
    )
