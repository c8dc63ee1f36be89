"""What a model file holds, however deep: nodes in bodies and functions, tensors in attributes, texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

Call = tuple[str, str, str]
"""What a node calls, as functions are found: domain, name, overload."""


def graphs(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph and every body."""
    yield proto.graph
    yield from bodies_of(nodes(proto))


def nodes(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node: of the graph, its nested graphs and the functions."""
    yield from nodes_of(proto.graph.node)
    for function in proto.functions:
        yield from nodes_of(function.node)


def graph_attributes(proto: onnx.ModelProto) -> Iterator[onnx.AttributeProto]:
    """Every attribute of the main graph's nodes and of those in bodies; not of functions."""
    for node in nodes_of(proto.graph.node):
        yield from node.attribute


def attributes(proto: onnx.ModelProto) -> Iterator[onnx.AttributeProto]:
    """Every attribute of every node, and the defaults of functions."""
    for node in nodes(proto):
        yield from node.attribute
    for function in proto.functions:
        yield from function.attribute_proto


def tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor: initializers and attributes, of the graph, its nested graphs and the functions."""
    for graph in graphs(proto):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for attribute in attributes(proto):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for sparse in (*([attribute.sparse_tensor] * attribute.HasField("sparse_tensor")), *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)


def shapes(proto: onnx.ModelProto) -> Iterator[tuple[str, Sequence[onnx.TensorShapeProto.Dimension]]]:
    """Names of values whose type is declared, with the dimensions of it."""
    declared = [info for graph in graphs(proto) for info in (*graph.input, *graph.output, *graph.value_info)]
    for info in (*declared, *(info for function in proto.functions for info in function.value_info)):
        kind = info.type.sparse_tensor_type if info.type.HasField("sparse_tensor_type") else info.type.tensor_type
        yield info.name, kind.shape.dim


def depth_of_bodies(proto: onnx.ModelProto) -> int:
    """How deep bodies of If, Loop and Scan lie in each other; 0 where there are none."""
    level = [proto.graph.node, *(function.node for function in proto.functions)]
    depth = -1
    while level:
        depth += 1
        level = [body.node for some in level for body in bodies_of(some)]
    return depth


def nodes_of(some: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes and those of their bodies; a parsed message nests at most 100 deep."""
    for node in some:
        yield node
        for graph in bodies_of([node]):
            yield from nodes_of(graph.node)


def bodies_of(some: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    """Bodies of nodes; of every node its own, not those within."""
    for node in some:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield attribute.g
            yield from attribute.graphs


def functions(proto: onnx.ModelProto) -> dict[Call, list[Call]]:
    """What every function calls; other operators are among it."""
    return {_call(f.domain, f.name, f.overload): _calls(f.node) for f in proto.functions}


def call_depth(proto: onnx.ModelProto) -> int | None:
    """How deep functions call functions; None where one calls itself, also by way of others."""
    bodies = functions(proto)
    depths: dict[Call, int] = {}
    for start in bodies:
        pending, open_now = [start], set()
        while pending:
            key = pending[-1]
            missing = {call for call in bodies[key] if call in bodies and call not in depths}
            if not missing:
                depths[pending.pop()] = 1 + max((depths.get(call, 0) for call in bodies[key]), default=0)
            elif key in open_now:
                return None
            else:
                open_now.add(key)
                pending.extend(missing)
    return max(depths.values(), default=0)


def count_nodes(proto: onnx.ModelProto) -> int:
    """Nodes, once every call of a function is replaced by the nodes of its body; functions must not be recursive.

    A few kilobytes can stand for billions: functions that call each other twice, thirty deep.
    """
    bodies = functions(proto)
    sizes: dict[Call, int] = {}
    pending = list(bodies)
    while pending:
        missing = {call for call in bodies[pending[-1]] if call in bodies and call not in sizes}
        if missing:
            pending.extend(missing)
        else:
            key = pending.pop()
            sizes[key] = sum(sizes.get(call, 1) for call in bodies[key])
    return sum(sizes.get(call, 1) for call in _calls(proto.graph.node))


MEASURES: Final = "inspector"
"""In place of a domain, for nodes of whatever domain that measure."""


def operators(path: Path, prefix: str) -> Counter[tuple[str, str]]:
    """Nodes of a file by domain and operator, those in bodies included; weights beside the file are not read.

    Those whose name, or that of what they give, begins with `prefix` are counted apart, under `MEASURES`.
    """

    def measures(node: onnx.NodeProto) -> bool:
        return any(name.startswith(prefix) for name in (node.name, *node.output))

    found = nodes(onnx.load(path, load_external_data=False))
    return Counter((MEASURES if measures(node) else node.domain, node.op_type) for node in found)


def texts(message: Message) -> Iterator[tuple[str, str | bytes]]:
    """Names and other texts with the names of their fields, however deep.

    Those that are no UTF-8 come as bytes: the parser lets them through.
    """
    if isinstance(message, onnx.TensorProto):  # its other fields are numbers, of which this would make a copy
        yield from (("name", message.name), ("doc_string", message.doc_string))
        return
    for field, value in message.ListFields():
        items = value if field.is_repeated else [value]
        if field.type == FieldDescriptor.TYPE_STRING:
            yield from ((field.name, item) for item in items)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for item in items:
                yield from texts(item)


def _call(domain: str, name: str, overload: str) -> Call:
    return ("" if domain == "ai.onnx" else domain), name, overload


def _calls(some: Iterable[onnx.NodeProto]) -> list[Call]:
    return [_call(node.domain, node.op_type, node.overload) for node in nodes_of(some)]
