"""How a caller watches a run, and stops it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from inspector.errors import StoppedError


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: `done` of `total` (None: not known beforehand) in the stage of that name."""

    stage: str
    done: int
    total: int | None


Watcher = Callable[[Progress], None]
"""Called now and then from the thread that runs; must return quickly."""


class Stop:
    """A request to stop, safe to make from any thread. Work in native code is asked to end as well."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._hooks: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def set(self) -> None:
        """Asks for the stop; calling it again does nothing new."""
        with self._lock:
            self._event.set()
            hooks = tuple(self._hooks)
        for hook in hooks:
            hook()

    def on_set(self, hook: Callable[[], None]) -> None:
        """Calls `hook` when the stop is asked for, or now if it already was."""
        with self._lock:
            self._hooks.append(hook)
            late = self._event.is_set()
        if late:
            hook()

    def check(self) -> None:
        """Raises StoppedError once the stop was asked for."""
        if self._event.is_set():
            raise StoppedError("run", "it was stopped by its caller")
