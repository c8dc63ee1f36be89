"""What a caller wants to feed, in any form that runs on one machine take too, as inputs to send."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from inspector.contract import Array, TensorInfo
from inspector.errors import InputError
from inspector.runtime import arrays, pictures
from inspector.runtime.arrays import Stack, only_input, read_stack
from inspector.runtime.data import Data, Raw
from inspector.runtime.noise import PREFIX as NOISE
from inspector.runtime.places import endings, find
from inspector.runtime.stored import Stored

Inputs = Callable[[], Sequence[TensorInfo]]
"""Asks the server what the model takes; called only for arrays."""


def raw_inputs(data: Data, inputs: Inputs) -> Iterator[Raw]:
    """The inputs, one by one: pictures as their files' bytes, arrays checked and cut along their batch axis.

    A picture file that cannot be read is sent empty, so that it is skipped and counted where all others are.

    Raises:
        NotFoundError: no such file or folder.
        InputError: nothing to feed, arrays that the model does not take, or a kind of file that is not sent.
    """
    if isinstance(data, str) and data.startswith(NOISE):
        remedy = "Audits take it, and so does everything that runs without a server."
        raise InputError(
            f"data {data!r}", "a few inputs that are looked at closely cannot be noise here", remedy=remedy
        )
    if isinstance(data, str | Path):
        yield from _from_places([data], inputs)
    elif isinstance(data, np.ndarray):
        yield from _from_arrays({only_input(inputs(), "array").name: data}, inputs, "array")
    elif isinstance(data, Mapping):
        yield from _from_arrays(data, inputs, "array")
    elif isinstance(data, Sequence) and data and all(isinstance(entry, str | Path) for entry in data):
        yield from _from_places([cast("str | Path", entry) for entry in data], inputs)
    else:
        yield from cast("Iterable[Raw]", data)


def _from_arrays(named: Mapping[str, Array], inputs: Inputs, name: str) -> Iterator[Raw]:
    yield from _cut(Stack.of(named, inputs(), name), name)


def _cut(stack: Stack, name: str) -> Iterator[Raw]:
    for index, key in enumerate(stack.ids(name)):
        yield Raw(key, tensors=stack.one(index))


def _from_places(places: Sequence[str | Path], inputs: Inputs) -> Iterator[Raw]:
    found = find(places)
    packed = next((file.id for file in found.files if file.kind in {"tar", "parquet"}), None)
    if packed is not None:
        remedy = "Audit it where it lies, or put it into the server's data folder and name it as server:PATH."
        raise InputError(f"file {packed!r}", "tar and Parquet files are not sent to a server", remedy=remedy)
    if not found.files:
        raise InputError(found.shown, "it holds nothing to feed", expected=f"files that end in {endings()}")
    for file in found.files:
        yield from _from_file(file, inputs)


def _from_file(file: Stored, inputs: Inputs) -> Iterator[Raw]:
    if file.kind == "array":
        for raw in _cut(read_stack(file.content(arrays.MAX_BYTES), inputs(), file.id), file.id):
            yield replace(raw, label=file.label)
        return
    try:
        content = file.content(pictures.MAX_BYTES)
        picture = content if isinstance(content, bytes) else pictures.read_bytes(content, file.id)
    except InputError:
        picture = b""
    yield Raw(file.id, picture=picture, label=file.label)
