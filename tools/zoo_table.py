"""The rows of the zoo as a page of Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from zoo_check import TOLERANCE, Row

_HEAD = (
    "architecture", "exporter", "opset", "convs in torch", "found", "matched outputs", "max relative difference",
    "act taps", "not tapped", "seconds",
)  # fmt: skip

_ABOUT = """\
# Architecture zoo

Written by `python tools/zoo.py`. Random weights, evaluation mode, one input per network. Every convolution that PyTorch
executes, module or function, is compared with the layer that the inspector finds in the exported file: order, operator,
geometry, weights, raw output, value after normalisation and after the activation. *Matched* means within {tolerance:g}
of the map's largest value; where the exporter folded a BatchNorm into the weights, the output is compared with
PyTorch's after that BatchNorm (*folded*). *Unseen* is an activation or normalisation that PyTorch has and no tap shows;
the inspector's own reason is given.

"""
_SHOWN = 4  # problems of one row that are written out


def document(rows: Sequence[Row], versions: Mapping[str, str], date: str) -> str:
    """The whole page: what was checked, totals, the table, then what is worth a word."""
    return "\n".join([*_introduction(rows, versions, date), "", *_table(rows), "", *_notes(rows), ""])


def _introduction(rows: Sequence[Row], versions: Mapping[str, str], date: str) -> list[str]:
    packages = ", ".join(f"{name} {number}" for name, number in versions.items())
    ran = [row for row in rows if row.found]
    totals = (
        f"{len({row.name for row in rows})} architectures, {len(ran)} exported files: "
        f"{sum(row.torch for row in ran)} convolutions in PyTorch, {sum(row.found for row in ran)} found, "
        f"{sum(row.matched for row in ran)} outputs matched, {sum(row.acts_equal for row in ran)} of "
        f"{sum(row.acts.total() for row in ran)} act taps confirmed, "
        f"{sum(row.unseen.total() for row in ran)} unseen, {sum(len(row.problems) for row in rows)} problems."
    )
    return [*_ABOUT.format(tolerance=TOLERANCE).splitlines(), f"{date}; {packages}.", "", totals]


def _table(rows: Sequence[Row]) -> list[str]:
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + " --- |" * len(_HEAD)]
    return lines + ["| " + " | ".join(_cells(row)) + " |" for row in rows]


def _cells(row: Row) -> list[str]:
    functional = f" ({row.functional} functional)" if row.functional else ""
    folded = f" ({row.folded} folded)" if row.folded else ""
    if not row.found:
        return [row.name, row.exporter, "-", f"{row.torch}{functional}", *["-"] * 5, f"{row.seconds:g}"]
    return [
        row.name,
        row.exporter,
        str(row.opset),
        f"{row.torch}{functional}",
        str(row.found),
        f"{row.matched}{folded}",
        f"{row.worst:.1e}",
        _counts(row.acts),
        _counts(row.untapped),
        f"{row.seconds:g}",
    ]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common()) or "none"


def _notes(rows: Sequence[Row]) -> list[str]:
    lines = ["## Stated reasons", ""]
    lines += [f"- {row.name}, {row.exporter}: {_counts(row.reasons)}" for row in rows if row.reasons] or ["None."]
    lines += ["", "## Unseen", ""]
    lines += [f"- {row.name}, {row.exporter}: {_counts(row.unseen)}" for row in rows if row.unseen] or ["None."]
    lines += ["", "## Problems", ""]
    problems = [f"- {row.name}, {row.exporter}: {_listed(row.problems)}" for row in rows if row.problems]
    return lines + (problems or ["None."])


def _listed(problems: Sequence[str]) -> str:
    rest = len(problems) - _SHOWN
    return "; ".join(problems[:_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
