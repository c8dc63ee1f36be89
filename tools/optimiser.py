"""Whether onnxruntime's optimiser changes what a model computes: every two operators behind each other.

`python tools/optimiser.py [--opset 17] [--longer 2000] [--device cuda]`. Every variant of an operator is put behind
every other one, and behind itself; the net runs without optimisation on the CPU, and with it, as the inspector's
sessions do. Numbers that are further apart than rounding are printed, as are nets that run in one way only. `--longer`
adds as many random chains of three to five, in which rounding can grow. Ends with 1 where anything was found. To be run
with every new onnxruntime, for opsets 13, 17 and 20 (ADR 31): a minute or two each.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(TESTS)]

from operator_chains import apart, variants  # noqa: E402 - only found once the path is set


def chains(names: Sequence[str], longer: int) -> Iterator[tuple[str, ...]]:
    """Every two, then random ones of three to five."""
    yield from itertools.product(names, repeat=2)
    random = np.random.default_rng(0)
    for _ in range(longer):
        yield tuple(random.choice(names, random.integers(3, 6)).tolist())


def main() -> int:
    """Goes through all chains, and prints those that differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opset", type=int, default=17, help="13 to the newest")
    parser.add_argument("--longer", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where the optimised nets run")
    options = parser.parse_args()
    bodies = variants(options.opset)
    tried, found = Counter[str](), 0
    for chain in chains(list(bodies), options.longer):
        how = apart([bodies[name] for name in chain], options.opset, options.device)
        tried["impossible" if how is None else "run"] += 1
        if how:
            found += 1
            print(" > ".join(chain), how, sep=": ")
        if sys.stderr.isatty() and tried.total() % 100 == 0:
            print(f"\r{tried.total():,} chains, {found:,} found", end="", file=sys.stderr, flush=True)
    what = f"onnxruntime {onnxruntime.__version__}, opset {options.opset}, {len(bodies)} operators"
    run, impossible = tried["run"], tried["impossible"]
    print(f"{what}: {run:,} chains, of which {found:,} differ; {impossible:,} more cannot be run")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
