"""What an analysis shows: typed data, never HTML. Every face renders the same blocks in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from inspector.contract.model import Array

Cell = str | int | float | bool | None
"""One entry of a table; None is shown as a dash: there is no such number, and the column's text says when."""


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column: heading, what it means, and the unit of its numbers (empty: none)."""

    name: str
    about: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, one cell per column."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""


class ScaleKind(StrEnum):
    """How a number becomes a colour."""

    SIGNED = "signed"
    """Diverging around 0, symmetric: blue below, white at 0, red above; low == -high."""
    SEQUENTIAL = "sequential"
    """Dark to bright from low to high."""
    COLOUR = "colour"
    """Three channels red, green, blue; low is black and high full intensity in every channel."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The numbers at the two ends of the colour scale, and what they measure."""

    kind: ScaleKind
    low: float
    high: float
    unit: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Heatmap:
    """A matrix as colours.

    Attributes:
        title: heading.
        values: (rows, columns), float.
        scale: from numbers to colours.
        row_axis: what the rows are. column_axis: what the columns are.
        row_labels: one per row, or none: numbers. An empty one has no tick. column_labels: the same of columns.
        caption: text below the title.
        meanings: values that stand for something of their own, such as `(1.0, "dead")`. They are drawn in colours that
            no number has, and named. `(nan, "…")` names entries that are missing; without it NaN is not a number.
    """

    title: str
    values: Array
    scale: Scale
    row_axis: str = ""
    column_axis: str = ""
    row_labels: tuple[str, ...] = ()
    column_labels: tuple[str, ...] = ()
    caption: str = ""
    meanings: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture of a grid.

    Attributes:
        values: (H, W), or (H, W, 3) with a colour scale; float32.
        label: short text under it.
        mark: why it stands out ("silent"), drawn as a frame with that word; empty: nothing special.
        scale: its own scale where the grid has no common one.
    """

    values: Array
    label: str = ""
    mark: str = ""
    scale: Scale | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """A grid of pictures, left to right, then down. `scale` None: every picture has its own."""

    title: str
    pictures: tuple[Picture, ...]
    columns: int
    scale: Scale | None = None
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a graph."""

    name: str
    label: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """A directed edge between two nodes, by name."""

    source: str
    target: str
    weight: float = 1.0
    label: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """Things and what leads to what."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a curve: a name and its points; x and y are equally long."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """Lines over one pair of axes."""

    title: str
    x_axis: str
    y_axis: str
    series: tuple[Series, ...]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A paragraph of plain text."""

    text: str
    title: str = ""


Block = Table | Heatmap | Images | Graph | Curve | Note


class Severity(StrEnum):
    """How bad a finding is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Overruled:
    """What a policy decided about a finding of an analysis.

    Attributes:
        severity: how bad the analysis says it is.
        policy: name of the policy.
        reason: why, in its words.
        ignored: True where the finding counts for nothing, and is there to be accounted for; its severity is `info`.
    """

    severity: Severity
    policy: str = ""
    reason: str = ""
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """A judgement.

    Attributes:
        rule: stable id, `<analysis>/<rule>`, such as `sparsity/dead`.
        severity: how bad.
        message: one sentence that stands alone.
        layer: name of the layer it is about, empty for the whole model.
        channels: channels it is about, ascending; empty for the whole layer.
        evidence: the numbers behind it, by name.
        remedy: what can be done about it.
        overruled: what a policy made of it; analyses leave it out.
    """

    rule: str
    severity: Severity
    message: str
    layer: str = ""
    channels: tuple[int, ...] = ()
    evidence: Mapping[str, Cell] = field(default_factory=dict)
    remedy: str = ""
    overruled: Overruled | None = None

    @property
    def ignored(self) -> bool:
        """Whether a policy says that it counts for nothing."""
        return self.overruled is not None and self.overruled.ignored

    @property
    def standing(self) -> str:
        """How bad it is, in words: `warning`, or `error (was warning)`, `ignored (was warning)` by a policy."""
        if self.overruled is None:
            return self.severity.value
        return f"{'ignored' if self.ignored else self.severity.value} (was {self.overruled.severity.value})"

    @property
    def because(self) -> str:
        """Who overruled it, and why; empty where nobody did."""
        return f"policy {self.overruled.policy}: {self.overruled.reason}" if self.overruled else ""
