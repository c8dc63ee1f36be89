"""Inputs before they are read, and what a source of them is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Final, NoReturn, Protocol

from inspector.contract import Array
from inspector.errors import InputError, ParameterError
from inspector.runtime.stored import Watch

SHARD_STRIDE: Final = 1 << 32
"""Positions between the first inputs of two shards that follow each other; no shard may hold more inputs."""

Feeds = Mapping[str, Array]
"""One input of a model: name -> array without the batch axis."""


def content(feeds: Feeds) -> bytes:
    """The SHA-256 of an input: names, types, shapes and bytes of its arrays, in the order of their names."""
    found = hashlib.sha256()
    for name in sorted(feeds):
        x = feeds[name]
        found.update(f"{name!r} {x.dtype} {x.shape}\n".encode("utf-8", "surrogatepass") + x.tobytes())
    return found.digest()


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """One input in memory, or from the wire: the bytes of a picture file, or an array for every input of the model.

    The arrays have no batch axis, or one of length 1. `label` is what the input is known to be, where that is known.
    `broken` is why it cannot be used, where that is known already.
    """

    id: str
    picture: bytes | None = None
    tensors: Mapping[str, Array] | None = None
    label: str | None = None
    broken: InputError | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One input, not read yet. `read` may be called from any thread and raises InputError for a broken one.

    `label` is the name of its class, None where nothing says it. `held` is how many bytes it keeps in memory unread.
    Where it cannot be read, `count` inputs are lost, and with `incomplete` nobody knows how many: see `Skipped`.
    """

    id: str
    read: Callable[[], Feeds]
    label: str | None = None
    held: int = 0
    count: int = 1
    incomplete: bool = False

    @classmethod
    def broken(cls, name: str, error: InputError, *, count: int = 1, incomplete: bool = False) -> Item:
        """An input, or several, known not to be readable; reading it raises the error."""
        return cls(name, partial(fail, error), count=count, incomplete=incomplete)


class Items(Protocol):
    """Inputs in a fixed order."""

    @property
    def total(self) -> int | None:
        """Number of items, None where it is not known beforehand."""

    def __iter__(self) -> Iterator[Item]: ...


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a source that can be read alone, any number of times, in any process that opens the same data.

    Attributes:
        name: of the part, unique among the shards of a source.
        stamp: gives a fingerprint of what is stored there (size and time of change, or ETag); may ask a server.
        first: position of its first input in the whole: index of the shard x `SHARD_STRIDE`. How many good inputs
            earlier shards hold is not known before they are read, so positions order inputs and do not count them.
        total: number of items, None where it is not known beforehand.
        list_items: the items, from the beginning.
        watch: notices that what is stored there changes while it is read; None where it is read at once.
    """

    name: str
    stamp: Callable[[], str] = field(repr=False)
    first: int
    total: int | None
    list_items: Callable[[], Iterator[Item]] = field(repr=False)
    watch: Watch | None = field(default=None, repr=False, compare=False)

    @property
    def id(self) -> str:
        """Name and fingerprint, so that a changed file has another id; InputError where it cannot be looked at."""
        return f"{self.name}@{self.stamp()}"

    def __iter__(self) -> Iterator[Item]:
        return self.list_items()

    def begin(self) -> None:
        """To be called before it is read: see `Watch.begin`."""
        if self.watch is not None:
            self.watch.begin()

    def check(self) -> None:
        """To be called when all of it was read: see `Watch.check`."""
        if self.watch is not None:
            self.watch.check()


class Source(Items, Protocol):
    """A sequence of inputs. Can be gone through again, unless it was made from an iterator."""

    is_stream: ClassVar[bool]
    """True where it is handed over one by one, so that it cannot be divided."""

    @property
    def description(self) -> str:
        """What was fed, in words, places as the caller gave them, without passwords."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers must know about the data."""

    def shards(self, size: int) -> Sequence[Shard]:
        """The whole in parts of about `size` inputs, in order; put together they are the items of the source.

        The same data and the same size give the same shards. A tar file is one shard, whatever it holds.

        Raises:
            InputError: it cannot be divided, as it is a stream, or cannot be looked at.
            ParameterError: `size` is below 1.
        """


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a source, before it is known at which position it begins: a Shard without its place."""

    name: str
    stamp: Callable[[], str]
    total: int | None
    list_items: Callable[[], Iterator[Item]]
    watch: Watch | None = None


def numbered(parts: Iterator[Part], size: int) -> tuple[Shard, ...]:
    """Parts of that size, in order, as shards; ParameterError where the size is none."""
    if size < 1:
        raise ParameterError("shard size", "it is out of range", expected="at least 1", found=str(size))
    return tuple(
        Shard(part.name, part.stamp, index * SHARD_STRIDE, part.total, part.list_items, part.watch)
        for index, part in enumerate(parts)
    )


def ranges(count: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of stretches of `size`, the last one shorter."""
    return ((start, min(start + size, count)) for start in range(0, count, size))


def fail(error: InputError) -> NoReturn:
    """Raises it."""
    raise error
