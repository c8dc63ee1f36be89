"""The same audit in this process, with one Ray worker of this machine, and with two.

`python -m benchmarks.on_ray [--inputs 384] [--shard-size 64] [--turns 3] [--write]`. SqueezeNet on noise. The cluster
is started before the clock; that its workers import everything and build a session for every shard is on it. Every
session uses all processors, so two workers share them: it shows what the way through Ray costs, not how it scales.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

import ray

import inspector
from benchmarks.nets import squeezenet
from benchmarks.results import table, write_section
from benchmarks.timing import machine

WAYS: Final = {"no Ray": 0, "one worker": 1, "two workers": 2}


def seconds(model: Path, workers: int, inputs: int, shard_size: int) -> float:
    """Of one audit on the wall."""
    if workers:
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    try:
        began = time.perf_counter()
        runner = "ray" if workers else ""
        report = inspector.audit(model, f"noise:{inputs}", device="cpu", shard_size=shard_size, runner=runner)
        assert report.provenance.inputs == inputs
        return time.perf_counter() - began
    finally:
        if workers:
            ray.shutdown()


def main() -> None:
    """Runs all ways in turns, prints the table, and writes it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=384)
    parser.add_argument("--shard-size", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "squeezenet.onnx")
        model.write_bytes(squeezenet())
        turns = [
            {way: seconds(model, workers, options.inputs, options.shard_size) for way, workers in WAYS.items()}
            for _ in range(options.turns)
        ]
    rows = []
    for way in WAYS:
        found = [turn[way] for turn in turns]
        ratios = [turn[way] / turn["no Ray"] for turn in turns]
        spread = f"{statistics.median(found):.1f} ({min(found):.1f} to {max(found):.1f})"
        rows.append([way, spread, f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"])
    text = (
        f"`python -m benchmarks.on_ray`: SqueezeNet, {options.inputs} inputs of noise in shards of "
        f"{options.shard_size}, {options.turns} turns; medians, least to most. Every session uses all processors, two "
        "workers share them.\n\n"
        f"{machine()}\n\n{table(['way', 'seconds', 'to no Ray'], rows)}"
    )
    print(text)
    if options.write:
        write_section("Through Ray, on one machine", text)


if __name__ == "__main__":
    main()
