"""Files and folders of this machine."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from inspector.errors import InputError
from inspector.runtime.outages import may_mend
from inspector.runtime.stored import Kind, kind_of

_ODD = re.compile(r"\\x[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class File:
    """A file to feed. With a `root` (resolved) it must not lead out of there; with a `problem` it cannot be read.

    `why` is what led to the problem.
    """

    id: str
    path: Path
    label: str | None = None
    root: Path | None = None
    problem: str = ""
    why: OSError | None = None

    @property
    def kind(self) -> Kind | None:
        """What its ending says that it holds; None where it cannot be read."""
        return None if self.problem else kind_of(self.path.name)

    def content(self, max_bytes: int) -> Path:  # noqa: ARG002 - who reads a path checks its size
        """Where it really lies, looked up now, because links can change."""
        if self.problem:
            raise InputError(self.id, self.problem) from self.why
        try:
            path = self.path.resolve(strict=True)
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
            if isinstance(error, PermissionError) or may_mend(error):
                raise InputError(self.id, f"it cannot be looked at ({_told(error)})") from error
            raise InputError(self.id, "it leads nowhere", remedy="Repair or remove the link.") from error
        if self.root is not None and not path.is_relative_to(self.root):
            raise InputError(self.id, "it is a link that leads out of the folder", remedy="Copy the file instead.")
        return path

    def open(self) -> BinaryIO:
        """A regular file, opened; a pipe would block."""
        path = self.content(0)
        try:
            if not path.is_file():
                raise InputError(self.id, "it is not a regular file", remedy="Give a file that can be read.")
            return cast("BinaryIO", path.open("rb"))
        except OSError as error:
            raise InputError(self.id, f"it cannot be read ({error.strerror or error})") from error

    def stamp(self) -> str:
        """Size and time of change; of a file that cannot be read, its problem; InputError where its disk is away."""
        try:
            found = self.content(0).stat()
        except (InputError, OSError) as error:
            if may_mend(error):
                told = _told(error.__cause__ or error)
                raise InputError(self.id, f"it cannot be looked at ({told})", remedy="Try again later.") from error
            return type(error).__name__
        return f"{found.st_size}-{found.st_mtime_ns}"

    def now(self) -> str:
        """The same, as it is looked up every time."""
        return self.stamp()


def listed(folder: Path) -> tuple[list[File], list[str]]:
    """Files to feed in a folder and all below, by relative path; and the names of what else is there.

    Hidden files and folders are among the others. Links to folders are not followed: they could go in circles. A
    picture or array in a folder below has the name of the topmost one of these as its label.
    """
    root = folder.resolve()
    files: list[File] = []
    others: list[str] = []
    failed: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=failed.append):
        here = Path(place)
        links = [n for n in folders if os.path.islink(here / n) and not n.startswith(".")]  # noqa: PTH114 - raises never
        files += [
            File(_relative(here / n, folder), here / n, None, root, "links to folders are not followed") for n in links
        ]
        others += [n for n in folders if n.startswith(".")]
        folders[:] = [n for n in folders if not n.startswith(".")]
        for n in names:
            if n.startswith(".") or kind_of(n) is None:
                others.append(n)
            else:
                key, label = _relative(here / n, folder), label_of((here / n).relative_to(folder).as_posix())
                files.append(File(key, here / n, label, root))
    files += [_unlistable(e, folder, root) for e in failed]
    return sorted(files, key=lambda f: f.id), others


def label_of(path: str) -> str | None:
    """The class that a relative path, as it is stored, says: its first folder, for pictures and arrays."""
    above, _, _ = path.partition("/")
    return printable(above) if above != path and kind_of(path) in {"picture", "array"} else None


def short_names(paths: list[Path]) -> list[str]:
    """What to call each path of a list: its place below the last folder that all of them share."""
    base = os.path.commonpath([path.absolute().parent for path in paths])
    return [printable(Path(os.path.relpath(path.absolute(), base)).as_posix()) for path in paths]


def printable(name: str) -> str:
    r"""Names that are no UTF-8 cannot travel in messages; their odd bytes are written out, as `\xff`.

    Where that, or the same as text, is in a name, its backslashes are doubled: no two names become one.
    """
    stored = os.fsencode(name)
    written = stored.decode("utf-8", "backslashreplace")
    return stored.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace") if _ODD.search(written) else written


def _unlistable(error: OSError, folder: Path, root: Path) -> File:
    path = Path(error.filename)
    return File(_relative(path, folder), path, None, root, f"the folder cannot be listed ({error.strerror})", error)


def _told(error: BaseException) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _relative(path: Path, folder: Path) -> str:
    return printable(path.relative_to(folder).as_posix())
