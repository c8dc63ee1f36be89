"""Models and plugins as JSON, for programs: the forms of `inspector describe --json` and `inspector plugins --json`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from inspector.analysis.registry import PluginInfo
from inspector.contract import Layer, TapKind, TensorInfo

if TYPE_CHECKING:
    from inspector.graph.view import OnnxView


def describe(view: OnnxView) -> dict[str, Any]:
    """`{"model": {…}, "layers": […]}`, plain values only.

    A receptive field is that of the raw output, by the name of the image input; None where it depends on no image.
    """
    return {
        "model": {
            "name": view.name,
            "sha256": view.sha256,
            **view.facts,
            "left_out": list(view.left_out),
            "inputs": [_tensor(t) for t in view.inputs],
            "outputs": [_tensor(t) for t in view.outputs],
        },
        "layers": [_layer(view, layer) for layer in view.layers],
    }


def _tensor(info: TensorInfo) -> dict[str, Any]:
    return {"name": info.name, "dtype": info.dtype, "shape": None if info.shape is None else list(info.shape)}


def _layer(view: OnnxView, layer: Layer) -> dict[str, Any]:
    cost = view.cost(layer.name)
    fields = {name: field.facts() for name, field in view.receptive_fields(layer.name).items()}
    quantized = {
        kind.value: {"scale": list(tap.scale), "zero_point": list(tap.zero_point)}
        for kind, tap in layer.taps.items()
        if tap.scale
    }
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
        "macs": cost.macs,
        "activation_bytes": cost.activation_bytes,
        "taps": taps,
        "quantized": quantized,
        "activation": layer.activation,
        "linear": layer.linear,
        "receptive_field": fields or None,
    }


def plugin(info: PluginInfo) -> dict[str, Any]:
    """Everything that is known of a plugin, its parameters as JSON Schema."""
    return {
        "name": info.name,
        "version": info.version,
        "kind": info.kind,
        "about": info.about,
        "distribution": info.distribution,
        "failure": info.failure,
        "rules": info.rules,
        "metrics": [asdict(metric) for metric in info.metrics],
        "params_schema": json.loads(info.params_schema),
    }
