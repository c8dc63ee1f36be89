"""Inputs without a batch axis: told for certain, and then everything is as of a twin that has the axis."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from models import SAME, W, model, numbers

from inspector import Array
from inspector.contract import Layer
from inspector.graph.load import load
from inspector.graph.view import OnnxView

RNG = np.random.default_rng(3)
TAIL = f"[c] a = Conv {SAME} (s, w) y = Relu(a) [d] e = Conv (y, v) f = Relu(e) g = GlobalAveragePool(f)"
TURN = "s = Transpose <perm=[0,3,1,2]> (t)"
V = numbers(5, 4, 3, 3)
AXES = {"front": np.array([0]), "second": np.array([1]), "third": np.array([2])}
# Inputs, how they come to be what the first convolution reads, the same of a twin, and what a picture's shape is.
LONE = {
    "unsqueezed": ("float[3,6,5] x", "s = Unsqueeze(x, front)", "s = Identity(x)"),
    "reshaped": ("float[3,6,5] x", "s = Reshape(x, whole)", "s = Identity(x)"),
    "rest reshaped": ("float[3,6,5] x", "s = Reshape(x, rest)", "s = Identity(x)"),
    "free sizes": ("float[3,H,Q] x", "s = Unsqueeze(x, front)", "s = Identity(x)"),
    "all free": ("float[A,H,Q] x", "s = Unsqueeze(x, front)", "s = Identity(x)"),
    "normalised": (
        "float[3,6,5] x", "m = Sub(x, mean) n = Div(m, std) s = Unsqueeze(n, front)",
        "m = Sub(x, mean) n = Div(m, std) s = Identity(n)",
    ),
    "channels last": ("float[6,5,3] x", f"t = Unsqueeze(x, front) {TURN}", f"t = Identity(x) {TURN}"),
    "turned before": (
        "float[6,5,3] x", "t = Transpose <perm=[2,0,1]> (x) s = Unsqueeze(t, front)",
        "t = Identity(x) s = Transpose <perm=[0,3,1,2]> (t)",
    ),
    "bytes": (
        "uint8[3,6,5] x", "t = Cast <to=1> (x) s = Unsqueeze(t, front)", "t = Cast <to=1> (x) s = Identity(t)"
    ),
    "two Unsqueezes": (
        "float[3,6,5] x", "s = Unsqueeze(x, front) o = Unsqueeze(x, front) z = Abs(o)", "s = Identity(x) z = Abs(x)"
    ),
    "resized, as torchvision's detectors": (
        "float[3,H,Q] x",
        """u = Unsqueeze(x, front) h = Shape(u) two = Slice(h, front, third) four = Slice(h, third, end)
        six = Add(four, second) sizes = Concat <axis=0> (two, six) r = Resize <mode="linear"> (u, , , sizes)
        o = Gather(r, zero) size = Shape(o) none = Sub(size, size) pads = Concat <axis=0> (none, none)
        p = Pad(o, pads) q = Unsqueeze(p, front) s = Concat <axis=0> (q)""",
        """h = Shape(x) two = Slice(h, front, third) four = Slice(h, third, end)
        six = Add(four, second) sizes = Concat <axis=0> (two, six) s = Resize <mode="linear"> (x, , , sizes)""",
    ),
}  # fmt: skip
WEIGHTS = {
    "w": W, "v": V, **AXES, "whole": np.array([1, 3, 6, 5]), "rest": np.array([-1, 3, 6, 5]), "zero": np.array(0),
    "mean": numbers(3, 1, 1), "std": np.exp(numbers(3, 1, 1)), "end": np.array([9]),
}  # fmt: skip


def alone(name: str) -> OnnxView:
    inputs, front, _ = LONE[name]
    body = f"{front} {TAIL} j = Squeeze(g, front)"
    return load(model(body, inputs=inputs, outputs="float[5,1,1] j", weights=WEIGHTS, opset=18), name="net")


def twin(name: str) -> OnnxView:
    inputs, _, front = LONE[name]
    inputs = inputs.replace("[", "[1,")
    return load(
        model(f"{front} {TAIL}", inputs=inputs, outputs="float[1,5,1,1] g", weights=WEIGHTS, opset=18), name="net"
    )


def pictures(view: OnnxView, count: int) -> Array:
    (info,) = view.inputs
    sizes = [{"A": 3, "H": 6, "Q": 5}.get(str(d), d) for d in (info.shape or ())[1:]]
    return (RNG.normal(size=(count, *sizes)) * 50).astype(info.dtype)  # type: ignore[arg-type]


def facts(view: OnnxView) -> list[object]:
    def of(layer: Layer) -> list[object]:
        name = layer.name
        filters = view.filters(name)
        fields = {k: v.facts() for k, v in view.receptive_fields(name).items()}
        return [layer, view.cost(name), view.input_range(name), fields, filters.weight.tolist(), filters.bias.tolist()]

    return [view.inputs, view.input_taps, [of(layer) for layer in view.layers]]


@pytest.mark.parametrize("name", [n for n in LONE if not n.startswith("resized")])
def test_the_facts_are_those_of_a_twin_with_a_batch_axis(name: str) -> None:
    assert facts(alone(name)) == facts(twin(name))


@pytest.mark.parametrize("name", LONE)
def test_what_the_file_takes_is_told_beside_what_it_is_fed(name: str) -> None:
    view = alone(name)
    shape = LONE[name][0].partition("[")[2].partition("]")[0].replace(",", ", ")
    assert view.alone == ("x",)
    assert view.facts["without_batch_axis"] == f"x ({shape})"
    assert view.inputs[0].shape is not None
    assert view.inputs[0].shape[0] == 1
    assert "without_batch_axis" not in twin(name).facts


@pytest.mark.parametrize("opset", [11, 12, 13, 18])
def test_the_axis_is_taken_away_as_every_opset_does_it(opset: int) -> None:
    front = "s = Unsqueeze <axes=[0]> (x)" if opset < 13 else "s = Unsqueeze(x, front)"
    data = model(f"{front} {TAIL}", inputs="float[3,6,5] x", outputs="float[A,B,D,E] g", weights=WEIGHTS, opset=opset)
    view = load(data)
    assert view.alone == ("x",)
    picture = pictures(view, 1)
    session = onnxruntime.InferenceSession(view.source.message.SerializeToString()) if not view.source.weights else None
    assert session is not None
    (given,) = session.run(None, {"x": picture})
    (expected,) = onnxruntime.InferenceSession(data).run(None, {"x": picture[0]})
    np.testing.assert_array_equal(given, expected)


def test_names_that_are_taken_are_not_taken_again() -> None:
    data = model(
        f"x_alone = Abs(x) s = Unsqueeze(x_alone, front) {TAIL}",
        inputs="float[3,6,5] x",
        outputs="float[A,B,D,E] g",
        weights=WEIGHTS,
    )
    view = load(data.replace(b"x_alone", b"x:alone"))
    assert view.alone == ("x",)
    onnxruntime.InferenceSession(view.source.message.SerializeToString())


def view_of(body: str, inputs: str, outputs: str = "float[A,B,D,E] y", **weights: Array) -> OnnxView:
    return load(model(body, inputs=inputs, outputs=outputs, weights={**WEIGHTS, **weights}, opset=18))


GREY = numbers(4, 1, 3, 3)
POINT = numbers(4, 1, 1, 3)
OVER_TIME = numbers(4, 3, 3)
APART = numbers(3, 1, 3, 3)


@pytest.mark.parametrize(
    ("body", "inputs", "weights"),
    [
        ("s = Unsqueeze(x, both) y = Conv(s, k)", "float[6,5] x", {"k": GREY, "both": np.array([0, 1])}),
        ("s = Unsqueeze(x, front) y = Conv(s, k)", "float[1,6,5] x", {"k": GREY}),
        ("t = Transpose <perm=[1,0]> (x) y0 = Unsqueeze(t, front) y = Conv(y0, k)", "float[T,3] x", {"k": OVER_TIME}),
        ("s = Reshape(x, one) y = Conv(s, k)", "float[30] x",
         {"k": numbers(4, 1, 3), "one": np.array([1, 1, 30])}),
        ("s = Unsqueeze(x, front) y = ConvTranspose(s, k)", "float[3,6,5] x", {"k": numbers(3, 2, 3, 3)}),
        ("s = Unsqueeze(x, front) z = Conv(s, k) y = Conv(s, w)", "float[3,6,5] x", {"k": numbers(4, 3, 1, 1)}),
        ("s = Unsqueeze(x, front) y = Conv(s, k)", "float[3,4,6,5] x", {"k": numbers(2, 3, 2, 3, 3)}),
        ("s = Unsqueeze(x, front) q, z, o = DynamicQuantizeLinear(s) c = ConvInteger(q, k, o) y = Cast <to=1> (c)",
         "float[3,6,5] x", {"k": np.ones((2, 3, 3, 3), np.uint8)}),
        ("q = QuantizeLinear(x, unit) s = Unsqueeze(q, front) t = DequantizeLinear(s, unit) y = Conv(t, w)",
         "float[3,6,5] x", {"unit": np.array(0.1, np.float32)}),
        ("u = Unsqueeze(x, front) s = MaxPool <kernel_shape=[2,2]> (u) y = Conv(s, w)", "float[3,6,5] x", {}),
        ("s = Unsqueeze(x, front) a = Conv(s, w) t = Tile(a, twice) y = Conv(t, v)", "float[3,6,5] x",
         {"twice": np.array([2, 1, 1, 1])}),
        ("s = Unsqueeze(x, front) z = Conv <group=3> (s, k) y = Conv(s, w)", "float[3,6,5] x", {"k": APART}),
        ("s = Unsqueeze(x, front) y = ConvTranspose(s, k)", "float[3,6,5] x", {"k": APART}),
    ],
    ids=["grey", "one channel", "over time", "one axis", "transposed", "two first ones", "film", "dynamic integers",
         "rounded", "pooled", "copies behind", "one of two is certain", "transposed to one channel"],
)  # fmt: skip
def test_channels_and_space_that_are_read_across_are_no_batch(
    body: str, inputs: str, weights: dict[str, Array]
) -> None:
    assert view_of(body, inputs, **weights).alone == ("x",)


@pytest.mark.parametrize(
    ("body", "inputs", "weights", "unclear"),
    [
        ("s = Unsqueeze(x, second) y = Conv(s, k)", "float[3,6,5] x", {"k": GREY}, False),
        ("s = Reshape(x, to) y = Conv(s, k)", "float[1,6,5] x", {"k": GREY, "to": np.array([1, 1, 6, 5])}, False),
        ("s = Unsqueeze(x, both) y = Conv(s, k)", "float[6,5] x", {"k": POINT, "both": np.array([0, 1])}, True),
        ("s = Unsqueeze(x, front) y = Conv <group=3> (s, k)", "float[3,6,5] x", {"k": APART}, True),
        ("m = ReduceMean <keepdims=0> (x, front) s = Unsqueeze(m, both) y = Conv(s, k)", "float[4,6,5] x",
         {"k": GREY, "both": np.array([0, 1])}, True),
        ("f = Gather(x, flip) s = Unsqueeze(f, front) y = Conv(s, w)", "float[3,6,5] x",
         {"flip": np.array([2, 1, 0])}, True),
        ("s = Unsqueeze(x, front) t = Tile(s, twice) y = Conv(t, w)", "float[3,6,5] x",
         {"twice": np.array([2, 1, 1, 1])}, False),
        ("s = Reshape(x, to) y = Conv(s, k)", "float[2,3,6,5] x",
         {"k": numbers(4, 6, 3, 3), "to": np.array([1, 6, 6, 5])}, False),
        ("u = Unsqueeze(x, front) z = Conv(u, w) o = Unsqueeze(x, second) y = Conv(o, k)", "float[3,6,5] x",
         {"k": GREY}, False),
        ("y = Conv(x, w)", "float[3,3,6,5] x", {}, False),
        ("t = Transpose <perm=[1,0,2]> (x) s = Unsqueeze(t, second) y = Conv(s, k)", "float[6,B,5] x",
         {"k": GREY}, False),
        ("s = Reshape(x, to) y = Conv(s, k)", "float[6,5] x",
         {"k": numbers(4, 1, 3), "to": np.array([1, 1, 30])}, True),
        ("""n = Shape <start=1,end=2> (x) m = Squeeze(n) r = Range(zero, m, unit) f = Gather <axis=1> (x, r)
         t = Transpose <perm=[1,0,2]> (f) s = Unsqueeze(t, second) y = Conv(s, k)""", "float[6,B,5] x",
         {"k": GREY, "unit": np.array(1)}, False),
        ("s = Unsqueeze(x, front) z = Conv(s, w) t = Tile(s, twice) y = Conv(t, w)", "float[3,6,5] x",
         {"twice": np.array([2, 1, 1, 1])}, False),
        ("r = Reshape(x, to) s = Relu(r) y = Conv(s, k)", "float[1,6,5] x",
         {"k": GREY, "to": np.array([1, 1, 6, 5])}, False),
        ("s = Unsqueeze(x, front) z = Conv(s, w) r = Reshape(x, to) y = Conv(r, k)", "float[3,6,5] x",
         {"k": numbers(4, 1, 3), "to": np.array([-1, 1, 5])}, False),
        ("s = Unsqueeze(x, front) y = com.microsoft.NhwcFusedConv(s, k)", "float16[6,5,3] x",
         {"k": numbers(4, 3, 1, 3).astype("e")}, True),
        ("""s = Unsqueeze(x, front) z = Conv(s, w) b = Cast <to=9> (f)
         o = If (b) <then_branch = one () => (float[3,1,6,5] p) { p = Unsqueeze (x, second) },
                     else_branch = two () => (float[3,1,6,5] q) { r = Neg (x) q = Unsqueeze (r, second) }>
         y = Conv(o, k)""", "float[3,6,5] x, float f", {"k": GREY}, False),
        ("s = Unsqueeze(x, front) y = Conv(s, k)", "float[N,6,5] x", {"k": GREY}, False),
        ("s = Unsqueeze(x, front) y = ConvTranspose <group=3> (s, k)", "float[3,6,5] x", {"k": APART}, True),
        ("m = Concat <axis=0> (x, x) s = Unsqueeze(m, front) y = Conv(s, k)", "float[N,6,5] x", {"k": GREY}, False),
    ],
    ids=["second axis", "batch of one", "rows apart", "channels apart", "mean of a set", "flipped", "copies",
         "joined pictures", "both", "as it should be", "second is the batch", "merged", "second is picked from",
         "copies of one of two", "split before", "rows of a batch beside", "channels last, rows apart",
         "both, in a body",
         "one of a batch", "channels apart, transposed", "joined"],
)  # fmt: skip
def test_what_is_not_certain_stays_as_the_file_has_it(
    body: str, inputs: str, weights: dict[str, Array], unclear: bool
) -> None:
    view = view_of(body, inputs, **weights)
    assert view.alone == ()
    assert view.unclear == (("x",) if unclear else ())


def test_every_input_without_a_batch_axis_is_given_one() -> None:
    body = "s = Unsqueeze(x, front) t = Unsqueeze(z, front) p = Conv(s, w) q = Conv(t, w) y = Sub(p, q)"
    view = view_of(body, "float[3,6,5] x, float[3,6,5] z")
    assert view.alone == ("x", "z")
    assert view.facts["without_batch_axis"] == "x (3, 6, 5), z (3, 6, 5)"


def test_of_very_many_inputs_none_is_looked_at() -> None:
    """Every one costs a walk through the graph."""
    body = "s = Unsqueeze(x0, front) y = Conv(s, w)"
    for count, found in ((16, ("x0",)), (17, ())):
        assert view_of(body, ", ".join(f"float[3,6,5] x{k}" for k in range(count))).alone == found


def test_an_input_that_is_given_out_again_is_not_changed() -> None:
    view = view_of("s = Unsqueeze(x, front) y = Conv(s, w)", "float[3,6,5] x", "float[A,B,D,E] y, float[3,6,5] x")
    assert (view.alone, view.unclear) == ((), ("x",))


def test_inputs_that_reach_no_convolution_are_left_alone() -> None:
    body = f"s = Unsqueeze(x, front) y = Conv {SAME} (s, w) z = Add(state, second_state) q = Mul(z, rate)"
    inputs = "float[3,6,5] x, float[2,7] state, float[T,7] second_state, float rate"
    view = view_of(body, inputs, "float[A,B,D,E] y, float[F,G] q")
    assert view.alone == ("x",)
    assert [i.shape for i in view.inputs] == [(1, 3, 6, 5), (2, 7), ("T", 7), ()]


def test_bodies_that_read_the_input_read_what_they_read_before() -> None:
    body = f"""s = Unsqueeze (x, front) a = Conv {SAME} (s, w) m = ReduceMax <keepdims=0> (x) b = Cast <to=9> (m)
        y = If (b) <then_branch = one () => (float[3,6,5] p) {{ p = Neg (x) }},
                    else_branch = two () => (float[3,6,5] q) {{ q = Abs (x) }}>"""
    data = model(body, inputs="float[3,6,5] x", outputs="float[3,6,5] y", weights=WEIGHTS, opset=18)
    view = load(data)
    assert view.alone == ("x",)
    picture = pictures(view, 1)
    (given,) = onnxruntime.InferenceSession(view.source.message.SerializeToString()).run(None, {"x": picture})
    (expected,) = onnxruntime.InferenceSession(data).run(None, {"x": picture[0]})
    np.testing.assert_array_equal(given, expected)
