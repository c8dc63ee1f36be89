"""Which inputs are shown one by one, where not every tap has seen every input."""

from __future__ import annotations

from collections.abc import Iterable

from inspector import First


def in_order(parts: Iterable[First]) -> tuple[str, ...]:
    """Names of all inputs that any of the parts remembers, in the order of the data."""
    seen = {int(at): str(name) for part in parts for at, name in zip(part.positions, part.ids, strict=True)}
    return tuple(seen[at] for at in sorted(seen))
