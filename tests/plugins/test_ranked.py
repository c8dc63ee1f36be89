"""Channels by rank, of taps however wide."""

from __future__ import annotations

import numpy as np
import pytest
from inspector_plugins._ranked import ranked

from inspector import Scale, ScaleKind

UNIT = Scale(ScaleKind.SEQUENTIAL, 0.0, 1.0)


class _Tap:
    name = "t"

    def __init__(self, channels):
        self.channels = channels


def picture(*rows):
    return ranked("t", {_Tap(len(row)): row for row in rows}, UNIT, "first to the last", {1.0: "dead"})


@pytest.mark.parametrize("channels", [2401, 3000, 100_000])
def test_a_wide_tap_shows_numbers_of_its_channels_and_every_mark(channels):
    wide = np.linspace(0.0, 0.9, channels)
    wide[[5, 70]] = 1.0, np.nan
    values = picture(wide, np.array([0.5, 0.25])).values
    assert values.shape == (2, 2400)
    numbers = values[0][~np.isnan(values[0])]
    assert 2398 <= len(numbers) < 2400
    assert np.isin(numbers, wide).all()
    assert numbers[-1] == 1.0
    assert values[1].tolist() == [0.25] * 1200 + [0.5] * 1200


def test_a_picture_that_shows_some_of_the_channels_says_so():
    assert "2,400" in picture(np.zeros(2401)).caption
    assert "2,400" not in picture(np.zeros(2400)).caption
