"""The real use cases over the wire: the answers are those that one gets without a server between."""

from __future__ import annotations

import dataclasses
import io
import json
import time
from types import SimpleNamespace
from typing import ClassVar

import grpc
import numpy as np
import onnx.parser
import pytest
from grpc_fakes import details
from grpc_served import served
from PIL import Image
from pydantic import BaseModel
from wire_strategies import plain

from inspector import service
from inspector._proto.inspector.v1 import input_pb2, inspector_service_pb2_grpc
from inspector._proto.inspector.v1 import inspector_service_pb2 as pb
from inspector.analysis import registry
from inspector.control import Stop
from inspector.errors import InputError, LimitError, NotFoundError, ParameterError, StoppedError
from inspector.faces.grpc.client import Client
from inspector.faces.grpc.settings import Settings
from inspector.runtime.data import Raw

WEIGHTS = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
TEXT = """
<ir_version: 10, opset_import: ["" : 21]>
net (float[N, 3, 8, 8] x) => (float[N, 4, 8, 8] y)
<float[4, 3, 3, 3] w = {%s}>
{
  c = Conv<pads = [1, 1, 1, 1]>(x, w)
  y = Relu(c)
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    text = TEXT % ", ".join(f"{w:.9g}" for w in WEIGHTS.ravel())
    onnx.save_model(onnx.parser.parse_model(text), models / "net.onnx")
    (models / "torn.onnx").write_bytes((models / "net.onnx").read_bytes()[:100])
    return models


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "pictures"
    folder.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), np.uint8)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{number}.png")
    (folder / "torn.png").write_bytes(b"\x89PNG that is cut short")
    return folder


@pytest.fixture(scope="module")
def address(folder, data):
    with served(Settings(folder, data.parent, device="cpu", grace=1.0), service) as target:
        yield target


@pytest.fixture
def client(address):
    with Client(address, timeout=60) as made:
        yield made


def comparable(report, **changes):
    """A report without what differs from run to run."""
    same = {"started": "", "seconds": 0.0, "waited": 0.0} | changes
    return plain(dataclasses.replace(report, provenance=dataclasses.replace(report.provenance, **same)))


WAYS = {"preprocess": "unit,resize=none", "fidelity": "exact", "memory": 1 << 28}
ARRAYS = np.random.default_rng(2).normal(size=(3, 3, 8, 8)).astype(np.float32)


def test_models_layers_and_plugins_are_what_they_are_here(client, folder):
    view = service.load(folder / "net.onnx")
    torn, net = sorted(client.models(), key=lambda info: info.name, reverse=True)
    assert (net.sha256, net.inputs, net.outputs) == (view.sha256, view.inputs, view.outputs)
    assert dict(net.facts) == dict(view.facts)
    assert "cut short" in torn.failure
    assert str(folder) not in torn.failure
    assert plain(client.layers("net")) == plain(view.layers)
    assert client.plugins() == service.plugins()


def test_inspect_over_the_wire_is_inspect(client, folder):
    memory = WAYS["memory"]
    expected = service.inspect(service.load(folder / "net.onnx"), ARRAYS, device="cpu", memory=memory)
    assert len(expected.results) > 2
    found = client.inspect("net", ARRAYS, memory=memory)
    assert comparable(found, data="") == comparable(expected, data="")
    still = client.inspect("net")
    assert comparable(still) == comparable(service.inspect(service.load(folder / "net.onnx"), device="cpu"))


@pytest.mark.parametrize("where", ["server:pictures", "client"])
def test_audit_over_the_wire_is_audit(client, folder, data, where):
    expected = service.audit(service.load(folder / "net.onnx"), data, batch_size=2, device="cpu", **WAYS)
    assert expected.skipped_count == 1
    seen = []
    found = client.audit("net", data if where == "client" else where, batch_size=2, watch=seen.append, **WAYS)
    assert comparable(found, data="") == comparable(expected, data="")
    assert found.provenance.inputs == 5
    assert str(data.parent) not in found.provenance.data
    assert seen


def test_activations_over_the_wire_are_activations(client, folder):
    expected = service.activations(service.load(folder / "net.onnx"), ARRAYS, ["*:conv", "*:act"], device="cpu")
    found = client.activations("net", ARRAYS, ["*:conv", "*:act"])
    assert {tap: plain(a) for tap, a in found.items()} == {tap: plain(a) for tap, a in expected.items()}


def test_one_text_or_path_stands_for_a_list_of_it(client, tmp_path):
    assert [result.name for result in client.inspect("net", None, "filters").results] == ["filters"]
    audited = client.audit("net", ARRAYS, "sparsity", summaries=tmp_path / "a.sum")
    assert [result.name for result in audited.results] == ["sparsity"]
    assert client.merge("net", tmp_path / "a.sum").provenance.inputs == 3
    (tap, *_) = client.activations("net", ARRAYS)
    assert list(client.activations("net", ARRAYS, tap)) == [tap]


def test_analyses_are_asked_for_as_requests_too(client):
    asked = registry.AnalysisRequest("sparsity", {"near": 0.25, "taps": ("c:conv",)})
    report = client.audit("net", "server:noise:2", [asked, "filters"])
    assert [r.name for r in report.results] == ["sparsity", "filters"]
    assert {"near": 0.25, "taps": ["c:conv"]}.items() <= json.loads(report.results[0].params).items()
    assert [r.name for r in client.inspect("net", None, None).results] == list(service.STATIC_DEFAULT)


@pytest.mark.parametrize("given", [3, b"filters", registry.AnalysisRequest("filters", {"layers": b"c"})], ids=str)
def test_what_is_no_analysis_is_not_sent(client, given):
    with pytest.raises(ParameterError, match=r"one is of another kind|its parameters cannot be sent; expected JSON"):
        client.inspect("net", None, given)


def test_pictures_are_drawn(address):
    with grpc.insecure_channel(address) as channel:
        stub = inspector_service_pb2_grpc.InspectorServiceStub(channel)
        request = pb.InspectRequest(model="models/net", analyses=["filters"], render_png=True)
        blocks = [m.event.block for m in stub.Inspect(request) if m.event.HasField("block")]
    pictures = [p for block in blocks for p in block.images.pictures]
    assert pictures
    for picture in pictures:
        with Image.open(io.BytesIO(picture.png)) as image:
            assert image.size == tuple(reversed(picture.values.shape[:2]))


@pytest.mark.parametrize(
    ("call", "kind", "problem"),
    [
        (lambda c: c.inspect("net", [Raw("a", picture=b"garbage")], preprocess="unit"), InputError, "a"),
        (lambda c: c.audit("net", [Raw("a", picture=b"")], preprocess="unit"), InputError, "could be used"),
        (lambda c: c.inspect("net", ARRAYS, ["nothing"]), NotFoundError, "nothing"),
        (lambda c: c.inspect("net", ARRAYS, ["sparsity:mood=3"]), ParameterError, "mood"),
        (lambda c: c.inspect("net", [Raw("a", picture=b"x")], preprocess="upside=down"), ParameterError, "upside"),
        (lambda c: c.activations("net", [Raw("a", tensors={"y": ARRAYS[0]})]), InputError, "a"),
        (lambda c: c.activations("net", []), InputError, "nothing to feed"),
        (lambda c: c.activations("net", ARRAYS, ["nothing*"]), NotFoundError, "nothing"),
        (lambda c: c.audit("net", ARRAYS, batch_size=-1), ParameterError, "batch size"),
        (lambda c: c.audit("net", "server:nothing"), NotFoundError, "nothing"),
    ],
)
def test_bad_requests_are_refused_and_the_server_goes_on(client, call, kind, problem):
    with pytest.raises(kind, match=problem):
        call(client)
    assert client.activations("net", ARRAYS[:1])


def test_an_array_among_others_that_does_not_fit_is_skipped_in_a_report_and_refused_for_raw_maps(client):
    raws = [Raw("fits", tensors={"x": ARRAYS[0]}), Raw("odd", tensors={"x": ARRAYS[0][:1]})]
    report = client.inspect("net", raws, ["sparsity"])
    assert ([skipped.id for skipped in report.skipped], report.provenance.inputs) == (["odd"], 1)
    with pytest.raises(InputError, match="odd"):  # no row of the answer says whose it is
        client.activations("net", raws)


def test_a_picture_among_others_that_is_garbage_is_skipped(client):
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(picture, "PNG")
    raws = [Raw("good", picture=picture.getvalue()), Raw("bad", picture=b"garbage")]
    report = client.audit("net", raws, preprocess="unit")
    assert (report.provenance.inputs, report.skipped_count, report.skipped[0].id) == (1, 1, "bad")


def tensor(count=192, shape=(3, 8, 8)):
    x = np.zeros(count, np.float32)
    return {"tensors": {"x": {"dtype": "float32", "shape": shape, "data": x.tobytes()}}}


BROKEN = {
    "short": input_pb2.Input(id="bad", tensors=tensor(191)),
    "large and empty": input_pb2.Input(id="bad", tensors=tensor(0, (1 << 62, 0, 1 << 62))),
    "negative": input_pb2.Input(id="bad", tensors=tensor(192, (-1, 8, 8))),
    "nothing": input_pb2.Input(id="bad"),
    "no name": input_pb2.Input(tensors=tensor()),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_an_audit_skips_counts_and_names_a_broken_input_unless_it_is_strict(address, broken):
    def audit(**options):
        good = [input_pb2.Input(id=name, tensors=tensor()) for name in "ab"]
        config = pb.AuditRequest(config=pb.AuditConfig(model="models/net", **options))
        sent = [config, *(pb.AuditRequest(input=one) for one in (good[0], broken, good[1]))]
        with grpc.insecure_channel(address) as channel:
            return list(inspector_service_pb2_grpc.InspectorServiceStub(channel).Audit(iter(sent)))

    (header,) = [m.event.header for m in audit() if m.event.HasField("header")]
    assert header.provenance.inputs == 2
    assert [one.id for one in header.skipped] == [broken.id or "input 2"]
    assert header.skipped_count == 1
    assert "must hold one thing" not in header.skipped[0].reason  # but what is wrong with it
    with pytest.raises(grpc.RpcError) as caught:
        audit(strict=True)
    assert details(caught.value)["ErrorInfo"].reason == "INVALID_INPUT"


def test_long_ids_make_no_long_messages(address):
    config = pb.AuditRequest(config=pb.AuditConfig(model="models/net"))
    good = pb.AuditRequest(input=input_pb2.Input(id="a", tensors=tensor()))
    sent = [pb.AuditRequest(input=input_pb2.Input(id=f"{'x' * 100_000}{n}")) for n in range(60)]
    with grpc.insecure_channel(address) as channel:  # reads at most 4 MiB at once
        events = list(inspector_service_pb2_grpc.InspectorServiceStub(channel).Audit(iter([config, good, *sent])))
    assert max(event.ByteSize() for event in events) < 1 << 20
    (header,) = [m.event.header for m in events if m.event.HasField("header")]
    assert len({one.id for one in header.skipped}) == 60


def test_a_stop_ends_an_audit_that_would_never_end(client):
    stop, sent = Stop(), []

    def inputs():
        for number in range(10**7):
            sent.append(number)
            yield Raw(str(number), tensors={"x": ARRAYS[0]})

    with pytest.raises(StoppedError):
        client.audit("net", inputs(), watch=lambda _: stop.set(), stop=stop)
    assert len(sent) < 10**6
    assert client.activations("net", ARRAYS[:1])


class NoParams(BaseModel):
    """There are none."""


class Slow:
    """Looks at weights, one twentieth of a second each time."""

    name, version, Params = "slow", "1", NoParams
    calls: ClassVar[list[str]] = []

    def __init__(self, params):
        self.params = params

    def finalize(self, model, summaries):
        self.calls.append(model.name)
        time.sleep(0.05)

    def present(self, result):
        return []


def test_a_deadline_ends_a_run_of_weights_between_two_analyses(folder, monkeypatch):
    """The server has one worker: the next run is answered once the first has left it."""
    point = SimpleNamespace(name="slow", load=lambda: Slow, dist=None, value="tests")
    real = registry._points()
    monkeypatch.setattr(registry, "_points", lambda: (*real, point))
    Slow.calls.clear()
    with served(Settings(folder, device="cpu", grace=1.0, workers=1), service) as target:
        with Client(target, timeout=60) as client:
            assert client.layers("net")  # its first load takes longer than that deadline
        with Client(target, timeout=0.5) as client, pytest.raises(StoppedError):
            client.inspect("net", None, ["slow"] * 64)
        with Client(target, timeout=60) as client:
            assert client.inspect("net", None, ["filters"]).ok
    assert 0 < len(Slow.calls) < 64


def test_more_analyses_than_a_run_may_have_are_refused(client):
    with pytest.raises(LimitError, match="at most 64, found 20000"):
        client.inspect("net", None, ["filters"] * 20_000)


def test_an_unknown_tensor_is_named(address):
    tensors = input_pb2.NamedTensors(tensors={"nope": {"dtype": "float32", "shape": [1], "data": bytes(4)}})
    request = pb.ActivationsRequest(model="models/net", inputs=[input_pb2.Input(id="a", tensors=tensors)])
    with grpc.insecure_channel(address) as channel:
        call = inspector_service_pb2_grpc.InspectorServiceStub(channel).Activations(request)
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "nope" in details(caught.value)["ErrorInfo"].metadata["problem"]
