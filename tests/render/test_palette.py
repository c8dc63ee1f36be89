"""The colour tables: even steps, told apart by everyone, and no table holds a colour that means something else."""

from __future__ import annotations

import numpy as np
import pytest

from inspector.render.palette import MISSING, NOT_FINITE, SEQUENTIAL, SIGNED, oklab_from_srgb, srgb_from_oklab

# Viénot, Brettel, Mollon (1999): what is left of linear RGB without the long (protan) or middle (deutan) cones.
DICHROMATS = {
    "protan": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
    "deutan": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
}


def seen_by(pixels, kind):
    linear = (pixels / 255.0) ** 2.2
    return np.round(np.clip(linear @ np.array(DICHROMATS[kind]).T, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)


def test_oklab_of_known_colours_is_what_its_author_gives():
    # Reference values for red, green and blue published with the definition of the space.
    lab = oklab_from_srgb(np.array([[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8))
    expected = [[1.0, 0.0, 0.0], [0.628, 0.225, 0.126], [0.866, -0.234, 0.179], [0.452, -0.032, -0.312]]
    np.testing.assert_allclose(lab, expected, atol=6e-4)


def test_oklab_comes_back_to_the_same_bytes():
    pixels = np.random.default_rng(0).integers(0, 256, (500, 3), np.uint8)
    np.testing.assert_array_equal(srgb_from_oklab(oklab_from_srgb(pixels)), pixels)


def test_the_sequential_table_gets_brighter_all_the_way():
    lightness = oklab_from_srgb(SEQUENTIAL)[:, 0]
    assert (np.diff(lightness[::4]) > 0).all()
    assert lightness[0] < 0.25
    assert lightness[-1] > 0.9


@pytest.mark.parametrize("table", [SEQUENTIAL, SIGNED[127:], SIGNED[127::-1]], ids=["sequential", "red", "blue"])
def test_equal_steps_of_a_table_look_equally_large(table):
    steps = np.linalg.norm(np.diff(oklab_from_srgb(table)[::16], axis=0), axis=1)  # 16: rounding to bytes averages out
    assert steps.max() / steps.min() < 1.15


def test_the_signed_table_is_white_in_its_middle_and_darker_with_distance():
    lightness = oklab_from_srgb(SIGNED)[:, 0]
    assert tuple(SIGNED[127]) == (255, 255, 255)
    assert (np.diff(lightness[127::4]) < 0).all()
    assert (np.diff(lightness[127::-4]) < 0).all()
    np.testing.assert_allclose(lightness[:127], lightness[:127:-1], atol=0.02)  # neither sign looks stronger


@pytest.mark.parametrize("kind", DICHROMATS)
def test_the_two_signs_differ_for_the_colour_blind(kind):
    lab = oklab_from_srgb(seen_by(SIGNED, kind))
    apart = np.linalg.norm(lab[:127] - lab[:127:-1], axis=1)
    assert (apart[:100] > 0.05).all()  # index 100 is a fifth of the way from white


def test_the_colours_for_no_number_are_in_no_table():
    for table in (SEQUENTIAL, SIGNED):
        for colour in (NOT_FINITE, MISSING):
            assert np.abs(table.astype(int) - colour).max(axis=1).min() > 10
