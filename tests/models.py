"""Tiny networks, one per hazard, each with the facts that a reader of its text would expect."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser

from inspector import Array, Zeros

NEWEST = 26
"""The newest opset that onnxruntime 1.31 runs."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be found of one layer: its name, and the tensors of its taps (None: no such tap)."""

    name: str
    conv: str
    act: str | None = None
    activation: str | None = None
    norm: str | None = None
    zeros: Zeros = Zeros.EXACT
    shared: bool = False
    linear: str = ""
    op: str = "Conv"
    groups: int = 1
    shape: tuple[int, ...] = (4, 3, 3, 3)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A network, its layers as a reader would list them, and one input's shape (free axes given a size)."""

    name: str
    data: bytes
    layers: tuple[Expected, ...]
    shape: tuple[int, ...] = (3, 6, 5)
    dtype: str = "float32"
    left_out: int = 0
    computed: bool = False

    def inputs(self, count: int, seed: int = 0) -> Array:
        """`count` random inputs."""
        return np.random.default_rng(seed).normal(size=(count, *self.shape)).astype(self.dtype)


def numbers(*shape: int, scale: float = 1.0) -> Array:
    """Random float32 of that shape, the same ones every time."""
    seed = functools.reduce(lambda a, b: 31 * a + b, shape, 7)
    fan_in = max(1, math.prod(shape[1:]))
    return (np.random.default_rng(seed).normal(size=shape) * scale / math.sqrt(fan_in)).astype(np.float32)


def model(
    body: str,
    *,
    inputs: str = "float[N,3,6,5] x",
    outputs: str = "float[N,C,H,W] y",
    opset: int = 17,
    ir: int = 8,
    weights: Mapping[str, Array] | None = None,
    weights_are_inputs: bool = False,
) -> bytes:
    """ONNX bytes from the text of a graph's nodes; `weights` become initializers."""
    imports = f'"" : {opset}, "com.example" : 1, "com.microsoft" : 1'
    proto = onnx.parser.parse_model(
        f"<ir_version: {ir}, opset_import: [{imports}]> net ({inputs}) => ({outputs}) {{ {body} }}"
    )
    for name, array in (weights or {}).items():
        tensor = onnx.numpy_helper.from_array(array, name)
        proto.graph.initializer.append(tensor)
        if weights_are_inputs:
            listed = proto.graph.input.add(name=name)
            listed.type.tensor_type.elem_type = tensor.data_type
            for size in array.shape:
                listed.type.tensor_type.shape.dim.add(dim_value=size)
    return proto.SerializeToString()


def sparse(array: Array, name: str = "", *, coordinates: bool = False) -> onnx.SparseTensorProto:
    """An array as a file keeps it that has few numbers other than 0."""
    places = np.stack(np.nonzero(array), axis=1) if coordinates else np.flatnonzero(array)
    values, indices = (onnx.numpy_helper.from_array(a, n) for a, n in ((array[array != 0], name), (places, "")))
    return onnx.SparseTensorProto(values=values, indices=indices, dims=array.shape)


W = numbers(4, 3, 3, 3)
B = numbers(4)
SAME = "<pads=[1,1,1,1]>"
_ONE = Expected("c", "a", "y", "Relu")
"""Most nets are one convolution named c, its output a, then Relu into y."""


def one(name: str, body: str, expected: Expected = _ONE, **options: object) -> Case:
    """A net of one layer, weights `w` (4, 3, 3, 3) and `b` (4,) at hand."""
    facts = {k: options.pop(k) for k in ("shape", "dtype", "left_out", "computed") if k in options}
    weights = {"w": W, "b": B, **options.pop("weights", {})}  # type: ignore[dict-item]
    used = {k: v for k, v in weights.items() if f"{k}," in _words(body) or f"{k})" in _words(body)}
    return Case(name, model(body, weights=used, **options), (expected,), **facts)  # type: ignore[arg-type]


def _words(body: str) -> str:
    return body.replace(" ", "")


def norms() -> list[Case]:
    """A bias or a normalisation between the convolution and its activation."""
    bn = {k: np.abs(numbers(4, scale=s)) + 0.5 for k, s in zip(("g", "h", "m", "v"), (1, 2, 3, 4), strict=True)}
    tapped = Expected("c", "a", "y", "Relu", norm="n")
    batch = f"[c] a = Conv {SAME} (x, w, b) n = BatchNormalization <epsilon=0.1> (a, g, h, m, v) y = Relu(n)"
    group = f"[c] a = Conv {SAME} (x, w) n = GroupNormalization <num_groups=2> (a, g, h) y = Relu(n)"
    instance = f"[c] a = Conv {SAME} (x, w) n = InstanceNormalization (a, g, h) y = Relu(n)"
    return [
        *(one(f"batch_norm_{o}", batch, tapped, opset=o, weights=bn) for o in (7, 9, 14, 15, NEWEST)),
        one("instance_norm", instance, tapped, weights=bn),
        one("group_norm", group, tapped, weights=bn, opset=21),
        one("bias_add", f"[c] a = Conv {SAME} (x, w) n = Add(a, k) y = Relu(n)", tapped,
            weights={"k": numbers(1, 4, 1, 1)}),
        one("bias_add_first", f"[c] a = Conv {SAME} (x, w) n = Add(k, a) y = Relu(n)", tapped,
            weights={"k": numbers(4, 1, 1)}),
        one("scale_and_shift", f"[c] a = Conv {SAME} (x, w, b) m = Mul(a, s) n = Sub(k, m) y = Relu(n)", tapped,
            weights={"s": numbers(1, 4, 1, 1), "k": numbers(1, 4, 1, 1)}),
        one("divided", f"[c] a = Conv {SAME} (x, w, b) n = Div(a, s) y = Relu(n)", tapped,
            weights={"s": numbers(1, 4, 1, 1) + 2}),
        one("bias_of_positions", f"[c] a = Conv {SAME} (x, w) n = Add(a, k) y = Relu(n)", tapped,
            weights={"k": numbers(1, 4, 6, 5)}),
        one("dropout_between", f"[c] a = Conv {SAME} (x, w) d = Dropout(a) n = Add(d, k) i = Identity(n) y = Relu(i)",
            tapped, weights={"k": numbers(4, 1, 1)}),
    ]  # fmt: skip


def geometry() -> list[Case]:
    """Groups, ranks, strides, dilations and paddings."""

    def conv(name: str, attributes: str, shape: tuple[int, ...], *, op: str = "Conv", groups: int = 1,
             space: tuple[int, ...] = (6, 5)) -> Case:  # fmt: skip
        """One convolution of that weight shape, reading as many channels as it takes."""
        channels = shape[1] * groups if op == "Conv" else shape[0]
        axes = ",".join(map(str, (channels, *space)))
        free = ",".join(f"d{i}" for i in range(len(space)))
        expected = Expected("c", "a", "y", "Relu", op=op, groups=groups, shape=shape)
        attributes = ", ".join(part for part in (f"group={groups}", attributes) if part)
        return one(
            name, f"[c] a = {op} <{attributes}> (x, w) y = Relu(a)", expected, weights={"w": numbers(*shape)},
            inputs=f"float[N,{axes}] x", outputs=f"float[N,M,{free}] y", shape=(channels, *space),
        )  # fmt: skip

    return [
        conv("grouped", "", (6, 2, 3, 3), groups=2),
        conv("depthwise", "", (6, 1, 3, 3), groups=3),
        conv("one_input_channel", "", (4, 1, 3, 3)),
        conv("one_output_channel", "", (1, 3, 3, 3)),
        conv("one_channel", "", (1, 1, 3, 3)),
        conv("transposed", "strides=[2,2]", (3, 4, 2, 2), op="ConvTranspose"),
        conv("transposed_grouped", "strides=[2,1], output_padding=[1,0], pads=[0,1,1,0]", (4, 3, 2, 3),
             op="ConvTranspose", groups=2),
        conv("line", "pads=[1,1]", (4, 3, 3), space=(7,)),
        conv("volume", "pads=[1,0,1,1,0,1], strides=[2,1,1]", (4, 2, 3, 1, 3), space=(4, 3, 5)),
        conv("dilated", "dilations=[2,1], pads=[2,1,2,1]", (4, 3, 3, 3)),
        conv("same_upper", 'auto_pad="SAME_UPPER", strides=[2,2]', (4, 3, 3, 3)),
        conv("same_lower", 'auto_pad="SAME_LOWER", strides=[2,2]', (4, 3, 2, 2)),
        conv("valid", 'auto_pad="VALID"', (4, 3, 3, 3)),
        conv("uneven_pads", "pads=[0,2,1,0], strides=[1,2]", (4, 3, 3, 3)),
        conv("pointwise", "", (4, 3, 1, 1)),
    ]  # fmt: skip


def constants() -> list[Case]:
    """Weights that come out of something else than a plain initializer."""
    whole = ",".join(repr(float(v)) for v in W.ravel())
    relu = f"[c] a = Conv {SAME} (x, k) y = Relu(a)"
    shape, flat = np.array([4, 3, 3, 3], np.int64), W.reshape(4, 27)
    made = Expected("c", "a", "y", "Relu")
    return [
        one("weight_constant", f"k = Constant <value = float[4,3,3,3] {{{whole}}}> () {relu}"),
        one("weight_constant_of_shape", f"k = ConstantOfShape <value = float[1] {{0.25}}> (s) {relu}",
            weights={"s": shape}),
        one("weight_identity", f"i = Identity(w) k = Identity(i) {relu}"),
        one("weight_reshape", f"k = Reshape(f, s) {relu}", weights={"f": flat, "s": shape}),
        one("weight_transpose", f"k = Transpose <perm=[3,2,0,1]> (t) {relu}",
            weights={"t": np.ascontiguousarray(W.transpose(2, 3, 1, 0))}),
        one("weight_cast", f"k = Cast <to=1> (h) {relu}", weights={"h": W.astype(np.float16)}),
        *(one(f"weight_dequantized_{o}", f"k = DequantizeLinear <axis=0> (q, s, z) {relu}", opset=o, weights={
            "q": np.arange(108, dtype=np.uint8).reshape(4, 3, 3, 3), "s": np.linspace(0.01, 0.04, 4).astype("f"),
            "z": np.array([50, 60, 70, 80], np.uint8)}) for o in (13, 21)),
        one("weight_scaled", f"k = Mul(w, s) {relu}", weights={"s": numbers(4, 1, 1, 1)}),
        one("weights_as_inputs", f"[c] a = Conv {SAME} (x, w, b) y = Relu(a)", ir=3, opset=7, weights_are_inputs=True),
        one("weight_computed", f"g = GlobalAveragePool(x) r = ReduceMean <keepdims=1> (g) k = Mul(w, r) {relu}",
            made, computed=True, inputs="float[1,3,6,5] x"),
        _sparse("weight_sparse_places"),
        _sparse("weight_sparse_coordinates", coordinates=True),
        _sparse("weight_sparse_constant", in_node=True),
    ]  # fmt: skip


def _sparse(name: str, *, coordinates: bool = False, in_node: bool = False) -> Case:
    """A weight of which two thirds are 0."""
    tensor = sparse(np.where(np.abs(W) > 0.2, W, 0), "k", coordinates=coordinates)
    proto = onnx.load_from_string(model(f"[c] a = Conv {SAME} (x, k) y = Relu(a)"))
    if in_node:
        proto.graph.node.insert(0, onnx.NodeProto(op_type="Constant", output=["k"]))
        kind = onnx.AttributeProto.SPARSE_TENSOR
        proto.graph.node[0].attribute.add(name="sparse_value", sparse_tensor=tensor, type=kind)
    else:
        proto.graph.sparse_initializer.append(tensor)
    return Case(name, proto.SerializeToString(), (_ONE,))


def structures() -> list[Case]:
    """What the graph around a convolution looks like."""
    w2, v = numbers(4, 4, 3, 3), numbers(4, 4, 1, 1)
    chain = f"[c] a = Conv {SAME} (x, w, b) r = Relu(a) [d] e = Conv {SAME} (r, w2) y = Relu(e)"
    residual = f"[c] a = Conv {SAME} (x, w) [d] e = Conv (x, p) s = Add(a, e) y = Relu(s)"
    pre = f"n = BatchNormalization(x, g, g, z, g) r = Relu(n) [c] y = Conv {SAME} (r, w)"
    concat = f"[c] a = Conv {SAME} (x, w) [d] e = Conv (x, p) k = Concat <axis=1> (a, e) y = Relu(k)"
    named = (
        f"[conv] a = Conv {SAME} (x, w) r = Relu(a) [conv] e = Conv {SAME} (r, w2) s = Relu(e) "
        f'f = Conv (s, v) t = Relu(f) ["block/1:act"] h = Conv (t, v) y = Relu(h)'
    )
    small, three = numbers(4, 3, 1, 1), np.ones(3, "f")
    return [
        Case("chain", model(chain, weights={"w": W, "b": B, "w2": w2}),
             (Expected("c", "a", "r", "Relu"), Expected("d", "e", "y", "Relu", shape=(4, 4, 3, 3)))),
        Case("residual", model(residual, weights={"w": W, "p": small}),
             (Expected("c", "a", "y", "Relu", shared=True),
              Expected("d", "e", "y", "Relu", shared=True, shape=(4, 3, 1, 1)))),
        Case("pre_activation", model(pre, weights={"w": W, "g": three, "z": three * 0}),
             (Expected("c", "y", linear="is an output of the model"),)),
        Case("concat", model(concat, weights={"w": W, "p": small}),
             (Expected("c", "a", linear="feeds Concat"),
              Expected("d", "e", linear="feeds Concat", shape=(4, 3, 1, 1)))),
        Case("norm_of_a_sum", model(f"[c] a = Conv {SAME} (x, w) m = Mul(a, w1) [d] e = Conv (x, p) s = Add(m, e) "
                                    "n = Mul(s, w1) y = Relu(n)",
                                    weights={"w": W, "p": small, "w1": numbers(4, 1, 1)}),
             (Expected("c", "a", "y", "Relu", norm="m", shared=True),
              Expected("d", "e", "y", "Relu", shared=True, shape=(4, 3, 1, 1)))),
        Case("two_readers", model(f"[c] a = Conv {SAME} (x, w) r = Relu(a) m = MaxPool <kernel_shape=[1,1]> (a) "
                                  "y = Add(r, m)", weights={"w": W}),
             (Expected("c", "a", "r", "Relu"),)),
        Case("names", model(named, weights={"w": W, "w2": w2, "v": v}),
             (Expected("conv", "a", "r", "Relu"), Expected("e", "e", "s", "Relu", shape=(4, 4, 3, 3)),
              Expected("f", "f", "t", "Relu", shape=(4, 4, 1, 1)),
              Expected("block/1:act", "h", "y", "Relu", shape=(4, 4, 1, 1)))),
        Case("in_a_branch", model(_branch("u = Constant <value = float[1,3,1,1] {1.0,2.0,3.0}> () t = Conv(x, u)",
                                          "y = Relu(a) z"), weights={"w": W}),
             (_ONE, Expected("t", "t", linear="is an output of a body of If 'z'", shape=(1, 3, 1, 1)))),
        one("in_a_loop", f"[c] a = Conv {SAME} (x, w) y = Relu(a) [l] z = Loop (turns, go, x) <body = again "
                         "(int64 i, bool on, float[N,3,P,Q] s) => (bool on2, float[N,3,P,Q] t) "
                         "{ on2 = Identity(on) [inner] t = Conv(s, u) }>",
            left_out=1, weights={"u": numbers(3, 3, 1, 1), "turns": np.array(2), "go": np.array(True)}),
        Case("integer_beside",
             model(f"[c] a = Conv {SAME} (x, w) y = Relu(a) q = Cast <to=2> (x) i = ConvInteger(q, u)",
                   weights={"w": W, "u": np.ones((2, 3, 1, 1), np.uint8)}),
             (_ONE, Expected("i", "i", linear="is used by nothing", op="ConvInteger", shape=(2, 3, 1, 1)))),
        one("relu_in_a_branch", _branch("t = Relu(a)", "y"),
            Expected("c", "a", linear="feeds Relu in the body of an If, Loop or Scan")),
        one("broadcast_sum", "[c] a = Conv (x, o) s = Add(a, x) y = Relu(s)",
            Expected("c", "a", linear="feeds Add", shape=(1, 3, 1, 1)), weights={"o": numbers(1, 3, 1, 1)}),
        one("broadcast_bias", "[c] a = Conv (x, o) s = Add(a, k) y = Relu(s)",
            Expected("c", "a", linear="feeds Add", shape=(1, 3, 1, 1)),
            weights={"o": numbers(1, 3, 1, 1), "k": numbers(1, 5, 1, 1)}),
        one("squeezed_sum", "[c] a = Conv (x, o) g = GlobalAveragePool(x) s = Add(a, g) y = Relu(s)",
            Expected("c", "a", "y", "Relu", shared=True, shape=(3, 3, 1, 1)), weights={"o": numbers(3, 3, 1, 1)}),
        one("foreign_operator", f"[c] a = Conv {SAME} (x, w) y = com.example.Relu(a)",
            Expected("c", "a", linear="feeds com.example.Relu")),
    ]  # fmt: skip


def _branch(body: str, outside: str) -> str:
    """An If whose one body is `body`, computing t, and whose other body gives back what it can see of the input."""
    kind = "float[N,M,P,Q]"
    branches = f"then_branch = yes () => ({kind} t) {{ {body} }}, else_branch = no () => ({kind} e) {{ e = Neg(x) }}"
    return (
        f"[c] a = Conv {SAME} (x, w) p = ReduceMax <keepdims=0> (x) q = Cast <to=9> (p) {outside} = If (q) <{branches}>"
    )


def batches() -> list[Case]:
    """A batch size, or an input size, that the model fixes or leaves open; and other element types."""
    tail = "r = Relu(a) f = Reshape(r, s) y = MatMul(f, d)"
    conv = f"[c] a = Conv {SAME} (x, w, b) "
    relu = Expected("c", "a", "r", "Relu")
    dense = {"d": numbers(120, 2)}

    def fixed(name: str, batch: int, target: list[int], body: str = tail) -> Case:
        return one(
            name, conv + body, relu, inputs=f"float[{batch},3,6,5] x", outputs="float[P,Q] y",
            weights={**dense, "s": np.array(target)},
        )  # fmt: skip

    typed = [
        one(f"{kind}_{opset}", f"[c] a = Conv {SAME} (x, w, b) y = Relu(a)", opset=opset, dtype=dtype,
            inputs=f"{kind}[N,3,6,5] x", outputs=f"{kind}[N,C,H,W] y",
            weights={"w": W.astype(dtype), "b": B.astype(dtype)})
        for kind, dtype in (("float16", "float16"), ("double", "float64"))
        for opset in (7, NEWEST)
    ]  # fmt: skip
    mixed = "r = Relu(a) p = Reshape(r, s) m = ReduceMax <axes=[0]> (p) f = Reshape(m, t) y = MatMul(f, d)"
    return [
        fixed("batch_1_reshape_rest", 1, [1, -1]),
        fixed("batch_1_reshape_whole", 1, [1, 120]),
        fixed("batch_1_reshape_flat", 1, [-1, 120]),
        fixed("batch_4", 4, [4, 120]),
        one("batch_1_mixed", conv + mixed, relu, inputs="float[1,3,6,5] x", outputs="float[P,Q] y",
            weights={**dense, "s": np.array([-1, 4, 6, 5]), "t": np.array([1, 120])}),
        one("free_space", f"[c] a = Conv {SAME} (x, w) r = Relu(a) y = GlobalMaxPool(r)", relu,
            inputs="float[N,3,H,W] x", outputs="float[N,M,P,Q] y"),
        *typed,
    ]  # fmt: skip


def opsets() -> list[Case]:
    """The same net in every opset that is supported."""
    body = f"[c] a = Conv {SAME} (x, w, b) y = Relu(a)"
    return [one(f"opset_{o}", body, opset=o, ir=4 if o < 10 else 8) for o in range(7, NEWEST + 1)]


ZOO: Mapping[str, Case] = {
    case.name: case for case in [*geometry(), *norms(), *constants(), *structures(), *batches(), *opsets()]
}
RUNS: Mapping[str, Case] = {
    name: case
    for name, case in ZOO.items()
    if case.dtype != "float64" and name not in {"foreign_operator", "in_a_branch"}
}
"""The nets that onnxruntime can run on a CPU, and whose values are one for each input (see `models_branches`)."""
