"""A model as JSON, for programs: the form of `inspector describe --json`."""

from __future__ import annotations

from typing import Any

from inspector.contract import Layer, ModelView, TapKind, TensorInfo


def describe(view: ModelView) -> dict[str, Any]:
    """`{"model": {…}, "layers": […]}`, plain values only."""
    return {
        "model": {
            "name": view.name,
            "sha256": view.sha256,
            **view.facts,
            "inputs": [_tensor(t) for t in view.inputs],
            "outputs": [_tensor(t) for t in view.outputs],
        },
        "layers": [_layer(layer) for layer in view.layers],
    }


def _tensor(info: TensorInfo) -> dict[str, Any]:
    return {"name": info.name, "dtype": info.dtype, "shape": None if info.shape is None else list(info.shape)}


def _layer(layer: Layer) -> dict[str, Any]:
    taps = {kind.value: layer.taps[kind].tensor if kind in layer.taps else None for kind in TapKind}
    return {
        "name": layer.name,
        "op": layer.op,
        "weight_shape": list(layer.weight_shape),
        "groups": layer.groups,
        "depthwise": layer.depthwise,
        "in_channels": layer.in_channels,
        "out_channels": layer.out_channels,
        "kernel": list(layer.kernel),
        "strides": list(layer.strides),
        "dilations": list(layer.dilations),
        "pads": list(layer.pads),
        "auto_pad": layer.auto_pad,
        "parameters": layer.parameters,
        "taps": taps,
        "activation": layer.activation,
        "linear": layer.linear,
    }
