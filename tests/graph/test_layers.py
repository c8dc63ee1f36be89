"""What is found in a graph: layers, their names, their taps, and what was left out."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from decomposed import CONTRIBUTED, DECOMPOSED, OPERATORS, PIECES, Written
from models import SAME, ZOO, Case, Expected, W, model, numbers

from inspector import TapKind, Zeros
from inspector.errors import ModelError, NotFoundError
from inspector.graph.load import load


def found(case: Case) -> list[Expected]:
    """The layers of a net in the words of its expectation."""
    facts = []
    for layer in load(case.data).layers:
        taps = {kind: tap.tensor for kind, tap in layer.taps.items()}
        act = layer.taps.get(TapKind.ACT)
        facts.append(
            Expected(
                layer.name, taps[TapKind.CONV], taps.get(TapKind.ACT), layer.activation, taps.get(TapKind.NORM),
                act.zeros if act else Zeros.EXACT, act.shared if act else False, layer.linear, layer.op, layer.groups,
                layer.weight_shape,
            )
        )  # fmt: skip
    return facts


@pytest.mark.parametrize("name", ZOO)
def test_the_layers_of_every_net_are_those_that_a_reader_finds(name: str) -> None:
    case = ZOO[name]
    assert found(case) == list(case.layers)
    assert len(load(case.data).left_out) == case.left_out


@pytest.mark.parametrize("name", ZOO)
def test_every_tap_says_how_many_channels_it_has_and_is_named_after_its_layer(name: str) -> None:
    for index, layer in enumerate(load(ZOO[name].data).layers):
        assert layer.index == index
        assert {tap.channels for tap in layer.taps.values()} == {layer.out_channels}
        assert {tap.name for tap in layer.taps.values()} == {f"{layer.name}:{kind.value}" for kind in layer.taps}
        assert layer.tap() == layer.taps[list(layer.taps)[-1]]
        assert bool(layer.linear) == (layer.activation is None)


@pytest.mark.parametrize("written", OPERATORS + DECOMPOSED + PIECES + CONTRIBUTED, ids=lambda w: w.name)
def test_an_activation_is_found_however_it_is_written(written: Written) -> None:
    (layer,) = load(written.data).layers
    assert (layer.activation, layer.linear) == (written.activation, "")
    tap = layer.taps[TapKind.ACT]
    assert (tap.tensor, tap.zeros, tap.activation) == ("y", written.zeros, written.activation)


@pytest.mark.parametrize(
    ("nodes", "linear"),
    [
        ("s = Sigmoid(a) m = Mul(a, s) y = Add(m, s)", "feeds Sigmoid, Mul"),
        ("s = Sigmoid(x0) y = Mul(a, s)", "feeds Mul"),
        ("y = Mul(a, a)", "feeds Mul"),
        ("y = Add(a, a)", "feeds Add"),
        ("t = Tanh(a) y = Mul(a, t)", "feeds Tanh, Mul"),
        ("t = Add(a, three) r = Clip(t, minus, three) y = Mul(a, r)", "feeds Add, Mul"),
        ("n = Neg(a) p = Relu(a) q = Relu(n) y = Concat <axis=1> (p, q)", "feeds Neg, Relu"),
        ("p = Relu(a) q = Sigmoid(a) y = Add(p, q)", "feeds Relu, Sigmoid"),
        ("p = Relu(a) q = com.example.Gate(a) y = Add(p, q)", "feeds Relu, com.example.Gate"),
        ("y = Abs(a)", "feeds Abs"),
        ("y = Exp(a)", "feeds Exp"),
        ("s = Mul(a, three) t = Max(a, x) y = Concat <axis=1> (s, t)", "feeds Mul, Max"),
        ("y = Softmax <axis=1> (a)", "feeds Softmax"),
        ("y = PRelu(slopes, a)", "feeds PRelu"),
        ("y = Div(three, a)", "feeds Div"),
        ("y = MaxPool <kernel_shape=[2,2]> (a)", "feeds MaxPool"),
        ("u = Identity(a) y = Identity(x)", "is used by nothing"),
        (" ".join(f"a{k + 1} = Identity(a{k or ''})" for k in range(70)) + " y = Relu(a70)", "feeds Identity"),
    ],
)
def test_what_is_no_activation_is_called_linear_with_the_reason(nodes: str, linear: str) -> None:
    scalars = {"three": np.float32(3), "minus": np.float32(-1)}
    constants = {k: np.array(v) for k, v in scalars.items()} | {"slopes": numbers(1, 4, 6, 5)}
    data = model(f"x0 = GlobalMaxPool(x) [c] a = Conv {SAME} (x, w) {nodes}", weights={"w": W, **constants})
    (layer,) = load(data).layers
    assert (layer.activation, layer.linear) == (None, linear)
    assert layer.tap() is layer.taps[TapKind.CONV]


def test_depthwise_means_filters_for_every_one_of_several_input_channels() -> None:
    depthwise = {name: layer.depthwise for name in ZOO for layer in load(ZOO[name].data).layers}
    assert [name for name, is_depthwise in depthwise.items() if is_depthwise] == ["depthwise"]


def test_geometry_is_read_as_the_node_has_it() -> None:
    def geometry(name: str) -> tuple[object, ...]:
        (layer,) = load(ZOO[name].data).layers
        return (layer.kernel, layer.strides, layer.dilations, layer.pads, layer.auto_pad,
                layer.in_channels, layer.out_channels)  # fmt: skip

    assert geometry("uneven_pads") == ((3, 3), (1, 2), (1, 1), (0, 2, 1, 0), "NOTSET", 3, 4)
    assert geometry("dilated") == ((3, 3), (1, 1), (2, 1), (2, 1, 2, 1), "NOTSET", 3, 4)
    assert geometry("same_lower") == ((2, 2), (2, 2), (1, 1), (), "SAME_LOWER", 3, 4)
    assert geometry("valid") == ((3, 3), (1, 1), (1, 1), (), "VALID", 3, 4)
    assert geometry("line") == ((3,), (1,), (1,), (1, 1), "NOTSET", 3, 4)
    assert geometry("volume") == ((3, 1, 3), (2, 1, 1), (1, 1, 1), (1, 0, 1, 1, 0, 1), "NOTSET", 2, 4)
    assert geometry("transposed_grouped")[-2:] == (4, 6)
    assert geometry("grouped")[-2:] == (4, 6)


def test_parameters_are_the_weights_and_biases_of_the_node_itself() -> None:
    def parameters(name: str) -> list[int]:
        return [layer.parameters for layer in load(ZOO[name].data).layers]

    assert parameters("chain") == [4 * 27 + 4, 4 * 36]
    assert parameters("bias_add") == [4 * 27]
    assert parameters("transposed_grouped") == [4 * 3 * 6]


def test_convolutions_that_are_not_watched_are_listed_with_the_reason() -> None:
    (nested,) = load(ZOO["in_a_loop"].data).left_out
    assert nested.startswith("Conv 'inner' is inside the body of Loop 'l', which may run it any number of times")
    data = model(
        f"[c] a = Conv {SAME} (x, w) y = Relu(a) [d] e = Conv(x, k) [f] g = com.example.Conv(x, w)",
        inputs="float[N,3,6,5] x, float[M,3,P,Q] k",
        weights={"w": W},
    )
    assert load(data).left_out == (
        "Conv 'd' has a weight whose shape is only known at run time",
        "Conv 'f' is an operator of 'com.example', where it may mean anything",
    )


def test_what_the_runtime_optimised_for_one_processor_says_so() -> None:
    proto = onnx.load_from_string(model("[c] a = com.example.Conv (x, w) y = Relu(a)", weights={"w": W}))
    proto.graph.node[0].domain = "com.microsoft.nchwc"
    proto.opset_import.add(domain="com.microsoft.nchwc", version=1)
    with pytest.raises(ModelError, match=r"Conv 'c' keeps its channels in blocks, .*: load what it was made from"):
        load(proto.SerializeToString())


def test_a_model_without_convolutions_is_refused_and_says_what_it_holds() -> None:
    with pytest.raises(ModelError, match=r"no convolution.*2 nodes: Relu, Sigmoid"):
        load(model("a = Sigmoid(x) y = Relu(a)"))
    with pytest.raises(ModelError, match="NhwcConv 'y' does not say how its weight is laid out"):
        load(model("y = com.microsoft.NhwcConv(x, w)", weights={"w": W}))


@pytest.mark.parametrize(
    ("attributes", "weight", "message"),
    [
        ("group=0", W, "groups 0"),
        ("group=-1", W, "groups -1"),
        ("group=3", W, "groups 3"),
        ("strides=[1]", W, "attribute 'strides'"),
        ("strides=[1,0]", W, "attribute 'strides'"),
        ("dilations=[1,1,1]", W, "attribute 'dilations'"),
        ("pads=[1,1]", W, "attribute 'pads'"),
        ("pads=[-1,0,0,0]", W, "attribute 'pads'"),
        ('auto_pad="ALMOST"', W, "auto_pad"),
        ("group=1", numbers(4, 3), r"weight \(4, 3\)"),
        ("group=1", np.zeros((4, 3, 0, 3), np.float32), r"weight \(4, 3, 0, 3\)"),
        ("group=1.0", W, "breaks the ONNX standard"),
        ('pads="wide"', W, "breaks the ONNX standard"),
    ],
)
def test_a_convolution_that_cannot_be_is_refused_by_name(attributes: str, weight: np.ndarray, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(model(f"[c] a = Conv <{attributes}> (x, k) y = Relu(a)", weights={"k": weight}))


def test_an_unknown_layer_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(NotFoundError, match="Did you mean 'block/1:act'"):
        load(ZOO["names"].data).layer("block/1:art")
