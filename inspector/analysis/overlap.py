"""Runs in a thread of their own, so that the device works on one batch while the rows of the last are added up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Self, TypeVar

A = TypeVar("A")
R = TypeVar("R")


class Overlap(Generic[R]):
    """Pieces of work, one at a time and in order, in a `with` block. Their results are taken one piece later.

    `waited` is for how many seconds nothing was at work because the next piece was not there yet.
    """

    def __init__(self) -> None:
        self.waited = 0.0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="run")
        self._last: Future[R] | None = None
        self._ended = time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def start(self, work: Callable[[], R]) -> Iterator[R]:
        """Begins this piece as soon as the one before has ended; gives the result of that, if there was one."""
        before, self._last = self._last, self._pool.submit(self._timed, work)
        if before is not None:
            yield before.result()

    def finish(self) -> Iterator[R]:
        """Waits for what is at work; gives its result, if there was anything."""
        before, self._last = self._last, None
        if before is not None:
            yield before.result()

    def each(self, pieces: Iterable[A]) -> Iterator[A]:
        """These things, while it is measured how long they let the work wait."""
        iterator, end = iter(pieces), object()
        while True:
            began = time.perf_counter()
            piece = next(iterator, end)
            if self._last is None or self._last.done():
                self.waited += time.perf_counter() - max(began, self._ended)
            if piece is end:
                return
            yield piece  # type: ignore[misc]  # the end is no piece

    def _timed(self, work: Callable[[], R]) -> R:
        try:
            return work()
        finally:
            self._ended = time.perf_counter()
