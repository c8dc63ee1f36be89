"""Requests for runs that cannot be carried out: each is refused with its reason, and the server goes on."""

from __future__ import annotations

import threading

import grpc
import pytest
from grpc_fakes import details

from inspector import errors
from inspector._proto.inspector.v1 import input_pb2, inspector_service_pb2_grpc, tensor_pb2
from inspector._proto.inspector.v1 import inspector_service_pb2 as pb
from inspector.faces.grpc.client import Client
from inspector.runtime.data import Raw

X = tensor_pb2.Tensor(dtype="float32", shape=[2], data=bytes(7))
BAD_INPUTS = {
    "too few bytes": input_pb2.Input(id="a", tensors=input_pb2.NamedTensors(tensors={"x": X})),
    "no id": input_pb2.Input(picture=b"x"),
    "nothing": input_pb2.Input(id="a"),
}


@pytest.mark.parametrize("bad", BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_bad_inputs_are_refused_by_runs_on_a_few(client, stub, bad):
    calls = [
        stub.Inspect(pb.InspectRequest(model="models/toy", inputs=[bad], analyses=["blocks"])),
        stub.Activations(pb.ActivationsRequest(model="models/toy", inputs=[bad])),
    ]
    for call in calls:
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert details(caught.value)["ErrorInfo"].reason == "INVALID_INPUT"
        assert details(caught.value)["BadRequest"].field_violations[0].field.startswith("input")
    assert client.inspect("toy", None, ["blocks"]).ok


@pytest.mark.parametrize("bad", BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_an_audit_hands_bad_inputs_on_to_be_skipped(stub, use_cases, bad):
    list(stub.Audit(iter([CONFIG, INPUT, pb.AuditRequest(input=bad), INPUT])))
    assert [raw.broken is None for raw in use_cases.fed] == [True, False, True]
    assert use_cases.fed[1].id == (bad.id or "input 2")


CONFIG = pb.AuditRequest(config=pb.AuditConfig(model="models/toy"))
INPUT = pb.AuditRequest(input=input_pb2.Input(id="a", picture=b"x"))
NEWER = pb.AuditRequest(input=input_pb2.Input.FromString(INPUT.input.SerializeToString() + b"\xa2\x3e\x01a"))


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        ([], "the end of the stream"),
        ([INPUT], "one with `input`"),
        ([pb.AuditRequest()], "an empty one"),
        ([CONFIG, CONFIG], "one with `config`"),
        ([CONFIG, INPUT, pb.AuditRequest()], "an empty one"),
        ([CONFIG, NEWER], ""),
        ([pb.AuditRequest(config=pb.AuditConfig(model="toy"))], "'toy'"),
        ([pb.AuditRequest(config=pb.AuditConfig(model="models/toy", fidelity=9))], "9"),
    ],
)
def test_messages_out_of_place_are_refused(client, stub, stream, found):
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Audit(iter(stream)))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert details(caught.value)["ErrorInfo"].reason == "INVALID_PARAMETER"
    assert details(caught.value)["ErrorInfo"].metadata["found"] == found
    assert client.audit("toy", [Raw("a", picture=b"")]).provenance.inputs == 1


@pytest.mark.parametrize("silent_after", [0, 1, 2])
def test_a_client_that_falls_silent_loses_its_worker(start, silent_after):
    address = start(patience=0.3, workers=1)
    over = threading.Event()

    def stream():
        yield from [CONFIG, INPUT][:silent_after]
        over.wait(20)

    with grpc.insecure_channel(address) as channel, Client(address, timeout=20) as client:
        stub = inspector_service_pb2_grpc.InspectorServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.Audit(stream()))
        over.set()
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "sent nothing for too long" in caught.value.details()
        assert client.inspect("toy", None, ["blocks"]).ok


def test_a_broken_model_is_refused_and_others_go_on(client, models):
    (models / "torn.onnx").write_bytes(b"nonsense")
    with pytest.raises(errors.ModelError, match="this is no model"):
        client.inspect("torn", None, ["blocks"])
    assert client.inspect("toy", None, ["blocks"]).ok


def test_data_of_the_server_is_audited_by_its_path_below_the_data_folder(start, tmp_path):
    data = tmp_path / "data"
    (data / "cats").mkdir(parents=True)
    (data / "file").write_text("no folder")
    (data / "out").symlink_to(tmp_path)
    (tmp_path / "data-beside").mkdir()
    with Client(start(data=data), timeout=20) as client:
        assert client.audit("toy", "server:cats").provenance.data == "folder server:cats (2 pictures)"
        assert client.audit("toy", "server:").provenance.data == "folder server: (2 pictures)"
        for path in ("..", "../data-beside", "/etc", "out", "cats/../../models", str(tmp_path)):
            with pytest.raises(errors.ParameterError, match="leads out of the data folder"):
                client.audit("toy", f"server:{path}")
        for path in ("dogs", "cats\0", "x" * 5000):
            with pytest.raises(errors.NotFoundError, match="no such file or folder"):
                client.audit("toy", f"server:{path}")
        with pytest.raises(errors.InputError) as caught:
            client.audit("toy", "server:file")
        assert str(caught.value) == "folder server:file: it is no folder."


def test_a_server_without_data_of_its_own_says_so(client, stub):
    config = pb.AuditConfig(model="models/toy", source="cats")
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Audit(iter([pb.AuditRequest(config=config)])))
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert details(caught.value)["ErrorInfo"].reason == "NOT_ALLOWED"
    assert client.models()
