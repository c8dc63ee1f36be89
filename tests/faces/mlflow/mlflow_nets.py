"""A model as exporters name it."""

from __future__ import annotations

import onnx
from models import SAME, model, numbers


def named_as_exporters_do(data: bytes) -> bytes:
    """The model with slashes in the names of its nodes."""
    proto = onnx.load_from_string(data)
    for node in proto.graph.node:
        node.name = f"/block/{node.name}/Conv" if node.name else ""
    return proto.SerializeToString()


NET = named_as_exporters_do(
    model(
        f"[c1] a = Conv {SAME} (x, w, b) r = Relu(a) [c2] y = Conv {SAME} (r, v)",
        weights={"w": numbers(4, 3, 3, 3), "b": numbers(4), "v": numbers(2, 4, 3, 3)},
    )
)
"""Two layers, /block/c1/Conv and /block/c2/Conv; x is (N, 3, 6, 5)."""
