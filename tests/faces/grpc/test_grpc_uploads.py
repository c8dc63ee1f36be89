"""Models from clients: whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import threading
import time

import grpc
import pytest
from grpc_fakes import MODEL, FakeUseCases, details

from inspector._proto.inspector.v1 import inspector_service_pb2 as pb
from inspector._proto.inspector.v1 import inspector_service_pb2_grpc
from inspector.control import Stop
from inspector.errors import LimitError, ModelError, NotFoundError, ParameterError, StoppedError
from inspector.faces.grpc.client import Client
from inspector.faces.grpc.errors import ExistsError, NotAllowedError
from inspector.faces.grpc.repository import Repository
from inspector.faces.grpc.uploads import Announced, Piece, receive

LARGE = MODEL + bytes(3_000_000)


@pytest.fixture
def address(start):
    return start(uploads=True, max_model_bytes=4_000_000, patience=0.5)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "large.onnx"
    path.write_bytes(LARGE)
    return path


def untouched(models):
    """True where the folder holds what it held before, hidden files included."""
    return [(p.name, p.read_bytes()) for p in models.iterdir()] == [("toy.onnx", MODEL)]


def test_an_uploaded_model_can_be_used_at_once(client, models, file, use_cases):
    info = client.upload(file, "new-1.0_a")
    assert (models / "new-1.0_a.onnx").read_bytes() == LARGE
    assert info == client.model("new-1.0_a")
    assert (info.name, info.size, info.sha256, info.layers) == (
        "new-1.0_a",
        len(LARGE),
        hashlib.sha256(LARGE).hexdigest(),
        3,
    )
    assert len(client.layers("new-1.0_a")) == 3
    assert use_cases.loads == ["new-1.0_a"]  # what was checked is what is used
    assert client.upload(file).name == "large"
    assert [info.name for info in client.models()] == ["large", "new-1.0_a", "toy"]
    assert not list(models.glob(".*"))


def test_a_name_that_is_taken_is_kept_unless_replacing_was_asked_for(client, models, file):
    with pytest.raises(ExistsError, match="overwrite"):
        client.upload(file, "toy")
    assert untouched(models)
    assert client.upload(file, "toy", overwrite=True).size == len(LARGE)
    assert client.model("toy").sha256 == hashlib.sha256(LARGE).hexdigest()


def test_a_name_taken_while_the_upload_ran_is_kept(client, stub, models):
    def stream():
        yield HEADER
        yield chunk(0, LARGE[:10])
        (models / "new.onnx").write_bytes(MODEL)
        yield chunk(10, LARGE[10:])

    with pytest.raises(grpc.RpcError) as caught:
        stub.UploadModel(stream())
    assert caught.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert details(caught.value)["ErrorInfo"].reason == "ALREADY_EXISTS"
    assert (models / "new.onnx").read_bytes() == MODEL
    assert not list(models.glob(".*"))


def test_a_file_that_is_no_model_is_not_kept(client, models, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="this is no model"):
        client.upload(tmp_path / "bad.onnx")
    assert untouched(models)
    with pytest.raises(ModelError, match="this is no model"):
        client.upload(tmp_path / "bad.onnx", "toy", overwrite=True)
    assert untouched(models)


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(client, models, file):
    file.write_bytes(bytes(4_000_001))
    with pytest.raises(LimitError, match="4000000"):
        client.upload(file)
    assert untouched(models)


def test_a_file_that_is_not_there_is_not_found(client, tmp_path):
    with pytest.raises(NotFoundError, match="no such file"):
        client.upload(tmp_path / "nowhere.onnx")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../evil", "/evil", "a/b", "a\\b", ".hidden", "-flag", "ü", "a b", "a\n", "a\0", "x" * 129]
)
def test_names_that_could_be_more_than_a_name_are_refused(client, models, stub, name):
    with pytest.raises(grpc.RpcError) as caught:
        stub.UploadModel(iter([pb.UploadModelRequest(header=header_of(LARGE, model_id=name)), chunk(0, LARGE)]))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert details(caught.value)["BadRequest"].field_violations[0].field == "model_id"
    assert untouched(models)


def header_of(data, **changes):
    fields = {"model_id": "new", "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return pb.UploadModelHeader(**fields | changes)


def chunk(offset, data):
    return pb.UploadModelRequest(chunk=pb.UploadModelChunk(offset=offset, data=data))


HEADER = pb.UploadModelRequest(header=header_of(LARGE))
BAD_STREAMS = {
    "nothing": ([], "INVALID_PARAMETER", "out of place"),
    "no header": ([chunk(0, LARGE)], "INVALID_PARAMETER", "out of place"),
    "an empty message": ([HEADER, pb.UploadModelRequest()], "INVALID_PARAMETER", "out of place"),
    "two headers": ([HEADER, HEADER], "INVALID_PARAMETER", "out of place"),
    "no chunk": ([HEADER], "INVALID_INPUT", "shorter"),
    "too few chunks": ([HEADER, chunk(0, LARGE[:-1])], "INVALID_INPUT", "shorter"),
    "too many chunks": ([HEADER, chunk(0, LARGE), chunk(len(LARGE), b"x")], "INVALID_INPUT", "longer"),
    "chunks swapped": ([HEADER, chunk(9, LARGE[9:]), chunk(0, LARGE[:9])], "INVALID_INPUT", "out of order"),
    "a chunk twice": ([HEADER, chunk(0, LARGE[:9]), chunk(0, LARGE[:9])], "INVALID_INPUT", "out of order"),
    "a gap": ([HEADER, chunk(0, LARGE[:9]), chunk(10, LARGE[10:])], "INVALID_INPUT", "out of order"),
    "a negative offset": ([HEADER, chunk(-1, LARGE)], "INVALID_INPUT", "out of order"),
    "other bytes": ([HEADER, chunk(0, LARGE[:-1] + b"x")], "INVALID_INPUT", "SHA-256"),
    "no hash": ([pb.UploadModelRequest(header=header_of(LARGE, sha256=""))], "INVALID_PARAMETER", "SHA-256"),
    "a hash in capitals": (
        [pb.UploadModelRequest(header=header_of(LARGE, sha256="A" * 64))],
        "INVALID_PARAMETER",
        "SHA-256",
    ),
    "no size": ([pb.UploadModelRequest(header=header_of(LARGE, size_bytes=0))], "INVALID_PARAMETER", "size"),
    "a negative size": ([pb.UploadModelRequest(header=header_of(LARGE, size_bytes=-1))], "INVALID_PARAMETER", "size"),
    "too large": (
        [pb.UploadModelRequest(header=header_of(LARGE, size_bytes=1 << 62))],
        "LIMIT_EXCEEDED",
        "too large",
    ),
}


@pytest.mark.parametrize(("stream", "reason", "problem"), BAD_STREAMS.values(), ids=BAD_STREAMS)
def test_an_upload_that_is_not_as_announced_leaves_nothing_behind(stub, models, stream, reason, problem):
    with pytest.raises(grpc.RpcError) as caught:
        stub.UploadModel(iter(stream))
    assert caught.value.code() == (
        grpc.StatusCode.RESOURCE_EXHAUSTED if reason == "LIMIT_EXCEEDED" else grpc.StatusCode.INVALID_ARGUMENT
    )
    assert details(caught.value)["ErrorInfo"].reason == reason
    assert problem in caught.value.details()
    assert untouched(models)
    assert stub.ListModels(pb.ListModelsRequest()).models


@pytest.mark.parametrize("way", ["silence", "leaving"])
def test_an_upload_that_is_broken_off_leaves_nothing_behind(address, client, models, way):
    over, begun = threading.Event(), threading.Event()

    def stream():
        yield HEADER
        yield chunk(0, LARGE[:9])
        begun.set()
        over.wait(20)

    with grpc.insecure_channel(address) as channel:
        call = inspector_service_pb2_grpc.InspectorServiceStub(channel).UploadModel.future(stream())
        assert begun.wait(10)
        if way == "leaving":
            call.cancel()
        else:
            assert "sent nothing for too long" in call.exception().details()
        over.set()
    while list(models.glob(".*")):  # until the worker has noticed
        time.sleep(0.01)
    assert untouched(models)
    assert client.models()


@pytest.mark.parametrize("when", ["written", "loaded"])
def test_an_upload_that_was_stopped_is_not_published(models, when):
    stop, use_cases = Stop(), FakeUseCases()

    def pieces():
        yield Piece(0, LARGE)
        if when == "written":
            stop.set()

    def load(source, *, name=""):
        stop.set()
        return use_cases.load(source, name=name)

    repository = Repository(models, load, 2)
    announced = Announced("new", len(LARGE), hashlib.sha256(LARGE).hexdigest())
    with pytest.raises(StoppedError):
        receive(repository, announced, pieces(), stop)
    assert use_cases.loads == ([] if when == "written" else ["new"])
    assert untouched(models)


@pytest.mark.parametrize("name", ["toy", "link"])
def test_nothing_is_read_of_an_upload_under_a_name_that_is_taken(models, name):
    (models / "link.onnx").symlink_to("nowhere")
    announced = Announced(name, len(LARGE), hashlib.sha256(LARGE).hexdigest())
    pieces = iter([Piece(0, LARGE)])
    with pytest.raises(ExistsError):
        receive(Repository(models, FakeUseCases().load, 2), announced, pieces, Stop())
    assert next(pieces).data == LARGE


def test_a_name_taken_while_the_model_was_loaded_is_kept(models):
    def load(source, *, name=""):
        (models / "new.onnx").write_bytes(MODEL)
        return FakeUseCases().load(source, name=name)

    announced = Announced("new", len(LARGE), hashlib.sha256(LARGE).hexdigest())
    with pytest.raises(ExistsError, match="overwrite"):
        receive(Repository(models, load, 2), announced, iter([Piece(0, LARGE)]), Stop())
    assert (models / "new.onnx").read_bytes() == MODEL


def test_uploads_are_refused_unless_allowed(start, models, file):
    with Client(start(uploads=False), timeout=20) as client:
        with pytest.raises(NotAllowedError, match="takes no models"):
            client.upload(file)
        with pytest.raises(NotAllowedError):
            client.upload(file, "toy", overwrite=True)
    assert untouched(models)


def test_a_folder_that_is_in_the_way_stays(client, models, file):
    (models / "dir.onnx").mkdir()
    with pytest.raises(ExistsError):
        client.upload(file, "dir")
    with pytest.raises(ExistsError):
        client.upload(file, "dir", overwrite=True)
    with pytest.raises(ParameterError):
        client.upload(file, "dir/x")
    assert not list(models.glob(".*"))
