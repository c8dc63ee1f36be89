"""Small analyses of the three kinds, and ones that fail at every step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict

from inspector import Max, Note, Summary
from inspector.analysis import registry


class Params(BaseModel):
    model_config = ConfigDict(extra="forbid")
    word: str = "hello"
    names: list[str] = ["*"]
    level: float = 0.5


class Says:
    """Says a word. Nothing else."""

    name, version, Params = "says", "1", Params

    def __init__(self, params: Params) -> None:
        self.params = params

    def finalize(self, model: Any, summaries: Any) -> str:
        return f"{self.params.word} {model.name}"

    def present(self, result: str) -> list[Note]:
        return [Note(result)]


@dataclass(frozen=True, eq=False)
class Peak(Summary):
    peak: Max


class Peaks(Says):
    """The largest value of every channel."""

    name, summary = "peaks", Peak

    def select(self, model: Any) -> Any:
        return model.taps(tuple(self.params.names))

    def observe(self, op: Any, x: Any, tap: Any) -> Any:
        return {"peak": op.max(x)}

    def summarize(self, tap: Any, rows: Any, batch: Any) -> Peak:
        return Peak(rows["peak"].max(0))

    def finalize(self, model: Any, summaries: Any) -> str:
        return " ".join(f"{tap.name}={s.peak.max():.3f}" for tap, s in summaries.items())


class Again(Says):
    """Runs the model again, with its inputs halved."""

    name = "again"

    def explore(self, model: Any, lab: Any) -> str:
        taps = model.taps(kind="conv")[:1]
        half = {name: (array / 2).astype(array.dtype) for name, array in lab.inputs.items()}
        whole, less = (lab.run(feeds, taps)[taps[0]] for feeds in (lab.inputs, half))
        return f"{len(whole)} inputs, ratio {np.abs(whole).max() / np.abs(less).max():.2f}"


def failing(step: str) -> type:
    """A measured analysis that raises in one step."""

    def fail(self: Any, *_: Any) -> Any:
        raise ZeroDivisionError(f"in {step}")

    return type("Failing", (Peaks,), {"name": "failing", step: fail})


@contextmanager
def installed(*kinds: type) -> Iterator[None]:
    """Makes the classes findable, beside what is really installed."""

    class Point(EntryPoint):
        def load(self) -> Any:
            return next(k for k in kinds if k.name == self.name)  # type: ignore[attr-defined]

    points = tuple(Point(kind.name, "toys:X", registry.GROUP) for kind in kinds)  # type: ignore[attr-defined]
    real = registry._points()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_points", lambda: real + points)
        yield
