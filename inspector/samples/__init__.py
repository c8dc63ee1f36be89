"""Small models and pictures to try the inspector on; what they are and where they come from: SOURCES.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Sample:
    """A model with pictures that suit it.

    ``pictures`` is a folder of ``<class>/<number>.png``. ``preprocess`` says how bytes become numbers:
    ``unit`` is pixel / 255, ``signed`` is pixel / 127.5 - 1; both after resizing to the model's input.
    """

    name: str
    model: Path
    pictures: Path
    preprocess: str
    about: str


SAMPLES: tuple[Sample, ...] = (
    Sample(
        name="digits",
        model=_FOLDER / "digits.onnx",
        pictures=_FOLDER / "pictures" / "digits",
        preprocess="unit",
        about="A LeNet-style reader of handwritten digits, soundly trained: no dead filter, a few rare ones.",
    ),
    Sample(
        name="digits_hot",
        model=_FOLDER / "digits_hot.onnx",
        pictures=_FOLDER / "pictures" / "digits",
        preprocess="unit",
        about="The same digit reader, trained with a far too high learning rate: many filters are dead.",
    ),
    Sample(
        name="patches",
        model=_FOLDER / "patches.onnx",
        pictures=_FOLDER / "pictures" / "photos",
        preprocess="signed",
        about="Tells which photograph a small RGB patch was cut from; its filters show colours and edges.",
    ),
)
