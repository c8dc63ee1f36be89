"""What it costs to add up rows, and what a whole audit costs beside plain inference.

`python -m benchmarks.adding_up [--rounds 5] [--write]`. First, per analysis, the time from rows to summaries, of
random rows of every act tap, as they come in batches of 1, 8 and 64: batch by batch, and in groups, as an audit does
it. Then audits of 128 inputs in memory against the plain model on the same inputs, in the batches that the audit chose:
reading, checking, hashing, measuring, adding up and reporting, all but loading the model and the self-check.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

import inspector
from benchmarks.nets import NETS, PIXELS
from benchmarks.results import table, write_section
from benchmarks.timing import interleaved, machine
from inspector.analysis.groups import Groups
from inspector.analysis.plan import Plan, make_plan
from inspector.analysis.run import Rows, Totals
from inspector.contract import BatchInfo
from inspector.graph.instrument import instrument
from inspector.graph.view import OnnxView
from inspector.runtime.session import open_session

NAMES: Final = ("ResNet-50", "MobileNet-v2")
AUDITED_NAMES: Final = (*NAMES, "SqueezeNet")
ANALYSES: Final = ("sparsity", "distribution", "selectivity")
BATCHES: Final = (1, 8, 64)
INPUTS: Final = 256
AUDITED: Final = 128
Add = Callable[[Rows, BatchInfo], None]


def batches(view: OnnxView, plan: Plan, size: int) -> Iterator[tuple[Rows, BatchInfo]]:
    """Rows of `INPUTS` inputs of ten classes."""
    random = np.random.default_rng(0)
    for first in range(0, INPUTS, size):
        rows = {}
        for request in plan.requests:
            channels = 1 if request.measure.op == "positions" else view.watchable[request.tensor][1].out_channels
            if request.measure.op in {"count", "positions"}:
                rows[request] = random.integers(0, 3136, (size, channels), np.int64, endpoint=True)
            else:
                rows[request] = np.maximum(random.standard_normal((size, channels), np.float32), 0)
        ids = tuple(f"input[{first + i}]" for i in range(size))
        yield rows, BatchInfo(ids, first, tuple(str(i % 10) for i in range(size)))


def adding(view: OnnxView, analysis: str, size: int, rounds: int) -> tuple[float, float]:
    """Milliseconds of processor time an input: batch by batch, and in groups. Medians of rounds in turns."""
    plan = make_plan(view, [analysis], allow_maps=False)
    given = list(batches(view, plan, size))

    def singly() -> None:
        totals = Totals(plan)
        for rows, batch in given:
            totals.add(rows, batch)

    def grouped() -> None:
        groups = Groups(plan)
        for rows, batch in given:
            groups.add(rows, batch)
        groups.finish()

    spent: tuple[list[float], list[float]] = [], []
    for _ in range(rounds):
        for times, work in zip(spent, (singly, grouped), strict=True):
            began = time.process_time()
            work()
            times.append(time.process_time() - began)
    singles, groups = (1000 * statistics.median(times) / INPUTS for times in spent)
    return singles, groups


def audits(name: str, rounds: int) -> list[object]:
    """A row of the table: processor time of audits over that of plain inference."""
    view = inspector.load(NETS[name](), name=name)
    inputs = np.random.default_rng(0).standard_normal((AUDITED, 3, PIXELS, PIXELS), np.float32)
    plain = instrument(view, (), keep_outputs=True)

    def audit(*analyses: str) -> inspector.Report:
        return inspector.audit(view, inputs, analyses, device="cpu", self_check=False)

    size = audit("sparsity").provenance.batch
    with open_session(plain.model, weights=plain.weights, device="cpu") as session:

        def run() -> None:
            for start in range(0, AUDITED, size):
                session.run({"image": inputs[start : start + size]})

        timings = interleaved(
            {
                "plain": run,
                "sparsity": lambda: audit("sparsity"),
                "sparsity, distribution": lambda: audit("sparsity", "distribution"),
            },
            rounds,
            warm=1,
        )
    plain_ms = 1000 * timings["plain"].wall.median / AUDITED
    both = [timings[key] for key in timings if key != "plain"]
    return [name, size, f"{plain_ms:.1f}", *(f"{t.wall_ratio}; {t.processor_ratio}" for t in both)]


def main() -> None:
    """Measures, prints the tables, and writes them where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    rows: list[Sequence[object]] = []
    for name in NAMES:
        view = inspector.load(NETS[name](), name=name)
        for analysis in ANALYSES:
            found = [adding(view, analysis, size, options.rounds) for size in BATCHES]
            rows.append([name, analysis, *(f"{single:.2f}, {group:.2f}" for single, group in found)])
            print(*rows[-1], flush=True)
    first = table(["network", "analysis", *(f"batches of {size}: singly, in groups" for size in BATCHES)], rows)
    second = table(
        ["network", "batch", "plain, ms an input", "sparsity: wall; processor", "and distribution: wall; processor"],
        [audits(name, options.rounds) for name in AUDITED_NAMES],
    )
    text = (
        "`python -m benchmarks.adding_up`: milliseconds of processor time an input from rows to summaries, batch by "
        f"batch and in groups (ADR 26); medians of {options.rounds} rounds.\n\n{machine()}\n\n{first}\n\n"
        f"Whole audits of {AUDITED} inputs in memory over plain inference of the same batches, medians of the ratios "
        f"round by round, quartiles in brackets:\n\n{second}"
    )
    print(text)
    if options.write:
        write_section("Adding up, and whole audits (cpu)", text)


if __name__ == "__main__":
    main()
