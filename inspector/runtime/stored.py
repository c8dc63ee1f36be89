"""Files wherever they are stored, by the one door through which sources read them."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final, Literal, Protocol

from inspector.runtime import arrays, pictures

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


class StoreError(OSError):
    """A store on another machine did not give something; asked again later it may."""


def may_mend(error: BaseException | None) -> bool:
    """Whether a store's failure led to an error, so that it says nothing of the data."""
    while error is not None and not isinstance(error, StoreError):
        error = error.__cause__
    return error is not None


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


def kind_of(name: str) -> Kind | None:
    """What a file of this name holds, by its ending."""
    lower = name.lower()
    return next((kind for kind, endings in SUFFIXES.items() if lower.endswith(endings)), None)
