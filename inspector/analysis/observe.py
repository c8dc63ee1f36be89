"""Batches through the instrumented model: rows by request. One model and one session for all analyses of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from inspector.analysis.check import Checked, self_check
from inspector.analysis.fitting import Fitted, Fitting
from inspector.analysis.how import How
from inspector.analysis.overlap import Overlap
from inspector.analysis.passes import Passes, in_parts
from inspector.analysis.run import Rows
from inspector.analysis.together import Form, Together
from inspector.analysis.unfit import Refusal, Unfit
from inspector.analysis.verify import Verifier
from inspector.contract import Array, BatchInfo
from inspector.contract.measures import keeps_maps
from inspector.errors import InputError, LimitError, RunError
from inspector.graph.instrument import Request, instrument
from inspector.graph.view import OnnxView
from inspector.origin import many
from inspector.report import Memory
from inspector.runtime.data import Batch, Shapes
from inspector.runtime.session import Session

Refuse = Callable[[BatchInfo, Refusal], None]
"""Hears of inputs that the model cannot run, in their place among the rows."""
Outcome = tuple[Rows | Refusal, BatchInfo]
"""What became of some inputs."""


class Observer:
    """Runs batches of one model and hands out rows.

    New sessions are only made where inputs need another model (mostly never). `device`, `providers`, `batch` (how many
    inputs really shared a run; 0 where nothing ran), `memory`, `checked` and `notes` say, after the run, what really
    happened; `waited` for how many seconds nothing ran because inputs were not there yet.
    """

    def __init__(self, view: OnnxView, requests: Sequence[Request], how: How) -> None:
        self._view, self._requests, self._how = view, tuple(requests), how
        self._together = Together(view, self._requests, how)
        self._fitting = Fitting(view, self._requests, how, self._together)
        self._verifier = Verifier(view)
        self._unfit = Unfit(view, how)
        self._keeps_maps = any(keeps_maps(request.measure) for request in self._requests)
        self._fitted_notes: dict[str, None] = {}
        self.device = ""
        self.providers: Mapping[str, int] = {}
        self.batch, self._batch_note = 0, ""
        self.waited = 0.0
        self.memory: Memory | None = None
        self.checked: Checked | None = None

    def __call__(
        self, batches: Iterable[Batch | None], refuse: Refuse | None = None
    ) -> Iterator[tuple[Rows, BatchInfo]]:
        """Rows of every batch that holds inputs, in order; without requests nothing is run.

        A batch runs while the caller works on the rows of the one before. None among the batches means that their
        giver goes on only when the caller has had all rows so far. Rows of a branch that was not taken are missing.

        Raises:
            InputError, RunError: inputs that the model cannot run, where nobody is there to `refuse` them.
        """
        if not self._requests:
            yield from (({}, batch.info) for batch in batches if batch is not None)
            return
        with (
            self._unfit,
            contextlib.ExitStack() as open_now,
            contextlib.closing(self._outcomes(batches, open_now)) as outcomes,
        ):
            for found, info in outcomes:
                if not isinstance(found, InputError | RunError):
                    yield found, info
                elif refuse is None:
                    raise found
                else:
                    refuse(info, found)

    def _outcomes(self, batches: Iterable[Batch | None], open_now: contextlib.ExitStack) -> Generator[Outcome]:
        """Of every batch its rows, or why they cannot be had of these inputs."""
        with Overlap[list[Outcome]]() as running:
            now = _Now(running, open_now)
            for batch in running.each(batches):
                self.waited = running.waited
                if batch is not None:
                    yield from self._start(batch, now)
                else:
                    yield from now.finish()
                    self._fitting.restart()
            yield from now.finish()

    def _start(self, batch: Batch, now: _Now) -> Iterator[Outcome]:
        """Begins a batch; gives what became of the one before, and of those of its inputs that cannot be run."""
        try:
            fitted, rows = self._fitting(_shapes(batch.feeds)), None
        except (RunError, InputError) as error:
            yield from self._apart(batch, error, now)
            return
        except LimitError as error:
            if self._keeps_maps:  # then it is the maps that are too large
                raise
            yield from now.finish()
            yield self._unfit.too_large(batch, error), batch.info
            return
        if now.passes is None or fitted.key != now.key or self._is_due(batch, fitted):
            yield from now.finish()
            try:
                fitted, now.passes, rows = self._prepare(now.open, batch)
            except (RunError, InputError) as error:
                now.passes = None
                self._together.reconsider()
                yield from self._apart(batch, error, now)
                return
            now.key = fitted.key
        for part in _singly(batch) if self._together.form is Form.ALONE else (batch,):
            yield from chain.from_iterable(now.running.start(partial(self._run, now.passes, fitted, part, rows)))

    def _apart(self, batch: Batch, error: Refusal, now: _Now) -> Iterator[Outcome]:
        """The same where it cannot run as it is: what of it can is begun again."""
        for part, refusal in self._unfit.parts(batch, error):
            if refusal is None:
                yield from self._start(part, now)
            else:
                yield from now.finish()
                yield refusal, part.info

    def together(self, shapes: Shapes) -> int:
        """How many inputs of these shapes to bring at a time: as many as run together, or fewer where that is asked."""
        return self._fitting.bring(shapes)

    @property
    def notes(self) -> list[str]:
        """What a reader of the numbers has to know, each once."""
        said = [*_left_out(self._view), *self._together.notes(ran=bool(self.device))]
        said += self.checked.notes if self.checked else ()
        said += [self._batch_note] * bool(self._batch_note)
        said += [*self._fitted_notes, *_computed(self._view, self.device)]
        return list(dict.fromkeys(said))

    def _is_due(self, batch: Batch, fitted: Fitted) -> bool:
        return self._together.is_due(len(batch.info.ids), fitted.waves.batch)

    def _prepare(self, open_now: contextlib.ExitStack, batch: Batch) -> tuple[Fitted, Passes, Rows | None]:
        """What inputs of these shapes go through, planned so that it fits, and checked with the first of them.

        With their rows, where they ran for that already.
        """
        self._unfit.expect(batch)
        feeds = batch.feeds
        self._together.compare(feeds)
        form = self._together.form
        open_now.close()
        fitted = self._fitting(_shapes(feeds))
        if self._how.self_check and self.checked is None:
            checked = self._check(fitted, feeds)
            if checked.check is None:  # perhaps as it is these inputs that do not run: that says nothing of others
                with contextlib.closing(self._passes(fitted)) as passes:
                    passes({name: array[:1] for name, array in feeds.items()}, fitted.waves.batch, fitted.spaces)
            self.checked = checked
        passes = open_now.enter_context(contextlib.closing(self._passes(fitted)))
        size = fitted.waves.batch
        rows = self._together.look(partial(passes, size=size, spaces=fitted.spaces), feeds, size)
        if self._together.form is not form:
            self.batch, self._batch_note = 0, ""
            self._fitted_notes.clear()  # only single inputs ran until now, and what comes is fitted anew
            return self._prepare(open_now, batch)
        return fitted, passes, rows

    def _passes(self, fitted: Fitted) -> Passes:
        fill = self._together.takes is not None
        stay = len(fitted.waves.parts) == 1 or fitted.waves.at_once <= self._how.memory
        return Passes(self._fitting.models(fitted), self._how.open, self._verifier, fill=fill, stay=stay)

    def _check(self, fitted: Fitted, feeds: Mapping[str, Array]) -> Checked:
        """The first input through the plain model, and through every wave with the model's own outputs kept."""
        takes = self._together.takes
        watched = self._fitting.models(fitted, keep_outputs=True)
        most = max(model.footprint.part(model.names).peak(takes or 1) for model in watched)
        if most > self._how.memory:
            return Checked(notes=(f"outputs not checked: with them the model would take {most} bytes",))

        def run(session: Session, one: Mapping[str, Array]) -> list[Array]:
            return in_parts(session, one, takes or 1, fill=takes is not None)

        plain = instrument(self._view, (), free=self._together.form is Form.FREED, keep_outputs=True)
        first = {name: array[:1] for name, array in feeds.items()}
        half = self._view.is_half
        return self_check(plain, watched, first, self._how.fidelity, half=half, open_=self._how.open, run=run)

    def _remember(self, fitted: Fitted) -> None:
        waves, known = fitted.waves, self.memory or Memory(0, self._how.memory, 1)
        estimate, parts = max(waves.estimate, known.estimate), max(len(waves.parts), known.waves)
        self.memory = Memory(estimate, self._how.memory, parts)
        if not self.batch or waves.batch < self.batch:
            self.batch, self._batch_note = waves.batch, fitted.batch_note
        self._fitted_notes.update(dict.fromkeys(fitted.notes()))

    def _run(self, passes: Passes, fitted: Fitted, batch: Batch, known: Rows | None) -> list[Outcome]:
        try:
            rows = passes(batch.feeds, fitted.waves.batch, fitted.spaces) if known is None else known
        except RunError as error:
            parts = self._unfit.parts(batch, error)
            return [
                outcome
                for part, refusal in parts
                for outcome in (self._run(passes, fitted, part, None) if refusal is None else [(refusal, part.info)])
            ]
        self._unfit.ran(batch.feeds)
        self._remember(fitted)
        self.device, self.providers = passes.device, dict(passes.providers)
        return [(self._together.uncut(rows), batch.info)]


@dataclass(slots=True, eq=False)
class _Now:
    """What is at work, and through what: `key` as in `Fitted`, `open` holds the sessions of `passes`."""

    running: Overlap[list[Outcome]]
    open: contextlib.ExitStack
    passes: Passes | None = None
    key: Hashable = None

    def finish(self) -> Iterator[Outcome]:
        """Waits for what is at work; what became of it."""
        return chain.from_iterable(self.running.finish())


def _left_out(view: OnnxView) -> Iterator[str]:
    if view.left_out:
        verb = "is" if len(view.left_out) == 1 else "are"
        yield f"{many(len(view.left_out), 'convolution')} {verb} not watched: " + "; ".join(view.left_out[:5])


def _computed(view: OnnxView, device: str) -> Iterator[str]:
    """What is to know of how this device computes."""
    if device == "cpu" and view.is_half:
        yield "float16 on the CPU: onnxruntime computes in float32, and rounds what is measured and given out"
    if device.startswith("cuda"):
        yield "CUDA: no TF32, deterministic kernels, convolutions chosen by heuristics"


def _singly(batch: Batch) -> Iterator[Batch]:
    """The inputs of a batch, each a batch of its own."""
    return (batch.part(i, i + 1) for i in range(len(batch.info.ids)))


def _shapes(feeds: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape[1:] for name, array in feeds.items()}
