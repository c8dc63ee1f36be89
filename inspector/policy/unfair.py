"""What makes the comparison of two reports unfair: other inputs, other settings, another version of an analysis."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from inspector.origin import check_text
from inspector.policy.compare_view import NAME, Unfair
from inspector.policy.judge import NAME as POLICY
from inspector.report import Provenance, Report

_FACTS: Final = {
    "data_sha256": "other inputs",
    "inputs": "another number of inputs",
    "preprocess": "other preprocessing",
    "fidelity": "another fidelity",
    "device": "another device",
}
_NO_ANALYSES: Final = (NAME, POLICY)
"""Results whose parameters say what they were made of, not how."""


def unfair_facts(before: Report, after: Report) -> Unfair:
    """Facts of the two runs that differ and should not."""
    return (*_origins(before.provenance, after.provenance), *_versions(before, after), *_options(before, after))


def _origins(a: Provenance, b: Provenance) -> Iterator[tuple[str, str, str]]:
    for name, why in _FACTS.items():
        was, now = getattr(a, name), getattr(b, name)
        if was != now:
            yield why, str(was), str(now)
    if a.doubtful or b.doubtful:
        yield "a failed self-check", check_text(a), check_text(b)
    ran_before, ran_after = (", ".join(sorted(p.providers)) for p in (a, b))
    if ran_before != ran_after:
        yield "other execution providers", ran_before, ran_after


def _versions(before: Report, after: Report) -> Iterator[tuple[str, str, str]]:
    """Analyses that ran in another version, which may count otherwise."""
    old = {result.name: result.version for result in before.results if result.name not in _NO_ANALYSES}
    for result in after.results:
        if (was := old.get(result.name, result.version)) != result.version:
            yield f"another version of {result.name!r}", was, result.version


def _options(before: Report, after: Report) -> Iterator[tuple[str, str, str]]:
    """Analyses that both ran with other options; of these, the options that differ."""
    old = {result.name: result.params for result in before.results if result.name not in _NO_ANALYSES}
    for result in after.results:
        if result.name in old and old[result.name] != result.params:
            was, now = _values(old[result.name]), _values(result.params)
            if names := [name for name in {**was, **now} if was.get(name, _NONE) != now.get(name, _NONE)]:
                yield f"other options of {result.name!r}", _text(was, names), _text(now, names)


_NONE: Final = object()
"""No value of JSON equals it."""


def _values(params: str) -> Mapping[str, Any]:
    """Options by name; a file may hold any text, which then is one option without a name."""
    try:
        values = json.loads(params or "{}")
    except (ValueError, RecursionError):
        values = params
    return values if isinstance(values, dict) else {"": values}


def _text(values: Mapping[str, Any], names: list[str]) -> str:
    """As a command line has them: `tau=0.9, kind=act`."""
    shown = {name: values[name] for name in names if name in values}
    return ", ".join(f"{name}={v if isinstance(v, str) else json.dumps(v)}".lstrip("=") for name, v in shown.items())
