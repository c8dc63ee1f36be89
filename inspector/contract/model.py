"""What an analysis may know of a model: layers, taps, filters. Facts only; nothing here can be changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""Any NumPy array. The shape is in the docstring of whoever uses it: N is the batch, C a layer's channels."""


class TapKind(StrEnum):
    """Where on the way out of a convolution a value is watched."""

    CONV = "conv"
    """The raw output of the convolution node."""
    NORM = "norm"
    """After a separate bias Add, BatchNormalization or other per-channel normalisation."""
    ACT = "act"
    """After the first activation. The default: this is what the next layers see."""


class Zeros(StrEnum):
    """What a zero means at a tap."""

    EXACT = "exact"
    """The activation gives exact zeros when a unit is off (Relu, Clip from 0, HardSwish, saturation, …): count them."""
    NOT_MEANINGFUL = "not meaningful"
    """Nothing rectifies here (raw outputs, SiLU, GELU, LeakyRelu, Sigmoid, …): a zero would be a coincidence."""


@dataclass(frozen=True, slots=True)
class Tap:
    """A point where a layer's values can be watched, or what the model is fed: see `ModelView.input_taps`.

    Attributes:
        layer: name of the layer; empty: the value is an input of the model.
        kind: which point; of an input `act`, what the next layers see.
        tensor: name of the ONNX value; two taps may share one (two convolutions into one residual Add).
        channels: C, the size of axis 1; 0 where the model leaves that of an input open.
        activation: name of the activation applied just before this point, or None for a linear value.
        zeros: what a zero means here.
        shared: True where a residual Add lies between the layer and this point, so that the value, and every
            zero in it, belongs to the sum and not to this layer alone.
        scale: of quantised values, integers q that stand for (q - zero_point) * scale: one number, or one per channel.
            Measures are taken of the real numbers, `keep` gives the integers. Empty: no such integers, or a scale
            that is only known when the model runs.
        zero_point: of quantised values, the integers that stand for 0: one, or one per channel; else empty.
        bypassed: True where something else reads the value before the activation as well, or the model gives it out:
            a channel that is silent here may still be heard there.
    """

    layer: str
    kind: TapKind
    tensor: str
    channels: int
    activation: str | None = None
    zeros: Zeros = Zeros.NOT_MEANINGFUL
    shared: bool = False
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    bypassed: bool = False

    @property
    def is_input(self) -> bool:
        """True where the value is an input of the model, as it is fed."""
        return not self.layer

    @property
    def name(self) -> str:
        """`layer:kind`, or `tensor:input` of an input; unique in a model."""
        return f"{self.tensor}:input" if self.is_input else f"{self.layer}:{self.kind.value}"


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution.

    Attributes:
        name: unique in the model: the node's name, or one made from its output where that is missing or taken.
        index: position among the model's convolutions, in execution order, from 0.
        op: ONNX operator: `Conv`, `ConvTranspose`, `ConvInteger`, `QLinearConv`, `DeformConv`, or one of onnxruntime's
            own, `FusedConv`, `NhwcFusedConv`.
        weight_shape: as stored: (C, M/groups, *kernel) for ConvTranspose, (M, C/groups, *kernel) for all others.
        groups: number of groups, from 1.
        kernel: spatial size of the kernel, one entry per spatial axis.
        strides: one entry per spatial axis.
        dilations: one entry per spatial axis.
        pads: begin of every spatial axis, then end of every one, as ONNX has them; empty where `auto_pad` decides.
        auto_pad: `NOTSET`, `SAME_UPPER`, `SAME_LOWER` or `VALID`.
        in_channels: C, channels read.
        out_channels: M, channels written.
        parameters: number of weights and biases held by the node itself.
        taps: the points that exist, keyed by kind. Never empty; without `conv` where the node itself applies the
            activation.
        activation: first activation after the layer, or None.
        linear: why there is no activation ("feeds Concat"), empty where there is one.
    """

    name: str
    index: int
    op: str
    weight_shape: tuple[int, ...]
    groups: int
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    auto_pad: str
    in_channels: int
    out_channels: int
    parameters: int
    taps: Mapping[TapKind, Tap]
    activation: str | None
    linear: str = ""

    @property
    def depthwise(self) -> bool:
        """True when every input channel has filters of its own: groups == C and C > 1."""
        return self.groups == self.in_channels and self.in_channels > 1

    def tap(self, kind: TapKind = TapKind.ACT) -> Tap:
        """The tap of that kind, or the nearest one before it that exists (act, norm, conv), or the first after it."""
        order = [TapKind.CONV, TapKind.NORM, TapKind.ACT]
        place = order.index(kind) + 1
        return next(self.taps[k] for k in [*reversed(order[:place]), *order[place:]] if k in self.taps)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Name, element type (NumPy name, such as `float32`) and shape of a model's input or output.

    A dimension is an int, or a name where the model leaves it free, or None where nothing is known of it.
    `shape` is None where not even the rank is known.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class Filters:
    """The numbers of one layer, output channel first, whatever the operator stores.

    Attributes:
        weight: (M, C/groups, *kernel), float32 or float64. Row o reads the input channels of its own group.
            Quantised weights are multiplied out; those of a ConvInteger, which has no scale of its own, are the
            integers minus the zero point.
        bias: (M,), zeros where the layer has none.
        folded: names of the nodes whose per-channel scale and shift are contained, in order; empty: none.
        whole: True when nothing that scales or shifts the layer's own output comes after what is contained.
        rounding: how much one operation may round in a run, relative to its result: half a step of the coarsest element
            type on the way to the activation, 2^-24 for float32, 2^-11 for float16, 2^-8 for bfloat16.
    """

    weight: Array
    bias: Array
    folded: tuple[str, ...] = ()
    whole: bool = True
    rounding: float = 2.0**-24


class ModelView(Protocol):
    """Frozen facts about one ONNX model: what `load` gives, and analyses are given. Nothing here runs or changes it.

    `layers` are its convolutions, `taps` the places where their values can be watched, `filters` their weights.
    """

    @property
    def name(self) -> str:
        """File name without folder and ending, or the name given when loading."""

    @property
    def sha256(self) -> str:
        """Of the file's bytes, lower-case hexadecimal."""

    @property
    def facts(self) -> Mapping[str, str]:
        """Provenance as text: producer, IR version, opsets, bytes, …."""

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """What a caller must feed (initializers listed as inputs are not among them)."""

    @property
    def input_taps(self) -> tuple[Tap, ...]:
        """The inputs as taps, in order: those that are numbers and have axes in space, (N, C, *space).

        Patterns do not find them. What is on axis 1 is for the model to say: of (N, H, W, C) it is the height.
        """

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """What the model itself gives."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every convolution, in execution order."""

    def layer(self, name: str) -> Layer:
        """The layer of that name; NotFoundError with the nearest name otherwise."""

    def taps(self, patterns: str | Sequence[str] = ("*",), kind: TapKind = TapKind.ACT) -> tuple[Tap, ...]:
        """Taps by pattern, one or several, in layer order, each once.

        A pattern is a shell-style layer pattern, optionally `:kind` (`conv1`, `layer1/*`, `layer1/*:conv`).
        Without `:kind` a layer gives its tap of `kind` or, where it has none, the nearest one (see `Layer.tap`).

        Raises:
            NotFoundError: a pattern matches no layer.
            Inapplicable: `:kind` was asked for and no layer that matches has such a tap; says why.
        """

    def filters(self, layer: str, *, fold_norm: bool = False) -> Filters:
        """Weights and bias of a layer; with `fold_norm` its bias Add and BatchNormalization folded in.

        Raises:
            Inapplicable: the weights are computed from the model's inputs, so they have no fixed value.
        """

    def input_range(self, layer: str) -> tuple[float, float]:
        """Bounds that hold for every element the layer can read, whatever the model is fed (±inf: none known)."""


UNBOUNDED: tuple[float, float] = (-np.inf, np.inf)
