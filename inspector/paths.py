"""What is wrong with a path: one that is to be read, or one that is to be written once everything has run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from inspector.errors import OutputError

_RIGHTS: Final = "Change its rights, or name another."


def why_unread(path: Path) -> str:
    """Why there is no file to read there: nothing, a folder, or something else that is no file."""
    if os.path.isdir(path):  # noqa: PTH112 - names that no path can have are told as well
        return "it is a folder"
    return "it is not a regular file" if os.path.exists(path) else "there is no such file"  # noqa: PTH110 - as above


def check_file(path: Path, *, beside: bool = False) -> None:
    """Raises OutputError where no file can be written there; leaves nothing behind.

    `beside`: it is written under another name in the same folder, and then takes its own.
    """
    subject = f"file {str(path)!r}"
    if path.is_dir():
        raise OutputError(subject, "it is a folder", remedy="Name a file in it.")
    if path.exists():
        if beside and not path.is_file():
            raise OutputError(subject, "it is not a regular file", remedy="Name another.")
        if not os.access(path, os.W_OK):
            raise OutputError(subject, "it cannot be written", remedy=_RIGHTS)
    if beside or not path.exists():
        _check_parent(subject, path.parent)


def check_folder(path: Path) -> None:
    """Raises OutputError where there is no such folder to write to, and none can be made."""
    subject = f"folder {str(path)!r}"
    there = next((p for p in (path, *path.parents) if p.exists()), path)
    if not there.is_dir():
        raise OutputError(subject, "a file is in its place", found=str(there), remedy="Name another.")
    if not _is_open(there):
        raise OutputError(subject, "it cannot be written", found=str(there), remedy=_RIGHTS)


@contextlib.contextmanager
def writing(subject: str) -> Iterator[None]:
    """An OSError in the block becomes an OutputError."""
    try:
        yield
    except OSError as error:
        found = error.strerror or str(error)
        raise OutputError(subject, "it cannot be written", found=found, remedy="Make room, or name another.") from error


def _check_parent(subject: str, folder: Path) -> None:
    if not folder.exists():
        raise OutputError(subject, "its folder does not exist", found=str(folder), remedy="Make it, or name another.")
    if not folder.is_dir():
        raise OutputError(subject, "what should be its folder is none", found=str(folder), remedy="Name another.")
    if not _is_open(folder):
        raise OutputError(subject, "its folder cannot be written", found=str(folder), remedy=_RIGHTS)


def _is_open(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)
