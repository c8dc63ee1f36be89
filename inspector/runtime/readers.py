"""Threads that nobody has to wait for: what reads from a store that is silent is left alone where it is not wanted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")

LEFT_ALONE: Final = 1.0
"""Seconds that closing waits for what is under way; that ends when its store answers, or with the process."""


class Readers:
    """Up to `most` threads, in a `with` block, that do what they are asked in the order in which it is asked.

    A thread is begun when it is needed. At the end of the block what was not begun is never done.
    """

    def __init__(self, most: int) -> None:
        self._most, self._threads = most, list[threading.Thread]()
        self._idle = threading.Semaphore(0)
        self._tasks = SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]()
        self._lock, self._closed = threading.Lock(), False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, act: Callable[[], T]) -> Future[T]:
        """What will have come of it; cancelled where these are closed."""
        future = Future[T]()
        with self._lock:
            if self._closed:
                future.cancel()
            else:
                self._tasks.put((future, act))
                self._begin()
        return future

    def close(self) -> None:
        """Ends the threads, and waits for what is under way, but not for long."""
        with self._lock:
            self._closed = True
            while not self._tasks.empty():
                if task := self._tasks.get():
                    task[0].cancel()
            for _ in self._threads:
                self._tasks.put(None)
        until = time.monotonic() + LEFT_ALONE
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0))

    def _begin(self) -> None:
        """One thread more, where none is idle and there may be more."""
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._most:
            self._threads.append(threading.Thread(target=self._work, name="read", daemon=True))
            self._threads[-1].start()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            _do(*task)
            del task  # an idle thread holds no input
            self._idle.release()


def _do(future: Future[T], act: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(act())
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is taken
        future.set_exception(error)
        del future  # the error's traceback holds this frame
