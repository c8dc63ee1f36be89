"""Batches of tensors from a source of inputs, read ahead in threads, in order, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

import numpy as np

from inspector.contract import Array, BatchInfo
from inspector.control import Stop
from inspector.errors import InputError, LimitError, ParameterError
from inspector.report import Skipped
from inspector.runtime.ahead import Ahead
from inspector.runtime.devices import cores
from inspector.runtime.items import Feeds, Item, Items, Raw, Shard, Source
from inspector.runtime.outages import may_mend
from inspector.runtime.sources import Data, open_source

__all__ = ["Batch", "Data", "Feeds", "Item", "Raw", "Shapes", "Shard", "Source", "Unread", "batches", "open_source"]

LOOK_AHEAD = 2
"""Batches that are read beside those in use."""
Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of the arrays of an input, by name, without the batch axis."""
Size = int | Callable[[Shapes], int]
"""How many inputs make a batch; or who says so, batch by batch, of the shapes of its first input."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Inputs to run together: `feeds` is name -> (N, …).

    `contents` identifies the contents of each: see `inspector.runtime.items.content`.
    """

    feeds: Mapping[str, Array]
    info: BatchInfo
    contents: tuple[bytes, ...] = ()

    def part(self, start: int, stop: int) -> Batch:
        """Some of the inputs in a row."""
        part, info = slice(start, stop), self.info
        feeds = {name: array[part] for name, array in self.feeds.items()}
        return Batch(feeds, BatchInfo(info.ids[part], info.first + start, info.labels[part]), self.contents[part])


@dataclass(frozen=True, slots=True)
class Unread(Skipped):
    """What another try may read, as its store did not give it or it changed meanwhile: see `may_mend`."""


def batches(
    source: Items,
    size: Size,
    *,
    workers: int | None = None,
    first: int = 0,
    stop: Stop | None = None,
    on_skip: Callable[[Skipped], None] | None = None,
) -> Generator[Batch, None, None]:
    """The inputs of `source`, or of one of its shards, in order, `size` at a time.

    A batch is smaller where the inputs end, or where the shape changes (free spatial axes). A broken input is left
    out and the next good one takes its place; `on_skip` hears of every one, also after the last batch.
    `info.first` counts good inputs only, from `first` on (`Shard.first`). Never are more than `LOOK_AHEAD` batches of
    inputs in memory beside those that the caller holds, or one input for each worker where these are more. The source
    is gone through in a thread of its own, inputs are read in `workers` threads (None: one for every processor);
    closing the generator ends them.

    Raises:
        ParameterError: `size` or `workers` is below 1.
        LimitError: there is no memory for a batch.
        StoppedError: `stop` was set.
    """
    workers = cores() if workers is None else workers
    for name, value in (("batch size", size), ("workers", workers)):
        if isinstance(value, int) and value < 1:
            raise ParameterError(name, "it is out of range", expected="at least 1", found=str(value))
    filling, told = _Filling(size, first), on_skip or _ignore
    return _batches(source, filling, workers, stop=stop or Stop(), on_skip=told)


def _batches(
    source: Items, filling: _Filling, workers: int, *, stop: Stop, on_skip: Callable[[Skipped], None]
) -> Generator[Batch, None, None]:
    room = max(LOOK_AHEAD * filling.size, workers)  # no worker is idle for want of it
    with Ahead(source, workers, room, stop) as ahead:

        def hand_over() -> Generator[Batch, None, None]:
            ahead.release(len(filling.ids))  # so that reading goes on while the caller works on the batch
            yield filling.finish()

        while (taken := ahead.take()) is not None:
            stop.check()
            if isinstance(taken.result, InputError):
                ahead.release(1)
                item, error = taken.item, taken.result
                kind = Unread if may_mend(error) else Skipped
                error.__traceback__ = error.__cause__ = error.__context__ = None  # their frames hold it, in a circle
                on_skip(kind(item.id, error.about(item.id), item.count, item.incomplete))
                continue
            if not filling.takes(taken.result):
                yield from hand_over()
            filling.add(taken.item, taken.result, taken.content)
            more = max(LOOK_AHEAD * filling.size, workers) - room
            ahead.release(more)  # or less, where the size is chosen anew
            room += more
            if len(filling.ids) == filling.size:
                yield from hand_over()
        if filling.ids:
            yield from hand_over()


class _Filling:
    """A batch in the making. Inputs are copied into place as they come, so that none is held twice."""

    def __init__(self, size: Size, first: int) -> None:
        self.size = size if isinstance(size, int) else 1
        self._choose = (lambda _: size) if isinstance(size, int) else size
        self.ids: list[str] = []
        self._labels: list[str | None] = []
        self._first = first
        self._contents: list[bytes] = []
        self._feeds: dict[str, Array] = {}

    def takes(self, feeds: Feeds) -> bool:
        """True where this input can share the batch with those that are in it."""
        return not self.ids or all(x.shape == self._feeds[n].shape[1:] for n, x in feeds.items())

    def add(self, item: Item, feeds: Feeds, content: bytes) -> None:
        if not self.ids:
            self.size = self._choose({n: x.shape for n, x in feeds.items()})
            self._feeds = {n: _room(self.size, x) for n, x in feeds.items()}
        for name, x in feeds.items():
            self._feeds[name][len(self.ids)] = x
        self.ids.append(item.id)
        self._labels.append(item.label)
        self._contents.append(content)

    def finish(self) -> Batch:
        """What is in it; a new batch begins."""
        n = len(self.ids)
        feeds = {name: array[:n] for name, array in self._feeds.items()}
        info = BatchInfo(tuple(self.ids), self._first, tuple(self._labels))
        batch = Batch(feeds, info, tuple(self._contents))
        self._first += n
        self.ids, self._labels, self._contents, self._feeds = [], [], [], {}
        return batch


def _room(size: int, like: Array) -> Array:
    """An array for `size` inputs."""
    try:
        return np.empty((size, *like.shape), like.dtype)
    except (MemoryError, ValueError) as error:  # ValueError: more bytes than there are addresses
        raise LimitError(
            "batch of inputs", "there is not enough memory to read it", expected="a batch that fits",
            found=f"{size} inputs of {like.nbytes} bytes", remedy="Use a smaller batch size, or allow less memory.",
        ) from error  # fmt: skip


def _ignore(_: object) -> None:
    """For whoever does not listen."""
