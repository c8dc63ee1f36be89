"""Names of metrics as MLflow takes them: few characters, and each may be taken for a path."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from inspector.faces.exports.metrics import counts_of, numbers_of
from inspector.report import Report

LONGEST: Final = 250
"""Characters of a name."""
_REFUSED: Final = re.compile(r"[^A-Za-z0-9_.\- :]")
_HASH: Final = 8


def named(report: Report) -> tuple[Mapping[str, float], tuple[str, ...]]:
    """The single numbers of a report by their names, and the names of those that are not finite.

    A name is the path in metrics.json: `run/inputs`, `analysis/metric/where`. Slashes in the name of a layer are
    full stops, without those it begins with. Where two names become the same, or one is too long, they end in a piece
    of their hash.
    """
    found: dict[tuple[str, ...], float] = {("run", name): count for name, count in counts_of(report).items()}
    for analysis, numbers in numbers_of(report).items():
        found |= {(analysis, number.metric, number.where): number.value for number in numbers}
    names = dict(zip(found, distinct(list(found)), strict=True))
    finite = {names[key]: value for key, value in found.items() if math.isfinite(value)}
    return finite, tuple(names[key] for key, value in found.items() if not math.isfinite(value))


def distinct(paths: Sequence[tuple[str, ...]]) -> list[str]:
    """A name for every path; no two are the same where no two paths are."""
    plain = ["/".join(map(_plain, path)) for path in paths]
    times = Counter(plain)
    return [
        name if times[name] == 1 and len(name) <= LONGEST else _hashed(path, name)
        for path, name in zip(paths, plain, strict=True)
    ]


def _plain(part: str) -> str:
    """A part of a name that is one folder's name and no way to another."""
    return _REFUSED.sub("_", part.replace("/", ".").lstrip(".")) or "_"


def _hashed(path: tuple[str, ...], name: str) -> str:
    digest = hashlib.sha256("\0".join(path).encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    return f"{name[: LONGEST - _HASH - 1]}-{digest}"
