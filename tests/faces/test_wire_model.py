"""Models, layers, plugins and their resource names, as messages and back."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_strategies import COUNTS, METRIC_INFOS, TEXT, laws, tuples

from inspector._proto.inspector.v1 import model_pb2, plugin_pb2
from inspector.analysis.registry import PluginInfo
from inspector.contract import Layer, Tap, TapKind, TensorInfo, Zeros
from inspector.errors import InputError, ParameterError
from inspector.faces import wire_model, wire_names, wire_plugin

NAMES = st.text(min_size=1, max_size=12)
SIZES = tuples(COUNTS)
SMALL = st.integers(0, 2**31 - 1)


@st.composite
def layers(draw):
    name = draw(TEXT)
    activations = st.none() | TEXT
    made = st.builds(
        Tap,
        st.just(name),
        st.sampled_from(TapKind),
        TEXT,
        COUNTS,
        activations,
        st.sampled_from(Zeros),
        st.booleans(),
        tuples(st.floats(allow_nan=False)),
        tuples(st.integers(-(2**63), 2**63 - 1)),
    )
    taps = {tap.kind: tap for tap in draw(tuples(made))}
    shape = st.builds(
        Layer, st.just(name), SMALL, TEXT, SIZES, COUNTS, SIZES, SIZES, SIZES, SIZES, TEXT, COUNTS, COUNTS, COUNTS,
        st.just(taps), activations, TEXT,
    )  # fmt: skip
    return draw(shape)


@laws
@given(NAMES, layers())
def test_a_layer_survives_its_message(model, layer):
    message = model_pb2.Layer.FromString(wire_model.layer_to_message(model, layer).SerializeToString())
    assert wire_model.layer_from_message(message) == layer
    assert [tap.name for tap in message.taps] == [layer.taps[k].name for k in TapKind if k in layer.taps]
    assert layer.name == "" or wire_names.layer_of(message.name) == (model, layer.name)


INFOS = tuples(st.builds(TensorInfo, TEXT, st.just("float32"), st.none() | tuples(COUNTS | TEXT | st.none())))
FACTS = st.dictionaries(TEXT, TEXT, max_size=3)


@laws
@given(st.builds(wire_model.ModelInfo, NAMES, COUNTS, TEXT, TEXT, FACTS, INFOS, INFOS, SMALL))
def test_a_models_description_survives_its_message(info):
    message = model_pb2.Model.FromString(wire_model.model_to_message(info).SerializeToString())
    assert wire_model.model_from_message(message) == info
    assert (message.state == model_pb2.Model.STATE_FAILED) == bool(info.failure)


KINDS = st.sampled_from(["", "static", "measured", "explored"])


@laws
@given(st.builds(PluginInfo, TEXT, TEXT, KINDS, TEXT, TEXT, TEXT, TEXT, tuples(METRIC_INFOS), tuples(TEXT)))
def test_a_plugins_description_survives_its_message(info):
    message = plugin_pb2.Plugin.FromString(wire_plugin.plugin_to_message(info).SerializeToString())
    assert wire_plugin.plugin_from_message(message) == info
    assert (message.state == plugin_pb2.Plugin.STATE_FAILED) == bool(info.failure)


@pytest.mark.parametrize(
    "tap", [model_pb2.Tap(zeros="ZEROS_EXACT"), model_pb2.Tap(kind="TAP_KIND_ACT"), model_pb2.Tap(kind=9)]
)
def test_taps_of_unknown_kinds_are_refused(tap):
    with pytest.raises(InputError, match="unknown value"):
        wire_model.layer_from_message(model_pb2.Layer(taps=[tap]))


@pytest.mark.parametrize(
    ("kind", "message", "other_names", "only_there"),
    [
        (Layer, model_pb2.Layer, {"name": "title"}, {"name"}),
        (Tap, model_pb2.Tap, {}, {"name"}),
        (PluginInfo, plugin_pb2.Plugin, {"name": "title"}, {"name", "state"}),
        (wire_model.ModelInfo, model_pb2.Model, {"size": "size_bytes", "layers": "layer_count"}, {"state"}),
    ],
)
def test_messages_mirror_what_they_describe(kind, message, other_names, only_there):
    fields = {other_names.get(field.name, field.name) for field in dataclasses.fields(kind)}
    assert {field.name for field in message.DESCRIPTOR.fields} == fields | only_there


@laws
@given(NAMES, NAMES)
def test_resource_names_lead_back_whatever_the_ids_hold(model, layer):
    name = wire_names.layer_name(model, layer)
    assert name.isascii()
    assert name.count("/") == 3
    assert wire_names.layer_of(name) == (model, layer)
    assert wire_names.model_of(wire_names.model_name(model)) == model
    assert wire_names.plugin_of(wire_names.plugin_name(model)) == model


def test_resource_names_are_percent_encoded_as_documented():
    assert wire_names.layer_name("resnet-50_v1.5~a", "layer1/0 conv:ö") == (
        "models/resnet-50_v1.5~a/layers/layer1%2F0%20conv%3A%C3%B6"
    )
    assert wire_names.model_of(wire_names.model_name("caf\udce9")) == "caf\udce9"


def test_what_the_encoders_of_javascript_leave_is_taken():
    assert wire_names.layer_of("models/a/layers/!conv(1)*'%2F'") == ("a", "!conv(1)*'/'")
    assert wire_names.layer_name("a", "conv(1)") == "models/a/layers/conv%281%29"
    with pytest.raises(ParameterError):  # a form's `+` is a space, a path's is not
        wire_names.layer_of("models/a/layers/conv+1")


@pytest.mark.parametrize(
    "name",
    ["", "resnet", "models/", "models/a/", "models/a/b", "Models/a", "models/a/layers/b", "/models/a", "models/a\n"],
)
def test_other_names_are_refused(name):
    with pytest.raises(ParameterError, match=r"expected models/\{model\}"):
        wire_names.model_of(name)
    if name != "models/a/layers/b":
        with pytest.raises(ParameterError, match="layers"):
            wire_names.layer_of(name)
