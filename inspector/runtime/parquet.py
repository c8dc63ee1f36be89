"""Parquet files with pictures in a column, as Hugging Face data sets are stored, read some rows at a time.

https://huggingface.co/docs/datasets/image_dataset: a column of structs {bytes, path}, and often a column of class
numbers, whose names the schema's metadata hold. Needs pyarrow (the extra `parquet`).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

from inspector.errors import InputError, ParameterError
from inspector.runtime.door import Door
from inspector.runtime.items import Item, Part, fail
from inspector.runtime.outages import may_mend
from inspector.runtime.stored import Stored, Watch
from inspector.runtime.web import NoPartsError

ROWS_AT_A_TIME: Final = 16
MAX_GROUP: Final = 4 * 2**30
"""Bytes that a row group may have when unpacked, all columns together, as its file declares them."""
MAX_FOOTER: Final = 256 * 2**20
"""Bytes of one text in the description at the end of a file."""
MAX_ENTRIES: Final = 1_000_000
"""Entries of one list in that description: columns of a group, row groups."""
MAX_ROWS: Final = 1 << 32

_PICTURES, _LABELS = ("image", "img", "picture"), ("label", "labels", "cls", "class", "fine_label")


def reader(subject: str) -> Any:
    """What reads Parquet; ParameterError about the subject where it is not installed."""
    try:
        from pyarrow import parquet  # noqa: PLC0415 - an extra that most do without
    except ImportError as error:
        remedy = "Install onnx-inspector[parquet]."
        raise ParameterError(subject, "reading Parquet needs pyarrow", remedy=remedy) from error
    return parquet


def parquet_items(stored: Stored, door: Door) -> Iterator[Item]:
    """The rows of a file, called `file.parquet[row]`; what cannot be read as broken items."""
    try:
        with _opened(stored) as table:
            counts = table.counts
    except InputError as error:
        yield Item.broken(stored.id, error, incomplete=True)
        return
    yield from _rows(stored, door, range(len(counts)), (0, sum(counts)))


def parquet_parts(stored: Stored, door: Door, size: int) -> Iterator[Part]:
    """Row groups, as many together as hold at least `size` rows; a file that cannot be read is one part."""
    try:
        with _opened(stored) as table:
            counts = table.counts
    except InputError as error:
        looked_at = partial(fail, error) if may_mend(error) else stored.stamp  # later shards would have other numbers
        yield Part(stored.id, looked_at, 1, partial(_only, Item.broken(stored.id, error, incomplete=True)))
        return
    stamp, watch = cache(stored.stamp), Watch(stored.id, stored.now)  # one for all parts
    start, first, stop = 0, 0, 0
    for group, count in enumerate(counts):
        stop += count
        if stop - first >= size or group == len(counts) - 1:
            items = partial(_rows, stored, door, range(start, group + 1), (first, stop))
            yield Part(f"{stored.id}[groups {start}:{group + 1}]", stamp, stop - first, items, watch)
            start, first = group + 1, stop


def _only(item: Item) -> Iterator[Item]:
    yield item


def _rows(stored: Stored, door: Door, groups: Sequence[int], rows: tuple[int, int]) -> Iterator[Item]:
    """The rows of these groups, from one to before another. Where a group breaks off, the next one goes on."""
    row, stop = rows
    try:
        with _opened(stored) as table:
            door.for_pictures(stored.id)
            for group in groups:
                yield from _group(table, stored.id, group, row, door)
                row += table.rows(group)
    except InputError as error:
        yield Item.broken(f"{stored.id}[{row}:{stop}]", error, count=_some(stop - row))


def _group(table: _Table, name: str, group: int, row: int, door: Door) -> Iterator[Item]:
    last = row + table.rows(group)
    try:
        for picture, label in table.read(group):
            key = f"{name}[{row}]"
            row += 1
            if isinstance(picture, bytes):
                yield Item(key, partial(door.picture, picture, key), label, len(picture))
            else:
                yield Item.broken(key, InputError(key, "it holds no picture"))
        if row < last:
            raise InputError(f"row group {group}", "it ends early")
    except (InputError, OSError, ValueError, MemoryError) as error:  # ArrowInvalid is a ValueError
        key = f"{name}[{row}:{last}]"
        broken = InputError(key, f"these rows cannot be read ({error})", remedy=_remedy(error, "Write the file again."))
        broken.__cause__ = error.with_traceback(None)
        yield Item.broken(key, broken, count=_some(last - row))


def _remedy(error: BaseException, damaged: str) -> str:
    """What to do about a file that cannot be read, where that may be its store's fault."""
    if isinstance(error.__cause__, NoPartsError):
        return "Download it first."
    return "Try again later." if may_mend(error) else damaged


def _some(rows: int) -> int:
    """So many as a file says, if that can be."""
    return min(max(rows, 1), MAX_ROWS)


@dataclass(frozen=True, slots=True)
class _Table:
    """An open file: `picture` and `label` are names of columns, `names` those of classes."""

    file: Any
    subject: str
    picture: str
    inside: bool
    label: str | None
    names: Sequence[str]

    @property
    def counts(self) -> list[int]:
        """How many rows each group has."""
        return [self.rows(group) for group in range(self.file.metadata.num_row_groups)]

    def rows(self, group: int) -> int:
        return int(self.file.metadata.row_group(group).num_rows)

    def read(self, group: int) -> Iterator[tuple[Any, str | None]]:
        """(bytes, label) of every row; None in place of bytes where there are none."""
        self._check_size(group)
        picture = f"{self.picture}.bytes" if self.inside else self.picture
        columns = [picture] + ([self.label] if self.label else [])
        for batch in self.file.iter_batches(ROWS_AT_A_TIME, row_groups=[group], columns=columns, use_threads=False):
            found = batch.column(self.picture)
            data = found.field("bytes") if self.inside else found
            labels = batch.column(self.label).to_pylist() if self.label else [None] * len(data)
            for value, label in zip(data, labels, strict=True):
                yield value.as_py(), self._named(label)

    def _check_size(self, group: int) -> None:
        size = self.file.metadata.row_group(group).total_byte_size  # what it says of single columns may end the process
        if not 0 <= size <= MAX_GROUP:
            raise InputError(
                f"row group {group}", "it is too large", expected=f"at most {MAX_GROUP:,}", found=f"{size:,}"
            )

    def _named(self, label: Any) -> str | None:
        if label is None or isinstance(label, float | bytes | list | dict):
            return None
        if isinstance(label, int) and 0 <= label < len(self.names):
            return self.names[label]
        return str(label)


@contextlib.contextmanager
def _opened(stored: Stored) -> Iterator[_Table]:
    """The file's description and columns, checked.

    Raises:
        ParameterError: pyarrow is not installed.
        InputError: no Parquet, without pictures, or larger than what is read.
    """
    parquet = reader(f"data {stored.id!r}")
    with stored.open() as source:
        if not source.seekable():
            raise InputError(stored.id, "its server gives no parts of files", remedy="Download it first.")
        try:
            limits = {"thrift_string_size_limit": MAX_FOOTER, "thrift_container_size_limit": MAX_ENTRIES}
            file = parquet.ParquetFile(source, buffer_size=2**20, pre_buffer=False, **limits)
            table = _table(file, stored.id)
        except InputError:
            raise
        except (OSError, ValueError, MemoryError) as error:
            remedy = _remedy(error, "Write it again.")
            raise InputError(stored.id, f"the Parquet file cannot be read ({error})", remedy=remedy) from error
        yield table


def _table(file: Any, name: str) -> _Table:
    schema, rows = file.schema_arrow, file.metadata.num_rows
    if not 0 <= rows < MAX_ROWS:
        raise InputError(name, "it has too many rows", expected=f"fewer than {MAX_ROWS:,}", found=f"{rows:,}")
    fitting = [f.name for f in schema if _holds_bytes(f.type)]
    picture = next((n for n in _PICTURES if n in fitting), fitting[0] if len(fitting) == 1 else None)
    if picture is None or schema.names.count(picture) != 1:
        raise InputError(
            name,
            "it has no column of pictures",
            expected="a column `image` of structs {bytes, path} or of binary, or a single one of these types",
            found=", ".join(f"{f.name}: {f.type}" for f in schema)[:200],
        )
    inside = str(schema.field(picture).type).startswith("struct")
    label = next((n for n in _LABELS if schema.names.count(n) == 1), None)
    return _Table(file, name, picture, inside, label, _class_names(schema.metadata or {}, label))


def _holds_bytes(kind: Any) -> bool:
    if not str(kind).startswith("struct"):
        return _is_binary(kind)
    return any(f.name == "bytes" and _is_binary(f.type) for f in kind)


def _is_binary(kind: Any) -> bool:
    """Bytes of any length, in whichever of Arrow's ways they are kept."""
    values = kind.value_type if str(kind).startswith("dictionary") else kind
    return str(values) in {"binary", "large_binary", "binary_view"}


def _class_names(metadata: Any, label: str | None) -> Sequence[str]:
    """Names of classes by number, as Hugging Face data sets keep them."""
    try:
        found = json.loads(metadata[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()
    return tuple(map(str, found)) if isinstance(found, list) else ()
