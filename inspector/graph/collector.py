"""Python's cyclic garbage collector, kept from running while many objects are made that all stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Final


@dataclass(slots=True)
class _Pauses:
    """Those under way, and whether the collector was on before the first of them."""

    lock: Lock = field(default_factory=Lock)
    count: int = 0
    was_on: bool = False


_pauses: Final = _Pauses()


@contextmanager
def paused() -> Iterator[None]:
    """A time without it, for the whole process; also a decorator.

    It starts whenever some hundred objects are new, goes through them, and now and then through everything. While a
    graph is built it finds nothing: for a model of 1,000 convolutions that is a tenth of loading, and nearly half of
    rewriting where it happens to go through everything.
    """
    with _pauses.lock:
        if not _pauses.count:
            _pauses.was_on = gc.isenabled()
            gc.disable()
        _pauses.count += 1
    try:
        yield
    finally:
        with _pauses.lock:
            _pauses.count -= 1
            if not _pauses.count and _pauses.was_on:
                gc.enable()
