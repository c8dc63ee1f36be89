"""Colour tables that are even to the eye: curves in Oklab, cut into equal steps.

Oklab (Björn Ottosson, 2020) is a colour space in which equal distances look equally large. Both tables are curves in
it, so no part of a scale looks steeper than another. Their lightness alone tells low from high (sequential) and the
distance from zero (signed); blue against red tells the sign, and keeps telling it in the common forms of colour
blindness.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
"""(H, W, 3), red, green, blue, 0 to 255."""

_LAB_TO_LMS: Final = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_LMS_TO_LINEAR: Final = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def srgb_from_oklab(lab: Floats) -> Pixels:
    """(…, 3) lightness 0..1, a, b to (…, 3) sRGB bytes; colours outside sRGB are clipped."""
    linear = np.clip(((lab @ _LAB_TO_LMS.T) ** 3) @ _LMS_TO_LINEAR.T, 0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    pixels: Pixels = np.round(encoded * 255).astype(np.uint8)
    return pixels


def oklab_from_srgb(pixels: Pixels) -> Floats:
    """(…, 3) sRGB bytes to (…, 3) Oklab: the inverse of `srgb_from_oklab`, within rounding."""
    encoded = pixels.astype(np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    lms: Floats = np.cbrt(linear @ np.linalg.inv(_LMS_TO_LINEAR).T)
    return lms @ np.linalg.inv(_LAB_TO_LMS).T


def _lab(lightness: Floats, chroma: Floats, hue: Floats) -> Floats:
    """Oklab from its polar form, hue in degrees."""
    angle = np.radians(hue)
    return np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=-1)


def _even(curve: Floats, steps: int) -> Floats:
    """The curve (P, 3) at `steps` points that are equally far from each other."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    at = np.linspace(0.0, length[-1], steps)
    return np.stack([np.interp(at, length, curve[:, axis]) for axis in range(3)], axis=-1)


def _parabola(low: float, mid: float, high: float, t: Floats) -> Floats:
    """The parabola through (0, low), (0.5, mid), (1, high)."""
    return low * (1 - t) * (1 - 2 * t) + mid * 4 * t * (1 - t) + high * t * (2 * t - 1)


def _sequential() -> Pixels:
    t = np.linspace(0.0, 1.0, 2001)
    polar = [_parabola(*points, t) for points in ((0.20, 0.57, 0.95), (0.080, 0.088, 0.150), (295.0, 200.0, 105.0))]
    return srgb_from_oklab(_even(_lab(*polar), 256))


def _arm(chroma: float, hue: float) -> Pixels:
    """128 colours from white to a dark colour of that hue; colour comes in faster than darkness, so nothing is grey."""
    t = np.linspace(0.0, 1.0, 2001)
    colour = _lab(1 - 0.62 * t, chroma * (1 - (1 - t) ** 2), np.full_like(t, hue))
    arm = srgb_from_oklab(_even(colour, 128))
    arm[0] = 255
    return arm


SEQUENTIAL: Final = _sequential()
"""(256, 3): near-black violet over teal to bright yellow."""

SIGNED: Final = np.concatenate([_arm(0.128, 256.0)[:0:-1], _arm(0.148, 26.0)])
"""(255, 3): dark blue over white, at index 127, to dark red."""

NOT_FINITE: Final[Colour] = (255, 0, 255)
"""Stands for NaN and infinities in pictures: in neither table."""

MISSING: Final[Colour] = (221, 221, 221)
"""Stands for a missing entry of a matrix."""

INK: Final[Colour] = (26, 26, 26)
MUTED: Final[Colour] = (105, 105, 105)
HAIRLINE: Final[Colour] = (190, 190, 190)
FAINT: Final[Colour] = (230, 230, 230)
PAPER: Final[Colour] = (255, 255, 255)

LINES: Final[tuple[Colour, ...]] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
    (26, 26, 26),
)
"""For lines and marks: the colour-blind safe set of Okabe and Ito (2008), without its yellow, unreadable on white."""


def deep(colour: Colour) -> Colour:
    """The same hue, of these lines dark enough for letters on white."""
    red, green, blue = (round(0.6 * part) for part in colour)
    return red, green, blue
