"""A layer's filters as pictures: which form, which of them, on what scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from inspector import Array, Filters, Heatmap, Images, Layer, Picture, Scale, ScaleKind, TensorInfo
from inspector_plugins._drawable import at_power, multiples, peak_of, power_of, slices_of, unit_of
from inspector_plugins._wording import counted

PATCHES = 256
"""Most filters drawn of a layer that reads the image."""
SIDE = 128
"""Most rows and columns of a matrix of 1x1 kernels."""
PICTURES = 4096
"""Most pictures drawn per layer."""
PIXELS = 1 << 20
"""Most pixels drawn per layer."""


class Form(Enum):
    """How a layer's filters are drawn."""

    COLOUR = "colour patches"
    """Reads a picture of three channels: one colour picture per filter."""
    GREY = "patches"
    """Reads a picture of one channel: one signed picture per filter."""
    SLICES = "slices"
    """Reads maps: one signed picture per filter and map."""
    MATRIX = "matrix"
    """The kernel is a single number: one matrix of filters by maps."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be drawn: these filters (empty: the first `most`), the first `inputs` maps of each."""

    filters: tuple[int, ...]
    most: int
    inputs: int


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What of a layer is drawn.

    Attributes:
        layer: the layer.
        form: how.
        outputs: filters that are drawn, in the order asked for; may be empty.
        weight: (len(outputs), inputs, *kernel), float64, of the first inputs of each filter's group.
        peak: greatest finite |weight| of the whole layer; ends of the common scale.
        folded: names of the nodes folded into the weights.
        crowded_out: filters that were asked for by name and do not fit.
    """

    layer: Layer
    form: Form
    outputs: tuple[int, ...]
    weight: Array
    peak: float
    folded: tuple[str, ...]
    crowded_out: int

    @property
    def first_inputs(self) -> tuple[int, ...]:
        """For every drawn filter the first input map that it reads."""
        layer = self.layer
        filters_per_group, inputs_per_group = layer.out_channels // layer.groups, layer.in_channels // layer.groups
        return tuple(o // filters_per_group * inputs_per_group for o in self.outputs)


def form_of(layer: Layer, inputs: Sequence[TensorInfo]) -> Form:
    """The form for a layer of a model with these inputs."""
    if math.prod(layer.kernel) == 1:
        return Form.MATRIX
    if not reads_image(layer, inputs):
        return Form.SLICES
    return {3: Form.COLOUR, 1: Form.GREY}.get(layer.in_channels, Form.SLICES)


def reads_image(layer: Layer, inputs: Sequence[TensorInfo]) -> bool:
    """True for an ungrouped first Conv over two or more axes that has as many input channels as a model input.

    The input's channels are its second axis or, for channels-last models, its last; an unknown size fits. What lies
    between input and layer is not known here, nor is which other layers read the image: they are drawn as slices.
    """
    if layer.index or layer.op == "ConvTranspose" or layer.groups != 1 or len(layer.kernel) < 2:
        return False
    return any(_fits(layer, info.shape) for info in inputs)


def _fits(layer: Layer, shape: tuple[int | str | None, ...] | None) -> bool:
    if shape is None:
        return True
    if len(shape) != len(layer.kernel) + 2:
        return False
    return layer.in_channels in (shape[1], shape[-1]) or not isinstance(shape[1], int)


def drawing_of(layer: Layer, filters: Filters, form: Form, wish: Wish) -> Drawing:
    """What of the layer is drawn, copied out of its weights: whole kernels, as many as the limits allow."""
    weight = filters.weight
    per_kernel = max(math.prod(layer.kernel), math.prod(layer.kernel[:-2]) * (PIXELS // PICTURES))
    room = PIXELS if form is Form.MATRIX else PIXELS // per_kernel
    most = {Form.MATRIX: SIDE, Form.SLICES: wish.most}.get(form, PATCHES)
    inputs = {Form.MATRIX: SIDE, Form.SLICES: min(wish.inputs, max(1, room))}.get(form, layer.in_channels)
    inputs = min(inputs, weight.shape[1])
    asked = tuple(o for o in wish.filters if o < len(weight)) if wish.filters else tuple(range(len(weight)))[:most]
    outputs = asked[: room // inputs]
    drawn = np.asarray(weight[list(outputs), :inputs], dtype=np.float64)
    crowded_out = len(asked) - len(outputs) if wish.filters else 0
    return Drawing(layer, form, outputs, drawn, peak_of(weight), filters.folded, crowded_out)


def block_of(drawing: Drawing, *, bgr: bool, own_scales: bool) -> Images | Heatmap:
    """The drawing as a block. `bgr`: the three channels are blue, green, red. `own_scales`: one per filter."""
    if drawing.form is Form.MATRIX:
        return _matrix(drawing)
    pictures = [p for row in range(len(drawing.outputs)) for p in _pictures(drawing, row, bgr=bgr, own=own_scales)]
    in_a_row = len(pictures) // len(drawing.outputs)
    return Images(
        title=f"{drawing.layer.name}: filters as {drawing.form.value}",
        pictures=tuple(pictures),
        columns=in_a_row if in_a_row > 1 else min(16, math.ceil(math.sqrt(len(pictures)))),
        scale=None if own_scales else _scale(drawing, drawing.peak),
        caption=_caption(drawing, own_scales=own_scales),
    )


def _pictures(drawing: Drawing, row: int, *, bgr: bool, own: bool) -> list[Picture]:
    """The pictures of one filter: colour patch or map by map, and in that the slices of a deep kernel."""
    output, weight = drawing.outputs[row], drawing.weight[row]
    peak = peak_of(weight) if own else drawing.peak
    scale, power = _scale(drawing, peak) if own else None, power_of(peak)
    if drawing.form is Form.COLOUR:
        red_first = weight[::-1] if bgr else weight
        stacks = {str(output): np.stack([slices_of(channel) for channel in red_first], axis=-1)}
    elif drawing.form is Form.GREY:
        stacks = {str(output): slices_of(weight[0])}
    else:
        first = drawing.first_inputs[row]
        stacks = {f"{output}, map {first + i}": slices_of(kernel) for i, kernel in enumerate(weight)}
    return [
        Picture(multiples(values, power), label + f" z={z}" * (len(stack) > 1), _mark(values), scale)
        for label, stack in stacks.items()
        for z, values in enumerate(stack)
    ]


def _mark(weight: Array) -> str:
    if not np.isfinite(weight).all():
        return "not finite"
    return "" if weight.any() else "zero"


def _scale(drawing: Drawing, peak: float) -> Scale:
    """Linear and symmetric around 0; a scale needs two ends, so one for nothing but zeros ends at 1."""
    kind, power = ScaleKind.COLOUR if drawing.form is Form.COLOUR else ScaleKind.SIGNED, power_of(peak)
    end = at_power(peak, power) or 1.0
    return Scale(kind, -end, end, unit_of("weight", power))


def _matrix(drawing: Drawing) -> Heatmap:
    values = multiples(drawing.weight.reshape(len(drawing.outputs), -1), power_of(drawing.peak))
    grouped = drawing.layer.groups > 1
    return Heatmap(
        title=f"{drawing.layer.name}: filters as one matrix (1x1 kernels)",
        values=values,
        scale=_scale(drawing, drawing.peak),
        row_axis="filter",
        column_axis="input map, counted within the filter's group" if grouped else "input map",
        row_labels=tuple(map(str, drawing.outputs)),
        column_labels=tuple(map(str, range(values.shape[1]))),
        caption=_caption(drawing, own_scales=False) + _strange(values),
    )


def _strange(values: Array) -> str:
    """What the cells of a matrix without a colour of the scale are."""
    nan, infinite = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    found = [f"{number:,} NaN" for number in (nan,) if number] + [f"{number:,} Inf" for number in (infinite,) if number]
    return f" Not a number: {' and '.join(found)} among the weights drawn." if found else ""


def _caption(drawing: Drawing, *, own_scales: bool) -> str:
    """How much of the layer is here, and on what scale."""
    layer, inputs = drawing.layer, drawing.layer.in_channels // drawing.layer.groups
    shown, drawn = len(drawing.outputs), drawing.weight.shape[1]
    first = "first " if drawing.outputs == tuple(range(shown)) else ""
    everything = f"all {counted(shown, 'filter')}" if shown > 1 else "the only filter"
    part = f"{first}{shown} of {counted(layer.out_channels, 'filter')}"
    what = part if shown < layer.out_channels else everything
    maps = f", first {drawn} of {inputs:,} input maps of each" if drawn < inputs else ""
    common = f"one linear scale, ±{drawing.peak:.4g}, 0 in the middle" if drawing.peak else "no finite weight but 0"
    ends = "each filter on a scale of its own" if own_scales else common
    folded = f" Folded in: {', '.join(drawing.folded)}." if drawing.folded else ""
    rest = f"; {drawing.crowded_out} more of those named do not fit" if drawing.crowded_out else ""
    text = f"{what}{maps}{rest}; {ends}."
    return text[0].upper() + text[1:] + folded
