"""What a caller wants to feed, in any form that runs on one machine take too, as inputs to send."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from inspector.contract import Array, TensorInfo
from inspector.errors import InputError, NotFoundError
from inspector.runtime import arrays, pictures
from inspector.runtime.arrays import Stack, only_input, read_stack
from inspector.runtime.data import Data, Raw
from inspector.runtime.files import short_names

Inputs = Callable[[], Sequence[TensorInfo]]
"""Asks the server what the model takes; called only for arrays."""


def raw_inputs(data: Data, inputs: Inputs) -> Iterator[Raw]:
    """The inputs, one by one: pictures as their files' bytes, arrays checked and cut along their batch axis.

    A picture file that cannot be read is sent empty, so that it is skipped and counted where all others are.

    Raises:
        NotFoundError: no such file or folder.
        InputError: nothing to feed, or arrays that the model does not take.
    """
    if isinstance(data, str | Path):
        yield from _from_path(Path(data), inputs)
    elif isinstance(data, np.ndarray):
        yield from _from_arrays({only_input(inputs(), "array").name: data}, inputs, "array")
    elif isinstance(data, Mapping):
        yield from _from_arrays(data, inputs, "array")
    elif isinstance(data, Sequence) and data and all(isinstance(entry, str | Path) for entry in data):
        paths = [Path(cast("str | Path", entry)) for entry in data]
        for path, name in zip(paths, short_names(paths), strict=True):
            yield from _from_path(path, inputs, prefix=name)
    else:
        yield from cast("Iterable[Raw]", data)


def _from_arrays(named: Mapping[str, Array], inputs: Inputs, name: str) -> Iterator[Raw]:
    yield from _cut(Stack.of(named, inputs(), name), name)


def _cut(stack: Stack, name: str) -> Iterator[Raw]:
    for index, key in enumerate(stack.ids(name)):
        yield Raw(key, tensors=stack.one(index))


def _from_path(path: Path, inputs: Inputs, prefix: str = "") -> Iterator[Raw]:
    """With a prefix, as where several paths are given, ids begin with it."""
    if not path.exists():
        raise NotFoundError(f"data {str(path)!r}", "there is no such file or folder", remedy="Check the path.")
    if not path.is_dir():
        yield from _from_file(path, prefix or path.name, inputs)
        return
    files = sorted(_listed(path))
    if not files:
        endings = ", ".join(pictures.SUFFIXES + arrays.SUFFIXES)
        raise InputError(f"folder {path}", "it holds nothing to feed", expected=f"files that end in {endings}")
    for name in files:
        yield from _from_file(path / name, f"{prefix}/{name}" if prefix else name, inputs)


def _listed(folder: Path) -> Iterator[str]:
    """Files to feed below a folder, by relative path; what is hidden, or leads out of the folder, is left."""
    root = folder.resolve()
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(place, name)
            known = file.suffix.lower() in pictures.SUFFIXES + arrays.SUFFIXES
            if known and not name.startswith(".") and file.resolve().is_relative_to(root):
                yield file.relative_to(folder).as_posix()


def _from_file(path: Path, name: str, inputs: Inputs) -> Iterator[Raw]:
    if path.suffix.lower() in arrays.SUFFIXES:
        yield from _cut(read_stack(path, inputs(), name), name)
        return
    try:
        yield Raw(name, picture=pictures.read_bytes(path, name))
    except InputError:
        yield Raw(name, picture=b"")
