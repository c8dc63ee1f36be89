"""Chains of operators, run with and without onnxruntime's optimiser: what has to be the same, and is not always."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser

from inspector.contract import Array
from inspector.errors import RunError
from inspector.runtime.session import Fidelity, open_session

TOLERANCE: Final = 1e-4
"""Of the largest number: how far apart the two may be."""
_RANDOM: Final = np.random.default_rng(7)


def _random(*shape: int) -> Array:
    return _RANDOM.standard_normal(shape).astype(np.float32)


INPUT: Final = _random(2, 4, 6, 6)
NUMBERS: Final = {
    "k33": _random(4, 4, 3, 3), "k11": _random(4, 4, 1, 1), "kdw": _random(4, 1, 3, 3), "kt": _random(4, 4, 2, 2),
    "square": _random(4, 4), "of4": _random(4), "of4b": _random(4), "var": np.abs(_random(4)) + np.float32(0.1),
    "s": np.float32(0.7), "s1": _random(1), "c11": _random(4, 1, 1), "nc11": _random(1, 4, 1, 1),
    "zero": np.float32(0), "one": np.float32(1), "two": np.float32(2), "three": np.float32(3), "six": np.float32(6),
    "minus": np.float32(-1), "half": np.float32(0.5), "tenth": np.float32(0.1), "sqrt2": np.float32(2**0.5),
    "quick": np.float32(1.702), "near_quick": np.float32(1.6), "near_sqrt2": np.float32(1.41), "eps": np.float32(1e-5),
    "tanh_a": np.float32(0.7978845608), "tanh_b": np.float32(0.044715), "sixth": np.float32(1 / 6),
    "around": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "wide": np.array([0, 0, 2, 0, 0, 0, 0, 1]),
    "inwards": np.array([0, 0, -1, 1, 0, 0, 1, -1]), "last_around": np.array([0, 1, 1, 0, 0, 1, 1, 0]),
    "i0": np.array([0]), "i1": np.array([1]), "i2": np.array([2]), "i3": np.array([3]), "i4": np.array([4]),
    "far": np.array([1000]), "back": np.array([-1]), "start": np.array([-1000]), "hw": np.array([2, 3]),
    "in_pairs": np.array([2, 2]), "order": np.array([3, 1, 0, 2]), "flat": np.array([0, 4, -1]),
    "twice": np.array([1, 1, 2, 2], np.float32), "once": np.array([1, 1, 1, 1], np.float32),
    "halved": np.array([1, 1, 0.5, 0.5], np.float32),
}  # fmt: skip

_WINDOWS: Final = {
    "": "",
    "padded": ", pads=[1,1,1,1]",
    "strided": ", strides=[2,2]",
    "same": ', auto_pad="SAME_UPPER", strides=[2,2]',
}
_TURNED: Final = "t = Transpose <perm=[0,2,3,1]> (x)"
_BACK: Final = "y = Transpose <perm=[0,3,1,2]> (u)"


def variants(opset: int) -> dict[str, str]:
    """Operators by a name, as nodes from x to y; other names are their own."""
    found = {name: f"y = {name}(x)" for name in _ALONE.split()} | dict(_WRITTEN)
    found |= {f"Pad {value or 'by default'}": f"y = Pad(x, around{f', {value}' * bool(value)})" for value in
              ("", "zero", "minus", "one")}  # fmt: skip
    found |= {f"Pad {mode}": f'y = Pad <mode="{mode}"> (x, around)' for mode in ("reflect", "edge")}
    for label, window in _WINDOWS.items():
        found |= {
            f"Conv {label}": f"y = Conv <kernel_shape=[3,3]{window}> (x, k33)",
            f"Conv with a bias {label}": f"y = Conv <kernel_shape=[3,3]{window}> (x, k33, of4)",
            f"depthwise Conv {label}": f"y = Conv <kernel_shape=[3,3], group=4{window}> (x, kdw)",
            f"MaxPool {label}": f"y = MaxPool <kernel_shape=[3,3]{window}> (x)",
            f"AveragePool {label}": f"y = AveragePool <kernel_shape=[3,3]{window}> (x)",
            f"AveragePool of all {label}": f"y = AveragePool <kernel_shape=[3,3], count_include_pad=1{window}> (x)",
        }
    for op, operand in itertools.product(("Add", "Mul", "Sub", "Div", "Max", "Min"), ("s", "s1", "c11", "nc11")):
        found[f"{op} {operand}"] = f"y = {op}(x, {operand})"
        if op in ("Sub", "Div"):
            found[f"{op} from {operand}"] = f"y = {op}({operand}, x)"
    for low, high in (("zero", "six"), ("minus", "one"), ("half", "one"), ("zero", ""), ("", "one"), ("one", "zero")):
        found[f"Clip {low},{high}"] = f"y = Clip(x, {low}, {high})" if high else f"y = Clip(x, {low})"
    for op in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2"):
        reduced = f"{op}(x, hw)" if opset >= 18 else f"{op} <axes=[2,3]> (x)"
        found[f"minus {op}"] = f"t = {reduced} y = Sub(x, t)"
    for mode, how in itertools.product(("nearest", "linear", "cubic"), ("half_pixel", "asymmetric", "align_corners")):
        found[f"Resize {mode} {how}"] = (
            f'y = Resize <mode="{mode}", coordinate_transformation_mode="{how}"> (x, , twice)'
        )
    mean = "{} = ReduceMean({}, i1)" if opset >= 18 else "{} = ReduceMean <axes=[1]> ({})"
    found["LayerNormalization in parts"] = (
        f"{mean.format('m', 'x')} d = Sub(x, m) q = Pow(d, two) {mean.format('v', 'q')} e = Add(v, eps) r = Sqrt(e) "
        "n = Div(d, r) g = Mul(n, c11) y = Add(g, c11)"
    )
    parts = ", num_outputs=2" if opset >= 18 else ""
    found["halves exchanged"] = f"a, b = Split <axis=1{parts}> (x) y = Concat <axis=1> (b, a)"
    return found


_ALONE: Final = """Relu Sigmoid Tanh Elu Selu Softplus Softsign Abs Neg Exp Identity Dropout Erf Floor Ceil Sign
Reciprocal HardSigmoid HardSwish Round"""
_WRITTEN: Final = {
    "Pad wide": "y = Pad(x, wide, zero)",
    "Pad inwards": "y = Pad(x, inwards, zero)",
    "Pad turned": f"{_TURNED} u = Pad(t, last_around) {_BACK}",
    "Conv of points": "y = Conv(x, k11)",
    "Conv dilated": "y = Conv <dilations=[2,2], pads=[2,2,2,2]> (x, k33)",
    "ConvTranspose": "y = ConvTranspose <strides=[2,2]> (x, kt)",
    "MaxPool dilated": "y = MaxPool <kernel_shape=[3,3], dilations=[2,2], pads=[1,1,1,1]> (x)",
    "MaxPool rounded up": "y = MaxPool <kernel_shape=[3,3], strides=[2,2], ceil_mode=1> (x)",
    "AveragePool rounded up": "y = AveragePool <kernel_shape=[3,3], strides=[2,2], ceil_mode=1> (x)",
    "LpPool": "y = LpPool <kernel_shape=[2,2]> (x)",
    "BatchNormalization": "y = BatchNormalization(x, of4, of4b, of4, var)",
    "InstanceNormalization": "y = InstanceNormalization(x, of4, of4b)",
    "LRN": "y = LRN <size=3> (x)",
    "LeakyRelu": "y = LeakyRelu <alpha=0.1> (x)",
    "LeakyRelu that turns": "y = LeakyRelu <alpha=-0.5> (x)",
    "ThresholdedRelu": "y = ThresholdedRelu <alpha=0.3> (x)",
    "PRelu": "y = PRelu(x, c11)",
    "Sqrt": "t = Abs(x) y = Sqrt(t)",
    "Pow 2": "y = Pow(x, two)",
    "Pow 3": "y = Pow(x, three)",
    "Mul by 1": "y = Mul(x, one)",
    "Add of 0": "y = Add(x, zero)",
    "Div by 1": "y = Div(x, one)",
    "Sub from 0": "y = Sub(zero, x)",
    "Add of itself": "y = Add(x, x)",
    "Mul by itself": "y = Mul(x, x)",
    "Add of its Relu": "t = Relu(x) y = Add(x, t)",
    "SiLU": "t = Sigmoid(x) y = Mul(x, t)",
    "QuickGELU": "t = Mul(x, quick) u = Sigmoid(t) y = Mul(x, u)",
    "nearly QuickGELU": "t = Mul(x, near_quick) u = Sigmoid(t) y = Mul(x, u)",
    "GELU": "t = Div(x, sqrt2) e = Erf(t) a = Add(e, one) m = Mul(x, a) y = Mul(m, half)",
    "nearly GELU": "t = Div(x, near_sqrt2) e = Erf(t) a = Add(e, one) m = Mul(x, a) y = Mul(m, half)",
    "GELU by Tanh": "p = Pow(x, three) q = Mul(p, tanh_b) a = Add(x, q) b = Mul(a, tanh_a) t = Tanh(b) c = Add(t, one) "
    "m = Mul(x, c) y = Mul(m, half)",
    "HardSwish in parts": "a = Add(x, three) c = Clip(a, zero, six) m = Mul(x, c) y = Div(m, six)",
    "Softmax": "y = Softmax <axis=1> (x)",
    "Softmax of the last": "y = Softmax <axis=-1> (x)",
    "Transpose": "y = Transpose <perm=[0,1,3,2]> (x)",
    "Transpose and back": f"{_TURNED} {_BACK.replace('(u)', '(t)')}",
    "Add turned": f"{_TURNED} u = Add(t, of4) {_BACK}",
    "MatMul turned": f"{_TURNED} u = MatMul(t, square) {_BACK}",
    "Softmax turned": f"{_TURNED} u = Softmax <axis=-1> (t) {_BACK}",
    "times its mean": "t = GlobalAveragePool(x) y = Mul(x, t)",
    "times its largest": "t = GlobalMaxPool(x) y = Mul(x, t)",
    "Slice": "y = Slice(x, i1, far, i2)",
    "Slice of all": "y = Slice(x, i0, far, i2)",
    "Slice backwards": "y = Slice(x, back, start, i3, back)",
    "Concat with its Relu": "t = Relu(x) c = Concat <axis=1> (x, t) y = Slice(c, i2, far, i1)",
    "Concat alone": "y = Concat <axis=1> (x)",
    "Reshape and back": "s = Shape(x) t = Reshape(x, flat) y = Reshape(t, s)",
    "shuffle": "s = Shape(x) n = Slice(s, i0, i1) e = Slice(s, i2, i4) d = Concat <axis=0> (n, in_pairs, e) "
    "r = Reshape(x, d) t = Transpose <perm=[0,2,1,3,4]> (r) y = Reshape(t, s)",
    "Unsqueeze and back": "t = Unsqueeze(x, i2) y = Squeeze(t, i2)",
    "Cast to float64 and back": "t = Cast <to=11> (x) y = Cast <to=1> (t)",
    "Cast to int32 and back": "t = Cast <to=6> (x) y = Cast <to=1> (t)",
    "Cast to float16 and back": "t = Cast <to=10> (x) y = Cast <to=1> (t)",
    "Cast to bool and back": "t = Cast <to=9> (x) y = Cast <to=1> (t)",
    "Where": "g = Greater(x, zero) t = Mul(x, tenth) y = Where(g, x, t)",
    "Gather": "y = Gather <axis=1> (x, order)",
    "Expand": "s = Shape(x) t = Expand(c11, s) y = Add(t, x)",
    "Resize by 1": "y = Resize(x, , once)",
    "Resize by half": 'y = Resize <mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"> '
    "(x, , halved)",
    "MatMul by itself": "t = Transpose <perm=[0,1,3,2]> (x) y = MatMul(x, t)",
}


def net(chain: Sequence[str], opset: int) -> bytes:
    """A model of these bodies, one behind the other."""
    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]> chain (float[N,4,6,6] x0) => (float[A,B,C,D] x{len(chain)}) {{}}'
    )
    for number, body in enumerate(chain):
        for node in _nodes(body, opset):
            added = proto.graph.node.add()
            added.CopyFrom(node)
            added.input[:] = [_placed(name, number) for name in node.input]
            added.output[:] = [_placed(name, number) for name in node.output]
    used = sorted({name for node in proto.graph.node for name in node.input} & set(NUMBERS))
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(NUMBERS[name]), name) for name in used)
    return proto.SerializeToString()


@functools.cache
def _nodes(body: str, opset: int) -> Sequence[onnx.NodeProto]:
    head = f'<ir_version: 8, opset_import: ["": {opset}]> part (float x) => (float y)'
    return onnx.parser.parse_model(f"{head} {{ {body} }}").graph.node


def _placed(name: str, number: int) -> str:
    """A name of one body, in the chain."""
    if not name or name in NUMBERS:
        return name
    return {"x": f"x{number}", "y": f"x{number + 1}"}.get(name, f"{name}_{number}")


def apart(chain: Sequence[str], opset: int, device: str = "cpu") -> str | None:
    """How the optimised net on a device differs from the plain one on the CPU; None where that cannot run at all."""
    data = net(chain, opset)
    try:
        exact = _ran(data, "exact")
    except RunError:
        return None
    try:
        fast = _ran(data, "fast", device)
    except RunError as error:
        return f"does not run optimised: {error}"
    if exact.shape != fast.shape:
        return f"shapes {exact.shape} and {fast.shape}"
    with np.errstate(invalid="ignore"):
        distance = np.abs(exact - fast)
    distance[(exact == fast) | (np.isnan(exact) & np.isnan(fast))] = 0
    largest = np.max(np.abs(exact), initial=0, where=np.isfinite(exact))
    if not np.isfinite(distance).all() or distance.max(initial=0) > TOLERANCE * largest:
        return f"apart by {distance.max():.3g} of {largest:.3g}"
    return ""


def _ran(data: bytes, fidelity: Fidelity, device: str = "cpu") -> Array:
    with open_session(data, device=device, fidelity=fidelity) as session:
        return np.asarray(session.run({"x0": INPUT})[0], np.float64)
