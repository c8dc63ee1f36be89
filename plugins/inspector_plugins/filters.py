"""What the filters of a convolution look for, read off the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from inspector import (
    Block,
    Cell,
    Column,
    Finding,
    Layer,
    Metric,
    MetricInfo,
    ModelView,
    Note,
    ParameterError,
    Severity,
    Table,
    Tap,
)
from inspector import Filters as Weights
from inspector_plugins._filter_facts import FilterFacts, facts_of
from inspector_plugins._filter_pictures import PATCHES, PIXELS, SIDE, Drawing, Form, Wish, block_of, drawing_of, form_of
from inspector_plugins._findings import about_channels
from inspector_plugins._layers import LeftOut, Patterns, left_out_tables, survey
from inspector_plugins._wording import listed, spread

Order = Literal["auto", "rgb", "bgr"]
Index = Annotated[int, Field(ge=0, le=1_000_000)]


class FiltersParams(BaseModel):
    """Which filters to draw, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: Patterns = ("*",)
    order: Annotated[
        Order,
        Field(description="Order of the image's three channels; auto: bgr where the exporter is Caffe, else rgb."),
    ] = "auto"
    fold_norm: Annotated[
        bool, Field(description="Multiply a following BatchNormalization into the weights first: what is in effect.")
    ] = False
    filters: Annotated[
        tuple[Index, ...],
        Field(max_length=PATCHES, description="Draw these filters (output channels), each once, as far as they fit."),
    ] = ()
    max_filters: Annotated[
        int,
        Field(ge=1, le=PATCHES, description="Filters drawn of a layer that reads maps, unless `filters` names them."),
    ] = 16
    max_inputs: Annotated[
        int, Field(ge=1, le=PATCHES, description="Input maps drawn of each filter that reads maps; the first ones.")
    ] = 8
    per_filter_scale: Annotated[
        bool, Field(description="Every filter on a scale of its own: shows faint ones, but sizes cannot be compared.")
    ] = False


@dataclass(frozen=True, slots=True, eq=False)
class LayerFilters:
    """One layer: what of it is drawn, and facts about all its filters.

    `whole` is False where something that scales or shifts the layer's output is not folded in.
    """

    drawing: Drawing
    facts: FilterFacts
    whole: bool


@dataclass(frozen=True, slots=True, eq=False)
class FiltersResult:
    """The layers that were asked for; `bgr` says how colour is read, and `order` why."""

    layers: tuple[LayerFilters, ...]
    left_out: tuple[LeftOut, ...]
    bgr: bool
    order: str


class Filters:
    """Filters as pictures: patches of the image where they read it, slices per map where they read maps."""

    name = "filters"
    version = "1"
    Params = FiltersParams
    rules = ("filters/not-finite", "filters/zero", "filters/copy")
    metrics = (
        MetricInfo("filters", "output maps, M", "filters"),
        MetricInfo("zero", "filters whose weights are all exactly 0", "filters"),
        MetricInfo("copies", "filters equal to an earlier one", "filters"),
        MetricInfo("not_finite", "filters with NaN or Inf among weights or bias", "filters"),
        MetricInfo("channel_l1", "sum of abs(weight) of the filter; not finite where a weight is", per_channel=True),
        MetricInfo("channel_l2", "root of the sum of weight² of the filter; as above", per_channel=True),
    )

    def __init__(self, params: FiltersParams) -> None:
        self._params = params

    def finalize(self, model: ModelView, summaries: Mapping[Tap, Any]) -> FiltersResult:  # noqa: ARG002 - contract
        """Facts about every layer's filters. Measures nothing, so `summaries` is not looked at.

        Raises:
            NotFoundError: a layer pattern matches nothing.
            Inapplicable: no layer that was asked for has fixed weights.
            ParameterError: a filter was asked for that none of the layers has.
        """
        p = self._params
        wish = Wish(tuple(dict.fromkeys(p.filters)), p.max_filters, p.max_inputs)

        def look(layer: Layer, filters: Weights) -> LayerFilters:
            drawing = drawing_of(layer, filters, form_of(layer, model.inputs), wish)
            return LayerFilters(drawing, facts_of(filters, layer.groups), filters.whole)

        found = survey(model, p.layers, look, fold_norm=p.fold_norm)
        _check_filters(p.filters, found.found)
        return FiltersResult(found.found, found.left_out, *_order(p.order, model.facts.get("producer", "")))

    def present(self, result: FiltersResult) -> tuple[Block | Finding | Metric, ...]:
        """A note on how to read the pictures, a table over the layers, the pictures, what stands out, metrics."""
        own = self._params.per_filter_scale
        return (
            Note(self._note(result), "How to read this"),
            _table(result.layers),
            *left_out_tables(result.left_out),
            *(block_of(item.drawing, bgr=result.bgr, own_scales=own) for item in result.layers if item.drawing.outputs),
            *(finding for item in result.layers for finding in _findings(item)),
            *(metric for item in result.layers for metric in _metrics(item)),
        )

    def _note(self, result: FiltersResult) -> str:
        forms = {item.drawing.form for item in result.layers}
        ops = {item.drawing.layer.op for item in result.layers}
        norm = (
            "BatchNormalization and bias after a layer are folded in: these are the weights in effect."
            if self._params.fold_norm
            else "Weights are shown as stored, quantised ones multiplied out; a BatchNormalization that follows is not "
            "folded in."
        )
        parts = [*(_ABOUT[form] for form in Form if form in forms), self._scales(forms), norm]
        if Form.COLOUR in forms:
            parts.insert(1, result.order)
        if any(len(item.drawing.layer.kernel) > 2 for item in result.layers):
            parts.append(_DEEP)
        if ops != {"ConvTranspose"}:
            parts.append(_STORED)
        if "ConvTranspose" in ops:
            parts.append(_TRANSPOSED)
        return " ".join(parts)

    def _scales(self, forms: set[Form]) -> str:
        """On what scales the pictures of these forms are."""
        ends = "linear and symmetric around 0"
        largest = "its ends are the layer's largest |weight|."
        if not self._params.per_filter_scale or forms == {Form.MATRIX}:
            return f"Each layer has one scale, {ends}; {largest}"
        matrices = f" Each matrix of 1x1 kernels has one scale for all of its filters; {largest}"
        own = f"Each filter has a scale of its own, {ends}, so sizes cannot be compared."
        return own + matrices * (Form.MATRIX in forms)


_ABOUT: Mapping[Form, str] = {
    Form.COLOUR: "The first layer reads three channels, as a colour image has, so each of its filters is drawn as a "
    "patch of one: mid-grey is 0, a channel brighter than that counts for the filter, a darker one against it.",
    Form.GREY: "The first layer reads one channel, as a grey image has, so each of its filters is drawn as a patch of "
    "one: red counts for the filter, blue against it.",
    Form.SLICES: "Other filters are shown as slices, one for every map that they read, labelled filter, map. Most read "
    "feature maps, not pixels; whether a layer behind the first reads the image too is not known here.",
    Form.MATRIX: "A 1x1 kernel is a single number per map and has no pattern in space, so such a layer is one matrix "
    f"of filters by maps, {SIDE} x {SIDE} at most.",
}
_DEEP = "Kernels with a third axis have one picture for every step z along it."
_STORED = "ONNX convolutions do not flip the kernel, so the pattern shown is the pattern looked for."
_TRANSPOSED = (
    "A transposed convolution paints its kernel into its output; it is shown filter by filter, values as stored, "
    "not flipped."
)


def _order(order: Order, producer: str) -> tuple[bool, str]:
    """Whether the channels are blue, green, red, and the sentence that says why."""
    if order != "auto":
        return order == "bgr", f"The image's channels are taken as {order.upper()}, as asked for."
    bgr = "caffe" in producer.lower()
    why = f"the exporter calls itself {producer!r}" if bgr else "ONNX does not say the order"
    return bgr, (
        f"The image's channels are taken as {'BGR' if bgr else 'RGB'}: {why}. Models that come from Caffe read BGR; "
        "where red and blue look exchanged, set `order`."
    )


def _check_filters(filters: tuple[int, ...], layers: tuple[LayerFilters, ...]) -> None:
    most = max(item.drawing.layer.out_channels for item in layers)
    if missing := tuple(o for o in filters if o >= most):
        raise ParameterError(
            f"filters {listed(missing)}",
            "no layer that was asked for has them",
            expected=f"0 to {most - 1}",
            remedy="Filters are a layer's output channels, counted from 0.",
        )


def _table(layers: tuple[LayerFilters, ...]) -> Table:
    sizes = "over the filters without NaN or Inf; a dash where there is none"
    columns = (
        Column("layer"),
        Column("operator"),
        Column("filters", "Output maps, M."),
        Column("kernel", "Input maps of each filter x its size in space."),
        Column("drawn", f"Filters drawn below. 0: none was asked for, or a kernel has over {PIXELS:,} numbers."),
        Column("least L1", f"Sum of |weight| of a filter: minimum {sizes}."),
        Column("median L1", f"Sum of |weight| of a filter: median {sizes}."),
        Column("greatest L1", f"Sum of |weight| of a filter: maximum {sizes}."),
        Column("least L2", f"Root of the sum of weight² of a filter: minimum {sizes}."),
        Column("median L2", f"Root of the sum of weight² of a filter: median {sizes}."),
        Column("greatest L2", f"Root of the sum of weight² of a filter: maximum {sizes}."),
        Column("zero", "Filters whose weights are all exactly 0."),
        Column("copies", "Filters equal to an earlier one: same weights, bias and group. All-zero ones not counted."),
        Column("folded", "Nodes folded into the weights."),
    )
    return Table("Filters", columns, tuple(_row(item) for item in layers))


def _row(item: LayerFilters) -> tuple[Cell, ...]:
    layer, facts = item.drawing.layer, item.facts
    finite = np.isfinite(facts.l1)
    return (
        layer.name,
        layer.op,
        layer.out_channels,
        " x ".join(map(str, (layer.in_channels // layer.groups, *layer.kernel))),
        len(item.drawing.outputs),
        *spread(facts.l1[finite]),
        *spread(facts.l2[finite]),
        len(facts.zero),
        len(facts.repeated),
        ", ".join(item.drawing.folded),
    )


def _metrics(item: LayerFilters) -> tuple[Metric, ...]:
    layer, facts = item.drawing.layer, item.facts
    numbers = {
        "filters": layer.out_channels,
        "zero": len(facts.zero),
        "copies": len(facts.repeated),
        "not_finite": len(facts.broken),
        "channel_l1": facts.l1,
        "channel_l2": facts.l2,
    }
    return tuple(Metric(name, np.asarray(values), layer.name) for name, values in numbers.items())


def _findings(item: LayerFilters) -> tuple[Finding, ...]:
    layer, facts = item.drawing.layer, item.facts
    after = "" if item.whole else " What follows the layer may still scale or shift them differently: see `fold_norm`."
    sets = "; ".join(listed(copies) for copies in facts.copies[:4]) + "; …" * (len(facts.copies) > 4)
    return (
        *about_channels(
            layer,
            facts.broken,
            "with NaN or Inf among weights or bias",
            rule="filters/not-finite",
            severity=Severity.ERROR,
            remedy="Export the model again from a checkpoint whose weights are finite.",
        ),
        *about_channels(
            layer,
            facts.zero,
            "with no weight but 0, so with constant output",
            rule="filters/zero",
            severity=Severity.WARNING,
            remedy="Such a filter can go: its output joins the next layer's bias (exact unless that layer pads).",
        ),
        *about_channels(
            layer,
            facts.repeated,
            f"equal to an earlier one (equal sets: {sets})",
            rule="filters/copy",
            severity=Severity.INFO,
            remedy=f"Merge each with its original, adding up what the next layer makes of them.{after}",
        ),
    )
