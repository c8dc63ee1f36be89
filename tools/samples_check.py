"""Figures about the finished sample files, measured with ONNX Runtime on the files themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
RARE_BELOW = 0.2  # of the shipped pictures


@dataclass(frozen=True)
class Layer:
    """How often the filters of one ReLU layer fire: pictures per channel, (channels,), over two sets.

    ``lowest`` is the weakest peak among the channels that fire at all, in the units of the maps.
    """

    name: str
    fired_all: NDArray[np.int64]
    fired_shipped: NDArray[np.int64]
    lowest: float

    @property
    def dead(self) -> int:
        """Channels that are zero everywhere on every picture."""
        return int((self.fired_all == 0).sum())

    @property
    def silent(self) -> int:
        """Channels that are zero everywhere on every shipped picture: the dead ones and perhaps more."""
        return int((self.fired_shipped == 0).sum())

    def rare(self, shipped: int) -> int:
        """Channels that fire on some of the ``shipped`` pictures, but on less than a fifth of them."""
        fired = self.fired_shipped
        return int(((fired > 0) & (fired < RARE_BELOW * shipped)).sum())


def unit(pixels: NDArray[np.uint8]) -> Floats:
    """Bytes to 0..1."""
    return pixels.astype(np.float32) / np.float32(255.0)


def signed(pixels: NDArray[np.uint8]) -> Floats:
    """Bytes to -1..1."""
    return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1.0)


def read_pictures(folder: Path, side: int, scale: Callable[[NDArray[np.uint8]], Floats]) -> tuple[Floats, list[str]]:
    """Every ``<class>/<n>.png`` below ``folder`` as (N, C, side, side), with the names of the classes."""
    paths = sorted(folder.glob("*/*.png"))
    pictures = []
    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
        pictures.append(np.moveaxis(np.atleast_3d(pixels), -1, 0))
    return scale(np.stack(pictures)), [path.parent.name for path in paths]


def accuracy(model: Path, images: Floats, expected: NDArray[np.int64]) -> float:
    """Share of images (N, C, H, W) whose highest score is at the expected class (N,)."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (scores,) = session.run(["scores"], {"image": images})
    return float((scores.argmax(axis=1) == expected).mean())


def relu_maps(model: Path, images: Floats) -> dict[str, Floats]:
    """Every ReLU's output (N, C, H, W), by node name."""
    proto = onnx.load(model)
    relus = {node.name: node.output[0] for node in proto.graph.node if node.op_type == "Relu"}
    proto.graph.output.extend(onnx.ValueInfoProto(name=tensor) for tensor in relus.values())
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(relus, session.run(list(relus.values()), {"image": images}), strict=True))


def layers(model: Path, everything: Floats, shipped: Floats) -> list[Layer]:
    """Count, per ReLU and channel, the pictures of both sets on which the map is not all zero."""
    maps_shipped = relu_maps(model, shipped)
    found = []
    for name, maps in relu_maps(model, everything).items():
        peaks = maps.max(axis=(0, 2, 3))
        found.append(
            Layer(
                name,
                (maps.max(axis=(2, 3)) > 0).sum(axis=0),
                (maps_shipped[name].max(axis=(2, 3)) > 0).sum(axis=0),
                float(peaks[peaks > 0].min(initial=np.inf)),
            )
        )
    return found


def table(found: list[Layer], shipped: int) -> str:
    """The layers as a Markdown table."""
    lines = [
        "| layer | channels | dead | silent | rare | pictures fired on, per channel |",
        "|---|---|---|---|---|---|",
    ]
    for layer in found:
        counts = " ".join(str(count) for count in layer.fired_shipped)
        numbers = f"{len(layer.fired_all)} | {layer.dead} | {layer.silent} | {layer.rare(shipped)}"
        lines.append(f"| `{layer.name}` | {numbers} | {counts} |")
    return "\n".join(lines)
