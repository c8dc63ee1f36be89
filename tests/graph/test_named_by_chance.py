"""Nothing is called by the name of a function that it differs from somewhere, however near to each other they are."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from models import model
from onnx.reference import ReferenceEvaluator

from inspector import Array, Layer, TapKind, Zeros, service
from inspector.graph.load import load

SIDE = 128
"""Points are fed as one picture of this side, 16,384 of them."""
ROOM = 1e-5
"""What some rounding steps of float32 may make of numbers around 1."""


def net(nodes: str, constants: dict[str, float]) -> bytes:
    """A convolution that changes nothing, into `a`, and these nodes, which use the constants by name."""
    used = {k: np.array(v, np.float32) for k, v in constants.items() if re.search(rf"\b{k}\b", nodes)}
    weights = {"w": np.ones((1, 1, 1, 1), np.float32)} | used
    return model(f"[c] a = Conv(x, w) {nodes}", inputs="float[N,1,H,W] x", weights=weights)


def layer_of(data: bytes) -> Layer:
    return load(data).layers[0]


def points(constants: dict[str, float]) -> Array:
    """Random ones of all sizes, and those around every constant, sum, difference, product and quotient of two."""
    rng = np.random.default_rng(0)
    numbers = {abs(float(np.float32(c))) for c in constants.values()} | {1.0}
    pairs = list(itertools.product(numbers, numbers))
    numbers |= {f(a, b) for a, b in pairs for f in (lambda a, b: a + b, lambda a, b: abs(a - b), lambda a, b: a * b)}
    numbers |= {a / b for a, b in pairs if b}
    places = np.array(sorted(numbers))
    beside = np.concatenate([[0], *((m * 10.0**-k, -m * 10.0**-k) for k in range(1, 8) for m in (1, 4))])
    around = np.outer(np.concatenate([places, -places]), 1 + beside).ravel()
    count = SIDE * SIDE - 10_000
    around = rng.permutation(around)[:count]
    random = rng.normal(size=SIDE * SIDE - len(around)) * 10.0 ** rng.integers(-7, 5, SIDE * SIDE - len(around))
    return np.concatenate([random, around]).astype(np.float32)


def computed(data: bytes, layer: Layer, x: Array) -> tuple[Array, Array]:
    """Before and after the activation, by the reference implementation in float32."""
    before = layer.taps.get(TapKind.NORM, layer.taps[TapKind.CONV]).tensor
    after = layer.taps[TapKind.ACT].tensor
    proto = onnx.load_from_string(data)
    del proto.graph.output[:]
    for name in dict.fromkeys([before, after]):
        proto.graph.output.add(name=name)
    with np.errstate(all="ignore"):
        found = ReferenceEvaluator(proto).run(None, {"x": x.reshape(1, 1, SIDE, SIDE)})
    return np.asarray(found[0], np.float64).ravel(), np.asarray(found[-1], np.float64).ravel()


def clip(name: str) -> Callable[[Array], Array] | None:
    match = re.fullmatch(r"Clip\((.+),(.+)\)", name)
    return (lambda x: np.clip(x, float(match[1]), float(match[2]))) if match else None


def assert_is(name: str, x: Array, y: Array) -> None:
    """y is what the name says of x: bounds and zeros exactly, all else up to rounding."""
    cut = clip(name) or ((lambda v: np.maximum(v, 0)) if name == "Relu" else None)
    if cut is not None:
        expected = cut(x)
        assert (np.abs(y - expected) <= ROOM + 1e-3 * np.abs(expected)).all()
        assert (np.abs(y[expected == 0]) <= ROOM).all()
    elif name == "LeakyRelu":
        assert (np.sign(y) == np.sign(x))[np.abs(x) > 1e-6].all()
    elif name == "ThresholdedRelu":
        assert ((y == 0) | (np.abs(y - x) <= 1e-6 + 1e-3 * np.abs(x))).all()
        assert not y[x < x[y != 0].min(initial=np.inf)].any()
    elif name in ("Sigmoid", "HardSigmoid", "Softplus"):
        assert (y >= 0).all()


magnitude = st.builds(lambda m, e: round(m * 10.0**e, 12), st.floats(1, 9.9), st.integers(-8, 4))
number = st.one_of(magnitude, magnitude.map(lambda m: -m), st.sampled_from([0.0, 1.0, -1.0, 0.5, 6.0, -0.05]))

SHAPES = [
    "q = Greater(a, k) y = Where(q, a, zero)",
    "q = LessOrEqual(a, k) y = Where(q, zero, a)",
    "m = Mul(a, l) q = Greater(m, k) y = Where(q, a, zero)",
    "m = Add(a, l) q = Less(m, k) y = Where(q, zero, a)",
    "q = Greater(a, k) c = Cast <to=1> (q) y = Mul(a, c)",
    "s = Sigmoid(a) q = Greater(s, k) y = Where(q, a, zero)",
    "b = Abs(a) q = Less(b, k) r = Relu(a) y = Where(q, a, r)",
    "s = Sub(a, k) b = Abs(s) q = Less(b, l) r = Relu(a) y = Where(q, a, r)",
    "s = Sub(a, k) b = Mul(s, s) q = Less(b, l) r = Relu(a) y = Where(q, k, r)",
    "r = Relu(a) s = Sub(a, k) q = Relu(s) y = Add(r, q)",
    "s = Sub(a, k) r = Relu(s) t = Relu(a) y = Max(t, r)",
    "r = Max(a, k) y = Min(r, l)",
    "r = Min(a, l) y = Max(r, k)",
    "r = Relu(a) y = Min(r, l)",
    "i = Identity(a) s = Add(i, k) r = Clip(s, zero, l) y = Sub(r, k)",
    "r = Relu(a) u = Sub(a, k) b = Abs(u) n = Sub(l, b) h = Relu(n) y = Add(r, h)",
    "r = Relu(a) u = Sub(a, k) v = Mul(u, u) g = Mul(v, steep) e = Exp(g) y = Add(r, e)",
    "q = Equal(a, k) r = Relu(a) y = Where(q, l, r)",
    "q = Greater(a, k) p = Less(a, l) o = And(p, q) r = Relu(a) y = Where(o, a, r)",
    "q = Greater(a, k) n = Not(q) c = Cast <to=1> (n) m = Mul(a, c) y = Sub(a, m)",
    "s = Sub(a, k) g = Sign(s) p = Add(g, one) h = Mul(p, half) y = Mul(a, h)",
    "m = Mul(a, k) y = Max(a, m)",
    "s = Mul(a, k) t = Clip(s, zero, one) y = Mul(a, t)",
    "s = Mul(a, l) t = Sigmoid(s) q = Greater(t, half) r = Relu(a) y = Where(q, a, r)",
]
"""Regions whose numbers decide what they are."""
FIXED = {"zero": 0.0, "one": 1.0, "half": 0.5, "steep": -1e6}


def assert_is_what_it_is_called(nodes: str, constants: dict[str, float]) -> None:
    """At every point that matters to these numbers; what has no name may be anything."""
    data = net(nodes, constants)
    layer = layer_of(data)
    if layer.activation is not None:
        before, after = computed(data, layer, points(constants))
        seen = np.isfinite(after)
        assert_is(layer.activation, before[seen], after[seen])


@given(st.sampled_from(SHAPES), number, number)
@settings(max_examples=200, deadline=None)
@example(SHAPES[0], -0.05, 0.0)
@example(SHAPES[0], 0.06, 0.0)
@example(SHAPES[2], -0.003, 0.06)
@example(SHAPES[15], 2.06, 0.03)
@example(SHAPES[16], 0.06, 0.0)
@example(SHAPES[18], -0.0011, -0.001)
def test_what_has_a_name_is_that_function_at_every_point(nodes: str, k: float, l: float) -> None:
    assert_is_what_it_is_called(nodes, {"k": k, "l": l, **FIXED})


OPERATORS = ["Add", "Sub", "Mul", "Max", "Min", "Relu", "Abs", "Neg", "Where", "Clip", "Less", "Sign", "Sigmoid"]


@st.composite
def programs(draw: st.DrawFn) -> tuple[str, dict[str, float]]:
    """Up to eight random nodes, each of values before it or constants, all added up with a Relu at the end."""
    constants = {f"k{i}": draw(number) for i in range(4)}
    reals, truths, text = ["a"], [], ""
    for i in range(draw(st.integers(1, 7))):
        operand = st.sampled_from(reals)
        either = st.one_of(operand, st.sampled_from(sorted(constants)))
        op, out = draw(st.sampled_from(OPERATORS)), f"v{i}"
        if op == "Where" and truths:
            text += f"{out} = Where({draw(st.sampled_from(truths))}, {draw(operand)}, {draw(either)}) "
        elif op == "Clip":
            text += f"{out} = Clip({draw(operand)}, k0, k1) "
        elif op in ("Relu", "Abs", "Neg", "Sign", "Sigmoid"):
            text += f"{out} = {op}({draw(operand)}) "
        elif op != "Where":
            text += f"{out} = {op}({draw(operand)}, {draw(either)}) "
        else:
            continue
        (truths if op == "Less" else reals).append(out)
    return f"{text} f = Relu(a) y = {draw(st.sampled_from(['Add', 'Max', 'Min']))}(f, {reals[-1]})", constants


@given(programs())
@settings(max_examples=150, deadline=None)
def test_random_arithmetic_has_a_name_only_where_it_deserves_it(program: tuple[str, dict[str, float]]) -> None:
    assert_is_what_it_is_called(*program)


@pytest.mark.parametrize(
    ("nodes", "k", "l", "expected"),
    [
        (SHAPES[0], -0.05, 0, "ThresholdedRelu"),
        (SHAPES[0], 0.05, 0, "ThresholdedRelu"),
        (SHAPES[0], -1e-6, 0, "ThresholdedRelu"),
        (SHAPES[0], 13, 0, "ThresholdedRelu"),
        (SHAPES[2], 1e-3, 0.02, "ThresholdedRelu"),
        (SHAPES[5], 0.5, 0, "Relu"),
        (SHAPES[5], 0.7, 0, "ThresholdedRelu"),
        (SHAPES[6], 0.05, 0, "ThresholdedRelu"),
        (SHAPES[12], 0, 30000, "Clip(0,30000)"),
        (SHAPES[12], -200, 100, "Clip(-200,100)"),
        (SHAPES[12], 0, 0.1234567, "Clip(0,0.1234567)"),
        (SHAPES[13], 0, 0.1234567, "Clip(0,0.1234567)"),
        (SHAPES[14], 0.1, 0.3, "Clip(-0.1,0.20000002)"),
        (SHAPES[16], 0.06, 0, None),
        (SHAPES[17], 0.06, 3, None),
        ("r = Relu(a) s = Add(r, k) y = Sub(s, k)", 2.0**23, 0, "Relu"),
        ("m = Max(a, zero) s = Add(m, k) t = Sub(s, k) y = Min(t, l)", 2.0**23, 3, "Relu"),
        ("s = Add(a, k) t = Sub(s, k) q = Greater(a, zero) y = Where(q, t, zero)", 2.0**23, 0, None),
        ("s = Add(a, k) t = Sub(s, k) q = Greater(a, zero) y = Where(q, t, zero)", 1e4, 0, None),
        ("s = Add(a, k) t = Sub(s, k) q = Greater(a, zero) y = Where(q, t, zero)", 1, 0, "Relu"),
    ],
)  # fmt: skip
def test_numbers_decide_what_arithmetic_is(nodes: str, k: float, l: float, expected: str | None) -> None:
    layer = layer_of(net(nodes, {"k": k, "l": l, **FIXED}))
    assert layer.activation == expected
    if expected is not None:
        assert layer.taps[TapKind.ACT].zeros is (Zeros.NOT_MEANINGFUL if "(-" in expected else Zeros.EXACT)


def test_what_passes_small_negative_numbers_is_not_accused_of_never_firing() -> None:
    data = model(
        "[c] a = Conv(x, w, b) q = Greater(a, k) y = Where(q, a, zero)", inputs="float[N,1,2,2] x",
        weights={"w": np.zeros((1, 1, 1, 1), np.float32), "b": np.array([-0.03], "f"), "k": np.array(-0.05, "f"),
                 "zero": np.array(0, "f")},
    )  # fmt: skip
    x = np.ones((60, 1, 2, 2), np.float32)
    report = service.audit(data, x, ["sparsity"])
    assert not [f.rule for f in report.results[0].findings if "dead" in f.rule]
    assert math.isclose(service.activations(data, x[:1])["c:act"].max(), -0.03, rel_tol=1e-6)
