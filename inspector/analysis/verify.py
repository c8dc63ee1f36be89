"""Whether a session gives what was asked of it: every row, under its name, in the form that its measure has.

Runtimes have dropped watched tensors in optimisation and given nothing in their place.
"""

from __future__ import annotations

from collections.abc import Sequence

from inspector.contract import Array
from inspector.contract.measures import keeps_maps
from inspector.errors import RunError
from inspector.graph.instrument import Instrumented, Request, Spaces
from inspector.graph.view import OnnxView

_COUNTS = frozenset({"count", "positions"})


class Verifier:
    """Holds what a runtime gives against the slot table of an instrumented model."""

    def __init__(self, view: OnnxView) -> None:
        self._known = view.watchable

    def names(self, model: Instrumented, outputs: Sequence[str]) -> None:
        """Raises RunError where a session's outputs are not those of the model, in its order."""
        for slot, place in model.slots.items():
            if (name := model.names[place.output]) not in outputs:
                raise self._error(slot, "the runtime dropped it", f"an output {name!r}", "none of that name")
        if tuple(outputs) != model.names:
            raise RunError(
                "session", "its outputs are not those of the model, in its order", expected=", ".join(model.names[:5]),
                found=", ".join(outputs[:5]),
            )  # fmt: skip

    def rows(self, model: Instrumented, outputs: Sequence[Array], spaces: Spaces) -> dict[Request, Array]:
        """The rows that a run gave out, by slot; `spaces` as in `Instrumented.rows`.

        Raises:
            RunError: a row is missing, or has not the type, axes and channels of its measure.
        """
        for slot, place in model.slots.items():
            array = outputs[place.output]
            if array.dtype.kind == "O":
                raise self._error(slot, "the runtime gave nothing for it", "an array", "no array")
            axes, width = (place.row.rank, None) if place.columns is None else (2, model.widths[place.output])
            if array.ndim != axes or (width is not None and array.shape[1] != width):
                expected = f"{axes} axes" + ("" if width is None else f", {width} channels of all layers together")
                raise self._error(slot, "what it came in has another form", expected, str(array.shape))
        rows = model.rows(outputs, spaces)
        for slot, row in rows.items():
            known = self._known[slot.tensor]
            maps, op = keeps_maps(slot.measure), slot.measure.op
            axes = known.layout.rank if maps else 2
            channels = 1 if op == "positions" else known.channels
            if op in _COUNTS and row.dtype.kind != "i":
                raise self._error(slot, "its counts are no whole numbers", "int64", row.dtype.name)
            if row.ndim != axes or channels not in {row.shape[1], None}:
                found, expected = str(row.shape), f"{axes} axes, {channels or 'any'} channels on the second"
                raise self._error(slot, "it came in another form", expected, found)
        return rows

    def _error(self, slot: Request, problem: str, expected: str, found: str) -> RunError:
        tap = self._known[slot.tensor].tap
        return RunError(f"tap {tap.name!r}, measure {slot.measure.op!r}", problem, expected=expected, found=found)
