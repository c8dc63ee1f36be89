"""Files that were never loaded before are tried in a child process first; verdicts are kept by content."""

from __future__ import annotations

import hashlib
import logging
from typing import Any, Final

from inspector.contract import ModelView
from inspector.control import Stop
from inspector.errors import InspectorError, StoppedError
from inspector.faces.grpc.recent import Recent
from inspector.faces.grpc.settings import MIB, Settings
from inspector.faces.grpc.use_cases import UseCases

_KEPT: Final = 10_000
_log = logging.getLogger(__name__)


class Trials:
    """Loads models, once a child process has survived loading them. For use from many threads.

    A verdict is final while the server runs: a client cannot have a file that hangs tried again and again.
    """

    def __init__(self, use_cases: UseCases[Any], settings: Settings) -> None:
        self._use_cases = use_cases
        self._seconds, self._memory = settings.trial_seconds, settings.trial_mib * MIB
        self._stop = Stop()
        self._verdicts: Recent[tuple[str, str], InspectorError | None] = Recent(_KEPT)

    def load(self, source: bytes, *, name: str = "") -> ModelView:
        """The model in these bytes.

        Raises:
            ModelError: it is none, or loading it ended the child.
            LimitError: it is too large, or took too long or too much memory in the child.
        """
        key = (hashlib.sha256(source).hexdigest(), name)
        if key not in self._verdicts:
            self._verdicts.put(key, self._tried(source, name))
        refused = self._verdicts.get(key)
        if refused is not None:
            raise _again(refused)
        view: ModelView = self._use_cases.load(source, name=name)
        return view

    def end(self) -> None:
        """Ends a trial that goes on, and refuses new ones."""
        self._stop.set()

    def _tried(self, source: bytes, name: str) -> InspectorError | None:
        try:
            self._use_cases.check(source, name=name, seconds=self._seconds, memory=self._memory, stop=self._stop)
        except StoppedError:
            raise
        except InspectorError as error:
            _log.warning("%s", error)
            return error
        return None


def _again(error: InspectorError) -> InspectorError:
    """A new error that says the same: one that is raised twice gathers traces of both."""
    return type(error)(error.subject, error.problem, expected=error.expected, found=error.found, remedy=error.remedy)
