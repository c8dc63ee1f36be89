"""What the filters analysis says of its pictures is true of the model that it is said of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fakes import Conv, FakeModel
from inspector_plugins.filters import Filters, FiltersParams

from inspector import Heatmap, Images, Note, Table, TensorInfo
from inspector.service import AnalysisRequest, inspect


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def shown(*convs: Conv, **params: Any) -> list[Any]:
    analysis = Filters(FiltersParams(**params))
    fake = FakeModel(convs, inputs=tuple(TensorInfo(x, "float32", ("N", 3, 32, 32)) for x in ("left", "right")))
    return list(analysis.present(analysis.finalize(fake, {})))


def note(*convs: Conv, **params: Any) -> str:
    (found,) = (block for block in shown(*convs, **params) if isinstance(block, Note))
    return found.text


COLOUR, MATRIX, DEEPER = Conv("a", numbers(4, 3, 3, 3)), Conv("b", numbers(6, 4, 1, 1)), Conv("c", numbers(4, 6, 3, 3))
UP = Conv("up", numbers(4, 3, 3, 3), op="ConvTranspose")
NOT_FLIPPED, OWN = "the pattern shown is the pattern looked for", "Each filter has a scale of its own"


def test_nothing_is_claimed_of_what_layers_behind_the_first_read() -> None:
    """Two layers on two inputs, or on one: a plugin cannot know."""
    text = note(COLOUR, Conv("right", numbers(4, 3, 3, 3)))
    assert "whether a layer behind the first reads the image too is not known here" in text
    assert "not image patches" not in text
    assert "first layer reads three channels, as a colour image has" in text


def test_that_the_pattern_is_looked_for_is_said_only_where_something_looks() -> None:
    assert NOT_FLIPPED not in note(UP)
    assert NOT_FLIPPED in note(COLOUR)
    both = note(COLOUR, UP)
    assert NOT_FLIPPED in both
    assert "A transposed convolution paints" in both


@pytest.mark.parametrize(
    ("convs", "own", "parts"),
    [
        ((COLOUR, MATRIX), True, (OWN, "Each matrix of 1x1 kernels has one scale for all of its filters")),
        ((COLOUR, DEEPER), True, (OWN,)),
        ((MATRIX,), True, ("Each layer has one scale",)),
        ((COLOUR, MATRIX), False, ("Each layer has one scale",)),
    ],
)
def test_the_note_says_which_pictures_are_on_which_scale(
    convs: tuple[Conv, ...], own: bool, parts: tuple[str, ...]
) -> None:
    text = note(*convs, per_filter_scale=own)
    every = (OWN, "Each matrix of 1x1 kernels has one scale", "Each layer has one scale")
    assert all(part in text for part in parts)
    assert sum(part in text for part in every) == len(parts)


def test_a_filter_that_is_asked_for_twice_is_drawn_once() -> None:
    blocks = shown(COLOUR, filters=[2, 0, 2, 2])
    (images,) = (block for block in blocks if isinstance(block, Images))
    (table,) = (block for block in blocks if isinstance(block, Table))
    assert [picture.label for picture in images.pictures] == ["2", "0"]
    assert images.caption.startswith("2 of 4 filters;")
    assert table.rows[0][4] == 2


@pytest.mark.parametrize("several", [(0, 1), [0, 1], range(2), {0, 1}])
def test_several_filters_may_be_given_in_any_container(several: Any) -> None:
    from inspector.samples import SAMPLES

    found = inspect(SAMPLES[0].model, None, [AnalysisRequest("filters", {"filters": several})]).result("filters")
    images = [block for block in found.blocks if isinstance(block, Images)]
    assert images
    assert all({p.label.partition(",")[0] for p in block.pictures} == {"0", "1"} for block in images)


def test_weights_of_a_matrix_that_are_no_numbers_are_counted_in_its_caption() -> None:
    weight = numbers(5, 4, 1, 1)
    weight[1], weight[2, 0] = np.nan, np.inf
    (matrix,) = (block for block in shown(Conv("b", weight)) if isinstance(block, Heatmap))
    assert matrix.caption.endswith(" Not a number: 4 NaN and 1 Inf among the weights drawn.")
    (matrix,) = (block for block in shown(MATRIX) if isinstance(block, Heatmap))
    assert "Not a number" not in matrix.caption
