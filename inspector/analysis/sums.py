"""Files of summaries (`.sum`): what they are of, then shard by shard what it gave. Read in bounded memory, checked.

    magic, frame of the identity (JSON), per shard a frame of its tally (JSON) and one of its summaries (`store`),
    frame of the end (JSON: how many shards)

A frame is the length of its content (8 bytes, little-endian), the SHA-256 of that (32 bytes) and the content.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from pydantic import TypeAdapter

from inspector.analysis.identity import Identity
from inspector.analysis.parts import MAX_LISTED_SKIPS, Part, Tally
from inspector.analysis.plan import Plan
from inspector.analysis.store import MAX_BYTES, from_bytes, to_bytes
from inspector.errors import LimitError, OutputError, SummaryError
from inspector.paths import why_unread, writing
from inspector.report import Provenance
from inspector.runtime.digest import FORM
from inspector.whole import Whole, clear_left_of

MAGIC: Final = b"inspector sums 2\n"
_ANY: Final = b"inspector sums "
MAX_TEXT: Final = 1 << 20
"""Bytes of an identity or a tally."""
MOST: Final = 1 << 40
"""Inputs of a shard are fewer, so that those of a million shards are no number beyond 64 bits."""
SUFFIX: Final = ".sum"
_HEAD: Final = 8 + 32
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stored:
    """A shard in a file: its tally, and where its summaries begin."""

    path: Path
    tally: Tally
    at: int

    def part(self, plan: Plan, most: int = MAX_BYTES) -> Part:
        """The whole shard; at most `most` bytes of summaries are read and unpacked. SummaryError as for `scan`."""
        with self.path.open("rb") as file:
            file.seek(self.at)
            return Part(self.tally, from_bytes(plan, _frame(file, self.path, most), most))


def check_identity(identity: Identity) -> None:
    """Raises LimitError where files of this run could not be read again."""
    if (size := len(_to_json(identity))) > MAX_TEXT:
        raise LimitError(
            "analyses",
            "what was asked for is too long to be stored with summaries",
            expected=f"at most {MAX_TEXT} bytes of names, parameters and taps",
            found=str(size),
            remedy="Choose taps by patterns: * and ? match. Or ask for fewer analyses at a time.",
        )


class Writer:
    """Writes a file under another name; it appears, whole and on the disk, when the `with` block ends well.

    Raises:
        OSError: it cannot be written, for example because the disk is full.
    """

    def __init__(self, path: Path, identity: Identity, plan: Plan) -> None:
        self._plan, self._count = plan, 0
        self._whole = Whole(path)
        try:
            self._whole.file.write(MAGIC)
            self._write(_to_json(identity))
        except OSError:
            self.drop()
            raise

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.drop()
            return
        try:
            self._finish()
        except OSError:
            self.drop()
            raise

    def add(self, part: Part) -> None:
        """The next shard."""
        self._write(_to_json(part.tally))
        self._write(to_bytes(self._plan, part.totals))
        self._count += 1

    def drop(self) -> None:
        """Leaves nothing behind."""
        self._whole.drop()

    def _write(self, content: bytes) -> None:
        _write(self._whole.file, content)

    def _finish(self) -> None:
        self._write(json.dumps({"shards": self._count}).encode())
        self._whole.finish()


class Saving:
    """A file of all shards of a run, in a `with` block; where it cannot be written, the run goes on without.

    Attributes:
        problem: why it could not be written; None where it could, or where no file was asked for.

    Raises:
        OutputError: it cannot even be begun.
        LimitError: what identifies the run is too long to be read again.
    """

    def __init__(self, path: Path | None, identity: Identity, plan: Plan) -> None:
        self._subject = f"file {str(path)!r}"
        self.problem: OutputError | None = None
        self._writer: Writer | None = None
        if path is not None:
            check_identity(identity)
            with writing(self._subject):
                clear_left_of(path)
                self._writer = Writer(path, identity, plan)

    def __enter__(self) -> Saving:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is not None:
            with self._kept():
                self._writer.__exit__(kind)

    def add(self, part: Part) -> None:
        """The next shard."""
        if self._writer is not None:
            with self._kept():
                self._writer.add(part)

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            with writing(self._subject):
                yield
        except OutputError as error:
            self.problem = error
            if self._writer is not None:
                self._writer.drop()
            self._writer = None


def scan(path: Path) -> tuple[Identity, tuple[Stored, ...]]:
    """What a file is of, and its shards; their summaries are not read yet.

    Raises:
        SummaryError: no such file, not written by the inspector, cut short or damaged.
        LimitError: a text in it is too long.
    """
    if not path.is_file():
        remedy = f"Name the files in it, such as {path / '*.sum'}." if path.is_dir() else "Check the path."
        raise SummaryError(str(path), why_unread(path), expected="a file of summaries", remedy=remedy)
    try:
        with path.open("rb") as file:
            if (begins := file.read(len(MAGIC))) != MAGIC:
                raise _foreign(path, begins)
            identity = _from_json(_IDENTITY, _frame(file, path, MAX_TEXT), path)
            return identity, tuple(_stored(file, path))
    except OSError as error:
        raise SummaryError(str(path), "it cannot be read", found=error.strerror or str(error)) from error


def change(source: Path, target: Path, provenance: Callable[[Provenance], Provenance]) -> None:
    """Copies a file, each shard with another provenance. Errors as of `scan`, and OSError."""
    identity, shards = scan(source)
    with source.open("rb") as old, target.open("wb") as new:
        new.write(MAGIC)
        _write(new, _to_json(identity))
        for shard in shards:
            old.seek(shard.at)
            tally = replace(shard.tally, provenance=provenance(shard.tally.provenance))
            _write(new, _to_json(tally))
            _write(new, _frame(old, source, MAX_BYTES))
        _write(new, json.dumps({"shards": len(shards)}).encode())


def _stored(file: BinaryIO, path: Path) -> Iterator[Stored]:
    count = 0
    while True:
        text = _frame(file, path, MAX_TEXT)
        if text == json.dumps({"shards": count}).encode():
            break
        tally, at = _tally(text, path), file.tell()
        length = int.from_bytes(file.read(_HEAD)[:8], "little")
        if length > _left(file):
            raise _cut_short(path)
        file.seek(length, os.SEEK_CUR)
        count += 1
        yield Stored(path, tally, at)
    if _left(file):
        raise SummaryError(str(path), "something follows its end", found=f"{_left(file)} bytes")


def _foreign(path: Path, begins: bytes) -> SummaryError:
    """Why a file that begins so is not read."""
    if not begins.startswith(_ANY):
        return SummaryError(str(path), "it holds no summaries", expected="a file of summaries")
    formats = (text.removeprefix(_ANY).strip().decode("ascii", "replace") for text in (MAGIC, begins))
    expected, found = (f"format {number}" for number in formats)
    remedy = "Make the summaries anew."
    return SummaryError(str(path), "another version wrote it", expected=expected, found=found, remedy=remedy)


def _tally(text: bytes, path: Path) -> Tally:
    tally = _from_json(_TALLY, text, path)
    listed = [skipped.count for skipped in tally.skipped]
    counts = (
        tally.index,
        tally.inputs,
        tally.incomplete,
        tally.may_mend,
        tally.skipped_count - sum(listed),
        *(n - 1 for n in listed),
        *(data.shards - 1 - tally.index for data in tally.sets),
    )
    if min(counts) < 0 or max(counts) >= MOST or len(tally.skipped) > MAX_LISTED_SKIPS:
        raise SummaryError(str(path), "a count in it is out of range", found=f"shard {tally.shard[:80]!r}")
    if not tally.sets:
        raise SummaryError(str(path), "a shard in it is of no data set", found=f"shard {tally.shard[:80]!r}")
    if not FORM.fullmatch(tally.digest):
        raise SummaryError(
            str(path),
            "what identifies its inputs cannot be read",
            expected="as this version writes it",
            found=tally.digest[:80],
            remedy="Make the summaries anew.",
        )
    return tally


def _to_json(value: Identity | Tally) -> bytes:
    return json.dumps(asdict(value)).encode()  # ASCII: ids may hold parts of file names that are no UTF-8


def _from_json(kind: TypeAdapter[T], text: bytes, path: Path) -> T:
    try:
        return kind.validate_python(json.loads(text))
    except (ValueError, RecursionError) as error:  # a ValidationError is a ValueError
        raise SummaryError(str(path), "a text in it is not what belongs there", found=type(error).__name__) from error


def _frame(file: BinaryIO, path: Path, most: int) -> bytes:
    head = file.read(_HEAD)
    length = int.from_bytes(head[:8], "little")
    if len(head) < _HEAD or length > _left(file):
        raise _cut_short(path)
    if length > most:
        raise LimitError(str(path), "a part of it is too large", expected=f"at most {most} bytes", found=str(length))
    content = file.read(length)
    if hashlib.sha256(content).digest() != head[8:]:
        raise SummaryError(str(path), "it is damaged: its checksum does not fit", remedy="Copy or make it again.")
    return content


def _write(file: BinaryIO, content: bytes) -> None:
    file.write(len(content).to_bytes(8, "little") + hashlib.sha256(content).digest())
    file.write(content)


def _left(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size - file.tell()


def _cut_short(path: Path) -> SummaryError:
    return SummaryError(str(path), "it was cut short", remedy="Copy or make it again.")


_IDENTITY: Final = TypeAdapter(Identity)
_TALLY: Final = TypeAdapter(Tally)
