"""Quantised, fused and channels-last convolutions: facts against a reader's, values against the ONNX reference."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from models import SAME, Case, W, geometry, model, numbers
from models_quantized import HIGH, NETS, REAL, X_SCALE, Net, net, qlinear
from reference import Sparsity, values

from inspector import Array, Ops, TapKind, Zeros
from inspector.contract.measures import TAPPED
from inspector.errors import Inapplicable, ModelError, RunError
from inspector.faces.describe import describe
from inspector.graph.constants import Constants
from inspector.graph.instrument import Request, instrument
from inspector.graph.load import load
from inspector.graph.receptive.fields import receptive_fields
from inspector.runtime.session import Fidelity, open_session

op = Ops()
RUNS = [name for name, net in NETS.items() if net.runs]
X = np.random.default_rng(3).normal(size=(3, 3, 6, 5)).astype(np.float32)
NEAR = 0.01
ROWS = {
    "keep": op.keep(TAPPED),
    "peak": op.max(TAPPED),
    "low": op.min(TAPPED),
    "mean": op.mean(TAPPED),
    "above": op.count(op.greater(TAPPED, 0)),
    "near": op.count(op.less(op.abs(TAPPED), NEAR)),
    "elements": op.positions(TAPPED),
}


def rows_of(net: Net, tensor: str, fidelity: Fidelity = "exact") -> dict[str, Array]:
    """Every row of one tap."""
    written = instrument(load(net.data), [Request(tensor, row) for row in ROWS.values()], shapes={"x": X.shape[1:]})
    with open_session(written.model, weights=written.weights, device="cpu", fidelity=fidelity) as session:
        return dict(zip(ROWS, written.rows(session.run({"x": X})).values(), strict=True))


@pytest.mark.parametrize("name", NETS)
def test_the_layer_is_what_a_reader_finds(name: str) -> None:
    net = NETS[name]
    view = load(net.data)
    (layer,) = view.layers
    assert view.left_out == ()
    assert (layer.op, layer.weight_shape, layer.groups) == (net.op, (4, 3, 3, 3), 1)
    assert (layer.kernel, layer.strides, layer.dilations, layer.pads) == ((3, 3), (1, 1), (1, 1), (1, 1, 1, 1))
    assert (layer.in_channels, layer.out_channels) == (3, 4)
    assert (layer.activation, layer.linear) == (net.activation, net.linear)
    assert {kind.value: tap.tensor for kind, tap in layer.taps.items()} == net.taps
    act = layer.taps.get(TapKind.ACT)
    assert (act is None) == (net.activation is None)
    if act is not None:
        assert (act.zeros, act.activation, act.shared) == (net.zeros, net.activation, net.shared)


@pytest.mark.parametrize("name", NETS)
def test_filters_are_the_real_numbers_that_the_integers_stand_for(name: str) -> None:
    net = NETS[name]
    filters = load(net.data).filters("c")
    np.testing.assert_allclose(filters.weight, net.weight, rtol=1e-6)
    np.testing.assert_allclose(filters.bias, net.bias, rtol=1e-6)
    assert filters.weight.dtype in (np.float32, np.float64)


@pytest.mark.parametrize("fidelity", ["exact", "fast"])
@pytest.mark.parametrize("name", RUNS)
def test_maps_are_those_of_the_onnx_reference_and_measures_are_of_real_numbers(name: str, fidelity: Fidelity) -> None:
    net = NETS[name]
    (layer,) = load(net.data).layers
    expected = values(net.standard, {"x": X}, list(net.taps.values()))
    for tap in layer.taps.values():
        rows, maps = rows_of(net, tap.tensor, fidelity), expected[tap.tensor]
        if fidelity == "exact":
            assert rows["keep"].dtype == maps.dtype
            np.testing.assert_allclose(rows["keep"], maps, rtol=1e-5, atol=1e-6)
        real = rows["keep"].astype(np.float32)
        if tap.scale:
            real = (real - np.float32(tap.zero_point[0])) * np.float32(tap.scale[0])
        np.testing.assert_array_equal(rows["above"], (real > 0).sum((2, 3)))
        np.testing.assert_array_equal(rows["near"], (np.abs(real) < np.float32(NEAR)).sum((2, 3)))
        np.testing.assert_array_equal(rows["peak"], real.max((2, 3)))
        np.testing.assert_array_equal(rows["low"], real.min((2, 3)))
        np.testing.assert_allclose(rows["mean"], real.mean((2, 3)), rtol=1e-5, atol=1e-6)
        assert rows["elements"].ravel().tolist() == [30] * len(X)


@pytest.mark.parametrize("name", [name for name in RUNS if NETS[name].zeros is Zeros.EXACT])
def test_zeros_are_counted_at_the_zero_point(name: str) -> None:
    net = NETS[name]
    (layer,) = load(net.data).layers
    tap = layer.taps[TapKind.ACT]
    maps = values(net.standard, {"x": X}, [tap.tensor])[tap.tensor]
    zero = tap.zero_point[0] if tap.zero_point else 0
    rows = rows_of(net, tap.tensor)
    zeros = rows["elements"] - rows["above"]
    np.testing.assert_array_equal(zeros, (maps == zero).sum((2, 3)))
    assert 0 < zeros.sum() < maps.size
    twin = Sparsity.of(maps.astype(np.float32) - np.float32(zero), exact=True)
    np.testing.assert_allclose(zeros.sum(0) / (30 * len(X)), twin.zero_fraction, rtol=1e-12)


def test_a_quantised_tap_says_what_its_integers_mean() -> None:
    (layer,) = load(NETS["signed"].data).layers
    assert layer.tap().scale == ()  # DequantizeLinear's output, real numbers
    (layer,) = load(NETS["another_scale"].data).layers
    assert (layer.tap().scale, layer.tap().zero_point) == ((float(np.float32(0.03)),), (0,))
    (layer,) = load(NETS["centred"].data).layers
    assert (layer.tap().scale, layer.tap().zero_point) == ((float(np.float32(0.03)),), (90,))


@pytest.mark.parametrize("name", ["fused_relu", "rectifying", "nhwc_fused"])
def test_a_node_that_applies_its_activation_has_no_raw_output_and_says_so(name: str) -> None:
    view = load(NETS[name].data)
    (layer,) = view.layers
    assert layer.tap(TapKind.CONV) is layer.tap(TapKind.NORM) is layer.taps[TapKind.ACT]
    with pytest.raises(Inapplicable, match=r"'c' has no raw output: its \w+ node itself applies"):
        view.taps(("c:conv",))
    assert view.taps(("*",), TapKind.CONV) == (layer.taps[TapKind.ACT],)
    assert view.cost("c").parameters == layer.parameters == 4 * 27 + 4


def test_a_convolution_without_a_kernel_is_refused_when_it_runs_and_the_message_names_it() -> None:
    with pytest.raises(RunError, match="NhwcFusedConv"):
        rows_of(NETS["nhwc_fused"], "a")


GEOMETRY = [case for case in geometry() if case.layers[0].op == "Conv"]
"""Groups, ranks, strides, dilations and paddings, of Conv."""
OPERATORS = ("QLinearConv", "ConvInteger", "com.microsoft.FusedConv")


def instead(case: Case, operator: str) -> bytes:
    """The same geometry with another operator, the layer called c and its output a."""
    (layer,) = case.layers
    proto = onnx.load_from_string(case.data)
    (conv,) = [node for node in proto.graph.node if node.op_type == "Conv"]
    attributes = ", ".join(
        f"{a.name}={a.i}" if a.type == a.INT else f'{a.name}="{a.s.decode()}"' if a.type == a.STRING
        else f"{a.name}={list(a.ints)}" for a in conv.attribute
    )  # fmt: skip
    axes = ",".join(map(str, case.shape))
    weight = np.random.default_rng(1).integers(-9, 9, layer.shape).astype(np.int8)
    given = {"sx": np.float32(0.05), "zx": np.uint8(120), "s": np.float32(0.01), "z": np.int8(0), "w": weight}
    start = "q = QuantizeLinear(x, sx, zx)"
    body = {
        "QLinearConv": f"{start} [c] a = QLinearConv <{attributes}> (q, sx, zx, w, s, z, sx, zx) "
        "y = DequantizeLinear(a, sx, zx)",
        "ConvInteger": f"{start} [c] a = ConvInteger <{attributes}> (q, w, zx) y = Cast <to=1> (a)",
        "com.microsoft.FusedConv": f'[c] a = com.microsoft.FusedConv <{attributes}, activation="Relu"> (x, f) '
        "y = Identity(a)",
        "twin": f"[c] e = Conv <{attributes}> (x, f) a = Relu(e) y = Identity(a)",
    }[operator]
    given |= {"f": weight.astype(np.float32)}
    used = {k: np.asarray(v) for k, v in given.items() if f"{k}," in body or f"{k})" in body}
    return model(body, inputs=f"float[N,{axes}] x", outputs="float y", opset=22, ir=9, weights=used)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("case", GEOMETRY, ids=lambda case: case.name)
def test_all_operators_read_their_geometry_as_conv_does(case: Case, operator: str) -> None:
    """Facts equal to Conv's, and maps equal to the reference's for this geometry."""
    data, conv = instead(case, operator), load(case.data)
    view = load(data)
    (layer,), (known,) = view.layers, conv.layers
    for name in (
        "weight_shape", "groups", "kernel", "strides", "dilations", "pads", "auto_pad", "in_channels", "out_channels",
        "depthwise",
    ):  # fmt: skip
        assert getattr(layer, name) == getattr(known, name), name
    assert view.receptive_fields("c") == conv.receptive_fields("c")
    if operator != "com.microsoft.FusedConv":  # whose shape onnx does not infer
        assert view.cost("c").macs == conv.cost("c").macs
    x = case.inputs(2)
    written = instrument(view, [Request("a", op.keep(TAPPED))], shapes={"x": case.shape})
    with open_session(written.model, weights=written.weights, device="cpu", fidelity="exact") as session:
        (maps,) = session.run({"x": x})
    twin = instead(case, "twin") if operator == "com.microsoft.FusedConv" else data
    np.testing.assert_allclose(maps, values(twin, {"x": x}, ["a"])["a"], rtol=1e-5, atol=1e-5)


DEFORM = (
    f"[offsets] o = Conv {SAME} (x, wo) [mask] m = Conv {SAME} (x, wm) s = Sigmoid(m) "
    f"[c] a = DeformConv <pads=[1,1,1,1], offset_group=3, group=1> (x, w, o, b, s) y = Relu(a)"
)


def deformable() -> bytes:
    """Three offset groups: 2 * 3 * 9 offsets and 3 * 9 masks a place."""
    given = {"w": W, "b": numbers(4), "wo": numbers(54, 3, 3, 3), "wm": numbers(27, 3, 3, 3)}
    return model(DEFORM, opset=22, ir=9, weights=given)


def test_a_deformable_convolution_is_a_layer_that_may_read_all_of_the_image() -> None:
    view = load(deformable())
    assert [layer.name for layer in view.layers] == ["offsets", "mask", "c"]
    layer = view.layer("c")
    assert {kind.value: tap.tensor for kind, tap in layer.taps.items()} == {"conv": "a", "act": "y"}
    assert (layer.op, layer.weight_shape, layer.parameters, layer.pads) == ("DeformConv", W.shape, 112, (1, 1, 1, 1))
    assert view.cost("c").macs == 4 * 27 * 30
    np.testing.assert_array_equal(view.filters("c").weight, W)
    np.testing.assert_array_equal(view.filters("c").bias, numbers(4))
    (field,) = view.receptive_fields("c").values()
    assert field.unbounded
    assert field.size == (None, None)
    written = instrument(view, [Request("a", op.keep(TAPPED))], shapes={"x": X.shape[1:]})
    with open_session(written.model, weights=written.weights, device="cpu", fidelity="exact") as session:
        (maps,) = session.run({"x": X})
    np.testing.assert_allclose(maps, values(deformable(), {"x": X}, ["a"])["a"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "low", "high"),
    [
        ("q = Sigmoid(x) [c] a = DeformConv <pads=[1,1,1,1]> (q, w, o, b)", 0, 1),
        ("q = Sigmoid(x) h = Neg(m) s = Sigmoid(h) [c] a = DeformConv <pads=[1,1,1,1]> (q, w, o, b, s)", 0, 1),
        ("q = Sigmoid(x) [c] a = DeformConv <pads=[1,1,1,1]> (q, w, o, b, m)", -np.inf, np.inf),
        (
            "half = Constant <value_float=0.5> () q = Clip(x, half) [c] a = DeformConv <pads=[1,1,1,1]> (q, w, o, b)",
            0,
            np.inf,
        ),
    ],
)
def test_what_a_deformable_convolution_reads_is_mixed_with_zero_and_masked(body: str, low: float, high: float) -> None:
    head = f"o = Conv {SAME} (x, wo) m = Conv {SAME} (x, wm)"
    given = {"w": W, "b": numbers(4), "wo": numbers(18, 3, 3, 3), "wm": numbers(9, 3, 3, 3)}
    found = load(model(f"{head} {body} y = Relu(a)", opset=22, ir=9, weights=given)).input_range("c")
    np.testing.assert_allclose(found, (low, high), atol=0.035)  # widened for bfloat16, four times
    assert found[0] <= low
    assert found[1] >= high


def test_two_layers_may_share_one_tensor_of_weights_with_scales_of_their_own() -> None:
    body = (
        qlinear("z0") + " f = MaxPool <kernel_shape=[1,1]> (q) [d] e = QLinearConv (f, sx, zx, w8, s1, zero8, sy, z90)"
    )
    view = load(net(f"{body} y = DequantizeLinear(e, sy, z90)"))
    np.testing.assert_allclose(view.filters("c").weight, REAL, rtol=1e-6)
    scales = np.float64(np.float32(0.001)) / np.float32([0.001, 0.002, 0.0015, 0.0005]).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(view.filters("d").weight, REAL * scales, rtol=1e-5)
    assert (view.layer("c").parameters, view.layer("d").parameters) == (112, 108)


def test_what_a_quantised_layer_reads_is_bounded_by_its_type() -> None:
    low, high = load(NETS["rectifying"].data).input_range("c")
    np.testing.assert_allclose((low, high), ((0 - 120) * float(X_SCALE), (255 - 120) * float(X_SCALE)), rtol=1e-12)
    assert load(NETS["integer"].data).input_range("c") == (-120, 135)  # it has no scale: integers
    assert load(NETS["integer_dynamic"].data).input_range("c") == (-np.inf, np.inf)


def test_the_integers_of_positive_numbers_are_not_below_the_zero_point() -> None:
    body = qlinear("z0").replace("q = QuantizeLinear(x,", "p = Relu(x) q = QuantizeLinear(p,")
    assert load(net(f"{body} y = DequantizeLinear(a, sy, z0)")).input_range("c")[0] == 0


def test_rounding_before_a_bias_is_not_folded_away() -> None:
    """Rounding can lift what the bias then lifts above zero, so the filters must say that they are not whole."""
    assert not load(NETS["qdq_then_bias"].data).filters("c", fold_norm=True).whole
    assert not load(NETS["bias_after"].data).filters("c", fold_norm=True).whole
    assert load(NETS["relu_after"].data).filters("c", fold_norm=True).whole
    assert load(NETS["bias_then_qdq"].data).filters("c", fold_norm=True).whole
    assert load(NETS["qdq_then_relu"].data).filters("c", fold_norm=True).whole


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('[c] a = com.microsoft.FusedConv <activation="Sine"> (x, w) y = Relu(a)', "carries an activation that is not"),
        (
            '[c] a = com.microsoft.FusedConv <activation="Clip"> (x, w) y = Relu(a)',
            "Clip that it carries has no bounds",
        ),
        ("[c] a = com.microsoft.NhwcConv (x, w) y = Relu(a)", "does not say how its weight is laid out"),
    ],
)
def test_what_cannot_be_read_is_refused_or_left_out_with_the_reason(body: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(net(body))


def test_scales_that_do_not_fit_are_a_fault_of_the_model() -> None:
    view = load(net(qlinear("z0", weights="w8, b2, zw") + " y = DequantizeLinear(a, sy, z0)"))
    with pytest.raises(ModelError, match="a scale or zero point does not fit; expected one number, or 4"):
        view.filters("c")


@pytest.mark.parametrize("name", ["residual", "quantized_leaky", "rectifying", "qdq_rectifying", "fused_leaky"])
def test_receptive_fields_pass_quantised_arithmetic(name: str) -> None:
    """3 x 3 around every unit, whatever is done to the numbers afterwards."""
    (field,) = receptive_fields(load(NETS[name].data).model, Constants()).of("y").values()
    assert (field.size, field.offset, field.stride) == ((3, 3), (-1, -1), (1, 1))


@pytest.mark.parametrize("name", ["fused_sum", "channels_last", "nhwc_fused"])
def test_a_receptive_field_that_is_not_followed_says_at_which_node(name: str) -> None:
    (field,) = load(NETS[name].data).receptive_fields("c").values()
    assert field.size == (None, None)
    assert NETS[name].op in field.reason


def test_describe_says_what_the_integers_of_a_tap_mean() -> None:
    (layer,) = describe(load(NETS["centred"].data))["layers"]
    assert layer["quantized"] == {"conv": {"scale": [float(np.float32(0.03))], "zero_point": [90]}}
    (layer,) = describe(load(NETS["fused_relu"].data))["layers"]
    assert (layer["quantized"], layer["taps"]) == ({}, {"conv": None, "norm": None, "act": "a"})


def test_saturation_is_bounded_above_as_well() -> None:
    (layer,) = load(NETS["rectifying"].data).layers
    assert layer.activation == HIGH == "Saturation(0,7.65)"
