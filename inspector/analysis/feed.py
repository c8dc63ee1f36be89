"""The inputs of one run on their way in: counted, identified, limited, and what was skipped remembered."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from inspector.analysis.parts import MAX_LISTED_SKIPS, Tally
from inspector.analysis.unfit import Refusal
from inspector.contract import Array, BatchInfo, TensorInfo
from inspector.control import Progress, Stop, Watcher
from inspector.errors import InputError, InspectorError
from inspector.origin import many
from inspector.report import Skipped
from inspector.runtime.data import Batch, Shard, Size, Source, Unread, batches, open_source
from inspector.runtime.digest import Digest
from inspector.runtime.items import SHARD_STRIDE
from inspector.runtime.preprocess import Preprocess

MAX_SAID: Final = 300
"""Characters of a skipped input's name, and of the reason, that are kept: a hundred of them have to fit a tally."""
LOOKED_AT: Final = 16
"""Inputs of a run of any length that are kept for analyses that explore, whatever the size of its batches."""

MOST_REFUSED: Final = 100
"""Inputs that may be refused before one runs, at the beginning of the first shard: then it is for all of them."""


class ShardCount:
    """What became of the inputs of one shard: see `inspector.analysis.parts.Tally`."""

    def __init__(self) -> None:
        self.inputs = 0
        self.digest = Digest()
        self.skipped: list[Skipped] = []
        self.skipped_count = self.incomplete = self.may_mend = self.refused = 0

    def add(self, names: Sequence[str], contents: Sequence[bytes]) -> None:
        """These inputs counted."""
        self.inputs += len(names)
        for name, content in zip(names, contents, strict=True):
            self.digest.add(name, content)

    def skip(self, skipped: Skipped) -> None:
        """This did not."""
        self.skipped_count += skipped.count
        self.incomplete += skipped.incomplete
        self.may_mend += skipped.count if isinstance(skipped, Unread) else 0
        if len(self.skipped) < MAX_LISTED_SKIPS:
            name, reason = shortened(skipped.id), shortened(skipped.reason)
            self.skipped.append(Skipped(name, reason, skipped.count, skipped.incomplete))


def shortened(text: str) -> str:
    """Without its middle, where it is too long: a path ends with the file's name."""
    return text if len(text) <= MAX_SAID else f"{text[: MAX_SAID // 2]}…{text[1 - MAX_SAID // 2 :]}"


class Feed:
    """Opens a data source and passes its batches on, shard by shard. What becomes of each input it is told, in order.

    After the run: `count` inputs were used and `skipped_count` could not be, `looked_at` holds the inputs that may be
    run again, `waited` is for how many seconds nothing ran because inputs were not there yet.
    """

    def __init__(
        self,
        data: Any,
        inputs: tuple[TensorInfo, ...],
        preprocess: str,
        *,
        watch: Watcher,
        stop: Stop,
        most: int | None,
        strict: bool = False,
        shard_size: int = 0,
    ) -> None:
        """`most`: how many inputs are allowed, None for any number. `strict`: an input that is skipped is an error.

        `shard_size`: inputs of a shard; 0: the whole is one.
        """
        self._turned = threading.Event()
        self._preprocess = Preprocess.parse(preprocess) if preprocess else None
        self.source: Source = open_source(data, inputs, self._preprocess, self._turned.set)
        self.shards: Sequence[Shard] = (
            self.source.shards(shard_size) if shard_size and not self.source.is_stream else (_whole(self.source),)
        )
        self._watch, self._stop, self._most, self._strict = watch, stop, most, strict
        self.waited = 0.0
        self.count = 0
        self._kept: list[Mapping[str, Array]] = []
        self._given: deque[Batch] = deque()
        self._settled = 0
        self._shard = ShardCount()
        self.skipped_count = 0
        self._first_skipped = ""
        self._fault: type[InspectorError] = InputError
        self._limit(self.source.total or 0)

    def batches(
        self,
        size: Size,
        shards: Iterable[Shard] | None = None,
        ended: Callable[[Shard, ShardCount], None] | None = None,
    ) -> Iterator[Batch | None]:
        """Batches of up to `size` inputs, of these shards (None: of all), and after every shard None.

        `ended` hears of every shard when the caller comes back after that.

        Raises:
            InputError: there were too many inputs, or (strict) one that could not be used.
        """
        for shard in self.shards if shards is None else shards:
            self._shard = ShardCount()
            shard.begin()
            inner = batches(shard, size, first=shard.first, stop=self._stop, on_skip=self._skip)
            with contextlib.closing(inner):
                for batch in inner:
                    self._give(batch)
                    yield batch
            self._check(shard)
            yield None
            if ended is not None:
                ended(shard, self._shard)

    def accept(self, info: BatchInfo) -> None:
        """The next of the inputs that were given, which there are rows of."""
        part = self._settle(info)
        self._keep(part.feeds, self.count)
        self.count += len(info.ids)
        self._shard.add(info.ids, part.contents)
        self._tell()

    def refuse(self, info: BatchInfo, error: Refusal) -> None:
        """The same, where they cannot be run.

        Raises:
            InputError: (strict) the error, about the first of them.
            InputError, RunError: the data begins with `MOST_REFUSED` such inputs.
        """
        if not self._first_skipped:
            self._fault = type(error)
        self._settle(info)
        for name in info.ids:
            self._skip(Skipped(name, str(error).removeprefix(f"{error.subject}: ")))
            self._shard.refused += 1
            if self._shard.refused == MOST_REFUSED and not self._shard.inputs and info.first < SHARD_STRIDE:
                raise self._unusable(f"none of the first {MOST_REFUSED} inputs that were read")
        self._tell()

    def finish(self) -> None:
        """Raises InputError where none of the inputs could be used; RunError where that may be the model's fault."""
        if not self.count:
            if not self.skipped_count:
                raise InputError(self.source.description, "there was no input")
            raise self._unusable(f"none of {many(self.skipped_count, 'input')}")

    def _unusable(self, which: str) -> InspectorError:
        told = f"{which} could be used; the first is {self._first_skipped}"
        return self._fault(self.source.description, told)

    def pass_over(self, tally: Tally) -> None:
        """Counts a shard that was read before, or elsewhere.

        Raises:
            InputError: (strict) an input of it could not be used.
        """
        first = next(iter(tally.skipped), None)
        if first is not None:
            self._refuse(first)
            self._first_skipped = self._first_skipped or _told(first)
        self.count += tally.inputs
        self.skipped_count += tally.skipped_count
        self._tell()

    def _check(self, shard: Shard) -> None:
        """Skips what nobody knows of a shard that changed during the run: some of its inputs are of another file.

        Where inputs of it were skipped as they changed, these have been counted.
        """
        try:
            shard.check()
        except InputError as error:
            if self._shard.may_mend:
                self._shard.incomplete += 1
            else:
                self._skip(Unread(shard.name, error.about(shard.name), incomplete=True))

    def _give(self, batch: Batch) -> None:
        self._given.append(batch)
        self._limit(self.count + sum(len(given.info.ids) for given in self._given) - self._settled)

    def _settle(self, info: BatchInfo) -> Batch:
        """The next inputs, which are no longer waited for."""
        batch, start = self._given[0], self._settled
        self._settled += len(info.ids)
        part = batch.part(start, self._settled)
        if self._settled == len(batch.info.ids):
            self._given.popleft()
            self._settled = 0
        return part

    def _tell(self) -> None:
        self._watch(Progress("run", self.count + self.skipped_count, self.source.total))

    @property
    def preprocess(self) -> str:
        """How pictures are to become tensors, in one form for all ways to write it; empty where nobody said."""
        return self._preprocess.text if self._preprocess else ""

    @property
    def preprocessed(self) -> str:
        """The same, as far as it was done; empty where no picture has been read yet."""
        return self.preprocess if self._turned.is_set() else ""

    @property
    def looked_at(self) -> Mapping[str, Array]:
        """Inputs for analyses that explore: all of the first one's shape, of those of a long run among the first 16."""
        names = self._kept[0] if self._kept else ()
        return {name: np.concatenate([feeds[name] for feeds in self._kept]) for name in names}

    def look_again(self, shards: Iterable[Shard], skipped: Iterable[Skipped]) -> None:
        """Reads the first inputs of these shards that were used, for `looked_at`; the run had not to read them all."""
        self._kept.clear()
        seen, unused = 0, {one.id for one in skipped}
        for shard in shards:
            with contextlib.closing(batches(shard, LOOKED_AT, first=shard.first, stop=self._stop)) as inner:
                while seen < LOOKED_AT and (batch := next(inner, None)) is not None:
                    used = [at for at, name in enumerate(batch.info.ids) if shortened(name) not in unused]
                    self._keep({name: array[used] for name, array in batch.feeds.items()}, seen)
                    seen += len(used)

    def _keep(self, feeds: Mapping[str, Array], seen: int) -> None:
        """Keeps these for `looked_at`, as far as they belong there; `seen` came before them."""
        if not len(next(iter(feeds.values()))):
            return
        limited = self._most is not None
        if not limited and seen < LOOKED_AT:
            feeds = {name: array[: LOOKED_AT - seen].copy() for name, array in feeds.items()}
        if (limited or seen < LOOKED_AT) and all(
            a.shape[1:] == self._kept[0][n].shape[1:] for n, a in feeds.items() if self._kept
        ):
            self._kept.append(feeds)

    def _skip(self, skipped: Skipped) -> None:
        self._refuse(skipped)
        self.skipped_count += skipped.count
        self._first_skipped = self._first_skipped or _told(skipped)
        self._shard.skip(skipped)

    def _refuse(self, skipped: Skipped) -> None:
        if self._strict:
            remedy = "Mend or remove it. Audits that are not strict skip and count such inputs."
            raise InputError(f"input {skipped.id!r}", f"it cannot be used: {skipped.reason}", remedy=remedy)

    def _limit(self, count: int) -> None:
        if self._most is not None and count > self._most:
            raise InputError(
                "inputs",
                "there are too many to look at closely",
                expected=f"at most {self._most}",
                found=str(count),
                remedy="Give fewer, or use audit, which adds up any number.",
            )


def _whole(source: Source) -> Shard:
    """All of a source as one shard."""
    return Shard(source.description, str, 0, source.total, source.__iter__)


def _told(skipped: Skipped) -> str:
    return f"{skipped.id}: {skipped.reason}"
