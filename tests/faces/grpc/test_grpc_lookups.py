"""Models, layers and plugins, as a client sees them."""

from __future__ import annotations

import os
from dataclasses import replace

import grpc
import pytest
from grpc_fakes import MODEL, FakeUseCases, details

from inspector._proto.inspector.v1 import inspector_service_pb2 as pb
from inspector.control import Stop
from inspector.errors import ModelError, NotFoundError, ParameterError
from inspector.faces.grpc import repository as models_of
from inspector.faces.grpc.repository import Repository
from inspector.graph.data_files import data_files_beside


def test_models_are_listed_by_name_and_broken_ones_with_their_reason(client, models):
    (models / "a.onnx").write_bytes(b"nonsense")
    (models / "b.onnx").write_bytes(b"a model with a bug")
    (models / "z.onnx").write_bytes(b"a model of another kind")
    (models / "notes.txt").write_text("no model")
    (models / "folder.onnx").mkdir()
    (models / ".upload-x.part").write_bytes(MODEL)
    listed = {info.name: info for info in client.models()}
    assert list(listed) == ["a", "b", "toy", "z"]
    assert listed["a"].failure == "model 'a': this is no model; found b'nonsense'."
    assert "ZeroDivisionError" in listed["b"].failure
    assert "secret" not in listed["b"].failure
    assert (listed["toy"].failure, listed["toy"].layers, listed["toy"].size) == ("", 3, len(MODEL))
    assert client.model("a") == listed["a"]
    assert client.model("toy") == listed["toy"]


def test_layers_are_what_they_are_here(client, use_cases):
    expected = FakeUseCases().load(MODEL, name="toy").layers
    assert client.layers("toy") == expected
    assert [client.layer("toy", layer.name) for layer in expected] == list(expected)


def test_a_file_is_loaded_once_until_it_changes(client, models, use_cases):
    client.layers("toy")
    client.models()
    client.layers("toy")
    assert use_cases.loads == ["toy"]
    (models / "toy.onnx").write_bytes(b"a model that is new")
    assert client.model("toy").sha256 != ""
    assert client.models()[0].size == 19
    assert use_cases.loads == ["toy", "toy"]


def test_plugins_are_listed_and_broken_ones_with_their_reason(client, use_cases):
    assert client.plugins() == use_cases.plugins()


def test_pages_give_everything_once_and_in_order(stub, models):
    for name in "cab":
        (models / f"{name}.onnx").write_bytes(MODEL)
    request, seen, pages = pb.ListModelsRequest(page_size=3), [], 0
    while pages == 0 or request.page_token:
        answer = stub.ListModels(request)
        seen += [model.name for model in answer.models]
        request.page_token = answer.next_page_token
        pages += 1
        if pages == 1:
            (models / "a.onnx").unlink()  # what was shown before must not shift what comes next
    assert (seen, pages) == (["models/a", "models/b", "models/c", "models/toy"], 2)
    layers = stub.ListLayers(pb.ListLayersRequest(parent="models/toy", page_size=2))
    assert [layer.title for layer in layers.layers] == ["conv1", "block/conv 2"]
    rest = stub.ListLayers(pb.ListLayersRequest(parent="models/toy", page_token=layers.next_page_token))
    assert [layer.name for layer in rest.layers] == ["models/toy/layers/gr%C3%B6%C3%9Fe%252F%5B0%5D"]
    assert rest.next_page_token == ""
    plugins = stub.ListPlugins(pb.ListPluginsRequest(page_size=1))
    assert [plugin.title for plugin in plugins.plugins] == ["fake"]
    plugins = stub.ListPlugins(pb.ListPluginsRequest(page_token=plugins.next_page_token))
    assert [(plugin.title, plugin.state) for plugin in plugins.plugins] == [("torn", 2)]


@pytest.mark.parametrize("token", ["x", "bW9kZWxz", "!", "\u00e9"])
def test_a_page_token_that_was_never_given_is_refused(stub, token):
    with pytest.raises(grpc.RpcError) as caught:
        stub.ListLayers(pb.ListLayersRequest(parent="models/toy", page_token=token))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert details(caught.value)["BadRequest"].field_violations[0].field == "page_token"


def test_a_page_token_is_good_for_its_own_list_only(stub, models):
    (models / "twin.onnx").write_bytes(MODEL)
    token = stub.ListLayers(pb.ListLayersRequest(parent="models/toy", page_size=1)).next_page_token
    with pytest.raises(grpc.RpcError) as caught:
        stub.ListLayers(pb.ListLayersRequest(parent="models/twin", page_token=token))
    assert details(caught.value)["ErrorInfo"].reason == "INVALID_PARAMETER"
    with pytest.raises(grpc.RpcError) as caught:
        stub.ListModels(pb.ListModelsRequest(page_size=-1))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_unknown_names_are_not_found_and_the_nearest_is_named(client, stub):
    with pytest.raises(NotFoundError, match="Did you mean 'toy'"):
        client.model("tony")
    with pytest.raises(NotFoundError, match="Did you mean 'conv1'"):
        client.layer("toy", "conv")
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetLayer(pb.GetLayerRequest(name="models/toy/layers/nope"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    found = details(caught.value)
    assert (found["ErrorInfo"].domain, found["ErrorInfo"].reason) == ("inspector.v1", "NOT_FOUND")
    assert found["ErrorInfo"].metadata["subject"] == "layer 'nope'"
    assert (found["ResourceInfo"].resource_type, found["ResourceInfo"].resource_name) == ("layer", "nope")
    assert client.models()


@pytest.mark.parametrize("name", ["", "toy", "models/../toy", "models/", "models/toy/layers/a/b"])
def test_bad_resource_names_are_named_as_the_bad_field(client, stub, name):
    for method, request in ((stub.GetModel, pb.GetModelRequest), (stub.GetLayer, pb.GetLayerRequest)):
        with pytest.raises(grpc.RpcError) as caught:
            method(request(name=name))
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert details(caught.value)["BadRequest"].field_violations[0].field == "name"
    assert client.models()


@pytest.mark.parametrize("name", ["..", "../secret", "/etc/passwd", "toy.onnx", ""])
def test_a_model_name_never_becomes_a_path(client, tmp_path, name):
    (tmp_path / "secret.onnx").write_bytes(MODEL)
    with pytest.raises((NotFoundError, ParameterError)):
        client.model(name)


def test_fields_that_the_server_does_not_know_are_refused(client, stub):
    request = pb.GetModelRequest.FromString(
        pb.GetModelRequest(name="models/toy").SerializeToString() + b"\xa2\x3e\x01a"
    )
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetModel(request)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert details(caught.value)["ErrorInfo"].metadata["subject"] == "field 996 of GetModelRequest"
    assert client.models()


def test_only_regular_files_inside_the_folder_are_models(models, tmp_path):
    (tmp_path / "secret.onnx").write_bytes(MODEL)
    (models / "out.onnx").symlink_to(tmp_path / "secret.onnx")
    (models / "in.onnx").symlink_to("toy.onnx")
    (models / "circle.onnx").symlink_to("circle.onnx")
    (models / "gone.onnx").symlink_to("gone")
    (models / ".onnx").write_bytes(MODEL)
    os.mkfifo(models / "pipe.onnx")
    repository = Repository(models, FakeUseCases().load, 2)
    assert [entry.name for entry in repository.entries()] == ["in", "toy"]
    with pytest.raises(NotFoundError):
        repository.view("out", Stop())


def test_only_the_models_used_last_are_kept(models):
    use_cases = FakeUseCases()
    for name in "abc":
        (models / f"{name}.onnx").write_bytes(MODEL)
    repository = Repository(models, use_cases.load, 2)
    for name in "abacab":
        repository.view(name, Stop())
    assert use_cases.loads == ["a", "b", "c", "b"]
    for entry in repository.entries():
        repository.info(entry, Stop())
        repository.info(entry, Stop())
    assert sorted(use_cases.loads[4:]) == ["c", "toy"]


def test_a_file_that_cannot_be_read_is_listed_with_its_reason(models):
    repository = Repository(models, FakeUseCases().load, 2)
    (entry,) = repository.entries()
    (models / "toy.onnx").unlink()
    assert repository.info(entry, Stop()).failure == "model 'toy': it cannot be read; found No such file or directory."


def test_what_is_said_of_a_model_changes_with_the_files_beside_it(models):
    """A broken one may be whole once another file came; a whole one is another once its numbers are."""
    data = models / "toy.bin"

    def load(source, *, name=""):
        if not data.exists():
            raise ModelError("toy.bin", "it is missing")
        view = FakeUseCases().load(source, name=name)
        return replace(view, sha256=data.read_text(), data_files=tuple(data_files_beside(models)))

    repository = Repository(models, load, 2)
    (entry,) = repository.entries()
    assert repository.info(entry, Stop()).failure == "toy.bin: it is missing."
    data.write_text("one")
    assert (repository.info(entry, Stop()).failure, repository.info(entry, Stop()).sha256) == ("", "one")
    data.write_text("another")
    assert repository.info(entry, Stop()).sha256 == "another"


def test_a_file_larger_than_any_message_is_not_read(models, monkeypatch):
    monkeypatch.setattr(models_of, "MAX_BYTES", len(MODEL) - 1)
    use_cases = FakeUseCases()
    repository = Repository(models, use_cases.load, 2)
    (entry,) = repository.entries()
    expected = "model 'toy': it is too large; expected at most 20 bytes, found 21."
    assert repository.info(entry, Stop()).failure == expected
    assert use_cases.loads == []
