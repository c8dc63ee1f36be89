"""What runs for inputs of some shapes: the model that gives the rows, and how many inputs and taps of it fit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from inspector.analysis.how import How
from inspector.analysis.together import Form, Together
from inspector.analysis.waves import CHOICES, Sizes, Waves, chosen, plan_waves, unknown
from inspector.errors import InspectorError, LimitError
from inspector.graph.instrument import Instrumented, Request, instrument
from inspector.graph.view import OnnxView
from inspector.runtime.data import LOOK_AHEAD, Shapes
from inspector.runtime.devices import CPU, find_devices

AT_ONCE: Final = LOOK_AHEAD + 2
"""Batches of inputs in memory: those read ahead, one that runs, and one that waits for it to end."""

KEPT: Final = 8
"""Answers that are kept: the sizes that pictures of one data set mostly have, upright and across."""
_Key = tuple[tuple[str, tuple[int, ...]], ...]
"""Shapes, as what a dictionary can hold."""


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What runs for inputs of some shapes.

    Attributes:
        shapes: of the inputs.
        asked: how many inputs were to share a run; 0: as many as the model fixes, or as are chosen.
        whole: the model with all requests.
        waves: what of it runs together.
    """

    shapes: Shapes
    asked: int
    whole: Instrumented
    waves: Waves

    def notes(self) -> Iterator[str]:
        """What was done so that it fits."""
        batch, parts, left_out = self.waves.batch, len(self.waves.parts), len(unknown(self.whole))
        if batch < self.asked:
            yield f"batches of {batch} and not {self.asked}, so that a run fits into the memory"
        if self.waves.why:
            yield f"batches of {'up to ' * (batch > 1)}{batch} were chosen: {self.waves.why}"
        if parts > 1:
            yield f"the taps were watched in {parts} waves, so that each fits"
        if left_out:
            yield f"the size of {left_out} values is not known beforehand; the estimate of memory leaves them out"


class Fitting:
    """Says what runs for inputs of given shapes, in the form that they go through the model in now."""

    def __init__(self, view: OnnxView, requests: Sequence[Request], how: How, together: Together) -> None:
        self._view, self._requests, self._how, self._together = view, requests, how, together
        self._known: dict[tuple[Form, _Key], Fitted] = {}

    def __call__(self, shapes: Shapes) -> Fitted:
        """The last answers are kept, so that sizes that take turns are fitted once each.

        Raises:
            LimitError: not even one input fits, or its whole maps are too large.
        """
        form, key = self._together.form, tuple(sorted(shapes.items()))
        known = self._known.pop((form, key), None) or self._fitted(shapes)
        self._known[form, key] = known  # the latest comes last
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        return known

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

    def models(self, fitted: Fitted) -> list[Instrumented]:
        """One for every wave."""
        parts = fitted.waves.parts
        return [fitted.whole] if len(parts) == 1 else [self._model(part, fitted.shapes) for part in parts]

    def _fitted(self, shapes: Shapes) -> Fitted:
        whole = self._model(self._requests, shapes)
        waves = plan_waves(whole, self._view.all_taps, self._sizes(whole, shapes), self._how.memory)
        return Fitted(shapes, 0 if self._together.takes else self._together.batch_size, whole, waves)

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

    def _model(self, requests: Sequence[Request], shapes: Shapes) -> Instrumented:
        model = instrument(self._view, requests, shapes=shapes, free=self._together.form is Form.FREED)
        if model.map_bytes is not None and model.map_bytes > self._how.memory:
            raise LimitError(
                "whole maps",
                "one input would bring out too many bytes",
                expected=f"at most {self._how.memory}",
                found=str(model.map_bytes),
                remedy="Choose fewer taps or smaller inputs, or allow the run more memory.",
            )
        return model
