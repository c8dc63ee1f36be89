"""What a client streams, handed from the event loop to the thread that uses it."""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from collections.abc import AsyncIterable, Iterator
from typing import Final, Generic, TypeVar

from inspector.errors import InspectorError, LimitError, StoppedError

T = TypeVar("T")
_ITEM_COST: Final = 4096
"""Counted for every item beside its own size, so that many tiny ones are bounded as well."""


class Feed(Generic[T]):
    """A queue of limited size in bytes between one stream on the event loop and one iteration in a thread.

    A full queue makes `put` wait, so the stream is not read on and gRPC holds the client back. An iteration that gets
    nothing for `patience` seconds ends with LimitError: a client that falls silent must not keep a thread.
    """

    def __init__(self, limit: int, patience: float) -> None:
        self._limit, self._patience = limit, patience
        self._items: queue.SimpleQueue[tuple[T, int] | Exception | None] = queue.SimpleQueue()
        self._held = 0
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def fill(self, items: AsyncIterable[tuple[T, int]]) -> None:
        """Puts all items, each with its size, and ends the iteration: with their error where they raise one."""
        error: Exception | None = StoppedError("stream", "it was cut short")
        try:
            async for item, size in items:
                await self.put(item, size)
            error = None
        except InspectorError as raised:
            error = raised
        finally:
            self.close(error)

    async def put(self, item: T, size: int) -> None:
        """Adds an item of that many bytes when there is room. One that is larger than the whole queue goes alone."""
        cost = size + _ITEM_COST
        while self._held and self._held + cost > self._limit:
            room = self._loop.create_future()
            self._waiting.append(room)
            await room
        self._held += cost
        self._items.put((item, cost))

    def close(self, error: Exception | None = None) -> None:
        """Ends the iteration after the items that are there, with an error if one is given."""
        self._items.put(error)

    def __iter__(self) -> Iterator[T]:
        """In the thread: the items, in order, once."""
        while (entry := self._next()) is not None:
            if isinstance(entry, Exception):
                raise entry
            item, cost = entry
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._free, cost)
            yield item

    def _next(self) -> tuple[T, int] | Exception | None:
        try:
            return self._items.get(timeout=self._patience)
        except queue.Empty:
            raise LimitError(
                "stream",
                "the client sent nothing for too long",
                expected=f"a message at least every {self._patience:g} s",
                remedy="Send faster, or close the stream.",
            ) from None

    def _free(self, cost: int) -> None:
        self._held -= cost
        while self._waiting:
            room = self._waiting.popleft()
            if not room.done():
                room.set_result(None)
