"""How the sparsity analysis is shown: tables, pictures of all channels, findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from inspector import (
    Array,
    Block,
    Cell,
    Column,
    Finding,
    Heatmap,
    Note,
    Scale,
    ScaleKind,
    Severity,
    Table,
)
from inspector_plugins._findings import firing_bound, severity_after
from inspector_plugins._inputs import in_order
from inspector_plugins._ranked import ranked
from inspector_plugins._sparsity_result import LayerSparsity
from inspector_plugins._tables import mean_of, number, numbers, verdicts, without_empty

_MAX_LISTED: Final = 24


def show(result: Sequence[LayerSparsity], params: Any) -> list[Block | Finding]:
    """Everything, most important first."""
    blocks: list[Block | Finding] = [_layers(result, params), *_overviews(result, params), _channels(result)]
    if any(len(x.silent.ids) for x in result):
        blocks.append(_inputs(result))
    blocks.append(_definitions(params))
    return blocks + list(_findings(result))


def _layers(result: Sequence[LayerSparsity], params: Any) -> Table:
    columns = (
        Column("tap", "layer:kind"),
        Column("tensor", "name of the watched ONNX value"),
        Column("after", "activation just before it"),
        Column("channels"),
        Column("zero fraction", "zeros / elements, exact zeros; none where zeros mean nothing"),
        Column("inputs", "inputs that reached the tap, where that differs from tap to tap", "inputs"),
        Column("near-zero", f"share of elements with |a| < {params.near:g}, where exact zeros mean nothing"),
        Column("dead", "channels silent for every input", "channels"),
        Column("structurally dead", "channels that no input can make fire", "channels"),
        Column("rare", f"channels active in under {params.rare:.3g} of the inputs, but in some", "channels"),
        Column("never zero", "channels without a single zero", "channels"),
        Column("constant", "channels with one and the same value everywhere, not dead", "channels"),
        Column("not finite", "channels with NaN or Inf for some input", "channels"),
        Column("max", "largest element"),
        Column("mean", "mean of the maps' means over channels"),
        Column("shared", "yes: behind a residual sum, so zeros belong to the sum"),
    )
    reached = [x.inputs for x in result] or [0]
    least, inputs = min(reached), max(reached)
    rows = tuple(_layer_row(x, x.inputs if least < inputs else None) for x in result)
    bound = f"A dead channel fires for under {firing_bound(least):.3g} of such inputs (95 % bound)."
    return without_empty(Table("Sparsity by layer", columns, rows, f"Over {_amount(inputs)}. {bound}"))


def _layer_row(x: LayerSparsity, inputs: int | None) -> tuple[Cell, ...]:
    zero = mean_of(x.zero_fraction)
    return (
        x.tap.name, x.tap.tensor, x.tap.activation or "(linear)", x.tap.channels,
        zero if x.exact else None, inputs, None if x.exact else zero,
        _count(x.dead) if x.exact else None, _count(x.structurally_dead) if x.exact else None,
        _count(x.rare) if x.exact else None, _count(x.never_zero) if x.exact else None,
        _count(x.constant), _count(x.not_finite), _extreme(x.peak, np.fmax), mean_of(x.mean), x.tap.shared,
    )  # fmt: skip


def _overviews(result: Sequence[LayerSparsity], params: Any) -> Iterator[Heatmap]:
    """A picture of the taps where zero means off, and one of the others, as far as there are any."""
    if exact := {x.tap: x.zero_fraction for x in result if x.exact}:
        yield ranked(
            "Zero fraction of every channel",
            exact,
            Scale(ScaleKind.SEQUENTIAL, 0.0, 1.0, "zeros / elements"),
            "densest to the sparsest",
            {1.0: "exactly 1: zero everywhere, for every input"},
        )
    if near := {x.tap: x.zero_fraction for x in result if not x.exact}:
        yield ranked(
            "Near-zero share of every channel",
            near,
            Scale(ScaleKind.SEQUENTIAL, 0.0, 1.0, f"share of elements with |a| < {params.near:g}"),
            "densest to the sparsest",
            {1.0: "exactly 1: near zero everywhere, for every input"},
            "Taps where exact zeros mean nothing.",
        )


def _channels(result: Sequence[LayerSparsity]) -> Table:
    columns = (
        Column("tap", "layer:kind"),
        Column("channel"),
        Column("zero fraction", "APoZ, or near-zero share where zeros mean nothing"),
        Column("active in", "inputs for which an element was not (near) zero", "inputs"),
        Column("max"),
        Column("min"),
        Column("mean"),
        Column("verdict", "dead, structurally dead, rare, never zero, constant, not finite; empty: nothing special"),
    )
    rows = tuple(row for x in result for row in _channel_rows(x))
    return Table("Sparsity by channel", columns, rows)


def _channel_rows(x: LayerSparsity) -> Iterator[tuple[Cell, ...]]:
    flags = {
        "structurally dead": x.structurally_dead, "dead": x.dead, "rare": x.rare, "never zero": x.never_zero,
        "constant": x.constant, "not finite": x.not_finite,
    }  # fmt: skip
    cells = (numbers(x.zero_fraction), x.active.tolist(), *(numbers(values) for values in (x.peak, x.low, x.mean)))
    for channel, row in enumerate(zip(*cells, verdicts(flags), strict=True)):
        yield x.tap.name, channel, *row


def _inputs(result: Sequence[LayerSparsity]) -> Table:
    columns = (
        Column("input"),
        Column("tap", "layer:kind"),
        Column("silent", "channels zero everywhere for this input", "channels"),
        Column("which"),
    )
    silent = [(x.tap.name, dict(zip(map(str, x.silent.ids), x.silent.values, strict=True))) for x in result if x.exact]
    rows = tuple(
        (name, tap, _count(of[name]), _listed(np.flatnonzero(of[name])))
        for name in in_order(x.silent for x in result)
        for tap, of in silent
        if name in of
    )
    return Table("Silent channels by input", columns, rows, "The first inputs. Silent for one input is not dead.")


def _definitions(params: Any) -> Note:
    return Note(
        "Zero means exactly 0 at the named tensor (-0.0 counts, NaN does not). Silent: zero everywhere for one input. "
        "Dead: silent for every input of this data set, which says as much about the data as about the filter. "
        "Structurally dead: no input can make it fire, by its weights, its bias and the range of its input. "
        f"Where the activation gives no exact zeros, |a| < {params.near:g} is counted instead, and nothing is called "
        "dead. Maps with NaN or Inf are counted as not finite and left out of everything else. The mean is the mean "
        "over inputs of each map's mean.",
        "What the numbers mean",
    )


def _findings(result: Sequence[LayerSparsity]) -> Iterator[Finding]:
    for x in result:
        sure, (dead, constant) = severity_after(x.inputs), _never(x.inputs)
        judged = (
            ("not-finite", x.not_finite, Severity.ERROR, f"gave NaN or Inf for some input, first for {x.broken.id!r}"),
            ("dead", x.dead & ~x.structurally_dead, sure, dead),
            ("structurally-dead", x.structurally_dead, Severity.WARNING, "cannot fire for any input"),
            ("constant", x.constant, sure, constant),
        )
        for rule, flag, severity, message in judged:
            if flag.any():
                yield _finding(x, rule, np.flatnonzero(flag), severity, message)


def _never(inputs: int) -> tuple[str, str]:
    """What is said of dead channels, and of constant ones; a single input makes them neither."""
    if inputs == 1:
        return "gave only zeros for the only input", "gave one value everywhere for the only input"
    bound = f"(so for under {firing_bound(inputs):.3g} of such inputs, 95 % bound)"
    return f"fired for none of {inputs} inputs {bound}", "gave one and the same value everywhere"


_REMEDIES: Final = {
    "not-finite": "Look for an overflow upstream, or for NaN among the weights.",
    "dead": "Check with more data; look at the learning rate; prune what stays dead.",
    "structurally-dead": "Prune: nothing changes.",
    "constant": "A value that never changes carries no information; fold it into the next layer's bias.",
}
_ELSEWHERE: Final = "Something else reads these channels before the activation; look there before pruning them."
_MORE: Final = "Look at more inputs: one says nothing about others."

RULES: Final = tuple(f"sparsity/{rule}" for rule in _REMEDIES)


def _finding(x: LayerSparsity, rule: str, channels: Array, severity: Severity, message: str) -> Finding:
    noun = "channel" if x.tap.channels == 1 else "channels"
    whose = " (of the residual sum)" if x.tap.shared else ""
    evidence: dict[str, Cell] = {"tensor": x.tap.tensor, "tap": x.tap.kind.value, "inputs": x.inputs}
    return Finding(
        rule=f"sparsity/{rule}",
        severity=severity,
        message=f"{x.tap.name}: {channels.size} of {x.tap.channels} {noun}{whose} {message}",
        layer=x.tap.layer,
        channels=tuple(int(c) for c in channels),
        evidence=evidence | _evidence(x, rule),
        remedy=_remedy(x, rule),
    )


def _remedy(x: LayerSparsity, rule: str) -> str:
    if x.inputs == 1 and rule in ("dead", "constant"):
        return _MORE
    return _ELSEWHERE if x.tap.bypassed and rule != "not-finite" else _REMEDIES[rule]


def _evidence(x: LayerSparsity, rule: str) -> dict[str, Cell]:
    if rule == "not-finite":
        return {"first input": x.broken.id, "its position": int(x.broken.positions.min())}
    return {"firing rate below": firing_bound(x.inputs)} if rule == "dead" else {}


def _listed(channels: Array) -> str:
    more = f" … ({len(channels)})" if len(channels) > _MAX_LISTED else ""
    return " ".join(str(c) for c in channels[:_MAX_LISTED]) + more


def _amount(inputs: int) -> str:
    return "1 input" if inputs == 1 else f"{inputs} inputs"


def _count(flag: Array) -> int:
    return int(np.count_nonzero(flag))


def _extreme(values: Array, reduce: np.ufunc) -> float | None:
    return number(reduce.reduce(values)) if values.size else None
