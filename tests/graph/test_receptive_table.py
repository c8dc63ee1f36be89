"""Receptive fields of well-known networks against what has been published of them."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from slim_nets import (
    Net,
    Valid,
    alexnet_v2,
    inception_resnet_v2,
    inception_v2,
    inception_v3,
    inception_v4,
    mobilenet_v1,
    resnet,
    vgg,
)

NETS = {
    "alexnet_v2": alexnet_v2,
    "vgg_a": vgg(1, 1, 2, 2, 2),
    "vgg_16": vgg(2, 2, 3, 3, 3),
    "inception_v2": inception_v2,
    "inception_v3": inception_v3,
    "inception_v4": inception_v4,
    "inception_resnet_v2": inception_resnet_v2(Valid),
    "inception_resnet_v2-same": inception_resnet_v2("SAME_UPPER"),
    "mobilenet_v1": mobilenet_v1,
    "resnet_v1_50": resnet(3, 4, 6, 3),
    "resnet_v1_101": resnet(3, 4, 23, 3),
    "resnet_v1_152": resnet(3, 8, 36, 3),
    "resnet_v1_200": resnet(3, 24, 36, 3),
}
PUBLISHED = {
    "alexnet_v2": """
        conv1 11 4 0 | pool1 19 8 0 | conv2 51 8 16 | conv3 99 16 32 | conv4 131 16 48 | conv5 163 16 64 |
        pool5 195 32 64
    """,
    "vgg_a": """
        conv1_1 3 1 1 | pool1 4 2 1 | conv2_1 8 2 3 | pool2 10 4 3 | conv3_1 18 4 7 | conv3_2 26 4 11 | pool3
        30 8 11 | conv4_1 46 8 19 | conv4_2 62 8 27 | pool4 70 16 27 | conv5_1 102 16 43 | conv5_2 134 16 59 |
        pool5 150 32 59
    """,
    "vgg_16": """
        conv1_1 3 1 1 | pool1 6 2 2 | conv2_1 10 2 4 | pool2 16 4 6 | conv3_1 24 4 10 | conv3_2 32 4 14 |
        pool3 44 8 18 | conv4_1 60 8 26 | conv4_2 76 8 34 | pool4 100 16 42 | conv5_1 132 16 58 | conv5_2 164
        16 74 | pool5 212 32 90
    """,
    "inception_v2": """
        Conv2d_1a_7x7 7 2 ?,2,3 | MaxPool_2a_3x3 11 4 ?,2,5 | Conv2d_2b_1x1 11 4 ?,2,5 | Conv2d_2c_3x3 19 4
        ?,6,9 | MaxPool_3a_3x3 27 8 ?,6,13 | Mixed_3b 59 8 ?,22,29 | Mixed_3c 91 8 ?,38,45 | Mixed_4a 123 16
        ?,46,61 | Mixed_4b 187 16 ?,78,93 | Mixed_4c 251 16 ?,110,125 | Mixed_4d 315 16 ?,142,157 | Mixed_4e
        379 16 ?,174,189 | Mixed_5a 443 32 ?,190,221 | Mixed_5b 571 32 ?,254,285 | Mixed_5c 699 32 ?,318,349
    """,
    "inception_v3": """
        Conv2d_1a_3x3 3 2 0 | Conv2d_2a_3x3 7 2 0 | Conv2d_2b_3x3 11 2 2 | MaxPool_3a_3x3 15 4 2 |
        Conv2d_3b_1x1 15 4 2 | Conv2d_4a_3x3 23 4 2 | MaxPool_5a_3x3 31 8 2 | Mixed_5b 63 8 18 | Mixed_5c 95 8
        34 | Mixed_5d 127 8 50 | Mixed_6a 159 16 58 | Mixed_6b 351 16 154 | Mixed_6c 543 16 250 | Mixed_6d 735
        16 346 | Mixed_6e 927 16 442 | Mixed_7a 1055 32 490 | Mixed_7b 1183 32 554 | Mixed_7c 1311 32 618
    """,
    "inception_v4": """
        Conv2d_1a_3x3 3 2 0 | Conv2d_2a_3x3 7 2 0 | Conv2d_2b_3x3 11 2 2 | Mixed_3a 15 4 2 | Mixed_4a 47 4 14
        | Mixed_5a 55 8 14 | Mixed_5b 87 8 30 | Mixed_5c 119 8 46 | Mixed_5d 151 8 62 | Mixed_5e 183 8 78 |
        Mixed_6a 215 16 86 | Mixed_6b 407 16 182 | Mixed_6c 599 16 278 | Mixed_6d 791 16 374 | Mixed_6e 983 16
        470 | Mixed_6f 1175 16 566 | Mixed_6g 1367 16 662 | Mixed_6h 1559 16 758 | Mixed_7a 1687 32 806 |
        Mixed_7b 1815 32 870 | Mixed_7c 1943 32 934 | Mixed_7d 2071 32 998
    """,
    "inception_resnet_v2": """
        Conv2d_1a_3x3 3 2 0 | Conv2d_2a_3x3 7 2 0 | Conv2d_2b_3x3 11 2 2 | MaxPool_3a_3x3 15 4 2 |
        Conv2d_3b_1x1 15 4 2 | Conv2d_4a_3x3 23 4 2 | MaxPool_5a_3x3 31 8 2 | Mixed_5b 63 8 18 | Mixed_6a 415
        16 186 | PreAuxLogits 2335 16 1146 | Mixed_7a 2399 32 1162 | Conv2d_7b_1x1 3039 32 1482
    """,
    "inception_resnet_v2-same": """
        Conv2d_1a_3x3 3 2 ?,0,1 | Conv2d_2a_3x3 7 2 ?,2,3 | Conv2d_2b_3x3 11 2 ?,4,5 | MaxPool_3a_3x3 15 4
        ?,4,7 | Conv2d_3b_1x1 15 4 ?,4,7 | Conv2d_4a_3x3 23 4 ?,8,11 | MaxPool_5a_3x3 31 8 ?,8,15 | Mixed_5b
        63 8 ?,24,31 | Mixed_6a 415 16 ?,192,207 | PreAuxLogits 2335 16 ?,1152,1167 | Mixed_7a 2399 32
        ?,1168,1199 | Conv2d_7b_1x1 3039 32 ?,1488,1519
    """,
    "mobilenet_v1": """
        Conv2d_0 3 2 ?,0,1 | Conv2d_1_pointwise 7 2 ?,2,3 | Conv2d_2_pointwise 11 4 ?,2,5 | Conv2d_3_pointwise
        19 4 ?,6,9 | Conv2d_4_pointwise 27 8 ?,6,13 | Conv2d_5_pointwise 43 8 ?,14,21 | Conv2d_6_pointwise 59
        16 ?,14,29 | Conv2d_7_pointwise 91 16 ?,30,45 | Conv2d_8_pointwise 123 16 ?,46,61 | Conv2d_9_pointwise
        155 16 ?,62,77 | Conv2d_10_pointwise 187 16 ?,78,93 | Conv2d_11_pointwise 219 16 ?,94,109 |
        Conv2d_12_pointwise 251 32 ?,94,125 | Conv2d_13_pointwise 315 32 ?,126,157
    """,
    "resnet_v1_50": """
        block1 35 8 ?,15,17 | block2 99 16 ?,47,49 | block3 291 32 ?,143,145 | block4 483 32 ?,239,241
    """,
    "resnet_v1_101": """
        block1 35 8 ?,15,17 | block2 99 16 ?,47,49 | block3 835 32 ?,415,417 | block4 1027 32 ?,511,513
    """,
    "resnet_v1_152": """
        block1 35 8 ?,15,17 | block2 163 16 ?,79,81 | block3 1315 32 ?,655,657 | block4 1507 32 ?,751,753
    """,
    "resnet_v1_200": """
        block1 35 8 ?,15,17 | block2 419 16 ?,207,209 | block3 1571 32 ?,783,785 | block4 1763 32 ?,879,881
    """,
}
"""End-point, size, effective stride, effective padding: one number, or those for a free size (?: it depends), 224, 321.

RECEPTIVE_FIELD_TABLE.md of github.com/google-research/receptive_field, the tables of Araujo, Norris, Sim (2019). Left
out, because their geometry and their rows are the same: inception_v2-no-separable-conv, mobilenet_v1_075, resnet_v2_*.
"""


def rows(net: str, column: int) -> dict[str, tuple[int, int, int | None]]:
    found = {}
    for row in PUBLISHED[net].split("|"):
        end, size, stride, padding = row.split()
        one = padding.split(",")[column] if "," in padding else padding
        found[end] = (int(size), int(stride), None if one == "?" else int(one))
    return found


@pytest.mark.parametrize(("column", "size"), [(0, None), (1, 224), (2, 321)])
@pytest.mark.parametrize("name", NETS)
def test_every_published_row_is_met(name: str, column: int, size: int | None) -> None:
    net = Net(size)
    NETS[name](net)
    fields = net.fields()
    expected = rows(name, column)
    assert set(expected) <= set(fields)
    for end, (extent, stride, padding) in expected.items():
        field = fields[end]
        offset = None if padding is None else -padding
        assert (field.size, field.stride, field.offset) == ((extent,) * 2, (stride,) * 2, (offset,) * 2), end
        assert not field.unbounded
        assert field.aligned, field.reason  # their program refuses networks that are not, where it can tell
        assert bool(field.reason) == (padding is None)


def test_a_published_feature_is_centred_where_it_is_said_to_be() -> None:
    """The README of the same program: feature [0, 2] of Inception-ResNet-v2 looks at [37, 101]."""
    net = Net(None)
    NETS["inception_resnet_v2"](net)
    assert net.fields()["Conv2d_7b_1x1"].centre((0, 2)) == (37, 101)


def strided_and_padded(net: Net, x: ir.Value, *, same: bool = False) -> ir.Value:
    """Two branches of stride 4: one looks at a pixel, the other at its neighbours too."""
    left = net.conv(x, 1, 4, Valid)
    right = net.conv(x, 3, 2) if same else net.conv(net.pad(x, 1, 0), 3, 2, Valid)
    return net.add(left, net.conv(right, 1, 2, Valid))


def facts(net: Net, value: ir.Value) -> tuple[object, ...]:
    net.end("it", value)
    field = net.fields()["it"]
    assert ("misaligned" in field.reason) == (field.aligned is False)
    return field.size[0], field.stride[0], field.offset[0], field.aligned


def test_aligned_branches_give_their_union() -> None:
    net = Net(None)
    assert facts(net, strided_and_padded(net, net.image)) == (3, 4, -1, True)


def test_aligned_branches_can_be_nested() -> None:
    net = Net(None)
    x = strided_and_padded(net, net.image)
    left, right = net.conv(x, 1, 2, Valid), net.conv(net.pad(x, 1, 0), 3, 2, Valid)
    assert facts(net, net.add(left, right)) == (11, 8, -5, True)


@pytest.mark.parametrize(("size", "expected"), [(None, (3, 4, None, None)), (9, (3, 4, -1, True))])
def test_padding_that_depends_on_the_size_is_undetermined_until_the_size_is_known(
    size: int | None, expected: tuple[object, ...]
) -> None:
    net = Net(size)
    assert facts(net, strided_and_padded(net, net.image, same=True)) == expected


def test_branches_whose_centres_differ_are_misaligned_and_still_have_a_union() -> None:
    """With 8 pixels the padding is all behind, so the wide branch looks one pixel further than the narrow one."""
    net = Net(8)
    assert facts(net, strided_and_padded(net, net.image, same=True)) == (3, 4, 0, False)


def test_branches_whose_strides_differ_have_no_common_field() -> None:
    """The sum exists for 7 pixels only: (7 + 3 - 5) // 2 + 1 units, and 7 - 2 - 2."""
    net = Net(7)
    left = net.conv(net.pad(net.image, 2, 1), 5, 2, Valid)
    right = net.conv(net.conv(net.image, 3, 1, Valid), 3, 1, Valid)
    assert facts(net, net.add(left, right)) == (None, None, None, False)


def test_kernels_need_not_be_square() -> None:
    net = Net(None)
    net.end("it", net.conv(net.conv(net.image, (3, 5), 2, Valid), (3, 1), 2, Valid))
    field = net.fields()["it"]
    assert field.size == (7, 5)
    assert field.stride == (4, 4)
    assert field.offset == (0, 0)
