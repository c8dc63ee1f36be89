"""What an audit's measures cost: the instrumented model against the plain one, on the same batches.

`python -m benchmarks.against_plain [--device cpu] [--batch 8] [--rounds 15] [--write]`. At the act tap of every
convolution: largest element, mean and zero fraction, as rows of every map; then the smallest element as well, which
the `sparsity` analysis needs to tell constant channels. Both sessions run on the same device with all optimisations.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

import inspector
from benchmarks.nets import NETS, PIXELS
from benchmarks.results import table, write_section
from benchmarks.timing import Timing, interleaved, machine
from inspector import Ops, Tap, Value, Zeros
from inspector.contract.measures import TAPPED
from inspector.graph.instrument import Instrumented, Request, instrument
from inspector.graph.view import OnnxView
from inspector.runtime.session import open_session

_OP: Final = Ops()
_ZEROS: Final = (_OP.count(_OP.greater(TAPPED, 0.0)), _OP.positions(TAPPED))
MEASURES: Final[Mapping[str, Sequence[Value]]] = {
    "max": (_OP.max(TAPPED),),
    "mean": (_OP.mean(TAPPED),),
    "zeros": _ZEROS,
    "max, mean, zeros": (_OP.max(TAPPED), _OP.mean(TAPPED), *_ZEROS),
    "and min": (_OP.max(TAPPED), _OP.mean(TAPPED), *_ZEROS, _OP.min(TAPPED)),
}


def exact_taps(view: OnnxView) -> list[Tap]:
    """The act taps whose zeros can be counted."""
    return [tap for tap in view.taps() if tap.zeros is Zeros.EXACT]


def instrumented(view: OnnxView, taps: Sequence[Tap], measures: Sequence[Value]) -> Instrumented:
    """The model with these measures at these taps, and its own outputs."""
    requests = [Request(tap.tensor, measure) for tap in taps for measure in measures]
    return instrument(view, requests, shapes={"image": (3, PIXELS, PIXELS)}, keep_outputs=True)


def compare(name: str, batch: int, rounds: int, device: str) -> dict[str, Timing]:
    """Timings by set of measures; the first is plain inference."""
    data = NETS[name]()
    view = inspector.load(data, name=name)
    taps = exact_taps(view)
    feeds = {"image": np.random.default_rng(0).standard_normal((batch, 3, PIXELS, PIXELS), np.float32)}
    models = {"plain": instrumented(view, taps, ())}
    models |= {label: instrumented(view, taps, rows) for label, rows in MEASURES.items()}
    with contextlib.ExitStack() as stack:
        sessions = {
            label: stack.enter_context(open_session(m.model, weights=m.weights, device=device))
            for label, m in models.items()
        }
        return interleaved({label: lambda s=s: s.run(feeds) for label, s in sessions.items()}, rounds)  # type: ignore[misc]


def main() -> None:
    """Runs all networks, prints the table, and writes it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--net", action="append", choices=list(NETS), default=None)
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    rows = []
    for name in options.net or NETS:
        timings = compare(name, options.batch, options.rounds, options.device)
        plain = 1000 * timings["plain"].wall.median / options.batch
        for label, timing in timings.items():
            print(f"{name}: {label}: wall {timing.wall_ratio}, processor {timing.processor_ratio}", flush=True)
        ratios = [timings[label].processor_ratio for label in MEASURES]
        rows.append([name, f"{plain:.1f}", timings["max, mean, zeros"].wall_ratio, *ratios])
    columns = ["network", "plain, ms an input", "max, mean, zeros: wall", *(f"{m}: processor" for m in MEASURES)]
    text = f"{_explained(options.batch, options.rounds)}\n\n{machine()}\n\n{table(columns, rows)}"
    print(text)
    if options.write:
        write_section(f"An audit's measures against plain inference ({options.device})", text)


def _explained(batch: int, rounds: int) -> str:
    return (
        f"`python -m benchmarks.against_plain`: batch {batch}, {rounds} interleaved rounds in one process; medians of "
        "the ratios to plain inference round by round, quartiles in brackets. *Wall* is elapsed time, *processor* the "
        "time of all threads."
    )


if __name__ == "__main__":
    main()
