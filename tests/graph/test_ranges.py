"""Bounds that hold whatever is fed: never broken, and not thrown away where they are known."""

from __future__ import annotations

import math

import numpy as np
import onnxruntime
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from models import W, model, numbers

from inspector import Array
from inspector.graph.load import load

INF = math.inf
UNARY = (
    "Relu({a})", "Sigmoid({a})", "HardSigmoid({a})", "Tanh({a})", "Softsign({a})", "Softplus({a})", "Abs({a})",
    "Sqrt({a})", "Exp({a})", "Identity({a})", "Neg({a})", "LeakyRelu({a})", "Softmax({a})", "Clip({a}, zero, two)",
    "Clip({a}, m)", "Clip({a}, , m)", "Clip({a}, two, minus)", "LRN <size=3> ({a})", "Dropout({a})",
    "MaxPool <kernel_shape=[3,3], pads=[1,1,1,1]> ({a})",
    "AveragePool <kernel_shape=[3,3], pads=[1,1,1,1]> ({a})",
    "AveragePool <kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1> ({a})",
    "BatchNormalization({a}, g, g, g, g)", "com.microsoft.QuickGelu({a})",
    "Transpose <perm=[0,1,2,3]> ({a})", "Reshape({a}, same)", "Mul({a}, k)", "Add({a}, k)", "Add(k, {a})",
    "Sub({a}, k)",
)  # fmt: skip
BINARY = ("Add({a}, {b})", "Mul({a}, {b})", "Max({a}, {b})", "Min({a}, {b})", "Sum({a}, {b})", "Sub({a}, {b})")
CONSTANTS = {
    "zero": np.float32(0), "two": np.float32(2), "minus": np.float32(-1), "k": np.linspace(-2, 1, 3, dtype="f"),
    "g": np.ones(3, np.float32), "same": np.array([0, 0, 0, 0]), "w": W,
}  # fmt: skip

step = st.tuples(st.sampled_from(UNARY + BINARY), st.integers(0, 9), st.integers(0, 9))


def network(steps: list[tuple[str, int, int]]) -> str:
    """Nodes that compute v1, v2, … from each other and from v0, the input; every operand was there before."""
    nodes = ["v0 = Identity(x)", "m = ReduceMean <keepdims=0> (x)"]
    for number, (text, a, b) in enumerate(steps):
        operands = {"a": f"v{number - a % (number + 1)}", "b": f"v{number - b % (number + 1)}"}
        nodes.append(f"v{number + 1} = {text.format(**operands)}")
    return " ".join(nodes)


def run(data: bytes, x: Array) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL, 4
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, {"x": x})


@given(st.lists(step, min_size=1, max_size=7), st.integers(0, 999), st.sampled_from([0.1, 1.0, 30.0, 1e4]))
@settings(max_examples=150)
def test_no_input_breaks_the_bounds(steps: list[tuple[str, int, int]], seed: int, scale: float) -> None:
    """Strictly: not even by rounding."""
    nodes, last = network(steps), f"v{len(steps)}"
    weights = {k: np.asarray(v) for k, v in CONSTANTS.items() if k == "w" or f"{k}," in nodes or f"{k})" in nodes}
    used = weights | {"k": np.broadcast_to(CONSTANTS["k"].reshape(3, 1, 1), (3, 1, 1)).copy()}
    used = {k: v for k, v in used.items() if k in weights}
    imports = {"inputs": "float[N,3,3,3] x", "opset": 13}
    data = model(f"{nodes} [c] a = Conv({last}, w) y = Relu(a)", weights=used, **imports)  # type: ignore[arg-type]
    low, high = load(data).input_range("c")
    assert low <= high
    x = np.random.default_rng(seed).normal(size=(4, 3, 3, 3)).astype(np.float32) * np.float32(scale)
    outputs = ", ".join(f"float[N,C,H,W] v{i}" for i in range(len(steps) + 1))
    found = run(model(nodes, weights=used, outputs=outputs, **imports), x)  # type: ignore[arg-type]
    assume(not any(np.isnan(values).any() for values in found))  # it keeps no bounds
    assert low <= found[-1].min()
    assert found[-1].max() <= high


@pytest.mark.parametrize(
    ("nodes", "bounds"),
    [
        ("v = Identity(x)", (-INF, INF)),
        ("v = Relu(x)", (0, INF)),
        ("v = Sigmoid(x)", (0, 1)),
        ("v = Tanh(x)", (-1, 1)),
        ("v = Clip(x, zero, two)", (0, 2)),
        ("v = Clip(x, , two)", (-INF, 2)),
        ("c0 = Clip(x, minus, two) v = Relu(c0)", (0, 2)),
        ("c0 = Clip(x, , minus) v = Relu(c0)", (0, 0)),
        ("r = Relu(x) v = MaxPool <kernel_shape=[3,3]> (r)", (0, INF)),
        ("r = Relu(x) v = LRN <size=3> (r)", (0, INF)),
        ("s = Sigmoid(x) v = LRN <size=3> (s)", (0, INF)),
        ("r = Relu(x) v = LRN <size=3, bias=-1.0> (r)", (-INF, INF)),
        ("s = Sigmoid(x) v = MaxPool <kernel_shape=[2,2], dilations=[2,2]> (s)", (0, 1)),
        ("s = Sigmoid(x) v = MaxPool <kernel_shape=[2,2], dilations=[2,2], pads=[1,1,1,1]> (s)", (-INF, 1)),
        ('s = Sigmoid(x) v = MaxPool <kernel_shape=[3,3], dilations=[1,2], auto_pad="SAME_UPPER"> (s)', (-INF, 1)),
        ("r = Relu(x) s = Relu(x) v = Add(r, s)", (0, INF)),
        ("r = Relu(x) s = Sigmoid(x) v = Concat <axis=1> (r, s)", (0, INF)),
        ("r = Relu(x) s = Sigmoid(x) v = Mul(r, s)", (0, INF)),
        ("c0 = Clip(x, , zero) s = Sigmoid(x) v = Mul(c0, s)", (-INF, 0)),
        ("c0 = Clip(x, two) v = AveragePool <kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1> (c0)", (0, INF)),
        ("s = Sigmoid(x) v, u = Split <axis=1> (s)", (0, 1)),
        ("s = Sigmoid(x) n = com.example.Tanh(s) v = MaxPool <kernel_shape=[3,3]> (n)", (-INF, INF)),
        ("s = Sigmoid(x) v = com.example.Relu(s)", (-INF, INF)),
        ("s = Sigmoid(x) m = ReduceMean <keepdims=0> (x) v = Clip(s, m)", (-INF, INF)),
        ("s = Sigmoid(x) r = Constant <value_float=0.5> () t = Cast <to=9> (zero) v = Dropout(s, r, t)", (-INF, INF)),
        ("s = Sigmoid(x) v = Add(s, nan)", (-INF, INF)),
    ],
)
def test_bounds_that_are_known_are_found_wider_by_what_rounding_can_do_and_no_more(
    nodes: str, bounds: tuple[float, float]
) -> None:
    constants = CONSTANTS | {"nan": np.array([np.nan], np.float32)}
    weights = {k: np.asarray(v) for k, v in constants.items() if f"{k}," in nodes or f"{k})" in nodes}
    data = model(f"{nodes} [c] a = Conv(v, wide) y = Relu(a)", inputs="float[N,C,3,3] x", opset=13,
                 weights=weights | {"wide": numbers(2, 3, 1, 1)})  # fmt: skip
    low, high = load(data).input_range("c")
    assert low <= bounds[0] <= bounds[1] <= high
    assert (low, high) == pytest.approx(bounds, rel=0.03)


def test_sums_products_and_averages_are_widened_as_well() -> None:
    def bounds(nodes: str) -> tuple[float, float]:
        weights = {"wide": numbers(2, 3, 1, 1)} | ({"k": np.float32([0.1])} if "k)" in nodes else {})
        return load(model(f"s = Sigmoid(x) {nodes} [c] a = Conv(v, wide) y = Relu(a)", weights=weights)).input_range(
            "c"
        )

    for nodes, low, high in [
        ("v = Add(s, k)", 0.1, 1.1),
        ("v = Mul(s, k)", 0, 0.1),
        ("v = GlobalAveragePool(s)", 0, 1),
        ("t = Sub(x, x) u = Tanh(t) v = Mul(s, u)", -1, 1),
    ]:
        found = bounds(nodes)
        assert found[0] <= low <= high <= found[1]
        assert found == pytest.approx((low, high), rel=0.03)


def test_bounds_of_every_layer_of_a_chain_follow_from_the_one_before() -> None:
    body = "[c] a = Conv(x, p) r = Relu(a) [d] b = Conv(r, q) t = Tanh(b) [e] y = Conv(t, q)"
    view = load(model(body, weights={"p": numbers(4, 3, 1, 1), "q": numbers(4, 4, 1, 1)}))
    found = [view.input_range(name) for name in "cde"]
    assert found == [(-INF, INF), (0, INF), pytest.approx((-1, 1), rel=0.03)]


def test_bounds_that_a_kernel_may_round_beyond_are_widened() -> None:
    """The tanh of some is 1.0000001."""
    low, high = load(model("v = Tanh(x) [c] a = Conv(v, w) y = Relu(a)", weights={"w": W})).input_range("c")
    assert -1.1 < low < -1
    assert 1 < high < 1.1


def test_bounds_of_integers_in_blocks_are_those_of_the_widest_block() -> None:
    body = "v = DequantizeLinear <axis=1, block_size=2> (x, e, z) [c] y = Conv(v, w)"
    weights = {
        "e": np.float32([0.5, 1]).reshape(1, 2, 1, 1),
        "z": np.uint8([0, 10]).reshape(1, 2, 1, 1),
        "w": numbers(2, 4, 1, 1),
    }
    data = model(body, inputs="uint8[1,4,1,1] x", weights=weights, opset=21, ir=10)
    low, high = load(data).input_range("c")
    assert low <= -10 <= 245 <= high
    assert (low, high) == pytest.approx((-10, 245), rel=0.03)
