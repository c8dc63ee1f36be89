"""A bounded pool of threads for everything that must not block the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from inspector.faces.grpc.errors import RETRY_SECONDS, BusyError

T = TypeVar("T")


class Worker:
    """One thread, which a call has to itself until its answer was taken: so what runs make is bounded as well."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._future: Future[Any] | None = None

    def start(self, job: Callable[[], T]) -> asyncio.Future[T]:
        """The job's future result; one job at a time. Cancelling it does not end it: it must be told to stop."""
        future = self._pool.submit(job)
        self._future = future
        return asyncio.wrap_future(future)

    def when_idle(self, call: Callable[[], None]) -> None:
        """Calls once there is no job in it, on the loop that this is called on."""
        if self._future is None or self._future.done():
            call()
        else:
            loop = asyncio.get_running_loop()
            self._future.add_done_callback(lambda _: _if_open(loop, call))


class Workers:
    """So many workers, and so many calls that may wait for one. Used from one event loop."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._threads, self._free, self._most = threads, threads, waiting
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        """How many workers are taken."""
        return self._threads - self._free

    def check_room(self) -> None:
        """Raises BusyError where as many calls as may wait are waiting already."""
        if not self._free and len(self._waiting) >= self._most:
            raise BusyError(
                "server",
                "all workers are busy and the queue is full",
                expected=f"at most {self._threads + self._most} runs at a time",
                remedy=f"Try again in {RETRY_SECONDS} s or later.",
            )

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        """A worker for the block; others get it when the block and its job have ended. BusyError as `check_room`."""
        self.check_room()
        await self._taken()
        worker = Worker(self._pool)
        try:
            yield worker
        finally:
            worker.when_idle(self._give)

    async def close(self) -> None:
        """Drops the calls that wait, and ends when the jobs that run have ended."""
        for turn in self._waiting:
            turn.cancel()
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)

    async def _taken(self) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came, and too late
                self._give()
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(turn)

    def _give(self) -> None:
        """Hands a worker to the one that waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def _if_open(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Calls on the loop, from any thread; a loop that has been closed meanwhile needs no call."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)
