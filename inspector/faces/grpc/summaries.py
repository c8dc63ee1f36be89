"""Files of summaries on their way in and out: on the disk of the server while a call lasts, never in memory."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from inspector.analysis.sums import SUFFIX
from inspector.control import Stop
from inspector.errors import InputError, InspectorError, LimitError, SummaryError
from inspector.faces.wire_event import CHUNK

MAX_FILES: Final = 10_000
"""Files in one call."""
_log = logging.getLogger(__name__)


def receive(pieces: Iterable[tuple[bytes, bool]], folder: Path, most: int, stop: Stop) -> list[Path]:
    """Writes files, `1.sum`, `2.sum` and so on in the order in which they are sent.

    Args:
        pieces: bytes, and whether they are the last ones of their file.
        folder: an empty one.
        most: bytes of all files together.
        stop: ends it early.

    Raises:
        LimitError: there are too many files or bytes, or no room for them.
        InputError: the last file was not ended.
    """
    paths: list[Path] = []
    left, file = most, None
    try:
        for data, last in pieces:
            stop.check()
            left -= len(data)
            if left < 0 or (file is None and len(paths) == MAX_FILES):
                raise LimitError(
                    "summaries", "they are too large", expected=f"at most {most} bytes in {MAX_FILES} files"
                )
            if file is None:
                paths.append(folder / f"{len(paths) + 1}{SUFFIX}")
            with storing():
                file = _written(file or paths[-1].open("xb", buffering=0), data, last=last)
        if file is not None:
            raise InputError("summaries", "the last file is cut short", expected="a chunk marked `last`")
    finally:
        if file is not None:
            file.close()
    return paths


def _written(file: BinaryIO, data: bytes, *, last: bool) -> BinaryIO | None:
    """Adds to a file that writes at once, so that closing it cannot fail for want of room; None where it ends."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
    if not last:
        return file
    file.close()
    return None


@contextlib.contextmanager
def storing() -> Iterator[None]:
    """No room, or no right, to store summaries in the block is a LimitError."""
    try:
        yield
    except OSError as error:
        raise LimitError("summaries", "they cannot be stored", found=error.strerror or "no room") from error


@contextlib.contextmanager
def folder_for_files() -> Iterator[Path]:
    """An empty folder while the block runs. LimitError where there is no room for one."""
    with storing():
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with folder as name:
        yield Path(name)


@contextlib.contextmanager
def of_the_files() -> Iterator[None]:
    """A client's files are checked, but hold numbers of its own making: what they break in the block is their error."""
    try:
        yield
    except InputError as error:
        raise SummaryError("summaries", "they do not add up", found=str(error)) from error
    except InspectorError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        _log.warning("summaries of a client", exc_info=error)
        raise SummaryError("summaries", "they do not add up", found=type(error).__name__) from error


def send(path: Path) -> Iterator[bytes]:
    """A file in pieces."""
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            yield data


@contextlib.contextmanager
def without_folder(folder: Path) -> Iterator[None]:
    """Errors that leave the block call files by their names, and do not say where the folder lies."""
    try:
        yield
    except InspectorError as error:
        raise error.reworded(lambda text: text.replace(f"{folder}/", "")) from error
