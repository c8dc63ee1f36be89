"""How a comparison is shown: tables, findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from inspector.contract import Array, Block, Cell, Column, Finding, Note, Severity, Table
from inspector.policy.changes import LEAST, LEVEL, Change, Turned, inputs_of, share_of
from inspector.policy.failed import Failed
from inspector.policy.matching import Matches, single_numbers
from inspector.report import Report

NAME: Final = "compare"
"""What the result of a comparison is called in a report."""
Unfair = Sequence[tuple[str, str, str]]
"""Facts of the runs that differ: what, before, after."""


@dataclass(frozen=True, slots=True)
class Compared:
    """All that a comparison found."""

    matches: Matches
    changes: Sequence[Change]
    turned: Sequence[Turned]
    unfair: Unfair
    failed: Sequence[Failed]


def blocks(before: Report, after: Report, found: Compared) -> Iterator[Block]:
    """Everything that there is to see, most important first."""
    sides = (("model", before.provenance.model, after.provenance.model),
             ("sha256", before.provenance.sha256, after.provenance.sha256), *found.unfair,
             *((f"analysis {x.analysis!r}", x.before, x.after) for x in found.failed))  # fmt: skip
    yield Table("What was compared", (Column("fact"), Column("before"), Column("after")), sides)
    if rows := tuple(_layer_rows(found.matches)):
        sides_of = (Column("before", "no such layer"), Column("after", "no such layer"), Column("what"))
        yield Table("Layers that differ", sides_of, rows)
    yield _channel_table(found.changes)
    if turned := tuple((t.where, t.analysis, t.before, t.after) for t in found.turned if t.before != t.after):
        counts = (Column("where"), Column("analysis", "that counted them"), Column("before"), Column("after"))
        yield Table("How many are not finite", counts, turned)
    yield _metric_table(found.matches)
    yield Note(
        "Layers are matched by name, then by position and number of channels. Channels of a layer that has another "
        "number of them than before, or is watched at another tap, are not compared. Not finite: NaN or Inf for some "
        "input now and for none before; finite again: the other way round. A channel that is not finite on one side "
        "or on both is nothing else. Died: dead now and not before; revived: the other way round. Constant: one value "
        "everywhere now and not before, and not dead. Drifted: the shares "
        f"of inputs for which a channel is active differ by {float(LEAST):g} or more and by more than chance (pooled "
        "two-proportion test, Fisher's exact test for small counts, two-sided; p times the number of channels compared "
        f"under {LEVEL:g}); channels that died, turned constant or revived may have drifted as well: then that is "
        "beyond chance. The test takes the inputs of both runs for independent samples; where both runs saw the same "
        "inputs it errs on the side of silence.",
        "What the words mean",
    )


def _layer_rows(matches: Matches) -> Iterator[tuple[Cell, ...]]:
    yield from ((old, new, "renamed") for old, new in matches.renamed)
    yield from ((name, None, "removed") for name in matches.removed)
    yield from ((None, name, "added") for name in matches.added)
    names = {b.name: a.name for a, b in matches.pairs}
    for name, was, now in matches.resized:
        yield names[name], name, f"resized: {was} channels before, {now} after"
    for name, where, there in matches.retapped:
        yield names[name], name, f"watched otherwise: {where} before, {there} after"


def _channel_table(changes: Sequence[Change]) -> Table:
    columns = (
        Column("tap", "layer:kind, as after"),
        Column("channel"),
        Column("what"),
        Column("active before", "share of inputs with a finite map; none without any"),
        Column("active after", "share of inputs with a finite map; none without any"),
        Column("p", "corrected for the number of channels; none where one side is not finite"),
        Column("zero fraction before", "none was published"),
        Column("zero fraction after", "none was published"),
        Column("mean before", "none was published"),
        Column("mean after", "none was published"),
    )
    return Table("Channels that changed", columns, tuple(row for x in changes for row in _channel_rows(x)))


def _channel_rows(x: Change) -> Iterator[tuple[Cell, ...]]:
    shares = [share_of(side) for side in (x.before, x.after)]
    for c in np.flatnonzero(np.any(list(x.flags.values()), axis=0)):
        what = ", ".join(word.replace("_", " ") for word, flag in x.flags.items() if flag[c])
        p = None if x.not_finite[c] or x.finite_again[c] else float(x.p[c])
        names = ("channel_zero_fraction", "channel_mean")
        numbers = [_at(side.get(name), int(c)) for name in names for side in (x.before, x.after)]
        yield (x.where, int(c), what, *(_at(share, int(c)) for share in shares), p, *numbers)


def _at(values: Array | None, c: int) -> float | None:
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


def findings(found: Compared) -> Iterator[Finding]:
    """What makes the comparison unfair first, then what is missing from it, then what changed."""
    for why, a, b in found.unfair:
        message = f"The two runs do not compare: {why} ({a or 'none'} before, {b or 'none'} after)"
        yield Finding(f"{NAME}/unfair", Severity.WARNING, message, evidence={"before": a, "after": b}, remedy=_AGAIN)
    for x in found.failed:
        message = f"Analysis {x.analysis!r} was not compared (before, {x.before}; after, {x.after})"
        evidence: dict[str, Cell] = {"before": x.before, "after": x.after}
        yield Finding(f"{NAME}/failed-analysis", x.severity, message, evidence=evidence, remedy=_MEND)
    for change in found.changes:
        yield from (_about(change, name, flag) for name, flag in change.flags.items() if flag.any())
    for turned in found.turned:
        yield from (_counted(turned, name) for name, count in turned.counts.items() if count)
    yield from _of_layers(found.matches)


def _of_layers(matches: Matches) -> Iterator[Finding]:
    lists = (("removed", matches.removed), ("added", matches.added), ("renamed", [b for _, b in matches.renamed]))
    for word, names in lists:
        for name in names:
            yield Finding(f"{NAME}/{word}-layer", Severity.INFO, f"Layer {name!r} was {word}", name)
    yield from (_resized(*layer) for layer in matches.resized)
    yield from (_retapped(*layer) for layer in matches.retapped)


def _resized(name: str, was: int, now: int) -> Finding:
    message = f"Layer {name!r} has another number of channels ({was} before, {now} after): they were not compared"
    evidence: dict[str, Cell] = {"before": was, "after": now}
    return Finding(f"{NAME}/resized-layer", Severity.INFO, message, name, (), evidence, _LOOK)


def _retapped(name: str, was: str, now: str) -> Finding:
    message = f"Layer {name!r} is not watched as before ({was} before, {now} after): that was not compared"
    evidence: dict[str, Cell] = {"before": was, "after": now}
    return Finding(f"{NAME}/retapped-layer", Severity.WARNING, message, name, (), evidence, _TAPS)


_AGAIN: Final = "Run both models with the same inputs, settings, versions and options, and compare again."
_MEND: Final = "Run it again where it failed, and compare again."
_LOOK: Final = "Look at the layer in the report of either model; what died in it is not among the findings here."
_TAPS: Final = "See whether the layer lost or changed its activation; if not, run both models with the same taps."
_SEARCH: Final = "Look for what changed between the two versions: data, learning rate, pruning, conversion."
_OVERFLOW: Final = "Find the first layer that is not finite; look for NaN among its weights, or an overflow."
_SAYS: Final[Mapping[str, tuple[Severity, str, str]]] = {
    "not_finite": (Severity.ERROR, "gave NaN or Inf for some input and did not before", _OVERFLOW),
    "died": (Severity.WARNING, "fired for no input and did before", _SEARCH),
    "constant": (Severity.WARNING, "gave one and the same value everywhere and did not before", _SEARCH),
    "revived": (Severity.INFO, "fired for no input before and did now", _SEARCH),
    "drifted": (Severity.INFO, "fired for another share of inputs than before", _SEARCH),
    "finite_again": (Severity.INFO, "gave NaN or Inf for some input before and for none now", ""),
}

_OF_ONE: Final[Mapping[str, str]] = {
    "died": "gave only zeros and did not before",
    "constant": "gave one and the same value everywhere and did not before",
    "revived": "gave only zeros before and did not now",
}
"""What is said where a side had a single input, which makes no channel dead."""


def _about(x: Change, name: str, flag: Array) -> Finding:
    channels = tuple(int(c) for c in np.flatnonzero(flag))
    was, now = inputs_of(x.before), inputs_of(x.after)
    severity, says, remedy = _SAYS[name]
    if min(was, now) <= 1 and name in _OF_ONE:
        severity, says = Severity.INFO, f"{_OF_ONE[name]} (inputs: {was} before, {now} after)"
    noun = "channel" if flag.size == 1 else "channels"
    message = f"{x.where}: {len(channels)} of {flag.size} {noun} {says}"
    evidence: dict[str, Cell] = {"tap": x.tap, "inputs before": was, "inputs after": now}
    if name in _OF_ONE:
        evidence["beyond chance"] = int(np.count_nonzero(flag & x.drifted))
    elif name == "drifted" and (told := int(np.count_nonzero(flag & (x.died | x.constant | x.revived)))):
        evidence["died, turned constant or revived among them"] = told
    return Finding(_rule(name), severity, message, x.layer, channels, evidence, remedy)


def _counted(x: Turned, name: str) -> Finding:
    severity, _, remedy = _SAYS[name]
    word = "more" if name == "not_finite" else "fewer"
    seen = f"{x.before} before, {x.after} after, as {x.analysis!r} counts"
    message = f"{x.where}: NaN or Inf in {word} channels than before ({seen})"
    evidence: dict[str, Cell] = {"tap": x.tap} if x.tap else {}
    evidence |= {"before": x.before, "after": x.after}
    return Finding(_rule(name), severity, message, x.layer, (), evidence, remedy)


def _rule(metric: str) -> str:
    return f"{NAME}/{metric.replace('_', '-')}"
