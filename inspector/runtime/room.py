"""Room for so much at one time, of which threads take and give back."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager


class Room:
    """What all threads together may hold of something; whoever wants more waits until others give back.

    They are served in the order in which they came, so that who wants much waits for those before him only.
    """

    def __init__(self, size: int) -> None:
        self._size = self._left = size
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, amount: int) -> Generator[None]:
        """So much of it, for as long as that lasts; what is more than all of it goes alone."""
        amount = min(amount, self._size)
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is ticket and self._left >= amount)
                self._left -= amount
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._left += amount
                self._changed.notify_all()
