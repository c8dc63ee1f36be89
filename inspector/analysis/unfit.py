"""Inputs that the model itself cannot run, or not in the memory that there is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Self

from inspector.analysis.how import How
from inspector.analysis.passes import in_parts
from inspector.contract import Array
from inspector.errors import InputError, InspectorError, LimitError, RunError, StoppedError
from inspector.graph.batching import fixed_batch
from inspector.graph.instrument import instrument
from inspector.graph.view import OnnxView
from inspector.runtime.data import Batch
from inspector.runtime.session import Session

Refusal = InputError | RunError
"""Why an input cannot be used: a RunError where the model takes one size, and so may be what is wrong."""


class Unfit:
    """Says which inputs of a failed run are the reason for it, in a `with` block."""

    def __init__(self, view: OnnxView, how: How) -> None:
        self._view, self._how = view, how
        self._takes = fixed_batch(view.inputs)
        self._stack = contextlib.ExitStack()
        self._plain: Session | None = None
        self._known: Mapping[str, Array] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._plain = None
        self._stack.close()

    def ran(self, feeds: Mapping[str, Array]) -> None:
        """Remembers the first input that ran: while it does so again, it is not the device that fails."""
        self._known = self._known or {name: array[:1].copy() for name, array in feeds.items()}

    def expect(self, batch: Batch) -> None:
        """Raises RunError where some of these inputs will not run and others did not before: nothing is built then."""
        if self._plain is not None and not self._known:
            for error in filter(None, self._faults(batch.feeds)):
                raise error

    def parts(self, batch: Batch, error: Refusal) -> Iterator[tuple[Batch, Refusal | None]]:
        """Inputs whose run failed, in order, with the reason where they do not go through the plain model, each alone.

        An InputError, that none of them can be measured, is the reason for all others.

        Raises:
            RunError: the one given, where all of them do, or nobody can tell.
        """
        faults = self._faults(batch.feeds)
        if isinstance(error, InputError):
            for at, fault in enumerate(faults):
                part = batch.part(at, at + 1)
                yield part, error if fault is None else self._told(part, fault)
            return
        if not any(faults) or (self._known and self._fault(self._known, 0) is not None):
            raise error
        for _, group in groupby(enumerate(faults), key=lambda item: item[1] and item[0]):
            numbers = [number for number, _ in group]
            part = batch.part(numbers[0], numbers[-1] + 1)
            fault = faults[numbers[0]]
            yield part, None if fault is None else self._told(part, fault)

    def too_large(self, batch: Batch, error: LimitError) -> Refusal:
        """Why these inputs cannot be used, where one alone does not fit into the memory.

        Raises:
            LimitError: the one given, where others would not fit either.
        """
        if not leaves_sizes_free(self._view):
            raise error
        return _refusal(InputError, "watching the model run it needs too much memory", batch, error, error.remedy)

    def _faults(self, feeds: Mapping[str, Array]) -> list[RunError | None]:
        """Why each input does not go through the plain model; None where it does, or where that cannot be loaded."""
        count = len(next(iter(feeds.values())))
        try:
            self._plain = self._plain or self._stack.enter_context(
                self._how.open(instrument(self._view, (), keep_outputs=True))
            )
        except StoppedError:
            raise
        except InspectorError:
            return [None] * count
        return [self._fault(feeds, at) for at in range(count)]

    def _fault(self, feeds: Mapping[str, Array], at: int) -> RunError | None:
        assert self._plain is not None
        one = {name: array[at : at + 1] for name, array in feeds.items()}
        try:
            in_parts(self._plain, one, self._takes or 1, fill=self._takes is not None)
        except RunError as error:
            return error
        return None

    def _told(self, batch: Batch, fault: RunError) -> Refusal:
        free = leaves_sizes_free(self._view)
        remedy = "Bring it to a size that the model takes, for example with resize= and crop= in the preprocessing."
        kind = InputError if free else RunError
        return _refusal(kind, "the model cannot run it", batch, fault, remedy if free else fault.remedy)


def _refusal(kind: type[Refusal], problem: str, batch: Batch, error: InspectorError, remedy: str) -> Refusal:
    sizes = ", ".join(f"{name!r} {array.shape[1:]}" for name, array in batch.feeds.items())
    return kind("input", f"{problem}, of the size {sizes}", expected=error.expected, found=error.found, remedy=remedy)


def leaves_sizes_free(view: OnnxView) -> bool:
    """Whether inputs of several sizes can be fed."""
    sizes = [size for tensor in view.inputs for size in (tensor.shape or (None, None))[1:]]
    return not all(isinstance(size, int) for size in sizes)
