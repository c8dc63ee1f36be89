"""Where the numbers of a report come from: what ran, on what, and whether watching changed it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MEASURES: Final = "inspector"
"""The domain under which nodes that measure are counted."""


@dataclass(frozen=True, slots=True)
class Check:
    """What watching did to the model's own outputs, for the first input of a run.

    Attributes:
        outputs: how many of the model's outputs were compared.
        max_abs: the largest difference between a real number with and without watching.
        max_rel: the same, relative to the largest magnitude in its output; the largest over all outputs.
        equal: True where all outputs were equal, bit for bit but for the sign of zero; NaN equals NaN.
        passed: True where this is what the fidelity promises: equal for `exact`, within the tolerance for `fast`.
    """

    outputs: int
    max_abs: float
    max_rel: float
    equal: bool
    passed: bool

    @property
    def distance(self) -> str:
        """How far the outputs are apart, in words; for those that are not equal."""
        if not math.isfinite(self.max_abs):
            return "infinitely far apart (NaN or Inf in one alone)"
        if not self.max_abs:
            return "of other shapes, types or whole numbers"
        share = f", {self.max_rel:.2g} of the largest" if math.isfinite(self.max_rel) else ""
        return f"up to {self.max_abs:.3g} apart{share}"


@dataclass(frozen=True, slots=True)
class OperatorCount:
    """How many nodes of one kind run, once the runtime has optimised: in the `plain` model and in the `watched` one.

    `domain` is empty for standard operators, and `MEASURES` for nodes that measure, whatever they became.
    """

    domain: str
    op: str
    plain: int
    watched: int


@dataclass(frozen=True, slots=True)
class Memory:
    """How a run was made to fit: `estimate` and `budget` in bytes, and in how many `waves` the taps were watched."""

    estimate: int
    budget: int
    waves: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where every number of a report comes from.

    Attributes:
        model: name of the model.
        sha256: of the model's bytes.
        data: what was fed (a folder, a list of files, …); empty when nothing was.
        data_sha256: identifies the inputs that counted by ids and contents, in order, however they were divided into
            shards.
        inputs: number of inputs that counted.
        batch: batch size that ran; 0 when nothing ran.
        preprocess: how pictures became tensors, as text; empty where no input was a picture.
        fidelity: `fast` (graph optimisations on) or `exact` (off); empty when nothing ran.
        device: `cpu` or `cuda:0`; empty when nothing ran.
        providers: nodes that ran per execution provider.
        versions: software versions by name.
        notes: what a reader must know beside that, such as how a fixed batch was treated.
        started: UTC time, ISO 8601.
        seconds: wall time of the run.
        check: what watching did to the model's own outputs; None where that was not checked.
        operators: what ran after optimisation, with and without watching; empty where that was not checked.
        memory: how the run was made to fit; None when nothing ran.
        waited: seconds in which nothing ran because inputs were not there yet; of several workers what each waited,
            added up and divided by how many were at work at a time, so that it compares with `seconds`.
        incomplete: files that broke off or could not be used at all, so that nobody knows how many inputs are lost.
        missing_shards: shards of the data that a merge knows to be missing.
    """

    model: str
    sha256: str
    data: str = ""
    data_sha256: str = ""
    inputs: int = 0
    batch: int = 0
    preprocess: str = ""
    fidelity: str = ""
    device: str = ""
    providers: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    started: str = ""
    seconds: float = 0.0
    check: Check | None = None
    operators: tuple[OperatorCount, ...] = ()
    memory: Memory | None = None
    waited: float = 0.0
    incomplete: int = 0
    missing_shards: int = 0

    @property
    def doubtful(self) -> bool:
        """Whether the self-check of the run failed, so that its numbers may not be the model's."""
        return self.check is not None and not self.check.passed

    @property
    def gaps(self) -> tuple[str, ...]:
        """What is lost beside the inputs that are counted as skipped, in words."""
        files = "1 file is" if self.incomplete == 1 else f"{self.incomplete:,} files are"
        shards = "1 shard is" if self.missing_shards == 1 else f"{self.missing_shards:,} shards are"
        known = (
            (self.incomplete, f"{files} incomplete: nobody knows how many inputs are lost"),
            (self.missing_shards, f"{shards} missing"),
        )
        return tuple(text for count, text in known if count)
