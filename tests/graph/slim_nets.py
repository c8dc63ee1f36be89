"""The geometry of well-known networks (kernels, strides, paddings, branches; one channel each) as tiny ONNX graphs.

Written from the papers' layer tables, with the paddings of the TF-Slim versions, because the published receptive
fields are of those: their residual networks stride in the last unit of a block, and pad by hand where they stride.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from inspector.graph.constants import Constants
from inspector.graph.receptive.fields import ReceptiveField, receptive_fields

Size = int | tuple[int, int]
Same = "SAME_UPPER"
Valid = "VALID"


def pair(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


class Net:
    """A graph in the making; `size` of its image (None: free)."""

    def __init__(self, size: int | None) -> None:
        self.image = ir.Value(name="image", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([1, 1, size, size]))
        self.nodes: list[ir.Node] = []
        self.weights: list[ir.Value] = []
        self.channels = {self.image: 1}
        self.ends: dict[str, ir.Value] = {}

    def end(self, name: str, value: ir.Value) -> ir.Value:
        """Calls a value by its published name."""
        self.ends[name] = value
        return value

    def conv(self, x: ir.Value, kernel: Size, stride: int = 1, padding: str | int = Same) -> ir.Value:
        weight = self._constant(np.ones((1, self.channels[x], *pair(kernel)), np.float32))
        return self._add("Conv", [x, weight], self._geometry(kernel, stride, padding), 1)

    def pad(self, x: ir.Value, before: int, after: int) -> ir.Value:
        pads = np.array([0, 0, before, before, 0, 0, after, after], np.int64)
        return self._add("Pad", [x, self._constant(pads)], {}, self.channels[x])

    def pool(self, x: ir.Value, kernel: Size, stride: int = 1, padding: str | int = Same, op: str = "Max") -> ir.Value:
        attributes = {"kernel_shape": pair(kernel), **self._geometry(kernel, stride, padding)}
        return self._add(f"{op}Pool", [x], attributes, self.channels[x])

    def concat(self, *values: ir.Value) -> ir.Value:
        return self._add("Concat", values, {"axis": 1}, sum(self.channels[v] for v in values))

    def add(self, *values: ir.Value) -> ir.Value:
        return self._add("Sum", values, {}, 1)

    def convs(self, x: ir.Value, *kernels: Size, stride: int = 1, padding: str = Same) -> ir.Value:
        """A chain; the last one has the stride and padding given, the others neither stride nor loss."""
        for kernel in kernels[:-1]:
            x = self.conv(x, kernel)
        return self.conv(x, kernels[-1], stride, padding)

    def fields(self) -> dict[str, ReceptiveField]:
        """The receptive fields of all end-points."""
        graph = ir.Graph(
            [self.image], [self.nodes[-1].outputs[0]], nodes=self.nodes, initializers=self.weights,
            opset_imports={"": 17}, name="net",
        )  # fmt: skip
        model = ir.Model(graph, ir_version=8)
        ShapeInferencePass(data_prop=True)(model)
        fields = receptive_fields(model, Constants())
        return {end: fields.of(str(value.name))["image"] for end, value in self.ends.items()}

    def _constant(self, array: np.ndarray) -> ir.Value:
        tensor = ir.tensor(array)
        value = ir.Value(name=f"w{len(self.weights)}", const_value=tensor, shape=tensor.shape)
        value.dtype = tensor.dtype
        self.weights.append(value)
        return value

    def _add(self, op: str, inputs: Sequence[ir.Value], attributes: dict[str, object], channels: int) -> ir.Value:
        node = ir.node(op, inputs, attributes, name=f"{op}_{len(self.nodes)}")  # type: ignore[arg-type]
        node.outputs[0].name = f"v{len(self.nodes)}"
        self.nodes.append(node)
        self.channels[node.outputs[0]] = channels
        return node.outputs[0]

    @staticmethod
    def _geometry(kernel: Size, stride: int, padding: str | int) -> dict[str, object]:
        pads: dict[str, object] = {"auto_pad": padding} if isinstance(padding, str) else {"pads": (padding,) * 4}
        return {"strides": (stride, stride), **pads}


def alexnet_v2(net: Net) -> None:
    x = net.end("conv1", net.conv(net.image, 11, 4, Valid))
    x = net.end("pool1", net.pool(x, 3, 2, Valid))
    x = net.pool(net.end("conv2", net.conv(x, 5)), 3, 2, Valid)
    for i in (3, 4, 5):
        x = net.end(f"conv{i}", net.conv(x, 3))
    net.end("pool5", net.pool(x, 3, 2, Valid))


def vgg(*counts: int) -> Callable[[Net], None]:
    def build(net: Net) -> None:
        x = net.image
        for block, count in enumerate(counts, 1):
            for i in range(count):
                x = net.end(f"conv{block}_{i + 1}", net.conv(x, 3))
            x = net.end(f"pool{block}", net.pool(x, 2, 2, Valid))

    return build


def resnet(*counts: int) -> Callable[[Net], None]:
    def unit(net: Net, x: ir.Value, stride: int, *, first: bool) -> ir.Value:
        shortcut = net.conv(x, 1) if first else net.pool(x, 1, stride, Valid) if stride > 1 else x
        main = net.conv(x, 1)
        main = net.conv(main, 3, stride, Same if stride == 1 else 1)
        return net.add(shortcut, net.conv(main, 1))

    def build(net: Net) -> None:
        x = net.pool(net.conv(net.image, 7, 2, 3), 3, 2)
        for block, count in enumerate(counts, 1):
            for i in range(count):
                stride = 2 if i == count - 1 and block < len(counts) else 1
                x = unit(net, x, stride, first=i == 0)
            net.end(f"block{block}", x)

    return build


def mobilenet_v1(net: Net) -> None:
    x = net.end("Conv2d_0", net.conv(net.image, 3, 2))
    for i, stride in enumerate((1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1), 1):
        x = net.end(f"Conv2d_{i}_pointwise", net.conv(net.conv(x, 3, stride), 1))


def inception_v2(net: Net) -> None:
    def mixed(x: ir.Value, op: str) -> ir.Value:
        pooled = net.conv(net.pool(x, 3, op=op), 1)
        return net.concat(net.conv(x, 1), net.convs(x, 1, 3), net.convs(x, 1, 3, 3), pooled)

    def reduction(x: ir.Value) -> ir.Value:
        return net.concat(net.convs(x, 1, 3, stride=2), net.convs(x, 1, 3, 3, stride=2), net.pool(x, 3, 2))

    x = net.end("Conv2d_1a_7x7", net.conv(net.image, 7, 2))
    x = net.end("MaxPool_2a_3x3", net.pool(x, 3, 2))
    x = net.end("Conv2d_2b_1x1", net.conv(x, 1))
    x = net.end("Conv2d_2c_3x3", net.conv(x, 3))
    x = net.end("MaxPool_3a_3x3", net.pool(x, 3, 2))
    for name in ("3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b", "5c"):
        op = "Max" if name == "5c" else "Average"
        x = net.end(f"Mixed_{name}", reduction(x) if name.endswith("a") else mixed(x, op))


def stem(net: Net, padding: str) -> ir.Value:
    x = net.end("Conv2d_1a_3x3", net.conv(net.image, 3, 2, padding))
    x = net.end("Conv2d_2a_3x3", net.conv(x, 3, 1, padding))
    return net.end("Conv2d_2b_3x3", net.conv(x, 3))


def long_stem(net: Net, padding: str) -> ir.Value:
    x = net.end("MaxPool_3a_3x3", net.pool(stem(net, padding), 3, 2, padding))
    x = net.end("Conv2d_3b_1x1", net.conv(x, 1, 1, padding))
    x = net.end("Conv2d_4a_3x3", net.conv(x, 3, 1, padding))
    return net.end("MaxPool_5a_3x3", net.pool(x, 3, 2, padding))


def block_a(net: Net, x: ir.Value, kernel: int) -> ir.Value:
    pooled = net.conv(net.pool(x, 3, op="Average"), 1)
    return net.concat(net.conv(x, 1), net.convs(x, 1, kernel), net.convs(x, 1, 3, 3), pooled)


def block_b(net: Net, x: ir.Value) -> ir.Value:
    wide, tall = (1, 7), (7, 1)
    pooled = net.conv(net.pool(x, 3, op="Average"), 1)
    return net.concat(
        net.conv(x, 1), net.convs(x, 1, wide, tall), net.convs(x, 1, tall, wide, tall, wide), pooled
    )  # fmt: skip


def block_c(net: Net, x: ir.Value, *between: Size) -> ir.Value:
    def fork(y: ir.Value) -> ir.Value:
        return net.concat(net.conv(y, (1, 3)), net.conv(y, (3, 1)))

    pooled = net.conv(net.pool(x, 3, op="Average"), 1)
    return net.concat(net.conv(x, 1), fork(net.conv(x, 1)), fork(net.convs(x, 1, *between)), pooled)


def reduction_a(net: Net, x: ir.Value, padding: str = Valid) -> ir.Value:
    strided = net.conv(x, 3, 2, padding)
    return net.concat(strided, net.convs(x, 1, 3, 3, stride=2, padding=padding), net.pool(x, 3, 2, padding))


def reduction_b(net: Net, x: ir.Value) -> ir.Value:
    long = net.convs(x, 1, (1, 7), (7, 1), 3, stride=2, padding=Valid)
    return net.concat(net.convs(x, 1, 3, stride=2, padding=Valid), long, net.pool(x, 3, 2, Valid))


def inception_v3(net: Net) -> None:
    x = long_stem(net, Valid)
    for name in "bcd":
        x = net.end(f"Mixed_5{name}", block_a(net, x, 5))
    x = net.end("Mixed_6a", reduction_a(net, x))
    for name in "bcde":
        x = net.end(f"Mixed_6{name}", block_b(net, x))
    x = net.end("Mixed_7a", reduction_b(net, x))
    for name in "bc":
        x = net.end(f"Mixed_7{name}", block_c(net, x, 3))


def inception_v4(net: Net) -> None:
    x = stem(net, Valid)
    x = net.end("Mixed_3a", net.concat(net.pool(x, 3, 2, Valid), net.conv(x, 3, 2, Valid)))
    long = net.convs(x, 1, (1, 7), (7, 1), 3, padding=Valid)
    x = net.end("Mixed_4a", net.concat(net.convs(x, 1, 3, padding=Valid), long))
    x = net.end("Mixed_5a", net.concat(net.conv(x, 3, 2, Valid), net.pool(x, 3, 2, Valid)))
    for name in "bcde":
        x = net.end(f"Mixed_5{name}", block_a(net, x, 3))
    x = net.end("Mixed_6a", reduction_a(net, x))
    for name in "bcdefgh":
        x = net.end(f"Mixed_6{name}", block_b(net, x))
    x = net.end("Mixed_7a", reduction_b(net, x))
    for name in "bcd":
        x = net.end(f"Mixed_7{name}", block_c(net, x, (3, 1), (1, 3)))


def inception_resnet_v2(padding: str) -> Callable[[Net], None]:
    def residual(net: Net, x: ir.Value, *branches: tuple[Size, ...]) -> ir.Value:
        mixed = net.concat(*(net.convs(x, *kernels) for kernels in branches))
        return net.add(x, net.conv(mixed, 1))

    def build(net: Net) -> None:
        x = net.end("Mixed_5b", block_a(net, long_stem(net, padding), 5))
        x = net.conv(x, 1)  # stands for 320 channels, so that a sum of one channel each can follow
        for _ in range(10):
            x = residual(net, x, (1,), (1, 3), (1, 3, 3))
        x = net.conv(net.end("Mixed_6a", reduction_a(net, x, padding)), 1)
        for _ in range(20):
            x = residual(net, x, (1,), (1, (1, 7), (7, 1)))
        net.end("PreAuxLogits", x)
        strided = [net.convs(x, *kernels, stride=2, padding=padding) for kernels in ((1, 3), (1, 3), (1, 3, 3))]
        x = net.conv(net.end("Mixed_7a", net.concat(*strided, net.pool(x, 3, 2, padding))), 1)
        for _ in range(10):
            x = residual(net, x, (1,), (1, (1, 3), (3, 1)))
        net.end("Conv2d_7b_1x1", net.conv(x, 1))

    return build
