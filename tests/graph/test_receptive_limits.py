"""Where no receptive field can be given, which node is named, and what is still known."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from models import NEWEST, model, numbers
from receptive_pixels import C4, C, H, W, changes, fields_of, net

from inspector.errors import LimitError
from inspector.graph.constants import Constants
from inspector.graph.load import load
from inspector.graph.receptive.fields import MAX_IMAGES, ReceptiveField, receptive_fields

ONES = np.ones(4, np.float32)
TO_4D = np.array([-1, 1, 1, 2])

UNBOUNDED = [  # name, body, the node that is named, whether rows and columns are, strides, opset, weights
    ("global_pool", f"{C4} g = GlobalAveragePool(a) y = Mul(a, g)", "GlobalAveragePool 'g'", "hw", (2, 1), 17, {}),
    ("squeeze_and_excite", f"{C4} g = ReduceMean <axes=[2,3]> (a) f = Conv(g, f4) h = Sigmoid(f) y = Mul(h, a)",
     "ReduceMean 'g'", "hw", (2, 1), 17, {"f4": np.ones((4, 4, 1, 1), "f")}),
    ("rows", f"{C4} g = ReduceMax <axes=[2]> (a) y = Add(a, g)", "ReduceMax 'g'", "h", (2, 1), 17, {}),
    ("softmax", f"{C4} y = Softmax <axis=3> (a)", "Softmax 'y'", "w", (2, 1), 17, {}),
    ("old_softmax", f"{C4} y = Softmax <axis=2> (a)", "Softmax 'y'", "hw", (2, 1), 11, {}),
    ("summed_up", f"{C4} y = CumSum(a, k)", "CumSum 'y'", "w", (2, 1), 17, {"k": np.array(-1)}),
    ("instance", f"{C4} y = InstanceNormalization(a, k, k)", "InstanceNormalization 'y'", "hw", (2, 1), 17,
     {"k": ONES}),
    ("groups", f"{C4} y = GroupNormalization <num_groups=2> (a, k, k)", "GroupNormalization 'y'", "hw", (2, 1), 21,
     {"k": ONES}),
    ("trained", f"{C4} y = BatchNormalization <training_mode=1> (a, k, k, k, k)", "BatchNormalization 'y'", "hw",
     (2, 1), 17, {"k": ONES}),
    ("read_backwards_and_wholly", f"{C4} b = Slice(a, s, e, t, s) g = ReduceMax <axes=[2]> (a) y = Add(b, g)",
     "ReduceMax 'g'", "h", (None, 1), 17, {"s": np.array([-1]), "e": np.array([-99]), "t": np.array([2])}),
    ("layer", f"{C4} y = LayerNormalization <axis=1> (a, k)", "LayerNormalization 'y'", "hw", (2, 1), 17,
     {"k": np.ones((4, 6, 8), "f")}),
    ("mean_variance", f"{C4} y = MeanVarianceNormalization(a)", "MeanVarianceNormalization 'y'", "hw", (2, 1), 17, {}),
    ("dense", f"{C} f = Flatten(a) d = Gemm(f, k) y = Reshape(d, s)", "Gemm 'd'", "hw", (None, None), 17,
     {"k": np.ones((35, 2), "f"), "s": TO_4D}),
    ("dense_turned", f"{C} f = Flatten <axis=-3> (a) t = Transpose(f) d = Gemm <transA=1> (t, k) y = Reshape(d, s)",
     "Gemm 'd'", "hw", (None, None), 17, {"k": np.ones((35, 2), "f"), "s": TO_4D}),
    ("product", f"{C} f = Reshape(a, t) d = MatMul(f, k) y = Reshape(d, s)", "MatMul 'd'", "hw", (None, None), 17,
     {"k": np.ones((35, 2), "f"), "t": np.array([0, -1]), "s": TO_4D}),
    ("attention", (f"{C4} f = Reshape(a, t) q = Transpose <perm=[0,2,1]> (f) s = MatMul(q, f) p = Softmax(s) "
     "o = MatMul(p, q) b = Transpose <perm=[0,2,1]> (o) y = Reshape(b, u)"), "Softmax 'p'", "hw", (None, None), 17,
     {"t": np.array([0, 4, -1]), "u": np.array([0, 4, 6, 8])}),
    ("spread", "a = Conv(x, k) y = Add(x, a)", "spreads one unit of 'a'", "hw", (1, 1), 17,
     {"k": np.ones((1, 1, H, W), "f")}),
    ("expanded", "a = Conv(x, k) y = Expand(a, s)", "spreads one unit of 'a'", "h", (None, 1), 17,
     {"k": np.ones((1, 1, H, 3), "f"), "s": np.array([1, 1, 5, 1])}),
    ("expanded_twice", "a = Conv(x, k) y = Expand(a, s)", "spreads one unit of 'a'", "hw", (None, None), 17,
     {"k": np.ones((1, 1, H, W), "f"), "s": np.array([1, 1, 5, 4])}),
    ("dense_weights", f"{C} f = Flatten(a) d = Gemm <transB=1> (k, f) y = Reshape(d, s)", "Gemm 'd'", "hw",
     (None, None), 17, {"k": np.ones((2, 35), "f"), "s": TO_4D}),
    ("dynamic_weights", f"{C} g = Conv(x, k) y = Conv(a, g)", "Conv 'y'", "hw", (2, 1), 17,
     {"k": np.ones((1, 1, H - 2, W - 1), "f")}),
    ("squeezed", "a = Conv(x, k) s = Squeeze(a, t) y = Unsqueeze(s, t)", "Squeeze 's'", "h", (None, 1), 17,
     {"k": np.ones((1, 1, H, 3), "f"), "t": np.array([2])}),
    ("picked", f"{C} g = Gather <axis=2> (a, i) y = Unsqueeze(g, t)", "Gather 'g'", "h", (None, 1), 17,
     {"i": np.array(2), "t": np.array([2])}),
    ("dynamic_quantisation", f"{C} q, s, z = DynamicQuantizeLinear(a) y = DequantizeLinear(q, s, z)",
     "DynamicQuantizeLinear 'q'", "hw", (None, None), 17, {}),
]  # fmt: skip


@pytest.mark.parametrize("case", UNBOUNDED, ids=lambda case: case[0])
def test_fields_are_unbounded_from_the_first_node_that_reads_everything(
    case: tuple[str, str, str, str, tuple[int | None, ...], int, dict[str, np.ndarray]],
) -> None:
    _, body, named, axes, strides, opset, weights = case
    field = fields_of(net(body, weights, opset)).of("y")["x"]
    assert field.unbounded
    assert named in field.reason
    assert [size is None for size in field.size] == ["h" in axes, "w" in axes]
    assert [offset is None for offset in field.offset] == ["h" in axes, "w" in axes]
    assert field.stride == strides
    assert field.aligned is None


@pytest.mark.parametrize("name", ["global_pool", "softmax", "dense", "attention", "spread", "instance", "rows"])
def test_unbounded_fields_really_are(name: str) -> None:
    """Some unit changes with a pixel of every corner, along the axes that are unbounded."""
    _, body, _, axes, _, opset, weights = next(c for c in UNBOUNDED if c[0] == name)
    changed = changes(net(body, weights, opset))
    for axis, letter in enumerate("hw"):
        reads = changed.any(axis=1 - axis)
        whole = (reads[0] & reads[-2 if letter == "h" and "[2,1]" in body else -1]).any()
        assert whole == (letter in axes)


UNDETERMINED = [  # name, body, a part of the reason, opset, weights
    ("foreign", f"{C} y = com.example.Relu(a)", "not followed", 17, {}),
    ("unknown", f"{C} y = NonZero(a)", "not followed", 17, {}),
    ("backwards", f"{C} y = Slice(a, s, e, t, u)", "backwards", 17,
     {"s": np.array([-1]), "e": np.array([-99]), "t": np.array([2]), "u": np.array([-1])}),
    ("side_by_side", f"{C} y = Concat <axis=2> (a, a)", "side by side", 17, {}),
    ("tiled", f"{C} y = Tile(a, r)", "side by side", 17, {"r": np.array([1, 1, 2, 1])}),
    ("tiled_somehow", f"{C} n = RandomUniform <shape=[4]> () r = Cast <to=7> (n) y = Tile(a, r)", "side by side", 17,
     {}),
    ("data_decide", f"{C} s = Cast <to=7> (x) y = Slice(a, s, e, o)", "the image itself decides", 17,
     {"e": np.array([99]), "o": np.array([2])}),
    ("data_pick", f"{C} i = Cast <to=7> (x) y = Gather <axis=1> (a, i)", "which units Gather 'y' picks", 17, {}),
    ("squeezed_somehow", f"{C} y = Squeeze(a)", "which axes Squeeze 'y' takes away", 17, {}),
    ("merged", f"{C} r = Reshape(a, s) y = Conv(r, k)", "merges axes", 17,
     {"s": np.array([0, 1, -1]), "k": np.ones((1, 1, 3), "f")}),
    ("merged_and_cut", f"{C} r = Reshape(a, s) y = Reshape(r, t)", "rearranges", 17,
     {"s": np.array([0, 1, -1]), "t": np.array([0, 1, 7, 5])}),
    ("merged_and_kept", f"{C} y = Reshape(a, s)", "merges axes", 17, {"s": np.array([0, 1, -1])}),
    ("rearranged", f"{C4} y = Reshape(a, s)", "rearranges", 17, {"s": np.array([0, 4, 4, 12])}),
    ("turned_branch", "b = Conv <strides=[3,2]> (x, q) t = Transpose <perm=[0,1,3,2]> (b) y = Add(b, t)",
     "different axes", 17, {"q": np.ones((1, 1, 3, 2), "f")}),
    ("smoothed", f'{C} y = Resize <mode="linear", antialias=1> (a, "", s)', "not known", 18,
     {"s": np.array([1, 1, 0.5, 0.5], "f")}),
    ("cropped", f'{C} y = Resize <coordinate_transformation_mode="tf_crop_and_resize"> (a, r, s)', "not known", 17,
     {"s": np.array([1, 1, 2, 2], "f"), "r": np.array([0, 0, 0, 0, 1, 1, 1, 1], "f")}),
    ("aspect_kept", f'{C} y = Resize <keep_aspect_ratio_policy="not_larger", axes=[2,3]> (a, "", "", t)', "not known",
     18, {"t": np.array([15, 14])}),
    ("shrunk_long_ago", f"{C} y = Upsample (a, s)", "not known", 9, {"s": np.array([1, 1, 0.5, 0.5], "f")}),
    ("odd_scale", f'{C} y = Resize (a, "", s)', "not known", 17, {"s": np.array([1, 1, 1.2345678, 2], "f")}),
    ("wrong_kernel", f"{C} y = MaxPool <kernel_shape=[3]> (a)", "cannot be read", 17, {}),
    ("no_stride", f"{C} y = MaxPool <kernel_shape=[3,3], strides=[0,1]> (a)", "cannot be read", 17, {}),
    ("wrong_axis", f"{C} y = Softmax <axis=9> (a)", "cannot be read", 17, {}),
    ("further_output", f"{C} b, y = MaxPool <kernel_shape=[1,1]> (a)", "further output", 17, {}),
    ("bodies", (f"{C} y = If (c) <then_branch = t () => (float[N,M,P,Q] u) {{ u = Relu(a) }}, "
     "else_branch = e () => (float[N,M,P,Q] v) { v = Neg(a) }>"), "has a body", 17, {"c": np.array(True)}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "reason", "opset", "weights"), [c[1:] for c in UNDETERMINED], ids=[c[0] for c in UNDETERMINED]
)
def test_what_is_not_known_says_why(body: str, reason: str, opset: int, weights: dict[str, np.ndarray]) -> None:
    field = fields_of(net(body, weights, opset)).of("y")["x"]
    assert None in field.size
    assert field.aligned is not True
    assert not field.unbounded
    assert reason in field.reason


@pytest.mark.parametrize(
    ("body", "weights"),
    [
        ("a = Conv(x, w1) y = Slice(a, s, e, t)", {"s": np.array([-4]), "e": np.array([99]), "t": np.array([2])}),
        ("a = Conv(x, w1) y = Pad(a, p)", {}),
        ("y = ConvTranspose <strides=[2,1], output_shape=[9,9]> (x, t1)", {}),
        ('y = Conv <strides=[2,2], auto_pad="SAME_UPPER"> (x, w1)', {}),
    ],
    ids=["slice_from_the_end", "unknown_pads", "output_shape", "same"],
)
def test_size_and_stride_are_known_where_only_the_offset_depends_on_the_size(
    body: str, weights: dict[str, np.ndarray]
) -> None:
    if "Pad(" in body:
        body = "s = Shape(x) z = Sub(s, s) p = Concat <axis=0> (z, z) " + body
    field = fields_of(net(body, weights, 17, free=True)).of("y")["x"]
    assert None not in (*field.size, *field.stride)
    assert field.offset[0] is None
    assert field.reason


def test_branches_with_the_same_unknown_padding_still_have_a_known_union() -> None:
    """The two paddings are unknown and equal, so they cancel in the distance of the branches."""
    same = '<strides=[2,2], auto_pad="SAME_UPPER">'
    body = f'a = Conv {same} (x, k) b = MaxPool <kernel_shape=[3,3], strides=[2,2], auto_pad="SAME_UPPER"> (x) '
    body += "c = Conv <pads=[1,1,1,1]> (b, k) y = Sum(a, c)"
    field = fields_of(net(body, {"k": np.ones((1, 1, 3, 3), "f")}, 17, free=True)).of("y")["x"]
    assert (field.size, field.stride, field.offset, field.aligned) == ((7, 7), (2, 2), (None, None), True)


def test_branches_with_different_unknown_paddings_have_no_known_union() -> None:
    body = '[a] a = Conv <strides=[3,3], auto_pad="SAME_UPPER"> (x, k) '
    body += '[b] b = Conv <strides=[3,3], auto_pad="SAME_LOWER"> (x, k) [y] y = Sum(a, b)'
    field = fields_of(net(body, {"k": np.ones((1, 1, 2, 2), "f")}, 17, free=True)).of("y")["x"]
    assert (field.size, field.aligned) == ((None, None), None)
    assert field.reason == "Sum 'y' joins 'a' and 'b', whose distance depends on the size of the input"


def test_units_that_are_alone_are_not_spread_by_each_other() -> None:
    """Two maps of one unit each, which both read the image from corner to corner."""
    kernel = {"k": np.ones((1, 1, H, W), "f")}
    field = fields_of(net("a = Conv(x, k) b = MaxPool <kernel_shape=[12,8]> (x) y = Add(a, b)", kernel, 17)).of("y")[
        "x"
    ]
    assert (field.size, field.offset, field.unbounded) == ((H, W), (0, 0), False)


def test_ends_of_maps_of_different_free_sizes_are_not_taken_for_the_same() -> None:
    body = """a = Conv(x, w1) b = Slice(a, s, e, t) c = Slice(x, s, e, t)
        d = MaxPool <kernel_shape=[1,2]> (c) y = Add(b, d)"""
    weights = {"s": np.array([-2]), "e": np.array([99]), "t": np.array([2])}
    field = fields_of(net(body, weights, 17, free=True)).of("y")["x"]
    assert (field.size, field.aligned) == ((None, 2), None)
    assert "depends on the size of the input" in field.reason


def test_axes_from_the_end_are_flattened() -> None:
    body = "m = MaxPool <kernel_shape=[3,2]> (x) y = Flatten <axis=-1> (m)"
    field = fields_of(model(body, inputs="float[1,1,6,5] x")).of("y")["x"]
    assert (field.axes, field.size) == ((0, 1), (3, 2))


def test_parts_of_unknown_size_are_cut_nobody_knows_where() -> None:
    field = fields_of(net("y, b = Split <axis=2> (x)", {}, 13, free=True)).of("y")["x"]
    assert (field.size, field.reason) == ((None, 1), "where Split 'y' cuts is not known")


@pytest.mark.parametrize(
    ("product", "matrix", "axes"),
    [
        ("y = Gemm(s, k)", (5, 2), (0, None)),
        ("y = Gemm <transA=1> (s, k)", (6, 2), (None, 0)),
        ("y = Gemm(k, s)", (2, 6), (None, 1)),
        ("y = Gemm <transB=1> (k, s)", (2, 5), (1, None)),
        ("y = MatMul(s, k)", (5, 2), (0, None)),
        ("y = MatMul(k, s)", (2, 6), (None, 1)),
        ("y = MatMul(k, s)", (3, 2, 6), (None, 2)),
    ],
)
def test_a_product_with_a_matrix_sums_over_one_axis(
    product: str, matrix: tuple[int, ...], axes: tuple[int | None, int | None]
) -> None:
    """The other axis of the picture is left as it is, and becomes that axis of the result."""
    body = f"u = Unsqueeze(x, n) m = MaxPool <kernel_shape=[1,1]> (u) s = Squeeze(m, n) {product}"
    weights = {"n": np.array([0, 1]), "k": np.ones(matrix, "f")}
    field = fields_of(model(body, inputs="float[6,5] x", weights=weights)).of("y")["x"]
    assert field.axes == axes
    assert field.size == tuple(None if axis is None else 1 for axis in axes)
    assert field.unbounded


def test_axes_of_one_unit_are_squeezed_without_being_listed() -> None:
    body = "s = Squeeze(x) u = Unsqueeze(s, n) y = MaxPool <kernel_shape=[1,3]> (u)"
    field = fields_of(model(body, inputs="float[1,1,6,5] x", weights={"n": np.array([0, 1])})).of("y")["x"]
    assert (field.size, field.unbounded) == ((1, 3), False)


def test_kernels_are_found_without_inferred_shapes() -> None:
    body = "w = ConstantOfShape(s) y = Conv(x, w)"
    graph = ir.from_proto(onnx.load_from_string(net(body, {"s": np.array([1, 1, 3, 2])}, 17)))
    assert receptive_fields(graph, Constants()).of("y")["x"].size == (3, 2)


def test_two_images_have_a_field_each() -> None:
    body = "a = Conv(x, w) b = Conv <strides=[2,2], pads=[1,1,1,1]> (z, w) "
    body += "c = Slice <starts=[0,0], ends=[5,4], axes=[2,3]> (a)"
    data = model(f"{body} y = Add(c, b)", inputs="float[N,3,10,9] x, float[N,3,9,7] z", opset=9,
                 weights={"w": numbers(4, 3, 3, 3)})  # fmt: skip
    fields = fields_of(data)
    assert {name: field.stride for name, field in fields.of("y").items()} == {"x": (1, 1), "z": (2, 2)}
    assert set(fields.of("b")) == {"z"}
    assert fields.of("nothing of that name") == {}


def test_a_number_that_shifts_the_maps_is_no_image() -> None:
    """A diffusion model's time step, made into one number a channel."""
    body = "[c] a = Conv(x, w) g = Gemm(t, k) u = Unsqueeze(g, o) y = Add(a, u)"
    data = model(body, inputs="float[N,3,6,5] x, float[N,2] t",
                 weights={"w": numbers(4, 3, 3, 3), "k": numbers(2, 4), "o": np.array([2, 3])})  # fmt: skip
    assert set(fields_of(data).of("y")) == {"x"}


def test_the_space_of_a_channels_last_image_is_where_the_convolution_slides() -> None:
    body = "t = Transpose <perm=[0,3,1,2]> (x) y = Conv <strides=[2,1]> (t, w)"
    field = fields_of(model(body, inputs="float[N,9,7,3] x", weights={"w": numbers(4, 3, 3, 2)})).of("y")["x"]
    assert (field.size, field.stride) == ((3, 2), (2, 1))


def test_axes_that_are_not_aligned_are_not_whatever_the_others_are() -> None:
    """Every row is read, and of the columns the one beside the centre."""
    body = "a = MaxPool <kernel_shape=[1,3]> (x) b = Slice(x, s, e, t) c = Add(a, b) y = ReduceMax <axes=[2]> (c)"
    field = fields_of(net(body, {"s": np.array([0]), "e": np.array([6]), "t": np.array([3])}, 17)).of("y")["x"]
    assert (field.size, field.aligned, field.unbounded) == ((None, 3), False, True)


@pytest.mark.parametrize("before", [0, 1])
def test_a_mirrored_border_is_noted(before: int) -> None:
    body = 'a = Pad <mode="reflect"> (x, p) y = Conv(a, w1)'
    field = fields_of(net(body, {"p": np.array([0, 0, before, 0, 0, 0, 1, 0])}, 17)).of("y")["x"]
    assert (field.size, field.offset) == ((3, 2), (-before, 0))
    assert "(reflect)" in field.reason


def test_what_is_noted_of_the_smaller_branch_is_kept() -> None:
    body = 'a = MaxPool <kernel_shape=[5,1], pads=[2,0,2,0]> (x) p = Pad <mode="reflect"> (x, t) '
    body += "b = MaxPool <kernel_shape=[3,1]> (p) y = Add(a, b)"
    field = fields_of(net(body, {"t": np.array([0, 0, 1, 0, 0, 0, 1, 0])}, 17)).of("y")["x"]
    assert (field.size, field.aligned) == ((5, 1), True)
    assert "(reflect)" in field.reason


def test_the_reason_begins_with_what_makes_the_field_unbounded() -> None:
    body = 'a = Pad <mode="reflect"> (x, p) b = Conv(a, w1) y = ReduceMax <axes=[3]> (b)'
    field = fields_of(net(body, {"p": np.array([0, 0, 1, 0, 0, 0, 1, 0])}, 17)).of("y")["x"]
    first, second = field.reason.split("; ")
    assert "ReduceMax 'y' reads all of it" in first
    assert "(reflect)" in second


def test_only_the_first_notes_are_kept() -> None:
    chain = " ".join(f'[n{i}] v{i} = Pad <mode="reflect"> (v{i - 1}, p)' for i in range(1, 7))
    body = f"v0 = Relu(x) {chain} y = Conv(v6, w1)"
    reason = fields_of(net(body, {"p": np.array([0, 0, 1, 0, 0, 0, 1, 0])}, 17)).of("y")["x"].reason
    assert [note.split()[1] for note in reason.split("; ")] == ["'n1'", "'n2'", "'n3'", "'n4'"]


@pytest.mark.parametrize(("kept", "axes"), [("", (None, 3)), ("keepdims=1,", (None, 3)), ("keepdims=0,", (None, 2))])
def test_axes_that_are_reduced_stay_unless_told_to_go(kept: str, axes: tuple[int | None, ...]) -> None:
    field = fields_of(net(f"{C4} y = ReduceMax <{kept} axes=[2]> (a)", {}, 17)).of("y")["x"]
    assert field.axes == axes


def test_values_in_the_branches_of_an_if_are_followed() -> None:
    body = next(case[1] for case in UNDETERMINED if case[0] == "bodies")
    fields = fields_of(net(body, {"c": np.array(True)}, 17))
    assert fields.of("u")["x"].size == fields.of("v")["x"].size == (3, 2)


def test_an_image_of_unknown_rank_is_not_followed() -> None:
    proto = onnx.load_from_string(net("y = Relu(x)", {}, 17))
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    assert fields_of(proto.SerializeToString()).of("y") == {}


def test_deep_graphs_are_followed_without_recursion() -> None:
    chain = " ".join(f"v{i} = Conv <pads=[1,0,0,0]> (v{i - 1}, w1)" for i in range(1, 4001))
    field = fields_of(net(f"v0 = Relu(x) {chain} y = Relu(v4000)", {}, 17)).of("y")["x"]
    assert (field.size, field.offset) == ((8001, 4001), (-4000, 0))


def test_numbers_cannot_grow_without_end() -> None:
    chain = " ".join(f"v{i} = MaxPool <kernel_shape=[1,1], strides=[1000000,1]> (v{i - 1})" for i in range(1, 30))
    field = fields_of(net(f"v0 = Relu(x) {chain} y = Relu(v29)", {}, 17)).of("y")["x"]
    assert (field.size, field.stride) == ((None, 1), (None, 1))
    assert "too large" in field.reason


def test_too_many_inputs_are_refused() -> None:
    inputs = ", ".join(f"float[N,1,4,4] i{k}" for k in range(MAX_IMAGES + 1))
    with pytest.raises(LimitError, match="too many inputs"):
        fields_of(model("y = Relu(i0)", inputs=inputs))


def test_intervals_are_the_whole_pixels_inside() -> None:
    half = ReceptiveField(
        (2, None), (Fraction(3, 2), None), (Fraction(1, 2), Fraction(1)), (Fraction(-1, 2), None), True, True, ""
    )
    assert [half.interval((u, 0)) for u in range(3)] == [((0, 0), None), ((0, 0), None), ((1, 1), None)]
    assert half.centre((1, 0)) == (Fraction(1, 4), None)


def test_facts_are_plain_numbers() -> None:
    field = fields_of(
        net("g = ReduceMax <axes=[2]> (x) u = Upsample <scales=[1.0,1.0,1.0,2.0]> (x) y = Add(u, g)", {}, 8)
    )
    facts = field.of("u")["x"].facts()
    assert json.loads(json.dumps(facts)) == facts == {
        "axes": [2, 3], "size": [1, 1.5], "stride": [1, 0.5], "offset": [0, -0.5],
        "aligned": True, "unbounded": False, "reason": "",
    }  # fmt: skip
    assert field.of("g")["x"].facts()["size"] == [None, 1]


def test_real_files_are_read_through_the_front_door() -> None:
    view = load(
        model("[c] a = Conv <pads=[1,1,1,1]> (x, w) y = Relu(a)", weights={"w": numbers(4, 3, 3, 3)}, opset=NEWEST)
    )
    fields = receptive_fields(view.model, Constants())
    assert {tap.tensor: fields.of(tap.tensor)["x"].size for tap in view.layer("c").taps.values()} == {
        "a": (3, 3), "y": (3, 3)
    }  # fmt: skip
