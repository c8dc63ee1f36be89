"""Picture files to pixels: one of three plain kinds, whatever the file holds.

What comes out is upright (EXIF orientation applied) and is one of

* `L`: (H, W) grey, 8 bits;
* `RGB`: (H, W, 3) colour, 8 bits;
* `F`: (H, W) grey, float32 in 0..255, for files that are finer than 8 bits.

Choices that a reader of the numbers must know:

* Transparency is laid on white before anything is resized, and rounded to the nearest level. Any other colour would be
  as arbitrary; white is what a page shows.
* 16-bit grey is divided by 257, so that 0..65535 becomes 0..255 and nothing is clipped or rounded. Colour with
  16 bits per channel keeps the upper 8 of them, which is all that Pillow reads.
* 32-bit integer and float grey is taken as it is, and refused outside 0..255: its scale is unknown.
* Of an animation or a file of several pages the first picture counts. Colour profiles and gamma are ignored.
* EXIF that is damaged so that nothing can be read of it turns nothing: the picture is taken as it is stored.
"""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from inspector.contract import Array
from inspector.errors import InputError, InspectorError
from inspector.runtime.devices import cores
from inspector.runtime.room import Room

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""Decoders that hostile bytes may reach; everything else that Pillow can read stays shut."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""Endings of picture files, lower case."""
MAX_PIXELS = 64_000_000
"""Width times height that a picture may declare. Above 179 million Pillow refuses as well."""
MAX_BYTES = 128 * 2**20
"""Size of a picture file."""

AT_ONCE = max(MAX_PIXELS, 24_000_000 * cores())
"""Pixels that all threads together decode at one time: of usual photographs one for every processor."""

_decoding = Room(AT_ONCE)
_STRIP = 2**20  # pixels that are laid on white at one time
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # what undoes an EXIF orientation
_DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_TIFF_BITS, _TIFF_PHOTOMETRIC = 258, 262  # tag numbers, TIFF 6.0 section 8
_WHITE_IS_ZERO = 0


def decode(
    source: bytes | Path, name: str = "", *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> Image.Image:
    """A picture from a file's bytes or its path, upright, in mode `L`, `RGB` or `F`.

    `name` is what messages call it; the path where it is not given. The declared size is checked before decoding.

    Raises:
        InputError: no picture of a known format, cut short or damaged, too large, or out of range.
    """
    with decoded(source, name, max_pixels=max_pixels, max_bytes=max_bytes) as image:
        return image


@contextmanager
def decoded(
    source: bytes | Path, name: str = "", *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> Generator[Image.Image]:
    """As `decode`, for a short use: until then its pixels count among those that are decoded at one time."""
    name = name or (str(source) if isinstance(source, Path) else "picture")
    data = read_bytes(source, name, max_bytes) if isinstance(source, Path) else _within(source, name, max_bytes)
    with ExitStack() as held:
        yield _decoded(data, name, max_pixels, held)


def _decoded(data: bytes, name: str, max_pixels: int, held: ExitStack) -> Image.Image:
    try:
        with io.BytesIO(data) as file:  # Pillow may hold on to it
            opened = Image.open(file, formats=FORMATS)
            _check_pixels(opened.size, name, max_pixels)
            held.enter_context(_decoding.taken(opened.width * opened.height))
            image = _upright(opened)
            del opened  # so that no picture that was turned is held twice
            return plain(image, name)
    except InspectorError:
        raise
    except Exception as error:  # decoders raise a dozen unrelated types on damaged bytes
        raise _undecodable(name, data, error) from error


def _upright(image: Image.Image) -> Image.Image:
    """The picture, read and turned as its EXIF says."""
    image.load()
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - as many types as decoders raise; the pixels are sound all the same
        return image
    return image if turn is None else image.transpose(turn)


def read_bytes(path: Path, name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """The content of a regular file of limited size.

    Raises:
        InputError: missing, unreadable, not a regular file (a pipe would block), or too large.
    """
    try:
        if not path.is_file():
            raise InputError(name, "it is not a regular file", remedy="Give a file that exists and can be read.")
        with path.open("rb") as file:
            return _within(file.read(max_bytes + 1), name, max_bytes)
    except OSError as error:
        raise InputError(name, f"it cannot be read ({error.strerror or error})") from error


def plain(image: Image.Image, name: str = "picture") -> Image.Image:
    """Any Pillow picture as mode `L`, `RGB` or `F`; see the top of this file for what is done.

    Raises:
        InputError: values outside 0..255 where the scale is unknown, or a colour space without a conversion.
    """
    if image.mode in _DEEP_MODES:
        return _grey_levels(image, name)
    try:
        if image.has_transparency_data:
            return _on_white(image)
        mode = "L" if image.mode in {"1", "L"} else "RGB"
        return image if image.mode == mode else image.convert(mode)
    except ValueError as error:
        raise InputError(name, "its colour space cannot be converted", expected="RGB", found=image.mode) from error


def _on_white(image: Image.Image) -> Image.Image:
    """Strip by strip, as a large picture would be held in three forms at one time."""
    page = Image.new("RGB", image.size, "white")
    rows = max(_STRIP // image.width, 1)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height))).convert("RGBA")
        page.paste(strip, (0, top), strip)
    return page


def _grey_levels(image: Image.Image, name: str) -> Image.Image:
    """Grey of more than 8 bits as float32 in 0..255."""
    values = np.asarray(image).astype(np.float32)  # 16 bits fit exactly
    if image.mode.startswith("I;16"):
        return Image.fromarray(_sixteen_bits(values, image))
    if not (values.min() >= 0 and values.max() <= 255):  # a NaN is both, and keeps neither limit
        raise InputError(
            name,
            f"its pixels are {'floats' if image.mode == 'F' else 'wide integers'} outside of what a picture may hold",
            expected="0..255",
            found=f"{values.min():g}..{values.max():g}",
            remedy="Scale them to 0..255, or feed the numbers as .npy.",
        )
    return Image.fromarray(values)


def _sixteen_bits(values: Array, image: Image.Image) -> Array:
    """(H, W) levels of a 9 to 16-bit picture to float32 in 0..255, in place; what is see-through becomes white."""
    tags = getattr(image, "tag_v2", {})
    full = 2 ** tags.get(_TIFF_BITS, (16,))[0] - 1
    if tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:
        np.subtract(full, values, out=values)
    clear = image.info.get("transparency")  # PNG: the one level that counts as see-through
    if clear is not None:
        values[values == clear] = full
    values *= 255  # exact, so that full is 255
    values /= full
    return values


def _check_pixels(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise InputError(
            name,
            "the picture has too many pixels",
            expected=f"at most {max_pixels:,}",
            found=f"{width} x {height} = {width * height:,}",
            remedy="Shrink it first.",
        )


def _within(data: bytes, name: str, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise InputError(name, "the file is too large", expected=f"at most {max_bytes:,} bytes", remedy="Shrink it.")
    return data


def _undecodable(name: str, data: bytes, error: Any) -> InputError:
    if isinstance(error, Image.DecompressionBombError):
        return InputError(name, "the picture has too many pixels", found=str(error), remedy="Shrink it first.")
    if isinstance(error, UnidentifiedImageError):
        begins = f"the bytes {data[:8].hex(' ')} at its beginning" if data else "an empty file"
        return InputError(
            name,
            "it is no picture",
            expected=f"one of {', '.join(FORMATS)}",
            found=begins,
        )
    return InputError(
        name,
        f"the picture is cut short or damaged ({error or type(error).__name__})",
        remedy="Fetch or export the file again.",
    )
