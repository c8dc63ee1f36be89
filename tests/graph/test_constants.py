"""What does not depend on the input is evaluated, within limits; what does is not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from models import NEWEST, SAME, ZOO, W, model

from inspector import Array, Inapplicable
from inspector.errors import LimitError, ModelError
from inspector.graph import constants
from inspector.graph.load import load

C = f"[c] a = Conv {SAME} (x, k) y = Relu(a)"


def weight(body: str, opset: int, weights: dict[str, Array]) -> Array:
    """What the layer's weight evaluates to."""
    return load(model(f"{body} {C}", weights=weights, opset=opset, ir=4 if opset < 10 else 8)).filters("c").weight


OPSETS = (7, 9, 10, 11, 12, 13, 14, 18, 21, NEWEST)
ROW = np.arange(1, 5, dtype=np.float32).reshape(4, 1, 1, 1)
WAYS = [
    ("k = Identity(w)", {"w": W}, W),
    ("k = Reshape(w, s)", {"w": W.ravel(), "s": np.array([4, 3, 3, 3])}, W),
    ("k = Transpose <perm=[1,0,2,3]> (w)", {"w": W.transpose(1, 0, 2, 3).copy()}, W),
    ("k = Cast <to=1> (w)", {"w": W.astype(np.float64)}, W),
    ("k = Concat <axis=0> (p, q)", {"p": W[:1], "q": W[1:]}, W),
    ("k = Mul(w, r)", {"w": W, "r": ROW}, W * ROW),
    ("p = Add(w, r) m = Sub(p, r) k = Div(m, r)", {"w": W, "r": ROW}, (W + ROW - ROW) / ROW),
    (
        "p = Pow(r, s) q = Sqrt(p) n = Neg(q) b = Abs(n) k = Mul(w, b)",
        {"w": W, "r": ROW, "s": np.float32([2])},
        W * ROW,
    ),
]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(("body", "weights", "expected"), WAYS, ids=[body for body, _, _ in WAYS])
def test_weights_are_what_the_operators_above_them_give_in_every_opset(
    body: str, weights: dict[str, Array], expected: Array, opset: int
) -> None:
    np.testing.assert_array_equal(weight(body, opset, weights), expected)


@pytest.mark.parametrize("opset", OPSETS)
def test_operators_whose_form_changed_are_evaluated_in_the_form_of_the_opset(opset: int) -> None:
    """Axes moved from attributes to inputs, in 13 for some operators and in 18 for the others."""
    axis = "" if opset >= 13 else "<axes=[0]>"
    operand = ", zero" if opset >= 13 else ""
    zero = {"zero": np.array([0])} if opset >= 13 else {}
    squeezed = weight(f"u = Unsqueeze {axis} (w{operand}) k = Squeeze {axis} (u{operand})", opset, {"w": W} | zero)
    np.testing.assert_array_equal(squeezed, W)
    split = "axis=0" if opset < 18 else "axis=0, num_outputs=2"
    halves = {"w": np.concatenate([W, -W])}
    np.testing.assert_array_equal(weight(f"k, rest = Split <{split}> (w)", opset, halves), W)
    space = ("<axes=[1,2,3]>", "", {}) if opset < 18 else ("", ", d", {"d": np.array([1, 2, 3])})
    standardised = weight(f"m = ReduceMean {space[0]} (w{space[1]}) k = Sub(w, m)", opset, {"w": W} | space[2])
    np.testing.assert_allclose(standardised, W - W.mean((1, 2, 3), keepdims=True), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("opset", [10, 13, 17, 19, 21, NEWEST])
def test_dequantized_weights_follow_scale_times_difference(opset: int) -> None:
    q, zero = np.arange(108, dtype=np.uint8).reshape(4, 3, 3, 3), np.array(100, np.uint8)
    scale = np.array(0.25, np.float32)
    found = weight("k = DequantizeLinear(q, s, z)", opset, {"q": q, "s": scale, "z": zero})
    np.testing.assert_array_equal(found, (q.astype(np.float32) - 100) * 0.25)


def test_dequantization_per_channel_uses_its_axis() -> None:
    case = ZOO["weight_dequantized_13"]
    q = np.arange(108, dtype=np.float32).reshape(4, 3, 3, 3)
    scale, zero = np.linspace(0.01, 0.04, 4).astype(np.float32), np.array([50, 60, 70, 80], np.float32)
    expected = (q - zero.reshape(-1, 1, 1, 1)) * scale.reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(load(case.data).filters("c").weight, expected, rtol=1e-6)


def test_weights_that_are_computed_from_the_input_have_no_value() -> None:
    with pytest.raises(Inapplicable, match="computed while the model runs"):
        load(ZOO["weight_computed"].data).filters("c")


def test_random_and_custom_operators_are_no_constants() -> None:
    shaped = {"s": np.array([4, 3, 3, 3])}
    random = "r = ConstantOfShape(s) k = RandomNormalLike <dtype=1, seed=1.0> (r)"
    with pytest.raises(Inapplicable):
        weight(random, 17, shaped)
    custom = onnx.load_from_string(model(f"k = com.example.Identity(w) {C}", weights={"w": W}))
    custom.graph.value_info.extend(onnx.parser.parse_graph("g (float[4,3,3,3] k) => () {}").input)
    with pytest.raises(Inapplicable):
        load(custom.SerializeToString()).filters("c")


@pytest.mark.parametrize(
    ("body", "weights"),
    [
        ("k = ConstantOfShape(s)", {"s": np.array([1 << 20, 3, 1 << 10, 1 << 10])}),
        ("k = ConstantOfShape(s)", {"s": np.array([1 << 62, 1 << 62, 1 << 62, 1 << 62])}),
        ("k = Expand(p, s)", {"p": np.ones((1, 4096, 1, 1), np.float32), "s": np.array([4096, 1, 4096, 64])}),
        ("k = Mul(p, q)", {"p": np.ones((1 << 10, 1 << 10, 1, 1), np.float32),
                           "q": np.ones((1, 1, 1 << 10, 1), np.float32)}),
        (" ".join(f"k{i + 1} = Concat <axis=0> (k{i}, k{i})" for i in range(40)) + " k = Identity(k40)", {"k0": W}),
    ],
    ids=["shape", "overflow", "expand", "broadcast", "doubling"],
)  # fmt: skip
def test_a_constant_that_a_few_bytes_blow_up_is_refused_before_it_is_made(
    body: str, weights: dict[str, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "MAX_ELEMENTS", 1 << 24)
    made: list[int] = []
    evaluate = constants.run_node

    def watched(node: object, inputs: object) -> object:
        results = evaluate(node, inputs)
        made.extend(r.size for r in results or [])
        return results

    monkeypatch.setattr(constants, "run_node", watched)
    with pytest.raises(LimitError, match="computed constants are too large"):
        load(model(f"{body} {C}", weights=weights))
    assert sum(made) <= 1 << 24


def test_what_is_spent_on_all_constants_together_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "MAX_ELEMENTS", 250)
    two = f"k = Neg(w) {C.replace('y =', 'r =')} k2 = Neg(w) [d] e = Conv(x, k2) y = Add(r, e)"
    load(model(two, weights={"w": W}))
    three = two.replace("k2 = Neg(w)", "k1 = Abs(w) k2 = Neg(k1)")
    with pytest.raises(LimitError, match="at most 250 elements together, found 324"):
        load(model(three, weights={"w": W}))


@pytest.mark.parametrize(
    ("body", "weights"),
    [
        ("k = ConstantOfShape(s)", {"s": np.array([-1, 3, 3, 3])}),
        ("p = Add(q, r) k = Mul(p, w)", {"q": np.ones((3, 4), "f"), "r": np.ones((5, 6), "f"), "w": W}),
        ("k = Reshape(w, s)", {"w": W, "s": np.array([7, 7])}),
        ("k = Concat <axis=9> (w, w)", {"w": W}),
    ],
)
def test_constants_that_make_no_sense_are_a_fault_of_the_model(body: str, weights: dict[str, Array]) -> None:
    with pytest.raises(ModelError):
        load(model(f"{body} {C}", weights=weights))


def test_an_initializer_whose_bytes_do_not_fit_its_shape_is_a_fault_of_the_model() -> None:
    proto = onnx.load_from_string(model(C, weights={"k": W}))
    proto.graph.initializer[0].raw_data += b"abc"
    with pytest.raises(ModelError, match=r"tensor 'k'.*differ in size; expected 432 bytes.*found 435"):
        load(proto.SerializeToString())


@pytest.mark.parametrize("opset", OPSETS)
def test_a_normalisation_of_weights_goes_by_the_statistics_that_it_is_given(opset: int) -> None:
    """The reference implementation mixes others in, for opsets before 14."""
    three = np.array([1, 2, 4], np.float32)
    given = {"w": W, "g": three, "b": three - 2, "m": three / 8, "v": three**2}
    found = weight("k = BatchNormalization <epsilon=0.5> (w, g, b, m, v)", opset, given)
    g, b, m, v = (given[name].astype(np.float64).reshape(3, 1, 1) for name in "gbmv")
    np.testing.assert_allclose(found, g * (W - m) / np.sqrt(v + 0.5) + b, rtol=1e-6, atol=1e-6)


def test_a_normalisation_by_element_or_in_training_before_opset_14_is_no_constant() -> None:
    given = {"w": W, "g": np.ones(3, np.float32)}
    for node in ("k = BatchNormalization <spatial=0>", "k, p, q, r, s = BatchNormalization"):
        with pytest.raises(Inapplicable):
            weight(f"{node} (w, g, g, g, g)", 7, given)


def test_half_precision_is_quantized_as_a_runtime_does_it() -> None:
    """A quotient in float32, not one that was rounded to float16 before it is rounded to an integer."""
    halves = (np.random.default_rng(0).normal(size=W.shape) * 9).astype(np.float16)
    scale = np.array(0.3, np.float16)
    body = "q = QuantizeLinear(w, s, z) d = DequantizeLinear(q, s, z) k = Cast <to=1> (d)"
    found = weight(body, 19, {"w": halves, "s": scale, "z": np.array(0, np.int8)})
    steps = np.rint(halves.astype(np.float32) / np.float32(scale))
    np.testing.assert_array_equal(found, (steps.astype(np.float16) * scale).astype(np.float32))


def test_a_standardised_weight_is_evaluated_as_the_exporters_write_it() -> None:
    """Weight standardisation: every filter has mean 0 and variance 1, by a BatchNormalization in training mode."""
    filters = len(W)
    given = {
        "w": W, "flat": np.array([1, filters, -1]), "back": np.array(W.shape),
        "one": np.ones(filters, np.float32), "zero": np.zeros(filters, np.float32),
    }  # fmt: skip
    found = weight(
        "f = Reshape(w, flat) n, m, v = BatchNormalization <training_mode=1> (f, one, zero, zero, one) "
        "k = Reshape(n, back)",
        17,
        given,
    )
    rows = W.reshape(filters, -1).astype(np.float64)
    expected = (rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(found, expected.reshape(W.shape), rtol=1e-5, atol=1e-6)
