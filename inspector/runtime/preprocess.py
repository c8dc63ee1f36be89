"""How a picture becomes a tensor: geometry and arithmetic, written as one line of text.

    y = (pixel * scale - mean) / std        per channel, in the order of the model's channels; pixel in 0..255

The text is a preset, `key=value` pairs, or both, separated by commas; what comes later overrides:
`imagenet`, `imagenet,order=bgr`, `scale=1/255,mean=0.5,std=0.25,resize=256,crop=224`. The page docs/data.md has the
table of presets and of keys, and says how one finds out what a model wants.

Sizes in proportion and the position of the cut are rounded as torchvision does. Resizing is Pillow's, with
antialiasing; 8-bit pictures stay 8-bit while it happens, so that results equal the usual training pipelines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Literal, cast

import ml_dtypes  # noqa: F401 - gives NumPy the element type bfloat16
import numpy as np
from PIL import Image

from inspector.contract import Array, TensorInfo
from inspector.errors import InputError, ParameterError
from inspector.runtime.pictures import MAX_PIXELS, plain

Resize = Literal["stretch", "none"] | int | tuple[int, int]
"""How to resize: a mode, the length of the shorter side, or a ratio to the size that is wanted."""

MAX_SIDE = 16384
"""Longest side of a picture that may be asked for."""
FILTERS = {f.name.lower(): f for f in Image.Resampling}
"""Resampling filters by name, as Pillow calls them."""
ORDERS = ("rgb", "bgr")
ELEMENT_TYPES = ("float32", "float16", "float64", "bfloat16", "uint8")
"""Element types of a model's input that pictures can feed."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What a model's input wants of a picture.

    `channels` is 1 or 3; `height` and `width` are None where the model leaves them free; `layout` is of a batch.
    """

    name: str
    dtype: str
    channels: int
    height: int | None
    width: int | None
    layout: Literal["NCHW", "NHWC"]

    @classmethod
    def of(cls, tensor: TensorInfo) -> InputSpec:
        """Reads the layout from the shape: the channel axis is the one of length 1 or 3, axis 1 where both are.

        A model that leaves the number of channels free too is taken as (N, 3, H, W).

        Raises:
            InputError: not four axes, no axis that could be channels, or an element type that pictures cannot feed.
        """
        if tensor.shape is None or len(tensor.shape) != 4:
            raise _unfit(tensor, "four axes, (N, C, H, W) or (N, H, W, C)")
        if tensor.dtype not in ELEMENT_TYPES:
            raise _unfit(tensor, f"element type {', '.join(ELEMENT_TYPES)}")
        sizes = [d if isinstance(d, int) else None for d in tensor.shape]
        _, a, b, c = sizes
        if a in {1, 3}:
            return cls(tensor.name, tensor.dtype, a, b, c, "NCHW")
        if c in {1, 3}:
            return cls(tensor.name, tensor.dtype, c, a, b, "NHWC")
        if a is None:
            return cls(tensor.name, tensor.dtype, 3, b, c, "NCHW")
        raise _unfit(tensor, "1 or 3 channels on axis 1 or 3")


@dataclass(frozen=True, slots=True)
class Preprocess:
    """A way from picture to tensor; see the top of this file.

    Attributes:
        resize: how to resize.
        crop: side of the square to cut from the middle; None: the model's size.
        scale: factor on pixels of 0..255, before anything else.
        mean: one number for all channels or one per channel, in the order of the model's channels.
        std: likewise, above 0.
        order: order of the model's colour channels, `rgb` or `bgr`; without effect on grey.
        filter: resampling filter, as Pillow calls it.

    Raises:
        ParameterError: a value that is unknown or out of range.
    """

    resize: Resize = "stretch"
    crop: int | None = None
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    order: str = "rgb"
    filter: str = "bilinear"

    def __post_init__(self) -> None:
        lengths = (*(self.resize if isinstance(self.resize, tuple) else (self.resize,)), self.crop)
        for side in lengths:
            good = side in {*_MODES, None} or (isinstance(side, int) and 1 <= side <= MAX_SIDE)
            _require("size", f"a whole number 1..{MAX_SIDE}", side, holds=good)
        usable = math.isfinite(self.scale) and self.scale != 0
        _require("scale", "a finite number other than 0", self.scale, holds=usable)
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            _require(name, "1 or 3 numbers", len(numbers), holds=len(numbers) in {1, 3})
            _require(name, "finite numbers", _written(numbers), holds=all(map(math.isfinite, numbers)))
        _require("std", "numbers above 0", min(self.std), holds=min(self.std) > 0)
        _known("order", self.order, ORDERS)
        _known("filter", self.filter, FILTERS)

    @classmethod
    def parse(cls, text: str) -> Preprocess:
        """From text such as `imagenet,order=bgr`; a later part overrides an earlier one.

        Raises:
            ParameterError: an unknown preset, key or filter (names the nearest), or a number out of range.
        """
        result = cls()
        for part in text.split(","):
            key, sign, value = (p.strip() for p in part.partition("="))
            if sign:
                _known("key", key, _READERS)
                result = replace(result, **{key: _READERS[key](key, value)})
            else:
                _known("preset", key, PRESETS)
                result = PRESETS[key]
        return result

    @property
    def text(self) -> str:
        """Every setting spelled out, in one form for all ways to write it; `Preprocess.parse(p.text) == p`."""
        return ",".join(f"{f.name}={_written(getattr(self, f.name))}" for f in fields(self))

    def check(self, target: InputSpec) -> None:
        """Finds what is wrong whatever the picture: call it once before many pictures.

        Raises:
            ParameterError: more means than channels; a result that the element type cannot hold.
            InputError: the model's own size is too large for a picture.
        """
        if target.channels == 1 and max(len(self.mean), len(self.std)) > 1:
            raise ParameterError(
                "preprocess mean and std",
                f"input {target.name!r} has a single channel",
                expected="one number each",
                found=f"mean={_written(self.mean)}, std={_written(self.std)}",
                remedy="Use unit, signed or raw, or give mean= and std=.",
            )
        untouched = self.scale == 1 and not any(self.mean) and all(s == 1 for s in self.std)
        _require(
            f"for {target.name!r}",
            "raw pixels, because the model takes uint8",
            self.text,
            holds=untouched or target.dtype != "uint8",
        )
        with np.errstate(over="ignore"):
            ends = (np.array([[0.0], [255.0]]) * self.scale - np.array(self.mean)) / self.std
            fits = np.isfinite(ends.astype(target.dtype).astype(np.float64)).all()
        _require("arithmetic", f"results that {target.dtype} can hold", self.text, holds=bool(fits))
        self._wanted(target)

    def apply(self, image: Image.Image, target: InputSpec, name: str = "picture") -> Array:
        """One picture as the model wants it, without the batch axis: (C, H, W) or (H, W, C).

        Grey is repeated over three channels; colour becomes grey by the luma of ITU-R 601, before resizing.

        Raises:
            InputError: the picture is smaller than the cut, too elongated, or finer than uint8 can hold.
            ParameterError: as for `check`.
        """
        self.check(target)
        flat = plain(image, name)
        levels = np.asarray(self._sized(_grey(flat) if target.channels == 1 else flat, target, name))
        pixels = np.clip(levels.reshape(*levels.shape[:2], -1), 0, 255)  # a float picture may overshoot in resizing
        if target.dtype == "uint8" and (pixels != np.floor(pixels)).any():
            raise InputError(name, "it has more than 8 bits, the model takes uint8", remedy="Save it with 8 bits.")
        pixels = np.broadcast_to(pixels, (*pixels.shape[:2], target.channels))
        return self._arithmetic(pixels[..., :: -1 if self.order == "bgr" else 1], target)

    def geometry(self, size: tuple[int, int], target: InputSpec) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
        """Where a picture of that size goes: (width, height) after resizing, then the box cut out of it.

        The box is (left, upper, right, lower) in pixels; it reaches outside where the picture is too small.
        """
        wanted = self._wanted(target)
        width, height = self._resized(size, wanted)
        w, h = wanted[0] or width, wanted[1] or height
        left, upper = round((width - w) / 2), round((height - h) / 2)
        return (width, height), (left, upper, left + w, upper + h)

    def _wanted(self, target: InputSpec) -> tuple[int | None, int | None]:
        """(width, height) of the result, None where nothing fixes it."""
        sides = {"width": target.width, "height": target.height}
        for axis, side in sides.items():
            if self.crop and side and side != self.crop:
                raise ParameterError(
                    "preprocess crop",
                    f"the model has another {axis}",
                    found=str(self.crop),
                    expected=str(side),
                    remedy="Leave crop out: the model's size is the default.",
                )
            if side and side > MAX_SIDE:
                raise InputError(f"input {target.name!r}", "no picture is that large", found=f"{axis} {side}")
        free = self.crop or (self.resize[1] if isinstance(self.resize, tuple) else None)
        return target.width or free, target.height or free

    def _resized(self, size: tuple[int, int], wanted: tuple[int | None, int | None]) -> tuple[int, int]:
        """(width, height) after resizing."""
        if isinstance(self.resize, int):
            return _cover(size, (self.resize, self.resize))
        if isinstance(self.resize, tuple):
            w, h = (round(cast("int", side) * self.resize[0] / self.resize[1]) for side in wanted)
            return _cover(size, (max(w, 1), max(h, 1)))
        return size if self.resize == "none" else (wanted[0] or size[0], wanted[1] or size[1])

    def _sized(self, image: Image.Image, target: InputSpec, name: str) -> Image.Image:
        """Resized and cut."""
        (width, height), box = self.geometry(image.size, target)
        if width * height > MAX_PIXELS:
            raise InputError(
                name,
                "resizing would make too many pixels of it",
                expected=f"at most {MAX_PIXELS:,}",
                found=f"{image.width} x {image.height}, which would become {width} x {height}",
                remedy="Ask for a smaller size; of a very long picture, cut a part.",
            )
        if box[2] - box[0] > width or box[3] - box[1] > height:
            raise InputError(
                name,
                "it is too small for the cut",
                expected=f"{box[2] - box[0]} x {box[3] - box[1]}",
                found=f"{width} x {height} after resizing",
                remedy="Resize to more, or to the model's size.",
            )
        resized = image if image.size == (width, height) else image.resize((width, height), FILTERS[self.filter])
        return resized.crop(box)

    def _arithmetic(self, pixels: Array, target: InputSpec) -> Array:
        """(H, W, C) levels in model order to numbers; in float64, one channel at a time, then rounded once."""
        height, width, channels = pixels.shape
        result = np.empty((channels, height, width), target.dtype)
        mean, std = np.broadcast_to(self.mean, channels), np.broadcast_to(self.std, channels)
        for c in range(channels):
            result[c] = (pixels[..., c].astype(np.float64) * self.scale - mean[c]) / std[c]
        return result if target.layout == "NCHW" else np.ascontiguousarray(result.transpose(1, 2, 0))


def _cover(size: tuple[int, int], least: tuple[int, int]) -> tuple[int, int]:
    """(width, height) in the picture's proportions that just covers `least`; the longer side is rounded down."""
    (width, height), (w, h) = size, least
    if w * height >= h * width:
        return w, w * height // width
    return h * width // height, h


def _grey(image: Image.Image) -> Image.Image:
    return image.convert("L") if image.mode == "RGB" else image


def _unfit(tensor: TensorInfo, expected: str) -> InputError:
    return InputError(
        f"input {tensor.name!r}",
        "pictures cannot feed it",
        expected=expected,
        found=f"{tensor.dtype} {tensor.shape}",
        remedy="Give its values as .npy or .npz.",
    )


def _require(what: str, expected: str, found: Any, *, holds: bool) -> None:
    if not holds:
        raise ParameterError(f"preprocess {what}", "it is out of range", expected=expected, found=str(found))


def _known(what: str, name: str, known: Iterable[str]) -> None:
    """Raises ParameterError, with the nearest name, where `name` is not known."""
    names = list(known)
    if name not in names:
        near = get_close_matches(name, names, n=1, cutoff=0.0)
        raise ParameterError(
            f"preprocess {what} {name!r}",
            "there is none of that name",
            expected=f"one of: {', '.join(names)}",
            remedy=f"Did you mean {near[0]!r}?",
        )


def _number(key: str, text: str) -> float:
    """A decimal number or a fraction such as 1/255."""
    above, _, below = text.partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError) as error:
        raise ParameterError(f"preprocess {key}", "it is no number", found=repr(text)) from error


def _numbers(key: str, text: str) -> tuple[float, ...]:
    return tuple(_number(key, part) for part in text.split("/"))


def _whole(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ParameterError(f"preprocess {key}", "it is no whole number", found=repr(text)) from error


def _resize(key: str, text: str) -> Resize:
    if text[:1].isalpha():
        _known(key, text, _MODES)
        return cast("Resize", text)
    above, sign, below = text.partition("/")
    return (_whole(key, above), _whole(key, below)) if sign else _whole(key, text)


def _crop(key: str, text: str) -> int | None:
    return None if text == "model" else _whole(key, text)


def _written(value: Any) -> str:
    if value is None:
        return "model"
    return "/".join(map(str, value)) if isinstance(value, tuple) else str(value)


_MODES = ("stretch", "none")
_READERS: dict[str, Callable[[str, str], Any]] = {
    "resize": _resize,
    "crop": _crop,
    "scale": _number,
    "mean": _numbers,
    "std": _numbers,
    "order": lambda _, text: text,
    "filter": lambda _, text: text,
}
PRESETS = {
    "imagenet": Preprocess((256, 224), None, 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "unit": Preprocess(scale=1 / 255),
    "signed": Preprocess(scale=1 / 127.5, mean=(1.0,)),
    "raw": Preprocess(),
    "caffe": Preprocess(mean=(103.939, 116.779, 123.68), order="bgr"),
}
"""Common ways by name: torchvision's, 0..1, -1..1, 0..255, and that of models that were trained in Caffe."""
EXAMPLE = "scale=1/255,mean=0.5,std=0.25"
"""Settings of one's own, for messages."""
