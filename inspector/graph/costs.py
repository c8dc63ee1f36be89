"""What a layer costs for one input: parameters, multiply-accumulates, bytes of its output.

Multiply-accumulates (MACs), with M filters, C input channels, g groups:

    Conv            M * C / g * prod(kernel) * prod(space of the output)
    ConvTranspose   C * M / g * prod(kernel) * prod(space of the input)

All other convolutions count as Conv does; what DeformConv does to find its pixels is not counted.
Where a model makes several maps of an input on the way, as of the frames of a video, all of them count.
The usual convention: taps that fall into padding count, adding the bias does not, and one MAC is what others count as
two operations (FLOPs). Only layers are counted; fully connected layers, pooling, normalisation and activations are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from inspector.contract import Layer
from inspector.graph.layers import Site

_BITS_OF_A_BYTE = 8


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one layer, or of several together, for one input.

    Attributes:
        parameters: weights and biases held by the convolution itself.
        macs: multiply-accumulates; None where the model leaves the size of the maps open, or shape inference does.
        activation_bytes: of the raw output, in its own element type; None as above.
    """

    parameters: int
    macs: int | None
    activation_bytes: int | None


Copies = Callable[[ir.Value], int | None]
"""How many entries axis 0 of a value has for one input; None where that is open."""


def layer_costs(sites: Iterable[Site], copies: Copies) -> dict[str, Cost]:
    """By name of the layer. Shapes must have been inferred; every branch runs."""
    return {site.layer.name: _cost(site, copies) for site in sites}


def total(costs: Iterable[Cost]) -> Cost:
    """The sum; None where a part is None. The bytes are those of all outputs, not of those alive at one time."""
    parts = list(costs)
    return Cost(
        sum(part.parameters for part in parts),
        _sum([part.macs for part in parts]),
        _sum([part.activation_bytes for part in parts]),
    )


def multiply_accumulates(layer: Layer, space: Sequence[int]) -> int:
    """MACs for one input; `space`: spatial size of a Conv's output, of a ConvTranspose's input."""
    return math.prod(layer.weight_shape) * math.prod(space)


def _cost(site: Site, copies: Copies) -> Cost:
    layer, node = site.layer, site.node
    output = node.outputs[0]
    made = _positions(site, output, copies)
    walked = _positions(site, node.inputs[0], copies) if site.form.transposed else made
    countable = output.dtype not in (None, ir.DataType.UNDEFINED, ir.DataType.STRING)
    bits = output.dtype.bitwidth if countable and output.dtype is not None else None
    return Cost(
        layer.parameters,
        None if walked is None else multiply_accumulates(layer, (walked,)),
        None if made is None or bits is None else -(-layer.out_channels * made * bits // _BITS_OF_A_BYTE),
    )


def _positions(site: Site, value: ir.Value | None, copies: Copies) -> int | None:
    """Places of all maps of a value that one input makes; None where that is open."""
    space = _space(value, len(site.layer.kernel) + 2, last=site.form.channels_last)
    count = None if value is None or space is None else copies(value)
    return None if count is None or space is None else count * math.prod(space)


def _space(value: ir.Value | None, rank: int, *, last: bool) -> tuple[int, ...] | None:
    """Sizes of space, where all of so many axes are known; `last`: behind it come the channels."""
    if value is None or value.shape is None or value.shape.rank() != rank:  # a file may declare anything
        return None
    axes = value.shape.dims[1:-1] if last else value.shape.dims[2:]
    sizes = [size for size in axes if isinstance(size, int)]
    return tuple(sizes) if len(sizes) == rank - 2 else None


def _sum(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
