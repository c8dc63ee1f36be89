"""What one shard gave, and how shards are added up: one by one, in order, so that sums always round the same way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from inspector.analysis.plan import Plan
from inspector.analysis.run import Totals
from inspector.errors import SummaryError
from inspector.origin import many
from inspector.report import Check, Provenance, Skipped
from inspector.runtime.digest import Digest

MAX_LISTED_SKIPS = 100
"""Skipped inputs that a report names; all are counted."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """All shards that a run was given, whichever of them it ran: a hash of their ids, and how many they are.

    Copies in different places are one, where their shards have the same ids.
    """

    sha256: str
    shards: int

    @classmethod
    def of(cls, ids: Iterable[str]) -> DataSet:
        """The data set of these shards, in order."""
        names = [*map(repr, ids)]
        return cls(hashlib.sha256("\n".join(names).encode()).hexdigest(), len(names))


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the inputs of one shard.

    Attributes:
        shard: its id; empty where nothing is stored.
        index: its place in the data.
        inputs: how many counted.
        digest: identifies these by ids and contents, in order: `hex` of `inspector.runtime.digest.Digest`.
        skipped: the first that were left out; `skipped_count` counts all.
        provenance: how the shard ran; without what only a whole run has.
        incomplete: files of which nobody knows how many inputs are lost.
        may_mend: how many of the skipped ones another try may read: see `inspector.runtime.data.Unread`.
        sets: data sets that it is a shard of; none where nothing is stored.
    """

    shard: str
    index: int
    inputs: int
    digest: str
    skipped: tuple[Skipped, ...]
    skipped_count: int
    provenance: Provenance
    incomplete: int = 0
    may_mend: int = 0
    sets: tuple[DataSet, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One shard: its summaries, and what became of its inputs."""

    tally: Tally
    totals: Totals


class Gathered:
    """Parts added up in the order in which they come.

    Attributes:
        totals: their summaries.
        skipped: the first inputs that were left out; `skipped_count` counts all.
    """

    def __init__(self, plan: Plan) -> None:
        self.totals = Totals(plan)
        self.skipped: list[Skipped] = []
        self.skipped_count = 0
        self._inputs = self._incomplete = 0
        self._provenance: Provenance | None = None
        self._digest = Digest()
        self._notes: list[str] = []

    def add(self, part: Part) -> None:
        """The next part."""
        tally = part.tally
        self.totals.join(part.totals)
        self._inputs += tally.inputs
        self._incomplete += tally.incomplete
        self.skipped += tally.skipped[: MAX_LISTED_SKIPS - len(self.skipped)]
        self.skipped_count += tally.skipped_count
        self._digest.join(tally.digest)
        self._provenance = combined(self._provenance, tally.provenance) if self._provenance else tally.provenance

    def note(self, text: str) -> None:
        """Something that a reader must know."""
        self._notes.append(text)

    @property
    def provenance(self) -> Provenance:
        """Where the numbers come from; SummaryError where nothing was added."""
        if self._provenance is None:
            raise SummaryError("summaries", "there are none to add up", remedy="Give files that hold some.")
        notes = (*self._provenance.notes, *self._notes)
        counted = replace(self._provenance, inputs=self._inputs, incomplete=self._incomplete)
        return replace(counted, data_sha256=self._digest.sha256, notes=notes)


def combined(a: Provenance, b: Provenance) -> Provenance:
    """How two parts of a run ran: what only one of them knows as it is, what differs side by side.

    Of batch sizes and of nodes per provider it is the larger number, of self-checks the worse one. What was counted
    stays that of `a`.
    """
    ran = a if a.device else b
    names = dict.fromkeys((*a.versions, *b.versions))
    providers = dict.fromkeys((*a.providers, *b.providers))
    return replace(
        ran,
        model=a.model,
        data_sha256=a.data_sha256,
        inputs=a.inputs,
        data=_both(a.data, b.data),
        preprocess=a.preprocess or b.preprocess,
        batch=max(a.batch, b.batch),
        device=_both(a.device, b.device),
        providers={name: max(a.providers.get(name, 0), b.providers.get(name, 0)) for name in providers},
        check=_worse(a, b),
        versions={name: _both(a.versions.get(name, ""), b.versions.get(name, "")) for name in names},
        notes=tuple(dict.fromkeys((*a.notes, *b.notes))),
    )


def _worse(a: Provenance, b: Provenance) -> Check | None:
    """The check that failed, or where outputs are further apart; None where a part ran unchecked and none failed."""
    found = [part.check for part in (a, b) if part.device or part.check]
    worst = max((c for c in found if c), key=lambda c: (not c.passed, not c.equal, c.max_rel), default=None)
    return None if None in found and worst is not None and worst.passed else worst


def _both(a: str, b: str) -> str:
    """The texts joined by ` + `, each once."""
    return " + ".join(dict.fromkeys(part for text in (a, b) for part in text.split(" + ") if part))


def unread_inputs(lost: Sequence[int], then: str) -> str:
    """A note that another try may read inputs: how many in each shard that has some, and what to do."""
    told = f"{sum(lost):,} in {many(len(lost), 'shard')}"
    return f"inputs that a store did not give, or that changed during the run: {told}; {then}"
