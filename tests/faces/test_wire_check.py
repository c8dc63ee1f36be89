"""Messages are looked at before they are decoded."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wire_strategies import laws

from inspector._proto.inspector.v1 import input_pb2, report_pb2, tensor_pb2
from inspector._proto.inspector.v1 import inspector_service_pb2 as pb
from inspector.errors import InputError, LimitError, ParameterError
from inspector.faces import wire
from inspector.faces.wire_check import check_fields, decoded
from inspector.report import Provenance, Report

INPUT = input_pb2.Input(
    id="a", tensors={"tensors": {"x": tensor_pb2.Tensor(dtype="float32", shape=[1, 2, 300], data=bytes(9))}}
)
UNKNOWN = b"\xa2\x3e\x01a"  # field 996, one byte of text


def test_unknown_fields_are_found_at_any_depth():
    inner = input_pb2.NamedTensors.FromString(UNKNOWN)
    deep = input_pb2.Input(id="a", tensors=inner)
    mapped = input_pb2.NamedTensors(tensors={"x": tensor_pb2.Tensor.FromString(UNKNOWN)})
    listed = report_pb2.Report(results=[report_pb2.AnalysisResult.FromString(UNKNOWN)])
    for message in (inner, deep, mapped, listed):
        with pytest.raises(ParameterError, match="field 996"):
            decoded(message.SerializeToString(), type(message))
    plain = wire.report_to_message(Report(Provenance("m", "00", providers={"a": 1}), ()))
    assert decoded(plain.SerializeToString(), type(plain)) == plain


def test_what_is_known_by_number_but_not_by_kind_is_unknown():
    for tag in (b"\x08\x01", b"\x09" + bytes(8), b"\x0d" + bytes(4), b"\x0b\x0c"):
        with pytest.raises(ParameterError, match="field 1 of Input"):
            decoded(tag, input_pb2.Input)


def test_numbers_in_lists_may_be_packed_or_not():
    for data in (b"\x12\x02\x01\x02", b"\x10\x01\x10\x02"):
        assert decoded(data, tensor_pb2.Tensor).shape == [1, 2]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x1a\x00" * 11, pb.ActivationsRequest),
        (b"\x12\x00" * 11, pb.InspectRequest),
        (b"\x12\x16" + b"\x1a\x14" + b"\x0a\x00" * 10, pb.InspectRequest),
        (b"\x12\x0b" + bytes(11), tensor_pb2.Tensor),
    ],
    ids=["texts", "messages", "inside", "numbers"],
)
def test_many_tiny_parts_are_counted_before_they_are_decoded(data, kind, monkeypatch):
    monkeypatch.setattr("inspector.faces.wire_check._decode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(LimitError, match="too many fields; expected at most 10"):
        decoded(data, kind, most=10)


def test_a_walk_of_a_large_message_ends_at_the_limit():
    with pytest.raises(LimitError):
        decoded(b"\x12\x00" * 10_000_000, pb.InspectRequest)


def known(message):
    """True where nothing in it was passed over."""
    inside = [message, message.tensors, *message.tensors.tensors.values()]
    return not any(len(UnknownFieldSet(m)) for m in inside)


@st.composite
def damaged(draw):
    """A message of which some bytes are others, or are gone."""
    data, change = bytearray(INPUT.SerializeToString()), draw(st.binary(max_size=3))
    place, gone = draw(st.integers(0, len(data))), draw(st.integers(0, 3))
    data[place : place + gone] = change
    return bytes(data)


@settings(laws, max_examples=200)
@given(st.binary(max_size=40) | st.binary(max_size=40).map(lambda data: b"\x0a\x01a" + data) | damaged())
@example(b"\xff" * 11)
@example(b"\x00")
@example(b"\x0a\x05a")
@example(b"\x0a\x01\xff")
def test_bytes_that_cannot_be_decoded_are_refused_and_no_others(data):
    try:
        expected = input_pb2.Input.FromString(data)
    except DecodeError:
        with pytest.raises((InputError, ParameterError)):
            decoded(data, input_pb2.Input)
        return
    if known(expected):
        assert decoded(data, input_pb2.Input) == expected
    else:
        with pytest.raises(ParameterError, match="does not know it"):
            decoded(data, input_pb2.Input)


def test_every_message_of_the_protocol_passes():
    message = pb.AuditRequest(input=INPUT)
    check_fields(message.SerializeToString(), message.DESCRIPTOR)
    assert decoded(message.SerializeToString(), pb.AuditRequest) == message
