"""What a model takes, and how pictures become that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inspector.contract import Array, TensorInfo
from inspector.errors import InputError, ParameterError
from inspector.runtime import pictures
from inspector.runtime.arrays import Stack, only_input
from inspector.runtime.items import Feeds, Item
from inspector.runtime.preprocess import PRESETS, InputSpec, Preprocess


@dataclass(frozen=True, slots=True)
class Door:
    """The inputs of a model, and how pictures are made to fit; None where pictures are not welcome.

    `on_picture` hears of every picture that became a tensor, from any thread.
    """

    inputs: tuple[TensorInfo, ...]
    preprocess: Preprocess | None
    on_picture: Callable[[], None] = lambda: None

    def for_pictures(self, subject: str) -> tuple[Preprocess, InputSpec]:
        """How pictures are made to fit which input.

        Raises:
            ParameterError: nothing says how.
            InputError: no picture at all can be fed.
        """
        spec = InputSpec.of(only_input(self.inputs, subject))
        if self.preprocess is None:
            raise ParameterError(
                "preprocess",
                f"{subject} holds pictures, and nothing says how pixels become this model's numbers",
                expected=f"{', '.join(PRESETS)}, or a description of its own",
                remedy="Give what the model was trained with as `preprocess`, such as imagenet.",
            )
        self.preprocess.check(spec)
        return self.preprocess, spec

    def picture(self, source: bytes | Path, name: str) -> Feeds:
        """One decoded picture."""
        preprocess, spec = self.for_pictures(name)
        feeds = {spec.name: preprocess.apply(pictures.decode(source, name), spec, name)}
        self.on_picture()
        return feeds

    def tensors(self, tensors: Mapping[str, Array], name: str) -> Feeds:
        """One input's arrays, checked."""
        stack = Stack.of(tensors, self.inputs, name)
        if stack.count != 1:
            raise InputError(name, "it holds several inputs", expected="1", found=str(stack.count))
        return stack.one(0)


def stacked(
    stack: Stack, name: str, label: str | None = None, start: int = 0, stop: int | None = None
) -> Iterator[Item]:
    """The inputs of a stack from `start` to `stop`, named as `Stack.ids` names them."""
    ids = stack.ids(name)
    for index in range(start, stack.count if stop is None else stop):
        yield Item(ids[index], partial(stack.one, index), label)
