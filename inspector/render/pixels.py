"""Values to colours: one pixel per value, exactly."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, features

from inspector.contract import Array, Picture, Scale, ScaleKind
from inspector.errors import LimitError, PluginError
from inspector.render.blame import blamed
from inspector.render.palette import NOT_FINITE, SEQUENTIAL, SIGNED, Colour, Floats, Pixels

MAX_SIDE: Final = 4000
"""No picture that is made here is wider or higher than this, in pixels."""

MAX_PIXELS: Final = 12_000_000
"""No picture that is made here has more pixels than this."""

MAX_VALUES: Final = 1 << 24
"""A single array with more values than this is not looked at."""


Own = Sequence[tuple[float, Colour]]
"""Values with a colour of their own, and that colour."""


def colours(values: Array, scale: Scale, own: Own = ()) -> Pixels:
    """Colours of (H, W) values, or of (H, W, 3) with a colour scale; values beyond the scale get its last colour.

    Args:
        values: any real numbers.
        scale: what the ends of the colours mean; its ends may be equal or the wrong way round.
        own: values that are drawn in another colour. NaN and infinities that are not among them are `NOT_FINITE`.

    Raises:
        PluginError: the shape does not fit the kind of scale, or these are no real numbers.
    """
    real = as_floats(values, "values")
    if (real.ndim == 3) != (scale.kind is ScaleKind.COLOUR):
        raise PluginError("values", f"they do not fit a {scale.kind.value} scale", found=f"shape {real.shape}")
    share = _share(real, scale)
    if scale.kind is ScaleKind.COLOUR:
        pixels: Pixels = np.round(share * 255).astype(np.uint8)
    else:
        table = SIGNED if scale.kind is ScaleKind.SIGNED else SEQUENTIAL
        pixels = table[np.round(share * (len(table) - 1)).astype(np.intp)]
    pixels[_of_pixels(~np.isfinite(real))] = NOT_FINITE
    for value, colour in own:
        pixels[_of_pixels(equal(real, value))] = colour
    return pixels


def equal(real: Floats, value: float) -> Array:
    """Where the numbers are that value exactly; NaN equals NaN."""
    return np.asarray(np.isnan(real) if math.isnan(value) else real == value)


def picture_png(picture: Picture, scale: Scale | None = None) -> bytes:
    """The picture as PNG, one pixel per value.

    Args:
        picture: what to draw.
        scale: the grid's common scale; without one the picture's own, or one that spans its values.

    Raises:
        LimitError: the picture is larger than `MAX_SIDE` or `MAX_PIXELS`.
        PluginError: the values are no picture.
    """
    with blamed("picture", picture.label):
        check_picture(picture)
        _check_size(picture)
        return png(colours(picture.values, scale_of(picture, scale)))


def _check_size(picture: Picture) -> None:
    rows, columns = picture.values.shape[:2]
    if max(rows, columns) > MAX_SIDE or rows * columns > MAX_PIXELS:
        raise LimitError(
            f"picture {picture.label[:80]!r}",
            "it has too many values to draw one pixel for each",
            expected=f"sides up to {MAX_SIDE}, {MAX_PIXELS:,} values in all",
            found=f"{rows} x {columns}",
            remedy="Read its values from the report's JSON instead.",
        )


def png(pixels: Pixels) -> bytes:
    """(H, W, 3) as a PNG file; an empty array becomes one white pixel, as PNG knows no emptiness."""
    stream = io.BytesIO()
    Image.fromarray(pixels if pixels.size else np.full((1, 1, 3), 255, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def packed(image: Image.Image) -> tuple[str, bytes]:
    """The image without loss in the form that is smallest of those that browsers read: `webp` or `png`, and the bytes.

    Pictures of the inspector take a third of the bytes in WebP, in the same time; a Pillow may come without it.
    """
    stream = io.BytesIO()
    if not features.check("webp"):
        return "png", png(np.asarray(image, dtype=np.uint8))
    image.save(stream, "WEBP", lossless=True, quality=50, method=1)  # more of either is hardly smaller, and slower
    return "webp", stream.getvalue()


def scale_of(picture: Picture, common: Scale | None) -> Scale:
    """The common scale, or the picture's own, or else the one that its values suggest.

    Raises:
        PluginError: a scale was given that is for colours where there are none, or the other way round.
    """
    scale = common or picture.scale or _suggested(as_floats(picture.values, f"picture {picture.label[:80]!r}"))
    if (scale.kind is ScaleKind.COLOUR) != (picture.values.ndim == 3):
        expected = "(H, W, 3)" if scale.kind is ScaleKind.COLOUR else "(H, W)"
        raise PluginError(
            f"picture {picture.label[:80]!r}",
            f"it does not fit its {scale.kind.value} scale",
            expected=expected,
            found=f"shape {picture.values.shape}",
        )
    return scale


def ends(scale: Scale) -> tuple[float, float]:
    """Lowest and highest number of a scale: in order, finite, and symmetric for a signed one."""
    low, high = sorted(float(np.clip(np.nan_to_num(v), -1e308, 1e308)) for v in (scale.low, scale.high))
    if scale.kind is ScaleKind.SIGNED:
        high = max(abs(low), abs(high))
        low = -high
    return low, high


@dataclass(frozen=True, slots=True)
class Extremes:
    """What a legend must say of values beside their scale."""

    below: bool = False
    above: bool = False
    nan: bool = False
    infinite: bool = False

    def __or__(self, other: Extremes) -> Extremes:
        return Extremes(
            self.below or other.below, self.above or other.above, self.nan or other.nan, self.infinite or other.infinite
        )


def extremes(values: Array, scale: Scale) -> Extremes:
    """Whether any value lies beyond the ends of its scale, by more than rounding, or is no finite number."""
    real = as_floats(values, "values")
    finite, (low, high) = real[np.isfinite(real)], ends(scale)
    slack = (high / 2 - low / 2) * 1e-6
    return Extremes(
        bool((finite < low - slack).any()),
        bool((finite > high + slack).any()),
        bool(np.isnan(real).any()),
        bool(np.isinf(real).any()),
    )


def painted(values: Array, scale: Scale, down: int, across: int, own: Own = ()) -> Pixels:
    """`colours`, every value drawn as a block of `down` x `across` pixels, and what is not finite hatched."""
    pixels = enlarged(colours(values, scale, own), down, across)
    strange = _of_pixels(~np.isfinite(as_floats(values, "values")))
    if strange.any():
        hatch = strange.repeat(down, axis=0).repeat(across, axis=1)
        hatch &= np.add.outer(np.arange(hatch.shape[0]), np.arange(hatch.shape[1])) % 6 < 2
        pixels[hatch] = pixels[hatch] // 2 + 127
    return pixels


def enlarged(pixels: Pixels, down: int, across: int) -> Pixels:
    """Every pixel repeated `down` times down and `across` times across: nearest neighbour by whole factors."""
    return pixels.repeat(down, axis=0).repeat(across, axis=1)


def shrunk(values: Array, down: int, across: int) -> Floats:
    """Means of blocks of `down` x `across` values; blocks at the far edges may be smaller.

    NaN does not count, so that a block is NaN only where all of it is; one infinity makes its block infinite.

    Args:
        values: (H, W) or (H, W, 3), not empty.
        down: rows of a block, from 1.
        across: columns of a block, from 1.
    """
    real = as_floats(values, "values")
    if down == across == 1:
        return real
    finite = np.isfinite(real)
    total, count = (_block_sums(part, down, across) for part in (np.where(finite, real, 0.0), finite))
    mean: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    mean[occurs(np.isinf(real), down, across)] = np.inf
    return mean


def occurs(which: Array, down: int, across: int) -> Array:
    """Blocks of `down` x `across` in which any is True."""
    return np.asarray(_block_sums(which, down, across) > 0)


def check_picture(picture: Picture) -> None:
    """Raises PluginError unless the picture's values are (H, W) or (H, W, 3), LimitError above `MAX_VALUES`."""
    shape = picture.values.shape
    subject = f"picture {picture.label[:80]!r}"
    if len(shape) != 2 and (len(shape) != 3 or shape[2] != 3):
        raise PluginError(subject, "it has the wrong shape", expected="(H, W) or (H, W, 3)", found=str(shape))
    check_values(subject, picture.values)


def check_values(subject: str, values: Array) -> None:
    """Raises LimitError for an array with more than `MAX_VALUES` values."""
    if values.size > MAX_VALUES:
        raise LimitError(
            subject,
            "it has too many values to draw",
            expected=f"{MAX_VALUES:,} at most",
            found=f"{values.size:,}",
            remedy="Ask the analysis for a part of it.",
        )


def as_floats(values: Array, subject: str) -> Floats:
    """The values as float64.

    Raises:
        PluginError: they are no real numbers.
    """
    try:
        if values.dtype.kind not in "biufV":  # V: bfloat16 and its like
            raise TypeError
        real: Floats = values.astype(np.float64, copy=False)
    except (AttributeError, TypeError, ValueError) as error:
        found = str(getattr(values, "dtype", type(values).__name__))
        raise PluginError(subject, "they cannot be drawn", expected="an array of real numbers", found=found) from error
    return real


def _of_pixels(which: Array) -> Array:
    """(H, W): where any channel is True."""
    return np.asarray(which.any(axis=2)) if which.ndim == 3 else which


def _share(real: Floats, scale: Scale) -> Floats:
    """Where the values lie between low and high, 0 to 1; NaN gives 0. Halved first: high - low may overflow.

    Where low equals high, values above it give 1, below it 0; equal ones 0, or 0.5 on a signed scale (they are 0).
    """
    low, high = ends(scale)
    half = high / 2 - low / 2
    if half == 0:
        equal = 0.5 if scale.kind is ScaleKind.SIGNED else 0.0
        return np.where(real > high, 1.0, np.where(real == low, equal, 0.0))
    with np.errstate(invalid="ignore"):
        share: Floats = np.clip((real / 2 - low / 2) / half, 0.0, 1.0)
    return np.nan_to_num(share)


def _suggested(real: Floats) -> Scale:
    finite = real[np.isfinite(real)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if real.ndim == 3:
        return Scale(ScaleKind.COLOUR, low, high)
    return Scale(ScaleKind.SIGNED if low < 0 else ScaleKind.SEQUENTIAL, low, high)


def _block_sums(values: Array, down: int, across: int) -> Floats:
    rows: Array = np.add.reduceat(values, range(0, values.shape[0], down), axis=0, dtype=np.float64)
    return np.asarray(np.add.reduceat(rows, range(0, values.shape[1], across), axis=1), dtype=np.float64)
