"""Batches through the instrumented model: rows by request. One model and one session for all analyses of a run."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from inspector.analysis.check import Checked, self_check
from inspector.analysis.overlap import Overlap
from inspector.analysis.passes import Passes, in_parts
from inspector.analysis.run import Rows
from inspector.analysis.verify import Verifier
from inspector.analysis.waves import CHOICES, Sizes, Waves, chosen, plan_waves, unknown
from inspector.contract import Array, BatchInfo
from inspector.control import Stop
from inspector.errors import InspectorError, LimitError, ModelError, StoppedError
from inspector.graph.batching import fixed_batch, fixing
from inspector.graph.instrument import Instrumented, Request, instrument
from inspector.graph.view import OnnxView
from inspector.report import Memory
from inspector.runtime.data import LOOK_AHEAD, Batch, Shapes
from inspector.runtime.devices import CPU, find_devices
from inspector.runtime.session import Fidelity, Session, open_session


@dataclass(frozen=True, slots=True)
class How:
    """How a run is carried out.

    Attributes:
        device: `auto`, `cpu`, `cuda` or `cuda:<index>`.
        fidelity: `exact` or `fast`.
        stop: ends the run early.
        batch_size: how many inputs may share a run; above 1, also where the model fixed its batch size. 0: as many as
            ADR 23 chooses.
        memory: bytes that a run may take, by estimate.
        check: whether the model's own outputs are compared with and without watching.
    """

    device: str
    fidelity: Fidelity
    stop: Stop
    batch_size: int
    memory: int
    check: bool


class Observer:
    """Runs batches of one model and hands out rows.

    New sessions are only made when the inputs' size changes (usually never). `device`, `providers`, `batch` (how many
    inputs really shared a run; 0 where nothing ran), `memory`, `checked` and `notes` say, after the run, what really
    happened; `waited` for how many seconds nothing ran because inputs were not there yet.
    """

    def __init__(self, view: OnnxView, requests: Sequence[Request], how: How) -> None:
        decided = view.decided_by_data({request.tensor for request in requests})
        self._alone = bool(decided)
        self._view, self._requests = view, tuple(requests)
        self._how = replace(how, batch_size=1) if decided else how
        self._fixed, self._fixes = fixed_batch(view.inputs), _fixes(view)
        self._share = self._how.batch_size != 1
        self._plan: tuple[Shapes, bool, Instrumented, Waves] | None = None
        self._free: bool | None = None if self._share and self._fixed is not None else False
        self._verifier = Verifier(view)
        self.device = ""
        self.providers: Mapping[str, int] = {}
        self.batch = 0
        self.waited = 0.0
        self.memory: Memory | None = None
        self.checked: Checked | None = None
        self.notes: list[str] = [*_left_out(view), *_alone(decided)]

    def __call__(self, batches: Iterable[Batch | None]) -> Iterator[tuple[Rows, BatchInfo]]:
        """Rows of every batch that holds inputs, in order; without requests nothing is run.

        A batch runs while the caller works on the rows of the one before. None among the batches means that their
        giver goes on only when the caller has had all rows so far. Rows of a branch that was not taken are missing.
        """
        if not self._requests:
            yield from (({}, batch.info) for batch in batches if batch is not None)
            return
        shapes: Shapes | None = None
        with contextlib.ExitStack() as open_now, Overlap[tuple[Rows, BatchInfo]]() as running:
            for batch in running.each(_singly(batches) if self._alone else batches):
                self.waited = running.waited
                if batch is None:
                    yield from running.finish()
                    continue
                if shapes != (found := _shapes(batch.feeds)):
                    yield from running.finish()
                    open_now.close()
                    shapes = found
                    passes = open_now.enter_context(self._prepare(shapes, batch.feeds))
                yield from running.start(functools.partial(self._run, passes, batch))
            yield from running.finish()

    def _run(self, passes: Passes, batch: Batch) -> tuple[Rows, BatchInfo]:
        rows = passes(batch.feeds)
        self._remember(passes)
        return rows, batch.info

    def together(self, shapes: Shapes) -> int:
        """How many inputs of these shapes to bring at a time: as many as run together, or fewer where that is asked."""
        asked = self._how.batch_size or CHOICES[-1]
        if asked == 1 or not self._requests:
            return min(asked, CHOICES[-1])
        fixed = self._fixed or 1
        try:
            return min(asked, max(fixed, self._planned(shapes, free=self._free is not False)[1].batch))
        except InspectorError:  # whoever runs them hears of it
            return min(asked, fixed)

    def _planned(self, shapes: Shapes, *, free: bool) -> tuple[Instrumented, Waves]:
        """The model for inputs of these shapes, and what of it runs together; the last answer is kept."""
        if self._plan is None or self._plan[:2] != (shapes, free):
            how, fixed = self._how, None if free else self._fixed
            whole = self._instrument(self._requests, shapes, free=free)
            if fixed is not None:
                sizes = Sizes([fixed])
            elif how.batch_size:
                sizes = Sizes(range(1, min(how.batch_size, self._readable(shapes)) + 1))
            else:
                sizes = chosen(whole, "cpu" if find_devices(how.device)[0].provider == CPU else "cuda")
            taps = [tap for layer in self._view.layers for tap in layer.taps.values()]
            self._plan = (shapes, free, whole, plan_waves(whole, taps, sizes, how.memory))
        return self._plan[2:]

    def _readable(self, shapes: Shapes) -> int:
        """The largest batch of inputs of these shapes of which as many as are read ahead fit into the memory."""
        kinds = {i.name: i.dtype for i in self._view.inputs}
        one = sum(math.prod(shape) * np.dtype(kinds[name]).itemsize for name, shape in shapes.items())
        return max(1, self._how.memory // max(1, (LOOK_AHEAD + 1) * one))

    def _prepare(self, shapes: Shapes, feeds: Mapping[str, Array]) -> Passes:
        """What inputs of these shapes go through, planned so that it fits, and checked with the first of them."""
        if self._free is None:
            self._free = self._can_share(feeds)
        how, free, fixed = self._how, bool(self._free), None if self._free else self._fixed
        whole, waves = self._planned(shapes, free=free)
        models = (
            [whole] if len(waves.parts) == 1 else [self._instrument(part, shapes, free=free) for part in waves.parts]
        )
        self._remember_plan(waves, whole)
        if how.check and self.checked is None:
            self.checked = self._check(waves, shapes, feeds)
            self.notes += self.checked.notes
        stay = len(models) == 1 or _all_open(models, waves.batch) <= how.memory
        return Passes(models, self._open, self._verifier, size=waves.batch, fill=fixed is not None, stay=stay)

    def _instrument(self, requests: Sequence[Request], shapes: Shapes, *, free: bool) -> Instrumented:
        model = instrument(self._view, requests, shapes=shapes, free=free)
        if model.map_bytes is not None and model.map_bytes > self._how.memory:
            raise LimitError(
                "whole maps",
                "one input would bring out too many bytes",
                expected=f"at most {self._how.memory}",
                found=str(model.map_bytes),
                remedy="Choose fewer taps or smaller inputs, or allow more memory (--memory).",
            )
        return model

    def _open(self, model: Instrumented, optimised: Path | None = None) -> contextlib.AbstractContextManager[Session]:
        how = self._how
        return open_session(
            model.model, weights=model.weights, device=how.device, fidelity=how.fidelity, stop=how.stop,
            optimised=optimised,
        )  # fmt: skip

    def _check(self, waves: Waves, shapes: Shapes, feeds: Mapping[str, Array]) -> Checked:
        """The first input through the plain model, and through every wave with the model's own outputs kept."""
        free, fixed = bool(self._free), None if self._free else self._fixed
        plain = instrument(self._view, (), free=free, keep_outputs=True)
        watched = [instrument(self._view, part, shapes=shapes, free=free, keep_outputs=True) for part in waves.parts]
        most = max(model.footprint.peak(model.names, fixed or 1) for model in watched)
        if most > self._how.memory:
            return Checked(notes=(f"outputs not checked: with them the model would take {most} bytes",))

        def run(session: Session, one: Mapping[str, Array]) -> list[Array]:
            return in_parts(session, one, fixed or 1, fill=fixed is not None)

        first = {name: array[:1] for name, array in feeds.items()}
        return self_check(plain, watched, first, self._how.fidelity, open_=self._open, run=run)

    def _remember_plan(self, waves: Waves, model: Instrumented) -> None:
        known, asked, left_out = self.memory, self._how.batch_size, len(unknown(model))
        estimate = max(waves.estimate, known.estimate if known else 0)
        self.memory = Memory(estimate, self._how.memory, max(len(waves.parts), known.waves if known else 1))
        self.batch = min(waves.batch, self.batch or waves.batch)
        notes = (
            (
                waves.batch < asked and not (self._fixed and not self._free),
                f"batches of {waves.batch} and not {asked}, so that a run fits into the memory",
            ),
            (bool(waves.why), f"batches of {waves.batch}, chosen: {waves.why}"),
            (len(waves.parts) > 1, f"the taps were watched in {len(waves.parts)} waves, so that each fits"),
            (
                bool(left_out),
                f"the size of {left_out} values is not known beforehand; the estimate of memory leaves them out",
            ),
        )
        self.notes += [note for applies, note in notes if applies and note not in self.notes]

    def _remember(self, passes: Passes) -> None:
        self.device, self.providers = passes.device, dict(passes.providers)
        notes = (
            (
                self.device == "cpu" and any(i.dtype == "float16" for i in self._view.inputs),
                "float16 on the CPU: onnxruntime computes in float32, and rounds what is measured and given out",
            ),
            (
                not self._share and (self._fixed or 1) > 1,
                f"{self._fixes}; runs are filled up with copies of the last input",
            ),
            (self.device.startswith("cuda"), "CUDA: no TF32, deterministic kernels, convolutions chosen by heuristics"),
        )
        self.notes += [note for applies, note in notes if applies and note not in self.notes]

    def _can_share(self, feeds: Mapping[str, Array]) -> bool:
        """Whether the model with its batch freed gives two inputs the rows and outputs that the original gives them."""
        assert self._fixed is not None
        two = {name: _two(array) for name, array in feeds.items()}
        try:
            with self._open_both(free=False) as (model, plain):
                expected = in_parts(plain, two, self._fixed, fill=True)
            with self._open_both(free=True) as (freed, session):
                found = session.run(two)
            rows, others = model.rows(expected), freed.rows(found)
            pairs = [(rows[slot], others[slot]) for slot in rows if _real(rows[slot])]  # a count may change by rounding
            pairs += zip(model.own_of(expected), freed.own_of(found), strict=True)
            half = any(array.dtype == np.float16 for array in feeds.values())  # rows of such a model are float32
            same = all(_close(a, b, 1e-2 if half else 1e-4) for a, b in pairs)
        except StoppedError:
            raise
        except (InspectorError, ValueError):
            same = False
        self.notes.append(
            f"{self._fixes}; made free, it gives two inputs the original's outputs"
            if same
            else f"{self._fixes} and gives other outputs without that; it ran as it is"
        )
        return same

    @contextlib.contextmanager
    def _open_both(self, *, free: bool) -> Iterator[tuple[Instrumented, Session]]:
        """A session that gives the rows and the model's own outputs."""
        model = instrument(self._view, self._requests, keep_outputs=True, free=free)
        with self._open(model) as session:
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
            remedy="Export it with a batch axis that is free. Analyses of weights work.",
        )
    if len(sizes) < len(view.inputs):
        return f"the model fixes the batch of {shown}"
    return f"the model fixes its batch to {next(iter(sizes.values()), 0)}"


def _left_out(view: OnnxView) -> Iterator[str]:
    if view.left_out:
        yield f"{len(view.left_out)} convolutions are not watched: " + "; ".join(view.left_out[:5])


def _alone(decided: tuple[str, ...]) -> Iterator[str]:
    if decided:
        yield f"{', '.join(decided[:5])}: goes by all inputs of a run together; so every input ran alone"


def _singly(batches: Iterable[Batch | None]) -> Iterator[Batch | None]:
    """The inputs of all batches, each a batch of its own."""
    for batch in batches:
        if batch is None:
            yield None
            continue
        for i in range(len(batch.info.ids)):
            feeds = {key: array[i : i + 1] for key, array in batch.feeds.items()}
            info = BatchInfo(batch.info.ids[i : i + 1], batch.info.first + i, batch.info.labels[i : i + 1])
            yield replace(batch, feeds=feeds, info=info)


def _all_open(models: Sequence[Instrumented], batch: int) -> int:
    """Bytes for the weights of all models at once, and for the values of the one that runs."""
    weights = [model.footprint.weight(model.names) for model in models]
    values = [model.footprint.peak(model.names, batch) - w for model, w in zip(models, weights, strict=True)]
    return sum(weights) + max(values)


def _shapes(feeds: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape[1:] for name, array in feeds.items()}


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
