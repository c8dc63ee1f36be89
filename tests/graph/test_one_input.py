"""Models of one picture without a batch axis are read as the same network with one; others are left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from models import RUNS, SAME, W, model, numbers
from PIL import Image

from inspector import Array, Report, Table, service
from inspector.graph.load import load

REST = (
    f"[c] a = Conv {SAME} (s, w) r = Relu(a) p = MaxPool <kernel_shape=[2,2], strides=[2,2]> (r) "
    f"[d] e = Conv {SAME} (p, v) y = Relu(e)"
)
WEIGHTS = {"w": W, "v": numbers(4, 4, 3, 3)}
FRONT = np.array([0])
X = np.random.default_rng(0).normal(size=(4, 3, 6, 8)).astype(np.float32)


def net(front: str, inputs: str, opset: int = 17, **weights: Array) -> bytes:
    return model(f"{front} {REST}", inputs=inputs, opset=opset, weights=WEIGHTS | weights)


TWIN = net("s = Identity(x)", "float[1,3,6,8] x")
FRONTS = {
    "unsqueezed": ("s = Unsqueeze (x, f)", "float[3,6,8] x", (0, 1, 2), {"f": FRONT}),
    "reshaped": ("s = Reshape (x, f)", "float[3,6,8] x", (0, 1, 2), {"f": np.array([1, 3, 6, 8])}),
    "normalised first": ("m = Mul(x, o) s = Unsqueeze (m, f)", "float[3,6,8] x", (0, 1, 2),
                         {"f": FRONT, "o": np.array(1, np.float32)}),
    "channels last": ("t = Transpose <perm=[2,0,1]> (x) s = Unsqueeze (t, f)", "float[6,8,3] x", (1, 2, 0),
                      {"f": FRONT}),
    "of any size": ("t = Transpose <perm=[2,0,1]> (x) s = Unsqueeze (t, f)", "float[H,K,3] x", (1, 2, 0),
                    {"f": FRONT}),
    "with names that would be taken": ('"x~2" = Neg(x) "x~3" = Neg("x~2") s = Unsqueeze ("x~3", f)',
                                       "float[3,6,8] x", (0, 1, 2), {"f": FRONT}),
}  # fmt: skip


def nets(name: str, opset: int = 17) -> tuple[bytes, Array]:
    """The network, and inputs as it takes them."""
    front, inputs, axes, weights = FRONTS[name]
    return net(front, inputs, opset, **weights), X.transpose(0, *(axis + 1 for axis in axes))


def tables(report: Report) -> list[tuple[object, ...]]:
    assert report.results[0].failure is None
    return [row for block in report.results[0].blocks if isinstance(block, Table) for row in block.rows]


@pytest.mark.parametrize("name", FRONTS)
def test_rows_and_maps_are_those_of_the_network_with_a_batch_axis(name: str) -> None:
    data, x = nets(name)
    expected = service.audit(TWIN, X, ["sparsity"], fidelity="exact", batch_size=1)
    report = service.audit(data, x, ["sparsity"], fidelity="exact")
    assert tables(report) == tables(expected)
    assert (report.provenance.inputs, report.provenance.batch) == (4, 1)
    assert any("has no batch axis, so every input runs alone" in note for note in report.provenance.notes)
    assert not any("made free" in note or "as it is" in note for note in report.provenance.notes)
    maps, twins = service.activations(data, x, ["*:conv", "*"]), service.activations(TWIN, X, ["*:conv", "*"])
    for tap, array in maps.items():
        np.testing.assert_array_equal(array, twins[tap])


@pytest.mark.parametrize("name", FRONTS)
def test_maps_are_those_that_onnxruntime_gives_of_the_file(name: str) -> None:
    data, x = nets(name)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    expected = [session.run(["y"], {"x": one})[0][0] for one in x]
    np.testing.assert_allclose(service.activations(data, x, ["d"])["d:act"], expected, rtol=1e-5, atol=1e-5)
    alone = service.activations(data, x[2], ["d"])["d:act"]
    np.testing.assert_allclose(alone, expected[2][None], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("opset", [11, 13])
def test_squeeze_is_written_as_the_opset_of_the_file_has_it(opset: int) -> None:
    front = "s = Unsqueeze <axes=[0]> (x)" if opset == 11 else "s = Unsqueeze (x, f)"
    data = net(front, "float[3,6,8] x", opset, **({} if opset == 11 else {"f": FRONT}))
    maps = service.activations(data, X, ["*:conv", "*"])
    for tap, twins in service.activations(TWIN, X, ["*:conv", "*"]).items():
        np.testing.assert_array_equal(maps[tap], twins)


@pytest.mark.parametrize("name", [name for name in FRONTS if name != "of any size"])
def test_what_is_read_from_the_graph_is_that_of_the_network_with_a_batch_axis(name: str) -> None:
    view, twin = load(nets(name)[0]), load(TWIN)
    assert view.takes_one
    assert view.facts["batch_axis"] == "none in the file"
    assert [layer.name for layer in view.layers] == [layer.name for layer in twin.layers]
    for layer in ("c", "d"):
        ours, theirs = view.receptive_fields(layer)["x"], twin.receptive_fields(layer)["x"]
        assert (ours.size, ours.stride, ours.offset) == (theirs.size, theirs.stride, theirs.offset)
        assert view.cost(layer) == twin.cost(layer)
        assert view.input_range(layer) == twin.input_range(layer)


@pytest.mark.parametrize("name", [*RUNS])
def test_models_that_have_a_batch_axis_are_left_alone(name: str) -> None:
    assert not load(RUNS[name].data).takes_one


UNSURE = {
    "sequences that share a run": ("s = Unsqueeze (x, f)", "float[N,6,8] x", {"f": np.array([1])}),
    "a first axis of one": ("s = Unsqueeze (x, f)", "float[1,6,8] x", {"f": np.array([1])}),
    "a batch that is baked in": ("s = Reshape (x, f)", "float[N,6,8] x", {"f": np.array([1, 1, 6, 8])}),
    "maps whose shape is not known": (
        """u = Unsqueeze (x, f) m = ReduceMax <keepdims=0> (x) b = Cast <to=9> (m) s = If (b) <
        then_branch = one () => (float[1,1,6,8] q) { q = Identity (u) },
        else_branch = two () => (float[1,1,6,8] q) { q = Unsqueeze (x, f) }>""",
        "float[6,8] x",
        {"f": np.array([0, 1])},
    ),
    "images that are joined": ("m = ReduceMean <axes=[0], keepdims=1> (x) s = Identity(m)", "float[4,1,6,8] x", {}),
}


@pytest.mark.parametrize("name", UNSURE)
def test_what_is_not_certain_is_left_alone(name: str) -> None:
    front, inputs, weights = UNSURE[name]
    rest = f"[c] a = Conv {SAME} (s, k) y = Relu(a)"
    view = load(model(f"{front} {rest}", inputs=inputs, weights={"k": W[:, :1], **weights}))
    assert not view.takes_one
    assert view.inputs[0].shape is not None
    assert len(view.inputs[0].shape) == inputs.count(",") + 1


def test_pictures_feed_a_model_with_channels_last(tmp_path: Path) -> None:
    data, _ = nets("channels last")
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    report = service.audit(data, tmp_path, ["sparsity"], preprocess="unit", fidelity="exact")
    expected = service.audit(TWIN, tmp_path, ["sparsity"], preprocess="unit", fidelity="exact", batch_size=1)
    assert tables(report) == tables(expected)
