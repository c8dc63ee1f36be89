"""Reads inputs before they are asked for: one thread lists them, others read them, in order, in bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Final

from inspector.control import Stop
from inspector.errors import InputError
from inspector.runtime.items import Feeds, Item, Items, content
from inspector.runtime.readers import LEFT_ALONE, Readers

MAX_HELD: Final = 256 * 2**20
"""Bytes of unread inputs at which no more are fetched."""
_Read = tuple[Feeds, bytes]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an item: its arrays and what identifies them, or why it cannot be read."""

    item: Item
    result: Feeds | InputError
    content: bytes = b""


class Ahead:
    """The items of a source, in order, with at most `room` of them fetched and not released yet."""

    def __init__(self, items: Items, workers: int, room: int, stop: Stop) -> None:
        self._items, self._room, self._held, self._stop = items, room, 0, stop
        self._changed = threading.Condition()
        self._ready: deque[tuple[Item, Future[_Read]] | BaseException | None] = deque()
        self._closing = False
        self._readers = Readers(workers)
        self._lister = threading.Thread(target=self._list, name="list", daemon=True)

    def __enter__(self) -> Ahead:
        self._lister.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._lister.join(LEFT_ALONE)
        self._readers.close()

    def take(self) -> Outcome | None:
        """The next item, waiting for it; None at the end.

        Raises:
            StoppedError: the stop was asked for while nothing came.
            BaseException: whatever the source raised, or reading other than InputError.
        """
        with self._stop.during(self._wake), self._changed:
            self._changed.wait_for(lambda: self._comes() or self._stop.asked)
            if not self._comes():
                self._stop.check()
            entry = self._ready[0]
        if entry is None or isinstance(entry, BaseException):
            return _no_more(entry)
        item, future = entry
        try:
            return Outcome(item, *future.result())
        except InputError as error:
            return Outcome(item, error)
        finally:
            del entry, future  # an error in there holds this frame
            with self._changed:
                self._ready.popleft()
                self._held -= item.held
                self._changed.notify_all()

    def release(self, number: int) -> None:
        """Makes room for so many more, as these are in other hands now."""
        with self._changed:
            self._room += number
            self._changed.notify_all()

    def _comes(self) -> bool:
        """Whether the next item was read, or there is none."""
        if not self._ready:
            return False
        entry = self._ready[0]
        return not isinstance(entry, tuple) or entry[1].done()

    def _wake(self, *_: object) -> None:
        with self._changed:
            self._changed.notify_all()

    def _list(self) -> None:
        end: BaseException | None = None
        try:
            items = iter(self._items)
            while self._has_room() and (item := next(items, None)) is not None:
                self._put((item, self._readers.submit(partial(_read, item))), item.held)
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are taken
            end = error
        self._put(end, 0)

    def _has_room(self) -> bool:
        """Waits for it and takes it; False when it is not wanted any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or (self._room > 0 and self._held < MAX_HELD))
            self._room -= 1
            return not self._closing

    def _put(self, entry: tuple[Item, Future[_Read]] | BaseException | None, held: int) -> None:
        with self._changed:
            self._held += held
            self._ready.append(entry)
            self._changed.notify_all()
        if isinstance(entry, tuple):
            entry[1].add_done_callback(self._wake)


def _read(item: Item) -> _Read:
    feeds = item.read()
    return feeds, content(feeds)


def _no_more(error: BaseException | None) -> Outcome | None:
    if error is not None:
        raise error
    return None
