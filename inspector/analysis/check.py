"""The self-check of a run: whether watching a model changes what it computes, and what the runtime makes of it.

One input goes through the plain model and through the watched one with the model's own outputs kept, on the same
device with the same fidelity. Without optimisation nothing may change but what is computed in 16 bits: the CPU does so
in 32, and rounds a value where it is watched (ADR 10). With it, a watched value can no longer be fused away, so that
other kernels run and the last bits differ; more than that means that the optimiser computes something else, unless not
even the plain model gives the same twice.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from inspector.analysis.sharing import is_real
from inspector.contract import Array
from inspector.errors import InspectorError, StoppedError
from inspector.graph.contents import operators
from inspector.graph.instrument import Instrumented
from inspector.graph.writing import PREFIX
from inspector.report import Check, OperatorCount
from inspector.runtime.session import Fidelity, Session

TOLERANCE: Final = 1e-3
"""Of an output's largest magnitude: how far `fast` may move a number."""
HALF_TOLERANCE: Final = 2e-2
"""The same for numbers of 16 bits, whose own steps are 2^-11 and 2^-8."""
RANDOM: Final = (
    "warning: one input gives other numbers every time it runs: the model is random, as Dropout in training is, or "
    "keeps something from run to run; so are its numbers here"
)

T = TypeVar("T")
Open = Callable[[Instrumented, Path | None], AbstractContextManager[Session]]
Run = Callable[[Session, Mapping[str, Array]], Sequence[Array]]
_Counts = Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a self-check found; `check` is None where it could not be made, and `notes` say why."""

    check: Check | None = None
    operators: tuple[OperatorCount, ...] = ()
    notes: tuple[str, ...] = ()


def self_check(
    plain: Instrumented, watched: Sequence[Instrumented], feeds: Mapping[str, Array], fidelity: Fidelity, *,
    half: bool, open_: Open, run: Run,
) -> Checked:  # fmt: skip
    """Compares the outputs of one input; never raises but for StoppedError.

    Args:
        plain: the model without taps.
        watched: it with taps, in one or more waves, its own outputs kept.
        feeds: one input, by name, batch axis first.
        fidelity: what the difference is judged by.
        half: whether the model computes in float16, whatever it gives.
        open_: opens a session; with a path, it has the optimised model written there.
        run: runs one.
    """

    def outputs(model: Instrumented, runs: int = 1) -> tuple[list[list[Array]], _Counts | None]:
        with tempfile.TemporaryDirectory(prefix="inspector-") as folder:
            path = Path(folder) / "optimised.onnx"
            with open_(model, path) as session:
                return [list(run(session, feeds)) for _ in range(runs)], operators(path, PREFIX)

    try:
        (expected, again), before = outputs(plain, 2)
    except StoppedError:
        raise
    except (InspectorError, ValueError, OSError) as error:
        return Checked(notes=(f"outputs not checked: the plain model cannot run by itself: {error}",))
    checks: list[Check] = []
    after = Counter[tuple[str, str]]()
    for wave in watched:
        try:
            (found,), counts = outputs(wave)
        except StoppedError:
            raise
        except (InspectorError, ValueError, OSError) as error:
            return Checked(notes=(f"outputs not checked: the watched model cannot keep its own: {error}",))
        checks.append(compare(expected, wave.own_of(found), fidelity, half=half))
        after.update(counts)
    check = _worst(checks)
    notes = _notes(check, fidelity) if compare(expected, again, "fast", half=half).passed else (RANDOM,)
    return Checked(check, _table(before, after), notes)


def compare(expected: Sequence[Array], found: Sequence[Array], fidelity: Fidelity, *, half: bool = False) -> Check:
    """The model's outputs without and with watching, in order. `half`: all of it may have been rounded to 16 bits."""
    max_abs = max_rel = 0.0
    equal, near = True, len(expected) == len(found)
    for a, b in zip(expected, found, strict=False):
        same = _equal(a, b)
        equal = equal and same
        if same:
            continue
        if not (is_real(a) and is_real(b) and a.shape == b.shape):
            near = False
            continue
        apart, relative = _distance(a, b)
        max_abs, max_rel = max(max_abs, apart), max(max_rel, relative)
        rounded = half or a.dtype.itemsize < 4
        near = near and (rounded or fidelity == "fast") and relative <= (HALF_TOLERANCE if rounded else TOLERANCE)
    equal = equal and len(expected) == len(found)
    return Check(len(expected), max_abs, max_rel, equal, near)


def _equal(a: Array, b: Array) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return bool(np.array_equal(a, b, equal_nan=is_real(a)))


def _distance(a: Array, b: Array) -> tuple[float, float]:
    """The largest difference, and that over the largest finite magnitude of `a`.

    A NaN or Inf on one side only is infinitely far.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    alike = (x == y) | (np.isnan(x) & np.isnan(y))
    with np.errstate(invalid="ignore"):
        apart = np.where(alike, 0.0, np.abs(x - y))
    apart = np.where(np.isnan(apart), np.inf, apart)
    most = float(np.max(apart, initial=0.0))
    largest = float(np.max(np.abs(x), initial=0.0, where=np.isfinite(x)))
    return most, most / largest if largest else (np.inf if most else 0.0)


def _worst(checks: Sequence[Check]) -> Check:
    return Check(
        checks[0].outputs,
        max(c.max_abs for c in checks),
        max(c.max_rel for c in checks),
        all(c.equal for c in checks),
        all(c.passed for c in checks),
    )


def _table(plain: _Counts | None, watched: _Counts) -> tuple[OperatorCount, ...]:
    before = plain or {}
    return tuple(
        OperatorCount(*kind, before.get(kind, 0), watched.get(kind, 0)) for kind in sorted({*before, *watched})
    )


def _notes(check: Check, fidelity: Fidelity) -> tuple[str, ...]:
    if check.passed:
        return ()
    apart = f"its outputs are {check.distance}"
    if fidelity == "exact":
        return (f"warning: watching changes the model: {apart}; no more than rounding to 16 bits was expected",)
    allowed = f"more than {TOLERANCE:g} ({HALF_TOLERANCE:g} for 16 bits), or whole numbers changed; try exact"
    return (f"warning: the optimiser computes something else when the model is watched: {apart}; {allowed}",)
