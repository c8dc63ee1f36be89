"""Arrays as messages, and back."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from wire_strategies import arrays, laws, plain

from inspector._proto.inspector.v1 import tensor_pb2
from inspector.contract import Heatmap, Scale, ScaleKind, TensorInfo
from inspector.errors import InputError, PluginError
from inspector.faces import wire_block, wire_tensor


@laws
@given(arrays(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)))
def test_an_array_survives_its_message(array):
    back = wire_tensor.tensor_from_message(wire_tensor.tensor_to_message(array))
    assert plain(back) == plain(array)
    assert back.dtype.isnative


@laws
@given(arrays(st.just((3, 4, 5))), st.permutations(range(3)))
def test_strides_do_not_travel(array, axes):
    turned = array.transpose(axes)[::-1, ::2]
    assert plain(wire_tensor.tensor_from_message(wire_tensor.tensor_to_message(turned))) == plain(turned)


def test_half_precision_is_laid_out_as_ieee_and_bfloat16_as_the_upper_half_of_float32():
    assert wire_tensor.tensor_to_message(np.array([1.0], np.float16)).data == b"\x00\x3c"
    assert wire_tensor.tensor_to_message(np.array([1.0], ml_dtypes.bfloat16)).data == b"\x80\x3f"
    assert wire_tensor.tensor_to_message(np.array([1], ">i4")).data == b"\x01\0\0\0"


@pytest.mark.parametrize(
    ("tensor", "problem"),
    [
        (tensor_pb2.Tensor(dtype="float32", shape=[2, 2], data=b"\0" * 15), "does not fit"),
        (tensor_pb2.Tensor(dtype="float32", shape=[2, 2], data=b"\0" * 17), "does not fit"),
        (tensor_pb2.Tensor(dtype="float32", data=b""), "does not fit"),
        (tensor_pb2.Tensor(dtype="float64", shape=[1 << 62, 1 << 62], data=b"\0"), "does not fit"),
        (tensor_pb2.Tensor(dtype="int8", shape=[-1, -1], data=b"\0"), "negative"),
        (tensor_pb2.Tensor(dtype="float32", shape=[1 << 62, 0, 1 << 62]), "too large"),
        (tensor_pb2.Tensor(dtype="float32", shape=[1 << 61, 0]), "too large"),
        (tensor_pb2.Tensor(dtype="int8", shape=[1] * 33, data=b"\0"), "too many axes"),
        (tensor_pb2.Tensor(dtype="object", shape=[1], data=b"\0" * 8), "unknown element type"),
        (tensor_pb2.Tensor(dtype="O", shape=[1], data=b"\0" * 8), "unknown element type"),
        (tensor_pb2.Tensor(dtype="", shape=[0]), "unknown element type"),
    ],
)
def test_a_tensor_that_lies_is_refused_before_anything_is_allocated(tensor, problem):
    with pytest.raises(InputError, match=problem):
        wire_tensor.tensor_from_message(tensor)


def test_odd_bits_in_a_bool_become_true():
    array = wire_tensor.tensor_from_message(tensor_pb2.Tensor(dtype="bool", shape=[3], data=b"\0\x01\xff"))
    assert array.view(np.uint8).tolist() == [0, 1, 1]


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([object()]), np.array([1j]), np.array(["2000"], "M8[D]")])
def test_arrays_without_plain_numbers_do_not_travel(array):
    with pytest.raises(InputError, match="does not travel"):
        wire_tensor.tensor_to_message(array)
    heatmap = Heatmap("h", array.reshape(1, 1), Scale(ScaleKind.SIGNED, -1, 1))
    with pytest.raises(PluginError, match="values of heatmap 'h'"):
        wire_block.block_to_message(heatmap)


SHAPES = st.none() | st.lists(st.integers(0, 2**40) | st.text(max_size=4) | st.none(), max_size=4).map(tuple)


@laws
@given(st.builds(TensorInfo, st.text(max_size=4), st.sampled_from(["float32", "int64"]), SHAPES))
def test_what_is_known_of_an_input_survives(info):
    data = wire_tensor.info_to_message(info).SerializeToString()
    assert wire_tensor.info_from_message(tensor_pb2.TensorInfo.FromString(data)) == info
