"""Batches through the instrumented model: rows by request. One model and one session for all analyses of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from inspector.analysis.run import Rows
from inspector.contract import Array, BatchInfo
from inspector.control import Stop
from inspector.errors import InspectorError, LimitError, StoppedError
from inspector.graph.batching import fixed_batch
from inspector.graph.instrument import Instrumented, Request, instrument
from inspector.graph.view import OnnxView
from inspector.runtime.data import Batch
from inspector.runtime.session import Fidelity, Session, open_session

MAX_MAP_BYTES: Final = 1 << 30
"""Whole maps that one input may bring out of the graph."""

Shapes = Mapping[str, tuple[int, ...]]


class Observer:
    """Runs batches of one model and hands out rows.

    A new session is only made when the inputs' size changes (usually never). `device`, `providers` and `notes` say,
    after the run, what really happened.
    """

    def __init__(
        self, view: OnnxView, requests: Sequence[Request], *, device: str, fidelity: Fidelity, stop: Stop, share: bool
    ) -> None:
        """`share`: let several inputs share a run, even where the model fixed its batch size."""
        self._view, self._requests, self._stop = view, tuple(requests), stop
        decided = view.decided_by_data({request.tensor for request in requests})
        self._alone = bool(decided)
        share = share and not self._alone
        self._device, self._fidelity, self._share = device, fidelity, share
        self._fixed = fixed_batch(view.inputs)
        self._free: bool | None = None if share and self._fixed is not None else False
        self.device = ""
        self.providers: Mapping[str, int] = {}
        self.notes: list[str] = [*_left_out(view), *_alone(decided)]

    def batch(self, asked: int) -> int:
        """How many inputs really shared a run, where `asked` for so many; 0 where nothing ran."""
        if not self.device:
            return 0
        return (1 if self._alone else asked) if self._fixed is None or self._free else self._fixed

    def __call__(self, batches: Iterable[Batch]) -> Iterator[tuple[Rows, BatchInfo]]:
        """Rows of every batch that holds inputs, in order; without requests nothing is run.

        Rows of a branch that was not taken are missing.
        """
        if not self._requests:
            yield from (({}, batch.info) for batch in batches)
            return
        shapes: Shapes | None = None
        with contextlib.ExitStack() as open_now:
            for batch in _singly(batches) if self._alone else batches:
                if self._free is None:
                    self._free = self._can_share(batch.feeds)
                if shapes != (found := _shapes(batch.feeds)):
                    open_now.close()
                    shapes = found
                    model = self._instrument(shapes)
                    session = open_now.enter_context(self._open(model.model))
                    self._remember(session)
                rows = self._run(session, batch.feeds)
                found_rows = zip(model.slots, rows, strict=True)
                yield {slot: row for slot, row in found_rows if len(row) or slot not in model.branched}, batch.info

    def _instrument(self, shapes: Shapes) -> Instrumented:
        model = instrument(self._view, self._requests, shapes=shapes, free=bool(self._free))
        if model.map_bytes is not None and model.map_bytes > MAX_MAP_BYTES:
            raise LimitError(
                "whole maps",
                "one input would bring out too many bytes",
                expected=f"at most {MAX_MAP_BYTES}",
                found=str(model.map_bytes),
                remedy="Choose fewer taps, or smaller inputs.",
            )
        return model

    def _open(self, model: bytes) -> contextlib.AbstractContextManager[Session]:
        return open_session(model, device=self._device, fidelity=self._fidelity, stop=self._stop)

    def _remember(self, session: Session) -> None:
        self.device, self.providers = session.device, session.providers
        notes = (
            (
                session.device == "cpu" and any(i.dtype == "float16" for i in self._view.inputs),
                "float16 on the CPU: onnxruntime computes in float32 and rounds only what it gives out",
            ),
            (
                not self._share and (self._fixed or 1) > 1,
                f"the model fixes its batch to {self._fixed}; runs are filled up with copies of the last input",
            ),
        )
        self.notes += [note for applies, note in notes if applies and note not in self.notes]

    def _run(self, session: Session, feeds: Mapping[str, Array]) -> list[Array]:
        if self._fixed is None or self._free:
            return list(session.run(feeds))
        return _run_fixed(session, feeds, self._fixed)

    def _can_share(self, feeds: Mapping[str, Array]) -> bool:
        """Whether the model with its batch freed gives two inputs the rows and outputs that the original gives them."""
        assert self._fixed is not None
        two = {name: _two(array) for name, array in feeds.items()}
        try:
            with self._open_both(free=False) as (model, plain):
                expected = _run_fixed(plain, two, self._fixed)
            with self._open_both(free=True) as (_, freed):
                found = freed.run(two)
            counts = len(model.slots)  # a count may change by rounding around its threshold; the numbers may not
            pairs = [(a, b) for i, (a, b) in enumerate(zip(expected, found, strict=True)) if i >= counts or _real(a)]
            half = any(array.dtype == np.float16 for array in feeds.values())  # rows of such a model are float32
            same = all(_close(a, b, 1e-2 if half else 1e-4) for a, b in pairs)
        except StoppedError:
            raise
        except (InspectorError, ValueError):
            same = False
        self.notes.append(
            f"the model fixes its batch to {self._fixed}; made free, it gives two inputs the original's outputs"
            if same
            else f"the model fixes its batch to {self._fixed} and gives other outputs without that; it ran as it is"
        )
        return same

    @contextlib.contextmanager
    def _open_both(self, *, free: bool) -> Iterator[tuple[Instrumented, Session]]:
        """A session that gives the rows and the model's own outputs."""
        model = instrument(self._view, self._requests, keep_outputs=True, free=free)
        with self._open(model.model) as session:
            yield model, session


def _left_out(view: OnnxView) -> Iterator[str]:
    if view.left_out:
        yield f"{len(view.left_out)} convolutions are not watched: " + "; ".join(view.left_out[:5])


def _alone(decided: tuple[str, ...]) -> Iterator[str]:
    if decided:
        yield f"{', '.join(decided[:5])}: takes its course by what is fed, for a whole run; so every input ran alone"


def _singly(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The inputs of all batches, each a batch of its own."""
    for batch in batches:
        for i, name in enumerate(batch.info.ids):
            feeds = {key: array[i : i + 1] for key, array in batch.feeds.items()}
            yield Batch(feeds, BatchInfo((name,), batch.info.first + i, batch.info.labels[i : i + 1]))


def _shapes(feeds: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape[1:] for name, array in feeds.items()}


def _run_fixed(session: Session, feeds: Mapping[str, Array], size: int) -> list[Array]:
    """Any number of inputs through a model that takes `size` at a time; what fills the last run up is cut off again.

    A value that has another number of rows than the model has inputs is given whole: what belongs to which input is
    not known.
    """
    count = len(next(iter(feeds.values())))
    parts = [
        session.run({name: _filled(array[start : start + size], size) for name, array in feeds.items()})
        for start in range(0, count, size)
    ]
    return [_cut([part[i] for part in parts], size, count) for i in range(len(parts[0]))]


def _cut(parts: list[Array], size: int, count: int) -> Array:
    whole = np.concatenate(parts)
    return whole[:count] if all(len(part) == size for part in parts) else whole


def _filled(array: Array, size: int) -> Array:
    return array if len(array) == size else np.concatenate([array, np.repeat(array[-1:], size - len(array), axis=0)])


def _two(array: Array) -> Array:
    """The first and the last input of a batch; where they are alike, another one instead of the last."""
    one, last = array[:1], array[-1:]
    others = (last, np.flip(one / 2).astype(one.dtype), np.zeros_like(one), np.ones_like(one))
    return np.concatenate([one, next(x for x in others if not np.array_equal(x, one))])


def _real(array: Array) -> bool:
    return array.dtype.kind == "f"


def _close(a: Array, b: Array, tolerance: float) -> bool:
    """Equal, reals up to rounding: batched kernels may add in another order."""
    if not _real(a):
        return np.array_equal(a, b)
    wide = np.promote_types(a.dtype, np.float32)
    x, y = a.astype(wide), b.astype(wide)
    scale = float(np.max(np.abs(x), initial=0))
    return x.shape == y.shape and bool(np.allclose(x, y, rtol=tolerance, atol=tolerance * scale, equal_nan=True))
