"""Reading and hashing at once: SHA-256 is slower than reading, so it has a thread of its own."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import BinaryIO, Final

from inspector.contract import Array

_CHUNK: Final = 8 << 20
WINDOW: Final = 1 << 19
"""Bytes that are looked at together."""
_WINDOWS: Final = 3
"""Windows that are used in turns, so that one can be filled while others are hashed: fresh memory costs more."""
_WAITING: Final = 8
"""Parts that may wait to be hashed, so that they cannot pile up."""
_SMALL: Final = 1 << 18
"""Bytes below which the thread is not worth being woken for."""


class HashedReader:
    """A file, read once from where it stands; its bytes are hashed in that order. Used as a context manager.

    `count` is how many bytes were read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()
        self._thread = ThreadPoolExecutor(1, "sha256")
        self._waiting: deque[Future[None]] = deque()
        self._windows: deque[tuple[bytearray, Future[None] | None]] = deque()
        self.count = 0

    def __enter__(self) -> HashedReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def window(self, kept: bytearray, most: int) -> tuple[bytearray, int]:
        """`kept`, then at most `most` bytes that follow, and where they end. The third call after it uses it again."""
        if len(self._windows) < _WINDOWS:
            window = bytearray(len(kept) + WINDOW)
        else:
            window, hashed = self._windows.popleft()
            if hashed is not None:
                hashed.result()
        window[: len(kept)] = kept
        part = memoryview(window)[len(kept) : len(kept) + most]
        count = self._file.readinto(part)  # type: ignore[attr-defined]  # binary files have it; typeshed's lacks it
        self._windows.append((window, self._add(part[:count])))
        return window, len(kept) + count

    def fill(self, array: Array) -> int:
        """Reads into an array of bytes, which nobody may change before `digest`; how many bytes there were."""
        filled = 0
        while filled < array.size:
            part = memoryview(array.data)[filled : filled + _CHUNK]
            count = self._file.readinto(part)  # type: ignore[attr-defined]  # as above
            if not count:
                break
            self._add(part[:count])
            filled += count
        return filled

    def digest(self) -> bytes:
        """The SHA-256 of everything that was read."""
        while self._waiting:
            self._waiting.popleft().result()
        return self._hash.digest()

    def _add(self, data: memoryview) -> Future[None] | None:
        """Hashes what was read: later, unless it is little and nothing waits before it."""
        self.count += len(data)
        if not self._waiting and len(data) < _SMALL:
            self._hash.update(data)
            return None
        hashed = self._thread.submit(self._hash.update, data)
        self._waiting.append(hashed)
        if len(self._waiting) > _WAITING:
            self._waiting.popleft().result()
        return hashed
