"""A function of ours in a child process that may die: limits on time, memory and files. It knows no models.

This contains crashes, hangs and hunger. It is no sandbox: the child has the rights of its user.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import BinaryIO, Final

from inspector.control import Stop

if sys.platform != "win32":
    import resource

MAX_ANSWER: Final = 1 << 16
"""Bytes of an answer. No file that the child writes can be larger."""
_OPEN_FILES: Final = 64
_NO_MEMORY: Final = 77
_FLAGS: Final = ("-P", "-B")
"""No module is looked for in the working folder, and none is compiled into a file: Python takes no notice of a limit on
files there, and would leave the first 64 KiB of a module of a library, which nobody could import any more."""
_ENTRY: Final = "from inspector.runtime.confined import enter; enter()"
_PASSED_ON: Final = (
    "PATH",
    "PYTHONHOME",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SYSTEMROOT",
    "TMPDIR",
    "LANG",
    "HOME",
)
_ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX"), "1")
"""Every thread reserves address space for its stack and its heap, which the limit on memory counts."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the child may use.

    Attributes:
        seconds: on the clock, and of one core.
        memory: bytes of address space, of which some 400 MB are taken before anything is read. Systems that do not
            enforce it (macOS) leave the other limits.
    """

    seconds: float = 60.0
    memory: int = 2 << 30


DEFAULT_BOUNDS: Final = Bounds()


class End(Enum):
    """How the child ended."""

    ANSWERED = "it answered"
    TIME = "it did not end in time"
    MEMORY = "it wanted more memory than it may have"
    CRASHED = "it crashed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. `answer` is empty unless it answered, and is as trustworthy as what the child was given."""

    end: End
    answer: bytes = b""
    detail: str = ""


Function = Callable[[BinaryIO, Sequence[str]], bytes]
"""What a child runs: it is given a stream to read from and texts, and returns its answer."""


def run_confined(function: str, data: bytes, arguments: Sequence[str], bounds: Bounds, stop: Stop) -> Outcome:
    """Runs the `Function` of that name, `module:function`, in a fresh child, and waits for it.

    Nothing is pickled: the child reads `data` and `arguments`, and writes bytes. It gets no other environment
    variables than it needs to start, works in a folder of its own, leads a process group, and is killed with all of
    that group when its time is over.

    Raises:
        StoppedError: the stop was asked for; the child is gone.
    """
    limits = (repr(bounds.seconds), str(bounds.memory))
    command = [sys.executable, *_FLAGS, "-c", _ENTRY, *limits, function, *arguments]
    with (
        tempfile.TemporaryDirectory(prefix="inspector-") as folder,
        tempfile.TemporaryFile() as answer,
        subprocess.Popen(  # noqa: S603 - our own interpreter, code and names
            command,
            stdin=subprocess.PIPE,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=_environment(),
            start_new_session=True,
        ) as child,
    ):
        try:
            with stop.during(lambda: _kill_group(child)):
                child.communicate(data, timeout=bounds.seconds)
        except subprocess.TimeoutExpired:
            return Outcome(End.TIME, detail=f"{bounds.seconds:g} s on the clock")
        finally:
            _kill_group(child)
        stop.check()
        answer.seek(0)
        return _outcome(child.returncode, answer.read(MAX_ANSWER), bounds)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return kept | _ONE_THREAD | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """The child and whatever it started; a group that is gone already is what is wanted."""
    if sys.platform == "win32":
        child.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


def _outcome(status: int, answer: bytes, bounds: Bounds) -> Outcome:
    if status == 0:
        return Outcome(End.ANSWERED, answer)
    if status == _NO_MEMORY:
        return Outcome(End.MEMORY, detail=f"more than {bounds.memory} bytes")
    if status >= 0:
        return Outcome(End.CRASHED, detail=f"exit status {status}")
    name = signal.Signals(-status).name
    ends = {"SIGXCPU": End.TIME, "SIGALRM": End.TIME, "SIGKILL": End.MEMORY}  # nobody else kills: out of memory
    return Outcome(ends.get(name, End.CRASHED), detail=f"signal {name}")


def enter() -> None:
    """The child's main function: takes the limits, answers, and ends at once, without tidying up."""
    seconds, memory, function, *arguments = sys.argv[1:]
    module, _, name = function.partition(":")
    with _answer_file() as out:
        limit_this_process(Bounds(float(seconds), int(memory)))
        try:
            chosen: Function = getattr(importlib.import_module(module), name)
            out.write(chosen(sys.stdin.buffer, arguments))
        except MemoryError:
            os._exit(_NO_MEMORY)
    os._exit(0)


@contextlib.contextmanager
def _answer_file() -> Iterator[BinaryIO]:
    """Standard output, kept from everything else that might print."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        yield out


def limit_this_process(bounds: Bounds) -> None:
    """Takes the limits, for good. An alarm ends the process even where its parent is gone."""
    if sys.platform == "win32":
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    signal.setitimer(signal.ITIMER_REAL, bounds.seconds + 1)
    seconds = math.ceil(bounds.seconds) + 1
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, MAX_ANSWER),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, bounds.memory),
    ):
        hard = resource.getrlimit(kind)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):  # a system that cannot limit this; the clock remains
            resource.setrlimit(kind, (allowed, hard if kind == resource.RLIMIT_CPU else allowed))
