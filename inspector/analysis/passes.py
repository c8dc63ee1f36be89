"""One batch through a model in one or more waves of taps: rows by request, as if it had been one wave."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np

from inspector.analysis.run import Rows
from inspector.analysis.verify import Verifier
from inspector.contract import Array
from inspector.graph.instrument import Instrumented, Request, Spaces
from inspector.runtime.session import Session

Open = Callable[[Instrumented], AbstractContextManager[Session]]


class Passes:
    """The waves of a run, until they are closed. Their sessions stay open where that fits, or are built when due.

    `providers` counts the nodes of all waves per execution provider, once every wave has run.
    """

    def __init__(
        self, models: Sequence[Instrumented], open_: Open, verifier: Verifier, *, fill: bool, stay: bool
    ) -> None:
        """`fill`: a run takes just as many inputs as it is told; `stay`: sessions stay open."""
        self._models, self._open, self._verifier = models, open_, verifier
        self._fill, self._stay = fill, stay
        self._sessions: dict[int, Session] = {}
        self._seen: set[int] = set()
        self._stack = contextlib.ExitStack()
        self.device = ""
        self.providers = Counter[str]()

    def close(self) -> None:
        """Closes what is open."""
        self._sessions.clear()
        self._stack.close()

    def __call__(self, feeds: Mapping[str, Array], size: int, spaces: Spaces) -> Rows:
        """Rows of all waves for one batch, `size` inputs a run; those of a branch that was not taken are missing.

        `spaces` as in `Instrumented.rows`, for inputs of these shapes.
        """
        rows: dict[Request, Array] = {}
        for number, model in enumerate(self._models):
            with contextlib.ExitStack() as now:
                session = self._sessions.get(number) or self._build(number, self._stack if self._stay else now)
                shrink = self._stay and len(self._models) > 1
                found = in_parts(session, feeds, size, fill=self._fill, shrink=shrink)
            pairs = self._verifier.rows(model, found, spaces).items()
            rows.update((slot, row) for slot, row in pairs if len(row) or slot not in model.branched)
        return rows

    def _build(self, number: int, until: contextlib.ExitStack) -> Session:
        model = self._models[number]
        session = until.enter_context(self._open(model))
        self._verifier.names(model, session.outputs)
        if self._stay:
            self._sessions[number] = session
        if number not in self._seen:
            self._seen.add(number)
            self.device = session.device
            self.providers.update(session.providers)
        return session


def in_parts(
    session: Session, feeds: Mapping[str, Array], size: int, *, fill: bool, shrink: bool = False
) -> list[Array]:
    """Any number of inputs through a model, `size` at a time; what fills the last run up is cut off again.

    A value that has another number of rows than the model has inputs is given whole: what belongs to which input is
    not known.
    """
    count = len(next(iter(feeds.values())))
    parts = [
        session.run(
            {n: _filled(a[start : start + size], size) if fill else a[start : start + size] for n, a in feeds.items()},
            shrink=shrink,
        )
        for start in range(0, count, size)
    ]
    if len(parts) == 1 and not fill:
        return list(parts[0])
    return [_cut([part[i] for part in parts], size, count) for i in range(len(parts[0]))]


def _cut(parts: list[Array], size: int, count: int) -> Array:
    whole = np.concatenate(parts)
    return whole[:count] if all(len(part) == size for part in parts) else whole


def _filled(array: Array, size: int) -> Array:
    return array if len(array) == size else np.concatenate([array, np.repeat(array[-1:], size - len(array), axis=0)])
