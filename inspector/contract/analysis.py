"""The three kinds of analysis. A plugin is a class that has these members; no base class is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

from inspector.contract.blocks import Block, Finding
from inspector.contract.measures import Ops, Value
from inspector.contract.metrics import Metric
from inspector.contract.model import Array, ModelView, Tap
from inspector.contract.summary import Summary

R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)
S_co = TypeVar("S_co", bound=Summary, covariant=True)


@dataclass(frozen=True, slots=True)
class BatchInfo:
    """Which inputs a batch of rows belongs to.

    Attributes:
        ids: N names, one per row, unique in a run (a file's path in its folder, `array[3]`, …).
        first: position of the first of them in the whole data set, from 0; the others follow. Positions say the order
            of inputs; between parts of the data that are read apart they leave gaps, so they do not count inputs.
        labels: the class of every one, None where it is unknown; empty in a batch that was made without.
    """

    ids: tuple[str, ...]
    first: int
    labels: tuple[str | None, ...] = ()


class _Presented(Protocol[R_contra]):
    """What all kinds have in common.

    `name` is the entry point's name. `version` changes when the numbers change. `Params` is a pydantic model whose
    JSON Schema every face shows and checks; the analysis is made with one: `cls(params)`. An analysis that publishes
    metrics declares them in one more member, `metrics`, a tuple of `MetricInfo`; one that declares the rules of its
    findings, in `rules`, a tuple of texts `<analysis>/<rule>`, lets policies that name them be checked.
    """

    def __init__(self, params: Any) -> None: ...

    @property
    def name(self) -> str: ...  # all three are read, never set, so that an attribute of a class serves

    @property
    def version(self) -> str: ...

    @property
    def Params(self) -> type[BaseModel]: ...  # noqa: N802

    def present(self, result: R_contra) -> Sequence[Block | Finding | Metric]:
        """The result as things to show, judgements and numbers for programs. Pure."""


@runtime_checkable
class Analysis(_Presented[R], Protocol[R]):
    """One question that the weights alone answer, such as which filters are copies.

    A class with these members is one; no base class is needed. It is installed by an entry point in the group
    `inspector.plugins`, and asked by name: `inspect(model, analyses="filters")`. See docs/writing-plugins.md.
    """

    def finalize(self, model: ModelView, summaries: Mapping[Tap, Any]) -> R:
        """What the summaries mean. Pure NumPy; `summaries` is empty for an analysis that measures nothing.

        A tap that gave nothing is missing: one in a branch of an If that no input took, one whose rows cannot be told
        apart by input. The report names them. Taps in branches may have seen fewer inputs than others.

        Raises:
            Inapplicable: nothing can be said of this model; the report shows the reason.
        """


@runtime_checkable
class Measured(Analysis[R], Protocol[S_co, R]):
    """One question that needs data, such as how often a channel is zero: one pass, adding up.

    `select` says where to look, `observe` what to keep of it in the graph, `summarize` makes a `Summary` of a batch.
    Summaries of batches, shards and days add up by themselves; `finalize` says what the sum means.
    """

    @property
    def summary(self) -> type[S_co]:
        """The class of the summaries, an attribute of the plugin's class as `name` is."""

    def select(self, model: ModelView) -> Sequence[Tap]:
        """Where to look.

        Raises:
            Inapplicable: this model has nothing to look at.
        """

    def observe(self, op: Ops, x: Value, tap: Tap) -> Mapping[str, Value]:
        """What to keep of one tap, IN the graph: x is (N, C, *space), results are named rows, batch axis first."""

    def summarize(self, tap: Tap, rows: Mapping[str, Array], batch: BatchInfo) -> S_co:
        """Rows of some inputs that follow each other, as asked for in `observe`, to a summary. On the host, NumPy."""


class Lab(Protocol):
    """A way to run the model again, without knowing how it is run: what `Explored.explore` is given.

    Device, fidelity and memory are those of the run.
    """

    @property
    def inputs(self) -> Mapping[str, Array]:
        """The inputs that the caller is asking about, by name, batch axis first."""

    def run(self, feeds: Mapping[str, Array], taps: Sequence[Tap]) -> Mapping[Tap, Array]:
        """Whole maps (N, C, *space) at the taps for other inputs; taps in branches that none took are missing."""


@runtime_checkable
class Explored(_Presented[R], Protocol[R]):
    """One question that needs to run the model again, with inputs of its own making, such as where a unit looks.

    Its answers do not add up, so that it takes no part in parts and merges.
    """

    def explore(self, model: ModelView, lab: Lab) -> R:
        """The result, in place of `finalize`."""
