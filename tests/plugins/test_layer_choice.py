"""Which layers and taps a pattern means."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import Conv, FakeModel
from inspector_plugins._layers import layers_like
from inspector_plugins._watched import Watching, watched

from inspector.errors import Inapplicable, NotFoundError

NAMES = ("stem", "block/a", "block/b", "x0", "x[0]")
MODEL = FakeModel([Conv(name, np.ones((3, 3, 1, 1), np.float32)) for name in NAMES])


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["*"], NAMES),
        (["block/*", "stem", "block/a"], ("stem", "block/a", "block/b")),
        (["x?"], ("x0",)),
        (["x[0]"], ("x[0]",)),  # a layer's own name means that layer, whatever it matches as a pattern
        (["x[01]"], ("x0",)),
    ],
)
def test_layers_come_in_layer_order_and_each_once(patterns: list[str], names: tuple[str, ...]) -> None:
    assert tuple(layer.name for layer in layers_like(MODEL, patterns)) == names


@pytest.mark.parametrize("patterns", [["stam"], ["*", "stam"]])
def test_an_unknown_layer_is_refused_with_the_nearest_name(patterns: list[str]) -> None:
    with pytest.raises(NotFoundError, match="Did you mean 'stem'"):
        layers_like(MODEL, patterns)


def test_where_no_layer_has_a_tap_there_is_nothing_to_watch() -> None:
    with pytest.raises(Inapplicable, match="there is no tap to watch"):
        watched(FakeModel([]), Watching())
