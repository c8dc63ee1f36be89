"""What runs for inputs of some shapes: the model that gives the rows, and how many inputs and taps of it fit."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

import numpy as np

from inspector.analysis.how import How
from inspector.analysis.together import Form, Together
from inspector.analysis.unfit import leaves_sizes_free
from inspector.analysis.waves import CHOICES, Sizes, Waves, chosen, plan_waves, unknown
from inspector.contract.measures import keeps_maps
from inspector.errors import InspectorError, LimitError
from inspector.graph.instrument import Instrumented, Request, Spaces, instrument, refuse_empty, spaces_of
from inspector.graph.view import OnnxView
from inspector.runtime.data import LOOK_AHEAD, Shapes
from inspector.runtime.devices import CPU, find_devices

AT_ONCE: Final = LOOK_AHEAD + 2
"""Batches of inputs in memory: those read ahead, one that runs, and one that waits for it to end."""

KEPT: Final = 16
"""Answers that are kept."""
KEPT_SPACES: Final = 256
"""Shapes of inputs for which the sizes of maps are kept."""
_Key = tuple[tuple[str, tuple[int, ...]], ...]
"""Shapes, as what a dictionary can hold."""


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What runs for inputs of some shapes.

    Attributes:
        shapes: of the inputs; of those of other sizes, what they fit into.
        form: in which they go through the model.
        any_size: whether it takes inputs of other sizes as well.
        asked: how many inputs were to share a run; 0: as many as the model fixes, or as are chosen.
        whole: the model with all requests.
        waves: what of it runs together.
        spaces: sizes of maps, where it takes any size: see `inspector.graph.instrument.spaces_of`.
    """

    shapes: Shapes
    form: Form
    any_size: bool
    asked: int
    whole: Instrumented
    waves: Waves
    spaces: Spaces = field(default_factory=dict)

    @property
    def key(self) -> Hashable:
        """Equal where the same sessions can be used."""
        return (self.form, self.whole.model if self.any_size else _key(self.shapes))

    @property
    def batch_note(self) -> str:
        """Why no more inputs share a run; empty where that needs no reason."""
        batch = self.waves.batch
        if batch < self.asked:
            return f"batches of {batch} and not {self.asked}, so that a run fits into the memory"
        many = "up to " * (batch > 1)
        return f"batches of {many}{batch} were chosen: {self.waves.why}" if self.waves.why else ""

    def notes(self) -> Iterator[str]:
        """What was done so that it fits, and what is not known."""
        parts, left_out = len(self.waves.parts), len(unknown(self.whole))
        if parts > 1:
            yield f"the taps were watched in {parts} waves, so that each fits"
        if left_out:
            yield f"the size of {left_out} values is not known beforehand; the estimate of memory leaves them out"


class Fitting:
    """Says what runs for inputs of given shapes, in the form that they go through the model in now.

    Where the model leaves sizes free, one model takes inputs of any size, planned for the largest of each axis that
    came so far (ADR 35). Where that does not do, every size has a model of its own.
    """

    def __init__(self, view: OnnxView, requests: Sequence[Request], how: How, together: Together) -> None:
        self._view, self._requests, self._how, self._together = view, requests, how, together
        self._any_size = leaves_sizes_free(view) and not any(keeps_maps(request.measure) for request in requests)
        self._largest: Shapes = {}
        self._alike: dict[int, Shapes] = {}
        # The last answers are kept, so that sizes that take turns are fitted once each.
        self._planned = lru_cache(KEPT)(self._plan)
        self._planned_for_all = lru_cache(KEPT)(self._plan_for_all)
        self._batched = lru_cache(KEPT)(self._waves)
        self._mapped = lru_cache(KEPT_SPACES)(self._spaces)

    def __call__(self, shapes: Shapes) -> Fitted:
        """What runs for inputs of these shapes.

        Raises:
            LimitError: not even one input fits, or its whole maps are too large.
            InputError: inputs of these shapes leave nothing to be measured somewhere.
            RunError: they would end the process.
        """
        fitted = self._fitted_for_all(shapes) if self._any_size else None
        return fitted or self._planned(self._together.form, _key(shapes))

    def restart(self) -> None:
        """Forgets what came, as at the start of a shard: what a shard gives must not hang on those before it."""
        self._largest, self._alike = {}, {}

    def bring(self, shapes: Shapes) -> int:
        """How many inputs of these shapes to bring at a time: as many as run together, or fewer where that is asked."""
        asked = self._together.batch_size or CHOICES[-1]
        if asked == 1 or not self._requests:
            return min(asked, CHOICES[-1])
        fixed = self._together.fixed or 1
        try:
            return min(asked, max(fixed, self(shapes).waves.batch))
        except InspectorError:  # whoever runs them hears of it
            return min(asked, fixed)

    def models(self, fitted: Fitted, *, keep_outputs: bool = False) -> list[Instrumented]:
        """One for every wave; `keep_outputs`: with the model's own outputs."""
        parts, shapes, any_size = fitted.waves.parts, fitted.shapes, fitted.any_size
        if len(parts) == 1 and not keep_outputs:
            return [fitted.whole]
        return [self._model(part, shapes, any_size=any_size, keep_outputs=keep_outputs) for part in parts]

    def _fitted_for_all(self, shapes: Shapes) -> Fitted | None:
        """What runs for inputs of any size; None where it cannot be used for these."""
        largest = _around(self._largest, shapes)
        fitted = self._planned_for_all(self._together.form, _key(largest))
        spaces = None if fitted is None else self._mapped(fitted, _key(shapes))
        if fitted is None or spaces is None:
            return None
        self._largest = largest
        about = self._about(shapes)
        waves = fitted.waves if about == _key(largest) else self._batched(fitted, about)
        return replace(fitted, waves=waves, spaces=spaces)

    def _about(self, shapes: Shapes) -> _Key:
        """The largest shapes that came so far of inputs about as large as these; none is larger than the largest."""
        bits = sum(map(math.prod, shapes.values())).bit_length()
        self._alike[bits] = _around(self._alike.get(bits, {}), shapes)
        return _key({name: tuple(map(min, shape, self._largest[name])) for name, shape in self._alike[bits].items()})

    def _spaces(self, fitted: Fitted, shapes: _Key) -> Spaces | None:
        return spaces_of(fitted.whole, self._view, dict(shapes))

    def _plan(self, form: Form, key: _Key, *, any_size: bool = False) -> Fitted:
        """For inputs of these shapes, or of any size, where these are the largest."""
        shapes = dict(key)
        whole = self._model(self._requests, shapes, any_size=any_size)
        asked = 0 if self._together.takes else self._together.batch_size
        return Fitted(shapes, form, any_size, asked, whole, self._plan_waves(whole, shapes))

    def _plan_for_all(self, form: Form, key: _Key) -> Fitted | None:
        """For inputs of any size; None where the largest do not fit, or only in waves."""
        try:
            fitted = self._plan(form, key, any_size=True)
        except LimitError:
            return None
        return fitted if len(fitted.waves.parts) == 1 else None

    def _waves(self, fitted: Fitted, key: _Key) -> Waves:
        """Of a model that takes any size, for inputs of these shapes."""
        shapes = dict(key)
        return self._plan_waves(replace(fitted.whole, sized=shapes), shapes)

    def _plan_waves(self, whole: Instrumented, shapes: Shapes) -> Waves:
        return plan_waves(whole, self._view.all_taps, self._sizes(whole, shapes), self._how.memory)

    def _sizes(self, whole: Instrumented, shapes: Shapes) -> Sizes:
        """How many inputs may share a run."""
        if self._together.takes is not None:
            return Sizes([self._together.takes])
        if self._together.batch_size:
            return Sizes(range(1, min(self._together.batch_size, self._readable(shapes)) + 1))
        return chosen(whole, "cpu" if find_devices(self._how.device)[0].provider == CPU else "cuda")

    def _readable(self, shapes: Shapes) -> int:
        """The largest batch of inputs of these shapes of which as many as are there at once fit into the memory."""
        kinds = {i.name: i.dtype for i in self._view.inputs}
        one = sum(math.prod(shape) * np.dtype(kinds[name]).itemsize for name, shape in shapes.items())
        return max(1, self._how.memory // max(1, AT_ONCE * one))

    def _model(
        self, requests: Sequence[Request], shapes: Shapes, *, any_size: bool, keep_outputs: bool = False
    ) -> Instrumented:
        free = self._together.form is Form.FREED
        model = instrument(self._view, requests, shapes=shapes, any_size=any_size, free=free, keep_outputs=keep_outputs)
        for request in () if any_size else requests:
            if not keeps_maps(request.measure):
                refuse_empty(self._view, model.maps[request.tensor])
        if model.map_bytes is not None and model.map_bytes > self._how.memory:
            raise LimitError(
                "whole maps",
                "one input would bring out too many bytes",
                expected=f"at most {self._how.memory}",
                found=str(model.map_bytes),
                remedy="Choose fewer taps or smaller inputs, or allow the run more memory.",
            )
        return model


def _around(known: Shapes, shapes: Shapes) -> Shapes:
    """What both fit into."""
    return {name: _around_one(known.get(name, shape), shape) for name, shape in shapes.items()}


def _around_one(before: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of one input. A size that grows is rounded up, so that it does not grow often."""
    if len(before) != len(shape):  # another number of axes, where a model leaves that open
        return shape
    return tuple(a if b <= a else _rounded(b) for a, b in zip(before, shape, strict=True))


def _rounded(size: int) -> int:
    """Up to one of eight steps from a power of two to the next."""
    step = 1 << max(0, (size - 1).bit_length() - 4)
    return -(-size // step) * step


def _key(shapes: Shapes) -> _Key:
    return tuple(sorted(shapes.items()))
