"""Pictures of 12 x 8 pixels, changed one pixel at a time: what every unit of y really reads of x."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from models import model
from onnx_ir.passes.common import ShapeInferencePass

from inspector import Array
from inspector.graph.constants import Constants
from inspector.graph.receptive.fields import ReceptiveField, ReceptiveFields, receptive_fields

H, W = 12, 8
NUMBERS = {
    "w1": np.ones((1, 1, 3, 2), np.float32),
    "w4": np.ones((4, 1, 3, 2), np.float32) * np.arange(1, 5, dtype=np.float32).reshape(4, 1, 1, 1),
    "t1": np.ones((1, 1, 3, 2), np.float32),
}
C = "a = Conv <strides=[2,1]> (x, w1)"
"""5 x 7 units; a unit reads 3 x 2 pixels, every second row, every column."""
C4 = "a = Conv <strides=[2,1], pads=[1,1,1,0]> (x, w4)"
"""Four channels of 6 x 8 units."""


def fields_of(data: bytes) -> ReceptiveFields:
    proto = onnx.load_from_string(data)
    proto.graph.output[0].type.tensor_type.ClearField("shape")  # what is worked out need not be four axes
    graph = ir.from_proto(proto)
    ShapeInferencePass(data_prop=True)(graph)
    return receptive_fields(graph, Constants())


def net(body: str, weights: dict[str, Array], opset: int, *, free: bool = False) -> bytes:
    used = {k: v for k, v in {**NUMBERS, **weights}.items() if f"{k}," in body or f"{k})" in body}
    size = "H,W" if free else f"{H},{W}"
    return model(body, inputs=f"float[N,1,{size}] x", outputs="float[N,C,P,Q] y", weights=used, opset=opset)


def changes(data: bytes, *, joined: bool = True) -> Array:
    """(H, W, *units): whether a unit of y changes when one pixel grows.

    Units are the places of y, its batch and channels joined; not `joined`: its elements, on all of its axes.
    """
    base = np.random.default_rng(3).integers(1, 4, (1, 1, H, W)).astype(np.float32)
    nudged = base + 50 * np.eye(H * W, dtype=np.float32).reshape(H * W, 1, H, W)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(data, options, ["CPUExecutionProvider"])
    (plain,) = session.run(["y"], {"x": base})
    rows = [session.run(["y"], {"x": row[None]})[0] != plain for row in nudged]
    changed = np.stack(rows).reshape(H, W, *plain.shape)
    return changed.any(axis=(2, 3)) if joined else changed


def check(field: ReceptiveField, changed: Array, *, tight: bool) -> None:
    """No change outside of the interval; and both its ends are met by the units that lie inside the image.

    Where a note says that the border is repeated, a unit outside reads the pixel at the border instead.
    """
    repeated = "repeats the border" in field.reason
    for axis, size in enumerate((H, W)):
        reads = np.moveaxis(changed.any(axis=(1 - axis, 3 - axis)), 0, 1)
        low, high = [], []
        for u, pixels in enumerate(reads):
            interval = field.interval((u, u))[axis]
            assert interval is not None, field
            where = np.flatnonzero(pixels)
            first, last = np.clip(interval, 0, size - 1) if repeated else interval
            assert not where.size or (first <= where[0] and where[-1] <= last), (axis, u, interval, where)
            if where.size and interval[0] >= 0 and interval[1] < size:
                low.append(where[0] - u * field.stride[axis])
                high.append(where[-1] - u * field.stride[axis])
        if tight:
            assert min(low) == field.offset[axis]
            assert max(high) == field.offset[axis] + field.size[axis] - 1
