"""Reading and hashing at once: SHA-256 is slower than reading, so it has a thread of its own."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import BinaryIO, Final

from inspector.contract import Array

_CHUNK: Final = 8 << 20
_BATCH: Final = 1 << 20
"""Bytes of small reads that are handed to the thread together; where there are fewer in all, none is started."""
_WAITING: Final = 8
"""Batches that may wait to be hashed, so that they cannot pile up."""


class HashedReader:
    """A file, read once from where it stands; its bytes are hashed in that order. Used as a context manager.

    `count` is how many bytes were read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()
        self._thread = ThreadPoolExecutor(1, "sha256")
        self._waiting: deque[Future[None]] = deque()
        self._batch: list[bytes | memoryview] = []
        self._batched = 0
        self.count = 0

    def __enter__(self) -> HashedReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def read(self, size: int) -> bytes:
        """At most so many bytes; fewer only at the end."""
        data = self._file.read(size)
        self.count += len(data)
        self._add(data)
        return data

    def fill(self, array: Array) -> int:
        """Reads into an array of bytes, which nobody may change before `digest`; how many bytes there were."""
        filled = 0
        while filled < array.size:
            part = memoryview(array.data)[filled : filled + _CHUNK]
            count = self._file.readinto(part)  # type: ignore[attr-defined]  # binary files have it; typeshed's lacks it
            if not count:
                break
            self._add(part[:count])
            filled += count
        self.count += filled
        return filled

    def digest(self) -> bytes:
        """The SHA-256 of everything that was read."""
        while self._waiting:
            self._waiting.popleft().result()
        self._update(self._batch)
        self._batch = []
        return self._hash.digest()

    def _add(self, data: bytes | memoryview) -> None:
        self._batch.append(data)
        self._batched += len(data)
        if self._batched >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        self._waiting.append(self._thread.submit(self._update, self._batch))
        self._batch, self._batched = [], 0
        if len(self._waiting) > _WAITING:
            self._waiting.popleft().result()

    def _update(self, batch: Iterable[bytes | memoryview]) -> None:
        for data in batch:
            self._hash.update(data)
