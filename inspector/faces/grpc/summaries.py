"""Files of summaries on their way in and out: on the disk of the server while a call lasts, never in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from inspector.analysis.sums import SUFFIX
from inspector.control import Stop
from inspector.errors import InputError, InspectorError, LimitError
from inspector.faces.wire_event import CHUNK

MAX_FILES: Final = 10_000
"""Files in one call."""


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
    left = most
    with contextlib.ExitStack() as open_now:
        file = None
        for data, last in pieces:
            stop.check()
            left -= len(data)
            if left < 0 or len(paths) > MAX_FILES:
                raise LimitError(
                    "summaries", "they are too large", expected=f"at most {most} bytes in {MAX_FILES} files"
                )
            try:
                if file is None:
                    paths.append(folder / f"{len(paths) + 1}{SUFFIX}")
                    file = open_now.enter_context(paths[-1].open("xb"))
                file.write(data)
                if last:
                    open_now.close()
                    file = None
            except OSError as error:
                raise LimitError("summaries", "they cannot be stored", found=error.strerror or "no room") from error
        if file is not None:
            raise InputError("summaries", "the last file is cut short", expected="a chunk marked `last`")
    return paths


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
        names = ("subject", "problem", "expected", "found", "remedy")
        subject, problem, *rest = (getattr(error, name).replace(f"{folder}/", "") for name in names)
        raise type(error)(subject, problem, **dict(zip(names[2:], rest, strict=True))) from error
