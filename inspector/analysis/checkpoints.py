"""A folder of checkpoints: one file of summaries per shard, so that a run that was killed goes on where it was."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from inspector.analysis.identity import Identity
from inspector.analysis.parts import Part
from inspector.analysis.plan import Plan
from inspector.analysis.sums import SUFFIX, Stored, Writer, check_identity, scan
from inspector.errors import InspectorError, LimitError, SummaryError

_log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one run in a folder, which is made where it is missing.

    A file appears whole or not at all; one that was damaged later is left out, and its shard is done again.

    Raises:
        SummaryError: the folder holds checkpoints of another run, or of other data.
        LimitError: what identifies the run is too long to be read again.
        OSError: it cannot be made or read.
    """

    def __init__(self, folder: Path, identity: Identity, plan: Plan, ids: Sequence[str]) -> None:
        """`ids`: of all shards of the data, in order."""
        self._folder, self._identity, self._plan, self._ids = folder, identity, plan, ids
        self.problem = ""
        check_identity(identity)
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f".*{SUFFIX}.*.tmp"):  # of a run that was killed while it wrote
            left.unlink(missing_ok=True)
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            self._scan(path)

    def holds(self, index: int) -> bool:
        """Whether there is a file for a shard, readable or not."""
        return self._path(index).exists()

    def recall(self, index: int) -> Part | None:
        """What a shard gave; None where it is not here, or not readable."""
        path = self._path(index)
        found = self._scan(path) if path.exists() else None
        try:
            return found.part(self._plan) if found else None
        except (SummaryError, LimitError) as error:
            self._passed_over(error)
            return None

    def keep(self, part: Part) -> None:
        """Stores a shard. Where that fails, the run goes on without; `problem` says why."""
        if self.problem:
            return
        try:
            with Writer(self._path(part.tally.index), self._identity, self._plan) as file:
                file.add(part)
        except OSError as error:
            self.problem = f"checkpoints could not be written from shard {part.tally.index} on: {error.strerror}"
            _log.warning("%s (%s)", self.problem, self._folder)

    def _path(self, index: int) -> Path:
        return self._folder / f"{index:08d}{SUFFIX}"

    def _scan(self, path: Path) -> Stored | None:
        try:
            identity, shards = scan(path)
        except (SummaryError, LimitError) as error:
            self._passed_over(error)
            return None
        self._identity.check(identity, f"checkpoints in {str(self._folder)!r}")
        for shard in shards:
            self._check_data(shard)
        return shards[0] if len(shards) == 1 and path == self._path(shards[0].tally.index) else None

    def _check_data(self, shard: Stored) -> None:
        index = shard.tally.index
        expected = self._ids[index] if index < len(self._ids) else f"{len(self._ids)} shards"
        if shard.tally.shard != expected:
            raise SummaryError(
                f"checkpoints in {str(self._folder)!r}",
                f"they are of other data: shard {index} differs",
                expected=expected,
                found=shard.tally.shard,
                remedy="Give the data that they were made of, or another folder.",
            )

    @staticmethod
    def _passed_over(error: InspectorError) -> None:
        _log.warning("a checkpoint is passed over, its shard done again: %s", error)
