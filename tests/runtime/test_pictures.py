"""Every kind of picture file against values computed from the definition, and files that are out to do harm."""

from __future__ import annotations

import io
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inspector.errors import InputError
from inspector.runtime import pictures
from inspector.runtime.pictures import decode, decoded, plain
from inspector.runtime.room import Room

RNG = np.random.default_rng(7)
COLOUR = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(data: bytes, **options) -> np.ndarray:
    return np.asarray(decode(data, "x", **options))


def tiff(pixel_bytes: bytes, width: int, height: int, tags: dict[int, int]) -> bytes:
    """A little-endian TIFF of one strip, written from the TIFF 6.0 specification; `tags` are of type SHORT."""
    entries = {256: width, 257: height, 259: 1, 273: 8, 277: 1, 278: height, 279: len(pixel_bytes)} | tags
    directory = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in sorted(entries.items()))
    header = b"II" + struct.pack("<HI", 42, 8 + len(pixel_bytes))
    return header + pixel_bytes + struct.pack("<H", len(entries)) + directory + struct.pack("<I", 0)


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})]
)
def test_colour_files_without_loss_give_back_every_pixel(kind, options):
    image = decode(encoded(Image.fromarray(COLOUR), kind, **options))
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), COLOUR)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_grey_files_without_loss_give_back_every_pixel(kind):
    result = pixels(encoded(Image.fromarray(GREY), kind))
    np.testing.assert_array_equal(result.reshape(5, 7, -1)[..., 0], GREY)
    assert np.ptp(result.reshape(5, 7, -1), axis=-1).max() == 0


def test_a_flat_jpeg_keeps_its_colour():
    result = pixels(encoded(Image.new("RGB", (32, 16), (200, 30, 90)), "JPEG", quality=100))
    assert result.shape == (16, 32, 3)
    assert np.abs(result.astype(int) - [200, 30, 90]).max() <= 2


def test_only_the_first_picture_of_an_animation_counts():
    frames = [Image.fromarray(np.full((4, 4), v, np.uint8)) for v in (10, 200)]
    assert (pixels(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])) == 10).all()
    assert (pixels(encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])) == 10).all()


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: np.rot90(a, 1),
}
"""EXIF 2.32, tag 0x0112: what undoes the orientation, as index arithmetic."""


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_the_exif_orientation_is_undone(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    result = pixels(encoded(Image.fromarray(COLOUR), kind, exif=exif, **options))
    np.testing.assert_array_equal(result, UPRIGHT[orientation](COLOUR))


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_the_exif_orientation_of_a_photograph_is_undone(orientation):
    quarters = np.kron(np.array([[10, 90, 170], [50, 130, 250]], np.uint8), np.ones((16, 16), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    result = pixels(encoded(Image.fromarray(quarters), "JPEG", quality=100, exif=exif))
    np.testing.assert_allclose(result.astype(int), UPRIGHT[orientation](quarters).astype(int), atol=2)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it cannot read
def test_damaged_exif_costs_no_picture():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0132] = 6, "maker", "2020:01:01 00:00:00"
    data = encoded(Image.fromarray(COLOUR), "JPEG", exif=exif)
    begin = data.index(b"Exif") + 6
    end = begin - 8 + int.from_bytes(data[begin - 8 : begin - 6])  # how long a JPEG segment is, with its length
    stored = pixels(data.replace(b"Exif", b"none"))
    turned = 0
    for at in range(begin, end):
        for value in (0, 99):
            found = pixels(data[:at] + bytes([value]) + data[at + 1 :])
            turned += found.shape != stored.shape
            np.testing.assert_array_equal(found, UPRIGHT[6](stored) if found.shape != stored.shape else stored)
    assert 0 < turned < 2 * (end - begin)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(("kind", "mode"), [("PNG", "I;16"), ("TIFF", "I;16"), ("TIFF", "I;16B")])
def test_sixteen_bits_are_scaled_and_neither_clipped_nor_rounded(kind, mode, orientation):
    levels = np.array([[0, 1, 255, 256], [257, 1000, 65534, 65535]], np.uint16)
    exif = Image.Exif()
    exif[0x0112] = orientation
    raw = levels.astype(">u2" if mode == "I;16B" else "<u2")
    image = decode(encoded(Image.frombytes(mode, (4, 2), raw.tobytes()), kind, exif=exif))
    assert image.mode == "F"
    np.testing.assert_allclose(np.asarray(image), UPRIGHT[orientation](levels) / 257, rtol=1e-7)


def test_a_sixteen_bit_level_that_is_see_through_becomes_white():
    levels = np.array([[0, 300], [40000, 300]], np.uint16)
    data = encoded(Image.fromarray(levels), "PNG", transparency=300)
    np.testing.assert_allclose(pixels(data), [[0, 255], [40000 / 257, 255]], rtol=1e-7)


def test_a_tiff_whose_zero_is_white_is_turned_round():
    levels = np.array([[0, 100], [65535, 40000]], np.uint16)
    data = tiff(levels.tobytes(), 2, 2, {258: 16, 262: 0})
    np.testing.assert_allclose(pixels(data), (65535 - levels.astype(float)) / 257, rtol=1e-6)


def test_a_tiff_of_twelve_bits_has_its_own_white():
    packed = bytes([0xFF, 0xF0, 0x01, 0x80, 0x00, 0x00])  # big-endian nibbles: fff 001, 800 000
    data = tiff(packed, 2, 2, {258: 12, 262: 1})
    found = pixels(data)
    np.testing.assert_allclose(found, np.array([[4095, 1], [2048, 0]]) * (255 / 4095), rtol=1e-7)
    assert np.asarray(plain(Image.fromarray(found))).max() == 255


@pytest.mark.parametrize("strip", [1, 500, 2**20])
def test_what_lies_on_white_is_the_nearest_level_whatever_the_strips(monkeypatch, strip):
    monkeypatch.setattr(pictures, "_STRIP", strip)
    level, alpha = np.meshgrid(np.arange(256), np.arange(256))
    bands = np.stack([level, level, level, alpha], -1).astype(np.uint8)
    expected = (level * alpha + 255 * (255 - alpha) + 127) // 255
    np.testing.assert_array_equal(np.asarray(plain(Image.fromarray(bands)))[..., 0], expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_transparency_is_laid_on_white(mode, kind):
    bands = RNG.integers(0, 256, (6, 6, 4 if mode == "RGBA" else 2), dtype=np.uint8)
    bands[0, :2, -1] = 0, 255
    result = pixels(encoded(Image.fromarray(bands, mode), kind))
    alpha = bands[..., -1:] / 255
    expected = np.broadcast_to(bands[..., :-1] * alpha + 255 * (1 - alpha), (6, 6, 3))
    assert np.abs(result - expected).max() <= 1
    assert (result[0, 0] == 255).all()
    np.testing.assert_array_equal(result[0, 1], np.broadcast_to(bands[0, 1, :-1], 3))


def test_a_palette_is_looked_up_and_its_transparent_entry_becomes_white():
    image = Image.fromarray(np.array([[0, 1], [2, 0]], np.uint8), "P")
    image.putpalette([10, 20, 30, 200, 100, 50, 7, 8, 9])
    opaque = [[[10, 20, 30], [200, 100, 50]], [[7, 8, 9], [10, 20, 30]]]
    clear = [[[10, 20, 30], [255, 255, 255]], [[7, 8, 9], [10, 20, 30]]]
    for kind in ("PNG", "GIF"):
        np.testing.assert_array_equal(pixels(encoded(image, kind)), opaque)
        np.testing.assert_array_equal(pixels(encoded(image, kind, transparency=1)), clear)


def test_one_bit_becomes_black_and_white():
    bits = np.array([[0, 1, 1], [1, 0, 0]], bool)
    for kind in ("PNG", "BMP", "TIFF"):
        image = decode(encoded(Image.fromarray(bits), kind))
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), bits * 255)


def test_inks_become_light():
    inks = RNG.integers(0, 256, (4, 6, 4), dtype=np.uint8)
    result = pixels(encoded(Image.fromarray(inks, "CMYK"), "TIFF"))
    expected = (255.0 - inks[..., :3]) * (255.0 - inks[..., 3:]) / 255
    assert np.abs(result - expected).max() <= 1


def test_a_float_picture_is_taken_as_it_is():
    levels = np.array([[0.0, 0.25], [127.125, 255.0]], np.float32)
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(levels), "TIFF")), levels)


@pytest.mark.parametrize("bad", [-0.5, 255.5, 1e30, np.nan, np.inf])
def test_a_float_picture_outside_of_its_range_is_refused(bad):
    data = encoded(Image.fromarray(np.array([[0, bad]], np.float32)), "TIFF")
    with pytest.raises(InputError, match=r"scan\.tif: its pixels are floats outside .*expected 0\.\.255") as caught:
        decode(data, "scan.tif")
    assert ".npy" in caught.value.remedy


def test_wide_integers_are_taken_as_they_are_within_the_range_and_refused_outside():
    inside, outside = np.array([[0, 255]], np.int32), np.array([[0, 256]], np.int32)
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(inside), "TIFF")), inside)
    with pytest.raises(InputError, match=r"wide integers.*found 0\.\.256"):
        decode(encoded(Image.fromarray(outside), "TIFF"))


def test_a_colour_space_without_a_conversion_is_refused():
    with pytest.raises(InputError, match="colour space cannot be converted; expected RGB, found La"):
        plain(Image.new("La", (2, 2)))


def test_a_plain_picture_stays_what_it_is():
    for image in (Image.fromarray(COLOUR), Image.fromarray(GREY), Image.fromarray(GREY.astype(np.float32))):
        again = plain(image)
        assert again.mode == image.mode
        assert again is image or image.mode == "F"  # a copy would double what a large one takes
        np.testing.assert_array_equal(np.asarray(again), np.asarray(image))


def test_pixels_that_are_decoded_at_one_time_are_bounded(monkeypatch):
    """While a picture is in use, another one waits that has no room beside it, and one that has does not."""
    monkeypatch.setattr(pictures, "_decoding", Room(40))
    data, small = encoded(Image.fromarray(COLOUR), "PNG"), encoded(Image.fromarray(COLOUR[:1, :5]), "PNG")
    assert COLOUR.size // 3 == 35
    with ThreadPoolExecutor(1) as pool:
        with decoded(data):
            decode(small)
            waiting = pool.submit(decode, data)
            with pytest.raises(FutureTimeoutError):
                waiting.result(0.2)
        assert waiting.result(10).size == (7, 5)
    for _ in range(3):  # what was taken comes back, of broken ones as well
        with pytest.raises(InputError):
            decode(data[:-30])
    monkeypatch.setattr(pictures, "_decoding", Room(3))
    assert decode(data).size == (7, 5)


def test_a_path_is_read_and_named_in_messages(tmp_path):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.fromarray(COLOUR).save(good)
    bad.write_bytes(b"hello world")
    np.testing.assert_array_equal(np.asarray(decode(good)), COLOUR)
    with pytest.raises(
        InputError,
        match=r"bad\.png: it is no picture; expected one of JPEG.*found the bytes 68 65 6c",
    ):
        decode(bad)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_a_truncated_file_is_refused_by_name(kind):
    data = encoded(Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)), kind)
    with pytest.raises(InputError, match=r"half\.pic: the picture is cut short or damaged|half\.pic: it is no picture"):
        decode(data[: len(data) // 2], "half.pic")


def test_an_empty_file_is_refused():
    with pytest.raises(InputError, match="found an empty file"):
        decode(b"")


@pytest.mark.parametrize("kind", ["PPM", "TGA", "ICO", "EPS", "PCX"])
def test_other_formats_stay_shut(kind):
    data = encoded(Image.fromarray(RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8)), kind)
    with pytest.raises(InputError, match="it is no picture"):
        decode(data)


def test_too_many_pixels_are_refused_from_the_header_alone():
    width = struct.pack(">I", 9000)
    header = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + width + width + b"\x08\x02\0\0\0"
    header += struct.pack(">I", zlib.crc32(header[12:]))
    with pytest.raises(InputError, match=r"many pixels; expected at most 64,000,000, found 9000 x 9000 = 81,000,000"):
        decode(header + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))


def test_a_decompression_bomb_beyond_what_pillow_takes_is_refused_too():
    data = tiff(b"\0", 60000, 60000, {258: 8, 262: 1})
    with pytest.raises(InputError, match="too many pixels"):
        decode(data)


def test_the_limits_are_sharp(tmp_path):
    data = encoded(Image.fromarray(COLOUR), "PNG")
    path = tmp_path / "x.png"
    path.write_bytes(data)
    for source in (data, path):
        decode(source, max_pixels=35, max_bytes=len(data))
        with pytest.raises(InputError, match="too many pixels"):
            decode(source, max_pixels=34)
        with pytest.raises(InputError, match="the file is too large"):
            decode(source, max_bytes=len(data) - 1)


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, tmp_path / "absent.png"):
        with pytest.raises(InputError, match="it is not a regular file"):
            decode(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it repairs
@given(data=st.data())
def test_damaged_bytes_give_a_picture_or_an_input_error_and_nothing_else(kind, data):
    good = encoded(Image.fromarray(COLOUR), kind)
    at = data.draw(st.integers(0, len(good) - 1))
    patch = data.draw(st.binary(min_size=1, max_size=8))
    bad = (good[:at] + patch + good[at + len(patch) :])[: data.draw(st.integers(at, len(good)))]
    try:
        image = decode(bad, "x", max_pixels=10_000)
    except InputError:
        return
    assert image.mode in {"L", "RGB", "F"}
    assert image.width * image.height <= 10_000
