"""Sizes for which libraries end the process: these tests end with it where they are not kept from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from models import SAME, W, model, numbers
from models_branches import BRANCHED

from inspector import Raw, service
from inspector.errors import InputError, RunError
from inspector.graph.instrument import instrument
from inspector.graph.load import load
from inspector.graph.shapes import infer_message, types

WEIGHTS = {
    "w": W, "v": numbers(4, 4, 3, 3), "first": np.array([1]), "last": np.array([2**31]), "axis": np.array([3]),
    "scale": np.ones(4, np.float32), "bias": np.zeros(4, np.float32), "none": np.array([0]),
}  # fmt: skip
SLICED = "[c] a = Conv (x, w) b = Conv (a, v) s = Slice(b, first, last, axis) y = Relu(s)"
"""Of sides below 4, sizes fall below 0 before the Slice; of 5, nothing is left after it."""
TURNED = (
    "[c] a = Conv (x, w) r = Relu(a) s = Slice(r, first, last, axis) p = Slice(s, first, last, axis) "
    "[d] e = ConvTranspose (p, v) y = Relu(e)"
)
"""Of a width of 4, nothing is left to be spread."""
NORMALISED = (
    f"[c] a = Conv {SAME} (x, w) r = Relu(a) s = Slice(r, first, last, axis) p = Slice(s, first, last, axis) "
    "[n] n = InstanceNormalization(p, scale, bias) [d] e = Conv <kernel_shape=[1,1]> (n, one) y = Relu(e)"
)
"""Of a width of 2, nothing is left to be normalised."""


def net(body: str, inputs: str = "float[N,3,H,W] x") -> bytes:
    return model(body, inputs=inputs, weights={**WEIGHTS, "one": numbers(4, 4, 1, 1)})


def pictures(sides: Sequence[int]) -> list[Raw]:
    return [
        Raw(f"{i}: {side}", tensors={"x": np.random.default_rng(i).normal(size=(3, side, side)).astype(np.float32)})
        for i, side in enumerate(sides)
    ]


@pytest.mark.parametrize("batch", [0, 1, 2])
@pytest.mark.parametrize("body", [SLICED, NORMALISED, TURNED])
def test_inputs_of_such_sizes_are_skipped_and_the_others_have_their_numbers(body: str, batch: int) -> None:
    bad = {SLICED: (2, 3), NORMALISED: (2, 1), TURNED: (4, 3)}[body]
    sides = [bad[0], 9, 9, bad[1], bad[0], 12, 9]
    data = pictures(sides)
    good = [raw for raw, side in zip(data, sides, strict=True) if side not in bad]
    report, expected = (service.audit(net(body), some, ["sparsity"], batch_size=batch) for some in (data, good))
    assert report.skipped_count == 3
    assert report.provenance.data_sha256 == expected.provenance.data_sha256
    assert [str(b) for r in report.results for b in r.blocks] == [str(b) for r in expected.results for b in r.blocks]
    if body is NORMALISED:
        assert "found InstanceNormalization 'n' of a map without elements, which ends onnxruntime's process" in (
            report.skipped[0].reason
        )


@pytest.mark.parametrize(("body", "side"), [(SLICED, 2), (NORMALISED, 2)])
def test_so_they_are_where_whole_maps_are_asked_for(body: str, side: int) -> None:
    with pytest.raises(InputError, match=f"input '0: {side}': it cannot be used: the model cannot run it"):
        service.activations(net(body), pictures([side]), ["*"])
    report = service.inspect(net(body), pictures([side, 9]), ["activations", "sparsity"])
    assert (report.provenance.inputs, report.skipped_count) == (1, 1)


@pytest.mark.parametrize(
    ("body", "inputs", "what"),
    [
        (SLICED, "float[N,3,2,2] x", "Slice 's' of a map whose size falls below 0"),
        (NORMALISED, "float[N,3,2,2] x", "InstanceNormalization 'n' of a map without elements"),
    ],
)
def test_a_model_of_such_a_size_is_shown_and_not_run(body: str, inputs: str, what: str) -> None:
    data = net(body, inputs)
    assert load(data).layers[0].name == "c"
    with pytest.raises(RunError, match=what):
        service.audit(data, np.ones((2, 3, 2, 2), np.float32), ["sparsity"])


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_an_input_that_leaves_nothing_to_be_measured_is_skipped(batch: int) -> None:
    sides = [5, 9, 5, 9, 7]
    body = (
        "[c] a = Conv (x, w) s = Slice(a, first, last, axis) p = Slice(s, first, last, axis) "
        "q = Slice(p, first, last, axis) y = Relu(q)"
    )
    report = service.audit(net(body), pictures(sides), ["sparsity"], batch_size=batch)
    assert [skipped.id for skipped in report.skipped] == ["0: 5", "2: 5"]
    assert "nothing can be measured at tap 'c:act'; found a map without positions" in report.skipped[0].reason
    fixed = service.audit(net(body, "float[2,3,H,W] x"), pictures([2, 5, *sides]), ["sparsity"], batch_size=batch)
    assert [skipped.id for skipped in fixed.skipped] == ["0: 2", "1: 5", "2: 5", "4: 5"]


BRANCH = """[c] a = Conv <pads=[1,1,1,1]> (x, w) q = ReduceMax <keepdims=0> (a) o = Greater(q, null)
    y = If (o) <
        then_branch = yes () => (float[n,k,h,v] p) { [t] b = Conv (a, u) p = Slice(b, first, last, axis) },
        else_branch = no () => (float[n,k,h,v] z) { z = Relu(a) }
    >"""


def test_what_is_never_run_is_no_peril() -> None:
    weights = {**WEIGHTS, "u": numbers(4, 4, 5, 5), "null": np.float32(1e9)}
    data = model(BRANCH, inputs="float[N,3,H,W] x", outputs="float[a,b,h,w] y", weights=weights)
    assert service.audit(data, pictures([2, 9]), ["sparsity"]).provenance.inputs == 2


@pytest.mark.parametrize("opset", [9, 10, 11, 13])
def test_a_batch_that_is_cut_is_not_taken_for_the_whole_one(opset: int) -> None:
    """Of opset 10 onnx infers that nothing was cut, and rows of one and of four inputs were to leave side by side."""
    given = "<starts=[0], ends=[1], axes=[0]> (r)" if opset < 10 else "(r, from, to, batch)"
    cuts = {} if opset < 10 else {"from": np.array([0]), "to": np.array([1]), "batch": np.array([0])}
    data = model(
        f"[c] a = Conv (x, w) r = Relu(a) s = Slice {given} [d] e = Conv (s, v) y = Relu(e)",
        inputs="float[N,3,H,W] x", weights={"w": W, "v": numbers(2, 4, 1, 1), **cuts}, opset=opset,
    )  # fmt: skip
    report = service.audit(data, numbers(4, 3, 6, 5), ["sparsity"])
    assert report.provenance.inputs == 4
    assert any("ran alone" in note for note in report.provenance.notes)


@pytest.mark.parametrize(
    ("kernel", "size", "told"),
    [([1, 3, 3], 1, True), ([1, 3, 3], 3, False), (None, 1, True), ([3, 3], 1, False), ([3], 1, False)],
)
def test_volumes_without_elements_are_not_spread(kernel: list[int] | None, size: int, told: bool) -> None:
    """Of flat maps onnxruntime gives an error, or nothing of nothing: there nothing is asked beforehand."""
    axes = len(kernel or [1, 3, 3])
    shape = "" if kernel is None else f"<kernel_shape={kernel}>"
    dims = ",".join("DHW"[3 - axes :])
    data = model(
        f"[c] a = Conv (x, w) s = Slice(a, first, last, axis) [d] e = ConvTranspose {shape} (s, v) y = Relu(e)",
        inputs=f"float[N,3,{dims}] x", outputs="float y",
        weights={**WEIGHTS, "w": numbers(4, 3, *[1] * axes), "v": numbers(4, 2, *(kernel or [1, 3, 3])),
                 "axis": np.array([2])},
    )  # fmt: skip
    watched = instrument(load(data), (), keep_outputs=True)
    assert watched.perilous is (axes == 3)
    if watched.perilous:
        assert bool(watched.peril({"x": (3, *[size] * axes)})) is told


SHAPED = (
    "t = Shape(x) u = Slice(t, first, last) v = Concat <axis=0> (none, u) z = Reshape(x, v) "
    "s = Slice(z, first, last, axis) [c] a = Conv (s, w) y = Relu(a)"
)


@pytest.mark.parametrize(
    "data", [net(SLICED, "float[2,3,9,9] x"), net(SLICED), net(SHAPED, "float[2,3,9,9] x"), *BRANCHED.values()]
)
def test_what_is_inferred_is_what_onnx_infers_elsewhere(data: bytes) -> None:
    message = onnx.load_from_string(getattr(data, "data", data))
    before = message.SerializeToString()
    plain = onnx.shape_inference.infer_shapes(message, check_type=False, strict_mode=False, data_prop=True)
    assert types(infer_message(message).graph) == types(plain.graph)
    assert message.SerializeToString() == before
