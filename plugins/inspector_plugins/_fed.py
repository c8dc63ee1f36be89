"""What a model was fed, as pictures: its own numbers, as they are after all preprocessing.

They are no colours any more then, and nothing says which numbers would be black and white. So every picture is
stretched from the smallest number of its input to the largest, and its caption says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from inspector import Array, Images, ModelView, Picture, Scale, ScaleKind, Tap, TensorInfo
from inspector_plugins._drawable import multiples, peak_of, power_of, unit_of
from inspector_plugins._map_pictures import kind_of, pictures_of, slices_drawn, spread_out

MOST_SIDE: Final = 2048
"""Rows and columns of a picture; of a larger input every second of them is drawn, or every third, …."""
COLUMNS: Final = 8
_LOOKS: Final = {
    3: "Channels 0, 1, 2 are drawn as red, green and blue, and so stand for colours only as far as the model is fed "
    "colours in that order",
    1: "The one channel is drawn as grey",
}


@dataclass(frozen=True, slots=True, eq=False)
class Fed:
    """One input of a model: `values[id]` is (C, *space) as it was fed, or (*space, C) where `last`."""

    tap: Tap
    last: bool
    values: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is drawn: channels of an input that has neither one nor three, and slices of a volume."""

    maps: int
    slices: int


def fed(model: ModelView, values: Mapping[Tap, Mapping[str, Array]]) -> tuple[Fed, ...]:
    """What was fed, by input of the model and by id, in the order of the model."""
    infos = {info.name: info for info in model.inputs}
    return tuple(Fed(tap, has_channels_last(infos[tap.tensor]), values[tap]) for tap in values if tap.is_input)


def has_channels_last(tensor: TensorInfo) -> bool:
    """Whether an input is (N, *space, C), judged as it is for pictures that are fed: C is 1 or 3, axis 1 is neither."""
    shape = tensor.shape or ()
    return len(shape) > 3 and shape[1] not in {1, 3} and shape[-1] in {1, 3}


def not_drawn(model: ModelView) -> str:
    """Which inputs of a model are no pictures, and why; empty where all are."""
    drawn = {tap.tensor for tap in model.input_taps}
    return "; ".join(f"input {i.name} is not drawn: {_why_not(i)}" for i in model.inputs if i.name not in drawn)


def _why_not(tensor: TensorInfo) -> str:
    if tensor.shape is None:
        return f"the model does not say how many axes it has ({tensor.dtype})"
    shape = f"{tensor.dtype}, {_shape('?' if size is None else size for size in tensor.shape) or 'one number'}"
    return f"it has no axes in space ({shape})" if len(tensor.shape) < 3 else f"it holds no numbers ({shape})"


def images_of(one: Fed, name: str, amount: Amount) -> Images:
    """The pictures of one input, for one id."""
    values = one.values[name]
    planes = np.moveaxis(values, -1, 0) if one.last else values
    channels, space = len(planes), planes.shape[1:]
    depth, step = math.prod(space[:-2]), max(1, math.ceil(max(space[-2:]) / MOST_SIDE))
    places = spread_out(depth, amount.slices)
    thin = planes[..., ::step, ::step] if len(space) > 1 else planes[..., ::step]
    look = _LOOKS.get(channels, "") if channels == 1 or len(space) > 1 else ""
    pictures = _coloured(thin, places, values) if look else _sheet(one, thin[: amount.maps], places)
    told = look or _sheet_told(channels, amount.maps)
    return Images(
        title=f"Input {one.tap.tensor} for {name}",
        pictures=tuple(pictures),
        columns=len(places) if len(places) > 1 else COLUMNS,
        caption=f"{_numbers(values)} {_cuts(depth, places, step)}{told}. {_scales(channels, depth, look=bool(look))}.",
    )


def _coloured(planes: Array, places: Sequence[int], whole: Array) -> list[Picture]:
    """One or three channels (C, *space) in colour, or in grey, which has the same number for red, green and blue.

    The scale and the mark are those of the whole input, whatever of it is drawn.
    """
    real = whole.astype(np.float64)
    finite, power = real[np.isfinite(real)], power_of(peak_of(real))
    ends = multiples(np.array([finite.min(), finite.max()] if finite.size else [0.0, 0.0]), power)
    scale = Scale(ScaleKind.COLOUR, float(ends[0]), float(ends[1]), unit_of("", power))
    mark = "" if finite.size == real.size else "not finite"
    drawn = multiples(planes.astype(np.float64), power)
    slices = np.moveaxis(drawn if drawn.ndim > 2 else drawn[:, None], 0, -1)
    slices = slices.reshape(-1, *slices.shape[-3:])
    return [
        Picture(np.repeat(slices[z], 3 // len(planes), axis=-1), f"z={z}" * (len(slices) > 1), mark, scale)
        for z in places
    ]


def _sheet(one: Fed, planes: Array, places: Sequence[int]) -> list[Picture]:
    kind = kind_of(one.values.values())
    return [picture for c in range(len(planes)) for picture in pictures_of(one.tap, c, planes[c], places, kind)]


def _sheet_told(channels: int, most: int) -> str:
    return f"The first {most} of {channels} channels are drawn" if most < channels else f"Its {channels} channels"


def _numbers(values: Array) -> str:
    """Element type, shape and range."""
    finite = values[np.isfinite(values)]
    span = f"from {_number(finite.min())} to {_number(finite.max())}" if finite.size else "none finite"
    lost = values.size - finite.size
    lost_told = f"; {lost:,} of {values.size:,} are not finite, NaN or Inf" if lost and finite.size else ""
    return f"As it was fed: {values.dtype.name}, {_shape(values.shape)}, numbers {span}{lost_told}."


def _number(number: np.generic) -> str:
    return str(int(number)) if number.dtype.kind in "iu" else f"{float(number):.6g}"


def _cuts(depth: int, places: Sequence[int], step: int) -> str:
    some = f"Slices across its first axis in space: {slices_drawn(depth, places)}. " if depth > 1 else ""
    return some + (f"Of every {step} rows and columns one is drawn. " if step > 1 else "")


def _scales(channels: int, depth: int, *, look: bool) -> str:
    alike = ", the same for all its slices" * (depth > 1)
    if not look:
        return f"Every channel has its own scale, written under it{alike}"
    bright = "white" if channels == 1 else "full intensity of every channel"
    return (
        f"Black is the smallest number of this input, {bright} the largest{alike}: brightness does not compare "
        "between inputs"
    )


def _shape(sizes: Iterable[object]) -> str:
    return "x".join(map(str, sizes))
