"""A bounded pool of threads for everything that must not block the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from inspector.faces.grpc.errors import RETRY_SECONDS, BusyError

T = TypeVar("T")


class Workers:
    """So many threads, and so many jobs that may wait for one. Used from one event loop."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._limit = threads + waiting
        self._admitted = 0

    def submit(self, job: Callable[[], T]) -> asyncio.Future[T]:
        """The job's future result. Cancelling it takes a waiting job out; a running one must be told to stop.

        Raises:
            BusyError: as many jobs as may wait are waiting already.
        """
        if self._admitted >= self._limit:
            raise BusyError(
                "server",
                "all workers are busy and the queue is full",
                expected=f"at most {self._limit} runs at a time",
                remedy=f"Try again in {RETRY_SECONDS} s or later.",
            )
        loop = asyncio.get_running_loop()
        future = self._pool.submit(job)
        self._admitted += 1
        future.add_done_callback(lambda _: _if_open(loop, self._release))
        return asyncio.wrap_future(future)

    async def close(self) -> None:
        """Drops the jobs that wait, and ends when those that run have ended."""
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)

    def _release(self) -> None:
        self._admitted -= 1


def _if_open(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Calls on the loop, from any thread; a loop that has been closed meanwhile needs no call."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)
