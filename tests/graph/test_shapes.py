"""Shapes from messages, against the pass of onnx_ir, which makes a second graph of the answer."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from models import ZOO
from onnx_ir.passes.common import ShapeInferencePass

from inspector.graph.bodies import Nesting
from inspector.graph.contents import hold
from inspector.graph.load import load
from inspector.graph.shapes import infer


def forgotten(model: ir.Model) -> ir.Model:
    """A copy in which no node says what it makes."""
    copy = model.clone()
    for node in copy.graph.all_nodes():
        for output in node.outputs:
            output.shape, output.type = None, None
    return copy


def told(model: ir.Model) -> dict[str | None, tuple[str, ir.DataType | None]]:
    return {value.name: (str(value.shape), value.dtype) for value in Nesting(model).values()}


@pytest.mark.parametrize("name", ZOO)
def test_inference_tells_what_the_pass_tells_and_leaves_the_numbers_alone(name: str) -> None:
    model = load(ZOO[name].data).model
    found, expected = forgotten(model), forgotten(model)
    held = {key: value.const_value for key, value in found.graph.initializers.items()}
    proto = ir.to_proto(found)
    infer(found, proto, hold(proto.graph.node))
    ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(expected)
    assert told(found) == told(expected)
    assert all(value.const_value is held[key] for key, value in found.graph.initializers.items())
    assert any(value.shape is not None for node in found.graph for value in node.outputs)
