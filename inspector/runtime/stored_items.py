"""The inputs in a list of files of any kind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from typing import ClassVar, Final

from inspector.errors import InputError
from inspector.runtime import arrays, pictures
from inspector.runtime.arrays import holds_one, read_stack, rows_in
from inspector.runtime.door import Door, stacked
from inspector.runtime.files import File
from inspector.runtime.items import Feeds, Item, Part, Shard, numbered, ranges
from inspector.runtime.parquet import parquet_items, parquet_parts
from inspector.runtime.readers import Readers
from inspector.runtime.stored import UNMARKED, Stored, Watch, kind_of
from inspector.runtime.tars import tar_items

ASKED_AT_ONCE: Final = 16
"""Fingerprints that are asked for at a time."""


@dataclass(frozen=True, slots=True)
class StoredFiles:
    """A source of files, one after the other. How many inputs a file holds is only seen when it is its turn."""

    is_stream: ClassVar[bool] = False

    description: str
    files: Sequence[Stored]
    door: Door
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int | None:
        """Number of items, None where a file may hold several."""
        return _total(self.files)

    def __iter__(self) -> Iterator[Item]:
        return chain.from_iterable(_items(file, self.door) for file in self.files)

    def shards(self, size: int) -> tuple[Shard, ...]:
        """See `Source.shards`: blocks and stretches of `size` inputs, tar files, row groups of Parquet files."""
        return numbered(self._parts(size), size)

    def _parts(self, size: int) -> Iterator[Part]:
        for kind, same in groupby(self.files, lambda f: f.kind if f.kind in {"tar", "parquet"} else None):
            for file in same if kind else ():
                if kind == "parquet":
                    yield from parquet_parts(file, self.door, size)
                else:
                    watch = Watch(file.id, file.now)
                    yield Part(file.id, file.stamp, None, partial(_items, file, self.door), watch)
            if not kind:
                yield from _blocks(same, self.door, size)


def _blocks(files: Iterable[Stored], door: Door, size: int) -> Iterator[Part]:
    """Files whose inputs make up `size` together; of those that hold more, stretches."""
    block: list[Stored] = []
    held, count = 0, _Counter(door, size)
    for file in files:
        number = count(file)
        if block and held + number > size:
            yield _block(block, door)
            block, held = [], 0
        if number > size:
            yield from _stretches(file, number, door, size)
        else:
            block.append(file)
            held += number
    if block:
        yield _block(block, door)


class _Counter:
    """Says how many inputs a file holds of which a stretch can be read alone; 1 for any other, whatever it holds.

    A file counts as one that was opened does, where that is of its size, or holds one and is larger. That can be too
    few where a model leaves sizes free; its block is larger then. Stretches are of files that were opened themselves.
    """

    def __init__(self, door: Door, most: int) -> None:
        """`most`: inputs of a block."""
        self._door, self._most = door, most
        self._alone = holds_one(door.inputs)
        self._known: dict[int, int] = {}

    def __call__(self, file: Stored) -> int:
        if not isinstance(file, File) or not str(file.path).lower().endswith(".npy"):
            return 1
        try:
            size = file.path.stat().st_size
            if size <= self._alone:
                return 1
            known = self._known.get(size, self._most + 1)
            return known if known <= self._most else self._opened(file, size)
        except (InputError, OSError):
            return 1

    def _opened(self, file: File, size: int) -> int:
        count = rows_in(file.content(0), self._door.inputs, file.id)
        if count == 1:
            self._alone = size
        elif count:
            self._known[size] = count
        return max(count, 1)


def _stretches(file: Stored, number: int, door: Door, size: int) -> Iterator[Part]:
    watch = Watch(file.id, file.now)  # one for all, so that no two are of different contents
    for start, stop in ranges(number, size):
        items = partial(_array_items, file, door, start, stop)
        yield Part(f"{file.id}[{start}:{stop}]", file.stamp, stop - start, items, watch)


def _block(files: Sequence[Stored], door: Door) -> Part:
    name = files[0].id if len(files) == 1 else f"{files[0].id}..{files[-1].id}"
    mapped = [file for file in files if file.kind == "array" and isinstance(file, File)]
    watch = Watch(name, partial(_stamps, mapped)) if mapped else None
    return Part(name, partial(_stamps, files), _total(files), partial(_chained, files, door), watch)


def _chained(files: Sequence[Stored], door: Door) -> Iterator[Item]:
    return chain.from_iterable(_items(file, door) for file in files)


def _stamps(files: Sequence[Stored]) -> str:
    """One fingerprint of all; other machines are asked for several at a time, as some are asked for every file."""
    if all(isinstance(file, File) for file in files):
        stamps = [file.stamp() for file in files]
    else:
        with Readers(ASKED_AT_ONCE) as readers:
            asked = [readers.submit(file.stamp) for file in files]
            stamps = [stamp.result() for stamp in asked]
    text = "\n".join(f"{file.id} {stamp}" for file, stamp in zip(files, stamps, strict=True))
    found = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{found}-{UNMARKED}" if any(stamp.endswith(UNMARKED) for stamp in stamps) else found


def _total(files: Sequence[Stored]) -> int | None:
    return len(files) if all(file.kind in {"picture", None} for file in files) else None


def _items(file: Stored, door: Door) -> Iterator[Item]:
    match file.kind:
        case "tar":
            yield from tar_items(file, door)
        case "parquet":
            yield from parquet_items(file, door)
        case "array":
            yield from _array_items(file, door)
        case _:
            several = file.kind is None and kind_of(file.id) != "picture"  # such as a link to a folder
            yield Item(file.id, partial(_read_picture, file, door), file.label, incomplete=several)


def _array_items(file: Stored, door: Door, start: int = 0, stop: int | None = None) -> Iterator[Item]:
    try:
        stack = read_stack(file.content(arrays.MAX_BYTES), door.inputs, file.id)
    except InputError as error:
        yield Item.broken(file.id, error, incomplete=True)
    else:
        yield from stacked(stack, file.id, file.label, start, stop)


def _read_picture(file: Stored, door: Door) -> Feeds:
    return door.picture(file.content(pictures.MAX_BYTES), file.id)
