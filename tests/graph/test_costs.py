"""Costs of layers against counts in plain loops, and against well-known totals."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from models import Case, geometry, model, numbers
from models_quantized import channels_last, net

from inspector import Layer
from inspector.graph.costs import Cost, multiply_accumulates, total
from inspector.graph.load import load
from inspector.graph.view import OnnxView

FOLDER = Path(onnx.__file__).parent / "backend/test/data/light"


def costs_of(view: OnnxView) -> dict[str, Cost]:
    return {layer.name: view.cost(layer.name) for layer in view.layers}


def products(layer: Layer, image: tuple[int, ...], output: tuple[int, ...]) -> int:
    """Multiplications of one input, one by one: every filter, every place, every tap, every channel of its group."""
    count = 0
    for filter_ in range(layer.out_channels):
        group = filter_ * layer.groups // layer.out_channels
        for channel in range(layer.in_channels):
            if channel * layer.groups // layer.in_channels != group:
                continue
            places = image if layer.op == "ConvTranspose" else output  # a transposed convolution spreads its input
            for _ in itertools.product(*map(range, (*places, *layer.kernel))):
                count += 1
    return count


@pytest.mark.parametrize("case", geometry(), ids=lambda case: case.name)
def test_multiply_accumulates_are_what_loops_count(case: Case) -> None:
    (output,) = ort.InferenceSession(case.data, providers=["CPUExecutionProvider"]).run(None, {"x": case.inputs(2)})
    view = load(case.data)
    (layer,) = view.layers
    assert costs_of(view)[layer.name] == Cost(
        parameters=sum(int(np.prod(t.dims)) for t in onnx.load_from_string(case.data).graph.initializer),
        macs=products(layer, case.shape[1:], output.shape[2:]),
        activation_bytes=output[0].nbytes,
    )


def chain(size: int, layers: list[tuple[int, int, int, int, int]]) -> bytes:
    """Convolutions one after the other: filters, channels per group, kernel, stride, groups; -1 filters: a 2x2 pool."""
    body, weights, x = "", {}, "x"
    for i, (filters, depth, kernel, stride, groups) in enumerate(layers):
        p = (kernel - 1) // 2
        if filters < 0:
            body += f" v{i} = MaxPool <kernel_shape=[2,2], strides=[2,2]> ({x})"
        else:
            weights[f"s{i}"] = np.array([filters, depth, kernel, kernel])
            body += f" k{i} = ConstantOfShape (s{i})"
            body += f" v{i} = Conv <pads=[{p},{p},{p},{p}], strides=[{stride},{stride}], group={groups}> ({x}, k{i})"
        x = f"v{i}"
    return model(f"{body} y = Relu({x})", inputs=f"float[N,3,{size},{size}] x", weights=weights)


def vgg_16() -> bytes:
    """Configuration D of Simonyan and Zisserman (2014)."""
    layers, depth = [], 3
    for filters, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers.append((filters, depth, 3, 1, 1))
            depth = filters
        layers.append((-1, 0, 2, 2, 1))
    return chain(224, layers)


def mobilenet_v1() -> bytes:
    """Table 1 of Howard et al. (2017)."""
    layers, depth = [(32, 3, 3, 2, 1)], 32
    for filters, stride in (
        (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1),
    ):  # fmt: skip
        layers += [(depth, 1, 3, stride, depth), (filters, depth, 1, 1, 1)]
        depth = filters
    return chain(224, layers)


def light(name: str, size: int = 224) -> bytes:
    """A model of the onnx package for a square image of that size."""
    proto = onnx.load(FOLDER / f"light_{name}.onnx")
    given = {tensor.name for tensor in proto.graph.initializer}
    (image,) = (value for value in proto.graph.input if value.name not in given)
    for axis in (2, 3):
        image.type.tensor_type.shape.dim[axis].dim_value = size
    return proto.SerializeToString()


@pytest.mark.parametrize(
    ("data", "macs", "dense"),
    [
        (vgg_16, 15_470_264_320, 25_088 * 4096 + 4096 * 4096 + 4096 * 1000),
        (lambda: light("vgg19"), 19_632_062_464, 25_088 * 4096 + 4096 * 4096 + 4096 * 1000),
        (lambda: light("resnet50"), 4_089_184_256, 2048 * 1000),
        (lambda: light("bvlc_alexnet", 227), 724_406_816, 9216 * 4096 + 4096 * 4096 + 4096 * 1000),
        (lambda: light("squeezenet"), 349_151_936, 0),
        (mobilenet_v1, 568_740_352, 1024 * 1000),
    ],
    ids=["vgg_16", "vgg_19", "resnet_50", "alexnet", "squeezenet_1.1", "mobilenet_v1"],
)
def test_totals_are_the_well_known_ones_without_the_dense_layers(
    data: Callable[[], bytes], macs: int, dense: int
) -> None:
    """`macs` is the total that profilers give for the whole network, `dense` its fully connected part."""
    assert total(costs_of(load(data())).values()).macs == macs - dense


def test_parameters_of_vgg_16_are_those_of_its_convolutions_without_bias() -> None:
    assert total(costs_of(load(vgg_16())).values()).parameters == 14_714_688 - 4224


BODY = "[c] a = Conv (x, w) y = Relu(a)"
WEIGHT = numbers(4, 3, 3, 3)


def test_costs_that_depend_on_a_free_size_are_not_given() -> None:
    view = load(model(BODY, inputs="float[N,3,H,5] x", weights={"w": WEIGHT}))
    costs = costs_of(view)
    assert costs == {"c": Cost(parameters=108, macs=None, activation_bytes=None)}
    assert total([*costs.values(), Cost(1, 2, 3)]) == Cost(109, None, None)
    assert multiply_accumulates(view.layer("c"), (4, 3)) == 108 * 12


def test_the_batch_is_not_counted() -> None:
    one, many = (load(model(BODY, inputs=f"float[{n},3,6,5] x", weights={"w": WEIGHT})) for n in (1, 7))
    assert costs_of(one) == costs_of(many) == {"c": Cost(108, 108 * 4 * 3, 4 * 4 * 3 * 4)}


@pytest.mark.parametrize(
    ("inputs", "body", "maps"),
    [
        ("float[N,8,3,6,5] x", "r = Reshape(x, frames)", 8),
        ("float[1,8,3,6,5] x", "r = Reshape(x, frames)", 8),
        ("float[2,8,3,6,5] x", "r = Reshape(x, frames)", 8),
        ("float[N,3,6,5] x", "r = Reshape(x, frames)", 1),
        ("float[N,3,6,5] x", "r = Concat <axis=0> (x, x, x)", 3),
        ("float[N,3,6,5] x, float[1,3,6,5] z", "r = Add(x, z)", 1),
        ("float[3,6,5] x", "r = Reshape(x, frames)", 1),
    ],
)
def test_all_maps_that_one_input_makes_are_counted(inputs: str, body: str, maps: int) -> None:
    weights = {"w": WEIGHT, "frames": np.array([-1, 3, 6, 5])}
    used = {name: array for name, array in weights.items() if name == "w" or name in body}
    view = load(model(f"{body} [c] a = Conv (r, w) y = Relu(a)", inputs=inputs, weights=used))
    assert costs_of(view) == {"c": Cost(108, maps * 108 * 4 * 3, maps * 4 * 4 * 3 * 4)}


def test_a_number_of_maps_that_only_a_run_knows_is_not_guessed() -> None:
    body = (
        "found = NonZero(k) places = Transpose(found) s = Shape(places) t = Slice(s, zero, one) "
        "q = Concat <axis=0> (t, rest) r = Reshape(x, q) [c] a = Conv (r, w) y = Relu(a)"
    )
    weights = {"w": WEIGHT, "zero": np.array([0]), "one": np.array([1]), "rest": np.array([3, 6, 5])}
    view = load(model(body, inputs="float[N,3,6,5] x, float[K] k", weights=weights))
    assert costs_of(view) == {"c": Cost(108, None, None)}


def test_bytes_follow_the_element_type() -> None:
    view = load(
        model(BODY, inputs="float16[N,3,6,5] x", outputs="float16[N,C,H,W] y", weights={"w": WEIGHT.astype("float16")})
    )
    assert costs_of(view)["c"].activation_bytes == 4 * 4 * 3 * 2


def test_maps_whose_channels_come_last_cost_what_others_do() -> None:
    """A runtime's own layers have no shape unless the file declares it: rows, columns, channels."""
    proto = onnx.load_from_string(net(channels_last("z0")))
    kind = proto.graph.value_info.add(name="a").type.tensor_type
    kind.elem_type = onnx.TensorProto.UINT8
    kind.shape.dim.extend([onnx.TensorShapeProto.Dimension(dim_value=s) for s in (1, 6, 5, 4)])
    (cost,) = costs_of(load(proto.SerializeToString())).values()
    assert (cost.macs, cost.activation_bytes) == (108 * 6 * 5, 4 * 6 * 5)


def test_no_layers_cost_nothing() -> None:
    assert total([]) == Cost(0, 0, 0)


@pytest.mark.parametrize("name", ["x", "w", "a", "y"])
def test_what_is_given_out_as_well_keeps_its_size(name: str) -> None:
    """And what a file declares for it, if it is no input, does not count."""
    proto = onnx.load_from_string(model(BODY, inputs="float[N,3,6,5] x", weights={"w": WEIGHT}))
    if name != "y":
        proto.graph.output.add(name=name).type.tensor_type.elem_type = 1
    for output in proto.graph.output:
        del output.type.tensor_type.shape.dim[:]
        output.type.tensor_type.shape.dim.extend([onnx.TensorShapeProto.Dimension(dim_value=s) for s in (2, 9, 9, 9)])
    assert costs_of(load(proto.SerializeToString())) == {"c": Cost(108, 108 * 4 * 3, 4 * 4 * 3 * 4)}


def test_a_declared_shape_with_too_few_axes_says_nothing() -> None:
    proto = onnx.load_from_string(model(BODY, inputs="float[N,3,H,W] x", weights={"w": WEIGHT}))
    kind = proto.graph.value_info.add(name="a").type.tensor_type
    kind.elem_type = 1
    kind.shape.dim.extend([onnx.TensorShapeProto.Dimension(dim_value=s) for s in (1, 4)])
    assert costs_of(load(proto.SerializeToString())) == {"c": Cost(108, None, None)}
