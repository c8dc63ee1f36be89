"""What an input takes of an audit's time, by how many inputs share a run, and what that takes of memory by estimate.

`python -m benchmarks.batch_size [--device cpu] [--net ResNet-50] [--rounds 4] [--write]`. The measures of
`benchmarks.against_plain` at every act tap. A task runs at least 16 inputs, 1,024 of the sample; tasks take turns in
one process, on one session. ADR 23 chooses the batch size from these figures.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

import inspector
from benchmarks.against_plain import MEASURES, exact_taps, instrumented
from benchmarks.nets import NETS, PIXELS
from benchmarks.results import table, write_section
from benchmarks.timing import interleaved, machine
from inspector.analysis.waves import CHOICES, chosen, plan_waves
from inspector.contract import Array
from inspector.graph.instrument import Instrumented, Request, instrument
from inspector.graph.view import OnnxView
from inspector.runtime.memory import default_budget
from inspector.runtime.session import Session, open_session
from inspector.samples import SAMPLES

BASE: Final = 16
"""The batch that the others are compared with."""
SMALL: Final = "digits (a sample)"
DEFAULT: Final = (SMALL, "MobileNet-v2", "SqueezeNet", "ResNet-50")


def prepared(name: str) -> tuple[OnnxView, Instrumented, Array]:
    """The network, the same with measures, and inputs."""
    if name == SMALL:
        sample = next(sample for sample in SAMPLES if sample.name == "digits")
        view, shape = inspector.load(sample.model), (1, 16, 16)
        requests = [Request(tap.tensor, m) for tap in exact_taps(view) for m in MEASURES["max, mean, zeros"]]
        model = instrument(view, requests, shapes={view.inputs[0].name: shape})
    else:
        view, shape = inspector.load(NETS[name](), name=name), (3, PIXELS, PIXELS)
        model = instrumented(view, exact_taps(view), MEASURES["max, mean, zeros"])
    return view, model, np.random.default_rng(0).standard_normal((CHOICES[-1], *shape), np.float32)


def tasks(session: Session, name: str, inputs: Array, least: int) -> Mapping[str, Callable[[], None]]:
    """By batch size: that many inputs a run, until `least` or more went through."""

    def task(batch: int) -> None:
        for _ in range(0, max(least, batch), batch):
            session.run({name: inputs[:batch]})

    order = (BASE, *(size for size in CHOICES if size != BASE))
    return {str(size): lambda size=size: task(size) for size in order}  # type: ignore[misc]


def measured(name: str, rounds: int, device: str) -> list[list[str]]:
    """The rows of one network."""
    view, model, inputs = prepared(name)
    least = 1024 if name == SMALL else BASE
    with open_session(model.model, weights=model.weights, device=device) as session:
        timings = interleaved(tasks(session, view.inputs[0].name, inputs, least), rounds, warm=1)
    taps = [tap for layer in view.layers for tap in layer.taps.values()]
    taken = plan_waves(model, taps, chosen(model, device.partition(":")[0]), default_budget()).batch
    rows = []
    for size in CHOICES:
        timing, count = timings[str(size)], max(least, size)
        spreads = (timing.wall_ratio.scaled(least / count), timing.processor_ratio.scaled(least / count))
        estimate = model.footprint.part(model.names).peak(size) / (1 << 20)
        mark = " (chosen)" if size == taken else ""
        rows.append(
            [name, f"{size}{mark}", f"{1000 * timing.wall.median / count:.2f}", *map(str, spreads), f"{estimate:,.0f}"]
        )
    return rows


def main() -> None:
    """Runs the networks, prints the table, and writes it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--net", action="append", choices=[SMALL, *NETS], default=None)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    rows = [row for name in options.net or DEFAULT for row in measured(name, options.rounds, options.device)]
    columns = ["network", "batch", "ms an input", f"wall, to {BASE}", f"processor, to {BASE}", "estimate, MiB"]
    text = (
        f"`python -m benchmarks.batch_size`: {options.rounds} interleaved rounds in one process; medians, and of an "
        f"input's time to that at batch {BASE} quartiles in brackets. *Chosen* is what an audit takes where nobody "
        f"says.\n\n{machine()}\n\n{table(columns, rows)}"
    )
    print(text)
    if options.write:
        write_section(f"Batch sizes ({options.device})", text)


if __name__ == "__main__":
    main()
