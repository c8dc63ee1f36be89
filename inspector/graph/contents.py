"""What a model file holds, however deep: nodes in bodies and functions, tensors in attributes, texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message


def tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor: initializers and attributes, of the graph, its nested graphs and the functions."""
    for graph in (proto.graph, *_graphs(_nodes(proto))):
        yield from graph.initializer
    for node in _nodes(proto):
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def count_nodes(proto: onnx.ModelProto) -> int:
    """Nodes, once every call of a function is replaced by the nodes of its body; functions must not be recursive.

    A few kilobytes can stand for billions: functions that call each other twice, thirty deep.
    """
    bodies = {(f.domain, f.name, f.overload): _calls(f.node) for f in proto.functions}
    sizes: dict[tuple[str, str, str], int] = {}
    pending = list(bodies)
    while pending:
        missing = {call for call in bodies[pending[-1]] if call in bodies and call not in sizes}
        if missing:
            pending.extend(missing)
        else:
            key = pending.pop()
            sizes[key] = sum(sizes.get(call, 1) for call in bodies[key])
    return sum(sizes.get(call, 1) for call in _calls(proto.graph.node))


def operators(path: Path) -> Counter[tuple[str, str]]:
    """Nodes of a file by domain and operator, those in bodies included; weights beside the file are not read."""
    return Counter((node.domain, node.op_type) for node in _nodes(onnx.load(path, load_external_data=False)))


def broken_texts(message: Message) -> Iterator[bytes]:
    """Names and other texts, however deep, that are no UTF-8: the parser lets them through, as bytes."""
    for field, value in message.ListFields():
        items = value if field.is_repeated else [value]
        if field.type == FieldDescriptor.TYPE_STRING:
            yield from (item for item in items if isinstance(item, bytes))
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for item in items:
                yield from broken_texts(item)


def _calls(nodes: Iterable[onnx.NodeProto]) -> list[tuple[str, str, str]]:
    return [(node.domain, node.op_type, node.overload) for node in _deep(nodes)]


def _nodes(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    yield from _deep(proto.graph.node)
    for function in proto.functions:
        yield from _deep(function.node)


def _deep(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes and those of their bodies; a parsed message nests at most 100 deep."""
    for node in nodes:
        yield node
        for graph in _graphs([node]):
            yield from _deep(graph.node)


def _graphs(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    """The bodies of nodes, not those within."""
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield attribute.g
            yield from attribute.graphs
