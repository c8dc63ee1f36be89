"""The one survey of a message: it finds what a plain recursion over the message's fields finds, in the same order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import onnx
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from models import ZOO

from inspector.graph.contents import Survey, survey_of, texts

NESTED = onnx.parser.parse_model(
    """
    <ir_version: 10, opset_import: ["" : 17, "f" : 1]>
    net (bool t, float[N] x) => (float[N] y)
    <float[1] main = {1.0}>
    {
        a = If (t) <
            then_branch = one () => (float[N] p) <float[1] first = {1.0}> {
                p = If (t) <then_branch = deep () => (float[N] q) <float[1] deepest = {1.0}> {
                                c = Constant <value = float[1] {2.0}> ()
                                q = Add (x, c)
                            },
                            else_branch = flat () => (float[N] r) { r = Identity (x) }>
            },
            else_branch = two () => (float[N] s) <float[1] second = {1.0}> { s = Neg (x) }>
        y = f.twice (a)
    }
    <domain: "f", opset_import: ["" : 17]>
    twice (v) => (w) { k = Constant <value = float[1] {3.0}> () w = Add (v, k) }
    """
)
MESSAGES = {name: onnx.load_from_string(model.data) for name, model in ZOO.items()} | {"nested": NESTED}


def within(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The node's own bodies."""
    return [g for a in node.attribute for g in (*([a.g] if a.HasField("g") else []), *a.graphs)]


def down(nodes: Iterator[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes, each before those in its bodies; by definition, with recursion."""
    for node in nodes:
        yield node
        for body in within(node):
            yield from down(iter(body.node))


def deep(nodes: Iterator[onnx.NodeProto]) -> int:
    """How many bodies lie in each other."""
    return max((1 + deep(iter(body.node)) for node in nodes for body in within(node)), default=0)


def identities(found: object) -> list[int]:
    """The very messages, not equal ones."""
    return [id(message) for message in found]  # type: ignore[attr-defined]  # any iterable of messages


@pytest.mark.parametrize("name", MESSAGES)
def test_a_survey_finds_what_recursion_finds_in_the_same_order(name: str) -> None:
    proto = MESSAGES[name]
    found = survey_of(proto)
    main = list(down(iter(proto.graph.node)))
    assert identities(found.main.nodes) == identities(main)
    assert identities(found.main.attributes) == identities(a for node in main for a in node.attribute)
    assert identities(found.main.bodies) == identities(body for node in main for body in within(node))
    assert found.main.depth == deep(iter(proto.graph.node))
    for holding, function in zip(found.functions, proto.functions, strict=True):
        assert identities(holding.nodes) == identities(list(down(iter(function.node))))
    assert identities(found.tensors[: len(proto.graph.initializer)]) == identities(list(proto.graph.initializer))


def test_tensors_come_graph_by_graph_and_then_as_attributes_have_them() -> None:
    found: Survey = survey_of(NESTED)
    assert [graph.name for graph in found.graphs] == ["net", "one", "two", "deep", "flat"]
    assert [t.name for t in found.tensors[:4]] == ["main", "first", "second", "deepest"]
    assert [onnx.numpy_helper.to_array(t).item() for t in found.tensors[4:]] == [2.0, 3.0]
    assert found.main.depth == 2
    assert found.count_nodes() == 1 + 1 + 2 + 1 + 1 + 2  # the function's two nodes in the place of its call


def written(message: Message) -> Iterator[tuple[str, str | bytes]]:
    """Every text with the name of its field, numbers of tensors aside."""
    for field, value in message.ListFields():
        for item in value if field.is_repeated else [value]:
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                yield from written(item)
            elif field.type == FieldDescriptor.TYPE_STRING:
                yield field.name, item


@pytest.mark.parametrize("together", [1, 7, 10_000])
@pytest.mark.parametrize("name", ["chain", "nested"])
def test_every_text_of_a_message_is_found_whatever_the_portions(
    name: str, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inspector.graph.contents._TOGETHER", together)
    portions = list(texts(MESSAGES[name]))
    found = Counter((field, text) for portion in portions for field, some in portion.items() for text in some if text)
    assert found == Counter((field, text) for field, text in written(MESSAGES[name]) if text)
    assert (len(portions) > 1) == (together < 10_000)
