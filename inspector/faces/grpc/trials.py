"""Files that were never loaded before are tried in a child process first; verdicts are kept by content."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final

from inspector.control import Stop
from inspector.errors import InspectorError, StoppedError
from inspector.faces.grpc.recent import Recent
from inspector.faces.grpc.settings import MIB, Settings
from inspector.faces.grpc.use_cases import ServedView, UseCases
from inspector.graph.external import data_files_beside

_KEPT: Final = 10_000
_log = logging.getLogger(__name__)


class Trials:
    """Loads models, once a child process has survived loading them. For use from many threads.

    A verdict is final while the server runs: a client cannot have a file that hangs tried again and again. Of a file in
    the folder it holds while that file, and whatever could be its data files, stay as they are.
    """

    def __init__(self, use_cases: UseCases[Any], settings: Settings) -> None:
        self._use_cases = use_cases
        self._seconds, self._memory = settings.trial_seconds, settings.trial_mib * MIB
        self._stop = Stop()
        self._verdicts: Recent[Hashable, InspectorError | None] = Recent(_KEPT)

    def load(self, source: Path | bytes, *, name: str = "") -> ServedView:
        """The model in a file, or in these bytes.

        Raises:
            ModelError: it is none, or loading it ended the child.
            LimitError: it is too large, or took too long or too much memory in the child.
        """
        key = (name, _identity(source))
        if key not in self._verdicts:
            self._verdicts.put(key, self._tried(source, name))
        refused = self._verdicts.get(key)
        if refused is not None:
            raise _again(refused)
        view: ServedView = self._use_cases.load(source, name=name)
        return view

    def end(self) -> None:
        """Ends a trial that goes on, and refuses new ones."""
        self._stop.set()

    def _tried(self, source: Path | bytes, name: str) -> InspectorError | None:
        try:
            self._use_cases.vet(source, name=name, seconds=self._seconds, memory=self._memory, stop=self._stop)
        except StoppedError:
            raise
        except InspectorError as error:
            _log.warning("%s", error)
            return error
        return None


def _identity(source: Path | bytes) -> Hashable:
    """Equal for equal contents."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    status = source.stat()
    return source, status.st_ino, status.st_size, status.st_mtime_ns, data_files_beside(source.parent)


def _again(error: InspectorError) -> InspectorError:
    """A new error that says the same: one that is raised twice gathers traces of both."""
    return type(error)(error.subject, error.problem, expected=error.expected, found=error.found, remedy=error.remedy)
