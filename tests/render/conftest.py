"""What the tests of pictures share."""

from __future__ import annotations

import pytest

from inspector.render import canvas, colourbar, curve, graph, heatmap
from inspector.render.canvas import LABEL
from inspector.render.palette import INK


@pytest.fixture
def written(monkeypatch):
    """Every text that is drawn, with its size and colour."""
    found, write = [], canvas.write

    def record(image, at, text, size=LABEL, colour=INK, **look):
        found.extend([(text, size, colour)] * bool(text))
        write(image, at, text, size, colour, **look)

    for module in (canvas, colourbar, curve, graph, heatmap):
        monkeypatch.setattr(module, "write", record)
    return found
