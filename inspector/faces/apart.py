"""What a command writes, against what it reads and against each other: no file may be two of these."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from inspector.errors import OutputError
from inspector.runtime.noise import PREFIX
from inspector.runtime.patterns import expanded
from inspector.runtime.stored import kind_of
from inspector.runtime.urls import is_url

CHECKPOINT: Final = re.compile(r"[0-9]{8,}\.sum")
_TWICE: Final = "Give each a file of its own."
_READ: Final = "Name another file to write."


def check_apart(writes: Sequence[Path]) -> None:
    """Raises OutputError where two of the files are the same."""
    for one, other in combinations(writes, 2):
        if _same(one, other):
            found = "" if str(one) == str(other) else str(one)
            raise OutputError(f"file {str(other)!r}", "two things are to be written to it", found=found, remedy=_TWICE)


def check_unread(writes: Sequence[Path], reads: Sequence[Path]) -> None:
    """Raises OutputError where one of the files to write is one that is read, or is fed from a folder that is read."""
    for target in writes:
        for read in reads:
            if _same(target, read) or _is_fed_from(read, target):
                found = "" if str(target) == str(read) else str(read)
                raise OutputError(f"file {str(target)!r}", "it is read as well", found=found, remedy=_READ)


def check_no_checkpoint(writes: Sequence[Path], folder: str) -> None:
    """Raises OutputError where one of the files has the name of a checkpoint in the folder of these; empty: none."""
    for target in writes if folder else ():
        if CHECKPOINT.fullmatch(target.name) and os.path.realpath(target.parent) == os.path.realpath(folder):
            raise OutputError(f"file {str(target)!r}", "it is a checkpoint as well", found=folder, remedy=_TWICE)


def check_outside(folder: Path, data: Sequence[str]) -> None:
    """Raises OutputError where a folder of pictures lies in one of the data: the next run would be fed with them."""
    for place in _places(data):
        if place.is_dir() and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(place)):
            raise OutputError(
                f"folder {str(folder)!r}",
                "it lies in the data, so that its pictures would be read as inputs the next time",
                found=str(place),
                remedy="Name a folder beside the data.",
            )


def places_of(data: Sequence[str], writes: Sequence[Path]) -> list[Path]:
    """The files and folders of this machine that `--data` or `--input` names; errors as those of reading them.

    They are looked up only where something to write is there already: nothing else could be overwritten.
    """
    if not any(target.is_file() for target in writes):
        return []
    return list(_places(data))


def _places(data: Sequence[str]) -> Iterator[Path]:
    for text in data:
        local = unquote(urlsplit(text).path) if text.startswith("file://") else text
        if local and not local.startswith(PREFIX) and not is_url(local):
            yield from (Path(name) for name in expanded(local))


def _same(one: Path, other: Path) -> bool:
    """Whether two names are of one regular file, through links as well, or will be. Devices and pipes take anything."""
    if one.exists() and other.exists():
        return one.is_file() and one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)


def _is_fed_from(folder: Path, target: Path) -> bool:
    if not (target.is_file() and folder.is_dir()) or kind_of(target.name) is None:
        return False
    return Path(os.path.realpath(target)).is_relative_to(os.path.realpath(folder))
