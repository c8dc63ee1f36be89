"""What a client may name as data of the server's, and what travels with inputs that it sends."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
from grpc_served import served
from PIL import Image

from inspector import service
from inspector.contract import TensorInfo
from inspector.errors import InputError, InspectorError, NotFoundError, ParameterError
from inspector.faces.grpc.client import Client
from inspector.faces.grpc.client_inputs import raw_inputs
from inspector.faces.grpc.data_root import MAX_NOISE, DataRoot
from inspector.faces.grpc.errors import NotAllowedError
from inspector.faces.grpc.settings import Settings
from inspector.samples import SAMPLES

DIGITS = SAMPLES[0]


def png(level: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (4, 4), level).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A server's data: pictures in classes, one of them broken, and a tar file of one picture."""
    data = tmp_path_factory.mktemp("data").resolve()
    for name, content in {"ant/a.png": png(1), "ant/torn.png": png(1)[:40], "bee/b.png": png(2)}.items():
        (data / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (data / "set" / name).write_bytes(content)
    with tarfile.open(data / "s.tar", "w") as tar:
        info = tarfile.TarInfo("0.png")
        info.size = len(png(3))
        tar.addfile(info, io.BytesIO(png(3)))
    return data


@pytest.fixture(scope="module")
def client(folder):
    settings = Settings(DIGITS.model.parent, folder, device="cpu", grace=1.0)
    with served(settings, service) as address, Client(address) as made:
        yield made


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/x.tar", "file:///etc", "s3://bucket", "memory://x", "a::b://c"]
)
@pytest.mark.parametrize("there", [True, False])
def test_a_server_reads_no_urls_for_its_clients(folder, url, there):
    with pytest.raises(NotAllowedError, match="reads no URLs"):
        DataRoot(folder if there else None).data(url)


@pytest.mark.parametrize("source", ["set/*.png", "s{0..1}.tar", "../data/*"])
def test_a_clients_source_is_no_pattern(folder, source):
    with pytest.raises(NotFoundError):
        DataRoot(folder).data(source)


def test_noise_needs_no_folder_and_is_limited():
    root = DataRoot(None)
    assert root.data(f"noise:{MAX_NOISE},seed=7") == f"noise:{MAX_NOISE},seed=7"
    for text in (
        f"noise:{MAX_NOISE + 1}",
        "noise:9999999999",
        f"noise:{'0' * 500}1",
        "noise:-1",
        "noise:0",
        "noise:x",
        "noise:",
    ):
        with pytest.raises(ParameterError, match="it is too much noise"):
            root.data(text)


def test_noise_and_tar_files_of_the_server_are_audited(client, folder):
    local = service.audit(DIGITS.model, "noise:20,seed=3")
    report = client.audit("digits", "server:noise:20,seed=3")
    assert client.audit("digits", "noise:20,seed=3").provenance.data == report.provenance.data == local.provenance.data
    with pytest.raises(InputError, match=r"^data 'noise:2': .* cannot be noise"):
        client.inspect("digits", "noise:2")
    assert report.provenance.data_sha256 == local.provenance.data_sha256
    assert report.provenance.notes == local.provenance.notes
    packed = client.audit("digits", "server:s.tar", preprocess="unit")
    assert (packed.provenance.inputs, packed.provenance.data) == (1, "file server:s.tar (1 tar file)")
    with pytest.raises(ParameterError, match="noise"):
        client.audit("digits", "server:noise:x")


@pytest.mark.parametrize("own", [True, False])
def test_a_strict_audit_ends_with_the_first_input_that_cannot_be_used(client, folder, own):
    data = "server:set" if own else folder / "set"
    report = client.audit("digits", data, preprocess="unit")
    assert (report.provenance.inputs, [s.id for s in report.skipped]) == (2, ["ant/torn.png"])
    with pytest.raises(InputError, match=r"input 'ant/torn\.png': it cannot be used"):
        client.audit("digits", data, preprocess="unit", strict=True)


def test_labels_are_sent_with_the_inputs_that_have_them(folder):
    sent = {raw.id: raw.label for raw in raw_inputs(folder / "set", lambda: ())}
    assert sent == {"ant/a.png": "ant", "ant/torn.png": "ant", "bee/b.png": "bee"}


def test_labels_of_arrays_are_sent_as_well(tmp_path):
    (tmp_path / "ant").mkdir()
    np.save(tmp_path / "ant" / "two.npy", np.zeros((2, 1, 2, 2), np.float32))
    sent = {raw.id: raw.label for raw in raw_inputs(tmp_path, lambda: [TensorInfo("x", "float32", ("N", 1, 2, 2))])}
    assert sent == {"ant/two.npy[0]": "ant", "ant/two.npy[1]": "ant"}


@pytest.mark.parametrize("name", ["s.tar", "s.tgz", "s.parquet"])
def test_packed_files_are_not_sent(tmp_path, name):
    (tmp_path / name).write_bytes(b"whatever")
    with pytest.raises(InputError, match=rf"file '{name}': tar and Parquet files are not sent"):
        list(raw_inputs(tmp_path / name, lambda: ()))


def test_strict_here_is_strict_as_well(folder):
    with pytest.raises(InspectorError, match="it cannot be used"):
        service.audit(DIGITS.model, folder / "set", preprocess="unit", strict=True)
    assert service.audit(DIGITS.model, np.zeros((2, 1, 16, 16), np.float32), strict=True).skipped_count == 0
