"""What is called by a name computes what the name says: whole maps against the definition, zeros counted."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from decomposed import DECOMPOSED, OPERATORS, PIECES, Written
from models import SAME, W, model
from onnx.reference import ReferenceEvaluator

from inspector import Array, Layer, TapKind, Zeros
from inspector.graph import walk
from inspector.graph.activations import closed_forms, curves
from inspector.graph.activations.grids import BASE
from inspector.graph.load import load


def softplus(x: Array) -> Array:
    """The logarithm of 1 + exp(x)."""
    return np.log1p(np.exp(x))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))


TWINS: dict[str, Callable[[Array], Array]] = {
    "Relu": lambda x: np.where(x > 0, x, 0),
    "Clip(0,6)": lambda x: np.where(x > 6, 6, np.where(x > 0, x, 0)),
    "Sigmoid": sigmoid,
    "SiLU": lambda x: x * sigmoid(x),
    "QuickGELU": lambda x: x * sigmoid(1.702 * x),
    "GELU": np.vectorize(lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2),
    "GELU(tanh)": lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "HardSwish": lambda x: np.where(x > 3, x, np.where(x > -3, x * (x + 3) / 6, 0)),
    "Softplus": softplus,
    "LogSigmoid": lambda x: np.log(sigmoid(x)),
    "Mish": lambda x: x * np.tanh(softplus(x)),
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * (np.exp(x) - 1)),
}
"""By definition, in float64."""


def run(written: Written, scale: float = 4.0) -> tuple[Array, Array]:
    """The values before and after the activation, by the ONNX reference implementation."""
    proto = onnx.load_from_string(written.data)
    proto.graph.output.add(name="a")
    x = scale * np.random.default_rng(3).normal(size=(3, 3, 6, 5)).astype(np.float32)
    y, a = ReferenceEvaluator(proto).run(None, {"x": x})
    return np.asarray(a, np.float64), np.asarray(y, np.float64)


CERTAIN = [w for w in OPERATORS + DECOMPOSED + PIECES if w.name != "clip_computed"]
"""Without a bound that depends on what is fed, and may be 0."""
NAMED = [w for w in OPERATORS + DECOMPOSED + PIECES if w.activation in TWINS]


@pytest.mark.parametrize("written", NAMED, ids=lambda w: w.name)
def test_a_name_is_given_to_what_computes_that_function(written: Written) -> None:
    before, after = run(written)
    expected = TWINS[written.activation](before)
    # float32 of a few operations; GELU and Mish lose digits where 1 - 1 remains
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("written", CERTAIN, ids=lambda w: w.name)
def test_zeros_are_exact_where_some_units_in_a_hundred_are_exactly_off_and_nowhere_else(written: Written) -> None:
    before, after = run(written)
    off = np.mean(after[np.abs(before) < 4] == 0)
    assert (off > 0.01) == (written.zeros is Zeros.EXACT), off
    twin = TWINS.get(written.activation)
    if twin and written.zeros is Zeros.EXACT:
        assert np.count_nonzero(after == 0) == np.count_nonzero(twin(before) == 0)


def layer_of(nodes: str, **weights: Array) -> Layer:
    """The one layer of a net: a convolution into `a`, and these nodes."""
    text = f"[c] a = Conv {SAME} (x, w) {nodes}"
    return load(model(text, weights={"w": W, **weights})).layers[0]


@pytest.mark.parametrize(
    ("nodes", "tensor", "bypassed"),
    [
        ("r = Relu(a) m = MaxPool <kernel_shape=[1,1]> (a) y = Add(r, m)", "r", True),
        ("r = Relu(a) e = Conv <pads=[1,1,1,1]> (x, w) d = Add(e, a) y = Concat <axis=1> (r, d)", "r", True),
        (
            "s = Sigmoid(a) r = Mul(a, s) e = Conv <pads=[1,1,1,1]> (x, w) d = Add(e, a) y = Concat <axis=1> (r, d)",
            "r",
            True,
        ),
        ("r = Relu(a) y = Identity(r)", "r", False),
        ("y = Relu(a) t = Shape(a)", "y", False),
    ],
)
def test_an_activation_counts_also_where_something_else_reads_the_linear_value(
    nodes: str, tensor: str, bypassed: bool
) -> None:
    layer = layer_of(nodes)
    tap = layer.taps[TapKind.ACT]
    assert (tap.tensor, tap.bypassed, tap.shared, layer.linear) == (tensor, bypassed, False, "")


def test_arithmetic_on_the_value_alone_that_has_no_name_is_no_activation_whatever_is_in_it() -> None:
    assert layer_of("r = Relu(a) y = Add(r, a)").linear == "feeds Relu, Add"
    assert layer_of("t = Tanh(a) y = Sub(a, t)").linear == "feeds Tanh, Sub"


def test_an_output_of_the_model_is_a_reader_of_its_own() -> None:
    outputs = "float[N,C,H,W] y, float[N,C,H,W] r"
    data = model(f"[c] y = Conv {SAME} (x, w) r = Relu(y)", outputs=outputs, weights={"w": W})
    tap = load(data).layers[0].taps[TapKind.ACT]
    assert (tap.tensor, tap.bypassed) == ("r", True)


def test_a_residual_sum_that_goes_on_beside_the_activation_leaves_the_layer_linear() -> None:
    body = f"p = Conv {SAME} (x, w) s = Add(a, p) r = Relu(s) e = Conv {SAME} (x, w) d = Add(s, e)"
    body += " y = Concat <axis=1> (r, d)"
    assert layer_of(body).linear == "feeds Relu, Add"


@pytest.mark.parametrize(
    "spread",
    [
        "z = Expand(zero, eight)",  # more inputs than there were
        "d = Shape(a) f = Mul(d, doubled) z = Expand(zero, f)",
        "d = Shape(a) z = Expand(slope, d)",  # another number for each channel
        "m = ReduceMean <keepdims=0> (x) d = Shape(a) z = Expand(m, d)",
    ],
)
def test_what_is_expanded_to_another_shape_or_is_no_one_number_is_an_array(spread: str) -> None:
    several = np.float32([1, 2, 3, 4]).reshape(4, 1, 1)
    weights = {"w": W, "zero": np.array(0, np.float32), "slope": several, "eight": np.array([8, 4, 6, 5]),
               "doubled": np.array([2, 1, 1, 1])}  # fmt: skip
    body = f"[c] a = Conv {SAME} (x, w) {spread} g = Greater(a, z) y = Where(g, a, z)"
    (layer,) = load(model(body, inputs="float[1,3,6,5] x", weights=weights)).layers
    assert layer.activation is None


def test_no_more_arithmetic_is_evaluated_than_a_model_may_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "_MAX_EVALUATIONS", 2)
    slopes = {f"s{k}": np.float32(0.1 + k / 100) for k in range(3)}
    nodes = " ".join(f"c{k} = Conv {SAME} (x, w) m{k} = Mul(c{k}, s{k}) r{k} = Max(c{k}, m{k})" for k in range(3))
    view = load(model(f"{nodes} y = Sum(r0, r1, r2)", weights={"w": W, **{k: np.array(v) for k, v in slopes.items()}}))
    assert [layer.activation for layer in view.layers] == ["LeakyRelu", None, None]
    assert view.layers[1].linear == "feeds Mul, Max"


def test_a_function_with_a_leak_however_small_is_not_taken_for_one_with_zeros() -> None:
    x = BASE.x

    def name(values: Array) -> str | None:
        form = closed_forms.form(BASE, values)
        return None if form is None else form.name

    assert name(np.maximum(x, 0)) == "Relu"
    assert name(np.where(x > 0, x, 1e-12 * x)) == "LeakyRelu"
    assert name(np.clip(x, 0, 5000)) == "Clip(0,5000)"
    for values in (x, 2 * x + 1, 0 * x, np.abs(x), 1.1 * np.maximum(x, 0), np.maximum(x - 0.2, 0)):
        assert name(values) is None


@pytest.mark.parametrize(
    ("body", "name", "zeros"),
    [
        ("h = Add(a, five) e = Clip(h, zero, ten) y = Div(e, ten)", "HardSigmoid", Zeros.EXACT),
        ("g = Greater(a, minus) y = Where(g, a, zero)", "ThresholdedRelu", Zeros.EXACT),
        ("h = Neg(a) e = Add(h, some) y = HardSigmoid <alpha=0.16666667> (e)", "HardSigmoid", Zeros.EXACT),
        ("s = Sigmoid(a) y = Mul(a, s)", "SiLU", Zeros.NOT_MEANINGFUL),
        ("d = Div(a, root) e = Erf(d) f = Add(e, one) m = Mul(a, f) y = Mul(m, half)", "GELU", Zeros.NOT_MEANINGFUL),
    ],
)  # fmt: skip
def test_zeros_count_wherever_the_function_is_cut_and_not_where_it_fades_away(
    body: str, name: str, zeros: Zeros
) -> None:
    numbers = {"five": 5, "zero": 0, "ten": 10, "minus": -5, "some": 2.5, "root": math.sqrt(2), "one": 1, "half": 0.5}
    weights = {key: np.array(value, np.float32) for key, value in numbers.items()}
    view = load(model(f"[c] a = Conv {SAME} (x, w) {body}", weights={"w": W, **weights}))
    (tap,) = view.taps()
    assert (tap.activation, tap.zeros) == (name, zeros)


def test_what_follows_a_residual_sum_is_walked_once_for_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    consumers = walk.consumers

    def watched(value: ir.Value) -> list[ir.Node]:
        asked.append(str(value.name))
        return consumers(value)

    monkeypatch.setattr(walk, "consumers", watched)
    convs = " ".join(f"c{k} = Conv {SAME} (x, w)" for k in range(20))
    view = load(model(f"{convs} s = Sum({', '.join(f'c{k}' for k in range(20))}) y = Relu(s)", weights={"w": W}))
    assert [layer.activation for layer in view.layers] == ["Relu"] * 20
    assert asked.count("s") < 20
