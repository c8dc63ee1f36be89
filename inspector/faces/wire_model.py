"""Models and layers as messages, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from inspector._proto.inspector.v1 import model_pb2
from inspector.contract import Layer, ModelView, Tap, TapKind, TensorInfo, Zeros
from inspector.faces.wire_block import enum_from_message
from inspector.faces.wire_names import layer_name, model_name, model_of
from inspector.faces.wire_tensor import info_from_message, info_to_message, utf8

TAP_KINDS: Final = {
    TapKind.CONV: model_pb2.TAP_KIND_CONV,
    TapKind.NORM: model_pb2.TAP_KIND_NORM,
    TapKind.ACT: model_pb2.TAP_KIND_ACT,
}
ZEROS: Final = {
    Zeros.EXACT: model_pb2.ZEROS_EXACT,
    Zeros.NOT_MEANINGFUL: model_pb2.ZEROS_NOT_MEANINGFUL,
}


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a server says of one of its models.

    Attributes:
        name: the model's id, which every method of a client takes.
        size: of the file, in bytes.
        failure: why the model cannot be used; empty where it can, and then the fields below are filled.
        sha256: of the file's bytes, lower-case hexadecimal.
        facts: provenance as text.
        inputs: what a caller must feed.
        outputs: what the model itself gives.
        layers: number of convolutions.
    """

    name: str
    size: int
    failure: str = ""
    sha256: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[TensorInfo, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()
    layers: int = 0


def info_of(name: str, size: int, view: ModelView) -> ModelInfo:
    """What to say of a model that could be loaded."""
    return ModelInfo(name, size, "", view.sha256, view.facts, view.inputs, view.outputs, len(view.layers))


def model_to_message(info: ModelInfo) -> model_pb2.Model:
    """A model's description as a message."""
    return model_pb2.Model(
        name=model_name(info.name),
        state=model_pb2.Model.STATE_FAILED if info.failure else model_pb2.Model.STATE_READY,
        failure=utf8(info.failure),
        sha256=info.sha256,
        size_bytes=info.size,
        facts={utf8(key): utf8(value) for key, value in info.facts.items()},
        inputs=map(info_to_message, info.inputs),
        outputs=map(info_to_message, info.outputs),
        layer_count=info.layers,
    )


def model_from_message(message: model_pb2.Model) -> ModelInfo:
    """A model's description from a message; ParameterError for one without a proper name."""
    return ModelInfo(
        name=model_of(message.name),
        size=message.size_bytes,
        failure=message.failure,
        sha256=message.sha256,
        facts=dict(sorted(message.facts.items())),
        inputs=tuple(map(info_from_message, message.inputs)),
        outputs=tuple(map(info_from_message, message.outputs)),
        layers=message.layer_count,
    )


def layer_to_message(model: str, layer: Layer) -> model_pb2.Layer:
    """A convolution of the model of that id as a message."""
    return model_pb2.Layer(
        name=layer_name(model, layer.name),
        title=utf8(layer.name),
        index=layer.index,
        op=layer.op,
        weight_shape=layer.weight_shape,
        groups=layer.groups,
        kernel=layer.kernel,
        strides=layer.strides,
        dilations=layer.dilations,
        pads=layer.pads,
        auto_pad=layer.auto_pad,
        in_channels=layer.in_channels,
        out_channels=layer.out_channels,
        parameters=layer.parameters,
        taps=[_tap_to_message(layer.taps[kind]) for kind in TAP_KINDS if kind in layer.taps],
        activation=layer.activation,
        linear=utf8(layer.linear),
    )


def layer_from_message(message: model_pb2.Layer) -> Layer:
    """A convolution from a message; InputError for an unknown kind of tap."""
    taps = [_tap_from_message(tap) for tap in message.taps]
    return Layer(
        name=message.title,
        index=message.index,
        op=message.op,
        weight_shape=tuple(message.weight_shape),
        groups=message.groups,
        kernel=tuple(message.kernel),
        strides=tuple(message.strides),
        dilations=tuple(message.dilations),
        pads=tuple(message.pads),
        auto_pad=message.auto_pad,
        in_channels=message.in_channels,
        out_channels=message.out_channels,
        parameters=message.parameters,
        taps={tap.kind: tap for tap in taps},
        activation=message.activation if message.HasField("activation") else None,
        linear=message.linear,
    )


def _tap_to_message(tap: Tap) -> model_pb2.Tap:
    return model_pb2.Tap(
        name=utf8(tap.name),
        layer=utf8(tap.layer),
        kind=TAP_KINDS[tap.kind],
        tensor=utf8(tap.tensor),
        channels=tap.channels,
        activation=tap.activation,
        zeros=ZEROS[tap.zeros],
        shared=tap.shared,
        scale=tap.scale,
        zero_point=tap.zero_point,
        bypassed=tap.bypassed,
    )


def _tap_from_message(message: model_pb2.Tap) -> Tap:
    return Tap(
        layer=message.layer,
        kind=enum_from_message(TAP_KINDS, message.kind, f"kind of tap {message.name!r}"),
        tensor=message.tensor,
        channels=message.channels,
        activation=message.activation if message.HasField("activation") else None,
        zeros=enum_from_message(ZEROS, message.zeros, f"zeros of tap {message.name!r}"),
        shared=message.shared,
        scale=tuple(message.scale),
        zero_point=tuple(message.zero_point),
        bypassed=message.bypassed,
    )
