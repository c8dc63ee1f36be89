"""What changed in the channels of two reports: not finite, finite again, died, turned constant, revived, drifted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from inspector.contract import Array
from inspector.policy.matching import Matches, Numbers
from inspector.policy.proportions import p_value

LEVEL: Final = 0.01
"""Chance that any channel at all is called drifted where none has: it is shared out over all channels (Bonferroni)."""
LEAST: Final = Fraction(1, 20)
"""A smaller change of the share of inputs is no drift, however sure it is."""
_LISTS: Final = frozenset({"channel_active", "channel_finite", "channel_dead", "channel_constant"})
"""What is compared channel by channel."""
_MOST: Final = 1 << 31
"""Counts beyond it are none that a run gives."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One tap before and after; arrays are (C,).

    Attributes:
        layer: name after.
        tap: which tap of it.
        before: what sparsity said of it, by metric; likewise `after`.
        not_finite: channels with NaN or Inf for some input after, and for none before.
        finite_again: the other way round. A channel that is not finite on one side or both is in nothing below.
        died: dead after and not before.
        constant: one value everywhere after and not before, and not dead; of reports that both say so.
        revived: dead before and not after.
        drifted: active in another share of inputs, beyond chance; those that died, turned constant or revived
            by so much among them.
        p: of that, corrected for all channels compared; 1 where there is nothing to say.
    """

    layer: str
    tap: str
    before: Mapping[str, Array]
    after: Mapping[str, Array]
    not_finite: Array
    finite_again: Array
    died: Array
    constant: Array
    revived: Array
    drifted: Array
    p: Array

    @property
    def where(self) -> str:
        """`layer:tap`."""
        return f"{self.layer}:{self.tap}"

    @property
    def flags(self) -> Mapping[str, Array]:
        """All that can be said of a channel, by name of the metric; worst first."""
        names = ("not_finite", "died", "constant", "revived", "drifted", "finite_again")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Turned:
    """How many channels or filters of one place are not finite, where they are not compared one by one."""

    layer: str
    tap: str
    analysis: str
    before: int
    after: int

    @property
    def where(self) -> str:
        """`layer:tap`, or the layer."""
        return f"{self.layer}:{self.tap}" if self.tap else self.layer

    @property
    def counts(self) -> Mapping[str, int]:
        """More than before, fewer than before, by name of the metric."""
        return {"not_finite": max(0, self.after - self.before), "finite_again": max(0, self.before - self.after)}


def changes_of(matches: Matches) -> tuple[Change, ...]:
    """Every tap that both sides watched, with as many channels, in the order of the second."""
    pairs = [pair for a, b in matches.pairs for pair in _taps(a, b)]
    tests = sum(int(np.count_nonzero(~(_broken(before) | _broken(after)))) for _, _, before, after in pairs)
    return tuple(_change(layer, tap, before, after, tests) for layer, tap, before, after in pairs)


def turned_of(matches: Matches, changes: tuple[Change, ...]) -> tuple[Turned, ...]:
    """Every other place of which an analysis counts on both sides what is not finite; the worst where several do."""
    found: dict[tuple[str, str], Turned] = {}
    compared = {(x.layer, x.tap) for x in changes}
    for a, b in matches.pairs:
        for (analysis, metric, tap), now in b.values.items():
            was = a.values.get((analysis, metric, tap))
            if metric != "not_finite" or (b.name, tap) in compared or was is None or not (_one(was) and _one(now)):
                continue
            one = Turned(b.name, tap, analysis, int(was), int(now))
            found[b.name, tap] = max(found.get((b.name, tap), one), one, key=lambda t: t.after - t.before)
    return tuple(found.values())


def _one(values: Array) -> bool:
    """Whether it is one count, as a run gives them."""
    return not values.ndim and bool(values >= 0) and bool(values < _MOST)


def _taps(a: Numbers, b: Numbers) -> Iterator[tuple[str, str, dict[str, Array], dict[str, Array]]]:
    """Sparsity of the taps that both sides have, with as many channels, and zeros that mean as much."""
    for analysis, name, tap in b.values:
        if (analysis, name) != ("sparsity", "channel_active"):
            continue
        sides = [{k[1]: v for k, v in x.values.items() if k[0] == "sparsity" and k[2] == tap} for x in (a, b)]
        shapes = [{v.shape for v in side.values() if v.ndim} for side in sides]
        whole = all({"channel_active", "channel_finite"} <= side.keys() for side in sides)
        lists = all(v.ndim for side in sides for n, v in side.items() if n in _LISTS)
        alike = len({"channel_dead" in side for side in sides}) == 1
        if whole and lists and alike and shapes[0] == shapes[1] and len(shapes[0]) == 1:
            yield b.name, tap, sides[0], sides[1]


def _change(layer: str, tap: str, a: dict[str, Array], b: dict[str, Array], tests: int) -> Change:
    none = np.zeros(a["channel_active"].shape, np.int64)
    was, now = (side.get("channel_dead", none) > 0 for side in (a, b))
    still, stands = (side.get("channel_constant", none) > 0 for side in (a, b))
    told = "channel_constant" in a and "channel_constant" in b
    broken, breaks = _broken(a), _broken(b)
    sound = ~(broken | breaks)
    sides = (side[name] for side in (a, b) for name in ("channel_active", "channel_finite"))
    counts = list(zip(*(_counts(values) for values in sides), strict=True))
    p = np.where(sound, [min(1.0, tests * _p(*four)) for four in counts], 1.0)
    drifted = (p < LEVEL) & np.array([_is_large(*four) for four in counts], bool)
    return Change(
        layer,
        tap,
        a,
        b,
        not_finite=breaks & ~broken,
        finite_again=broken & ~breaks,
        died=now & ~was & sound,
        constant=stands & ~still & sound & told,
        revived=was & ~now & sound,
        drifted=drifted,
        p=p,
    )


def _counts(values: Array) -> list[int]:
    """As whole numbers; -1 for what is none, as a file may hold anything."""
    whole = np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) < _MOST)
    return [int(value) for value in np.where(whole, values, -1)]


def _p(active: int, of: int, later: int, of_later: int) -> float:
    """1 for counts that are none."""
    possible = 0 <= active <= of < _MOST and 0 <= later <= of_later < _MOST
    return p_value(active, of, later, of_later) if possible else 1.0


def _is_large(active: int, of: int, later: int, of_later: int) -> bool:
    """Whether the shares differ by `LEAST` or more, in whole numbers, so that equal means equal."""
    return abs(later * of - active * of_later) * LEAST.denominator >= LEAST.numerator * of * of_later


def _broken(side: Mapping[str, Array]) -> Array:
    """Which channels gave NaN or Inf for some input, (C,)."""
    broken: Array = side["channel_finite"] < max(1, inputs_of(side))
    return broken


def inputs_of(side: Mapping[str, Array]) -> int:
    """Inputs that reached the tap; as far as finite maps tell where that is not published."""
    inputs = side.get("inputs")
    if inputs is not None and _one(inputs):
        return int(inputs)
    finite = side["channel_finite"]
    return int(finite.max(initial=0, where=np.isfinite(finite)))


def share_of(side: Mapping[str, Array]) -> Array:
    """Share of the finite maps that are active, (C,), 0 to 1; NaN where no map was finite."""
    active, finite = side["channel_active"], side["channel_finite"]
    share: Array = np.divide(active, finite, out=np.full(active.shape, np.nan), where=finite > 0)
    return share
