"""The networks of `benchmarks.nets` as PyTorch modules with the same weights: one module a node, in the same order."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir
import torch
from torch import nn


class Net(nn.Module):
    """Runs the nodes one after the other; `activations` are the modules whose outputs are watched."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        graph = ir.from_proto(onnx.load_from_string(data)).graph
        weights = {v: torch.from_numpy(np.array(v.const_value)) for v in graph.initializers.values()}
        self._steps = []
        self.activations: list[nn.Module] = []
        for number, node in enumerate(graph):
            attributes = {name: a.value for name, a in node.attributes.items()}
            module = _MADE[node.op_type](attributes, *(weights[v] for v in node.inputs if v in weights))
            self.add_module(f"node{number}", module)
            if node.op_type in ("Relu", "Clip"):
                self.activations.append(module)
            self._steps.append((module, [v for v in node.inputs if v not in weights], node.outputs[0]))
        self._input, self._output = graph.inputs[0], graph.outputs[0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {self._input: x}
        for module, reads, makes in self._steps:
            values[makes] = module(*(values[name] for name in reads))
        return values[self._output]


class _Join(nn.Module):
    def __init__(self, *, add: bool) -> None:
        super().__init__()
        self._add = add

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y if self._add else torch.cat([x, y], 1)


def _conv(attributes: dict[str, Any], weight: torch.Tensor, bias: torch.Tensor) -> nn.Module:
    filters, inner, *kernel = weight.shape
    groups = attributes["group"]
    conv = nn.Conv2d(
        inner * groups, filters, tuple(kernel), attributes["strides"], attributes["pads"][:2], groups=groups
    )
    conv.weight.data, conv.bias.data = weight, bias  # type: ignore[union-attr]  # it has one
    return conv


def _norm(
    _: dict[str, Any], gamma: torch.Tensor, beta: torch.Tensor, mean: torch.Tensor, var: torch.Tensor
) -> nn.Module:
    norm = nn.BatchNorm2d(len(gamma))
    norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var = gamma, beta, mean, var
    return norm


def _linear(_: dict[str, Any], matrix: torch.Tensor) -> nn.Module:
    linear = nn.Linear(*matrix.shape, bias=False)
    linear.weight.data = matrix.T.contiguous()
    return linear


def _pool(kind: type[nn.MaxPool2d | nn.AvgPool2d], a: dict[str, Any]) -> nn.Module:
    return kind(a["kernel_shape"], a["strides"], a["pads"][:2])


_MADE: Final = {
    "Conv": _conv,
    "BatchNormalization": _norm,
    "MatMul": _linear,
    "Relu": lambda _: nn.ReLU(inplace=False),
    "Clip": lambda _, low, high: nn.Hardtanh(float(low), float(high)),
    "MaxPool": lambda a: _pool(nn.MaxPool2d, a),
    "AveragePool": lambda a: _pool(nn.AvgPool2d, a),
    "GlobalAveragePool": lambda _: nn.AdaptiveAvgPool2d(1),
    "Flatten": lambda _: nn.Flatten(),
    "Add": lambda _: _Join(add=True),
    "Concat": lambda _: _Join(add=False),
}
