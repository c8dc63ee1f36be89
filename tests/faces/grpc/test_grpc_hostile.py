"""Clients that mean harm, or are broken: silent ones, ones that do not read, and messages that grow when unpacked."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace

import grpc
import pytest
from grpc_fakes import FakeUseCases, details
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_served import served

from inspector._proto.inspector.v1 import input_pb2, tensor_pb2
from inspector._proto.inspector.v1 import inspector_service_pb2 as pb
from inspector._proto.inspector.v1.inspector_service_pb2_grpc import InspectorServiceStub
from inspector.errors import InputError
from inspector.faces.grpc.client import Client
from inspector.faces.grpc.settings import Settings
from inspector.faces.wire_request import input_from_message

CONFIG = pb.AuditRequest(config=pb.AuditConfig(model="models/toy", analyses=["blocks"]))
INPUT = pb.AuditRequest(input=input_pb2.Input(id="a", picture=b"x"))
BLOCKS = pb.InspectRequest(model="models/toy", analyses=["blocks"])
LARGE = pb.InspectRequest(model="models/toy", analyses=["megabytes:9"])


@contextlib.contextmanager
def channel_to(address: str) -> Iterator[grpc.Channel]:
    """A connection of its own."""
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield channel


def code(call: Callable[[], object]) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code()


def silent(over: threading.Event, *messages: pb.AuditRequest) -> Iterator[pb.AuditRequest]:
    yield from messages
    over.wait(60)


def test_packed_messages_are_refused_unread(address: str) -> None:
    with channel_to(address) as channel:
        name = "x" * 10_000
        for ask in (
            lambda: InspectorServiceStub(channel).GetModel(
                pb.GetModelRequest(name=name), compression=grpc.Compression.Gzip
            ),
            lambda: health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=name), compression=grpc.Compression.Deflate
            ),
        ):
            assert code(ask) == grpc.StatusCode.UNIMPLEMENTED
        assert InspectorServiceStub(channel).ListModels(pb.ListModelsRequest()).models


def test_millions_of_empty_parts_are_refused_and_not_decoded(address: str) -> None:
    with channel_to(address) as channel:
        ask = channel.unary_stream("/inspector.v1.InspectorService/Inspect")
        with pytest.raises(grpc.RpcError) as caught:
            list(ask(b"\x0a\x0amodels/toy" + b"\x12\x00" * 5_000_000))
    assert details(caught.value)["ErrorInfo"].reason == "LIMIT_EXCEEDED"
    assert "too many fields" in str(caught.value.details())


def test_a_look_up_has_no_use_for_a_large_message(stub: InspectorServiceStub) -> None:
    assert code(lambda: stub.GetModel(pb.GetModelRequest(name="x" * 70_000))) == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert stub.ListModels(pb.ListModelsRequest()).models


@pytest.mark.parametrize("sent", [(), (CONFIG,)])
def test_silent_clients_take_no_worker(start: Callable[..., str], sent: tuple[pb.AuditRequest, ...]) -> None:
    address, over = start(workers=1, queue=1, patience=60.0, hurry=0.0), threading.Event()
    with contextlib.ExitStack() as stack:
        calls = []
        for _ in range(12):  # more than there are places
            channel = stack.enter_context(channel_to(address))
            calls.append(InspectorServiceStub(channel).Audit(silent(over, *sent)))
        stub = InspectorServiceStub(stack.enter_context(channel_to(address)))
        for _ in range(3):
            assert list(stub.Inspect(BLOCKS, timeout=20))[-1].event.end.ok
        over.set()
        for call in calls:
            call.cancel()


def test_a_client_that_does_not_read_holds_its_worker_and_loses_it(
    start: Callable[..., str], use_cases: FakeUseCases
) -> None:
    address = start(workers=1, queue=1, patience=1.0)
    with channel_to(address) as deaf, channel_to(address) as channel:
        stuck = InspectorServiceStub(deaf).Inspect(LARGE)
        next(stuck)  # the header; its megabytes find no room
        stub = InspectorServiceStub(channel)
        assert list(stub.Inspect(BLOCKS, timeout=30))[-1].event.end.ok  # once the other has lost its worker
        with pytest.raises(grpc.RpcError) as caught:
            list(stuck)
        assert details(caught.value)["ErrorInfo"].metadata["problem"] == "the client took nothing for too long"


def test_while_answers_are_not_read_no_more_runs_begin(start: Callable[..., str], use_cases: FakeUseCases) -> None:
    address = start(workers=1, queue=1, patience=60.0)
    with channel_to(address) as deaf, channel_to(address) as channel, channel_to(address) as other:
        stuck = InspectorServiceStub(deaf).Inspect(LARGE)
        next(stuck)
        first, second = (InspectorServiceStub(c).Inspect(BLOCKS, timeout=0.5) for c in (channel, other))
        for run in (first, second):  # whichever comes first waits, the other is refused
            with contextlib.suppress(grpc.RpcError):
                list(run)
        assert len(use_cases.calls) == 1
        assert list(stuck)[-1].event.end.ok
        assert list(InspectorServiceStub(channel).Inspect(BLOCKS))[-1].event.end.ok


def test_readers_that_leave_are_no_accident(
    start: Callable[..., str], use_cases: FakeUseCases, caplog: pytest.LogCaptureFixture
) -> None:
    address = start(workers=1)
    for _ in range(5):
        with channel_to(address) as channel:
            call = InspectorServiceStub(channel).Inspect(LARGE)
            next(call)
            call.cancel()
    with Client(address, timeout=20) as client:
        assert client.inspect("toy", None, ["blocks"]).ok  # the worker is free again
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_what_a_failed_run_was_sent_is_let_go_at_once(address: str, use_cases: FakeUseCases) -> None:
    """Errors refer to frames, and these to errors: without help all of it stays until Python looks for such circles."""
    held = []

    def inspect(model: object, inputs: object = None, analyses: object = (), **_: object) -> None:
        held.append(weakref.ref(inputs[0].tensors["x"]))
        raise InputError("it", "is bad")

    use_cases.inspect = inspect
    tensor = tensor_pb2.Tensor(dtype="float32", shape=[2], data=bytes(8))
    sent = input_pb2.Input(id="a", tensors=input_pb2.NamedTensors(tensors={"x": tensor}))
    gc.disable()
    try:
        with Client(address, timeout=20) as client:
            for _ in range(3):
                with pytest.raises(InputError):
                    client.inspect("toy", [input_from_message(sent)], ["blocks"])
            assert client.models()
        assert [one() is None for one in held[:2]] == [True, True]
    finally:
        gc.enable()


def test_a_watch_and_a_reflection_do_not_hold_up_the_end(settings: Settings, use_cases: FakeUseCases) -> None:
    over = threading.Event()

    def questions() -> Iterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        over.wait(60)

    with contextlib.ExitStack() as stack:  # the end has 20 s, the grace is longer
        with served(replace(settings, grace=600.0), use_cases) as address:
            channel = stack.enter_context(grpc.insecure_channel(address))
            watch, names = health_pb2_grpc.HealthStub(channel).Watch, ("", "inspector.v1.InspectorService", "nope")
            watched = [watch(health_pb2.HealthCheckRequest(service=name)) for name in names]
            states = [[next(call).status] for call in watched]
            asked = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(questions())
            assert next(asked).list_services_response.service
        for call, seen in zip(watched, states, strict=True):
            seen += [answer.status for answer in call]
        assert list(asked) == []
        over.set()
    status = health_pb2.HealthCheckResponse
    assert states == [[status.SERVING, status.NOT_SERVING]] * 2 + [[status.SERVICE_UNKNOWN]]
