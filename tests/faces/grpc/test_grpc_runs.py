"""Inspect, Audit and Activations: what goes in, what comes out, and what ends a run."""

from __future__ import annotations

import threading
import time
from typing import ClassVar

import grpc
import numpy as np
import pytest
from grpc_fakes import BLOCKS, FINDINGS, details, megabytes
from PIL import Image
from wire_strategies import plain

from inspector import errors
from inspector._proto.inspector.v1 import input_pb2, inspector_service_pb2_grpc
from inspector._proto.inspector.v1 import inspector_service_pb2 as pb
from inspector.control import Progress, Stop
from inspector.faces.grpc import servicer
from inspector.faces.grpc.client import Client
from inspector.faces.grpc.errors import BusyError, InternalError
from inspector.faces.grpc.workers import Workers
from inspector.runtime.data import Raw
from inspector.runtime.memory import default_budget

PIXELS = np.ones((3, 5, 8), np.float32)


def test_a_report_comes_back_as_it_was_made(client):
    report = client.inspect("toy", None, ["blocks", "inapplicable"])
    assert plain(report.results[0].blocks) == plain(BLOCKS)
    assert report.results[0].findings == FINDINGS
    assert report.results[1].failure.kind == "INAPPLICABLE"
    assert report.provenance.model == "toy"
    assert (report.skipped[0].id, report.skipped_count) == ("bad\\udce9.jpg", 3)


def test_inputs_and_options_reach_the_use_case(client, use_cases):
    raws = [Raw("a.png", picture=b"bytes"), Raw("b", tensors={"x": PIXELS, "y": np.array(1, np.int64)})]
    client.inspect("toy", raws, ["blocks"], preprocess="imagenet", fidelity="fast")
    assert plain(use_cases.fed) == plain(raws)
    client.inspect("toy", None, ["blocks"])
    client.audit("toy", raws, batch_size=7)
    assert plain(use_cases.fed) == plain(raws)
    client.activations("toy", raws, ["conv*"])
    assert plain(use_cases.fed) == plain(raws)
    client.audit("toy", raws, memory=1 << 20, self_check=False)
    client.activations("toy", raws, ["conv*"], memory=1 << 62)
    allowed = default_budget(2)
    ways = {"preprocess": "", "device": "auto", "memory": allowed}
    assert use_cases.calls == [
        {"analyses": ("blocks",), "preprocess": "imagenet", "device": "auto", "fidelity": "fast", "memory": allowed},
        ways | {"analyses": ("blocks",)},
        ways | {"analyses": (), "batch_size": 7},
        ways | {"taps": ("conv*",)},
        ways | {"analyses": (), "memory": 1 << 20, "self_check": False},
        ways | {"taps": ("conv*",)},
    ]


def test_arrays_are_cut_into_inputs_and_files_sent_as_they_are(client, use_cases, tmp_path):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    Image.new("L", (4, 4)).save(folder / "sub" / "a.png")
    (folder / "torn.jpg").symlink_to("nowhere.jpg")
    (folder / "notes.txt").write_text("no input")
    (folder / ".hidden.png").write_bytes(b"x")
    np.save(folder / "b.npy", np.stack([PIXELS, PIXELS]))
    client.audit("toy", folder)
    assert [raw.id for raw in use_cases.fed] == ["b.npy[0]", "b.npy[1]", "sub/a.png", "torn.jpg"]
    assert plain(use_cases.fed[1].tensors) == plain({"x": PIXELS})
    assert use_cases.fed[2].picture == (folder / "sub" / "a.png").read_bytes()
    assert use_cases.fed[3].picture == b""  # for the server to skip and count
    client.inspect("toy", {"x": np.stack([PIXELS, PIXELS])}, ["blocks"])
    assert [raw.id for raw in use_cases.fed] == ["array[0]", "array[1]"]
    client.inspect("toy", PIXELS, ["blocks"])
    assert [raw.id for raw in use_cases.fed] == ["array"]
    client.inspect("toy", [str(folder / "sub" / "a.png"), folder / "b.npy"], ["blocks"])
    assert [raw.id.rpartition("/")[2] for raw in use_cases.fed] == ["a.png", "b.npy[0]", "b.npy[1]"]


def test_what_cannot_be_sent_is_refused_where_it_is(client, tmp_path):
    with pytest.raises(errors.NotFoundError, match="no such file"):
        client.audit("toy", tmp_path / "nowhere")
    with pytest.raises(errors.InputError, match="nothing to feed"):
        client.audit("toy", tmp_path / "models")
    with pytest.raises(errors.InputError, match="another shape"):
        client.inspect("toy", np.zeros((2, 4, 5, 8), np.float32))
    with pytest.raises(errors.NotFoundError):
        client.inspect("tony", PIXELS)
    large = Raw("large", picture=bytes(65 << 20))
    with pytest.raises(errors.LimitError, match="use audit"):
        client.inspect("toy", [large])
    with pytest.raises(errors.LimitError, match="larger than max"):
        client.audit("toy", [large])
    assert client.models()


def test_activations_come_back_bit_by_bit(client, stub, use_cases):
    arrays = client.activations("toy", [Raw("a", picture=b"")])
    expected = use_cases.activations(None, [], stop=None)
    assert {tap: plain(array) for tap, array in arrays.items()} == {tap: plain(a) for tap, a in expected.items()}
    fed = [input_pb2.Input(id="a", picture=b"x")]
    messages = list(stub.Activations(pb.ActivationsRequest(model="models/toy", inputs=fed)))
    headers = [m.header for m in messages if m.HasField("header")]
    assert [(h.tap, h.tensor, h.size_bytes) for h in headers] == [
        ("conv1:act", "conv1.relu", 96),
        ("conv1:conv", "conv1.out", 3_000_000),
        ("none:conv", "", 0),
    ]
    assert max(len(m.data) for m in messages) == 1 << 20


def test_all_taps_are_meant_where_none_is_named(stub, use_cases):
    list(stub.Activations(pb.ActivationsRequest(model="models/toy", inputs=[{"id": "a", "picture": b"x"}])))
    assert use_cases.calls[-1]["taps"] == ("*",)


def test_memory_below_zero_is_refused(stub):
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Inspect(pb.InspectRequest(model="models/toy", memory_bytes=-1)))
    assert details(caught.value)["BadRequest"].field_violations[0].field == "memory_bytes"


def test_a_report_of_30_mb_streams_through_messages_that_any_client_takes(address, client):
    with grpc.insecure_channel(address) as channel:  # reads at most 4 MiB at once
        stub = inspector_service_pb2_grpc.InspectorServiceStub(channel)
        request = pb.InspectRequest(model="models/toy", analyses=["megabytes:30,1"])
        sizes = [message.ByteSize() for message in stub.Inspect(request)]
    assert sum(sizes) > 31_000_000
    assert max(sizes) < (1 << 20) + 100
    report = client.inspect("toy", None, ["megabytes:30,1"])
    assert plain(report.results[0].blocks) == plain((megabytes(30), megabytes(1)))


def test_pictures_are_drawn_where_asked_for(stub):
    def pictures(*, render_png):
        request = pb.InspectRequest(model="models/toy", analyses=["blocks"], render_png=render_png)
        blocks = [m.event.block for m in stub.Inspect(request) if m.event.HasField("block")]
        return [p for b in blocks if b.HasField("images") for p in b.images.pictures]

    assert [p.png[:4] for p in pictures(render_png=True)] == [b"\x89PNG"]
    assert [p.HasField("png") for p in pictures(render_png=False)] == [False]


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__module__ == "inspector.errors"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not errors.InspectorError])
def test_every_error_comes_back_as_itself(client, kind):
    with pytest.raises(kind) as caught:
        client.inspect("toy", None, [f"raise:{kind.__name__}"])
    assert type(caught.value) is kind
    assert str(caught.value) == "it: is bad; expected good, found bad. Better it."


def test_an_error_that_nobody_foresaw_tells_the_client_only_where_the_log_has_it(client, caplog):
    with pytest.raises(InternalError) as caught:
        client.inspect("toy", None, ["crash"])
    assert "secret" not in str(caught.value)
    mark = str(caught.value).split()[-1].rstrip(".")
    (record,) = [r for r in caplog.records if mark in r.getMessage()]
    assert record.exc_info[0] is ZeroDivisionError
    assert client.models()


def test_progress_arrives_while_the_run_goes_on(client, use_cases):
    seen = []

    def watch(progress):
        seen.append(progress)
        use_cases.go_on.set()

    client.inspect("toy", None, ["wait"], watch=watch)
    assert seen == [Progress("wait", 0, 1)]


def test_streamed_inputs_are_used_while_they_arrive(client, use_cases):
    heard = threading.Event()

    def inputs():
        yield Raw("a", picture=b"1")
        assert heard.wait(10)  # the first was counted before the second is sent
        yield Raw("b", picture=b"2")

    seen = []

    def watch(progress):
        seen.append(progress)
        heard.set()

    assert client.audit("toy", inputs(), watch=watch).provenance.inputs == 2
    assert seen[0] == Progress("run", 1, None)


def test_an_error_while_inputs_are_made_is_raised_as_it_is(client, use_cases):
    def inputs():
        yield Raw("a", picture=b"1")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        client.audit("toy", inputs())
    assert client.models()


def free_again(address, use_cases):
    """The one that waits was ended, and the server's threads work for others."""
    assert use_cases.ended.wait(10)
    use_cases.go_on.set()
    with Client(address, timeout=20) as client:
        return client.inspect("toy", None, ["wait"]).ok


def test_a_stop_ends_the_work(address, client, use_cases):
    stop = Stop()
    with pytest.raises(errors.StoppedError):
        client.inspect("toy", None, ["wait"], watch=lambda _: stop.set(), stop=stop)
    assert free_again(address, use_cases)


def test_a_deadline_ends_the_work(address, use_cases):
    with Client(address, timeout=0.5) as client, pytest.raises(errors.StoppedError, match="Deadline"):
        client.inspect("toy", None, ["wait"])
    assert free_again(address, use_cases)


def test_a_client_that_vanishes_ends_the_work(address, use_cases):
    channel = grpc.insecure_channel(address)
    stub = inspector_service_pb2_grpc.InspectorServiceStub(channel)
    call = stub.Inspect(pb.InspectRequest(model="models/toy", analyses=["wait"]))
    assert next(call).event.progress.stage == "wait"
    channel.close()
    assert free_again(address, use_cases)


def test_a_stop_ends_a_stream_of_inputs(client, use_cases):
    made, stop = [], Stop()

    def inputs():
        for number in range(10**6):
            made.append(number)
            yield Raw(str(number), picture=bytes(1000))

    with pytest.raises(errors.StoppedError):
        client.audit("toy", inputs(), watch=lambda _: stop.set(), stop=stop)
    assert len(made) < 10**6
    assert client.audit("toy", [Raw("a", picture=b"")]).provenance.inputs == 1


def test_an_error_in_the_callers_watch_ends_the_work(address, client, use_cases):
    def watch(progress):
        raise KeyError(progress.stage)

    with pytest.raises(KeyError, match="wait"):
        client.inspect("toy", None, ["wait"], watch=watch)
    assert free_again(address, use_cases)


def test_a_full_queue_refuses_and_says_when_to_come_back(start, use_cases):
    address = start(workers=1, queue=1)
    with grpc.insecure_channel(address) as channel, Client(address, timeout=20) as client:
        stub = inspector_service_pb2_grpc.InspectorServiceStub(channel)
        request = pb.InspectRequest(model="models/toy", analyses=["wait"])
        running = stub.Inspect(request)
        assert next(running).event.progress.stage == "wait"
        waiting = stub.Inspect(request)
        while not (refused := refusal(stub)):
            time.sleep(0.01)  # until the one that waits is in the queue
        assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert details(refused)["ErrorInfo"].reason == "BUSY"
        assert details(refused)["RetryInfo"].retry_delay.seconds == 1
        with pytest.raises(BusyError, match="Try again"):
            client.audit("toy", [Raw("a", picture=b"")])
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.Audit(iter(())))
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED  # before anything was read
        assert client.models()  # listing goes on
        use_cases.go_on.set()
        assert [list(call)[-1].event.end.ok for call in (running, waiting)] == [True, True]
        assert client.inspect("toy", None, ["wait"]).ok


def refusal(stub):
    """The error of a run that the server has no room for; None where it took it (and it was cancelled)."""
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Inspect(pb.InspectRequest(model="models/toy", analyses=["wait"]), timeout=0.2))
    return caught.value if caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED else None


class CountingWorkers(Workers):
    """Workers that can be asked how many calls they ever took, and how many they still hold."""

    made: ClassVar[list[CountingWorkers]] = []

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        super().__init__(name, threads, waiting)
        self.taken = 0
        self.made.append(self)

    def worker(self):
        self.taken += 1
        return super().worker()

    @property
    def held(self) -> int:
        return self.busy + self.waiting


def test_a_run_that_waits_is_taken_out_of_the_queue_when_its_client_leaves(start, use_cases, monkeypatch):
    monkeypatch.setattr(CountingWorkers, "made", [])
    monkeypatch.setattr(servicer, "Workers", CountingWorkers)
    address = start(workers=1, queue=1)
    runs = CountingWorkers.made[0]
    with grpc.insecure_channel(address) as channel:
        stub = inspector_service_pb2_grpc.InspectorServiceStub(channel)
        running = stub.Inspect(pb.InspectRequest(model="models/toy", analyses=["wait"]))
        next(running)
        until = time.monotonic() + 120
        while (runs.taken < 4 or runs.held > 1) and time.monotonic() < until:  # 3 beside the one that runs
            if runs.held == 1:
                refusal(stub)
            time.sleep(0.01)  # a client knows of its deadline before the server does
        assert (runs.taken, runs.held) == (4, 1)
        use_cases.go_on.set()
        assert list(running)[-1].event.end.ok
    assert len(use_cases.calls) == 1
