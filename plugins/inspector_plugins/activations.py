"""What a network sees: a few inputs as they were fed, and their feature maps, as labelled grids."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydantic import Field

from inspector import (
    Array,
    BatchInfo,
    Block,
    Column,
    Finding,
    First,
    Images,
    ModelView,
    Note,
    Ops,
    Picture,
    ScaleKind,
    Summary,
    Table,
    Tap,
    Value,
    Zeros,
)
from inspector_plugins._fed import Amount, Fed, fed, images_of, not_drawn
from inspector_plugins._inputs import in_order
from inspector_plugins._map_pictures import kind_of, pictures_of, slices_drawn, spread_out
from inspector_plugins._watched import Watching, watched

COLUMNS: Final = 8
MARKS: Final = {
    "silent": "silent, zero everywhere for this input",
    "not finite": "not finite, NaN or Inf in the map",
}
"""Why a map is framed, and what that means."""


@dataclass(frozen=True, eq=False)
class Maps(Summary):
    """The whole maps of the first inputs: each of `first.values` is (C, *space), in the model's own element type."""

    first: First


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Maps by tap and input: `maps[tap][id]` is (C, *space), real numbers where the tap is quantised.

    An input that never reached the tap is missing there. `fed` is what was fed; `not_drawn` says what is not drawn.
    """

    ids: tuple[str, ...]
    maps: Mapping[Tap, Mapping[str, Array]]
    fed: tuple[Fed, ...] = ()
    not_drawn: str = ""


class Activations:
    """Shows the given inputs as they were fed, then the feature maps of every chosen tap; empty maps are marked."""

    name = "activations"
    version = "3"
    summary = Maps

    class Params(Watching):
        """Which taps, and how much of them is drawn."""

        inputs: int = Field(4, ge=1, le=64, description="how many inputs are drawn, the first ones")
        maps: int = Field(32, ge=1, le=4096, description="how many maps of a tap are drawn, the first channels")
        slices: int = Field(8, ge=1, le=1024, description="how many slices of a map of three axes are drawn")

    def __init__(self, params: Params) -> None:
        self.params = params

    def select(self, model: ModelView) -> Sequence[Tap]:
        """The model's inputs, and the taps of the patterns."""
        return (*model.input_taps, *watched(model, self.params))

    def observe(self, op: Ops, x: Value, tap: Tap) -> Mapping[str, Value]:  # noqa: ARG002 - the contract's signature
        """Whole maps."""
        return {"maps": op.keep(x)}

    def summarize(self, tap: Tap, rows: Mapping[str, Array], batch: BatchInfo) -> Maps:  # noqa: ARG002 - as above
        """The first inputs' maps of one batch."""
        return Maps(First.of(self.params.inputs, batch.first, batch.ids, rows["maps"]))

    def finalize(self, model: ModelView, summaries: Mapping[Tap, Maps]) -> Shown:
        """The maps as they came; quantised ones as the real numbers that they stand for."""
        maps = {
            tap: dict(zip(map(str, s.first.ids), (_real(tap, maps) for maps in s.first.values), strict=True))
            for tap, s in summaries.items()
        }
        ids = in_order([s.first for s in summaries.values()])
        of_layers = {tap: by_id for tap, by_id in maps.items() if not tap.is_input}
        return Shown(ids, of_layers, fed(model, maps), not_drawn(model))

    def present(self, result: Shown) -> Sequence[Block | Finding]:
        """What was fed, one table over all maps, then one grid per input and tap."""
        amount = Amount(self.params.maps, self.params.slices)
        seen = [images_of(one, name, amount) for name in result.ids for one in result.fed]
        words = [Note(f"{result.not_drawn}.", "Inputs that are no pictures")] if result.not_drawn else []
        kinds = {tap: kind_of(maps.values()) for tap, maps in result.maps.items()}
        grids = [
            self._grid(tap, name, maps[name], kinds[tap])
            for name in result.ids
            for tap, maps in result.maps.items()
            if name in maps
        ]
        return [*seen, *words, _table(result), *grids]

    def _grid(self, tap: Tap, name: str, maps: Array, kind: ScaleKind) -> Images:
        shown, depth = min(len(maps), self.params.maps), math.prod(maps.shape[1:-2])
        cut = f", the first {shown} of {len(maps)} channels" if shown < len(maps) else ""
        places = spread_out(depth, self.params.slices)
        pictures = tuple(picture for c in range(shown) for picture in pictures_of(tap, c, maps[c], places, kind))
        own = f"Every map has its own scale, written under it{', the same for all its slices' * (depth > 1)}"
        return Images(
            title=f"{tap.name} for {name}",
            pictures=pictures,
            columns=len(places) if len(places) > 1 else COLUMNS,
            caption=f"Tensor {tap.tensor}{cut}. {_depth(depth, places)}{own}; {_framed(tap, pictures)}.",
        )


def _real(tap: Tap, maps: Array) -> Array:
    """(q - zero_point) * scale of quantised maps (C, *space), so that a zero is what means 0."""
    if not tap.scale:
        return maps
    shape = (-1, *[1] * (maps.ndim - 1))
    zero, scale = (np.reshape(np.array(n, np.float32), shape) for n in (tap.zero_point, tap.scale))
    real: Array = (maps.astype(np.float32) - zero) * scale
    return real


def _depth(depth: int, places: Sequence[int]) -> str:
    """How volumes are drawn; nothing for maps of one or two axes."""
    if depth == 1:
        return ""
    row = "A row is one map, as" if len(places) > 1 else "A map is drawn as"
    return f"{row} slices across its first axis in space: {slices_drawn(depth, places)}. "


def _framed(tap: Tap, pictures: Sequence[Picture]) -> str:
    """What the frames in this grid mean, or what would have been framed."""
    marks = {picture.mark for picture in pictures}
    framed = "; ".join(meaning for mark, meaning in MARKS.items() if mark in marks)
    if tap.zeros is Zeros.EXACT:
        return f"framed: {framed}" if framed else "none here is silent, all are finite"
    return f"linear or smooth: zeros mean nothing here; {f'framed: {framed}' if framed else 'all are finite'}"


def _table(result: Shown) -> Table:
    rows = []
    for name in result.ids:
        for tap, maps in result.maps.items():
            if name not in maps:
                continue
            values = maps[name].astype(np.float64)
            silent = int(sum(not np.any(m) for m in values)) if tap.zeros is Zeros.EXACT else None
            shape = "x".join(str(d) for d in values.shape)
            whole = bool(np.isfinite(values).all())
            ends = (float(values.min()), float(values.max())) if whole else (None, None)
            rows.append((name, tap.name, tap.tensor, shape, silent, *ends))
    columns = (
        Column("input"),
        Column("tap", "layer:kind"),
        Column("tensor", "name of the watched ONNX value"),
        Column("shape", "channels x space"),
        Column("silent", "maps that are zero everywhere for this input; none where zeros mean nothing", "maps"),
        Column("min", "smallest element; none where a map is not finite"),
        Column("max", "largest element; none where a map is not finite"),
    )
    return Table("Feature maps", columns, tuple(rows), "Silent for one input is not dead: see the sparsity analysis.")
