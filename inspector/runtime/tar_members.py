"""The members of a tar file, one after the other, in bounded memory whatever the file declares.

The standard library reads headers (`tarfile.TarInfo.frombuf`); going from one to the next is done here, because
`tarfile` believes the sizes of extended headers, keeps every member it saw, and takes a damaged header for the end.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, cast

from inspector.errors import InputError

MAX_MEMBERS: Final = 1_000_000
"""Members of one tar file that are looked at."""
MAX_EXTENDED: Final = 64 * 1024
"""Bytes of one extended header (long names)."""
MAX_AFTER_END: Final = 2**20
"""Unpacked bytes after the end mark that are read to come to the checksum of what is packed."""
XZ_MEMORY: Final = 256 * 2**20
"""Bytes that unpacking .xz may take; the file itself says how many it needs."""

_BLOCK, _CHUNK = tarfile.BLOCKSIZE, 2**20
_MORE_OF_MAP, _STILL_MORE = 482, 504  # bytes of a sparse file's header, and of a block after it, not 0: another follows
_EXTENDED = {
    tarfile.XHDTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}
_UNPACKING = (OSError, EOFError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar file. `data` is None where it was not wanted, or there is a `problem` with it."""

    name: str
    data: bytes | None = None
    problem: str = ""


def members(file: BinaryIO, subject: str, most: Callable[[str], int]) -> Iterator[Member]:
    """The members in order, folders left out; packed with gzip, bzip2, xz or not at all.

    `most` says of a name how many bytes it may have, 0 for those that are not wanted. Links, devices and sparse files
    that are wanted are given with a problem.

    Raises:
        InputError: the file is cut short or damaged, with the byte at which that was noticed.
    """
    walk = _Walk(file, subject)
    for _ in range(MAX_MEMBERS):
        if (header := walk.header()) is None:
            return walk.finish()
        if header.isdir():
            continue
        allowed = most(header.name)
        if not header.isreg() or header.type == tarfile.GNUTYPE_SPARSE:
            walk.skip(header.size if header.type not in tarfile.SUPPORTED_TYPES or header.isreg() else 0)
            found = "links, devices and sparse files in a tar file are not read" if allowed else ""
            yield Member(header.name, problem=found)
        elif allowed and ".." in header.name.split("/"):
            walk.skip(header.size)
            yield Member(header.name, problem="names with '..' in a tar file are not read")
        elif header.size > allowed:
            walk.skip(header.size)
            found = f"it is too large in its tar file: {header.size:,} bytes, at most {allowed:,}" if allowed else ""
            yield Member(header.name, problem=found)
        else:
            yield Member(header.name, walk.data(header.size))
    raise walk.error(f"it has more than {MAX_MEMBERS:,} members; the rest is not read", "Divide it into several.")


class _Walk:
    """A place in a tar file that moves forward only."""

    def __init__(self, file: BinaryIO, subject: str) -> None:
        self._subject, self._at = subject, 0
        self.packed = False
        buffered = io.BufferedReader(cast("io.RawIOBase", file), _CHUNK)
        self._file: BinaryIO = buffered
        try:
            magic = buffered.peek(6)[:6]
        except OSError as error:
            raise self.error(f"it cannot be read ({error})", "Check where it lies.") from error
        if unread := next((how for begin, how in _UNREAD.items() if magic.startswith(begin)), ""):
            raise self.error(
                f"it is packed by {unread}, which is not read", "Pack it with gzip, bzip2 or xz, or not at all."
            )
        unpack = next((u for begin, u in _PACKINGS.items() if magic.startswith(begin)), None)
        if unpack:
            self._file, self.packed = unpack(buffered), True

    def header(self) -> tarfile.TarInfo | None:
        """The next member's, with what extended headers say of it; None at the end mark."""
        said: dict[str, str] = {}
        while True:
            block = self._take(_BLOCK, "a header")
            if not any(block):
                return None
            try:
                header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            except tarfile.HeaderError as error:
                raise self.error(f"it is damaged ({error})", "Write it again.") from error
            if header.type not in _EXTENDED:
                break
            said |= self._extended(header)
        self._pass_map(header, block)
        header.name = _plain(said.get("GNU.sparse.name", said.get("path", header.name)))
        if not said.get("size", "0").isdecimal():
            raise self.error("it is damaged (the size of a member is no number)", "Write it again.")
        header.size = int(said.get("size", header.size))
        if header.size < 0:
            raise self.error("it is damaged (a member has a negative size)", "Write it again.")
        if any(key.startswith("GNU.sparse.") for key in said):
            header.type = tarfile.GNUTYPE_SPARSE
        return header

    def data(self, size: int) -> bytes:
        """The data of a member, and its padding passed over."""
        found = self._take(size, "a member")
        self._pass(-size % _BLOCK)
        return found

    def skip(self, size: int) -> None:
        """Passes over the data of a member and its padding."""
        self._pass(size + -size % _BLOCK)

    def finish(self) -> None:
        """After the end mark: reads on to the end, where nothing but zeros may stand, and a packed file's checksum."""
        left = MAX_AFTER_END
        while left and (piece := self._read(min(_CHUNK, left))):
            if rest := piece.lstrip(b"\0"):
                self._at -= len(rest)
                raise self.error("something follows its end mark, and is not read", "Write it again, as one tar file.")
            left -= len(piece) if self.packed else 0  # as many zeros unpack from next to nothing
        if not left and self._read(1):
            told = f"more than {MAX_AFTER_END:,} bytes follow its end mark, so that its checksum was not reached"
            raise self.error(told, "Write it again.")

    def error(self, problem: str, remedy: str) -> InputError:
        """An error of the file, with the place."""
        unpacked = " of what it unpacks to" if self.packed else ""
        return InputError(self._subject, f"{problem}; noticed at byte {self._at:,}{unpacked}", remedy=remedy)

    def _extended(self, header: tarfile.TarInfo) -> dict[str, str]:
        if not 0 <= header.size <= MAX_EXTENDED:
            raise self.error(f"it is damaged (an extended header of {header.size:,} bytes)", "Write it again.")
        data = self.data(header.size)
        if header.type == tarfile.GNUTYPE_LONGNAME:
            return {"path": data.partition(b"\0")[0].decode("utf-8", "surrogateescape")}
        return _records(data) if header.type in {tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE} else {}

    def _pass_map(self, header: tarfile.TarInfo, block: bytes) -> None:
        """Passes over the blocks between a header and its data that list further parts of a sparse file."""
        more = header.type == tarfile.GNUTYPE_SPARSE and block[_MORE_OF_MAP]
        while more:
            more = self._take(_BLOCK, "a header")[_STILL_MORE]

    def _take(self, size: int, what: str) -> bytes:
        """Exactly so many bytes, in pieces: memory is taken for what is there, not for what is declared."""
        found = bytearray()
        while len(found) < size:
            piece = self._read(min(_CHUNK, size - len(found)))
            if not piece:
                where = f"in the middle of {what}" if found or what != "a header" else "without its end mark"
                raise self.error(f"it is cut short, {where}", "Fetch or write it again.")
            found += piece
        return bytes(found)

    def _pass(self, size: int) -> None:
        while size and (piece := self._read(min(_CHUNK, size))):
            size -= len(piece)

    def _read(self, size: int) -> bytes:
        try:
            piece = self._file.read(size) or b""
        except _UNPACKING as error:
            raise self.error(
                f"it cannot be read on ({str(error) or type(error).__name__})", "Fetch or write it again."
            ) from error
        self._at += len(piece)
        return piece


class _Xz(io.RawIOBase):
    """Unpacks .xz, of one stream or several, in bounded memory, which `lzma.LZMAFile` does not."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left, self._unpack = file, b"", _xz_stream()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        into = memoryview(buffer)
        piece = b""
        while not piece and (not self._unpack.eof or self._next_stream()):
            more = self._packed() if self._unpack.needs_input else b""
            if self._unpack.needs_input and not more:
                raise EOFError("the packed data ends early")
            piece = self._unpack.decompress(more, len(into))
        into[: len(piece)] = piece
        return len(piece)

    def _next_stream(self) -> bool:
        """Whether another stream follows, after zeros or at once; if so it is begun."""
        self._left = self._unpack.unused_data.lstrip(b"\0")
        while not self._left and (more := self._file.read(io.DEFAULT_BUFFER_SIZE)):
            self._left = more.lstrip(b"\0")
        if self._left:
            self._unpack = _xz_stream()
        return bool(self._left)

    def _packed(self) -> bytes:
        """The next packed bytes; few at once, as those after the end of a stream are copied for each stream."""
        left, self._left = self._left, b""
        return left or self._file.read(io.DEFAULT_BUFFER_SIZE)


def _xz_stream() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY)


def _plain(name: str) -> str:
    """The name without steps that stay where they are: `./a` and `a/./b`."""
    return "/".join(part for part in name.split("/") if part != ".")


def _records(data: bytes) -> dict[str, str]:
    """Extended headers of POSIX.1-2001, as far as they are well formed: `length key=value` and a line feed."""
    found: dict[str, str] = {}
    while data:
        digits, _, _ = data[:8].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        key, sign, value = data[len(digits) + 1 : max(length - 1, 0)].partition(b"=")
        if not sign:
            break
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        data = data[length:]
    return found


_PACKINGS: Final[dict[bytes, Callable[[BinaryIO], BinaryIO]]] = {
    b"\x1f\x8b": lambda file: cast("BinaryIO", gzip.GzipFile(fileobj=file)),
    b"BZh": lambda file: cast("BinaryIO", bz2.BZ2File(file)),
    b"\xfd7zXZ": lambda file: cast("BinaryIO", _Xz(file)),
}
"""How packed files begin, and what unpacks them."""
_UNREAD: Final = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
    b"\x1f\x9d": "compress",
}
"""How files begin that are packed in other ways, and in which."""
