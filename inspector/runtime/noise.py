"""Gaussian noise in place of data: shows that a model runs, and nothing about what it does with real inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final

import ml_dtypes  # noqa: F401 - gives NumPy the element type bfloat16
import numpy as np

from inspector.contract import TensorInfo
from inspector.errors import InputError, ParameterError
from inspector.origin import many
from inspector.runtime.arrays import MAX_BYTES, NO_DATA, taken
from inspector.runtime.items import Feeds, Item, Part, Shard, numbered, ranges

PREFIX: Final = "noise:"
"""How a description of noise begins."""
MOST: Final = 10_000_000
"""Inputs that may be asked for."""
LONGEST_SIDE: Final = 16384

_NOTE = (
    "the inputs are Gaussian noise: what is said to be dead, silent, rare or frequent is so on noise, and may be "
    "otherwise on real data"
)
_FORM = "noise:N, noise:N,seed=S or noise:N,size=PIXELS"


@dataclass(frozen=True, slots=True)
class Noise:
    """`count` inputs of independent N(0, 1) numbers, each made from `seed` and its own index alone.

    `size` is the length of axes that the model leaves free; 0: there must be none but the batch axis.
    """

    is_stream: ClassVar[bool] = False

    inputs: tuple[TensorInfo, ...]
    count: int
    seed: int = 0
    size: int = 0

    @classmethod
    def parse(cls, text: str, inputs: tuple[TensorInfo, ...]) -> Noise:
        """From `noise:64` or `noise:64,seed=7,size=224`.

        Raises:
            ParameterError: not of that form, or a number out of range.
            InputError: the model takes something that noise cannot feed.
        """
        count, *rest = text.removeprefix(PREFIX).split(",")
        options = {"seed": 0, "size": 0}
        for part in rest:
            key, _, value = (p.strip() for p in part.partition("="))
            if key not in options:
                raise ParameterError(f"noise {key!r}", "there is no such setting", expected=_FORM)
            options[key] = _whole(key, value, 2**63 - 1 if key == "seed" else LONGEST_SIDE)
        noise = cls(inputs, _whole("count", count, MOST), **options)
        if noise.count < 1:
            raise ParameterError("noise count", "it is out of range", expected="at least 1", found=str(noise.count))
        noise._check()
        return noise

    @property
    def description(self) -> str:
        """What it is, with its seed."""
        return f"Gaussian noise, no data ({many(self.count, 'input')}, seed {self.seed})"

    @property
    def notes(self) -> tuple[str, ...]:
        """A warning about what noise can say."""
        return (_NOTE,)

    @property
    def total(self) -> int:
        """Number of inputs."""
        return self.count

    def __iter__(self) -> Iterator[Item]:
        return self._items(0, self.count)

    def _parts(self, size: int) -> Iterator[Part]:
        """Stretches of `size` inputs."""
        for start, stop in ranges(self.count, size):
            items = partial(self._items, start, stop)
            yield Part(
                f"noise[{start}:{stop}]",
                partial(str.format, "seed={},size={}", self.seed, self.size),
                stop - start,
                items,
            )

    def shards(self, size: int) -> tuple[Shard, ...]:
        """See `Source.shards`."""
        return numbered(self._parts(size), size)

    def _items(self, start: int, stop: int) -> Iterator[Item]:
        return (Item(f"noise[{i}]", partial(self._one, i)) for i in range(start, stop))

    def _one(self, index: int) -> Feeds:
        made = np.random.default_rng([self.seed, index])
        return {i.name: made.standard_normal(self._shape(i)).astype(i.dtype) for i in self.inputs}

    def _shape(self, info: TensorInfo) -> tuple[int, ...]:
        return tuple(d if isinstance(d, int) else self.size for d in (info.shape or ())[1:])

    def _check(self) -> None:
        for info in self.inputs:
            if info.dtype not in {"float32", "float16", "float64", "bfloat16"} or not info.shape:
                remedy = f"{NO_DATA}." if info.shape == () else "Feed arrays."
                raise InputError(f"input {info.name!r}", "noise cannot feed it", found=taken([info]), remedy=remedy)
            if 0 in (shape := self._shape(info)):
                raise ParameterError(
                    "noise",
                    f"the model leaves the size of input {info.name!r} free",
                    expected="noise:N,size=PIXELS",
                    found=taken([info]),
                )
            if math.prod(shape) * 8 > MAX_BYTES:
                raise InputError(f"input {info.name!r}", "one input is too large", found=str(shape))
        if not self.inputs:
            raise InputError("noise", "this model takes no inputs", remedy="Inspect its weights alone.")


def _whole(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most):
        raise ParameterError(
            f"noise {name}", "it is no whole number in range", expected=f"0..{most}", found=repr(text[:40])
        )
    return int(text)
