"""The memory that this process may use, and what a run takes of it where nobody says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

SHARE: Final = 0.5
"""Of the memory there is: estimates may be short by half (see `inspector.graph.rewriting.memory`)."""
FALLBACK: Final = 4 << 30
"""Where a system does not say how much memory it has."""
CGROUPS: Final = Path("/sys/fs/cgroup")
OWN_CGROUP: Final = Path("/proc/self/cgroup")


def default_budget(runs: int = 1) -> int:
    """Bytes for one run where nobody says: a half of what this process may use, shared by `runs` at a time."""
    return max(1, int(available() * SHARE) // runs)


def available() -> int:
    """Bytes that this process may use: physical memory, or what its control groups leave of it."""
    return min([_physical(), *_limits()])


def _physical() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return FALLBACK


def _limits() -> list[int]:
    """Limits of the control groups that this process is in, of either version; "max" is no number, and no limit."""
    files = [CGROUPS / "memory" / "memory.limit_in_bytes", CGROUPS / "memory.max"]
    for line in _text(OWN_CGROUP).splitlines():
        own = line.rpartition(":")[2].strip("/")
        files += [CGROUPS / place / "memory.max" for place in (own, *map(str, Path(own).parents)) if own]
    return [int(text) for text in map(_text, files) if text.isdigit() and int(text)]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
