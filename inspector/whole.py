"""Files that appear whole or not at all: written under another name beside their own, which they take at the end."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

if sys.platform != "win32":
    import fcntl

_LEFT: Final = re.compile(r"\.(.+)\.[0-9a-f]{8}\.tmp", re.DOTALL)
_LONGEST: Final = 200
"""Bytes of a name that its other name repeats; most file systems allow 255 in all."""
_CLOSED: Final = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY}
"""What a folder says in which nothing may be made or moved; a file in it may still be open for writing."""


class Whole:
    """A file that is being written; `finish` gives it its name, `drop` leaves what was there.

    A new file has the rights that the umask leaves; one that is replaced hands on its own, and its owner. Links are
    followed. Devices, pipes and what the process has as standard output are written to as they are, and so is a file
    that is there in a folder where nothing may be made.

    Raises:
        OSError: it cannot be written, for example because the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(os.path.realpath(path))
        self._beside: Path | None = None
        if _is_stream(path):
            self.file = _opened(path)
            return
        try:
            self._beside, self.file = _made_beside(self._path)
        except OSError as error:
            if error.errno not in _CLOSED or not self._path.exists():
                raise
            self.file = cast("BinaryIO", self._path.open("wb"))

    def finish(self, *, lasting: bool = True) -> None:
        """The file is complete. `lasting`: it is there, whole, even if the power fails now."""
        self.file.flush()
        if self._beside is None:
            self.file.close()
            return
        if lasting:
            os.fsync(self.file.fileno())
        with contextlib.suppress(OSError):  # there is no old one, or the file system knows no rights
            _hand_on(self._path.stat(), self._beside)
        self._rename(self._beside)
        self.file.close()  # only now: whoever holds it open is seen to be alive
        if lasting:
            _sync_folder(self._path.parent)

    def drop(self) -> None:
        """Leaves nothing behind."""
        with contextlib.suppress(OSError):  # closing flushes what the disk has no room for
            self.file.close()
        if self._beside is not None:
            self._beside.unlink(missing_ok=True)

    def _rename(self, beside: Path) -> None:
        try:
            beside.replace(self._path)
        except OSError as error:
            if error.errno not in _CLOSED:
                raise
            shutil.copyfile(beside, self._path)  # a mount point, such as a single file in a container
            beside.unlink(missing_ok=True)


@contextlib.contextmanager
def whole(path: Path, *, lasting: bool = True) -> Iterator[BinaryIO]:
    """A file to write to in a `with` block; see `Whole`. Where the block fails, the old file stays."""
    one = Whole(path)
    try:
        yield one.file
        one.finish(lasting=lasting)
    except BaseException:
        one.drop()
        raise


def write_whole(path: Path, data: bytes) -> None:
    """The whole content of a file; clears first what was left of it, see `clear_left_of`.

    A reader of standard output that has gone is no error, as when it is written to in any other way.
    """
    clear_left_of(path)
    try:
        with whole(path) as file:
            file.write(data)
    except BrokenPipeError:
        if _standard(path) is None:
            raise


def clear_left_of(path: Path) -> None:
    """Removes what processes that were killed have left half-written of a file."""
    target = Path(os.path.realpath(path))
    clear_left(target.parent, lambda name: name == _short(target.name))


def clear_left(folder: Path, ours: Callable[[str], bool]) -> None:
    """The same for all files in a folder whose names are `ours`. What a process still writes is left alone."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 - names are enough
            match = _LEFT.fullmatch(name)
            if match and ours(match[1]):
                _remove_unless_held(folder / name)


def _made_beside(path: Path) -> tuple[Path, BinaryIO]:
    """A new file in the same folder, held for as long as it is open."""
    while True:
        beside = path.with_name(f".{_short(path.name)}.{secrets.token_hex(4)}.tmp")
        number = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o666)
        _hold(number)
        if os.fstat(number).st_nlink:
            return beside, os.fdopen(number, "wb")
        os.close(number)  # somebody who was clearing up came between the two


def _short(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[:_LONGEST])


def _hold(number: int, *, wait: bool = True) -> bool:
    """Marks an open file as in use until it is closed; False where it cannot be, or somebody else has."""
    if sys.platform == "win32":  # nothing that was left is removed there
        return False
    try:
        fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _remove_unless_held(path: Path) -> None:
    with contextlib.suppress(OSError):
        number = os.open(path, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            if stat.S_ISREG(os.fstat(number).st_mode) and _hold(number, wait=False):
                path.unlink()
        finally:
            os.close(number)


def is_standard_output(path: Path) -> bool:
    """Whether the path is what this process has as standard output."""
    return _standard(path) == 1


def _is_stream(path: Path) -> bool:
    """Whether something is there that is no file to be replaced: a device, a pipe, what another name holds open."""
    if _standard(path) is not None or (path.exists() and not path.is_file()):
        return True
    return path.absolute().is_relative_to("/dev/fd") or path.absolute().is_relative_to("/proc")


def _standard(path: Path) -> int | None:
    """1 or 2 where the path is what this process has as standard output or error; None elsewhere."""
    for number in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(path.stat(), os.fstat(number)):
                return number
    return None


def _opened(path: Path) -> BinaryIO:
    number = _standard(path)
    if number is None:
        return cast("BinaryIO", path.open("wb"))
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # as where a process began without one
            stream.flush()
    return os.fdopen(os.dup(number), "wb")


def _hand_on(old: os.stat_result, file: Path) -> None:
    """Gives a file the owner, where this user may give things away, and the rights of another."""
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):
            os.chown(file, old.st_uid, old.st_gid)
    file.chmod(stat.S_IMODE(old.st_mode))


def _sync_folder(folder: Path) -> None:
    """Makes a new name last through a power failure, where a folder can be opened at all."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:  # it may be written and not read, or the system opens none
        return
    try:
        os.fsync(number)
    finally:
        os.close(number)
