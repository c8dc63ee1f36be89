"""Files that were never loaded before are tried in a child process first; verdicts are kept by content."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from inspector.control import Stop
from inspector.errors import InspectorError, StoppedError
from inspector.faces.grpc.recent import Recent
from inspector.faces.grpc.settings import MIB, Settings
from inspector.faces.grpc.turns import Turns
from inspector.faces.grpc.use_cases import UseCases
from inspector.graph.data_files import data_files_beside

_KEPT: Final = 10_000
_log = logging.getLogger(__name__)


class UntriedError(Exception):
    """Nobody has tried this file yet."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What came of a trial: an error or nothing, and under which name the model was tried."""

    name: str
    refused: InspectorError | None


class Trials:
    """Lets a child process load models before the server does. For use from many threads; tries one at a time.

    A verdict is final while the server runs: a client cannot have a file that hangs tried again and again, under
    whatever names. Of a file in the folder it holds while whatever could be its data files stay as they are.
    """

    def __init__(self, use_cases: UseCases[Any], settings: Settings) -> None:
        self._use_cases = use_cases
        self._seconds, self._memory = settings.trial_seconds, settings.trial_mib * MIB
        self._end, self._trying = Stop(), Turns()
        self._verdicts: Recent[Hashable, _Verdict] = Recent(_KEPT)
        self._digests: Recent[Hashable, str] = Recent(_KEPT)

    def check(self, source: Path | bytes, name: str, stop: Stop | None) -> None:
        """Ends well where the model in a file, or in these bytes, may be loaded.

        `stop` gives up waiting for it, and for those before it; None: only what is known already is of interest.

        Raises:
            UntriedError: it is not known, and there is no `stop`.
            ModelError: it is none, or loading it ended the child.
            LimitError: it is too large, or took too long or too much memory in the child.
            StoppedError: the stop was asked for.
            OSError: it cannot be read.
        """
        if stop is None and isinstance(source, Path) and _stamp(source) not in self._digests:
            raise UntriedError
        key = self._identity(source)
        verdict = self._verdicts.get(key)
        if verdict is None:
            if stop is None:
                raise UntriedError
            verdict = self._in_turn(key, source, name, stop)
        if verdict.refused is not None:
            was, now = (f"model {called!r}" for called in (verdict.name, name))
            raise verdict.refused.reworded(lambda text: text.replace(was, now))  # one raised twice gathers both traces

    def end(self) -> None:
        """Ends a trial that goes on, and refuses new ones."""
        self._end.set()

    def _in_turn(self, key: Hashable, source: Path | bytes, name: str, stop: Stop) -> _Verdict:
        with self._trying.turn(stop):
            self._end.check()
            verdict = self._verdicts.get(key)
            if verdict is None:
                verdict = _Verdict(name, self._tried(source, name, stop))
                if self._identity(source) == key:  # a file that changed meanwhile is tried again
                    self._verdicts.put(key, verdict)
            return verdict

    def _tried(self, source: Path | bytes, name: str, stop: Stop) -> InspectorError | None:
        with self._end.during(stop.set):
            try:
                self._use_cases.vet(source, name=name, seconds=self._seconds, memory=self._memory, stop=stop)
            except StoppedError:
                raise
            except InspectorError as error:
                _log.warning("%s", error)
                return error
        return None

    def _identity(self, source: Path | bytes) -> Hashable:
        """Equal for equal contents, with equal files beside them."""
        if isinstance(source, bytes):
            return hashlib.sha256(source).hexdigest(), frozenset()
        stamp = _stamp(source)
        digest = self._digests.get(stamp)
        if digest is None:
            with source.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            self._digests.put(stamp, digest)
        return digest, data_files_beside(source.parent)


def _stamp(path: Path) -> Hashable:
    """Another one for a file that was changed."""
    status = path.stat()
    return path, status.st_ino, status.st_size, status.st_mtime_ns
