"""Batches through the instrumented model: rows by request. One model and one session for all analyses of a run."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from inspector.analysis.check import RANDOM, Checked, self_check
from inspector.analysis.overlap import Overlap
from inspector.analysis.passes import Passes, in_parts
from inspector.analysis.run import Rows
from inspector.analysis.sharing import Sharing, close, is_real, look, two
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

_MIXED: Final = "the model mixes inputs that share a run: one alone has other rows; so every input ran alone"


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
        self._looked, self._looks_later = not self._how.check, False
        self._seen: tuple[Mapping[str, Array], Rows] | None = None
        self._scattered: frozenset[Request] = frozenset()
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
            for batch in running.each(batches):
                self.waited = running.waited
                if batch is None:
                    yield from running.finish()
                    continue
                if shapes != (found := _shapes(batch.feeds)) or (self._looks_later and len(batch.info.ids) > 1):
                    yield from running.finish()
                    shapes = found
                    passes = self._prepare(open_now, shapes, batch.feeds)
                for part in _singly(batch) if self._alone else (batch,):
                    yield from running.start(functools.partial(self._run, passes, part))
            yield from running.finish()

    def _run(self, passes: Passes, batch: Batch) -> tuple[Rows, BatchInfo]:
        seen, self._seen = self._seen, None
        rows = seen[1] if seen is not None and seen[0] is batch.feeds else passes(batch.feeds)
        self._remember(passes)
        if self._scattered:  # nothing is cut off of a run that was filled up: what of it belongs to an input?
            fixed = self._fixed or 1
            rows = {r: np.repeat(row, fixed, axis=0) if r in self._scattered else row for r, row in rows.items()}
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

    def _prepare(self, open_now: contextlib.ExitStack, shapes: Shapes, feeds: Mapping[str, Array]) -> Passes:
        """What inputs of these shapes go through, planned so that it fits, and checked with the first of them."""
        if self._free is None:
            self._free = self._can_share(feeds)
        while True:
            open_now.close()
            passes, whole, waves = self._pass(shapes, feeds)
            open_now.enter_context(passes)
            if self._shares(passes, waves.batch, feeds):
                self._remember_plan(waves, whole)
                return passes

    def _pass(self, shapes: Shapes, feeds: Mapping[str, Array]) -> tuple[Passes, Instrumented, Waves]:
        """What inputs go through as far as is known now, the model for it, and what of that runs together."""
        how, free, fixed = self._how, bool(self._free), None if self._free else self._fixed
        whole, waves = self._planned(shapes, free=free)
        models = (
            [whole] if len(waves.parts) == 1 else [self._instrument(part, shapes, free=free) for part in waves.parts]
        )
        if how.check and self.checked is None:
            self.checked = self._check(waves, shapes, feeds)
            self._say(*self.checked.notes)
        stay = len(models) == 1 or _all_open(models, waves.batch) <= how.memory
        passes = Passes(models, self._open, self._verifier, size=waves.batch, fill=fixed is not None, stay=stay)
        return passes, whole, waves

    def _shares(self, passes: Passes, size: int, feeds: Mapping[str, Array]) -> bool:
        """Whether inputs may share runs of `size` as planned; if not, the next plan has to be another one."""
        copies = 1 if self._free else self._fixed or 1
        given = {name: array[:1] for name, array in feeds.items()} if self._alone else feeds
        count = len(next(iter(given.values())))
        self._looks_later = not self._looked and count == 1 < size and self._how.batch_size != 1
        if self._looked or (copies == 1 and min(count, size) == 1):
            return True
        self._looked = not self._looks_later
        found = look(passes, given, copies=copies, tolerance=self._tolerance)
        self._scattered |= found.scattered
        if found.sharing is Sharing.RANDOM:
            self._say(RANDOM)
        if found.sharing is not Sharing.MIXED or self._alone:
            self._seen = (feeds, found.rows) if given is feeds else None
            return True
        self._looked = False
        if self._free:
            self._free = False
            self.notes.remove(self._form(same=True))
            self._say(self._form(same=False))
        else:
            self._alone, self._how, self._plan = True, replace(self._how, batch_size=1), None
            self._say(_MIXED)
        return False

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
        most = max(model.footprint.part(model.names).peak(fixed or 1) for model in watched)
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
        self._say(*(note for applies, note in notes if applies))

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
        self._say(*(note for applies, note in notes if applies))

    def _say(self, *notes: str) -> None:
        self.notes += [note for note in notes if note not in self.notes]

    @property
    def _tolerance(self) -> float:
        """Of the largest number: how far kernels may be apart for runs of different sizes."""
        return 1e-2 if self._view.is_coarse else 1e-4

    def _can_share(self, feeds: Mapping[str, Array]) -> bool:
        """Whether the model with its batch freed gives two inputs the rows and outputs that the original gives them."""
        assert self._fixed is not None
        some = {name: two(array) for name, array in feeds.items()}
        try:
            with self._open_both(free=False) as (model, plain):
                expected, again = (in_parts(plain, some, self._fixed, fill=True) for _ in range(2))
            if not self._same(model, expected, model, again):
                self._say(RANDOM, f"{self._fixes}; it ran as it is")
                return False
            with self._open_both(free=True) as (freed, session):
                same = self._same(model, expected, freed, session.run(some))
        except StoppedError:
            raise
        except (InspectorError, ValueError):
            same = False
        self._say(self._form(same=same))
        return same

    def _same(self, model: Instrumented, a: Sequence[Array], other: Instrumented, b: Sequence[Array]) -> bool:
        """Whether two runs gave the same rows and outputs, up to rounding."""
        rows, others = model.rows(a), other.rows(b)
        pairs = [(rows[slot], others[slot]) for slot in rows if is_real(rows[slot])]  # a count may change by rounding
        pairs += zip(model.own_of(a), other.own_of(b), strict=True)
        return all(close(x, y, self._tolerance) for x, y in pairs)

    def _form(self, *, same: bool) -> str:
        """The note that says whether the batch was made free."""
        if same:
            return f"{self._fixes}; made free, it gives two inputs the original's outputs"
        return f"{self._fixes} and gives other outputs without that; it ran as it is"

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


def _singly(batch: Batch) -> Iterator[Batch]:
    """The inputs of a batch, each a batch of its own."""
    for i in range(len(batch.info.ids)):
        feeds = {key: array[i : i + 1] for key, array in batch.feeds.items()}
        info = BatchInfo(batch.info.ids[i : i + 1], batch.info.first + i, batch.info.labels[i : i + 1])
        yield replace(batch, feeds=feeds, info=info)


def _all_open(models: Sequence[Instrumented], batch: int) -> int:
    """Bytes for the weights of all models at once, and for the values of the one that runs."""
    parts = [model.footprint.part(model.names) for model in models]
    return sum(part.weight for part in parts) + max(part.peak(batch) - part.weight for part in parts)


def _shapes(feeds: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape[1:] for name, array in feeds.items()}
