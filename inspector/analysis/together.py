"""In which form inputs go through a model: what runs most of them together, unless that changes their rows.

A form is given up for the next one when running shows that it changes something; none that did is tried again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import Final

import numpy as np

from inspector.analysis.check import RANDOM
from inspector.analysis.how import How
from inspector.analysis.passes import in_parts
from inspector.analysis.run import Rows
from inspector.analysis.sharing import Run, Sharing, close, is_real, look, two
from inspector.contract import Array
from inspector.errors import InspectorError, ModelError, StoppedError
from inspector.graph.batching import fixed_batch, fixing
from inspector.graph.instrument import Instrumented, Request, instrument
from inspector.graph.view import OnnxView
from inspector.runtime.session import Session

_MIXED: Final = "the model mixes inputs that share a run: one alone has other rows; so every input ran alone"
_FREED: Final = {
    Sharing.APART: "; made free, it gives two inputs the original's outputs",
    Sharing.MIXED: " and gives other outputs without that; it ran as it is",
    Sharing.RANDOM: "; it ran as it is",
    Sharing.UNKNOWN: "; the first inputs could not be run to see whether it can do without; so it ran as it is",
}
"""What is said of a fixed batch, after what made free it does to inputs."""


class Form(Enum):
    """How a model is run."""

    FREED = auto()
    """Its fixed batch is made free, and inputs share runs."""
    AS_IT_IS = auto()
    """Inputs share runs as far as its batch lets them."""
    ALONE = auto()
    """Every input has a run of its own, which copies of it fill up where the batch is fixed."""


class Together:
    """The form that inputs go through a model in.

    Attributes:
        form: as far as is known now.
        fixed: the batch size that the model fixes, or None.
        scattered: requests of which a run of copies of one input gives rows that are not copies of each other.
    """

    def __init__(self, view: OnnxView, requests: Sequence[Request], how: How) -> None:
        self._view, self._requests, self._how = view, requests, how
        self._decided = view.decided_by_data({request.tensor for request in requests})
        self.fixed, self._fixes = fixed_batch(view.inputs), _fixes(view)
        # What takes the axis of 1 away inside, where the file has none, would refuse a longer one.
        can_be_freed = self.fixed is not None and how.batch_size != 1 and not view.alone
        self.form = Form.ALONE if self._decided else Form.FREED if can_be_freed else Form.AS_IT_IS
        self.scattered: frozenset[Request] = frozenset()
        self._freed: Sharing | None = None
        self._looked, self._random = not how.self_check, False

    @property
    def batch_size(self) -> int:
        """How many inputs may share a run, as in `How`."""
        return 1 if self.form is Form.ALONE else self._how.batch_size

    @property
    def takes(self) -> int | None:
        """How many inputs every run takes; None: any number."""
        return None if self.form is Form.FREED else self.fixed

    def compare(self, feeds: Mapping[str, Array]) -> None:
        """Once, before any run: whether the freed model gives inputs what the original gives them."""
        if self.form is Form.FREED and self._freed is None:
            self._freed = self._compared({name: self._some(array) for name, array in feeds.items()})
            if self._freed is not Sharing.APART:
                self.form = Form.AS_IT_IS

    def reconsider(self) -> None:
        """Has the freed model compared again, where those that it was to be compared with could not be run at all."""
        if self._freed is Sharing.UNKNOWN and self.form is Form.AS_IT_IS:
            self._freed, self.form = None, Form.FREED

    def is_due(self, count: int, size: int) -> bool:
        """Whether a batch of so many is the first of which several share a run of `size`: it has to be looked at."""
        return not self._looked and min(count, size) > 1

    def look(self, run: Run, feeds: Mapping[str, Array], size: int) -> Rows | None:
        """Compares a batch, `size` inputs a run, with inputs alone, until that was done with several of them.

        A form that mixes is given up.

        Gives the rows of the batch, where it ran for that and they count.
        """
        alone = self.form is Form.ALONE
        given = {name: array[:1] for name, array in feeds.items()} if alone else feeds
        count, copies = len(next(iter(given.values()))), self.takes or 1
        if self._looked or max(copies, min(count, size)) == 1:
            return None
        found = look(run, given, copies=copies, tolerance=self._tolerance)
        self.scattered |= found.scattered | (found.short if alone else frozenset())
        self._random = self._random or found.sharing is Sharing.RANDOM
        if found.sharing is Sharing.MIXED and not alone:
            self._give_up()
            return None
        self._looked = count > 1 or self.batch_size == 1
        return None if alone else found.rows

    def _give_up(self) -> None:
        if self.form is Form.FREED:
            self.form, self._freed = Form.AS_IT_IS, Sharing.MIXED
        else:
            self.form = Form.ALONE

    def uncut(self, rows: Rows) -> Rows:
        """Nothing is cut off of scattered rows of a run that was filled up: what of it belongs to an input?

        Nor may rows that are fewer than what fills it up be as many as its one input by chance.
        """
        return {r: np.repeat(row, self.takes or 1, axis=0) if r in self.scattered else row for r, row in rows.items()}

    def notes(self, *, ran: bool) -> Iterator[str]:
        """What was found out; `ran`: that anything ran."""
        if self._decided:
            yield f"{', '.join(self._decided[:5])}: goes by all inputs of a run together; so every input ran alone"
        if self._random or self._freed is Sharing.RANDOM:
            yield RANDOM
        if self._freed is not None:
            yield self._fixes + _FREED[self._freed]
        if self.form is Form.ALONE and not self._decided:
            yield _MIXED
        if ran and self._view.alone:
            names = ", ".join(map(repr, self._view.alone))
            yield f"the model's file has no batch axis for {names}; every input ran alone"
        if self._freed is None and ran and (self.fixed or 1) > 1:
            yield f"{self._fixes}; runs are filled up with copies of the last input"

    @property
    def _tolerance(self) -> float:
        """Of the largest number: how far kernels may be apart for runs of different sizes."""
        return 1e-2 if self._view.is_coarse else 1e-4

    def _some(self, array: Array) -> Array:
        """Two inputs, and the first of them again where two are just what the model takes: that would show nothing."""
        return np.concatenate([two(array), array[:1]]) if self.fixed == 2 else two(array)

    def _compared(self, feeds: Mapping[str, Array]) -> Sharing:
        """What becomes of two inputs that share a run of the freed model, beside runs of the original."""
        errors = (InspectorError, ValueError)
        try:
            with self._opened(free=False) as (model, plain):
                expected, again = (in_parts(plain, feeds, self.fixed or 1, fill=True) for _ in range(2))
        except StoppedError:
            raise
        except errors:
            return Sharing.UNKNOWN
        if not self._same(model, expected, model, again):
            return Sharing.RANDOM
        try:
            with self._opened(free=True) as (freed, session):
                return Sharing.APART if self._same(model, expected, freed, session.run(feeds)) else Sharing.MIXED
        except StoppedError:
            raise
        except errors:
            return Sharing.MIXED

    def _same(self, model: Instrumented, a: Sequence[Array], other: Instrumented, b: Sequence[Array]) -> bool:
        """Whether two runs gave the same rows and outputs, up to rounding."""
        rows, others = model.rows(a), other.rows(b)
        pairs = [(rows[slot], others[slot]) for slot in rows if is_real(rows[slot])]  # a count may change by rounding
        pairs += zip(model.own_of(a), other.own_of(b), strict=True)
        return all(close(x, y, self._tolerance) for x, y in pairs)

    @contextlib.contextmanager
    def _opened(self, *, free: bool) -> Iterator[tuple[Instrumented, Session]]:
        """A session that gives the rows and the model's own outputs."""
        model = instrument(self._view, self._requests, keep_outputs=True, free=free)
        with self._how.open(model) as session:
            yield model, session


def _fixes(view: OnnxView) -> str:
    """What the model does to its batch, for notes; ModelError where its inputs fix different ones."""
    sizes = fixing(view.inputs)
    shown = ", ".join(f"{name!r} to {size}" for name, size in sizes.items())
    if len(set(sizes.values())) > 1:
        raise ModelError(
            f"model {view.name!r}",
            "its inputs fix different batch sizes, so that none holds as many inputs of each",
            expected="one size, or free ones",
            found=shown,
            remedy="Export it with a batch axis that is free. What is no data, such as a state, can be fixed in the "
            "model (docs/data.md says how). Analyses of weights work.",
        )
    if len(sizes) < len(view.inputs):
        return f"the model fixes the batch of {shown}"
    return f"the model fixes its batch to {next(iter(sizes.values()), 0)}"
