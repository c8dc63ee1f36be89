"""What changed in the channels of two reports: died, revived, drifted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from inspector.contract import Array
from inspector.policy.matching import Matches, Numbers
from inspector.policy.proportions import p_value

LEVEL: Final = 0.01
"""Chance that any channel at all is called drifted where none has: it is shared out over all channels (Bonferroni)."""
LEAST: Final = 0.05
"""A smaller change of the share of inputs is no drift, however sure it is."""
_MOST: Final = 1 << 31
"""Counts beyond it are none that a run gives."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One tap before and after; arrays are (C,). `p` is corrected for all channels; 1 where there is nothing to say."""

    layer: str
    tap: str
    before: Mapping[str, Array]
    after: Mapping[str, Array]
    died: Array
    revived: Array
    drifted: Array
    p: Array

    @property
    def where(self) -> str:
        """`layer:tap`."""
        return f"{self.layer}:{self.tap}"


def changes_of(matches: Matches) -> tuple[Change, ...]:
    """Every tap that both sides watched, with as many channels, in the order of the second."""
    pairs = [pair for a, b in matches.pairs for pair in _taps(a, b)]
    tests = sum(before["channel_active"].size for _, _, before, _ in pairs)
    return tuple(_change(layer, tap, before, after, tests) for layer, tap, before, after in pairs)


def _taps(a: Numbers, b: Numbers) -> Iterator[tuple[str, str, dict[str, Array], dict[str, Array]]]:
    """Sparsity of the taps that both sides have with as many channels."""
    for analysis, name, tap in b.values:
        if (analysis, name) != ("sparsity", "channel_active"):
            continue
        sides = [{k[1]: v for k, v in x.values.items() if k[0] == "sparsity" and k[2] == tap} for x in (a, b)]
        shapes = [{v.shape for v in side.values() if v.ndim} for side in sides]
        whole = all({"channel_active", "channel_finite"} <= side.keys() for side in sides)
        if whole and shapes[0] == shapes[1] and len(shapes[0]) == 1:
            yield b.name, tap, sides[0], sides[1]


def _change(layer: str, tap: str, a: dict[str, Array], b: dict[str, Array], tests: int) -> Change:
    none = np.zeros(a["channel_active"].shape, np.int64)
    was, now = (side.get("channel_dead", none) > 0 for side in (a, b))
    both = "channel_dead" in a and "channel_dead" in b
    counts = zip(a["channel_active"], a["channel_finite"], b["channel_active"], b["channel_finite"], strict=True)
    p = np.array([min(1.0, tests * _p(*map(int, four))) for four in counts])
    large = np.abs(share_of(b) - share_of(a)) >= LEAST
    died, revived = (now & ~was) & both, (was & ~now) & both
    return Change(layer, tap, a, b, died, revived, (p < LEVEL) & large, p)


def _p(active: int, of: int, later: int, of_later: int) -> float:
    """1 for counts that are none, as a file may hold anything."""
    possible = 0 <= active <= of < _MOST and 0 <= later <= of_later < _MOST
    return p_value(active, of, later, of_later) if possible else 1.0


def share_of(side: Mapping[str, Array]) -> Array:
    """Share of the finite maps that are active, (C,), 0 to 1; 0 where no map was finite."""
    share: Array = side["channel_active"] / np.maximum(side["channel_finite"], 1)
    return share
