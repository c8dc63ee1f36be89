"""What identifies a run: everything that changes its numbers but the data, and nothing that must not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from inspector.analysis.plan import Entry, Plan
from inspector.contract import ModelView
from inspector.errors import SummaryError

_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """One analysis: its parameters as JSON, defaults filled in, and the taps that it watches, in its order."""

    name: str
    version: str
    params: str
    taps: tuple[str, ...]

    @classmethod
    def of(cls, entry: Entry) -> Asked:
        """The analysis of a plan's entry."""
        taps = tuple(watch.tap.name for watch in entry.watches)
        return cls(entry.analysis.name, entry.analysis.version, entry.params, taps)


@dataclass(frozen=True, slots=True)
class Identity:
    """Summaries of equal identities can be added.

    Attributes:
        model: SHA-256 of the model's bytes, which hold its element types as well.
        analyses: what was asked for, in order.
        fidelity: `fast` or `exact`.
        preprocess: how pictures are to become tensors, spelled out; empty where nobody said.
        shard_size: into parts of how many inputs the data was divided: it is the order of adding. 0: it was not.
    """

    model: str
    analyses: tuple[Asked, ...]
    fidelity: str
    preprocess: str
    shard_size: int

    @classmethod
    def of(cls, view: ModelView, plan: Plan, *, fidelity: str, preprocess: str, shard_size: int) -> Identity:
        """The identity of a run of a plan; `preprocess` is the canonical text."""
        return cls(view.sha256, tuple(map(Asked.of, plan.entries)), fidelity, preprocess, shard_size)

    def check(self, other: Identity, subject: str) -> None:
        """Raises SummaryError, naming what differs, where `other`, found in `subject`, is not the same."""
        if differences := list(self._differences(other)):
            names, expected, found = zip(*differences, strict=True)
            raise SummaryError(
                subject,
                f"they are of another run, differing in {', '.join(names)}",
                expected="; ".join(expected),
                found="; ".join(found),
                remedy="Add up, or resume, only what ran with the same model and options.",
            )

    def _differences(self, other: Identity) -> Iterator[tuple[str, str, str]]:
        """(what, here, there) of all that differs."""
        if self.model != other.model:
            yield "the model", f"sha256 {self.model[:_SHOWN]}", f"sha256 {other.model[:_SHOWN]}"
        ours, theirs = ([a.name for a in i.analyses] for i in (self, other))
        if ours != theirs:
            yield "the analyses", ", ".join(ours), ", ".join(theirs)
        else:
            for mine, its in zip(self.analyses, other.analyses, strict=True):
                yield from _unlike(mine, its)
        for name, a, b in (
            ("the fidelity", self.fidelity, other.fidelity),
            ("the preprocessing", self.preprocess, other.preprocess),
            ("the shard size", str(self.shard_size), str(other.shard_size)),
        ):
            if a != b:
                yield name, a or "none", b or "none"


def _unlike(mine: Asked, its: Asked) -> Iterator[tuple[str, str, str]]:
    if mine.version != its.version:
        yield f"the version of {mine.name!r}", mine.version, its.version
    if mine.params != its.params:
        yield f"the parameters of {mine.name!r}", mine.params, its.params
    elif mine.taps != its.taps:
        yield f"the taps of {mine.name!r}", f"{len(mine.taps)} taps", f"{len(its.taps)} taps"
