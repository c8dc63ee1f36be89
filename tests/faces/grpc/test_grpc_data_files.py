"""Models of the folder whose numbers lie in files beside them: served, and never a client's way to other files."""

from __future__ import annotations

import onnx
import pytest
from models import ZOO

from inspector import service
from inspector.control import Stop
from inspector.errors import ModelError
from inspector.faces.grpc.repository import Repository


@pytest.fixture
def folder(tmp_path):
    proto = onnx.load_from_string(ZOO["chain"].data)
    onnx.save_model(proto, tmp_path / "net.onnx", save_as_external_data=True, size_threshold=0, location="net.data")
    return tmp_path


@pytest.fixture
def loads():
    return []


@pytest.fixture
def repository(folder, loads):
    def load(source, *, name=""):
        loads.append(name)
        return service.load(source, name=name)

    return Repository(folder, load, 2)


def info(repository):
    (entry,) = repository.entries()
    return repository.info(entry, Stop())


def test_a_model_with_a_data_file_is_listed_and_served(repository, folder, loads):
    expected = service.load(folder / "net.onnx")
    shown = info(repository)
    assert (shown.name, shown.sha256, shown.layers, shown.failure) == ("net", expected.sha256, 2, "")
    assert repository.view("net", Stop()).layers == expected.layers
    assert info(repository) == shown
    assert loads == ["net"]


def test_a_changed_data_file_is_a_changed_model(repository, folder, loads):
    before, view = info(repository), repository.view("net", Stop())
    data = bytearray((folder / "net.data").read_bytes())
    data[0] ^= 1
    (folder / "new").write_bytes(data + b"longer, so that it differs in more than its time")
    (folder / "new").replace(folder / "net.data")
    after = info(repository)
    assert after.sha256 == repository.view("net", Stop()).sha256 != before.sha256
    assert view.sha256 == before.sha256  # what a run already has does not change under it
    assert loads == ["net", "net"]


def test_a_model_without_its_data_file_is_broken_until_the_file_comes(repository, folder, loads):
    (folder / "net.data").rename(folder.parent / "elsewhere")
    failure = info(repository).failure
    assert "model 'net', data file 'net.data': it cannot be opened" in failure
    assert str(folder) not in failure
    assert info(repository).failure == failure
    assert loads == ["net"]
    (folder.parent / "elsewhere").rename(folder / "net.data")
    assert info(repository).failure == ""
    assert repository.view("net", Stop()).layers


def test_what_a_client_uploads_may_not_name_files_of_the_folder(repository, folder):
    part = folder / ".upload-x.part"
    part.write_bytes((folder / "net.onnx").read_bytes())
    with pytest.raises(ModelError, match=r"model 'mine': its weights lie in other files"):
        repository.add("mine", part, Stop(), overwrite=False)
    assert not (folder / "mine.onnx").exists()
