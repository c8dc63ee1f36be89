"""How a run is made to fit into memory: how many inputs at a time, and which taps together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from inspector.contract import Tap
from inspector.errors import LimitError
from inspector.graph.instrument import Instrumented, Request
from inspector.graph.rewriting.memory import Part
from inspector.graph.writing import PREFIX
from inspector.runtime.devices import cores

CHOICES: Final = (1, 2, 4, 8, 16, 32, 64)
"""Batch sizes to choose from where nobody asks for one."""
UNSURE: Final = 16
"""The largest of them where the estimate of memory leaves something out."""
ENOUGH: Final = {"cpu": 32 << 20, "cuda": 2 << 30}
"""Bytes that the values of a run may take before no larger batch is chosen, for every core or GPU: see ADR 23."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Batch sizes that a run may have, the smallest first.

    Attributes:
        known: these sizes.
        enough: bytes of values, beside the weights, beyond which a larger one gains nothing; None: no such bound.
    """

    known: Sequence[int]
    enough: int | None = None


@dataclass(frozen=True, slots=True)
class Waves:
    """Requests that are watched together, wave by wave, for `batch` inputs at a time.

    `estimate` is of the largest wave, in bytes; `at_once` is what it is with the weights of all the others.
    `why` says why no larger batch was chosen; empty: none was chosen.
    """

    parts: tuple[tuple[Request, ...], ...]
    batch: int
    estimate: int
    at_once: int
    why: str = ""


def chosen(model: Instrumented, device: str) -> Sizes:
    """The sizes to choose from where nobody asks for one; `device` as in `ENOUGH`."""
    most = UNSURE if unknown(model) else CHOICES[-1]
    enough = ENOUGH[device] * (cores() if device == "cpu" else 1)
    return Sizes([size for size in CHOICES if size <= most], enough)


def unknown(model: Instrumented) -> list[str]:
    """Values of the model itself that its estimate leaves out, as their size is not known before the run."""
    return [name for name in model.footprint.unknown if not name.startswith(PREFIX)]


def plan_waves(model: Instrumented, taps: Sequence[Tap], sizes: Sizes, budget: int) -> Waves:
    """The largest batch that fits; where none does, as few waves of taps as fit, for the smallest batch.

    Args:
        model: the model with all requests.
        taps: all taps of the model, in its order.
        sizes: how many inputs may share a run.
        budget: bytes.

    Raises:
        LimitError: not even one tap fits.
    """
    slots, known, allowed = tuple(model.slots), sizes.known, budget
    whole = model.footprint.part(model.names)
    if sizes.enough is not None:  # a single input may take more
        allowed = min(budget, max(whole.weight + sizes.enough, whole.peak(known[0])))
    fitting = _most(len(known), lambda n: whole.peak(known[n - 1]) <= allowed)
    if not fitting:
        return _in_waves(model, taps, known[0], budget)
    estimate = whole.peak(known[fitting - 1])
    if sizes.enough is None:
        return Waves((slots,), known[fitting - 1], estimate, estimate)
    more = fitting < len(known) and whole.peak(known[fitting])
    return Waves((slots,), known[fitting - 1], estimate, estimate, _why(sizes, more, budget))


def _why(sizes: Sizes, more: int, budget: int) -> str:
    """Why no larger batch was chosen; `more` is what the next one takes, 0 where there is none."""
    if more > budget:
        return "more would not fit into the memory"
    if more and sizes.enough is not None:
        return f"more would take over {sizes.enough >> 20} MiB beside the weights, and gain nothing"
    return f"no larger ones ever are{'' if sizes.known[-1] == CHOICES[-1] else ' where not all sizes are known'}"


def _in_waves(model: Instrumented, taps: Sequence[Tap], batch: int, budget: int) -> Waves:
    """As few waves of taps as fit, in the order of `taps`, for a batch for which not all fit together."""
    together = all(place.columns is not None for place in model.slots.values())

    def needs(requests: Sequence[Request]) -> Part:
        return model.footprint.part([model.slots[r].row.value for r in requests], in_turn=together)

    known = {tap.tensor: tap.name for tap in reversed(taps)}
    parts = _fill(_by_tap(tuple(model.slots), known), lambda part: needs(part).peak(batch) <= budget)
    needed = [needs(part) for part in parts]
    estimates = [part.peak(batch) for part in needed]
    too_large = next(((p, e) for p, e in zip(parts, estimates, strict=True) if e > budget), None)
    if too_large:
        part, estimate = too_large
        raise LimitError(
            f"tap {known[part[0].tensor]!r}",
            f"watching it alone needs too much memory, at {batch} input{'s' * (batch > 1)} a run",
            expected=f"at most {budget} bytes",
            found=f"an estimate of {estimate}",
            remedy="Allow the run more memory, or feed smaller inputs.",
        )
    values = max(estimate - part.weight for estimate, part in zip(estimates, needed, strict=True))
    at_once = sum(part.weight for part in needed) + values
    return Waves(tuple(map(tuple, parts)), batch, max(estimates), at_once)


def _by_tap(slots: Sequence[Request], known: Mapping[str, str]) -> list[list[Request]]:
    """The requests of each tensor together, the last of `known` first."""
    place = {tensor: -number for number, tensor in enumerate(known)}
    groups: dict[str, list[Request]] = {}
    for request in sorted(slots, key=lambda r: place[r.tensor]):
        groups.setdefault(request.tensor, []).append(request)
    return list(groups.values())


def _fill(groups: Sequence[list[Request]], fits: Callable[[Sequence[Request]], bool]) -> list[list[Request]]:
    """Groups joined in order, as many as fit together; one that does not fit stands alone."""
    parts: list[list[Request]] = []
    while groups:
        count = _first_that_fit(groups, fits)
        parts.append(_joined(groups[:count]))
        groups = groups[count:]
    return parts


def _first_that_fit(groups: Sequence[list[Request]], fits: Callable[[Sequence[Request]], bool]) -> int:
    """How many of the first groups fit together, or 1."""
    return max(1, _most(len(groups), lambda n: fits(_joined(groups[:n]))))


def _joined(groups: Sequence[list[Request]]) -> list[Request]:
    return [request for group in groups for request in group]


def _most(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest n up to `limit` that fits, where whatever fits does so for all smaller n as well; 0 for none."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
