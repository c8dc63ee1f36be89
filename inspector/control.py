"""How a caller watches a run, and stops it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
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


def unwatched(_: Progress) -> None:
    """Nobody watches."""


class Stop:
    """A request to stop, safe to make from any thread. Work in native code is asked to end as well."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._hooks: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    @property
    def asked(self) -> bool:
        """Whether the stop was asked for."""
        return self._event.is_set()

    def set(self) -> None:
        """Asks for the stop; calling it again does nothing new."""
        with self._lock:
            self._event.set()
            hooks = tuple(self._hooks)
        for hook in hooks:
            hook()

    @contextlib.contextmanager
    def during(self, hook: Callable[[], None]) -> Iterator[None]:
        """While the block runs, a stop also calls `hook` (at once, if it was asked for already)."""
        with self._lock:
            self._hooks.append(hook)
            late = self._event.is_set()
        if late:
            hook()
        try:
            yield
        finally:
            with self._lock:
                self._hooks.remove(hook)

    def check(self) -> None:
        """Raises StoppedError once the stop was asked for."""
        if self.asked:
            raise StoppedError("run", "it was stopped by its caller")
