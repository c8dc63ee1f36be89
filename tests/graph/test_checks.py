"""Hostile sizes are refused by arithmetic: each of these files is small, and none is allowed to become large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
from models import SAME, ZOO, W, model

from inspector.errors import InspectorError, LimitError, ModelError
from inspector.graph.instrument import instrument
from inspector.graph.load import load
from inspector.graph.loading.limits import DEFAULT_LIMITS

Change = Callable[[onnx.ModelProto], object]


def changed(change: Change, name: str = "chain") -> bytes:
    proto = onnx.load_from_string(ZOO[name].data)
    change(proto)
    return proto.SerializeToString()


def dims(*sizes: int) -> Change:
    """Other dimensions for the first weight."""
    return lambda p: p.graph.initializer[0].dims.__setitem__(slice(None), sizes)


def declared(*sizes: int) -> Change:
    """Another declared shape for the input."""

    def change(proto: onnx.ModelProto) -> None:
        shape = proto.graph.input[0].type.tensor_type.shape
        shape.Clear()
        for size in sizes:
            shape.dim.add().dim_value = size

    return change


def rename(name: str) -> Change:
    return lambda p: setattr(p.graph.node[0], "name", name)


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        (dims(1 << 40), LimitError, f"tensor 'w'.*too many elements; expected at most {1 << 32}, found {1 << 40}"),
        (dims(1 << 62, 1 << 62), LimitError, f"found {1 << 124}"),
        (dims(0, 1 << 62), LimitError, f"found {1 << 62}"),
        (dims(*[1] * 17), LimitError, "too many dimensions; expected at most 16, found 17"),
        (dims(-4, 3, 3, 3), ModelError, "tensor 'w'.*negative dimension"),
        (dims(4, 3, 3, 4), ModelError, r"tensor 'w'.*differ in size; expected 576 bytes.*found 432"),
        (dims(), ModelError, "expected 4 bytes"),
        (declared(1, 3, 1 << 62, 1 << 62), LimitError, f"value 'x'.*too many elements.*found {3 << 124}"),
        (declared(*[1] * 17), LimitError, "value 'x'.*too many dimensions"),
        (rename("n" * 5000), LimitError, "names is too long; expected at most 4096 characters, found 5000"),
        (lambda p: setattr(p.graph.node[0].attribute[0], "ref_attr_name", "other"), ModelError,
         r"attribute 'pads' refers to 'other'"),
        (rename("a\0b"), ModelError, r"names without NUL, found 'a\\x00b'"),
        (lambda p: p.graph.output.extend(p.graph.output[:1] * 10_000), LimitError, "too many outputs"),
        (lambda p: p.graph.node[0].attribute.add(name="l", type=7).ints.extend([1] * ((1 << 24) + 1)), LimitError,
         "values in attribute 'l'"),
    ],
)  # fmt: skip
def test_a_size_beyond_a_limit_is_refused_with_what_was_found(
    change: Change, kind: type[InspectorError], text: str
) -> None:
    with pytest.raises(kind, match=text):
        load(changed(change))


def test_a_dimension_that_an_exporter_wrote_as_minus_one_is_one_that_is_not_known() -> None:
    view = load(changed(declared(-1, 3, -(1 << 63), 5)))
    assert view.inputs[0].shape == (None, 3, None, 5)
    assert len(view.layers) == 2


@pytest.mark.parametrize(
    ("dtype", "field", "count"),
    [
        ("float32", "float_data", 6), ("float64", "double_data", 6), ("int64", "int64_data", 6),
        ("int8", "int32_data", 6), ("uint32", "uint64_data", 6), ("complex64", "float_data", 12),
        ("int4", "int32_data", 3), ("float16", "int32_data", 6), ("bool", "int32_data", 6),
    ],
)  # fmt: skip
def test_typed_content_is_counted_as_the_standard_stores_it(dtype: str, field: str, count: int) -> None:
    """Sizes by the comments of onnx.proto: halves widened, complex as pairs, four-bit numbers two to a byte."""
    kind = {"float32": 1, "float64": 11, "int64": 7, "int8": 3, "uint32": 12, "complex64": 14, "int4": 22,
            "float16": 10, "bool": 9}[dtype]  # fmt: skip

    def extra(held: int) -> Change:
        return lambda p: getattr(p.graph.initializer.add(name="extra", dims=[2, 3], data_type=kind), field).extend(
            [0] * held
        )

    assert len(load(changed(extra(count))).layers) == 2
    for wrong in (count - 1, count + 1, 0):
        with pytest.raises(ModelError, match="differ in size"):
            load(changed(extra(wrong)))


def nested(depth: int) -> bytes:
    """An If in an If in an If."""
    proto = onnx.load_from_string(ZOO["chain"].data)
    graph = proto.graph
    for level in range(depth):
        node = graph.node.add(op_type="If", input=["t"], output=[f"r{level}"])
        if level == 0:
            proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "t"))
        for branch in ("then_branch", "else_branch"):
            body = node.attribute.add(name=branch, type=onnx.AttributeProto.GRAPH).g
            body.name = f"{branch}{level}"
            body.node.add(op_type="Identity", input=["x"], output=[f"o{branch[0]}{level}"])
            body.output.add(name=f"o{branch[0]}{level}")
        graph = node.attribute[0].g
    return proto.SerializeToString()


def test_bodies_in_bodies_are_limited() -> None:
    with pytest.raises(LimitError, match="too many bodies in bodies; expected at most 16, found 20"):
        load(nested(20))
    with pytest.raises(LimitError, match="expected at most 2, found 3"):
        load(nested(3), limits=replace(DEFAULT_LIMITS, bodies=2))


def calling(depth: int, last: str) -> bytes:
    """Functions that each call the next; the last one calls `last`."""
    text = (
        '<ir_version: 8, opset_import: ["" : 17, "f" : 1]> net (float[N,3,6,5] x) => (float[N,C,H,W] y) '
        "{ a = Conv <pads=[1,1,1,1]> (x, w) y = f.f0(a) }"
    )
    for level in range(depth):
        name = last if level == depth - 1 else f"f.f{level + 1}"
        text += f' <domain: "f", opset_import: ["" : 17, "f" : 1]> f{level} (v) => (o) {{ o = {name}(v) }}'
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(W, "w"))
    return proto.SerializeToString()


def test_functions_in_functions_are_limited_and_may_not_come_back() -> None:
    assert load(calling(64, "Relu")).layers[0].activation == "Relu"
    with pytest.raises(LimitError, match="functions in functions; expected at most 64, found 3000"):
        load(calling(3000, "Relu"))
    for depth, back in ((1, "f.f0"), (3, "f.f1"), (3000, "f.f0")):
        with pytest.raises(ModelError, match="calls itself"):
            load(calling(depth, back))
    proto = onnx.load_from_string(calling(2, "Relu"))
    proto.functions.append(proto.functions[0])
    with pytest.raises(ModelError, match="two of its functions have one name"):
        load(proto.SerializeToString())


def test_a_function_that_takes_the_name_of_an_operator_is_what_runs() -> None:
    text = (
        '<ir_version: 8, opset_import: ["" : 17, "f" : 1]> net (float[N,3,6,5] x) => (float[N,C,H,W] y) '
        "{ [c] a = Conv <pads=[1,1,1,1]> (x, w) y = f.Relu(a) } "
        '<domain: "f", opset_import: ["" : 17]> Relu (v) => (o) { o = Sigmoid(v) }'
    )
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(W, "w"))
    assert load(proto.SerializeToString()).layers[0].activation == "Sigmoid"


@pytest.mark.parametrize("domain", ["", "ai.onnx"])
def test_a_function_that_may_or_may_not_replace_an_operator_is_refused(domain: str) -> None:
    """The standard leaves to runtimes which of the two counts: onnx writes the function out, onnxruntime ignores it."""
    proto = onnx.load_from_string(calling(1, "Sigmoid"))
    proto.functions[0].domain, proto.functions[0].name = domain, "Relu"
    proto.graph.node[1].domain, proto.graph.node[1].op_type = "", "Relu"
    with pytest.raises(ModelError, match=r"name of an operator of ONNX.*found Relu"):
        load(proto.SerializeToString())


def test_custom_operators_are_told_by_name_and_only_a_run_of_them_is_refused() -> None:
    body = f"b = com.example.Foo(x) c = com.example.Foo(b) [c] a = Conv {SAME} (c, w) y = Relu(a)"
    view = load(model(body, weights={"w": W}))
    assert view.facts["custom_operators"] == "com.example: Foo (2 nodes)"
    np.testing.assert_array_equal(view.filters("c").weight, W)
    assert "custom_operators" not in load(ZOO["chain"].data).facts
    with pytest.raises(ModelError, match=r"no library of custom operators is ever loaded; .* found com\.example: Foo"):
        instrument(view, (), keep_outputs=True)


def test_a_run_of_what_the_runtime_rewrote_for_one_processor_says_what_it_is() -> None:
    body = f"b = com.example.ReorderOutput(x) [c] a = Conv {SAME} (b, w) y = Relu(a)"
    proto = onnx.load_from_string(model(body, weights={"w": W}))
    proto.graph.node[0].domain = "com.microsoft.nchwc"
    proto.opset_import.add(domain="com.microsoft.nchwc", version=1)
    view = load(proto.SerializeToString())
    with pytest.raises(ModelError, match=r"rewritten it for one kind of processor; .* To run it, load what"):
        instrument(view, (), keep_outputs=True)
