"""Files and folders of other machines, by URL, through fsspec."""

from __future__ import annotations

import contextlib
import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, TypeVar, cast

import fsspec

from inspector.errors import InputError, NotFoundError, ParameterError
from inspector.runtime.files import label_of, printable
from inspector.runtime.stored import Kind, kind_of

T = TypeVar("T")

TRIES: Final = 4
"""How often a read is tried."""
FIRST_PAUSE: Final = 0.25
"""Seconds before the second try; before every further one twice as long."""

_LASTING = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError, io.UnsupportedOperation)
"""Errors that trying again will not mend; fsspec raises the first for any failure of HTTP, with that as its cause."""
_STAMPS = ("ETag", "etag", "generation", "sha256", "checksum", "mtime", "LastModified", "last_modified", "created")


def is_url(text: str) -> bool:
    """True for `scheme://…`."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*(::[^/]*)?://", text) is not None


def public(url: str) -> str:
    """The URL without what may be secret: user, password, query."""
    return re.sub(r"://[^/@]*@", "://", printable(url)).partition("?")[0]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL leads: a file system of fsspec, and a path in it."""

    url: str
    path: str
    system: Any = field(repr=False)

    @classmethod
    def of(cls, url: str) -> Place:
        """Raises ParameterError where this installation cannot read such URLs, naming the package that could."""
        try:
            system, path = fsspec.core.url_to_fs(url)
        except ImportError as error:
            package = "onnx-inspector[http]" if url.startswith("http") else "it"
            raise ParameterError(
                f"data {public(url)!r}", f"a package is missing ({error})", remedy=f"Install {package}."
            ) from error
        except ValueError as error:
            raise ParameterError(f"data {public(url)!r}", f"it cannot be read ({error})") from error
        return cls(url, str(path), system)

    def file(self, name: str, info: dict[str, Any] | None = None) -> Remote:
        """The file at this place, under a name."""
        return Remote(name, self.path, self.system, info or {"name": self.path})

    def is_folder(self) -> bool:
        """False for a file.

        Raises:
            NotFoundError: there is nothing.
        """
        if kind_of(self.path.partition("?")[0]):
            return False
        if not self._asked(self.system.exists):
            raise NotFoundError(
                f"data {public(self.url)!r}", "there is no such file or folder", remedy="Check the URL."
            )
        return bool(self._asked(self.system.isdir))

    def listed(self) -> tuple[list[Remote], list[str]]:
        """As `files.listed`: files to feed below, by relative path, and the names of the others."""
        found = self._asked(lambda path: self.system.find(path, detail=True))
        base = self.path.rstrip("/") + "/"
        files: list[Remote] = []
        others: list[str] = []
        for path, info in found.items():
            key = printable(str(path).removeprefix(base).lstrip("/"))
            if kind_of(key) is None or any(part.startswith(".") for part in key.split("/")):
                others.append(key)
            else:
                files.append(Remote(key, str(path), self.system, dict(info), label_of(key)))
        return sorted(files, key=lambda f: f.id), others

    def matching(self) -> list[str]:
        """URLs of what fits the pattern, sorted."""
        found = self._asked(self.system.glob)
        return sorted(str(self.system.unstrip_protocol(path)) for path in found)

    def _asked(self, ask: Callable[[str], T]) -> T:
        try:
            return repeated(lambda: ask(self.path))
        except FileNotFoundError as error:
            raise NotFoundError(f"data {public(self.url)!r}", "there is nothing at this URL") from error
        except OSError as error:
            raise InputError(f"data {public(self.url)!r}", f"it cannot be looked at ({error})") from error


@dataclass(frozen=True, slots=True)
class Remote:
    """A file that fsspec reads."""

    id: str
    path: str
    system: Any = field(repr=False)
    info: dict[str, Any] = field(repr=False)
    label: str | None = None

    @property
    def kind(self) -> Kind | None:
        """What its ending says that it holds."""
        return kind_of(self.path.partition("?")[0])

    def content(self, max_bytes: int) -> bytes:
        """All of it, at most `max_bytes`."""
        parts, size = [], 0
        try:
            with self.open() as file:
                while piece := file.read(2**20):
                    parts.append(piece)
                    size += len(piece)
                    if size > max_bytes:
                        raise InputError(self.id, "the file is too large", expected=f"at most {max_bytes:,} bytes")
        except OSError as error:
            raise InputError(self.id, f"it cannot be read ({error})", remedy="Try again later.") from error
        return b"".join(parts)

    def open(self) -> BinaryIO:
        """The file, read on where a connection broke."""
        try:
            return cast("BinaryIO", Steady(self._opened))
        except OSError as error:
            raise InputError(self.id, f"it cannot be opened ({error})", remedy="Check the URL.") from error

    def stamp(self) -> str:
        """Size and ETag, or time of change, as far as the store says them."""
        try:
            info = self.info if "size" in self.info else repeated(lambda: self.system.info(self.path))
        except OSError as error:
            return type(error).__name__
        mark = next((str(info[key]).strip('"') for key in _STAMPS if info.get(key)), "")
        return f"{info.get('size')}-{mark}"

    def _opened(self) -> BinaryIO:
        return cast("BinaryIO", self.system.open(self.path, "rb"))


class Steady(io.RawIOBase):
    """A file that is opened again, at the place that was reached, when reading fails; `TRIES` times in a row.

    Raises OSError, whatever the file system raised.
    """

    def __init__(self, opened: Callable[[], BinaryIO]) -> None:
        self._opened, self._file, self._at = opened, cast("BinaryIO | None", None), 0
        self._file = repeated(opened)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Whether the file under it is."""
        return self._file is not None and self._file.seekable()

    def tell(self) -> int:
        """The place that was reached."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """To another place, where the store can do that."""
        self._at = repeated(lambda: self._live().seek(offset, whence))
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As every file."""
        into = memoryview(buffer)
        piece = repeated(lambda: self._piece(len(into)))
        into[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        """Closes the file under it; what that says is of no interest any more."""
        file, self._file = self._file, None
        _dropped(file)
        super().close()

    def _piece(self, size: int) -> bytes:
        try:
            return self._live().read(size)
        except BaseException:
            file, self._file = self._file, None
            _dropped(file)
            raise

    def _live(self) -> BinaryIO:
        """The open file; a new one is brought to the place that was reached."""
        if self._file is None:
            file = self._opened()
            if file.seekable():
                file.seek(self._at)
            else:
                _pass_over(file, self._at)
            self._file = file
        return self._file


def repeated(act: Callable[[], T]) -> T:
    """What `act` gives, tried up to `TRIES` times with longer and longer pauses.

    Raises:
        OSError: it failed every time, or will fail every time (no such file, no permission).
    """
    for attempt in range(TRIES):
        try:
            return act()
        except Exception as error:  # every store raises types of its own
            if isinstance(error, _LASTING) and isinstance(error.__cause__ or error, _LASTING):
                raise
            if attempt == TRIES - 1:
                problem = " ".join(str(error).split()) or type(error).__name__
                raise OSError(f"{public(problem)}; tried {TRIES} times") from error
            time.sleep(FIRST_PAUSE * 2**attempt)
    raise AssertionError("unreachable")


def _pass_over(file: BinaryIO, size: int) -> None:
    while size > 0:
        piece = file.read(min(2**20, size))
        if not piece:
            raise OSError("it became shorter")
        size -= len(piece)


def _dropped(file: BinaryIO | None) -> None:
    """Closes a file that is of no use any more; stores raise anything while closing a broken connection."""
    with contextlib.suppress(Exception):
        if file is not None:
            file.close()
