"""Quantised, fused and channels-last convolutions: facts against a reader's, values against the ONNX reference."""

from __future__ import annotations

import numpy as np
import pytest
from models_quantized import NETS, Net
from reference import Sparsity, values

from inspector import Array, Ops, TapKind, Zeros
from inspector.contract.measures import TAPPED
from inspector.errors import Inapplicable, RunError
from inspector.graph.instrument import Request, instrument
from inspector.graph.load import load
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
    with open_session(written.model, device="cpu", fidelity=fidelity) as session:
        return dict(zip(ROWS, session.run({"x": X}), strict=True))


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
