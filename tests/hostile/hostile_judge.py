"""One hostile file through everything that a stranger's file goes through; a child process that does so on demand."""

from __future__ import annotations

import json
import math
import os
import random
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parent.parent))

import numpy as np
from hostile_files import made
from hostile_mutations import mutant

from inspector import InspectorError, TensorInfo, service
from inspector.analysis.runner import _versions
from inspector.faces.describe import describe
from inspector.graph.load import load
from inspector.graph.view import OnnxView
from inspector.report import Report
from inspector.trial import look_at, refusal

SECONDS = 20.0
"""What a file may take. On a busy machine each page of memory that is new costs several times what it else does."""
MOST_FED = 1 << 20
"""Elements of an input that is worth a run."""


def content(case: str) -> bytes:
    """The file of a case: `made:NAME`, or `mutant:NUMBER`."""
    kind, _, rest = case.partition(":")
    return made(rest) if kind == "made" else mutant(int(rest))


def judge(data: bytes, enter: Callable[[str], None] = lambda _: None) -> str:
    """`works`, or `refused: <reason>: <text>`. Any other exception than an InspectorError is raised.

    `enter` is told of every phase before it begins.
    """
    enter("load")
    try:
        view = load(data, name="net")
        enter("look")
        look_at(view)
        json.dumps(describe(view))
        enter("session")
        refused = refusal(view)
        enter("run")
        inputs = feeds(view)
        if refused or inputs is None:
            return f"works: {'no session' if refused else 'no inputs'}"
        _check(service.inspect(view, inputs, device="cpu"))
    except InspectorError as error:
        return f"refused: {error.reason}: {_readable(str(error))}"
    return "works: run"


def _readable(text: str) -> str:
    assert len(text) < 8000, "a message is too long"
    return text


def feeds(view: OnnxView) -> dict[str, Any] | None:
    """Zeros for every input; None where one cannot be fed, or would be large."""
    arrays = {info.name: _zeros(info) for info in view.inputs}
    return arrays if arrays and all(a is not None for a in arrays.values()) else None


def _zeros(info: TensorInfo) -> Any:
    if info.dtype == "unknown" or info.shape is None:
        return None
    sizes = [d if isinstance(d, int) and d >= 0 else 2 if axis == 0 else 6 for axis, d in enumerate(info.shape)]
    try:
        return np.zeros(sizes, info.dtype) if math.prod(sizes) <= MOST_FED else None
    except (TypeError, ValueError):
        return None


def _check(report: Report) -> None:
    """An analysis may have nothing to say, and the runtime may refuse; a plugin may not raise."""
    for result in report.results:
        assert result.failure is None or result.failure.kind != "PLUGIN_FAILED", result.failure.message


def main() -> None:
    """Reads cases line by line; writes each phase that begins, and the verdict."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    memory = int(sys.argv[1])
    _versions()  # imports what a first run would
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {random.choice(sorted(os.sched_getaffinity(0)))})  # the runtime makes a thread a core
    print("ready", file=out)
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of the processor: other work on this machine does not count
        signal.alarm(3 * int(SECONDS))
        try:
            verdict = judge(content(line.strip()), lambda phase: print(f"phase {phase}", file=out))
        except Exception as error:  # noqa: BLE001 - that it is none of ours is the finding
            trace, place = error.__traceback__, ""
            while trace is not None:
                place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
                trace = trace.tb_next
            verdict = f"FAULT: {type(error).__name__} at {place}: {str(error)[:300]}"
        print("verdict " + " ".join(verdict.split()), file=out)


if __name__ == "__main__":
    main()
