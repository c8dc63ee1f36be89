"""Receptive fields through every kind of operator, against changes of single pixels sent through onnxruntime."""

from __future__ import annotations

from dataclasses import dataclass

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from receptive_pixels import C4, C, H, W, changes, check, fields_of, net

from inspector import Array


@dataclass(frozen=True, slots=True)
class Followed:
    """A body from x to y that keeps places apart. `tight`: the interval has no pixel too many."""

    name: str
    body: str
    weights: dict[str, Array]
    opset: int = 17
    tight: bool = True
    free: bool = True


def case(name: str, body: str, *, opset: int = 17, tight: bool = True, free: bool = True, **weights: object) -> object:
    arrays = {k: np.asarray(v) for k, v in weights.items()}
    return pytest.param(Followed(name, body, arrays, opset, tight, free), id=name)


def resize(name: str, attributes: str, scales: tuple[float, float], *, opset: int = 17, tight: bool = True) -> object:
    s = np.array([1, 1, *scales], np.float32)
    return case(name, f'y = Resize <{attributes}> (x, "", s)', s=s, opset=opset, tight=tight, free="align" not in name)


TRANSFORMS = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
CASES = [
    case("conv", "y = Conv <strides=[2,1], pads=[1,0,2,1]> (x, w1)"),
    case("lp_pool", "y = LpPool <kernel_shape=[3,2], strides=[2,1], p=1> (x)"),
    case("pool_ceil", "y = MaxPool <kernel_shape=[3,2], strides=[2,2], ceil_mode=1> (x)"),
    case("pool_dilated", "y = MaxPool <kernel_shape=[3,2], dilations=[2,3]> (x)"),
    case("pool_dilated_same", 'y = MaxPool <kernel_shape=[3,2], dilations=[2,3], auto_pad="SAME_UPPER"> (x)'),
    case("pool_same_behind", 'y = LpPool <kernel_shape=[1,2], strides=[3,4], auto_pad="SAME_UPPER"> (x)',
         opset=18, free=False),
    case("pool_same_behind_lower", 'y = LpPool <kernel_shape=[2,1], strides=[4,3], auto_pad="SAME_LOWER"> (x)',
         opset=18, free=False),
    case("transposed", "y = ConvTranspose <strides=[2,3], pads=[1,0,1,1]> (x, t1)"),
    case("transposed_after", f"{C} y = ConvTranspose <strides=[2,1], pads=[1,0,0,1]> (a, t1)"),
    case("transposed_same_upper", 'y = ConvTranspose <strides=[2,1], auto_pad="SAME_UPPER"> (x, t1)'),
    case("transposed_same_lower", 'y = ConvTranspose <strides=[2,1], auto_pad="SAME_LOWER"> (x, t1)'),
    case("transposed_shape", "y = ConvTranspose <strides=[2,2], output_shape=[22,15]> (x, t1)", free=False),
    case("transposed_shape_upper", "y = ConvTranspose <strides=[2,3], output_shape=[20,19], "
         'auto_pad="SAME_UPPER"> (x, t1)', free=False),
    case("transposed_shape_lower", 'y = ConvTranspose <strides=[2,3], output_shape=[20,20], output_padding=[1,2], '
         'auto_pad="SAME_LOWER"> (x, t1)', free=False),
    case("transposed_valid", 'y = ConvTranspose <strides=[2,1], auto_pad="VALID"> (x, t1)'),
    case("depth_to_space", f"{C4} y = DepthToSpace <blocksize=2> (a)"),
    case("depth_to_space_crd", f'{C4} y = DepthToSpace <blocksize=2, mode="CRD"> (a)'),
    case("space_to_depth", "y = SpaceToDepth <blocksize=2> (x)"),
    case("pads", "y = Pad (x, p)", p=[0, 0, 1, 2, 0, 0, 1, 0]),
    case("pads_negative", "y = Pad (x, p)", p=[0, 0, -1, 2, 0, 0, 0, -1]),
    case("pads_of_axes", "y = Pad (x, p, z, a)", opset=18, p=[1, 2], z=np.float32(0), a=[3]),
    case("pads_attribute", f"{C} y = Pad <pads=[0,0,1,0,0,0,0,2]> (a)", opset=9),
    case("slice", "y = Slice (x, s, e, a)", s=[2, 1], e=[11, 2**62], a=[2, 3]),
    case("slice_negative", f"{C} y = Slice (a, s, e, a2)", s=[-4], e=[2**31 - 1], a2=[-2], free=False),
    case("slice_steps", "y = Slice (x, s, e, a, t)", s=[1, 0], e=[12, 8], a=[2, 3], t=[3, 2]),
    case("slice_attribute", "y = Slice <starts=[1,2], ends=[9,7], axes=[2,3]> (x)", opset=9),
    case("split", "a, y, b = Split <axis=2> (x, s)", s=[5, 4, 3]),
    case("split_even", "a, y, b = Split <axis=2, num_outputs=3> (x)", opset=18, free=False),
    case("transposed_axes", f"{C} y = Transpose <perm=[0,1,3,2]> (a)", tight=False),
    case("there_and_back", "t = Transpose <perm=[0,2,3,1]> (x) m = MatMul(t, k) y = Transpose <perm=[0,3,1,2]> (m)",
         k=np.ones((1, 4), "f")),
    case("norm_of_channels", "t = Transpose <perm=[0,2,3,1]> (a) n = LayerNormalization (t, k) "
         "y = Transpose <perm=[0,3,1,2]> (n)".replace("t =", f"{C4} t =", 1), k=np.arange(1, 5).astype("f")),
    case("squeezed", "s = Squeeze (x, a) b = Unsqueeze (s, u) c = Transpose <perm=[0,3,1,2]> (b) y = Relu(c)",
         a=[1], u=[-1]),
    case("unsqueezed_attribute", "s = Squeeze <axes=[1]> (x) y = Unsqueeze <axes=[1]> (s)", opset=9),
    case("softmax_of_channels", f"{C4} y = Softmax <axis=1> (a)", tight=False),
    case("channels_gathered", f"{C4} y = Gather <axis=1> (a, i)", i=[2, 0]),
    case("channels_gathered_in_rows", f"{C4} g = Gather <axis=1> (a, i) s = Squeeze (g, k) "
         "y = MaxPool <kernel_shape=[2,1]> (s)", i=[[2, 0]], k=[1]),
    case("alone", f"{C} y = Concat <axis=2> (a)"),
    case("channels_split", f"{C4} b, c = Split <axis=1> (a) y = Concat <axis=1> (c, b)", opset=13),
    case("channels_reduced", f"{C4} y = ReduceMax <axes=[1]> (a)"),
    case("channels_reduced_input", f"{C4} r = ReduceSum <keepdims=0> (a, k) y = Unsqueeze (r, k)", k=[1]),
    case("reduced_nowhere", "y = ReduceSum <noop_with_empty_axes=1> (x)"),
    case("best_channel", f"{C4} b = ArgMax <axis=1> (a) y = Cast <to=1> (b)", tight=False),
    case("channels_normalised", f"{C4} y = LRN <size=3> (a)"),
    case("tiled_channels", "y = Tile (x, r)", r=[1, 3, 1, 1]),
    case("expanded_channels", "y = Expand (x, r)", r=[1, 3, 1, 1]),
    case("elementwise", "r = Relu(x) m = Mul(r, k) q = Equal(m, x) c = Cast <to=1> (q) f = Clip(m) y = Add(c, f)",
         k=np.full((1, 1, 1, 1), 3.0, "f")),
    case("chosen", "g = Greater(x, k) y = Where(g, x, k)", k=np.float32(2)),
    case("cast_like", "k = CastLike(s, x) y = Add(x, k)", s=np.float32(2)),
    case("batch_norm", "y = BatchNormalization(x, k, k, k, k)", k=np.ones(1, "f")),
    case("quantised", "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)", s=np.float32(1), z=np.uint8(0)),
    case("quantised_conv", "q = QuantizeLinear(x, s, z) a = QLinearConv <strides=[2,1]> (q, s, z, v, s, z, s, z) "
         "y = DequantizeLinear(a, s, z)", s=np.float32(1), z=np.uint8(0), v=np.ones((1, 1, 3, 2), np.uint8)),
    case("integer_conv", "q = QuantizeLinear(x, s, z) a = ConvInteger <pads=[1,0,0,0]> (q, v) y = Cast <to=1> (a)",
         s=np.float32(1), z=np.uint8(0), v=np.ones((1, 1, 3, 2), np.uint8)),
    case("shape_only", "s = Shape(x) n = ConstantOfShape(s) y = Add(x, n)"),
    case("pixel_shuffle", f"{C4} r = Reshape(a, s) t = Transpose <perm=[0,1,4,2,5,3]> (r) y = Reshape(t, o)",
         s=[-1, 1, 2, 2, 6, 8], o=[-1, 1, 12, 16], free=False),
    case("pixel_unshuffle", "r = Reshape(x, s) t = Transpose <perm=[0,1,3,5,2,4]> (r) y = Reshape(t, o)",
         s=[-1, 1, 6, 2, 4, 2], o=[-1, 4, 6, 4], free=False),
    case("sizes_copied", "y = Reshape(x, s)", s=[0, -1, 0, 0]),
    case("sizes_kept", "y = Reshape(x, s)", s=[-1, 1, 12, 8], free=False),
    case("channel_shuffle", f"{C4} r = Reshape(a, s) t = Transpose <perm=[0,2,1,3,4]> (r) y = Reshape(t, o)",
         s=[0, 2, 2, 6, 8], o=[-1, 4, 6, 8], free=False),
    case("focus", "a = Slice <starts=[0], ends=[99], axes=[2]> (x) y = SpaceToDepth <blocksize=2> (a)", opset=9,
         free=False),
    case("upsample_9", f"{C} y = Upsample (a, s)", opset=9, s=np.array([1, 1, 2, 3], "f")),
    case("upsample_7", "y = Upsample <scales=[1.0, 1.0, 2.0, 3.0]> (x)", opset=8),
    case("upsample_linear", 'y = Upsample <mode="linear"> (x, s)', opset=9, s=np.array([1, 1, 2, 2], "f")),
    case("resize_10", "y = Resize (x, s)", opset=10, s=np.array([1, 1, 2, 3], "f")),
    case("resize_to_one", 'y = Resize <coordinate_transformation_mode="align_corners"> (x, "", "", z)', z=[1, 1, 1, 15],
         free=False),
    case("resize_to_one_half", 'y = Resize <coordinate_transformation_mode="pytorch_half_pixel"> (x, "", "", z)',
         z=[1, 1, 1, 16], free=False),
    case("resize_sizes", 'y = Resize (x, "", "", z)', z=[1, 1, 18, 12], free=False),
    case("resize_axes", 'y = Resize <axes=[3, 2]> (x, "", s)', opset=18, s=np.array([2, 3], "f")),
    *[resize(f"linear_{t}", f'mode="linear", coordinate_transformation_mode="{t}"', (2, 3)) for t in TRANSFORMS],
    *[resize(f"smaller_{t}", f'mode="linear", coordinate_transformation_mode="{t}"', (0.5, 0.75)) for t in TRANSFORMS],
    *[resize(f"nearest_{t}_{r}", f'coordinate_transformation_mode="{t}", nearest_mode="{r}"', (2, 1.5))
      for t in TRANSFORMS[:3] for r in ROUNDINGS],
    resize("cubic", 'mode="cubic", coordinate_transformation_mode="half_pixel"', (2, 1)),
    resize("cubic_asymmetric", 'mode="cubic", coordinate_transformation_mode="asymmetric"', (2, 1)),
    case("resize_for_nn", 'y = Resize <coordinate_transformation_mode="tf_half_pixel_for_nn", nearest_mode="floor"> '
         "(x, r, s)", opset=11, s=np.array([1, 1, 2, 3], "f"), r=np.zeros(8, "f")),
]  # fmt: skip


@pytest.mark.parametrize("followed", CASES)
def test_fields_through_an_operator_are_what_changes_show(followed: Followed) -> None:
    data = net(followed.body, followed.weights, followed.opset)
    field = fields_of(data).of("y")["x"]
    turned = followed.name == "transposed_axes"
    changed = changes(data)
    check(field, changed.swapaxes(2, 3) if turned else changed, tight=followed.tight)
    assert (field.aligned, field.unbounded) == (True, False)
    if followed.free:
        assert fields_of(net(followed.body, followed.weights, followed.opset, free=True)).of("y")["x"] == field


@st.composite
def rearrangements(draw: st.DrawFn) -> tuple[str, dict[str, Array], int]:
    """Nodes from a (1, 4, 6, 8) to z that cut an axis in two, merge neighbours or swap them; weights; rank of z."""
    body, weights, shape = "z0 = Identity(a)", {}, [1, 4, 6, 8]
    count = draw(st.integers(1, 5))
    for i in range(count):
        how, t = draw(st.sampled_from(["cut", "merge", "swap"])), draw(st.integers(0, len(shape) - 2))
        if how == "swap":
            order = [*range(t), t + 1, t, *range(t + 2, len(shape))]
            shape = [shape[o] for o in order]
            body += f" z{i + 1} = Transpose <perm={order}> (z{i})"
            continue
        if how == "cut" and len(shape) < 5:  # onnxruntime pools along three axes at most
            t += draw(st.integers(0, 1))
            size = draw(st.sampled_from([d for d in range(1, shape[t] + 1) if shape[t] % d == 0]))
            shape = [*shape[:t], size, shape[t] // size, *shape[t + 1 :]]
        elif how == "merge" and len(shape) > 3:
            shape = [*shape[:t], shape[t] * shape[t + 1], *shape[t + 2 :]]
        weights[f"s{i}"] = np.array(shape)
        body += f" z{i + 1} = Reshape (z{i}, s{i})"
    return f"{body} z = Identity(z{count})", weights, len(shape)


@given(rearrangements())
def test_rearranged_maps_never_read_more_than_is_said(drawn: tuple[str, dict[str, Array], int]) -> None:
    """After any rearrangement, and a pooling along the last axis."""
    body, weights, rank = drawn
    ones, zeros = [1] * (rank - 3), [0] * (rank - 2)
    pool = f"y = AveragePool <kernel_shape={[*ones, 3]}, pads={[*zeros[1:], 1, *zeros[1:], 1]}> (z)"
    data = net(f"{C4} {body} {pool}", weights, 9)
    field = fields_of(data).of("y")["x"]
    changed = changes(data, joined=False)
    for axis, (value_axis, size) in enumerate(zip(field.axes, (H, W), strict=True)):
        if field.size[axis] is None or value_axis is None:
            continue
        reads = np.moveaxis(changed, (axis, value_axis + 2), (0, 1))
        for u in range(reads.shape[1]):
            where = np.flatnonzero(reads[:, u].reshape(size, -1).any(axis=1))
            first, last = field.interval((u, u))[axis] or (0, 0)
            assert all(first <= pixel <= last for pixel in where)
