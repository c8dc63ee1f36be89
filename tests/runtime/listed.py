"""A source of functions, for the tests of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from inspector.errors import InputError
from inspector.runtime.data import Item

Feeds = Mapping[str, np.ndarray]


@dataclass
class Listed:
    """A source of functions, made for these tests."""

    reads: list[Callable[[], Feeds]]
    description: str = "test"
    pulled: list[int] = field(default_factory=list)

    @property
    def total(self) -> int:
        return len(self.reads)

    def __iter__(self) -> Iterator[Item]:
        for i, read in enumerate(self.reads):
            self.pulled.append(i)
            yield Item(f"i{i}", read)


def good(value: float, shape: tuple[int, ...] = (2,)) -> Callable[[], Feeds]:
    return lambda: {"x": np.full(shape, value, np.float32)}


def broken(reason: str = "it is broken") -> Callable[[], Feeds]:
    def read():
        raise InputError("picture", reason)

    return read
