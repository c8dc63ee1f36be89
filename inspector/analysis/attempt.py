"""Plugin code runs here: whatever it raises becomes a failure of that analysis, and of nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from inspector.errors import InspectorError, PluginError, StoppedError
from inspector.report import Failure

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt(Generic[T]):
    """A value, or why there is none."""

    value: T | None = None
    failure: Failure | None = None


def attempt(name: str, work: Callable[[], T]) -> Attempt[T]:
    """Runs `work` on behalf of the analysis `name`. Only a stop passes through."""
    try:
        return Attempt(work())
    except StoppedError:
        raise
    except InspectorError as error:
        return Attempt(failure=Failure(error.reason, str(error), error.remedy))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - catching whatever a plugin raises is what this is for
        _log.warning("analysis %s raised", name, exc_info=error)
        fault = PluginError(
            f"analysis {name!r}",
            "it raised an exception",
            found=f"{type(error).__name__}: {error}",
            remedy="This is a fault of the plugin; the server's log has the traceback.",
        )
        return Attempt(failure=Failure(fault.reason, str(fault), fault.remedy))
