"""A model as plugins see it, made from weights alone: no file, no graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np

from inspector import Array, Filters, Inapplicable, Layer, Tap, TapKind, TensorInfo
from inspector.errors import NotFoundError


@dataclass(frozen=True, slots=True, eq=False)
class Conv:
    """A convolution to put into a fake model.

    Attributes:
        weight: (M, C/groups, *kernel), output channel first, for a transposed convolution too; None: known at run
            time only, and then `shape` says what it would be.
        scale, shift: (M,), what a BatchNormalization after it multiplies by and adds.
        activation: name of what follows, or None.
    """

    name: str
    weight: Array | None = None
    groups: int = 1
    bias: Array | None = None
    scale: Array | None = None
    shift: Array | None = None
    op: str = "Conv"
    activation: str | None = "Relu"
    shape: tuple[int, ...] = ()

    def layer(self, index: int) -> Layer:
        """The facts of it, as the layer with that index."""
        shape = self.shape if self.weight is None else self.weight.shape
        outputs, inputs, kernel = shape[0], shape[1] * self.groups, tuple(shape[2:])
        taps = {kind: Tap(self.name, kind, f"{self.name}_{kind.value}", outputs) for kind in TapKind}
        return Layer(
            name=self.name,
            index=index,
            op=self.op,
            weight_shape=shape if self.op == "Conv" else (inputs, outputs // self.groups, *kernel),
            groups=self.groups,
            kernel=kernel,
            strides=(1,) * len(kernel),
            dilations=(1,) * len(kernel),
            pads=(0,) * 2 * len(kernel),
            auto_pad="NOTSET",
            in_channels=inputs,
            out_channels=outputs,
            parameters=math.prod(shape) + (self.bias is not None) * outputs,
            taps=taps,
            activation=self.activation,
        )


@dataclass(frozen=True, eq=False)
class FakeModel:
    """An `inspector.ModelView` of these convolutions."""

    convs: Sequence[Conv]
    inputs: tuple[TensorInfo, ...] = (TensorInfo("image", "float32", ("N", 3, 32, 32)),)
    outputs: tuple[TensorInfo, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    name: str = "fake"
    sha256: str = "0" * 64

    @property
    def input_taps(self) -> tuple[Tap, ...]:
        shapes = [(i.name, i.shape or ()) for i in self.inputs]
        return tuple(Tap("", TapKind.ACT, name, int(shape[1] or 0)) for name, shape in shapes if len(shape) > 2)

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(conv.layer(i) for i, conv in enumerate(self.convs))

    def layer(self, name: str) -> Layer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise NotFoundError.among("layer", name, [layer.name for layer in self.layers])

    def taps(self, patterns: tuple[str, ...] = ("*",), kind: TapKind = TapKind.ACT) -> tuple[Tap, ...]:
        return tuple(la.tap(kind) for la in self.layers if any(fnmatchcase(la.name, p) for p in patterns))

    def filters(self, layer: str, *, fold_norm: bool = False) -> Filters:
        conv = self.convs[self.layer(layer).index]
        if conv.weight is None:
            raise Inapplicable(f"layer {layer!r}", "its weights are computed while the model runs")
        bias = np.zeros(len(conv.weight), np.float32) if conv.bias is None else conv.bias
        if conv.scale is None:
            return Filters(conv.weight, bias)
        if not fold_norm:
            return Filters(conv.weight, bias, whole=False)
        scale = conv.scale.astype(np.float64)
        weight = conv.weight * scale.reshape(-1, *[1] * (conv.weight.ndim - 1))
        return Filters(weight, bias * scale + (0.0 if conv.shift is None else conv.shift), (f"{conv.name}_bn",))

    def input_range(self, layer: str) -> tuple[float, float]:
        return self.ranges.get(layer, (-math.inf, math.inf))
