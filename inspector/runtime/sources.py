"""What a caller wants to feed, whatever form it has, as a sequence of inputs that are read one by one.

Pictures and arrays; in folders, files, memory, or over the wire. Only what concerns all inputs (a model that takes no
pictures, a folder without any) is an error of the source. What concerns one input is an error when that is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn, Protocol, cast

import numpy as np

from inspector.contract import Array, TensorInfo
from inspector.errors import InputError, NotFoundError, ParameterError
from inspector.runtime import arrays, pictures
from inspector.runtime.arrays import Stack, only_input, read_stack
from inspector.runtime.preprocess import PRESETS, InputSpec, Preprocess


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """One input that arrives over the wire: the bytes of a picture file, or an array for every input of the model.

    The arrays have no batch axis, or one of length 1.
    """

    id: str
    picture: bytes | None = None
    tensors: Mapping[str, Array] | None = None


Data = str | Path | Sequence[str | Path] | Array | Mapping[str, Array] | Iterable[Raw]
"""A folder, a picture, .npy or .npz file; a list of such; one array; arrays by name; or inputs from the wire."""

Feeds = Mapping[str, Array]
"""One input of a model: name -> array without the batch axis."""


@dataclass(frozen=True, slots=True)
class Item:
    """One input, not read yet. `read` may be called from any thread and raises InputError for a broken one."""

    id: str
    read: Callable[[], Feeds]


class Source(Protocol):
    """A sequence of inputs. Can be gone through again, unless it was made from an iterator."""

    @property
    def description(self) -> str:
        """What was fed, in words, paths as the caller gave them."""

    @property
    def total(self) -> int | None:
        """Number of items, None where it is not known beforehand."""

    def __iter__(self) -> Iterator[Item]: ...


def open_source(data: Data, inputs: Sequence[TensorInfo], preprocess: Preprocess | None = None) -> Source:
    """What to feed to a model with these inputs, looked at just enough to know that it makes sense.

    `preprocess` says how pictures become tensors; arrays are fed as they are.

    Raises:
        InputError: nothing there to feed, or nothing that this model takes.
        NotFoundError: no such file or folder.
        ParameterError: pictures without a way to preprocess them, or one that does not fit the model.
    """
    door = _Door(tuple(inputs), preprocess)
    if isinstance(data, (str, Path)):
        return _from_path(Path(data), door)
    if isinstance(data, np.ndarray):
        data = {only_input(door.inputs, "array").name: data}
    if isinstance(data, Mapping):
        stack = Stack.of(data, door.inputs, "array")
        return _Source(
            f"arrays in memory ({_count(stack.count, 'input')})", stack.count, partial(_items, stack, "array")
        )
    if isinstance(data, Sequence) and data and all(isinstance(d, (str, Path)) for d in data):
        return _from_paths([Path(cast("str | Path", d)) for d in data], door)
    return _from_wire(data, door)


@dataclass(frozen=True, slots=True)
class _Source:
    """The only kind of source: the parts differ in how they list their items."""

    description: str
    total: int | None
    list_items: Callable[[], Iterator[Item]]

    def __iter__(self) -> Iterator[Item]:
        return self.list_items()


@dataclass(frozen=True, slots=True)
class _Door:
    """What the model takes, and how pictures become that."""

    inputs: tuple[TensorInfo, ...]
    preprocess: Preprocess | None

    def for_pictures(self, subject: str) -> tuple[Preprocess, InputSpec]:
        """Raises ParameterError or InputError where no picture at all can be fed."""
        spec = InputSpec.of(only_input(self.inputs, subject))
        if self.preprocess is None:
            raise ParameterError(
                "preprocess",
                f"{subject} holds pictures, and nothing says how pixels become this model's numbers",
                expected=f"{', '.join(PRESETS)}, or a description of its own",
                remedy="Give what the model was trained with, such as preprocess=imagenet.",
            )
        self.preprocess.check(spec)
        return self.preprocess, spec

    def picture(self, source: bytes | Path, name: str) -> Feeds:
        """One decoded picture."""
        preprocess, spec = self.for_pictures(name)
        return {spec.name: preprocess.apply(pictures.decode(source, name), spec, name)}

    def tensors(self, tensors: Mapping[str, Array], name: str) -> Feeds:
        """One input's arrays, checked."""
        stack = Stack.of(tensors, self.inputs, name)
        if stack.count != 1:
            raise InputError(name, "it holds several inputs", expected="1", found=str(stack.count))
        return stack.one(0)


@dataclass(frozen=True, slots=True)
class _File:
    """A file to feed. With a `root` (resolved) it must not lead out of there; with a `problem` it cannot be read."""

    id: str
    path: Path
    root: Path | None = None
    problem: str = ""

    @property
    def is_array(self) -> bool:
        return not self.problem and self.path.suffix.lower() in arrays.SUFFIXES

    @property
    def is_picture(self) -> bool:
        return not self.problem and self.path.suffix.lower() in pictures.SUFFIXES

    def real_path(self) -> Path:
        """Where it really lies, looked up now, because links can change."""
        if self.problem:
            raise InputError(self.id, self.problem)
        try:
            path = self.path.resolve(strict=True)
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
            raise InputError(self.id, "it leads nowhere", remedy="Repair or remove the link.") from error
        if self.root is not None and not path.is_relative_to(self.root):
            raise InputError(self.id, "it is a link that leads out of the folder", remedy="Copy the file instead.")
        return path


def _from_path(path: Path, door: _Door) -> Source:
    _check_exists(path)
    if path.is_dir():
        files, ignored = _listed(path, door)
        return _from_files(f"folder {path}", files, ignored, door)
    file = _known_kind(_File(_printable(path.name), path))
    if file.is_array:
        stack = read_stack(path, door.inputs, file.id)
        return _Source(f"file {path} ({_count(stack.count, 'input')})", stack.count, partial(_items, stack, file.id))
    return _from_files(f"file {path}", [file], 0, door)


def _from_paths(paths: Sequence[Path], door: _Door) -> Source:
    """Several paths; the inputs are called by what tells them apart, below the last folder that all share."""
    files: list[_File] = []
    ignored = 0
    for path, name in zip(paths, short_names(paths), strict=True):
        _check_exists(path)
        if path.is_dir():
            inside, more = _listed(path, door)
            files += [_File(f"{name}/{f.id}", f.path, f.root, f.problem) for f in inside]
            ignored += more
        else:
            files.append(_known_kind(_File(name, path)))
    seen: set[str] = set()
    for file in files:
        if file.id in seen:
            raise InputError(f"file {file.id!r}", "it is listed twice", remedy="List every file once.")
        seen.add(file.id)
    shown = ", ".join(map(str, paths[:3])) + (f", … ({len(paths)} in all)" if len(paths) > 3 else "")
    return _from_files(shown, files, ignored, door)


def short_names(paths: Sequence[Path]) -> list[str]:
    """What to call each path of a list: its place below the last folder that all of them share."""
    base = os.path.commonpath([path.absolute().parent for path in paths])
    return [_printable(Path(os.path.relpath(path.absolute(), base)).as_posix()) for path in paths]


def _from_files(name: str, files: Sequence[_File], ignored: int, door: _Door) -> Source:
    """Files as a source; how many inputs an array file holds is only seen when it is its turn."""
    n_pictures, n_arrays = sum(f.is_picture for f in files), sum(f.is_array for f in files)
    if n_pictures:
        door.for_pictures(name)
    parts = [_count(n_pictures, "picture")] * bool(n_pictures) + [_count(n_arrays, "array file")] * bool(n_arrays)
    tail = f"; {_count(ignored, 'other file')} ignored" if ignored else ""
    total = None if n_arrays else len(files)
    return _Source(f"{name} ({', '.join(parts) or 'nothing readable'}{tail})", total, partial(_read_files, files, door))


def _read_files(files: Sequence[_File], door: _Door) -> Iterator[Item]:
    for file in files:
        if not file.is_array:
            yield Item(file.id, partial(_read_picture, file, door))
            continue
        try:
            stack = read_stack(file.real_path(), door.inputs, file.id)
        except InputError as error:
            yield Item(file.id, partial(_fail, error))
        else:
            yield from _items(stack, file.id)


def _read_picture(file: _File, door: _Door) -> Feeds:
    return door.picture(file.real_path(), file.id)


def _fail(error: InputError) -> NoReturn:
    raise error


def _items(stack: Stack, name: str) -> Iterator[Item]:
    for index, key in enumerate(stack.ids(name)):
        yield Item(key, partial(stack.one, index))


def _listed(folder: Path, door: _Door) -> tuple[list[_File], int]:
    """Files to feed, by relative path, and how many others there are.

    Hidden files and folders are among the others. Links to folders are not followed: they could go in circles.
    """
    root = folder.resolve()
    files: list[_File] = []
    others: list[str] = []
    failed: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=failed.append):
        here = Path(place)
        links = [n for n in folders if (here / n).is_symlink() and not n.startswith(".")]
        files += [
            _File(_relative(here / n, folder), here / n, root, "links to folders are not followed") for n in links
        ]
        others += [n for n in folders if n.startswith(".")]
        folders[:] = [n for n in folders if not n.startswith(".")]
        for n in names:
            file = _File(_relative(here / n, folder), here / n, root)
            if n.startswith(".") or not (file.is_picture or file.is_array):
                others.append(n)
            else:
                files.append(file)
    files += [_unlistable(e, folder, root) for e in failed]
    if not files:
        raise _nothing_in(folder, others, door)
    return sorted(files, key=lambda f: f.id), len(others)


def _unlistable(error: OSError, folder: Path, root: Path) -> _File:
    path = Path(error.filename)
    return _File(_relative(path, folder), path, root, f"the folder cannot be listed ({error.strerror})")


def _nothing_in(folder: Path, others: Sequence[str], door: _Door) -> InputError:
    shown = ", ".join(sorted(map(_printable, others))[:5]) + (", …" if len(others) > 5 else "")
    return InputError(
        f"folder {folder}",
        "it holds nothing to feed",
        expected=f"pictures ({_endings(pictures.SUFFIXES)}) or arrays ({_endings(arrays.SUFFIXES)}) of "
        f"{arrays.taken(door.inputs)}",
        found=f"{_count(len(others), 'other file')}: {shown}" if others else "no files",
    )


def _known_kind(file: _File) -> _File:
    if not (file.is_picture or file.is_array):
        raise InputError(
            f"file {file.path}",
            "its ending is not one of those that can be fed",
            expected=_endings(pictures.SUFFIXES + arrays.SUFFIXES),
            found=file.path.suffix or "no ending",
        )
    return file


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise NotFoundError(f"data {str(path)!r}", "there is no such file or folder", remedy="Check the path.")


def _from_wire(data: object, door: _Door) -> Source:
    total = len(data) if isinstance(data, Sized) else None
    if not isinstance(data, Iterable) or total == 0:
        raise InputError("data", "there is nothing to feed", expected="paths, arrays or inputs", found=repr(data)[:80])
    amount = f" ({_count(total, 'input')})" if total else ""
    return _Source(f"inputs sent by the caller{amount}", total, partial(_wire_items, data, door))


def _wire_items(data: Iterable[Raw], door: _Door) -> Iterator[Item]:
    seen: set[str] = set()
    for raw in data:
        if not isinstance(raw, Raw):
            raise InputError("data", "an entry is no input", expected="paths, or Raw", found=type(raw).__name__)
        if raw.picture is not None:
            door.for_pictures(raw.id)
        if raw.id in seen:
            yield Item(raw.id, partial(_fail, InputError(raw.id, "an input of that id came before")))
        else:
            seen.add(raw.id)
            yield Item(raw.id, partial(_read_raw, raw, door))


def _read_raw(raw: Raw, door: _Door) -> Feeds:
    if raw.picture is not None and raw.tensors is None:
        return door.picture(raw.picture, raw.id)
    if raw.tensors is not None and raw.picture is None:
        return door.tensors(raw.tensors, raw.id)
    found = "neither" if raw.picture is None else "both"
    raise InputError(raw.id, "it must hold one thing to feed", expected="a picture or tensors", found=found)


def _relative(path: Path, folder: Path) -> str:
    return _printable(path.relative_to(folder).as_posix())


def _printable(name: str) -> str:
    """Names that are no UTF-8 cannot travel in messages; their odd bytes are written out in hexadecimal."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _endings(suffixes: Sequence[str]) -> str:
    return ", ".join(suffixes)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
