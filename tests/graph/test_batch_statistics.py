"""A BatchNormalization that trains gives what the standard says, and nothing that it computes changes a later run."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from models import NEWEST, SAME, W, model
from onnx.reference import ReferenceEvaluator

from inspector import Array, Value, service
from inspector.contract.measures import TAPPED
from inspector.control import Stop
from inspector.graph.instrument import Request, instrument
from inspector.graph.load import load
from inspector.runtime.session import open_session

MIN, MAX = Value("min", "rows", (TAPPED,)), Value("max", "rows", (TAPPED,))
ONE, ZERO = np.ones(4, np.float32), np.zeros(4, np.float32)
NODE = "n, mm, vv = BatchNormalization <training_mode=1, epsilon=0.01, momentum=0.75> (a, g, h, m, v)"
BODY = f"[c] a = Conv {SAME} (x, w) {NODE} y = Relu(n)"
SCALE = np.array([1, -2, 0.5, 3], np.float32)
PLAIN = {"w": W, "g": ONE, "h": ZERO, "m": ZERO + 0, "v": ONE + 0}
"""Averages that are equal to other weights, and to what the inspector itself writes into a graph."""
OTHER = {"w": W, "g": SCALE, "h": SCALE - 1, "m": SCALE + 2, "v": SCALE**2}


def pictures(count: int = 6) -> Array:
    x = np.random.default_rng(0).normal(size=(count, 3, 6, 5)) * np.arange(1, count + 1).reshape(-1, 1, 1, 1)
    return x.astype(np.float32)


def by_definition(a: Array, weights: dict[str, Array]) -> Array:
    """Of one input: (C, H, W) in float64."""
    a = a.astype(np.float64)
    mean, variance = a.mean((1, 2), keepdims=True), a.var((1, 2), keepdims=True)
    scale, shift = (weights[k].astype(np.float64).reshape(-1, 1, 1) for k in "gh")
    return np.maximum((a - mean) / np.sqrt(variance + 0.01) * scale + shift, 0)


def maps(data: bytes, x: Array, fidelity: str, tensor: str = "y") -> Array:
    """The output `y` of every input run by itself, one after the other, while `tensor` is watched."""
    made = instrument(load(data), [Request(tensor, MIN), Request(tensor, MAX)], keep_outputs=True)
    with open_session(
        made.model, weights=made.weights, device="cpu", fidelity=fidelity, stop=Stop(), optimised=None
    ) as session:  # type: ignore[arg-type]
        outputs = [session.run({"x": one[None]}) for one in x]
    found = [made.own_of(o)[0][0] for o in outputs]
    for own, rows in zip(found, map(made.rows, outputs), strict=True):
        low, high = (rows[Request(tensor, measure)][0] for measure in (MIN, MAX))
        if tensor == "y":
            np.testing.assert_array_equal(low, own.min((1, 2)))
            np.testing.assert_array_equal(high, own.max((1, 2)))
    return np.stack(found)


@pytest.mark.parametrize("fidelity", ["exact", "fast"])
@pytest.mark.parametrize("opset", [14, 15, 17, 18, NEWEST])
@pytest.mark.parametrize("weights", [PLAIN, OTHER], ids=["plain", "other"])
def test_every_input_is_normalised_by_its_own_statistics_whatever_ran_before(
    weights: dict[str, Array], opset: int, fidelity: str
) -> None:
    data, x = model(BODY, weights=weights, opset=opset), pictures()
    found = maps(data, x, fidelity)
    raw = maps(model(f"[c] y = Conv {SAME} (x, w)", weights={"w": W}), x, "exact")
    np.testing.assert_allclose(found, [by_definition(a, weights) for a in raw], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found, maps(data, x[::-1], fidelity)[::-1])


@pytest.mark.parametrize("fidelity", ["exact", "fast"])
@pytest.mark.parametrize("weights", [PLAIN, OTHER], ids=["plain", "other"])
def test_what_is_reported_does_not_depend_on_the_order_of_inputs(weights: dict[str, Array], fidelity: str) -> None:
    data, x = model(BODY, weights=weights), pictures()
    reports = [
        service.audit(data, some, ["sparsity"], fidelity=fidelity, batch_size=1)  # type: ignore[arg-type]
        for some in (x, x[::-1])
    ]
    found = [{m.name: np.asarray(m.values).tolist() for m in r.results[0].metrics} for r in reports]
    np.testing.assert_allclose(found[0]["channel_peak"], maps(data, x, fidelity).max((0, 2, 3)), rtol=1e-6)
    assert found[0]["channel_peak"] == found[1]["channel_peak"]
    assert all(r.provenance.check is not None and r.provenance.check.passed for r in reports)


def test_one_weight_that_is_average_and_shift_at_once_is_only_read() -> None:
    body = BODY.replace("(a, g, h, m, v)", "(a, g, h, h, g)")
    data, x = model(body, weights={"w": W, "g": ONE, "h": ZERO}), pictures()
    expected = maps(model(BODY, weights=PLAIN), x, "exact")
    for fidelity in ("exact", "fast"):
        np.testing.assert_allclose(maps(data, x, fidelity), expected, rtol=1e-5, atol=1e-6)


def test_running_averages_that_are_given_out_are_those_of_the_standard() -> None:
    outputs = "float[N,C,H,W] y, float[C] mm, float[C] vv"
    data, x = model(BODY, outputs=outputs, weights=OTHER), pictures(1)
    written = instrument(load(data), (), keep_outputs=True)
    message = onnx.load_from_string(written.model)
    expected = ReferenceEvaluator(onnx.load_from_string(data)).run(None, {"x": x})
    for tensor in message.graph.initializer:
        if tensor.name in written.weights:
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
            tensor.raw_data = written.weights[tensor.name].tobytes()
    found = ReferenceEvaluator(message).run(None, {"x": x})
    assert [v.name for v in message.graph.output] == ["y", "mm", "vv"]
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
    assert not any(a.name == "training_mode" for node in message.graph.node for a in node.attribute)


def test_of_16_bits_the_statistics_are_those_of_32() -> None:
    weights = {k: v.astype(np.float16) for k, v in OTHER.items()}
    data = model(BODY, weights=weights, inputs="float16[N,3,6,5] x", outputs="float16[N,C,H,W] y")
    x = pictures(3).astype(np.float16) * np.float16(100)  # squares are beyond float16
    found = maps(data, x, "exact").astype(np.float64)
    expected = maps(model(BODY, weights=OTHER), x.astype(np.float32), "exact")
    np.testing.assert_allclose(found, expected, rtol=2e-2, atol=2e-2)


def test_in_the_body_of_an_if_too() -> None:
    text = (
        f"s = ReduceSum <keepdims=0> (x) q = Greater(s, z) a = Conv {SAME} (x, w) "
        f"b = If (q) <then_branch = one () => (float[N,4,6,5] n) {{ {NODE} }}, "
        "else_branch = two () => (float[N,4,6,5] e) { e = Neg(a) }> [c] y = Conv(b, u)"
    )
    weights = OTHER | {"z": np.array(-1e9, np.float32), "u": np.ones((1, 4, 1, 1), np.float32)}
    data, x = model(text, weights=weights, outputs="float[N,C,H,W] y"), pictures()
    first = maps(data, x, "fast")
    np.testing.assert_array_equal(first, maps(data, x[::-1], "fast")[::-1])


def test_one_that_does_not_train_is_left_as_it_is() -> None:
    data = model(BODY.replace("n, mm, vv", "n").replace("training_mode=1", "training_mode=0"), weights=OTHER)
    message = onnx.load_from_string(instrument(load(data), (), keep_outputs=True).model)
    assert [node.op_type for node in message.graph.node] == ["Conv", "BatchNormalization", "Relu"]
