"""What a caller wants to feed, whatever form it has, as a sequence of inputs that are read one by one.

Pictures and arrays; in folders, files, tar and Parquet files, here or behind a URL, in memory, or over the wire. Only
what concerns all inputs (a model that takes no pictures, a folder without any) is an error of the source. What concerns
one input is an error when that is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Final, cast

import numpy as np

from inspector.contract import Array, TensorInfo
from inspector.errors import InputError, ParameterError
from inspector.origin import many
from inspector.runtime import arrays, stored
from inspector.runtime.arrays import Stack, only_input, read_stack
from inspector.runtime.door import Door, stacked
from inspector.runtime.files import printable
from inspector.runtime.items import Feeds, Item, Items, Part, Raw, Shard, Source, numbered, ranges
from inspector.runtime.noise import PREFIX, Noise
from inspector.runtime.parquet import reader
from inspector.runtime.places import Found, find
from inspector.runtime.preprocess import Preprocess
from inspector.runtime.stored import Watch
from inspector.runtime.stored_items import StoredFiles

__all__ = ["Data", "Feeds", "Item", "Items", "Raw", "Shard", "Source", "open_source"]

Data = str | Path | Sequence[str | Path] | Array | Mapping[str, Array] | Iterable[Raw]
"""A path, URL, pattern or `noise:N`; a list of such; one array; arrays by name; or inputs from the wire."""

_TAKEN: Final = "paths, one array (N, …), arrays by the names of inputs, or Raw"
_REMEDY: Final = "Stack several arrays to one, and give a picture in memory as Raw, with the bytes of its file."
_NOUNS: dict[stored.Kind, str] = {
    "picture": "picture",
    "array": "array file",
    "tar": "tar file",
    "parquet": "Parquet file",
}


def open_source(
    data: Data,
    inputs: Sequence[TensorInfo],
    preprocess: Preprocess | None = None,
    on_picture: Callable[[], None] = lambda: None,
) -> Source:
    """What to feed to a model with these inputs, looked at just enough to know that it makes sense.

    `preprocess` says how pictures become tensors; arrays are fed as they are. A text may be a pattern
    (`train-{000..031}.tar`, `*.png`), a URL that fsspec reads, or `noise:N`; a Path is only a path.
    `on_picture` is called, from any thread, for every picture that became a tensor.

    Raises:
        InputError: nothing there to feed, or nothing that this model takes.
        NotFoundError: no such file or folder.
        ParameterError: pictures without a way to preprocess them, or one that does not fit the model; a URL or a kind
            of file for which a package is missing.
    """
    door = Door(tuple(inputs), preprocess, on_picture)
    if isinstance(data, (list, tuple)) and len(data) == 1 and isinstance(data[0], (str, Path)):
        data = data[0]
    if isinstance(data, str) and data.startswith(PREFIX):
        return Noise.parse(data, door.inputs)
    if isinstance(data, (str, Path)):
        return _from_places([data], door)
    if isinstance(data, np.ndarray):
        data = {only_input(door.inputs, "array").name: data}
    if isinstance(data, Mapping):
        stack = Stack.of(data, door.inputs, "array")
        return _Stacked(f"arrays in memory ({many(stack.count, 'input')})", stack, "array", None)
    if isinstance(data, Sequence) and data and all(isinstance(d, (str, Path)) for d in data):
        return _from_places([cast("str | Path", d) for d in data], door)
    return _from_wire(data, door)


@dataclass(frozen=True, slots=True)
class _Stacked:
    """Arrays whose first axis counts inputs; `stamp` None: they are in memory, and their contents identify them."""

    is_stream: ClassVar[bool] = False

    description: str
    stack: Stack
    name: str
    stamp: Callable[[], str] | None
    watch: Watch | None = None
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        return self.stack.count

    def __iter__(self) -> Iterator[Item]:
        return stacked(self.stack, self.name)

    def shards(self, size: int) -> tuple[Shard, ...]:
        return numbered(self._parts(size), size)

    def _parts(self, size: int) -> Iterator[Part]:
        for start, stop in ranges(self.total, size):
            items = partial(stacked, self.stack, self.name, start=start, stop=stop)
            stamp = self.stamp or partial(_contents, self.stack, start, stop)
            yield Part(f"{self.name}[{start}:{stop}]", stamp, stop - start, items, self.watch)


def _contents(stack: Stack, start: int, stop: int) -> str:
    found = hashlib.sha256()
    for name in sorted(stack.arrays):
        part = cast("Array", stack.arrays[name])[start:stop]  # in memory
        found.update(f"{name!r} {part.dtype} {part.shape}\n".encode() + part.tobytes())
    return found.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _Sent:
    """Inputs that a caller hands over one by one."""

    is_stream: ClassVar[bool] = True

    description: str
    total: int | None
    raws: Iterable[Raw]
    door: Door
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Item]:
        return _wire_items(self.raws, self.door)

    def shards(self, size: int) -> tuple[Shard, ...]:  # noqa: ARG002 - as every source
        raise InputError(
            self.description, "a stream cannot be divided", expected="data that can be opened again", remedy="Store it."
        )


def _from_places(places: Sequence[str | Path], door: Door) -> Source:
    if any(isinstance(place, str) and place.startswith(PREFIX) for place in places):
        raise ParameterError("noise", "it goes alone", found=f"{len(places)} sources", remedy="Audit real data apart.")
    found = find(places)
    if found.alone and found.files[0].kind == "array":
        file = found.files[0]
        content = file.content(arrays.MAX_BYTES)
        stack = read_stack(content, door.inputs, file.id)
        described = f"{found.shown} ({many(stack.count, 'input')})"
        if all(isinstance(array, np.ndarray) for array in stack.arrays.values()):
            return _Stacked(described, stack, file.id, None)  # whatever becomes of the file
        return _Stacked(described, stack, file.id, file.stamp, Watch(file.id, file.now))
    if found.folder and not found.files:
        raise _nothing_in(found, door)
    return StoredFiles(_described(found, door), found.files, door)


def _described(found: Found, door: Door) -> str:
    """Where it is, and how much of what; raises where there are pictures, and none can be fed."""
    amounts = {kind: sum(file.kind == kind for file in found.files) for kind in _NOUNS}
    if amounts["picture"]:
        door.for_pictures(found.shown)
    if amounts["parquet"]:
        reader(found.shown)
    parts = ", ".join(many(n, _NOUNS[kind]) for kind, n in amounts.items() if n) or "nothing readable"
    tail = f"; {many(len(found.others), 'other file')} ignored" if found.others else ""
    return f"{found.shown} ({parts}{tail})"


def _nothing_in(found: Found, door: Door) -> InputError:
    others = sorted(map(printable, found.others))
    shown = ", ".join(others[:5]) + (", …" if len(others) > 5 else "")
    listed = {kind: ", ".join(endings) for kind, endings in stored.SUFFIXES.items()}
    return InputError(
        found.shown,
        "it holds nothing to feed",
        expected=f"pictures ({listed['picture']}) or arrays ({listed['array']}) of {arrays.taken(door.inputs)}; "
        f"tar files ({listed['tar']}) or Parquet files ({listed['parquet']}) of these",
        found=f"{many(len(others), 'other file')}: {shown}" if others else "no files",
    )


def _from_wire(data: object, door: Door) -> Source:
    total = len(data) if isinstance(data, Sized) else None
    if not isinstance(data, Iterable) or total == 0:
        raise InputError("data", "there is nothing to feed", expected=_TAKEN, found=repr(data)[:80], remedy=_REMEDY)
    amount = f" ({many(total, 'input')})" if total else ""
    return _Sent(f"inputs sent by the caller{amount}", total, data, door)


def _wire_items(data: Iterable[Raw], door: Door) -> Iterator[Item]:
    seen: set[str] = set()
    for raw in data:
        if not isinstance(raw, Raw):
            found = type(raw).__name__
            raise InputError("data", "an entry is no input", expected=_TAKEN, found=found, remedy=_REMEDY)
        if raw.picture is not None:
            door.for_pictures(raw.id)
        if raw.broken is not None:
            yield Item.broken(raw.id, raw.broken)
        elif raw.id in seen:
            yield Item.broken(raw.id, InputError(raw.id, "an input of that id came before"))
        else:
            seen.add(raw.id)
            yield Item(raw.id, partial(_read_raw, raw, door), raw.label, _held(raw))


def _held(raw: Raw) -> int:
    arrays_held = sum(np.asarray(array).nbytes for array in (raw.tensors or {}).values())
    return len(raw.picture or b"") + arrays_held


def _read_raw(raw: Raw, door: Door) -> Feeds:
    if raw.picture is not None and raw.tensors is None:
        return door.picture(raw.picture, raw.id)
    if raw.tensors is not None and raw.picture is None:
        return door.tensors(raw.tensors, raw.id)
    found = "neither" if raw.picture is None else "both"
    raise InputError(raw.id, "it must hold one thing to feed", expected="a picture or tensors", found=found)
