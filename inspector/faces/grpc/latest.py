"""A run's progress, handed from its thread to the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from inspector.control import Progress


class Latest:
    """Remembers the newest progress only: a slow client misses steps and holds nobody up."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._newest: deque[Progress] = deque(maxlen=1)

    def put(self, progress: Progress) -> None:
        """From any thread: this is how far the run is now."""
        self._newest.append(progress)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._woken.set)

    async def until(self, end: asyncio.Future[Any]) -> AsyncIterator[Progress]:
        """What was put and not given yet, whenever there is something, until the end and what was put before it."""
        end.add_done_callback(lambda _: self._woken.set())
        while not end.done():
            await self._woken.wait()
            self._woken.clear()
            if self._newest:
                yield self._newest.popleft()
        if self._newest:
            yield self._newest.popleft()
