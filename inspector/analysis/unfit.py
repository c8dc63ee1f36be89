"""Inputs that the model cannot run, or not in the memory that there is, where it leaves sizes free."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Final, Self

from inspector.analysis.how import How
from inspector.analysis.passes import in_parts
from inspector.contract import Array
from inspector.errors import InputError, InspectorError, LimitError, RunError, StoppedError
from inspector.graph.batching import fixed_batch
from inspector.graph.instrument import instrument
from inspector.graph.view import OnnxView
from inspector.runtime.session import Session

MOST: Final = 100
"""Runs that may fail before one does not: with more, it is the model that cannot run."""


class Unfit:
    """Says whether a run failed because of its inputs, in a `with` block.

    Attributes:
        ran: some inputs went through the model.
    """

    def __init__(self, view: OnnxView, how: How) -> None:
        self._view, self._how = view, how
        self._stack = contextlib.ExitStack()
        self._plain: Session | None = None
        self._failed = 0
        self.ran = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._plain = None
        self._stack.close()

    def __call__(self, feeds: Mapping[str, Array], error: RunError) -> InputError:
        """Why these inputs cannot be used, where none of them goes through the model without measures either.

        Raises:
            RunError: the one given, where it is not the inputs that are at fault, or nobody can tell.
        """
        if self._is_the_model() or self._runs(feeds):
            raise error
        return _told(
            "the model cannot run it", feeds, error,
            "Bring it to a size that the model takes, for example with resize= and crop= in the preprocessing.",
        )  # fmt: skip

    def too_large(self, feeds: Mapping[str, Array], error: LimitError) -> InputError:
        """Why these inputs cannot be used, where one alone does not fit into the memory.

        Raises:
            LimitError: the one given, where others would not fit either.
        """
        if self._is_the_model():
            raise error
        return _told("watching the model run it needs too much memory", feeds, error, error.remedy)

    def _is_the_model(self) -> bool:
        """Whether it is not for want of the right inputs that one more run failed."""
        self._failed += 1
        return not leaves_sizes_free(self._view) or (self._failed > MOST and not self.ran)

    def _runs(self, feeds: Mapping[str, Array]) -> bool:
        """Whether any of the inputs goes through the plain model; true where that cannot be loaded, as nobody knows."""
        try:
            session = self._plain = self._plain or self._stack.enter_context(
                self._how.open(instrument(self._view, (), keep_outputs=True))
            )
        except StoppedError:
            raise
        except InspectorError:
            return True
        takes = fixed_batch(self._view.inputs)
        for at in range(len(next(iter(feeds.values())))):
            with contextlib.suppress(RunError):
                one = {name: array[at : at + 1] for name, array in feeds.items()}
                in_parts(session, one, takes or 1, fill=takes is not None)
                return True
        return False


def _told(problem: str, feeds: Mapping[str, Array], error: InspectorError, remedy: str) -> InputError:
    sizes = ", ".join(f"{name!r} {array.shape[1:]}" for name, array in feeds.items())
    return InputError(
        "input", f"{problem}, of the size {sizes}", expected=error.expected, found=error.found, remedy=remedy
    )


def leaves_sizes_free(view: OnnxView) -> bool:
    """Whether inputs of several sizes can be fed."""
    sizes = [size for tensor in view.inputs for size in (tensor.shape or (None, None))[1:]]
    return not all(isinstance(size, int) for size in sizes)
