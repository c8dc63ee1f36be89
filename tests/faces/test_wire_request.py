"""What a client asks for, as messages, and back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from wire_strategies import TEXT, arrays, laws, plain

from inspector._proto.inspector.v1 import input_pb2, tensor_pb2
from inspector.errors import InputError, ParameterError
from inspector.faces import wire_request
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


def test_long_ids_are_cut_in_the_middle_and_stay_different():
    names = ["a" * 300 + middle + "z" * 300 for middle in "xy"] + ["b" * 256]
    found = [wire_request.input_from_message(input_pb2.Input(id=name, picture=b"x")).id for name in names]
    assert [len(name) for name in found] == [256, 256, 256]
    assert found[0][:100] == "a" * 100
    assert found[0][-100:] == "z" * 100
    assert found[0] != found[1]
    assert found[2] == names[2]


def test_what_is_broken_is_handed_on_as_such():
    short = tensor_pb2.Tensor(dtype="float32", shape=[2], data=bytes(7))
    bad = [input_pb2.Input(id="b" * 9999, tensors={"tensors": {"t" * 9999: short}}), input_pb2.Input(picture=b"x")]
    good, torn, unnamed = wire_request.streamed_inputs([input_pb2.Input(id="a", picture=b"x"), *bad])
    assert (good.id, good.broken) == ("a", None)
    assert "does not fit its shape" in str(torn.broken)
    assert len(torn.id) == 256
    assert len(str(torn.broken)) < 1000
    assert (unnamed.id, unnamed.picture, "no id" in str(unnamed.broken)) == ("input 3", None, True)


@pytest.mark.parametrize("word", ["", "fast", "exact"])
def test_fidelity_survives(word):
    number = wire_request.fidelity_to_message(word)
    assert wire_request.fidelity_from_message(number) == (word or None)


def test_unknown_fidelities_are_refused_on_both_sides():
    with pytest.raises(ParameterError, match="fidelity"):
        wire_request.fidelity_to_message("medium")
    with pytest.raises(ParameterError, match="fidelity"):
        wire_request.fidelity_from_message(9)
