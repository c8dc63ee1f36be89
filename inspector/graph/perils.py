"""What ends a runtime's process, in place of an error, for inputs of some sizes.

This is known of onnxruntime 1.31 and 1.32, from running 250 operators on maps without elements and on sizes below 0. Of
a message that fixes sizes so that a Slice would have one below 0 no session may be made (see also
`inspector.graph.guarded`). And some operators must not run on a map without elements.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import onnx

from inspector.graph.shapes import Kinds, dims_of

_STANDARD: Final = ("", "ai.onnx")
_MAY_NOT_RUN: Final = ("InstanceNormalization", "ConvTranspose")
"""On maps without elements; ConvTranspose on volumes."""


def peril(nodes: Iterable[onnx.NodeProto], kinds: Kinds) -> str:
    """What would end the process, of nodes whose values have these types; empty: nothing, as far as sizes are known."""
    for node in nodes:
        if node.domain not in _STANDARD or node.op_type not in ("Slice", *_MAY_NOT_RUN) or not node.input:
            continue
        least = min((size for size in dims_of(kinds.get(node.input[0])) or () if size is not None), default=1)
        if least < 0 or (least == 0 and is_perilous(node)):
            what = "a map whose size falls below 0" if least < 0 else "a map without elements"
            return f"{node.op_type} {node.output[0]!r} of {what}, which ends onnxruntime's process"
    return ""


def is_perilous(node: onnx.NodeProto) -> bool:
    """Whether it may end the process when it runs, and not only when a session is made."""
    if node.domain not in _STANDARD or node.op_type not in _MAY_NOT_RUN:
        return False
    kernel = next((a.ints for a in node.attribute if a.name == "kernel_shape"), ())
    return node.op_type != "ConvTranspose" or len(kernel) not in (1, 2)
