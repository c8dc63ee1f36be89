"""SIGTERM, as a scheduler sends it before it kills, ends a command as Ctrl-C does: nothing half-written is left."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

TERMINATED: Final = 143
"""The exit code after SIGTERM, as a shell has it."""


@dataclass(slots=True)
class Ending:
    """Whether SIGTERM came."""

    asked: bool = False

    def ask(self, *_: object) -> NoReturn:
        """As a handler: ends what runs; a second signal kills."""
        self.asked = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise KeyboardInterrupt

    def code(self, code: int) -> int:
        """The exit code of a command that ended with `code`; says that SIGTERM came, where it did."""
        if not self.asked:
            return code
        with contextlib.suppress(OSError):
            if sys.stderr is not None:
                sys.stderr.write("ended by SIGTERM\n")
                sys.stderr.flush()
        return TERMINATED


@contextlib.contextmanager
def terminable() -> Iterator[Ending]:
    """Within the block SIGTERM raises KeyboardInterrupt, where it would kill; only a main thread can see to that."""
    ending = Ending()
    kills = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if not kills or threading.current_thread() is not threading.main_thread():
        yield ending
        return
    signal.signal(signal.SIGTERM, ending.ask)
    try:
        yield ending
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
