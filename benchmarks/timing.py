"""Times tasks against each other fairly: interleaved in one process, medians with quartiles, ratios round by round."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)

    def scaled(self, by: float) -> Spread:
        """The same of values `by` times as large."""
        return Spread(self.median * by, self.low * by, self.high * by)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one task. `wall` and `processor` are seconds; the ratios are to the first task in the same round."""

    wall: Spread
    wall_ratio: Spread
    processor_ratio: Spread


def interleaved(tasks: Mapping[str, Callable[[], object]], rounds: int, warm: int = 2) -> dict[str, Timing]:
    """Every round does every task once, in order; the first `warm` rounds do not count.

    Processor time is that of all threads; other programs on the machine disturb it less than the time on the wall.
    """
    wall: dict[str, list[float]] = {name: [] for name in tasks}
    processor: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(warm + rounds):
        for name, task in tasks.items():
            began, spent = time.perf_counter(), time.process_time()
            task()
            if number >= warm:
                wall[name].append(time.perf_counter() - began)
                processor[name].append(time.process_time() - spent)
    first = next(iter(tasks))
    return {
        name: Timing(Spread.of(wall[name]), _ratio(wall[name], wall[first]), _ratio(processor[name], processor[first]))
        for name in tasks
    }


def _ratio(values: list[float], base: list[float]) -> Spread:
    return Spread.of([a / b for a, b in zip(values, base, strict=True)])


def machine() -> str:
    """What ran it, as one line: no names, only facts that matter for speed."""
    packages = ("onnxruntime", "onnxruntime-gpu", "numpy", "onnx", "torch")
    found = []
    for name in packages:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0))
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    return f"{day}; {cores} cores of {_processor()}; Python {platform.python_version()}, {', '.join(found)}."


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()
