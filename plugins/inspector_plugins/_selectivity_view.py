"""How the selectivity analysis is shown: tables, a picture of the most selective channels, numbers for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from inspector import Array, Block, Cell, Column, Heatmap, Metric, MetricInfo, Note, Scale, ScaleKind, Table
from inspector_plugins._selectivity_result import Selectivities, TapSelectivity
from inspector_plugins._tables import numbers
from inspector_plugins._wording import counted

METRICS: Final = (
    MetricInfo("inputs", "inputs whose class is known", "inputs"),
    MetricInfo("unlabelled", "inputs whose class is unknown; in nothing else", "inputs"),
    MetricInfo("classes", "classes that were seen", "classes"),
    MetricInfo("median", "median index of the channels that have one, 0 to 1"),
    MetricInfo("most", "largest index, 0 to 1"),
    MetricInfo("channel_index", "class selectivity, 0 to 1; NaN where there is none", per_channel=True),
)
_MOST_ROWS: Final = 40
"""Classes that are drawn."""


def metrics(result: Selectivities) -> Iterator[Metric]:
    """All of them, tap by tap."""
    for x in result.taps:
        known = x.index[np.isfinite(x.index)]
        values_of = {
            "inputs": int(x.inputs.sum()),
            "unlabelled": x.unlabelled,
            "classes": len(x.classes),
            "median": np.median(known) if known.size else np.nan,
            "most": known.max() if known.size else np.nan,
            "channel_index": x.index,
        }
        for name, values in values_of.items():
            yield Metric(name, np.asarray(values), x.tap.layer, x.tap.kind.value)


def show(result: Selectivities, params: Any) -> list[Block]:
    """Everything, most important first."""
    blocks: list[Block] = [_layers(result.taps)]
    if drawn := _picture(result.taps, params.top):
        blocks.append(drawn)
    blocks += [_channels(result.taps), _classes(result.taps)]
    if result.left_out:
        columns = (Column("tap", "layer:kind"), Column("tensor", "name of the ONNX value"), Column("reason"))
        rows = tuple((tap.name, tap.tensor, reason) for tap, reason in result.left_out.items())
        blocks.append(Table("Without selectivity", columns, rows))
    return [*blocks, _definitions()]


def _layers(taps: Sequence[TapSelectivity]) -> Table:
    columns = (
        Column("tap", "layer:kind"),
        Column("tensor", "name of the watched ONNX value"),
        Column("after", "activation just before it"),
        Column("channels"),
        Column("with an index", "channels that have one: not zero for all classes, no NaN or Inf", "channels"),
        Column("median index", "over these channels; a dash where there are none"),
        Column("greatest index", "over these channels"),
        Column("top channel", "the one with it"),
        Column("its class", "the class for which that channel is most active"),
        Column("classes", "classes of the inputs that reached the tap", "classes"),
        Column("fewest per class", "inputs of the smallest class", "inputs"),
        Column("unlabelled", "inputs without a class, left out", "inputs"),
    )
    return Table("Selectivity by layer", columns, tuple(_layer_row(x) for x in taps), _amounts(taps[0]))


def _amounts(x: TapSelectivity) -> str:
    each = f"{x.inputs.min()} to {x.inputs.max()} each" if x.inputs.min() < x.inputs.max() else f"{x.inputs[0]} each"
    return (
        f"Over {counted(int(x.inputs.sum()), 'input')} of {len(x.classes)} classes, {each}; "
        f"{x.unlabelled} without a label left out. With few inputs per class, chance alone looks selective."
    )


def _layer_row(x: TapSelectivity) -> tuple[Cell, ...]:
    known = np.flatnonzero(np.isfinite(x.index))
    head = (x.tap.name, x.tap.tensor, x.tap.activation or "(linear)", x.tap.channels, known.size)
    tail = (len(x.classes), int(x.inputs.min()), x.unlabelled)
    if not known.size:
        return (*head, None, None, None, None, *tail)
    top = int(known[x.index[known].argmax()])
    return (*head, float(np.median(x.index[known])), float(x.index[top]), top, x.classes[x.best[top]], *tail)


def _picture(taps: Sequence[TapSelectivity], most: int) -> Heatmap | None:
    """Activity of the most selective channels of all taps that saw the same classes as the first."""
    alike = [x for x in taps if x.classes == taps[0].classes]
    ranked = sorted(
        ((-x.index[c], i, c) for i, x in enumerate(alike) for c in np.flatnonzero(np.isfinite(x.index))),
    )[:most]
    if not ranked:
        return None
    columns = [alike[i].activity[:, c] / alike[i].activity[:, c].max() for _, i, c in ranked]
    best = [int(alike[i].best[c]) for _, i, c in ranked]
    rows = _drawn_classes(best, len(taps[0].classes))
    return Heatmap(
        "Activity of the most selective channels, by class",
        np.stack(columns, axis=1)[rows],
        Scale(ScaleKind.SEQUENTIAL, 0.0, 1.0, "activity; its own class: 1"),
        row_axis="class",
        column_axis="channels, the most selective first",
        row_labels=tuple(taps[0].classes[r] for r in rows),
        column_labels=tuple(f"{alike[i].tap.layer} {c}" for _, i, c in ranked),
        caption=f"Index from {-ranked[0][0]:.3g} to {-ranked[-1][0]:.3g}."
        + f" {len(rows)} of {len(taps[0].classes)} classes are drawn." * (len(rows) < len(taps[0].classes)),
    )


def _drawn_classes(best: Sequence[int], total: int) -> Array:
    """All classes, or those of the most selective channels and, where there is room, the first others."""
    wanted = list(dict.fromkeys([*best, *range(min(total, _MOST_ROWS))]))[:_MOST_ROWS]
    return np.array(sorted(wanted))


def _channels(taps: Sequence[TapSelectivity]) -> Table:
    columns = (
        Column("tap", "layer:kind"),
        Column("channel"),
        Column("index", "class selectivity; a dash for 0/0 and where a map held NaN or Inf"),
        Column("class", "for which it is most active; a dash without an index"),
        Column("its activity", "mean over the inputs of that class of the maps' means"),
        Column("other classes", "mean over the other classes of the same"),
    )
    return Table("Selectivity by channel", columns, tuple(row for x in taps for row in _channel_rows(x)))


def _channel_rows(x: TapSelectivity) -> Iterator[tuple[Cell, ...]]:
    own = x.activity[x.best, range(x.tap.channels)]
    cells = (numbers(x.index), x.best.tolist(), numbers(own), numbers(_beside(x)))
    for channel, (index, best, activity, others) in enumerate(zip(*cells, strict=True)):
        known = (index, x.classes[best], activity, others) if index is not None else (None,) * 4
        yield x.tap.name, channel, *known


def _beside(x: TapSelectivity) -> Array:
    """How active every channel is for the classes that are not its best, in the mean: (C,)."""
    others = x.activity.T[np.arange(len(x.classes)) != x.best[:, None]].reshape(x.tap.channels, -1)
    with np.errstate(invalid="ignore"):  # Inf less Inf, of a channel that has no index
        return np.asarray(others.mean(axis=1))


def _classes(taps: Sequence[TapSelectivity]) -> Table:
    columns = (Column("class"), Column("inputs", "inputs of that class; of the tap that saw most", "inputs"))
    largest = max(taps, key=lambda x: int(x.inputs.sum()))
    rows = zip(largest.classes, largest.inputs.tolist(), strict=True)
    return Table("Classes", columns, tuple(rows))


def _definitions() -> Note:
    return Note(
        "Class selectivity (Morcos et al. 2018): (highest class mean - mean of the others) / their sum, of the mean of "
        "every map. 0: all classes alike; 1: one class alone. Every class weighs the same. A channel that is zero for "
        "all classes has none. It describes channels; high or low is neither good nor bad.",
        "What the numbers mean",
    )
