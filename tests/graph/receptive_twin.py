"""Which pixels every unit of a one-dimensional network reads, from the definitions of its operators, one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from models import model
from onnx_ir.passes.common import ShapeInferencePass

from inspector import Array
from inspector.graph.constants import Constants
from inspector.graph.receptive.fields import ReceptiveField, receptive_fields


@dataclass(frozen=True, slots=True)
class Unit:
    """The pixels that are read, and whether all that the operators below wanted to read was really there."""

    pixels: frozenset[int]
    whole: bool = True


Line = list[Unit]


def read(units: Line, wanted: list[int]) -> Unit:
    """One unit that reads those of `units` which exist."""
    there = [units[i] for i in wanted if 0 <= i < len(units)]
    whole = len(there) == len(wanted) and all(u.whole for u in there)
    return Unit(frozenset().union(*(u.pixels for u in there)), whole)


def slide(units: Line, kernel: int, stride: int, dilation: int, pads: tuple[int, int]) -> Line:
    """Convolution or pooling."""
    before, after = pads
    count = (len(units) + before + after - dilation * (kernel - 1) - 1) // stride + 1
    return [read(units, [u * stride - before + k * dilation for k in range(kernel)]) for u in range(count)]


def spread(units: Line, kernel: int, stride: int, dilation: int, ends: tuple[int, int]) -> Line:
    """Transposed convolution: unit i is added to units i * stride + k * dilation - before.

    `ends`: before, and how many units are cut at the end (less than none: that many more).
    """
    before, after = ends
    count = stride * (len(units) - 1) + dilation * (kernel - 1) + 1 - before - after
    wanted: list[list[int]] = [[] for _ in range(count)]
    for i in range(-kernel * dilation, len(units) + kernel * dilation):
        for k in range(kernel):
            if 0 <= (u := i * stride + k * dilation - before) < count:
                wanted[u].append(i)
    return [read(units, w) for w in wanted]


def enlarge(units: Line, factor: int, mode: str) -> Line:
    """Resize with half-pixel coordinates: nearest (the lower of two), or linear, which stays inside at the border."""
    found = []
    for u in range(len(units) * factor):
        x = (u + 0.5) / factor - 0.5
        near = [math.ceil(x - 0.5)] if mode == "nearest" else sorted({math.floor(x), math.ceil(x)})
        found.append(read(units, near))
    return found


def join(*branches: Line) -> Line:
    """Sum or concatenation."""
    return [
        Unit(frozenset().union(*(u.pixels for u in us)), all(u.whole for u in us)) for us in zip(*branches, strict=True)
    ]


@dataclass(slots=True)
class Net1:
    """A network over an image of `size` pixels, its twin beside it. All weights are one."""

    size: int
    fixed: bool = False
    lines: list[str] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)
    units: dict[str, Line] = field(default_factory=dict)
    inputs: dict[str, list[str]] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=lambda: {"x": 1})

    def __post_init__(self) -> None:
        self.units["x"] = [Unit(frozenset({i})) for i in range(self.size)]

    def put(self, text: str, inputs: list[str], units: Line, channels: int) -> str:
        """One node, `text` being its operator and attributes."""
        name = f"v{len(self.lines)}"
        self.lines.append(f"[n_{name}] {name} = {text} ({', '.join(inputs)})")
        self.units[name], self.channels[name] = units, channels
        self.inputs[name] = [i for i in inputs if i in self.units]
        return name

    def weight(self, *shape: int) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = np.ones(shape, np.float32)
        return name

    def constant(self, numbers: list[float], dtype: str) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = np.array(numbers, dtype)
        return name

    def data(self) -> bytes:
        """The ONNX file; every value is an output."""
        size = self.size if self.fixed else "L"
        last = f"y = Identity (v{len(self.lines) - 1})"
        return model(
            " ".join([*self.lines, last]), inputs=f"float[N,1,{size}] x", outputs="float[N,C,M] y", weights=self.weights
        )

    def fields(self) -> dict[str, ReceptiveField]:
        """As they are worked out."""
        graph = ir.from_proto(onnx.load_from_string(self.data()))
        ShapeInferencePass(data_prop=True)(graph)
        found = receptive_fields(graph, Constants())
        return {name: found.of(name)["x"] for name in self.units}

    def impulses(self) -> dict[str, list[frozenset[int]]]:
        """As they are measured: the pixels that change a unit when they alone change from nought to one."""
        proto = onnx.load_from_string(self.data())
        names = [name for name in self.units if name != "x"]
        proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        session = ort.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
        rows = session.run(names, {"x": np.eye(self.size, dtype=np.float32)[:, None, :]})
        return {
            name: [frozenset(np.flatnonzero(changed[:, u]).tolist()) for u in range(changed.shape[1])]
            for name, changed in zip(names, ((row != 0).any(axis=1) for row in rows), strict=True)
        }
