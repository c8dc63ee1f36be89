"""Where the numbers of a report come from, line by line: what every face shows of it first."""

from __future__ import annotations

import json

from inspector.contract.blocks import Column, Table
from inspector.provenance import MEASURES, OperatorCount, Provenance

_MIB = 1 << 20
_LONG, _SHARE = 1.0, 0.1
"""Seconds of waiting for inputs, and share of a run, beyond which it is worth a word."""
_VENDOR = "com.microsoft."

Line = tuple[str, str]
"""A label and a text; the text is empty where there is nothing to say."""


def lines_of(origin: Provenance) -> tuple[Line, ...]:
    """How it ran and on what; only lines that say something."""
    nodes = (f"{name} {many(n, 'node')}" for name, n in origin.providers.items())
    waited = f", {origin.waited:.1f} s of them waiting for inputs" if origin.waited >= 0.05 else ""
    lines = (
        ("Model", f"{origin.model}  sha256 {origin.sha256[:12]}"),
        ("Data", _data_text(origin)),
        ("Preprocess", origin.preprocess.replace(",", ", ")),
        ("Run", ", ".join(filter(None, [origin.device, origin.fidelity, *nodes]))),
        ("Check", check_text(origin)),
        ("Operators", operators_text(origin.operators)),
        ("Memory", memory_text(origin)),
        ("Started", f"{origin.started}, {origin.seconds:.1f} s{waited}" if origin.started else ""),
        ("Versions", ", ".join(f"{name} {version}" for name, version in origin.versions.items())),
        *(("Note", note) for note in origin.notes),
    )
    return tuple(line for line in lines if line[1])


def facts_of(origin: Provenance) -> tuple[Line, ...]:
    """The same to the last digit, for those who want to have the numbers again; tables of it: `tables_of`."""
    check, memory = origin.check, origin.memory
    lines = (
        ("Model", origin.model),
        ("SHA-256 of the model", origin.sha256),
        ("Data", origin.data),
        ("SHA-256 of the data", origin.data_sha256),
        ("Inputs", str(origin.inputs)),
        ("Batch size", str(origin.batch or "")),
        ("Preprocess", origin.preprocess.replace(",", ", ")),
        ("Fidelity", origin.fidelity),
        ("Device", origin.device),
        ("Ran on", ", ".join(f"{name}: {many(n, 'node')}" for name, n in origin.providers.items())),
        ("Self-check", check_text(origin)),
        ("Largest difference", f"{check.max_abs!r}, relative to the largest {check.max_rel!r}" if check else ""),
        ("Memory", f"{memory.estimate:,} of {memory.budget:,} bytes, {many(memory.waves, 'wave')}" if memory else ""),
        ("Started", origin.started),
        ("Seconds", f"{origin.seconds!r}, of them {origin.waited!r} waiting for inputs" if origin.started else ""),
        ("Lost", "; ".join(origin.gaps)),
        *(("Note", note) for note in origin.notes),
    )
    return tuple(line for line in lines if line[1])


def tables_of(origin: Provenance) -> tuple[Table, ...]:
    """Versions, and which operators ran; only tables that have rows."""
    versions = Table("Versions", (Column("software"), Column("version")), tuple(origin.versions.items()))
    columns = (
        Column("domain", f"empty for standard operators; {MEASURES}: nodes that measure, whatever they became"),
        Column("operator"),
        Column("plain", "how many run in the model as it is, once the runtime has optimised it", "nodes"),
        Column("watched", "how many run in the copy that is watched", "nodes"),
    )
    ran = tuple((o.domain, o.op, o.plain, o.watched) for o in origin.operators)
    return tuple(table for table in (versions, Table("Operators that ran", columns, ran)) if table.rows)


def options_of(params: str) -> tuple[Line, ...]:
    """Names and values of an analysis's parameters, from their JSON; where that is no object, the text with no name."""
    try:
        values = json.loads(params or "{}")
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        return (("", params),)
    return tuple((name, v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)) for name, v in values.items())


def _data_text(origin: Provenance) -> str:
    """What was fed, how many inputs that were, where it is not said yet, and how many ran at a time."""
    if not origin.data:
        return ""
    count = many(origin.inputs, "input")
    few = "up to " * (origin.inputs <= origin.batch)  # of several sizes, each has batches of its own
    size = "one batch" if origin.inputs == 1 else f"batches of {few}{origin.batch}"
    batch = f", {size}" if origin.batch else ""
    return f"{origin.data}{'' if count in origin.data else f': {count}'}{batch}"


def check_text(origin: Provenance) -> str:
    """Whether watching changed the model's own outputs; empty when nothing ran."""
    check = origin.check
    if check is None:
        return "outputs not checked" if origin.device else ""
    noun = "output" if check.outputs == 1 else "outputs"
    if check.equal:
        return f"watched and plain model agree in {check.outputs} {noun}"
    return (
        f"watched and plain model are {check.distance}, in {check.outputs} {noun}{'' if check.passed else ': too far'}"
    )


def operators_text(operators: tuple[OperatorCount, ...]) -> str:
    """What runs once the runtime has optimised: kinds whose number changed by watching, and how many did not."""
    changed = [o for o in operators if o.plain != o.watched and o.domain != MEASURES]
    added = sum(o.watched for o in operators if o.domain == MEASURES)
    same = sum(o.plain for o in operators if o.plain == o.watched)
    parts = [f"{_name(o)} {o.plain} → {o.watched}" for o in changed]
    parts += [f"{many(same, 'node')} as without watching"] * bool(same) + [f"{added} that measure"] * bool(added)
    return ", ".join(parts)


def memory_text(origin: Provenance) -> str:
    """What the run was estimated to take; empty when nothing ran."""
    memory = origin.memory
    if memory is None:
        return ""
    waves = f", in {memory.waves} waves of taps" if memory.waves > 1 else ""
    return f"{_mib(memory.estimate)} estimated, {_mib(memory.budget)} allowed{waves}"


def waiting_text(origin: Provenance) -> str:
    """What to do where nothing ran for much of the time, as inputs were not there; empty where that was short."""
    if origin.waited < _LONG or origin.waited <= _SHARE * origin.seconds:
        return ""
    times = f"{origin.waited:.1f} s of {origin.seconds:.1f} s ({origin.waited / origin.seconds:.0%})"
    return (
        f"Nothing ran for {times}, as inputs were still being read. Smaller pictures, arrays, nearer storage or more "
        "processors help; a faster device does not (docs/data.md)."
    )


def many(count: int, noun: str) -> str:
    """`1 input`, `1,000 inputs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _name(count: OperatorCount) -> str:
    domain = (count.domain + ".").removeprefix(_VENDOR).lstrip(".")
    return domain + count.op


def _mib(size: int) -> str:
    return f"{size / _MIB:,.1f} MiB"
