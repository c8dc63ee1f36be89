"""Model files from clients: checked while they arrive, published at once and whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from inspector.control import Stop
from inspector.errors import InputError, LimitError, ParameterError
from inspector.faces.grpc.repository import SUFFIX, Repository, exists
from inspector.faces.wire_model import ModelInfo

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Announced:
    """What a client says of a file before it sends it."""

    name: str
    size: int
    sha256: str
    overwrite: bool = False

    def check(self, max_bytes: int) -> None:
        """Raises ParameterError where a part of it is not legal, LimitError where the file is too large."""
        if not NAME.fullmatch(self.name):
            raise ParameterError("model_id", "no legal name", expected=NAME.pattern, found=repr(self.name[:200]))
        if not _SHA256.fullmatch(self.sha256):
            found = repr(self.sha256[:100])
            raise ParameterError("sha256", "no SHA-256", expected="64 lower-case hexadecimal digits", found=found)
        if self.size < 1:
            raise ParameterError("size_bytes", "no legal size", expected="1 or more", found=str(self.size))
        if self.size > max_bytes:
            raise LimitError(
                f"model {self.name!r}", "too large to upload", expected=f"up to {max_bytes} bytes", found=str(self.size)
            )


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a file, and where in it they begin."""

    offset: int
    data: bytes


def receive(repository: Repository, announced: Announced, pieces: Iterable[Piece], stop: Stop) -> ModelInfo:
    """Writes the file, checks it, and adds it to the repository.

    Until everything was checked it lies in the folder under a hidden name that the repository passes over.

    Raises:
        ExistsError: there is a model of that name, and it may not be replaced.
        InputError: pieces out of order, too few or too many bytes, or another hash than announced.
        ModelError: this is no usable model.
        LimitError: it cannot be stored.
        StoppedError: the stop was asked for before it was published.
    """
    if not announced.overwrite and os.path.lexists(repository.folder / f"{announced.name}{SUFFIX}"):
        raise exists(announced.name)
    try:
        with _hidden_path(repository.folder) as path:
            with path.open("xb") as file:
                _write(file, announced, pieces, stop)
            stop.check()
            return repository.add(announced.name, path, stop, overwrite=announced.overwrite)
    except OSError as error:
        found = error.strerror or type(error).__name__
        raise LimitError(f"model {announced.name!r}", "it cannot be stored", found=found) from error


@contextlib.contextmanager
def _hidden_path(folder: Path) -> Iterator[Path]:
    path = folder / f".upload-{secrets.token_hex(8)}.part"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _write(file: BinaryIO, announced: Announced, pieces: Iterable[Piece], stop: Stop) -> None:
    digest, written = hashlib.sha256(), 0
    for piece in pieces:
        stop.check()
        if piece.offset != written:
            raise _unlike(announced, "a chunk is out of order", f"offset {written}", f"offset {piece.offset}")
        written += len(piece.data)
        if written > announced.size:
            raise _unlike(announced, "it is longer than announced", f"{announced.size} bytes", "more")
        digest.update(piece.data)
        file.write(piece.data)
    if written < announced.size:
        raise _unlike(announced, "it is shorter than announced", f"{announced.size} bytes", f"{written} bytes")
    if digest.hexdigest() != announced.sha256:
        raise _unlike(announced, "its SHA-256 is not the announced one", announced.sha256, digest.hexdigest())
    file.flush()
    os.fsync(file.fileno())


def _unlike(announced: Announced, problem: str, expected: str, found: str) -> InputError:
    remedy = "Nothing was kept; send the file again."
    return InputError(f"upload of {announced.name!r}", problem, expected=expected, found=found, remedy=remedy)
