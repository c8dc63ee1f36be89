"""Thousands of hostile files through everything that a stranger's file goes through; `make fuzz`.

`FUZZ_SECONDS` (120) is how long, `FUZZ_SEED` (the clock) where the numbers of the mutants begin: the same number always
gives the same file. Files with a fault are kept in `fuzz/`. Ends with 1 where there is one: another exception than an
InspectorError, a plugin that raises, or more than ten seconds. A child that dies is no fault: a server tries new files
in such a child for this reason; how many died, and in which phase, is printed.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "hostile")]

from hostile_files import MADE  # noqa: E402 - only found once the path is set
from hostile_judge import content  # noqa: E402 - as above
from hostile_pool import Verdict, judged  # noqa: E402 - as above

SAVED = Path("fuzz")


def cases(first: int, until: float) -> Iterator[str]:
    """The made ones, then mutants while there is time."""
    yield from (f"made:{name}" for name in MADE)
    for number in itertools.count(first):
        if time.monotonic() > until:
            return
        yield f"mutant:{number}"


def save(verdict: Verdict) -> Path:
    """Keeps the file of a verdict, to look at it."""
    SAVED.mkdir(exist_ok=True)
    path = SAVED / f"{verdict.case.replace(':', '-')}.onnx"
    path.write_bytes(content(verdict.case))
    return path


def main() -> int:
    """Prints what is found while it is found, and counts at the end."""
    seconds, seed = float(os.environ.get("FUZZ_SECONDS", "120")), int(os.environ.get("FUZZ_SEED", time.time()))
    print(f"{seconds:g} s, mutants from number {seed}", flush=True)
    began, kinds, faults = time.monotonic(), Counter[str](), 0
    for verdict in judged(cases(seed, began + seconds), children=os.cpu_count() or 2):
        words = verdict.text.split(": ")
        kinds[": ".join(words[:2] if words[0] != "FAULT" else words[:1])] += 1
        if words[0] in ("FAULT", "died"):
            faults += words[0] == "FAULT"
            print(f"{verdict.case}: {verdict.text} [{verdict.seconds:.1f} s] -> {save(verdict)}", flush=True)
    took = time.monotonic() - began
    print(f"{kinds.total()} files in {took:.0f} s, {kinds.total() / took:.0f} a second")
    for kind, count in sorted(kinds.items()):
        print(f"{count:7} {kind}")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
