"""How a run is carried out, and sessions for it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from inspector.control import Stop
from inspector.graph.instrument import Instrumented
from inspector.runtime.memory import default_budget
from inspector.runtime.session import Fidelity, Session, open_session


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How a run is carried out.

    Attributes:
        device: `auto`, `cpu`, `cuda` or `cuda:<index>`.
        fidelity: `exact` or `fast`.
        stop: ends the run early.
        batch_size: how many inputs may share a run; above 1, also where the model fixed its batch size. 0: as many as
            ADR 23 chooses.
        memory: bytes that a run may take, by estimate.
        self_check: whether the model's own outputs are compared with and without watching, and inputs that share a run
            with inputs alone.
    """

    device: str
    fidelity: Fidelity
    stop: Stop
    batch_size: int
    memory: int = field(default_factory=default_budget)
    self_check: bool = True

    def open(self, model: Instrumented, optimised: Path | None = None) -> AbstractContextManager[Session]:
        """A session; with a path, it has the optimised model written there."""
        return open_session(
            model.model, weights=model.weights, device=self.device, fidelity=self.fidelity, stop=self.stop,
            optimised=optimised, has_ifs_within=model.has_ifs_within, peril=model.peril if model.perilous else None,
        )  # fmt: skip
