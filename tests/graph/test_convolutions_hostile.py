"""Quantised and fused convolutions that nobody has checked: each is refused, or read for what it is, never a crash."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from models_quantized import NETS, NUMBERS, Q, net, qlinear

from inspector import InspectorError, Ops
from inspector.contract.measures import TAPPED
from inspector.graph.instrument import Request, instrument
from inspector.graph.load import load

op = Ops()
FUSED = "[c] a = com.microsoft.FusedConv <{}> (x, w) y = Relu(a)"
LAST = "[c] a = com.microsoft.QLinearConv <{}> (q, sx, zx, w8, sw, zw, sy, z0) y = DequantizeLinear(a, sy, z0)"
BODIES = [
    *(FUSED.format(a) for a in (
        "activation=1", "activation=[1,2]", 'activation=""', 'activation="Relu", activation_params=3', "group=1.5",
        'strides="wide"', "pads=[0.5]", "auto_pad=1", 'activation="Clip", activation_params=[1,2]', "dilations=2",
        'activation="Clip", activation_params=[1.0,2.0,3.0]', "kernel_shape=3.0",
    )),
    *(f"{Q} {LAST.format(a)}" for a in ('channels_last="yes"', "channels_last=[1]", "channels_last=7", "group=3")),
    "[c] a = com.microsoft.FusedConv () y = Relu(x)",
    "[c] a = com.microsoft.FusedConv (x) y = Relu(a)",
    "[c] a = com.microsoft.QLinearConv (x, w, b) y = Relu(a)",
    f"{qlinear('z0')} s = com.microsoft.QLinearAdd(a) y = Identity(s)",
    f"{qlinear('z0')} s = com.microsoft.QLinearAdd(a, sy, z0, a, sy, z0, sy, z0) y = Identity(s)",
    f"{qlinear('z0')} s = com.microsoft.QLinearLeakyRelu(a) y = Identity(s)",
    f"{qlinear('z0')} s = com.microsoft.DequantizeLinear(a) y = Identity(s)",
    f"{qlinear('z0')} s = com.microsoft.DequantizeLinear() y = Identity(s)",
    "h = com.microsoft.DequantizeLinear <a=1> () [c] a = Conv(h, w) y = Relu(a)",
    '[c] a = Conv(x, w) r = com.microsoft.QuantizeLinear <axis="one"> (a, sy, z0) y = Identity(r)',
    "[c] a = Conv(x, w) r = com.microsoft.QuantizeLinear (a) y = Identity(r)",
    "[c] a = Conv(x, w) r = com.microsoft.QuantizeLinear (a, sy, zero) y = Identity(r)",
    "[c] a = DeformConv(x, w, x) y = Relu(a)",
]  # fmt: skip


def everything(data: bytes) -> int:
    """Asks for all facts of all layers, and for an instrumented model; how many layers there are."""
    view = load(data)
    for layer in view.layers:
        view.filters(layer.name, fold_norm=True)
        view.input_range(layer.name)
        view.cost(layer.name)
        view.receptive_fields(layer.name)
    requests = [Request(tap.tensor, op.max(TAPPED)) for layer in view.layers for tap in layer.taps.values()]
    assert instrument(view, requests).slots
    return len(view.layers)


def found_or_refused(data: bytes) -> int:
    """Layers that answer every question; 0 where the model, or an answer, is refused by an error of ours."""
    try:
        return everything(data)
    except InspectorError:
        return 0


@pytest.mark.parametrize("body", BODIES)
def test_a_strange_node_is_refused_by_name_or_read(body: str) -> None:
    assert found_or_refused(net(body)) in (0, 1)


def tensors(name: str) -> dict[str, onnx.TensorProto]:
    """Replacements for an initializer: other types, other shapes, and numbers that are none."""
    shape = NUMBERS[name].shape
    arrays = {
        "text": np.full(shape, "a", object), "truth": np.ones(shape, bool), "nan": np.full(shape, np.nan, np.float32),
        "zero": np.zeros(shape, np.float32), "negative": np.full(shape, -1.0, np.float32),
        "huge": np.full(shape, 3e38, np.float32), "empty": np.zeros((0,), np.float32),
        "long": np.ones((7, 2), np.float32), "complex": np.ones(shape, np.complex64),
    }  # fmt: skip
    return {kind: onnx.numpy_helper.from_array(array, name) for kind, array in arrays.items()}


@pytest.mark.parametrize("kind", tensors("sx"))
@pytest.mark.parametrize("name", ["w8", "sw", "zw", "sx", "zx", "sy", "z0", "b32"])
@pytest.mark.parametrize("case", ["rectifying", "residual", "channels_last"])
def test_numbers_of_any_kind_in_any_place_are_refused_by_name_or_read(case: str, name: str, kind: str) -> None:
    proto = onnx.load_from_string(NETS[case].data)
    (old,) = [t for t in proto.graph.initializer if t.name == name]
    old.CopyFrom(tensors(name)[kind])
    assert found_or_refused(proto.SerializeToString()) in (0, 1)
