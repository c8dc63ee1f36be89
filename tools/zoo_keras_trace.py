"""What Keras computes in one call of a model: every convolution, and what its layers make of the value."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers
from keras.src import backend  # no public way leads to where every convolution of every layer passes

from inspector.contract import Array

_PLAIN = ("strides", "padding", "data_format", "dilation_rate")
_CONVOLUTIONS = {
    "conv": _PLAIN,
    "depthwise_conv": _PLAIN,
    "conv_transpose": ("strides", "padding", "output_padding", "data_format", "dilation_rate"),
}
"""Functions that convolve, and what they take behind data and kernel."""
_NORMS = (
    layers.BatchNormalization, layers.GroupNormalization, layers.LayerNormalization, layers.Dropout,
    layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D, layers.Identity,
)  # fmt: skip
_ACTIVATIONS = (layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Softmax, layers.Activation)
_CUT_TO_ZERO = frozenset(
    {"relu", "relu6", "hard_sigmoid", "hard_silu", "hard_shrink", "soft_shrink", "threshold", "sparse_plus",
     "sparse_sigmoid"}
)  # fmt: skip


@dataclass
class Conv:
    """A convolution that ran. Arrays are (N, C, *space), the kernel lies as ONNX has it.

    `stages`: raw, with bias, and after each normalisation; `act`: after the activation that belongs to it; None where
    none does. `cut`: that activation gives exact zeros on an interval.
    """

    layer: str
    op: str
    kernel: Array
    groups: int
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    stages: list[Array]
    act: Array | None = None
    activation: str = ""
    cut: bool = False
    forked: bool = False


@dataclass
class _Call:
    layer: Any
    inputs: list[Any]
    outputs: list[Any]
    leaf: bool = True
    convs: list[tuple[str, Any, Any, dict[str, Any]]] = field(default_factory=list)


def trace(model: keras.Model, fed: list[Array]) -> tuple[list[Conv], list[Array]]:
    """Every convolution, in order of execution; and every value that has maps, of layers and of operations."""
    calls: list[_Call] = []
    stack: list[_Call] = []
    plain_call, plain_operation = layers.Layer.__call__, keras.Operation.__call__
    plain = {name: getattr(backend.nn, name) for name in (*_CONVOLUTIONS, "separable_conv")}

    def call(self: Any, *args: Any, **named: Any) -> Any:
        if stack:
            stack[-1].leaf = False
        stack.append(_Call(self, keras.tree.flatten((args, named)), []))
        result = plain_call(self, *args, **named)
        done = stack.pop()
        done.outputs = keras.tree.flatten(result)
        calls.append(done)
        return result

    def operate(self: Any, *args: Any, **named: Any) -> Any:
        result = plain_operation(self, *args, **named)
        if not isinstance(self, layers.Layer):
            calls.append(_Call(self, keras.tree.flatten((args, named)), keras.tree.flatten(result)))
        return result

    def convolve(name: str, inputs: Any, kernel: Any, *args: Any, **named: Any) -> Any:
        result = plain[name](inputs, kernel, *args, **named)
        given = dict(zip(_CONVOLUTIONS[name], args, strict=False)) | named
        stack[-1].convs.append((name, kernel, result, given | {"read": inputs.shape[-1]}))
        return result

    def separate(
        inputs: Any, depthwise: Any, pointwise: Any, strides: Any, padding: str, *rest: Any, **named: Any
    ) -> Any:
        once = dict(zip(("data_format", "dilation_rate"), rest, strict=False)) | named
        maps = backend.nn.depthwise_conv(inputs, depthwise, strides, padding, **once)
        return backend.nn.conv(maps, pointwise, 1, "valid", once.get("data_format"))

    layers.Layer.__call__, keras.Operation.__call__ = call, operate
    backend.nn.separable_conv = separate
    for name in _CONVOLUTIONS:
        setattr(backend.nn, name, functools.partial(convolve, name))
    try:
        model(fed[0] if len(fed) == 1 else fed, training=False)
    finally:
        layers.Layer.__call__, keras.Operation.__call__ = plain_call, plain_operation
        for name, function in plain.items():
            setattr(backend.nn, name, function)
    maps = [_first(v) for each in calls for v in each.outputs if len(getattr(v, "shape", ())) in (3, 4, 5)]
    return [conv for each in calls for conv in _convs(each, calls)], maps


def _convs(call: _Call, calls: list[_Call]) -> Iterator[Conv]:
    """What one layer convolved: one, or two where it is separable, of which the last has its bias and activation."""
    for place, (name, kernel, result, given) in enumerate(call.convs):
        op, weight, groups = _oriented(name, np.asarray(kernel), given["read"])
        sides = [_per_axis(given.get(key, 1), weight.ndim - 2) for key in ("strides", "dilation_rate")]
        conv = Conv(call.layer.name, op, weight, groups, *sides, [_first(result)])
        if place == len(call.convs) - 1:
            bias = getattr(call.layer, "bias", None)
            if bias is not None:
                conv.stages.append(_first(result + keras.ops.cast(bias, result.dtype)))
            _follow(conv, call, calls)
        yield conv


def _follow(conv: Conv, call: _Call, calls: list[_Call]) -> None:
    """The activation of the layer, or else that which it feeds, through normalisations and sums."""
    own = getattr(call.layer, "activation", keras.activations.linear)
    value = call.outputs[0]
    if own is not keras.activations.linear:
        conv.act, conv.activation, conv.cut = _first(value), _name(own), _name(own) in _CUT_TO_ZERO
        return
    summed = False
    while True:
        readers = [c for c in calls if c.leaf and any(i is value for i in c.inputs) and c.outputs[0] is not value]
        conv.forked = conv.forked or len(readers) > 1
        if len(readers) != 1:
            return
        layer, value = readers[0].layer, readers[0].outputs[0]
        if isinstance(layer, _ACTIVATIONS) and getattr(layer, "activation", None) is not keras.activations.linear:
            conv.act, conv.activation, conv.cut = _first(value), *_described(layer)
            return
        if not isinstance(layer, (*_NORMS, layers.Add, layers.Activation)):
            return
        summed = summed or isinstance(layer, layers.Add)
        if not summed:
            conv.stages.append(_first(value))


def _described(layer: Any) -> tuple[str, bool]:
    """Name of an activation layer with its numbers, and whether it cuts to 0."""
    numbers = {
        k: v for k in ("max_value", "negative_slope", "threshold", "alpha") if _is_number(v := getattr(layer, k, 0))
    }
    text = "".join(f" {k}={v:g}" for k, v in numbers.items())
    if isinstance(layer, layers.Activation):
        return _name(layer.activation), _name(layer.activation) in _CUT_TO_ZERO
    return type(layer).__name__ + text, isinstance(layer, layers.ReLU) and not numbers.get("negative_slope")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and value != 0


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _oriented(name: str, kernel: Array, read: int) -> tuple[str, Array, int]:
    """Operator, weight and groups as ONNX has them."""
    if name == "depthwise_conv":
        merged = kernel.reshape(*kernel.shape[:-2], 1, -1)
        return "Conv", np.moveaxis(merged, (-1, -2), (0, 1)), kernel.shape[-2]
    if name == "conv_transpose":
        return "ConvTranspose", np.moveaxis(kernel, (-1, -2), (0, 1)), 1
    return "Conv", np.moveaxis(kernel, (-1, -2), (0, 1)), read // kernel.shape[-2]


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value)


def _first(value: Any) -> Array:
    """(N, C, *space) in float32 at least."""
    array = np.moveaxis(np.asarray(value), -1, 1)
    return array.astype(np.float32) if array.dtype != np.float64 else array
