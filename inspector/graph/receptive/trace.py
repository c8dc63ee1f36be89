"""How the units of one value sit on the image: exact windows, and the four things that can happen to them.

A value's tensor axis may run along an axis of the image; then unit u of it reads the pixels of a `Window`. Operators
read such an axis at regular places (`read`), read all of it at once (`mix`), or do what cannot be followed (`lose`);
`receptive_join` brings branches together. Image axes that no tensor axis runs along any more are in `Trace.lost`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Final

_LARGEST: Final = 1 << 62
"""Numbers beyond this are no geometry of an image; a hostile graph could make them grow without end."""
_MOST_UNKNOWN: Final = 64
_MOST_NOTES: Final = 4

Number = int | Fraction


@dataclass(frozen=True, slots=True, eq=False)
class Unknown:
    """One number that the model's text leaves open, such as a padding that depends on the size of the input.

    It lies between `low` and `high` (±inf: no bound). The same number is the same object: it cancels in differences.
    """

    reason: str
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True, slots=True, eq=False)
class Free:
    """A number of units along an axis that the model's text leaves open. The same number is the same object."""


Extent = int | Free


@dataclass(frozen=True, slots=True)
class Shift:
    """A distance: a known number and factors of unknown ones."""

    known: Fraction = Fraction(0)
    unknown: Mapping[Unknown, Fraction] = field(default_factory=dict)

    def plus(self, other: Shift, factor: Number = 1) -> Shift:
        """Self + factor * other."""
        unknown = dict(self.unknown)
        for key, count in other.unknown.items():
            unknown[key] = unknown.get(key, Fraction(0)) + factor * count
        return Shift(self.known + factor * other.known, {k: c for k, c in unknown.items() if c})

    def bounds(self) -> tuple[Fraction | float, Fraction | float]:
        """Least and greatest value it can have."""
        low: Fraction | float = self.known
        high: Fraction | float = self.known
        for key, count in self.unknown.items():
            ends = [_times(count, key.low), _times(count, key.high)]
            low, high = low + min(ends), high + max(ends)
        return low, high


def _times(factor: Fraction, end: float) -> Fraction | float:
    """Exact, unless `end` is infinite."""
    return factor * int(end) if math.isfinite(end) else math.copysign(math.inf, factor * (1 if end > 0 else -1))


@dataclass(frozen=True, slots=True)
class Reading:
    """How an operator reads an axis: its unit u reads units u * step + first to u * step + first + reach.

    `extent`: how many units it makes.
    """

    first: Shift
    reach: Number
    step: Number
    extent: Extent

    @classmethod
    def at(cls, first: Number, reach: Number, step: Number, extent: Extent) -> Reading:
        """One that begins at a known place."""
        return cls(Shift(Fraction(first)), reach, step, extent)


@dataclass(frozen=True, slots=True)
class Window:
    """What the units of one tensor axis read along one axis of the image.

    Unit u reads no pixel outside [start + u * stride, start + u * stride + length].

    Attributes:
        axis: of the image, as the graph's input has it.
        extent: how many units there are.
        aligned: whether all branches below share one centre; None where an unknown start forbids to say.
        notes: what a reader must know, each once.
    """

    axis: int
    extent: Extent
    start: Shift = Shift()
    stride: Fraction = Fraction(1)
    length: Fraction = Fraction(0)
    aligned: bool | None = True
    notes: tuple[str, ...] = ()

    def read(self, reading: Reading) -> Window:
        """The window of new units that read these."""
        return replace(
            self,
            extent=reading.extent,
            start=self.start.plus(reading.first, self.stride),
            stride=self.stride * reading.step,
            length=self.length + self.stride * reading.reach,
        )

    def noted(self, *notes: str) -> Window:
        """With more notes; the first few are kept."""
        return replace(self, notes=tuple(dict.fromkeys((*self.notes, *notes)))[:_MOST_NOTES])

    @property
    def sane(self) -> bool:
        """False where its numbers have outgrown any image."""
        numbers = (self.stride, self.length, self.start.known)
        small = all(abs(n.numerator) < _LARGEST and n.denominator < _LARGEST for n in numbers)
        return small and len(self.start.unknown) <= _MOST_UNKNOWN


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a field has no bounds: all of the image axis is read (`whole`), or it is not known what is.

    `misaligned`: because branches met whose units are not equally far apart.
    """

    reason: str
    whole: bool = False
    misaligned: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a tensor, and the windows of its units: none, one, or several where axes were merged into it."""

    windows: tuple[Window, ...] = ()
    merged: str = ""

    @property
    def single(self) -> Window | None:
        """Its window, where the axis runs along exactly one axis of the image."""
        return self.windows[0] if len(self.windows) == 1 and not self.merged else None


NOWHERE: Final = Axis()
"""An axis that does not run along the image: channels, a batch, a constant."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """How one value depends on one image. A live trace (one with windows) has an `Axis` for each of the tensor's."""

    axes: tuple[Axis, ...]
    lost: Mapping[int, Loss]

    @property
    def live(self) -> bool:
        """Whether any axis still runs along the image."""
        return any(axis.windows for axis in self.axes)

    def reaching(self, t: int, reading: Reading, why: str) -> Trace:
        """Axis `t` is read at regular places. Merged axes cannot be read so, and are lost."""
        axis = self.axes[t]
        if axis.merged:
            return self.losing([t], f"{why} slides along an axis where {axis.merged}")
        windows = tuple(w.read(reading) for w in axis.windows)
        if not all(w.sane for w in windows):
            return self.losing([t], f"{why} makes numbers too large for any image")
        return self.with_axis(t, Axis(windows))

    def mixing(self, ts: Iterable[int], why: str, *, keep: bool = False) -> Trace:
        """Every unit reads all of these axes. With `keep` they go on running along the image, as after a Softmax."""
        return self._without(ts, Loss(f"{why} reads all of it", whole=True), keep=keep)

    def dropping(self, ts: Iterable[int], why: str) -> Trace:
        """Axes of one unit go; whatever that unit read, every unit that is left reads."""
        return self._without(ts, Loss(f"{why} drops the axis of its only unit", whole=True), keep=False)

    def losing(self, ts: Iterable[int], reason: str) -> Trace:
        """Nobody knows what is read of these axes."""
        return self._without(ts, Loss(reason), keep=False)

    def with_axis(self, t: int, axis: Axis) -> Trace:
        """With one axis replaced."""
        return Trace((*self.axes[:t], axis, *self.axes[t + 1 :]), self.lost)

    def _without(self, ts: Iterable[int], loss: Loss, *, keep: bool) -> Trace:
        gone = set(ts)
        lost = {w.axis: loss for t in gone for w in self.axes[t].windows}
        axes = self.axes if keep else tuple(NOWHERE if t in gone else a for t, a in enumerate(self.axes))
        return Trace(axes, worse(self.lost, lost)) if lost else Trace(axes, self.lost)


def worse(first: Mapping[int, Loss], second: Mapping[int, Loss]) -> Mapping[int, Loss]:
    """Both; of two losses of one axis the one that is sure (`whole`), else the earlier one."""
    if not second:
        return first
    both = {**second, **first}
    return {a: second[a] if a in second and second[a].whole and not both[a].whole else both[a] for a in both}
