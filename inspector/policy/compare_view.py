"""How a comparison is shown: tables, findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from inspector.contract import Array, Block, Cell, Column, Finding, Note, Severity, Table
from inspector.policy.changes import LEAST, LEVEL, Change, share_of
from inspector.policy.matching import Matches, single_numbers
from inspector.report import Report

NAME: Final = "compare"
"""What the result of a comparison is called in a report."""
Unfair = Sequence[tuple[str, str, str]]
"""Facts of the runs that differ: what, before, after."""


def blocks(
    before: Report, after: Report, matches: Matches, changes: Sequence[Change], unfair: Unfair
) -> Iterator[Block]:
    """Everything that there is to see, most important first."""
    sides = (("model", before.provenance.model, after.provenance.model),
             ("sha256", before.provenance.sha256, after.provenance.sha256), *unfair)  # fmt: skip
    yield Table("What was compared", (Column("fact"), Column("before"), Column("after")), tuple(sides))
    rows = tuple(_layer_rows(matches))
    if rows:
        sides_of = (Column("before", "no such layer"), Column("after", "no such layer"), Column("what"))
        yield Table("Layers that differ", sides_of, rows)
    yield _channel_table(changes)
    yield _metric_table(matches)
    yield Note(
        "Layers are matched by name, then by position and number of channels. Channels of a layer that has another "
        "number of them than before are not compared. Died: dead now and not before; "
        "revived: the other way round. Drifted: the shares of inputs for which a channel is active differ by "
        f"{LEAST:g} or more and by more than chance (pooled two-proportion test, Fisher's exact test for small "
        f"counts, two-sided; p times the number of channels compared under {LEVEL:g}). The test takes the inputs of "
        "both runs for independent samples; where both runs saw the same inputs it errs on the side of silence.",
        "What the words mean",
    )


def _layer_rows(matches: Matches) -> Iterator[tuple[Cell, ...]]:
    yield from ((old, new, "renamed") for old, new in matches.renamed)
    yield from ((name, None, "removed") for name in matches.removed)
    yield from ((None, name, "added") for name in matches.added)
    yield from ((name, name, f"resized: {was} channels before, {now} after") for name, was, now in matches.resized)


def _channel_table(changes: Sequence[Change]) -> Table:
    columns = (
        Column("tap", "layer:kind, as after"),
        Column("channel"),
        Column("what"),
        Column("active before", "share of inputs"),
        Column("active after", "share of inputs"),
        Column("p", "corrected for the number of channels"),
        Column("zero fraction before", "none was published"),
        Column("zero fraction after", "none was published"),
        Column("mean before", "none was published"),
        Column("mean after", "none was published"),
    )
    return Table("Channels that changed", columns, tuple(row for x in changes for row in _channel_rows(x)))


def _channel_rows(x: Change) -> Iterator[tuple[Cell, ...]]:
    flags = {"died": x.died, "revived": x.revived, "drifted": x.drifted}
    for c in np.flatnonzero(x.died | x.revived | x.drifted):
        what = ", ".join(word for word, flag in flags.items() if flag[c])
        shares = (float(share_of(x.before)[c]), float(share_of(x.after)[c]), float(x.p[c]))
        names = ("channel_zero_fraction", "channel_mean")
        numbers = [_at(side, name, int(c)) for name in names for side in (x.before, x.after)]
        yield (x.where, int(c), what, *shares, *numbers)


def _at(side: Mapping[str, Array], name: str, c: int) -> float | None:
    values = side.get(name)
    return float(values[c]) if values is not None and np.isfinite(values[c]) else None


def _metric_table(matches: Matches) -> Table:
    columns = (Column("where"), Column("metric"), Column("before", "not published"), Column("after", "not published"),
               Column("change", "one side is missing"))  # fmt: skip
    rows = tuple(
        (f"{layer}:{tap}" if tap else layer, f"{analysis}.{name}", *(_cell(v) for v in (old, new, new - old)))
        for layer, tap, analysis, name, old, new in single_numbers(matches)
    )
    return Table("Metrics", columns, rows)


def _cell(value: Array) -> Cell:
    plain: Cell = value.item()
    return plain if np.isfinite(value) else None


def findings(matches: Matches, changes: Sequence[Change], unfair: Unfair) -> Iterator[Finding]:
    """What makes the comparison unfair first, then what changed."""
    for why, a, b in unfair:
        message = f"The two runs do not compare: {why} ({a or 'none'} before, {b or 'none'} after)"
        yield Finding(f"{NAME}/unfair", Severity.WARNING, message, evidence={"before": a, "after": b}, remedy=_AGAIN)
    for x in changes:
        judged = (("died", x.died, Severity.WARNING), ("revived", x.revived, Severity.INFO),
                  ("drifted", x.drifted & ~x.died & ~x.revived, Severity.INFO))  # fmt: skip
        for rule, flag, severity in judged:
            if flag.any():
                yield _about(x, rule, flag, severity)
    lists = (("removed", matches.removed), ("added", matches.added), ("renamed", [b for _, b in matches.renamed]))
    for word, names in lists:
        for name in names:
            yield Finding(f"{NAME}/{word}-layer", Severity.INFO, f"Layer {name!r} was {word}", name)
    yield from (_resized(*layer) for layer in matches.resized)


def _resized(name: str, was: int, now: int) -> Finding:
    message = f"Layer {name!r} has another number of channels ({was} before, {now} after): they were not compared"
    evidence: dict[str, Cell] = {"before": was, "after": now}
    return Finding(f"{NAME}/resized-layer", Severity.INFO, message, name, (), evidence, _LOOK)


_AGAIN: Final = "Run both models with the same inputs, settings and options, and compare again."
_LOOK: Final = "Look at the layer in the report of either model; what died in it is not among the findings here."
_SAYS: Final = {
    "died": "are dead and were not before",
    "revived": "were dead before and are not any more",
    "drifted": "are active in another share of inputs than before",
}


def _about(x: Change, rule: str, flag: Array, severity: Severity) -> Finding:
    channels = tuple(int(c) for c in np.flatnonzero(flag))
    seen = {
        word: int(side["channel_finite"].max(initial=0)) for word, side in (("before", x.before), ("after", x.after))
    }
    message = f"{x.where}: {len(channels)} of {flag.size} channels {_SAYS[rule]}"
    evidence: dict[str, Cell] = {"tap": x.tap, **{f"inputs {word}": n for word, n in seen.items()}}
    remedy = "Look at what changed between the two versions: data, learning rate, pruning, conversion."
    return Finding(f"{NAME}/{rule}", severity, message, x.layer, channels, evidence, remedy)
