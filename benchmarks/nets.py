"""Five networks in the shapes of their papers, with He-random weights: what the benchmarks run on.

Speed does not depend on what a network has learned, but it does depend on shapes and, for sparsity, on signs: with
He-random weights about half of all activations are zero, as in trained networks. Normalisation is folded into the
convolutions, as exporters do it; DenseNet keeps those that come before its convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import onnx_ir as ir
from onnx_ir.tape import Tape

OPSET: Final = 20
PIXELS: Final = 224


class _Net:
    """A network in the making: every method takes the value to go on from and gives the next one."""

    def __init__(self, seed: int = 0) -> None:
        self._tape, self._random = Tape(), np.random.default_rng(seed)
        self.input = ir.Value(
            name="image", shape=ir.Shape(["N", 3, PIXELS, PIXELS]), type=ir.TensorType(ir.DataType.FLOAT)
        )
        self._channels = {self.input: 3}

    def channels(self, x: ir.Value) -> int:
        return self._channels[x]

    def _weights(self, *shape: int, scale: float) -> ir.Value:
        array = (self._random.standard_normal(shape, np.float32) * np.float32(scale)).astype(np.float32)
        return self._tape.initializer(ir.tensor(array), name=f"w{len(self._tape.initializers)}")

    def conv(self, x: ir.Value, filters: int, kernel: int, stride: int = 1, *, groups: int = 1) -> ir.Value:
        inner = self._channels[x] // groups
        pad = kernel // 2
        weights = self._weights(filters, inner, kernel, kernel, scale=math.sqrt(2 / (inner * kernel * kernel)))
        attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4, "group": groups}
        return self._op("Conv", [x, weights, self._weights(filters, scale=0.01)], attributes, filters)

    def relu(self, x: ir.Value) -> ir.Value:
        return self._op("Relu", [x], {}, self._channels[x])

    def clip(self, x: ir.Value) -> ir.Value:
        low, high = (self._tape.initializer(ir.tensor(np.float32(v)), name=f"b{v}_{x.name}") for v in (0, 6))
        return self._op("Clip", [x, low, high], {}, self._channels[x])

    def conv_relu(self, x: ir.Value, filters: int, kernel: int, stride: int = 1) -> ir.Value:
        return self.relu(self.conv(x, filters, kernel, stride))

    def norm(self, x: ir.Value) -> ir.Value:
        c = self._channels[x]
        gamma, beta, mean = (self._weights(c, scale=s) for s in (1.0, 0.1, 0.1))
        ones = self._tape.initializer(ir.tensor(np.ones(c, np.float32)), name=f"v{len(self._tape.initializers)}")
        return self._op("BatchNormalization", [x, gamma, beta, mean, ones], {}, c)

    def pool(self, x: ir.Value, kernel: int, stride: int, *, average: bool = False) -> ir.Value:
        attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [(kernel - 1) // 2] * 4}
        return self._op("AveragePool" if average else "MaxPool", [x], attributes, self._channels[x])

    def add(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self._op("Add", [x, y], {}, self._channels[x])

    def concat(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self._op("Concat", [x, y], {"axis": 1}, self._channels[x] + self._channels[y])

    def _op(self, op: str, inputs: list[ir.Value], attributes: Mapping[str, object], channels: int) -> ir.Value:
        value = self._tape.op(op, inputs, attributes, name=f"{op}_{len(self._tape.nodes)}")  # type: ignore[arg-type]
        value.name = f"{op}_{len(self._tape.nodes)}_out"
        self._channels[value] = channels
        return value

    def classifier(self, x: ir.Value) -> bytes:
        """Global pooling and a linear layer of 1,000 classes end it; gives the file's bytes."""
        pooled = self._tape.op("Flatten", [self._op("GlobalAveragePool", [x], {}, self._channels[x])])
        matrix = self._weights(self._channels[x], 1000, scale=math.sqrt(1 / self._channels[x]))
        scores = self._tape.op("MatMul", [pooled, matrix])
        scores.name, scores.shape, scores.type = "scores", ir.Shape(["N", 1000]), ir.TensorType(ir.DataType.FLOAT)
        graph = ir.Graph(
            [self.input], [scores], nodes=self._tape.nodes, initializers=self._tape.initializers, name="net",
            opset_imports={"": OPSET},
        )  # fmt: skip
        return ir.to_proto(ir.Model(graph, ir_version=9)).SerializeToString()


def resnet50() -> bytes:
    """He et al. 2015, arXiv 1512.03385: 53 convolutions, 49 ReLUs."""
    net = _Net()
    x = net.pool(net.conv_relu(net.input, 64, 7, 2), 3, 2)
    for width, blocks, first in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block in range(blocks):
            stride = first if block == 0 else 1
            shortcut = net.conv(x, 4 * width, 1, stride) if block == 0 else x
            inner = net.conv_relu(net.conv_relu(x, width, 1), width, 3, stride)
            x = net.relu(net.add(net.conv(inner, 4 * width, 1), shortcut))
    return net.classifier(x)


def vgg16() -> bytes:
    """Simonyan and Zisserman 2014, arXiv 1409.1556, with global pooling in place of the two large linear layers."""
    net = _Net()
    x = net.input
    for width, convs in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convs):
            x = net.conv_relu(x, width, 3)
        x = net.pool(x, 2, 2)
    return net.classifier(x)


def mobilenet_v2() -> bytes:
    """Sandler et al. 2018, arXiv 1801.04381: 52 convolutions, 35 of them followed by Clip(0, 6)."""
    net = _Net()
    x = net.clip(net.conv(net.input, 32, 3, 2))
    table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expansion, width, blocks, first in table:
        for block in range(blocks):
            start, wide = x, expansion * net.channels(x)
            stride = first if block == 0 else 1
            if expansion > 1:
                x = net.clip(net.conv(x, wide, 1))
            x = net.conv(net.clip(net.conv(x, wide, 3, stride, groups=wide)), width, 1)
            if stride == 1 and net.channels(start) == width:
                x = net.add(x, start)
    return net.classifier(net.clip(net.conv(x, 1280, 1)))


def squeezenet() -> bytes:
    """Iandola et al. 2016, arXiv 1602.07360, version 1.0: 26 convolutions, all followed by ReLU."""
    net = _Net()
    x = net.pool(net.conv_relu(net.input, 96, 7, 2), 3, 2)
    fires = (16, 16, 32, 32, 48, 48, 64, 64)
    for number, squeeze in enumerate(fires):
        narrow = net.conv_relu(x, squeeze, 1)
        x = net.concat(net.conv_relu(narrow, 4 * squeeze, 1), net.conv_relu(narrow, 4 * squeeze, 3))
        if number in (2, 6):
            x = net.pool(x, 3, 2)
    return net.classifier(net.conv_relu(x, 1000, 1))


def densenet121() -> bytes:
    """Huang et al. 2016, arXiv 1608.06993: normalisation and ReLU before every convolution but the first."""
    net = _Net()
    x = net.pool(net.conv_relu(net.input, 64, 7, 2), 3, 2)
    for number, layers in enumerate((6, 12, 24, 16)):
        for _ in range(layers):
            wide = net.conv_relu(net.relu(net.norm(x)), 128, 1)
            x = net.concat(x, net.conv(wide, 32, 3))
        if number < 3:
            x = net.pool(net.conv(net.relu(net.norm(x)), net.channels(x) // 2, 1), 2, 2, average=True)
    return net.classifier(net.relu(net.norm(x)))


def one_convolution() -> bytes:
    """One convolution of 8 filters and a ReLU: hardly any work, as for a device much faster than those who read."""
    net = _Net()
    return net.classifier(net.conv_relu(net.input, 8, 7, 4))


NETS: Final[Mapping[str, Callable[[], bytes]]] = {
    "ResNet-50": resnet50,
    "DenseNet-121": densenet121,
    "VGG-16": vgg16,
    "MobileNet-v2": mobilenet_v2,
    "SqueezeNet": squeezenet,
}
"""What to benchmark, by the name that a table gives it."""
