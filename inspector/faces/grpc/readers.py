"""How many calls may have a message on its way to the server at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Readers:
    """A limited number of places for calls that wait for a message: gRPC takes memory for all that arrives of each.

    Where all are taken, one that was taken more than `hurry` seconds ago is wanted back, so that silent clients lock
    nobody out.
    """

    def __init__(self, most: int, hurry: float) -> None:
        self._most, self._hurry = most, hurry
        self._taken: dict[asyncio.Future[None], float] = {}  # since when; the oldest comes first
        self._waiting: deque[asyncio.Future[None]] = deque()

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[asyncio.Future[None]]:
        """A place for the block, which has to end soon once the future that it is given is done."""
        loop = asyncio.get_running_loop()
        while len(self._taken) >= self._most:
            await self._room(loop)
        wanted = loop.create_future()
        self._taken[wanted] = loop.time()
        try:
            yield wanted
        finally:
            self._taken.pop(wanted, None)
            self._wake()

    async def _room(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ends when there may be room: one has left, or the oldest was told to."""
        oldest, since = next(iter(self._taken.items()))
        left = since + self._hurry - loop.time()
        if left <= 0:
            del self._taken[oldest]
            oldest.set_result(None)
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        try:
            await asyncio.wait({turn}, timeout=left)
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif len(self._taken) < self._most:
                self._wake()  # for it is not certain that this one takes the place

    def _wake(self) -> None:
        if self._waiting:
            self._waiting.popleft().set_result(None)
