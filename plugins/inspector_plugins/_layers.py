"""Which layers an analysis of weights looks at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Generic, TypeVar

from pydantic import Field

from inspector import Column, Filters, Inapplicable, Layer, ModelView, Table

T = TypeVar("T")

Patterns = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=500)], ...],
    Field(min_length=1, max_length=100, description="Which layers: names or shell-style patterns, such as `layer1/*`."),
]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A layer that has no fixed weights, and why."""

    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Survey(Generic[T]):
    """What was found in every layer that has weights, in layer order, and the layers that have none."""

    found: tuple[T, ...]
    left_out: tuple[LeftOut, ...]


def layers_like(model: ModelView, patterns: Sequence[str]) -> tuple[Layer, ...]:
    """The layers that the patterns match, in layer order, each once. A pattern that is a layer's name means that layer.

    Raises:
        NotFoundError: a pattern matches no layer.
    """
    wanted: set[str] = set()
    for pattern in patterns:
        exact = {layer.name for layer in model.layers if layer.name == pattern}
        alike = {layer.name for layer in model.layers if fnmatchcase(layer.name, pattern)}
        wanted |= exact or alike or {model.layer(pattern).name}  # the last raises, naming the nearest layer
    return tuple(layer for layer in model.layers if layer.name in wanted)


def survey(
    model: ModelView, patterns: Sequence[str], look: Callable[[Layer, Filters], T], *, fold_norm: bool
) -> Survey[T]:
    """`look` at the filters of every layer that matches, one layer in memory at a time.

    Raises:
        NotFoundError: a pattern matches no layer.
        Inapplicable: no layer that matches has fixed weights.
    """
    found: list[T] = []
    left_out: list[LeftOut] = []
    for layer in layers_like(model, patterns):
        try:
            filters = model.filters(layer.name, fold_norm=fold_norm)
        except Inapplicable as error:
            left_out.append(LeftOut(layer.name, error.problem))
        else:
            found.append(look(layer, filters))
    if not found:
        raise Inapplicable(
            model.name or "model",
            "no layer that was asked for has fixed weights",
            found=f"{left_out[0].layer}: {left_out[0].reason}" if left_out else "no convolution",
            remedy="Analyses that watch activations still work.",
        )
    return Survey(tuple(found), tuple(left_out))


def left_out_tables(left_out: Sequence[LeftOut]) -> tuple[Table, ...]:
    """One table of the layers without fixed weights, or none where there is no such layer."""
    if not left_out:
        return ()
    columns = (Column("layer"), Column("why"))
    return (Table("Layers left out", columns, tuple((item.layer, item.reason) for item in left_out)),)
