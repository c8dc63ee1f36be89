"""Whether an audit's memory depends on how many inputs there are.

`python -m benchmarks.flat_memory [--inputs 1000 20000] [--turns 3] [--write]`. Each audit (`sparsity` and
`distribution` of the sample `patches` on noise) runs in a process of its own; its peak is the resident set's.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from typing import Final

import inspector
from benchmarks.results import table, write_section
from benchmarks.timing import machine
from inspector.samples import SAMPLES

NET: Final = next(sample for sample in SAMPLES if sample.name == "patches")


def measured(inputs: int) -> tuple[float, float]:
    """Peak memory in MB and seconds of an audit of so many inputs, in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, "--child", str(inputs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, seconds = done.stdout.split()
    return float(peak), float(seconds)


def _child(inputs: int) -> None:
    began = time.perf_counter()
    inspector.audit(NET.model, f"noise:{inputs}", ["sparsity", "distribution"])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.perf_counter() - began)


def main() -> None:
    """Runs the audits in turns, prints the table, and writes it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, nargs="+", default=[1000, 20000])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--child", type=int)
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    if options.child:
        _child(options.child)
        return
    turns = [{count: measured(count) for count in options.inputs} for _ in range(options.turns)]
    rows = []
    for count in options.inputs:
        peaks, seconds = zip(*(turn[count] for turn in turns), strict=True)
        spread = f"{statistics.median(peaks):.0f} ({min(peaks):.0f} to {max(peaks):.0f})"
        rows.append([f"{count:,}", spread, f"{statistics.median(seconds):.1f}"])
    text = (
        f"`python -m benchmarks.flat_memory`: the sample `patches` on noise, {options.turns} turns; medians, least to "
        "most."
        f"\n\n{machine()}\n\n{table(['inputs', 'peak memory, MB', 'seconds'], rows)}"
    )
    print(text)
    if options.write:
        write_section("Memory against the number of inputs", text)


if __name__ == "__main__":
    main()
