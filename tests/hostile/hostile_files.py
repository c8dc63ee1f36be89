"""Files that were made to hurt, one per idea, each from a few lines: bombs, cycles, nonsense, places to read from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np
import onnx
from models import SAME, ZOO, B, W, model

from inspector import Array

Change = Callable[[onnx.ModelProto], object]
MANY = 1 << 40
END = (1 << 63) - 1
AFTER = f"x2 = Add(x, m) [c] a = Conv {SAME} (x2, w) y = Relu(a)"
"""A convolution that reads `m`, whatever that is."""


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def scalar(value: float, dtype: str = "int64") -> Array:
    return np.array(value, dtype)


def before(nodes: str, opset: int = 17, **weights: Array) -> Callable[[], bytes]:
    """Nodes that make `m`, which a convolution reads."""
    return lambda: model(f"{nodes} {AFTER}", opset=opset, weights={"w": W, **weights})


def after(nodes: str, opset: int = 17, **weights: Array) -> Callable[[], bytes]:
    """Nodes that read the output `a` of a convolution and make `y`."""
    return lambda: model(f"[c] a = Conv {SAME} (x, w) {nodes}", opset=opset, weights={"w": W, "b": B, **weights})


def conv(attributes: str, op: str = "Conv", weight: Array = W, **options: object) -> Callable[[], bytes]:
    """A convolution with such attributes, or such weights."""
    return lambda: model(f"[c] a = {op} <{attributes}> (x, w) y = Relu(a)", weights={"w": weight}, **options)  # type: ignore[arg-type]


def changed(change: Change, name: str = "chain") -> Callable[[], bytes]:
    """A good net with something done to its message."""

    def make() -> bytes:
        proto = onnx.load_from_string(ZOO[name].data)
        change(proto)
        return proto.SerializeToString()

    return make


BOMBS: Mapping[str, Callable[[], bytes]] = {
    "constant_of_shape": before("z = ConstantOfShape(s) m = ReduceMax <keepdims=0> (z)", s=ints(1 << 20, 1 << 20)),
    "constant_of_shape_8_gib": before("z = ConstantOfShape(s) m = ReduceMax <keepdims=0> (z)", s=ints(1 << 31)),
    "constant_of_shape_overflow": before("z = ConstantOfShape(s) m = ReduceMax <keepdims=0> (z)", s=ints(END, END)),
    "constant_of_shape_negative": before("z = ConstantOfShape(s) m = ReduceMax <keepdims=0> (z)", s=ints(-1, -5)),
    "weight_of_shape": lambda: model(
        f"k = ConstantOfShape(s) [c] a = Conv {SAME} (x, k) y = Relu(a)", weights={"s": ints(1 << 30, 3, 3, 3)}
    ),
    "expand": before("z = Expand(o, s) m = ReduceMax <keepdims=0> (z)", s=ints(MANY), o=scalar(1, "f")),
    "tile": before("z = Tile(o, s) m = ReduceMax <keepdims=0> (z)", s=ints(MANY), o=np.ones(2, "f")),
    "range": before("z = Range(f, t, d) e = Cast <to=1> (z) m = ReduceMax <keepdims=0> (e)",
                    f=scalar(0), t=scalar(END), d=scalar(1)),
    "range_step_0": before("z = Range(f, t, d) e = Cast <to=1> (z) m = ReduceMax <keepdims=0> (e)",
                           f=scalar(0), t=scalar(9), d=scalar(0)),
    "range_nan": before("z = Range(f, t, d) m = ReduceMax <keepdims=0> (z)",
                        f=scalar(0, "f"), t=scalar(np.nan, "f"), d=scalar(1, "f")),
    "resize_scales": before("z = Resize(x,,k) m = ReduceMax <keepdims=0> (z)", k=np.array([1, 1, 1e9, 1e9], "f")),
    "resize_nan": before("z = Resize(x,,k) m = ReduceMax <keepdims=0> (z)", k=np.array([1, 1, np.nan, -1], "f")),
    "resize_sizes": before("z = Resize(x,,,k) m = ReduceMax <keepdims=0> (z)", k=ints(1, 3, MANY, 2)),
    "upsample": before("z = Upsample(x, k) m = ReduceMax <keepdims=0> (z)", 9, k=np.array([1, 1, 1e9, 1], "f")),
    "pad": before("z = Pad(x, p) m = ReduceMax <keepdims=0> (z)", p=ints(0, 0, MANY, 0, 0, 0, 0, 0)),
    "pad_overflow": before("z = Pad(x, p) m = ReduceMax <keepdims=0> (z)", p=ints(0, 0, END, 0, 0, 0, END, 0)),
    "pad_negative": before("z = Pad(x, p) m = ReduceMax <keepdims=0> (z)", p=ints(0, 0, -MANY, 0, 0, 0, 0, 0)),
    "random": before(f"z = RandomNormal <shape=[{MANY}]> () m = ReduceMax <keepdims=0> (z)"),
    "one_hot": before("i = Cast <to=7> (x) z = OneHot(i, d, v) m = ReduceMax <keepdims=0> (z)",
                      d=scalar(MANY), v=np.array([0, 1], "f")),
    "top_k": before("z, i = TopK(x, k) m = ReduceMax <keepdims=0> (z)", k=ints(MANY)),
    "endless_loop": before(
        "q = Loop(n, t, o) <body = g (int64 i, bool k, float v) => (bool k2, float v2) "
        "{ k2 = Identity(k) v2 = Add(v, v) }> m = Identity(q)",
        n=scalar(END), t=scalar(1, "bool"), o=scalar(1, "f"),
    ),
    "pooled_by_a_giant": after(f"y = MaxPool <kernel_shape=[{1 << 31},{1 << 31}]> (a)"),
    "pooled_with_giant_pads": after(f"y = AveragePool <kernel_shape=[2,2], pads=[{MANY},0,{MANY},0]> (a)"),
    "doubled_channels": lambda: model(
        "c0 = Identity(x) " + " ".join(f"c{k + 1} = Concat <axis=1> (c{k}, c{k})" for k in range(62))
        + f" s = ReduceMax <axes=[1]> (c62) e = Concat <axis=1> (s, s, s) [c] a = Conv {SAME} (e, w) y = Relu(a)",
        weights={"w": W},
    ),
    "doubled_weights": lambda: model(
        "k0 = Identity(w) " + " ".join(f"k{i + 1} = Concat <axis=0> (k{i}, k{i})" for i in range(50))
        + f" [c] a = Conv {SAME} (x, k50) y = Relu(a)",
        weights={"w": W},
    ),
    "doubled_paths": lambda: model(
        f"[c] a = Conv {SAME} (x, w) d0 = Relu(a) " + " ".join(f"d{i + 1} = Add(d{i}, d{i})" for i in range(300))
        + " y = Relu(d300)",
        weights={"w": W},
    ),
    "long_chain": lambda: model(
        f"[c] a = Conv {SAME} (x, w) i0 = Relu(a) " + " ".join(f"i{k + 1} = Identity(i{k})" for k in range(2_000))
        + " y = Relu(i2000)",
        weights={"w": W},
    ),
    "many_convolutions": lambda: model(
        "a0 = Identity(x) " + " ".join(f"a{k + 1} = Conv {SAME} (a{k}, w)" for k in range(50)) + " y = Relu(a50)",
        weights={"w": W[:3]},
    ),
    "many_tensors": changed(lambda p: [p.graph.initializer.add(name=f"t{i}", data_type=1, raw_data=bytes(4))
                                       for i in range(1000)]),
}  # fmt: skip

NONSENSE: Mapping[str, Callable[[], bytes]] = {
    **{
        f"conv_{name}": conv(attributes)
        for name, attributes in {
            "stride_0": "strides=[0,0]",
            "stride_negative": "strides=[-1,-1]",
            "stride_giant": f"strides=[{END},{END}]",
            "dilation_0": "dilations=[0,0]",
            "dilation_giant": f"dilations=[{END},{MANY}]",
            "pads_negative": "pads=[-9,-9,-9,-9]",
            "pads_giant": f"pads=[{END},{END},{END},{END}]",
            "pads_few": "pads=[1]",
            "group_0": "group=0",
            "group_negative": "group=-3",
            "group_giant": f"group={END}",
            "kernel_giant": f"kernel_shape=[{1 << 31},{1 << 31}]",
            "kernel_0": "kernel_shape=[0,0]",
            "kernel_other": "kernel_shape=[1,1]",
            "auto_pad_unknown": 'auto_pad="SOME"',
        }.items()
    },
    **{
        f"transposed_{name}": conv(attributes, "ConvTranspose", W.transpose(1, 0, 2, 3).copy())
        for name, attributes in {
            "output_padding": f"output_padding=[{MANY},{MANY}]",
            "output_shape": f"output_shape=[{MANY},{MANY}]",
            "output_negative": "output_shape=[-5,-5]",
            "stride_giant": f"strides=[{1 << 31},{1 << 31}]",
            "group_0": "group=0",
        }.items()
    },
    "weight_bool": conv("group=1", weight=W > 0),
    "weight_integer": conv("group=1", weight=W.astype(np.int32)),
    "weight_complex": conv("group=1", weight=W.astype(np.complex64)),
    "weight_text": conv("group=1", weight=np.full((4, 3, 3, 3), "text", object)),
    "weight_nan": conv("pads=[1,1,1,1]", weight=W * np.float32(np.nan)),
    "weight_empty": conv("group=1", weight=W[:0]),
    "weight_no_channels": conv("group=1", weight=W[:, :0]),
    "weight_no_kernel": conv("group=1", weight=W[:, :, :0]),
    "weight_scalar": conv("group=1", weight=np.array(1, "f")),
    "weight_rank_3": conv("group=1", weight=W[..., 0]),
    "input_of_no_pixels": conv("group=1", inputs="float[N,3,0,0] x"),
    "input_of_nothing": conv("group=1", inputs="float[0,3,6,5] x"),
    "input_scalar": conv("group=1", inputs="float x"),
    "input_vector": conv("group=1", inputs="float[7] x"),
    "input_text": conv("group=1", inputs="string[N,3,6,5] x"),
    "input_giant": conv("group=1", inputs=f"float[1,3,{1 << 20},{1 << 20}] x"),
    "input_sequence": conv("group=1", inputs="float[N,3,6,5] x, seq(float[N]) q"),
    "input_optional": conv("group=1", inputs="float[N,3,6,5] x, optional(float[N]) q"),
    "reshape_two_unknown": after("y = Reshape(a, s)", s=ints(-1, -1)),
    "reshape_giant": after("y = Reshape(a, s)", s=ints(END, 2)),
    "reshape_negative": after("y = Reshape(a, s)", s=ints(-7, 2)),
    "transpose_twice_one": after("y = Transpose <perm=[0,0,1,1]> (a)"),
    "transpose_far": after("y = Transpose <perm=[9,8,7,6]> (a)"),
    "concat_far": after("y = Concat <axis=99> (a, a)"),
    "split_far": after("y, z = Split <axis=-99> (a)", 11),
    "slice_step_0": after("y = Slice(a, f, t, q, s)", f=ints(0), t=ints(END), q=ints(2), s=ints(0)),
    "slice_back": after("y = Slice(a, f, t, q, s)", f=ints(END), t=ints(-END), q=ints(2), s=ints(-END)),
    "gather_far": after("y = Gather <axis=1> (a, i)", i=ints(END, -END)),
    "squeeze_far": after("y = Squeeze(a, q)", q=ints(99)),
    "unsqueeze_far": after("y = Unsqueeze(a, q)", q=ints(END)),
    "flatten_far": after("y = Flatten <axis=99> (a)"),
    "depth_to_space_0": after("y = DepthToSpace <blocksize=0> (a)"),
    "space_to_depth_negative": after("y = SpaceToDepth <blocksize=-2> (a)"),
    "cast_to_99": after("y = Cast <to=99> (a)"),
    "softmax_far": after("y = Softmax <axis=99> (a)"),
    "lrn_0": after("y = LRN <size=0> (a)"),
    "pool_stride_0": after("y = MaxPool <kernel_shape=[2,2], strides=[0,0]> (a)"),
    "pool_kernel_0": after("y = AveragePool <kernel_shape=[0,0]> (a)"),
    "norm_of_other_size": after("n = BatchNormalization(a, g, g, g, g) y = Relu(n)", g=np.ones(7, "f")),
    "norm_of_nan": after("n = BatchNormalization <epsilon=nan> (a, b, b, b, b) y = Relu(n)"),
    "norm_groups_0": after("n = GroupNormalization <num_groups=0> (a, b, b) y = Relu(n)", 21),
    "clip_backwards": after("y = Clip(a, h, l)", h=scalar(9, "f"), l=scalar(-9, "f")),
    "clip_nan": after("y = Clip(a, h, h)", h=scalar(np.nan, "f")),
    "prelu_other_size": after("y = PRelu(a, s)", s=np.ones((9, 9), "f")),
    "leaky_infinite": after("y = LeakyRelu <alpha=inf> (a)"),
    "quantized_scale_0": before("q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) "
                                "m = ReduceMax <keepdims=0> (d)",
                                s=scalar(0, "f"), z=scalar(0, "uint8")),
    "dequantized_far": lambda: model(
        f"k = DequantizeLinear <axis=99> (q, s) [c] a = Conv {SAME} (x, k) y = Relu(a)",
        weights={"q": W.astype(np.uint8), "s": np.ones(4, "f")}),
    "bias_of_other_size": lambda: model(f"[c] a = Conv {SAME} (x, w, b) y = Relu(a)",
                                        weights={"w": W, "b": np.ones(9, "f")}),
    "einsum": after('y = Einsum <equation="ijkl->zzzz"> (a)'),
    "string_ops": after("s = Shape(a) t = Cast <to=8> (s) y = Cast <to=1> (t)"),
    "unknown_operator": after("y = Nonexistent(a)"),
    "unknown_contrib_operator": after("y = com.microsoft.Nonexistent(a)"),
    "internal_operator": after("y = com.microsoft.FusedConv(a, w)"),
    "double": lambda: model(f"[c] a = Conv {SAME} (x, w) y = Relu(a)", inputs="double[N,3,6,5] x",
                            outputs="double[N,C,H,W] y", weights={"w": W.astype(np.float64)}),
}  # fmt: skip


def _located(**entries: str) -> Callable[[], bytes]:
    def change(proto: onnx.ModelProto) -> None:
        tensor = proto.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)

    return changed(change)


PLACES: Mapping[str, Callable[[], bytes]] = {
    "place_up": _located(location="../../etc/passwd"),
    "place_absolute": _located(location="/etc/passwd"),
    "place_endless": _located(location="/dev/zero", length="432"),
    "place_memory": _located(location="*/_ORT_MEM_ADDR_/*", offset="4096", length="432"),
    "place_here": _located(location=".", length="432"),
    "place_empty": _located(location=""),
    "place_offset_negative": _located(location="w.bin", offset="-1", length="-5"),
    "place_offset_giant": _located(location="w.bin", offset=str(1 << 70), length=str(1 << 70)),
    "place_nul": _located(location="w.bin\0.txt"),
    "place_none": _located(),
}
"""Weights that claim to lie elsewhere: all of them must be refused."""


def _graph(change: Callable[[onnx.GraphProto], object]) -> Callable[[], bytes]:
    return changed(lambda proto: change(proto.graph))


def _if_in_if(depth: int) -> bytes:
    proto = onnx.load_from_string(ZOO["chain"].data)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "t"))
    graph = proto.graph
    for level in range(depth):
        node = graph.node.add(op_type="If", input=["t"], output=[f"r{level}"])
        for branch in ("then_branch", "else_branch"):
            body = node.attribute.add(name=branch, type=onnx.AttributeProto.GRAPH).g
            body.name = f"{branch}{level}"
            body.node.add(op_type="Identity", input=["x"], output=[f"o{branch[0]}{level}"])
            body.output.add(name=f"o{branch[0]}{level}")
        graph = node.attribute[0].g
    return proto.SerializeToString()


def _functions(depth: int, calls: int, last: str) -> bytes:
    text = (
        '<ir_version: 8, opset_import: ["" : 17, "f" : 1]> net (float[N,3,6,5] x) => (float[N,C,H,W] y) '
        "{ a = Conv <pads=[1,1,1,1]> (x, w) y = f.f0(a) }"
    )
    for level in range(depth):
        name = last if level == depth - 1 else f"f.f{level + 1}"
        steps = " ".join(f"v{k + 1} = {name}(v{k})" for k in range(calls))
        text += f' <domain: "f", opset_import: ["" : 17, "f" : 1]> f{level} (v0) => (v{calls}) {{ {steps} }}'
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(W, "w"))
    return proto.SerializeToString()


def _sparse(*dims: int, places: object = (0,), copies: int = 1) -> Callable[[], bytes]:
    """The weight with ones at these places of that shape, and as often again for nobody."""

    def change(proto: onnx.ModelProto) -> None:
        indices = np.array(places, np.int64)
        for name in ("w", *(f"more{k}" for k in range(1, copies))):
            weight = proto.graph.sparse_initializer.add(dims=dims)
            weight.values.CopyFrom(onnx.numpy_helper.from_array(np.ones(len(indices), np.float32), name))
            weight.indices.CopyFrom(onnx.numpy_helper.from_array(indices, "i"))
        del proto.graph.initializer[0]

    return changed(change)


def _sparse_in_functions() -> bytes:
    """A tensor of 4 MiB in a function that is called 2^11 times."""
    proto = onnx.load_from_string(_functions(12, 2, "Relu"))
    node = onnx.NodeProto(op_type="Constant", output=["k"])
    held = node.attribute.add(name="sparse_value", type=onnx.AttributeProto.SPARSE_TENSOR)
    held.sparse_tensor.CopyFrom(onnx.load_from_string(_sparse(1 << 20)()).graph.sparse_initializer[0])
    proto.functions[-1].node.insert(0, node)
    return proto.SerializeToString()


STRUCTURES: Mapping[str, Callable[[], bytes]] = {
    "cycle": _graph(lambda g: g.node[0].input.__setitem__(0, g.node[-1].output[0])),
    "self_loop": _graph(lambda g: g.node[0].input.__setitem__(0, g.node[0].output[0])),
    "two_outputs_of_one_name": _graph(lambda g: g.node[1].output.__setitem__(0, g.node[0].output[0])),
    "backwards": _graph(lambda g: [g.node.insert(0, g.node.pop()) for _ in range(len(g.node))]),
    "no_outputs": _graph(lambda g: g.ClearField("output")),
    "no_inputs": _graph(lambda g: g.ClearField("input")),
    "no_names": _graph(lambda g: [n.ClearField("output") for n in g.node]),
    "same_input_twice": _graph(lambda g: g.input.append(g.input[0])),
    "same_weight_twice": _graph(lambda g: g.initializer.append(g.initializer[0])),
    "weight_named_as_input": _graph(lambda g: setattr(g.initializer[0], "name", "x")),
    "output_of_nowhere": _graph(lambda g: setattr(g.output[0], "name", "nowhere")),
    "name_of_a_megabyte": _graph(lambda g: setattr(g.node[0], "name", "n" * (1 << 20))),
    "name_with_nul": _graph(lambda g: setattr(g.node[0], "name", "a\0b")),
    "name_of_ours": _graph(lambda g: [g.node[0].output.__setitem__(0, "inspector/0"),
                                      g.node[1].input.__setitem__(0, "inspector/0")]),
    "shape_giant": _graph(lambda g: setattr(g.input[0].type.tensor_type.shape.dim[2], "dim_value", END)),
    "shape_negative": _graph(lambda g: setattr(g.input[0].type.tensor_type.shape.dim[2], "dim_value", -END)),
    "shape_lies": _graph(lambda g: setattr(g.output[0].type.tensor_type.shape.dim.add(), "dim_value", 7)),
    "dims_giant": _graph(lambda g: g.initializer[0].dims.__setitem__(0, END)),
    "dims_negative": _graph(lambda g: g.initializer[0].dims.__setitem__(0, -4)),
    "content_short": _graph(lambda g: setattr(g.initializer[0], "raw_data", b"abc")),
    "content_long": _graph(lambda g: setattr(g.initializer[0], "raw_data", bytes(1 << 20))),
    "sparse_giant": _sparse(1 << 20, 3, 1 << 10, 1 << 10),
    "sparse_large": _sparse(1 << 13, 3, 32, 32),
    "sparse_many": _sparse(1 << 20, 1, 1, 1, copies=2000),
    "sparse_below": _sparse(4, 3, 3, 3, places=(-1, 5)),
    "sparse_beyond": _sparse(4, 3, 3, 3, places=(5, 108)),
    "sparse_unsorted": _sparse(4, 3, 3, 3, places=(5, 3, 3)),
    "sparse_coordinates": _sparse(4, 3, 3, 3, places=((0, 1, 2, 2), (3, 2, 0, 1))),
    "sparse_coordinate_beyond": _sparse(4, 3, 3, 3, places=((0, 1, 2, 3),)),
    "sparse_coordinates_of_a_plane": _sparse(4, 3, 3, 3, places=((0, 1), (2, 2))),
    "sparse_in_functions": _sparse_in_functions,
    "if_12_deep": lambda: _if_in_if(12),
    "if_25_deep": lambda: _if_in_if(25),
    "functions_2_to_the_60": lambda: _functions(60, 2, "Relu"),
    "functions_3000_deep": lambda: _functions(3000, 1, "Relu"),
    "function_of_itself": lambda: _functions(1, 1, "f.f0"),
    "functions_in_a_circle": lambda: _functions(500, 2, "f.f0"),
    "empty": lambda: b"",
    "noise": lambda: np.random.default_rng(0).bytes(5000),
    "zip": lambda: b"PK\x03\x04" + bytes(500),
    "pickle": lambda: b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93.",
}  # fmt: skip

MADE: Mapping[str, Callable[[], bytes]] = {**BOMBS, **NONSENSE, **PLACES, **STRUCTURES}
"""All of them by name."""


@functools.cache
def made(name: str) -> bytes:
    """The file of that name."""
    return MADE[name]()


NEVER_ENDS = frozenset({"endless_loop"})
"""What runs until somebody stops it; nothing bounds a run but its caller."""
