"""Which input map feeds which output map of a convolution, and how strongly, read off the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from inspector import (
    Block,
    Cell,
    Column,
    Finding,
    Heatmap,
    Metric,
    MetricInfo,
    ModelView,
    Note,
    Scale,
    ScaleKind,
    Severity,
    Table,
    Tap,
)
from inspector_plugins._drawable import at_power, multiples, peak_of, power_of, unit_of
from inspector_plugins._findings import about_channels
from inspector_plugins._layers import LeftOut, Patterns, left_out_tables, survey
from inspector_plugins._links import LayerLinks, Norm, links_of, overview
from inspector_plugins._wording import spread

ONE_CAUSE = " Where `filters` runs as well, it tells the same fact as filters/zero."
MEASURE: Mapping[Norm, str] = {"l1": "sum of |weight|", "l2": "root of the sum of weight²", "max": "largest |weight|"}


class ConnectivityParams(BaseModel):
    """What to count as a link, and which layers to look at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: Patterns = ("*",)
    norm: Annotated[Norm, Field(description="Strength of a link: l1, l2 or max norm of its kernel slice.")] = "l1"
    share: Annotated[
        float, Field(gt=0, le=1, description="How many inputs carry this share of a filter's strength? In (0, 1].")
    ] = 0.9
    eps: Annotated[
        float,
        Field(ge=0, le=1e30, description="A slice whose largest |weight| is at most this counts as zero; 0: exactly."),
    ] = 0.0
    fold_norm: Annotated[
        bool, Field(description="Multiply a following BatchNormalization into the weights first: what is in effect.")
    ] = False
    max_side: Annotated[
        int, Field(ge=8, le=1024, description="Most rows and columns of a drawn matrix; larger ones are averaged.")
    ] = 128


@dataclass(frozen=True, slots=True, eq=False)
class ConnectivityResult:
    """The links of every layer that was asked for and has fixed weights, and the layers that have none."""

    layers: tuple[LayerLinks, ...]
    left_out: tuple[LeftOut, ...]


class Connectivity:
    """Strength of every link between input and output maps, links that carry nothing, maps that nobody reads."""

    name = "connectivity"
    version = "1"
    Params = ConnectivityParams
    rules = (
        "connectivity/not-finite",
        "connectivity/unread-input",
        "connectivity/idle-filter",
    )
    metrics = (
        MetricInfo("possible_links", "links that the groups allow", "links"),
        MetricInfo("zero_links", "possible links whose kernel slice is zero", "links"),
        MetricInfo("density", "used over possible links, 0 to 1"),
        MetricInfo("unread_inputs", "input maps that no filter reads", "maps"),
        MetricInfo("idle_filters", "filters that read no input map", "filters"),
        MetricInfo("not_finite", "filters with NaN or Inf among the weights", "filters"),
    )

    def __init__(self, params: ConnectivityParams) -> None:
        self._params = params

    def finalize(self, model: ModelView, summaries: Mapping[Tap, Any]) -> ConnectivityResult:  # noqa: ARG002 - contract
        """The links of every layer. Measures nothing, so `summaries` is not looked at.

        Raises:
            NotFoundError: a layer pattern matches nothing.
            Inapplicable: no layer that was asked for has fixed weights.
        """
        p = self._params
        found = survey(
            model,
            p.layers,
            lambda layer, filters: links_of(layer, filters, norm=p.norm, share=p.share, eps=p.eps),
            fold_norm=p.fold_norm,
        )
        return ConnectivityResult(found.found, found.left_out)

    def present(self, result: ConnectivityResult) -> tuple[Block | Finding | Metric, ...]:
        """A note on the terms, a table over the layers, one matrix per layer, what stands out, and metrics."""
        return (
            Note(self._note(), "How to read this"),
            self._table(result.layers),
            *left_out_tables(result.left_out),
            *(self._heatmap(links) for links in result.layers),
            *(finding for links in result.layers for finding in self._findings(links)),
            *(metric for links in result.layers for metric in _metrics(links)),
        )

    def _note(self) -> str:
        p = self._params
        zero = "all weights are exactly 0" if p.eps == 0 else f"no |weight| exceeds {p.eps:g}"
        norm = (
            "A BatchNormalization after the layer is multiplied in, so these are the weights in effect."
            if p.fold_norm
            else "Weights are taken as stored, quantised ones multiplied out; a BatchNormalization that follows is not "
            "multiplied in."
        )
        return (
            "A link leads from an input map to an output map of one convolution. Groups decide which links are "
            f"possible; a possible link is used unless its kernel slice is zero, which here means that {zero}. Its "
            f"strength is the {p.norm} norm of that slice: {MEASURE[p.norm]}. Strengths of different layers are not "
            f"comparable: the maps that they multiply differ in size. {norm}"
        )

    def _table(self, layers: tuple[LayerLinks, ...]) -> Table:
        share = f"{self._params.share:.0%}" if self._params.share < 1 else "all"
        few = f"inputs that carry {share} of a filter's strength"
        over = "over filters that read something and hold no NaN or Inf; a dash where there is none"
        columns = (
            Column("layer"),
            Column("operator"),
            Column("inputs", "Input maps, C."),
            Column("outputs", "Output maps (filters), M."),
            Column("groups"),
            Column("depthwise", "True where every input map has filters of its own: groups = C, C > 1."),
            Column("possible links", "M x C / groups."),
            Column("zero links", "Possible links whose kernel slice is zero."),
            Column("density", "Used over possible links.", "fraction"),
            Column("unread inputs", "Input maps that no filter reads."),
            Column("idle filters", "Filters that read no input map: their output is constant."),
            Column("fewest inputs", f"Least number of {few}: minimum {over}."),
            Column("median inputs", f"Least number of {few}: median {over}."),
            Column("most inputs", f"Least number of {few}: maximum {over}."),
        )
        return Table("Links", columns, tuple(_row(links) for links in layers))

    def _heatmap(self, links: LayerLinks) -> Heatmap:
        view = overview(links, self._params.max_side)
        rows, columns = view.step
        high = peak_of(view.values)
        power = power_of(high)
        unit = unit_of(f"{self._params.norm} norm", power)
        return Heatmap(
            title=f"{links.layer.name}: strength of links",
            values=multiples(view.values, power),
            scale=Scale(ScaleKind.SEQUENTIAL, 0.0, at_power(high, power) or 1.0, unit),
            row_axis="output map",
            column_axis="input map",
            row_labels=_labels(links.layer.out_channels, rows),
            column_labels=_labels(links.layer.in_channels, columns),
            caption=_caption(links, view.step),
            meanings=(
                (0.0, "exactly 0: weights that count as zero"),
                (np.nan, "no link possible: groups"),
                (np.inf, "NaN or Inf among the weights"),
            ),
        )

    def _findings(self, links: LayerLinks) -> tuple[Finding, ...]:
        severity = Severity.WARNING if self._params.eps == 0 else Severity.INFO
        return (
            *about_channels(
                links.layer,
                links.broken,
                "with NaN or Inf among the weights",
                rule="connectivity/not-finite",
                severity=Severity.ERROR,
                remedy="Export the model again from a checkpoint whose weights are finite.",
            ),
            *about_channels(
                links.layer,
                links.unread,
                "read by no filter",
                noun="input map",
                rule="connectivity/unread-input",
                severity=severity,
                remedy="Numbers are those of this layer's input. What computes these maps can be removed, unless "
                "another layer reads them too.",
            ),
            *about_channels(
                links.layer,
                links.idle,
                "without a link to any input map",
                rule="connectivity/idle-filter",
                severity=severity,
                remedy="Such a filter can go: its output joins the next layer's bias (exact unless that layer pads)."
                + ONE_CAUSE * (self._params.eps == 0 and not self._params.fold_norm),
            ),
        )


def _metrics(links: LayerLinks) -> tuple[Metric, ...]:
    numbers = {
        "possible_links": links.possible,
        "zero_links": links.possible - links.used,
        "density": links.density,
        "unread_inputs": len(links.unread),
        "idle_filters": len(links.idle),
        "not_finite": len(links.broken),
    }
    return tuple(Metric(name, np.asarray(value), links.layer.name) for name, value in numbers.items())


def _row(links: LayerLinks) -> tuple[Cell, ...]:
    layer = links.layer
    return (
        layer.name,
        layer.op,
        layer.in_channels,
        layer.out_channels,
        layer.groups,
        layer.depthwise,
        links.possible,
        links.possible - links.used,
        links.density,
        len(links.unread),
        len(links.idle),
        *spread(links.carriers[links.carriers > 0]),
    )


def _labels(channels: int, step: int) -> tuple[str, ...]:
    """`0`, `1`, … or, with several channels in a cell, `0-3`, `4-7`, …; the last cell may hold fewer."""
    lasts = (min(i + step, channels) - 1 for i in range(0, channels, step))
    return tuple(f"{i}-{last}" if last > i else str(i) for i, last in zip(range(0, channels, step), lasts, strict=True))


def _caption(links: LayerLinks, step: tuple[int, int]) -> str:
    layer = links.layer
    cell = (
        "Each cell is one link."
        if step == (1, 1)
        else f"Each cell is the mean over the possible links of {step[0]} output x {step[1]} input maps "
        f"({layer.out_channels:,} x {layer.in_channels:,} maps in all)."
    )
    folded = f" Folded in: {', '.join(links.folded)}." if links.folded else ""
    return f"{cell}{folded}"
