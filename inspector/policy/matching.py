"""Which layer of one report is which layer of another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from inspector.contract import Array
from inspector.report import Report

_ABSENT: Final = np.array(np.nan)
Key = tuple[str, str, str]
"""Analysis, metric, tap."""


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """All numbers that a report has about one layer; `channels` are those of its longest metric, 0 without one."""

    name: str
    values: Mapping[Key, Array]

    @property
    def channels(self) -> int:
        """Channels of the layer, as far as the report says."""
        return max((v.size for v in self.values.values() if v.ndim), default=0)


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of layers that are the same (`renamed` lists those of them with two names), and the rest of either side.

    `whole` is the pair of what both sides say of the whole model, which is no layer; empty where one says nothing.
    `shared` are the analyses that gave numbers on both sides.
    """

    pairs: tuple[tuple[Numbers, Numbers], ...]
    renamed: tuple[tuple[str, str], ...]
    removed: tuple[str, ...]
    added: tuple[str, ...]
    whole: tuple[tuple[Numbers, Numbers], ...] = ()
    shared: frozenset[str] = frozenset()

    @property
    def resized(self) -> tuple[tuple[str, int, int], ...]:
        """Layers of the pairs that have another number of channels: name after, channels before, channels after."""
        widths = ((b.name, *_widths(a, b)) for a, b in self.pairs)
        return tuple((name, was, now) for name, was, now in widths if was != now)

    @property
    def retapped(self) -> tuple[tuple[str, str, str], ...]:
        """Layers watched at other taps, or where zeros mean something else: name, where before, where after."""
        found = ((b.name, _watched(a, self.shared), _watched(b, self.shared)) for a, b in self.pairs)
        return tuple((name, _words(was, was ^ now), _words(now, was ^ now)) for name, was, now in found if was != now)


def _watched(numbers: Numbers, analyses: frozenset[str]) -> frozenset[tuple[str, str]]:
    """Where these analyses watched a layer: name and tap; told apart where sparsity counts near zeros instead."""
    exact = {tap for analysis, metric, tap in numbers.values if (analysis, metric) == ("sparsity", "channel_dead")}
    taps = {(analysis, tap) for analysis, _, tap in numbers.values if tap and analysis in analyses}
    near = {(analysis, tap) for analysis, tap in taps if analysis == "sparsity" and tap not in exact}
    return frozenset((analysis, f"{tap} (near zero)" if (analysis, tap) in near else tap) for analysis, tap in taps)


def _words(taps: frozenset[tuple[str, str]], differ: frozenset[tuple[str, str]]) -> str:
    """All taps of the analyses of which some differ: `sparsity at act, norm`."""
    shown = {name: [tap for of, tap in sorted(taps) if of == name] for name, _ in sorted(differ)}
    return "; ".join(f"{name} at {', '.join(of) or 'none'}" for name, of in shown.items())


def _widths(a: Numbers, b: Numbers) -> tuple[int, int]:
    """Channels of either side by the first metric that both have of every channel and that differs in size."""
    sizes = (
        (a.values[key].size, v.size) for key, v in b.values.items() if v.ndim and key in a.values and a.values[key].ndim
    )
    return next(((was, now) for was, now in sizes if was != now), (0, 0))


def numbers_of(report: Report) -> dict[str, Numbers]:
    """What a report has numbers about, in its order: layers by name, and the whole model under the empty name."""
    found: dict[str, dict[Key, Array]] = {}
    for result in report.results:
        for m in result.metrics:
            found.setdefault(m.layer, {})[result.name, m.name, m.tap] = m.values
    return {name: Numbers(name, values) for name, values in found.items()}


def matched(before: Report, after: Report) -> Matches:
    """Layers by name; then those left over that stand at the same position and have as many channels."""
    old, new = numbers_of(before), numbers_of(after)
    model = (old.pop("", None), new.pop("", None))
    whole = ((model[0], model[1]),) if model[0] and model[1] else ()
    pairs = [(old[name], new[name]) for name in old if name in new]
    renamed: list[tuple[str, str]] = []
    for a, b in zip(old.values(), new.values(), strict=False):
        if a.name not in new and b.name not in old and a.channels == b.channels:
            pairs.append((a, b))
            renamed.append((a.name, b.name))
    gone, came = {a for a, _ in renamed}, {b for _, b in renamed}
    removed = tuple(name for name in old if name not in new and name not in gone)
    added = tuple(name for name in new if name not in old and name not in came)
    order = {name: at for at, name in enumerate(new)}
    in_order = tuple(sorted(pairs, key=lambda p: order[p[1].name]))
    return Matches(in_order, tuple(renamed), removed, added, whole, _measuring(before) & _measuring(after))


def _measuring(report: Report) -> frozenset[str]:
    return frozenset(result.name for result in report.results if result.metrics)


def single_numbers(matches: Matches) -> Iterator[tuple[str, str, str, str, Array, Array]]:
    """Layer, tap, analysis and metric of every single number, before and after; NaN where one side lacks it."""
    for a, b in (*matches.pairs, *matches.whole):
        for key in dict.fromkeys((*b.values, *a.values)):
            old, new = a.values.get(key, _ABSENT), b.values.get(key, _ABSENT)
            if not old.ndim and not new.ndim:
                yield b.name, key[2], key[0], key[1], old, new
