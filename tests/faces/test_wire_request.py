"""What a client asks for, as messages, and back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from wire_strategies import TEXT, arrays, laws, plain

from inspector._proto.inspector.v1 import input_pb2, report_pb2, tensor_pb2
from inspector.errors import InputError, ParameterError
from inspector.faces import wire, wire_request
from inspector.report import Provenance, Report
from inspector.runtime.data import Raw


@laws
@given(
    st.builds(Raw, st.text(min_size=1, max_size=8), st.binary(max_size=8))
    | st.builds(
        Raw,
        st.text(min_size=1, max_size=8),
        st.none(),
        st.dictionaries(TEXT, arrays(hnp.array_shapes(min_dims=0, max_dims=3)), max_size=3),
    )
)
def test_an_input_survives_its_message(raw):
    data = wire_request.input_to_message(raw).SerializeToString()
    assert plain(wire_request.input_from_message(input_pb2.Input.FromString(data))) == plain(raw)


@pytest.mark.parametrize("label", [None, "", "ant", "größte"])
@pytest.mark.parametrize("raw", [Raw("a", b"x"), Raw("a", tensors={})])
def test_a_label_survives_and_none_is_no_empty_one(raw, label):
    data = wire_request.input_to_message(replace(raw, label=label)).SerializeToString()
    assert wire_request.input_from_message(input_pb2.Input.FromString(data)).label == label


@pytest.mark.parametrize("message", [input_pb2.Input(id="a"), input_pb2.Input(picture=b"x"), input_pb2.Input()])
def test_an_input_without_an_id_or_without_content_is_refused(message):
    with pytest.raises(InputError):
        wire_request.input_from_message(message)


def test_unknown_fields_are_found_at_any_depth():
    unknown = b"\xa2\x3e\x01a"  # field 996, one byte of text
    inner = input_pb2.NamedTensors.FromString(unknown)
    deep = input_pb2.Input(id="a", tensors=inner)
    mapped = input_pb2.NamedTensors(tensors={"x": tensor_pb2.Tensor.FromString(unknown)})
    listed = report_pb2.Report(results=[report_pb2.AnalysisResult.FromString(unknown)])
    for message in (inner, deep, mapped, listed):
        with pytest.raises(ParameterError, match="field 996"):
            wire_request.check_known(message)
    wire_request.check_known(wire.report_to_message(Report(Provenance("m", "00", providers={"a": 1}), ())))


@pytest.mark.parametrize("word", ["", "fast", "exact"])
def test_fidelity_survives(word):
    number = wire_request.fidelity_to_message(word)
    assert wire_request.fidelity_from_message(number) == (word or None)


def test_unknown_fidelities_are_refused_on_both_sides():
    with pytest.raises(ParameterError, match="fidelity"):
        wire_request.fidelity_to_message("medium")
    with pytest.raises(ParameterError, match="fidelity"):
        wire_request.fidelity_from_message(9)
