"""A lock that nobody has to wait for in vain."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from inspector.control import Stop


class Turns:
    """One thread at a time; a stop ends the wait for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = False

    @contextlib.contextmanager
    def turn(self, stop: Stop) -> Iterator[None]:
        """The block runs alone. StoppedError where the stop was asked for before it began."""
        with stop.during(self._wake), self._changed:
            while self._taken:
                stop.check()
                self._changed.wait()
            stop.check()
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
