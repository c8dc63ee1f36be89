"""Hostile files through children that live long, for speed, and are replaced where one dies."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

JUDGE = Path(__file__).parent / "hostile_judge.py"
MEMORY = 2 << 30
SECONDS = 70.0
"""On the clock; the child counts what it really computes, and ends itself earlier."""
FILES_OF_A_CHILD = 300
"""What fragments of memory add up to must not count as the hunger of one file."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a case. `text` begins with `works`, `refused`, `FAULT`, or `died` and the phase it died in."""

    case: str
    text: str
    seconds: float

    @property
    def kind(self) -> str:
        return self.text.split(":", maxsplit=1)[0]


class Child:
    """A process that judges one case after the other, within limits."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
        self._process = subprocess.Popen(
            [sys.executable, str(JUDGE), str(MEMORY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=environment, start_new_session=True,
        )  # fmt: skip
        self._judged = 0
        assert next(self._lines(60), "") == "ready", "a child does not start"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def _end(self) -> int:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        return self._process.wait()

    def judge(self, case: str) -> Verdict:
        """What comes of a case; where the child dies of it, the next case has a new one."""
        if self._judged >= FILES_OF_A_CHILD:
            self._end()
            self._start()
        self._judged += 1
        began, phase = time.monotonic(), "load"
        assert self._process.stdin is not None
        self._process.stdin.write(f"{case}\n".encode())
        self._process.stdin.flush()
        for line in self._lines(SECONDS):
            word, _, rest = line.partition(" ")
            if word == "verdict":
                return Verdict(case, rest, time.monotonic() - began)
            phase = rest
        taken, status = time.monotonic() - began, self._process.poll()
        time.sleep(0.05)
        status = self._process.poll() if status is None else status
        self._end()
        self._start()
        how = {None: "silent", -signal.SIGPROF: "too slow", -signal.SIGALRM: "asleep"}.get(status, f"status {status}")
        return Verdict(case, f"died: {phase}: {how}", taken)

    def _lines(self, seconds: float) -> Iterator[str]:
        """What it says, until it says nothing any more or the time is over."""
        assert self._process.stdout is not None
        deadline, rest = time.monotonic() + seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline - time.monotonic())):
                data = os.read(self._process.stdout.fileno(), 1 << 16)
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                yield from (line.decode() for line in lines)


def judged(cases: Iterable[str], children: int = 2) -> Iterator[Verdict]:
    """The verdicts of all cases, in any order; `cases` may be endless, and is read no further than needed."""
    source, lock, results = iter(cases), threading.Lock(), list[Verdict]()

    def work() -> None:
        with Child() as child:
            while True:
                with lock:
                    case = next(source, None)
                if case is None:
                    return
                verdict = child.judge(case)
                with lock:
                    results.append(verdict)

    with ThreadPoolExecutor(children) as pool:
        working = [pool.submit(work) for _ in range(children)]
        while results or not all(w.done() for w in working):
            with lock:
                ready, results[:] = results[:], []
            yield from ready
            time.sleep(0.02)
        for w in working:
            w.result()
