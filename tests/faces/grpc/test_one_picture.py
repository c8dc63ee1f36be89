"""A model of one picture without a batch axis, by every way in: what comes out is that of a twin that has the axis."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from grpc_served import served
from models import SAME, W, model, numbers
from PIL import Image
from wire_strategies import plain

from inspector import service
from inspector.errors import InputError
from inspector.faces.cli import main
from inspector.faces.grpc.client import Client
from inspector.faces.grpc.settings import Settings
from inspector.runtime.data import Raw
from inspector.trial import Trial

TAIL = f"[c] a = Conv {SAME} (s, w, b) y = Relu(a) [d] e = Conv (y, v) f = Relu(e) g = GlobalAveragePool(f)"
WEIGHTS = {"w": W, "b": numbers(4), "v": numbers(5, 4, 3, 3), "front": np.array([0]), "flip": np.array([2, 1, 0])}
TURN = "s = Transpose <perm=[0,3,1,2]> (t)"
NETS = {
    "chw": ("s = Unsqueeze(x, front)", "[3,6,5]"),
    "hwc": (f"t = Unsqueeze(x, front) {TURN}", "[6,5,3]"),
    "chw_twin": ("s = Identity(x)", "[1,3,6,5]"),
    "hwc_twin": (f"t = Identity(x) {TURN}", "[1,6,5,3]"),
    "unclear": ("t = Gather(x, flip) s = Unsqueeze(t, front)", "[3,6,5]"),
}
SHAPES = {"chw": (3, 6, 5), "hwc": (6, 5, 3)}
WAYS = {"preprocess": "unit", "memory": 1 << 28}
AUDITED = ("sparsity", "distribution", "filters", "connectivity")
SOURCES = ("one.npy", "stack.npy", "named.npz", "pictures", "noise:3")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, and of each layout of a picture a folder of data."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "models").mkdir()
    for name, (front, shape) in NETS.items():
        ends = ("j = Squeeze(g, front)", "[5,1,1] j") if name in SHAPES else ("", "[A,B,C,D] g")
        data = model(f"{front} {TAIL} {ends[0]}", inputs=f"float{shape} x", outputs=f"float{ends[1]}", weights=WEIGHTS)
        (folder / "models" / f"{name}.onnx").write_bytes(data)
    for name, shape in SHAPES.items():
        rng = np.random.default_rng(4)
        data = folder / name
        (data / "pictures").mkdir(parents=True)
        stack = rng.normal(size=(5, *shape)).astype(np.float32)
        np.save(data / "one.npy", stack[0])
        np.save(data / "stack.npy", stack)
        np.savez(data / "named.npz", x=stack)
        for number in range(4):
            pixels = rng.integers(0, 256, (9, 8, 3), np.uint8)
            Image.fromarray(pixels).save(data / "pictures" / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def client(place: Path):
    with (
        served(Settings(place / "models", place, device="cpu", grace=1.0), service) as address,
        Client(address) as made,
    ):
        yield made


def source(place: Path, name: str, data: str) -> str:
    return data if data.startswith("noise") else str(place / name / data)


def results(report) -> list[object]:
    assert not report.failed
    assert report.skipped_count == 0
    return [plain([r.name, r.metrics, r.findings, r.blocks]) for r in report.results] + [
        report.provenance.inputs, report.provenance.preprocess, report.provenance.data_sha256,
    ]  # fmt: skip


@pytest.mark.parametrize("data", SOURCES)
@pytest.mark.parametrize("name", SHAPES)
def test_reports_are_those_of_the_twin(place: Path, name: str, data: str) -> None:
    given, net = source(place, name, data), place / "models" / f"{name}.onnx"
    twin = service.load(place / "models" / f"{name}_twin.onnx", name=name)
    for way, analyses in ((service.audit, AUDITED), (service.inspect, ())):
        found = way(net, given, analyses, fidelity="exact", device="cpu", **WAYS)
        assert results(found) == results(way(twin, given, analyses, fidelity="exact", device="cpu", **WAYS))
        assert found.provenance.check is not None
        assert found.provenance.check.equal
        assert found.provenance.sha256 == hashlib.sha256(net.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", SHAPES)
def test_maps_are_those_that_the_runtime_gives_for_one_picture_after_the_other(place: Path, name: str) -> None:
    path, stack = place / "models" / f"{name}.onnx", np.load(place / name / "stack.npy")
    proto = onnx.load(path)
    proto.graph.output.extend(onnx.ValueInfoProto(name=tensor) for tensor in ("a", "f"))
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    expected = [session.run(["a", "f"], {"x": picture}) for picture in stack]
    raws = [Raw(str(k), tensors={"x": picture}) for k, picture in enumerate(stack)]
    for given in (stack, {"x": stack}, str(place / name / "stack.npy"), raws):
        maps = service.activations(path, given, ["c:conv", "d:act"], device="cpu")
        for at, found in enumerate((maps["c:conv"], maps["d:act"])):
            np.testing.assert_allclose(found, np.concatenate([run[at] for run in expected]), atol=1e-5)
    np.testing.assert_array_equal(service.activations(path, stack[0], ["c:conv"], device="cpu")["c:conv"],
                                  service.activations(path, stack[:1], ["c:conv"], device="cpu")["c:conv"])  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_server_does_the_same(client: Client, place: Path, name: str) -> None:
    stack, pictures = np.load(place / name / "stack.npy"), str(place / name / "pictures")
    info = next(info for info in client.models() if info.name == name)
    assert info.inputs[0].shape == (1, *SHAPES[name])
    assert info.facts["without_batch_axis"] == f"x {SHAPES[name]}"
    for given in (stack[0], stack, [Raw("a", tensors={"x": stack[0]})], pictures, f"server:{name}/pictures"):
        found, twin = (client.audit(n, given, fidelity="exact", **WAYS) for n in (name, f"{name}_twin"))
        assert results(found) == results(twin)
    for given in (stack[0], stack, pictures):
        maps, twins = (client.activations(n, given, preprocess="unit") for n in (name, f"{name}_twin"))
        assert plain(maps) == plain(twins)


@pytest.mark.parametrize("name", SHAPES)
def test_the_command_line_does_the_same(
    place: Path, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, twin = (str(place / "models" / f"{n}.onnx") for n in (name, f"{name}_twin"))
    assert main(["describe", net, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["model"]
    assert told["without_batch_axis"] == f"x {SHAPES[name]}"
    assert told["inputs"][0]["shape"] == [1, *SHAPES[name]]
    assert main(["describe", net]) == 0
    assert "without_batch_axis" in capsys.readouterr().out
    for data in ("one.npy", "stack.npy", "pictures"):
        given = str(place / name / data)
        found = []
        for model_path in (net, twin):
            assert main(["audit", model_path, "-d", given, "-p", "unit", "--fidelity", "exact", "--json", "-"]) == 0
            found.append(json.loads(capsys.readouterr().out)["results"])
        assert found[0] == found[1]
    inputs = ["-i", str(place / name / "one.npy"), "-t", "*"]
    assert main(["activations", net, *inputs, "--out", str(tmp_path / "a.npz")]) == 0
    assert main(["activations", twin, *inputs, "--out", str(tmp_path / "b.npz")]) == 0
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert plain(dict(a)) == plain(dict(b))


def test_what_may_be_one_picture_is_refused_by_every_way_in(client: Client, place: Path, capsys) -> None:
    net, given = str(place / "models" / "unclear.onnx"), str(place / "chw" / "one.npy")
    for verb in (["audit", net, "-d", given], ["inspect", net, "-i", given],
                 ["activations", net, "-i", given, "-t", "*", "--out", "x.npz"]):  # fmt: skip
        assert main(verb) == 2
        assert "no batch for certain" in capsys.readouterr().err
    for call in (client.audit, client.inspect, client.activations):
        with pytest.raises(InputError, match="no batch for certain"):
            call("unclear", np.load(given))
    assert main(["inspect", net]) == 0, "its weights can be looked at"


def test_it_can_be_tried_in_a_child_process(place: Path) -> None:
    assert service.vet(place / "models" / "chw.onnx") == Trial(layers=2)
