"""How a run is made to fit into memory: how many inputs at a time, and which taps together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inspector.contract import Tap
from inspector.errors import LimitError
from inspector.graph.instrument import Instrumented, Request


@dataclass(frozen=True, slots=True)
class Waves:
    """Requests that are watched together, wave by wave, for `batch` inputs at a time; `estimate` is of the largest."""

    parts: tuple[tuple[Request, ...], ...]
    batch: int
    estimate: int


def plan_waves(model: Instrumented, taps: Sequence[Tap], batch: int, budget: int, *, fixed: bool) -> Waves:
    """The largest batch that fits; where none does, as few waves of taps as fit, one input at a time.

    Args:
        model: the model with all requests.
        taps: all taps of the model, in its order.
        batch: inputs that may share a run.
        budget: bytes.
        fixed: the model takes just that batch.

    Raises:
        LimitError: not even one tap fits.
    """
    slots = tuple(model.slots)

    def needs(requests: Sequence[Request], size: int) -> int:
        return model.footprint.peak([model.slots[r].row.value for r in requests], size)

    sizes = [batch] if fixed else list(range(1, batch + 1))
    fitting = _most(len(sizes), lambda n: needs(slots, sizes[n - 1]) <= budget)
    if fitting:
        return Waves((slots,), sizes[fitting - 1], needs(slots, sizes[fitting - 1]))
    known = {tap.tensor: tap.name for tap in reversed(taps)}
    place = {tensor: -number for number, tensor in enumerate(known)}
    groups: dict[str, list[Request]] = {}
    for request in sorted(slots, key=lambda r: place[r.tensor]):
        groups.setdefault(request.tensor, []).append(request)
    parts = _fill(list(groups.values()), lambda part: needs(part, sizes[0]) <= budget)
    estimates = [needs(part, sizes[0]) for part in parts]
    too_large = next(((p, e) for p, e in zip(parts, estimates, strict=True) if e > budget), None)
    if too_large:
        part, estimate = too_large
        raise LimitError(
            f"tap {known[part[0].tensor]!r}",
            f"watching it alone needs too much memory, at {sizes[0]} input{'s' * (sizes[0] > 1)} a run",
            expected=f"at most {budget} bytes",
            found=f"an estimate of {estimate}",
            remedy="Allow more memory (--memory), or feed smaller inputs.",
        )
    return Waves(tuple(map(tuple, parts)), sizes[0], max(estimates))


def _fill(groups: Sequence[list[Request]], fits: Callable[[Sequence[Request]], bool]) -> list[list[Request]]:
    """Groups joined in order, as many as fit together; one that does not fit stands alone."""
    parts: list[list[Request]] = []
    start = 0
    while start < len(groups):
        rest = groups[start:]
        count = max(1, _most(len(rest), lambda n, rest=rest: fits(_joined(rest[:n]))))  # type: ignore[misc]
        parts.append(_joined(rest[:count]))
        start += count
    return parts


def _joined(groups: Sequence[list[Request]]) -> list[Request]:
    return [request for group in groups for request in group]


def _most(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest n up to `limit` that fits, where whatever fits does so for all smaller n as well; 0 for none."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
