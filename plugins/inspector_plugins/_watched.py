"""Which taps an analysis watches: the same two parameters wherever one is asked for."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from inspector import Inapplicable, ModelView, Tap, TapKind


class Watching(BaseModel):
    """Where to look."""

    model_config = ConfigDict(extra="forbid")
    taps: list[str] = Field(["*"], description="patterns of taps: layer, or layer:conv, layer:norm, layer:act")
    kind: TapKind = Field(TapKind.ACT, description="which tap of a layer a pattern without one means")


def watched(model: ModelView, params: Watching) -> tuple[Tap, ...]:
    """The taps of the patterns, in layer order.

    Raises:
        NotFoundError: a pattern matches no layer.
        Inapplicable: there is no such tap.
    """
    taps = model.taps(tuple(params.taps), params.kind)
    if not taps:
        raise Inapplicable(f"model {model.name!r}", "there is no tap to watch")
    return taps
