"""Files and folders of other machines, by URL, through fsspec."""

from __future__ import annotations

import contextlib
import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, TypeVar, cast

from inspector.errors import InputError, NotFoundError, ParameterError
from inspector.runtime import web
from inspector.runtime.files import label_of, printable
from inspector.runtime.outages import StoreError, changed
from inspector.runtime.stored import UNMARKED, Kind, kind_of

T = TypeVar("T")

TRIES: Final = 4
"""How often a read is tried."""
FIRST_PAUSE: Final = 0.25
"""Seconds before the second try; before every further one twice as long."""
_LASTING = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError, io.UnsupportedOperation)
"""Errors that trying again will not mend; fsspec raises the first for any failure of HTTP, with that as its cause."""
_ANSWERS = {401: PermissionError, 403: PermissionError, 404: FileNotFoundError, 410: FileNotFoundError}
_ASTRAY = {
    "TooManyRedirects": "it is sent on without end",
    "NonHttpUrlRedirectClientError": "it is sent on to what is no web address",
    "InvalidUrlRedirectClientError": "it is sent on to what is no address",
}
"""What aiohttp, which need not be installed, calls its refusals to follow, and what they are."""
_DATA: Final = re.compile(r":\s+b['\"].*", re.DOTALL)  # what aiohttp quotes of an answer, which may be the data itself
_MOST_TOLD: Final = 200  # characters of what a store says, which may be the data itself
_PIECE = 2**20  # bytes; what is no larger comes in one answer
_BUSY = (408, 425, 429)  # answers of HTTP from 400 to 499 that are not the request's fault
_CONTENTS = ("ETag", "etag", "generation", "sha256", "checksum", "Content-MD5", "Digest", "blob_id", "CRC")
_TIMES = ("mtime", "LastModified", "last_modified", "Last-Modified", "modify", "modificationTime", "created")


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
        """A place by its URL.

        Raises:
            ParameterError: this installation cannot read such URLs; names the package that could.
            InputError: what it lies in cannot be opened, such as the zip file of `zip://a.png::file:///b.zip`.
        """
        import fsspec  # noqa: PLC0415 - most runs read files of this machine, and it brings asyncio and ssl

        if re.search(r"https?://[^#]*#", url):
            why = "web servers are not told what follows a #"
            raise ParameterError(f"data {public(url)!r}", why, remedy="Write %23.")
        try:
            system, path = fsspec.core.url_to_fs(url, **web.options(url))
        except ImportError as error:
            package = "onnx-inspector[http]" if url.startswith("http") else "it"
            raise ParameterError(
                f"data {public(url)!r}", f"a package is missing ({error})", remedy=f"Install {package}."
            ) from error
        except ValueError as error:
            raise ParameterError(f"data {public(url)!r}", f"it cannot be read ({error})") from error
        except Exception as error:  # what is packed, and in what, is opened here
            why = f"it cannot be opened ({_told(_behind(error))})"
            raise InputError(f"data {public(url)!r}", why, remedy="Check the URL.") from error
        return cls(url, str(path), system)

    def file(self, name: str, info: dict[str, Any] | None = None) -> Remote:
        """The file at this place, under a name."""
        return Remote(name, self.path, self.system, info or {"name": self.path})

    def is_folder(self) -> bool:
        """False for a file.

        Raises:
            NotFoundError: there is nothing.
            InputError: it cannot be looked at.
        """
        if kind_of(self.path.partition("?")[0]):
            return False
        if not self._asked(self.system.exists):
            with contextlib.suppress(NotFoundError):
                self._asked(self.system.info)  # a store that is away has nothing either, and here says why
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
            below = str(path).removeprefix(base).lstrip("/")
            key = printable(below)
            if kind_of(key) is None or any(part.startswith(".") for part in key.split("/")):
                others.append(key)
            else:
                files.append(Remote(key, str(path), self.system, dict(info), label_of(below)))
        return sorted(files, key=lambda f: f.id), others

    def matching(self) -> list[str]:
        """URLs of what fits the pattern, sorted."""
        return sorted(self._url(str(path)) for path in self._asked(self.system.glob))

    def _url(self, path: str) -> str:
        """The URL of another path in the same file system, which may lie in others."""
        first, chained, rest = self.url.partition("::")
        if chained and "://" not in first:  # such as `simplecache`, which has the paths of what it is about
            return f"{first}::{self.system.fs.unstrip_protocol(path)}"
        return f"{self.system.unstrip_protocol(path)}{chained}{rest}"

    def _asked(self, ask: Callable[[str], T]) -> T:
        try:
            return _given(lambda: ask(self.path))
        except StoreError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise NotFoundError(f"data {public(self.url)!r}", "there is nothing at this URL") from error
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
        """All of it, at most `max_bytes`; an array that is mixed of two would go unnoticed, and so is looked at."""
        parts: list[bytes] = []
        size, before, looks = 0, "", self.kind == "array"
        try:
            with self.open() as file:
                while piece := file.read(_PIECE):
                    before = before or (self.now() if parts and looks else "")
                    parts.append(piece)
                    size += len(piece)
                    if size > max_bytes:
                        raise InputError(self.id, "the file is too large", expected=f"at most {max_bytes:,} bytes")
        except OSError as error:
            raise InputError(self.id, f"it cannot be read ({error})", remedy="Try again later.") from error
        if before and self.now() != before:
            raise changed(self.id)
        return b"".join(parts)

    def open(self) -> BinaryIO:
        """The file, read on where a connection broke."""
        try:
            return io.BufferedReader(Steady(self._opened, self._streamed))  # Arrow takes a short piece for the end
        except OSError as error:
            remedy = "Check the URL." if isinstance(error.__cause__, _LASTING) else "Try again later."
            raise InputError(self.id, f"it cannot be opened ({error})", remedy=remedy) from error

    def stamp(self) -> str:
        """Size and ETag, or time of change, as far as the store says them; asked for what its listing did not say.

        Of a file that is not there, or that may not be looked at, it is the error's name.
        """
        if self.info.get("size") is not None and (mark := _mark(self.info)):
            return f"{self.info['size']}-{mark}"
        return self.now()

    def now(self) -> str:
        """The same, asked for now."""
        try:
            self.system.invalidate_cache(self.path)
            info = _given(lambda: self.system.info(self.path))
        except StoreError as error:
            if isinstance(error.__cause__, _LASTING):
                return type(error.__cause__).__name__
            raise InputError(self.id, f"it cannot be looked at ({error})", remedy="Try again later.") from error
        return f"{info.get('size')}-{_mark(info) or UNMARKED}"

    def _opened(self) -> BinaryIO:
        return cast("BinaryIO", web.whole_parts(self.system.open(self.path, "rb")))

    def _streamed(self) -> BinaryIO:
        """From its beginning only, as a server may have it."""
        return cast("BinaryIO", self.system.open(self.path, "rb", block_size=0))


def _mark(info: dict[str, Any]) -> str:
    """What a store says of a file that changes with its contents; empty where that is nothing."""
    return next((str(info[key]).strip('"') for key in (*_CONTENTS, *_TIMES) if info.get(key)), "")


class Steady(io.RawIOBase):
    """A file that is opened again, at the place that was reached, when reading fails; `TRIES` times in a row.

    Where its server turns out to give no parts of files, and nobody has gone to another place in it, it is `streamed`
    from then on. Raises StoreError, whatever the file system raised.
    """

    def __init__(self, opened: Callable[[], BinaryIO], streamed: Callable[[], BinaryIO] | None = None) -> None:
        self._opened, self._file, self._at = opened, cast("BinaryIO | None", None), 0
        self._streamed = streamed
        self._file = _given(opened)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Whether the file under it is."""
        return self._file is not None and _seeks(self._file)

    def tell(self) -> int:
        """The place that was reached."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """To another place, where the store can do that."""
        self._streamed = None
        self._at = _given(lambda: self._live().seek(offset, whence))
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As every file."""
        into = memoryview(buffer)
        piece = _given(lambda: self._piece(len(into)))
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
        except BaseException as error:
            file, self._file = self._file, None
            _dropped(file)
            if self._streamed is None or not isinstance(error, web.NoPartsError):
                raise
        self._opened, self._streamed = self._streamed, None
        return self._piece(size)

    def _live(self) -> BinaryIO:
        """The open file; a new one is brought to the place that was reached."""
        if self._file is None:
            file = self._opened()
            if _seeks(file):
                file.seek(self._at)
            else:
                _pass_over(file, self._at)
            self._file = file
        return self._file


def _seeks(file: BinaryIO) -> bool:
    """Whether another place in it can be gone to; fsspec says so of streams of HTTP too, whose size is not known."""
    return file.seekable() and getattr(file, "size", 0) is not None


def repeated(act: Callable[[], T]) -> T:
    """What `act` gives, tried up to `TRIES` times with longer and longer pauses.

    Raises:
        OSError: it failed every time, or will fail every time (no such file, no permission, refused by HTTP).
    """
    for attempt in range(TRIES):
        try:
            return act()
        except Exception as error:  # every store raises types of its own
            if refusal := _refusal(_behind(error)):
                raise refusal from error
            if isinstance(error, _LASTING) and isinstance(error.__cause__ or error, _LASTING):
                raise
            if isinstance(_behind(error), KeyError):  # archives say so that they have no such file
                raise FileNotFoundError(_told(_behind(error)).strip("'\"")) from error
            if attempt == TRIES - 1:
                raise OSError(f"{_told(_behind(error))}; tried {TRIES} times") from error
            time.sleep(FIRST_PAUSE * 2**attempt)
    raise AssertionError("unreachable")


def _given(act: Callable[[], T]) -> T:
    try:
        return repeated(act)
    except OSError as error:
        raise StoreError(str(error)) from error


def _behind(error: Exception) -> BaseException:
    """What fsspec calls a missing file, as it really was."""
    return error.__cause__ or error if isinstance(error, FileNotFoundError) else error


def _refusal(error: BaseException) -> OSError | None:
    """An answer of HTTP that will be the same the next time; None for another, or for another error."""
    if astray := _ASTRAY.get(type(error).__name__):
        return io.UnsupportedOperation(astray)
    status = getattr(error, "status", None)
    if not isinstance(status, int) or not 400 <= status < 500 or status in _BUSY or error.__cause__ is not None:
        return None  # with a cause it is aiohttp's own word for an answer that it cannot read
    return _ANSWERS.get(status, io.UnsupportedOperation)(_told(error))


def _told(error: BaseException) -> str:
    status, message = getattr(error, "status", None), getattr(error, "message", "")
    said = str(error) or str(error.__cause__ or "")  # fsspec says nothing of why it took too long
    text = f"{status} {message}" if isinstance(status, int) else " ".join(said.split())
    return public(_DATA.sub("", text))[:_MOST_TOLD] or type(error).__name__


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
