"""Files wherever they are stored, by the one door through which sources read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal, Protocol

from inspector.errors import InputError
from inspector.runtime import arrays, pictures
from inspector.runtime.outages import changed

Kind = Literal["picture", "array", "tar", "parquet"]

SUFFIXES: Final[dict[Kind, tuple[str, ...]]] = {
    "picture": pictures.SUFFIXES,
    "array": arrays.SUFFIXES,
    "tar": (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"),
    "parquet": (".parquet",),
}
"""Endings of files that can be fed, lower case, by what they hold."""
UNMARKED: Final = "unmarked"
"""How the fingerprint of a file ends, of which its store says no more than the size."""


class Stored(Protocol):
    """One file, on this machine or elsewhere.

    `id` is what its inputs are called after; `label` is its class where the place says so. All methods may be called
    from any thread and raise InputError where the file cannot be read.
    """

    @property
    def id(self) -> str:
        """Its name in messages and reports."""

    @property
    def label(self) -> str | None:
        """Name of the class of what is in it."""

    @property
    def kind(self) -> Kind | None:
        """What its ending says that it holds; None for nothing that can be fed, or a file that cannot be read."""

    def content(self, max_bytes: int) -> Path | bytes:
        """A path to read from, or all of its bytes where it is not on this machine."""

    def open(self) -> BinaryIO:
        """The file from its beginning; the caller closes it."""

    def stamp(self) -> str:
        """A fingerprint that another content would not have: size and time of change, or ETag; see `UNMARKED`."""

    def now(self) -> str:
        """A fingerprint as well, not from a listing but as it is now; to be compared with others of `now` only."""


@dataclass(slots=True, eq=False)
class Watch:
    """Notices that something that is read piece by piece changes between `begin` and `check`.

    `now` gives a fingerprint; `name` is what messages call it.
    """

    name: str
    now: Callable[[], str]
    before: str = ""

    def begin(self) -> None:
        """Remembers how it is, the first time that it can be looked at."""
        self.before = self.before or self._look()

    def check(self) -> None:
        """Raises InputError where it is not what it was; not where its store is away, which says nothing of it."""
        found = self._look()
        if self.before and found and found != self.before:
            raise changed(self.name)

    def _look(self) -> str:
        try:
            return self.now()
        except InputError:
            return ""


def kind_of(name: str) -> Kind | None:
    """What a file of this name holds, by its ending."""
    lower = name.lower()
    return next((kind for kind, endings in SUFFIXES.items() if lower.endswith(endings)), None)
