"""How a server starts, says how it is, and ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_fakes import FakeUseCases, details
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_served import served

from inspector._proto.inspector.v1 import inspector_service_pb2 as pb
from inspector._proto.inspector.v1 import inspector_service_pb2_grpc
from inspector.errors import LimitError, ParameterError
from inspector.faces.grpc import server
from inspector.faces.grpc.client import Client
from inspector.faces.grpc.errors import UnreachableError
from inspector.runtime.data import Raw

SERVICE = "inspector.v1.InspectorService"
PING = 6


@pytest.fixture
def channel(address):
    with grpc.insecure_channel(address) as made:
        yield made


@pytest.mark.parametrize("service", ["", SERVICE])
def test_health_is_serving(channel, service):
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_health_of_an_unknown_service_is_unknown(channel):
    with pytest.raises(grpc.RpcError) as caught:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="nope"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_reflection_describes_the_service(channel):
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
    ]
    listed, described = stub.ServerReflectionInfo(iter(asked))
    names = {service.name for service in listed.list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} == names
    files = [FileDescriptorProto.FromString(f) for f in described.file_descriptor_response.file_descriptor_proto]
    methods = [method.name for file in files for service in file.service for method in service.method]
    assert {"Inspect", "Audit", "Activations"} <= set(methods)


def test_at_the_end_health_says_so_and_a_run_that_goes_on_is_stopped(settings, use_cases):
    with contextlib.ExitStack() as stack:
        with served(replace(settings, grace=1.0), use_cases) as address:
            channel = stack.enter_context(grpc.insecure_channel(address))
            health = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
            states = [next(health).status]
            call = inspector_service_pb2_grpc.InspectorServiceStub(channel).Inspect(
                pb.InspectRequest(model="models/toy", analyses=["wait"])
            )
            next(call)
        states.append(next(health).status)
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
    assert states == [health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING]
    assert caught.value.code() in {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}
    assert use_cases.ended.is_set()


def test_a_run_that_ends_within_the_grace_is_answered(settings, use_cases):
    answers = []
    with served(replace(settings, grace=20.0), use_cases) as address:
        client = Client(address, timeout=20)
        run = threading.Thread(target=lambda: answers.append(client.inspect("toy", None, ["wait"])))
        run.start()
        assert use_cases.going.wait(10)
        threading.Timer(0.3, use_cases.go_on.set).start()
    run.join(10)
    client.close()
    assert answers[0].ok


CODE = """
import sys
from pathlib import Path
from grpc_fakes import FakeUseCases, details
from inspector.faces.grpc.server import serve
from inspector.faces.grpc.settings import Settings
serve(Settings(Path(sys.argv[1]), grace=5.0), FakeUseCases(), lambda address: print(address, flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_in_good_order(models, number):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(
        [sys.executable, "-c", CODE, models], stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        address = server.stdout.readline().strip()
        with Client(address, timeout=20) as client:
            assert client.models()
            server.send_signal(number)
            assert server.wait(20) == 0
            with pytest.raises(UnreachableError):
                client.models()


def test_an_address_of_the_newer_protocol_is_written_in_brackets(start):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    address = start(host="::1")
    assert address.startswith("[::1]:")
    with Client(address, timeout=20) as client:
        assert client.models()


def test_a_port_that_is_taken_is_an_error(address, settings):
    port = int(address.rpartition(":")[2])
    with (
        pytest.raises(ParameterError, match=r"cannot be listened on \(Address already in use\)"),
        served(replace(settings, port=port), FakeUseCases()),
    ):
        pass


@pytest.mark.parametrize("name", ["models", "data"])
def test_a_folder_that_is_not_there_is_an_error(settings, tmp_path, name):
    changed = replace(settings, **{name: tmp_path / "nowhere"})
    with pytest.raises(ParameterError, match=f"{name}: there is no such folder"), served(changed, FakeUseCases()):
        pass


@pytest.mark.parametrize(
    ("name", "value"),
    [("trial_seconds", float("inf")), ("trial_seconds", float("nan")), ("memory", 0), ("device", "tpu")],
)
def test_settings_that_no_run_could_work_with_are_an_error_at_the_start(settings, name, value):
    with (
        pytest.raises(ParameterError, match=name.replace("_", " ")),
        served(replace(settings, **{name: value}), FakeUseCases()),
    ):
        pass


def test_more_calls_than_the_server_takes_are_refused(start, use_cases):
    address = start(calls=1)
    with grpc.insecure_channel(address) as channel:
        stub = inspector_service_pb2_grpc.InspectorServiceStub(channel)
        run = stub.Inspect(pb.InspectRequest(model="models/toy", analyses=["wait"]))
        next(run)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ListModels(pb.ListModelsRequest())
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        use_cases.go_on.set()
        assert list(run)[-1].event.end.ok


def test_a_message_that_is_too_large_is_refused(start):
    with Client(start(max_receive_bytes=100_000), timeout=20) as client:
        with pytest.raises(LimitError, match="larger than max"):
            client.inspect("toy", [Raw("a", picture=bytes(100_001))], ["blocks"])
        assert client.inspect("toy", [Raw("a", picture=bytes(99_000))], ["blocks"]).ok


def test_garbage_in_place_of_a_message_is_refused(channel, client):
    calls = [
        channel.unary_unary(f"/{SERVICE}/GetModel"),
        lambda garbage: list(channel.unary_stream(f"/{SERVICE}/Inspect")(garbage)),
        lambda garbage: list(channel.stream_stream(f"/{SERVICE}/Audit")(iter([garbage]))),
        lambda garbage: channel.stream_unary(f"/{SERVICE}/UploadModel")(iter([garbage])),
    ]
    for call in calls[:3]:
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\xff\xff\xff")
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert details(caught.value)["ErrorInfo"].metadata["problem"] == "it cannot be decoded"
    with pytest.raises(grpc.RpcError) as caught:
        calls[3](b"\xff\xff\xff")
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED  # nobody looks at it
    assert client.models()


def test_a_server_that_is_not_there_is_said_to_be_so():
    with Client("127.0.0.1:1", timeout=5) as client:
        with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1"):
            client.models()
        with pytest.raises(UnreachableError):
            client.inspect("toy", None, ["blocks"])


def test_many_clients_at_once_get_their_own_answers(start):
    address = start(workers=2, queue=64)
    answers = {}

    def ask(number):
        with Client(address, timeout=20) as client:
            raws = [Raw(str(i), picture=b"x") for i in range(number)]
            answers[number] = client.audit("toy", raws, ["blocks"]).provenance.inputs

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert answers == {number: number for number in range(12)}


def answered(address, times, pause):
    """How many of so many pings were answered on a connection without calls."""
    host, _, port = address.rpartition(":")
    got = b""
    with socket.create_connection((host, int(port)), timeout=5) as connection, contextlib.suppress(OSError):
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4))
        for _ in range(times):
            connection.sendall(frame(PING, bytes(8)))
            time.sleep(pause)
        connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(4096):
            got += data
    return got.count(frame(PING, bytes(8), flags=1))


def frame(kind, payload=b"", flags=0):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags, 0, 0, 0, 0]) + payload


def test_clients_may_keep_a_silent_connection_alive(settings, use_cases, monkeypatch):
    assert server.PING_MS < 10_000, "the least that Java and Go let a client ask for"
    monkeypatch.setattr(server, "PING_MS", 100)
    with served(settings, use_cases) as address:
        assert answered(address, times=6, pause=0.15) == 6
        assert answered(address, times=60, pause=0.01) < 60, "more often is an attack"
