"""What is kept of a run beside its report, and which of its shards are run at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from inspector.analysis.checkpoints import Checkpoints
from inspector.analysis.feed import Feed
from inspector.analysis.identity import Identity
from inspector.analysis.parts import DataSet, Gathered, Part, unread_inputs
from inspector.analysis.plan import Plan
from inspector.analysis.registry import kind_of
from inspector.analysis.sums import Saving
from inspector.errors import InputError, OutputError, ParameterError
from inspector.origin import many
from inspector.paths import check_file, check_folder, writing
from inspector.runtime.data import Shard
from inspector.runtime.items import SHARD_STRIDE
from inspector.runtime.stored import UNMARKED


@dataclass(frozen=True, slots=True)
class Keep:
    """What to keep of a run.

    Attributes:
        resume: folder of its checkpoints, from which it goes on.
        summaries: file to write its summaries to.
        part: (K, N): only every Nth shard from the Kth on is run; 1 <= K <= N.
    """

    resume: Path | None = None
    summaries: Path | None = None
    part: tuple[int, int] = (1, 1)

    @classmethod
    def parse(cls, resume: str, summaries: str, part: str) -> Keep:
        """From texts, empty for none; `part` as `K/N`. ParameterError where that is of another form."""
        first, slash, total = part.partition("/")
        sound = all(t.isascii() and t.isdigit() and len(t) < 10 for t in (first, total))
        if part and not (slash and sound and 1 <= int(first) <= int(total)):
            raise ParameterError("part", "it is no part", expected="K/N with 1 <= K <= N", found=repr(part[:40]))
        return cls(
            Path(resume) if resume else None,
            Path(summaries) if summaries else None,
            (int(first), int(total)) if part else (1, 1),
        )

    def check_places(self) -> None:
        """Raises OutputError where something could not be written, before anything runs."""
        if self.resume:
            check_folder(self.resume)
        if self.summaries:
            check_file(self.summaries, beside=True)

    def check(self, plan: Plan) -> None:
        """Raises ParameterError where the plan gives nothing that could be kept, or more than summaries."""
        if self == NOTHING_KEPT:
            return
        kinds = {entry.analysis.name: kind_of(entry.analysis) for entry in plan.entries}
        if "measured" not in kinds.values():
            raise ParameterError(
                "analyses", "they add nothing up", expected="one that measures", found=", ".join(kinds)
            )
        explored = next((name for name, kind in kinds.items() if kind == "explored"), None)
        if explored and (self.summaries or self.part != (1, 1)):
            raise ParameterError(
                f"analysis {explored!r}",
                "it runs the model anew and cannot be added up",
                remedy="Leave it out where summaries are to be merged.",
            )


NOTHING_KEPT: Final = Keep()
_UNSEEN: Final = "a change that keeps the size is not noticed"


class Keeper:
    """Decides which shards are run, and takes in what they give, in a `with` block.

    Attributes:
        gathered: what all of them gave so far.
        shards: those of this run, in order.
        ids: of all shards by place, where they are stored.
        elsewhere: True where some were not read in this run.
        idle: why this part of the data has no shard; empty where it has some, or the data has none either.

    Raises:
        SummaryError: checkpoints are of another run or of other data.
        InputError: a stream cannot be resumed, or a shard cannot be looked at.
        OutputError: the file of summaries, or the folder of checkpoints, cannot be written.
    """

    def __init__(self, keep: Keep, identity: Identity, plan: Plan, feed: Feed) -> None:
        first, total = keep.part
        if feed.source.is_stream and (keep.resume or total > 1):
            raise InputError(
                feed.source.description,
                "a stream cannot be read again, and so neither resumed nor divided",
                remedy="Store it.",
            )
        self.gathered = Gathered(plan)
        self.shards = tuple(feed.shards[first - 1 :: total])
        self.elsewhere = False
        self.idle = _idle(first, total, len(feed.shards)) if feed.shards and not self.shards else ""
        self.ids: dict[int, str] = {}
        if (keep.resume or keep.summaries) and not feed.source.is_stream:
            self.ids = {i: shard.id for i, shard in enumerate(feed.shards)}
            if unmarked := sum(name.endswith(UNMARKED) for name in self.ids.values()):
                self.gathered.note(f"{many(unmarked, 'shard')} of files without ETag or time of change: {_UNSEEN}")
        self._set = DataSet.of(self.ids.values()) if self.ids else None
        self._feed = feed
        self._not_kept: list[int] = []  # of every such shard how many inputs another try may read
        with writing(f"folder {str(keep.resume)!r}"):
            self._checkpoints = Checkpoints(keep.resume, identity, plan, [*self.ids.values()]) if keep.resume else None
        if self.ids:
            for _, shard in self.missing():
                shard.begin()  # what is read has to be what the id says
        self._file = Saving(keep.summaries, identity, plan)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._checkpoints and self._checkpoints.problem:
            self.gathered.note(self._checkpoints.problem)
        if self._not_kept:
            self.gathered.note(_again(self._not_kept, kept=self._checkpoints is not None))
        self._file.__exit__(kind, error, at)

    @property
    def problem(self) -> OutputError | None:
        """Why the file of summaries is not there, after the `with` block; None where it is, or was not asked for."""
        return self._file.problem

    def missing(self) -> Iterator[tuple[int, Shard]]:
        """The shards, with their places in the data, that no checkpoint seems to hold."""
        for shard in self.shards:
            index = shard.first // SHARD_STRIDE
            if not (self._checkpoints and self._checkpoints.holds(index)):
                yield index, shard

    def due(self) -> Iterator[Shard]:
        """The shards to run, in order; those that checkpoints hold are taken from there when it is their turn."""
        for shard in self.shards:
            part = self._checkpoints.recall(shard.first // SHARD_STRIDE) if self._checkpoints else None
            if part is None:
                yield shard
            else:
                self.elsewhere = True
                self._feed.pass_over(part.tally)
                self._recalled(part)

    def done(self, part: Part) -> None:
        """The next shard was run; what another try may read is no result of it, and so it is not stored."""
        placed = self._placed(part)
        if part.tally.may_mend:
            self._not_kept.append(part.tally.may_mend)
        elif self._checkpoints:
            self._checkpoints.keep(placed)
        self._take(placed)

    def _recalled(self, part: Part) -> None:
        """Takes in what a checkpoint held, and stores it anew where the data has grown since."""
        placed = self._placed(part)
        if self._checkpoints and placed.tally.sets != part.tally.sets:
            self._checkpoints.keep(placed)
        self._take(placed)

    def _placed(self, part: Part) -> Part:
        """The same, as a shard of the data of this run; a stream is a data set of its own."""
        sets = (self._set or DataSet.of([part.tally.shard]),)
        return Part(replace(part.tally, sets=sets), part.totals)

    def _take(self, part: Part) -> None:
        self._file.add(part)
        self.gathered.add(part)


def _again(lost: list[int], *, kept: bool) -> str:
    return unread_inputs(lost, "not kept, the same command tries these again" if kept else "try these again later")


def _idle(first: int, total: int, shards: int) -> str:
    have = "1 shard" if shards == 1 else f"{shards} shards"
    return (
        f"part {first}/{total} is empty, as the data has only {have}: nothing was run. Merge it with the other parts, "
        "or give fewer parts or a smaller shard size"
    )
