"""Patterns to taps, and why a tap cannot be had."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

from inspector.contract import Layer, Tap, TapKind, TensorInfo
from inspector.errors import Inapplicable, LimitError, NotFoundError

MOST_PATTERNS: Final = 10_000
"""That are looked for at a time, each once."""

_NUMBERS: Final = frozenset(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)) | {
    "float16", "bfloat16", "float32", "float64",
}  # fmt: skip
"""Element types of inputs that can be watched."""


def find_taps(layers: Sequence[Layer], patterns: Sequence[str], kind: TapKind) -> tuple[Tap, ...]:
    """See `ModelView.taps`."""
    found: dict[Tap, None] = {}
    distinct = dict.fromkeys(patterns)
    if len(distinct) > MOST_PATTERNS:
        raise LimitError("taps", "there are too many patterns", expected=f"at most {MOST_PATTERNS:,}",
                         found=f"{len(distinct):,}", remedy="* and ? match several names.")  # fmt: skip
    for pattern in distinct:
        found |= dict.fromkeys(_matching(layers, pattern, kind))
    order = {layer.name: layer.index for layer in layers}
    return tuple(sorted(found, key=lambda tap: order[tap.layer]))


def input_taps(inputs: Sequence[TensorInfo]) -> tuple[Tap, ...]:
    """See `ModelView.input_taps`."""
    return tuple(_input_tap(i.name, i.shape[1]) for i in inputs if _is_map(i) and i.shape is not None)


def _input_tap(name: str, channels: int | str | None) -> Tap:
    return Tap("", TapKind.ACT, name, channels if isinstance(channels, int) else 0)


def _is_map(tensor: TensorInfo) -> bool:
    return tensor.shape is not None and len(tensor.shape) > 2 and tensor.dtype in _NUMBERS


def _matching(layers: Sequence[Layer], pattern: str, default: TapKind) -> list[Tap]:
    layer_pattern, kind = _parse(layers, pattern)
    matching = [x for x in layers if x.name == layer_pattern] or [
        x for x in layers if fnmatchcase(x.name, layer_pattern)
    ]
    if not matching:
        raise NotFoundError.among(
            "layer",
            layer_pattern,
            [x.name for x in layers],
            "Patterns may use * and ?, and end in :conv, :norm or :act.",
        )
    if kind is None:
        return [layer.tap(default) for layer in matching]
    taps = [layer.taps[kind] for layer in matching if kind in layer.taps]
    if not taps:
        raise Inapplicable(
            f"tap {pattern!r}", _why_not(matching[0], kind), expected="one of: " + _existing(matching[0])
        )
    return taps


def _parse(layers: Sequence[Layer], pattern: str) -> tuple[str, TapKind | None]:
    """Splits `layer:kind`, unless a layer is really called that."""
    head, _, tail = pattern.rpartition(":")
    if head and tail in set(TapKind) and all(pattern != layer.name for layer in layers):
        return head, TapKind(tail)
    return pattern, None


def _why_not(layer: Layer, kind: TapKind) -> str:
    if kind is TapKind.NORM:
        return f"layer {layer.name!r} has no separate bias or normalisation"
    if kind is TapKind.CONV:
        return f"layer {layer.name!r} has no raw output: its {layer.op} node itself applies {layer.activation}"
    return f"layer {layer.name!r} has no activation: it {layer.linear}"


def _existing(layer: Layer) -> str:
    return ", ".join(tap.name for tap in layer.taps.values())
