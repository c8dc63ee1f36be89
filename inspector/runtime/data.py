"""Batches of tensors from a source of inputs, read ahead in threads, in order, in bounded memory."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from inspector.contract import Array, BatchInfo
from inspector.control import Progress, Stop, Watcher
from inspector.errors import InputError, ParameterError
from inspector.report import Skipped
from inspector.runtime.sources import Data, Feeds, Item, Raw, Source, open_source

__all__ = ["Batch", "Data", "Digest", "Feeds", "Item", "Raw", "Source", "batches", "open_source"]

LOOK_AHEAD = 2
"""Batches that are read beside the one in use."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Inputs to run together: `feeds` is name -> (N, …); `skipped` were met on the way to the last of them."""

    feeds: Mapping[str, Array]
    info: BatchInfo
    skipped: tuple[Skipped, ...] = ()


def batches(
    source: Source,
    size: int,
    *,
    workers: int = 2,
    watch: Watcher | None = None,
    stop: Stop | None = None,
    on_skip: Callable[[Skipped], None] | None = None,
) -> Generator[Batch, None, None]:
    """The inputs of `source` in order, `size` at a time.

    A batch is smaller where the inputs end, or where the shape changes (free spatial axes). A broken input is left
    out and the next good one takes its place; `on_skip` hears of every one, also after the last batch.
    `info.first` counts good inputs only. Never are more than `LOOK_AHEAD` + 1 batches of inputs in memory, the one
    that the caller works on included. The source is gone through in the caller's thread, inputs are read in `workers`
    threads; closing the generator ends them. `watch` hears of a batch when the caller comes back for the next.

    Raises:
        ParameterError: `size` or `workers` is below 1.
        StoppedError: `stop` was set.
    """
    for name, value in (("batch size", size), ("workers", workers)):
        if value < 1:
            raise ParameterError(name, "it is out of range", expected="at least 1", found=str(value))
    filling, told = _Filling(size), on_skip or _ignore
    return _batches(source, filling, workers, watch=watch or _ignore, stop=stop or Stop(), on_skip=told)


def _batches(
    source: Source, filling: _Filling, workers: int, *, watch: Watcher, stop: Stop, on_skip: Callable[[Skipped], None]
) -> Generator[Batch, None, None]:
    room = LOOK_AHEAD * filling.size

    def hand_over() -> Generator[Batch, None, None]:
        yield filling.finish()
        watch(Progress("inputs", filling.done, source.total))

    watch(Progress("inputs", 0, source.total))
    with _Ahead(source, workers) as ahead:
        while (taken := ahead.take(room - len(filling.ids))) is not None:
            stop.check()
            key, outcome = taken
            if isinstance(outcome, InputError):
                on_skip(filling.skip(key, outcome))
                continue
            if not filling.takes(outcome):
                yield from hand_over()
            filling.add(key, outcome)
            if len(filling.ids) == filling.size:
                ahead.fill(room)  # so that reading goes on while the caller works on the batch
                yield from hand_over()
        if filling.ids:
            yield from hand_over()


class _Ahead:
    """The items of a source, read by threads before they are asked for, in the source's order."""

    def __init__(self, source: Source, workers: int) -> None:
        self._items = iter(source)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="read")
        self._pending: deque[tuple[str, Future[Feeds]]] = deque()

    def __enter__(self) -> _Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def fill(self, room: int) -> None:
        """Starts reading until `room` items are under way or the source ends."""
        while len(self._pending) < room and (item := next(self._items, None)) is not None:
            self._pending.append((item.id, self._pool.submit(item.read)))

    def take(self, room: int) -> tuple[str, Feeds | InputError] | None:
        """The next item, waiting for it, with what was read or why that failed; None at the end."""
        self.fill(room)
        if not self._pending:
            return None
        key, future = self._pending.popleft()
        try:
            return key, future.result()
        except InputError as error:
            return key, error


class _Filling:
    """A batch in the making. Inputs are copied into place as they come, so that none is held twice."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.ids: list[str] = []
        self.done = 0  # inputs that came so far, good or not
        self._first = 0
        self._feeds: dict[str, Array] = {}
        self._skipped: list[Skipped] = []

    def takes(self, feeds: Feeds) -> bool:
        """True where this input can share the batch with those that are in it."""
        return not self.ids or all(x.shape == self._feeds[n].shape[1:] for n, x in feeds.items())

    def add(self, key: str, feeds: Feeds) -> None:
        if not self.ids:
            self._feeds = {n: np.empty((self.size, *x.shape), x.dtype) for n, x in feeds.items()}
        for name, x in feeds.items():
            self._feeds[name][len(self.ids)] = x
        self.ids.append(key)
        self.done += 1

    def skip(self, key: str, error: InputError) -> Skipped:
        self._skipped.append(Skipped(key, str(error)))
        self.done += 1
        return self._skipped[-1]

    def finish(self) -> Batch:
        """What is in it; a new batch begins."""
        n = len(self.ids)
        feeds = {name: array[:n] for name, array in self._feeds.items()}
        batch = Batch(feeds, BatchInfo(tuple(self.ids), self._first), tuple(self._skipped))
        self._first += n
        self.ids, self._feeds, self._skipped = [], {}, []
        return batch


class Digest:
    """A running SHA-256 over ids and contents of inputs, in order, however they are divided into batches."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, batch: Batch) -> None:
        """Adds the inputs of a batch."""
        for row, key in enumerate(batch.info.ids):
            name = key.encode("utf-8", "surrogatepass")
            self._hash.update(len(name).to_bytes(8, "little") + name + _content(batch.feeds, row))

    @property
    def hex(self) -> str:
        """Lower-case hexadecimal, of what was added so far."""
        return self._hash.hexdigest()


def _content(feeds: Mapping[str, Array], row: int) -> bytes:
    content = hashlib.sha256()
    for name in sorted(feeds):
        x = feeds[name][row]
        content.update(f"{name!r} {x.dtype} {x.shape}\n".encode("utf-8", "surrogatepass") + x.tobytes())
    return content.digest()


def _ignore(_: object) -> None:
    """For whoever does not listen."""
