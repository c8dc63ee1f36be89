"""What a model file holds, however deep: nodes in bodies and functions, tensors in attributes, texts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Final

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from inspector.provenance import MEASURES

Call = tuple[str, str, str]
"""What a node calls, as functions are found: domain, name, overload."""


@dataclass(frozen=True, slots=True, eq=False)
class Holding:
    """What a graph or a function holds, however deep.

    Attributes:
        nodes: every node, before those in its bodies.
        attributes: those of the nodes, in their order.
        bodies: the graphs of If, Loop and Scan, in the order of their nodes.
        depth: how deep bodies lie in each other; 0 where there are none.
    """

    nodes: Sequence[onnx.NodeProto]
    attributes: Sequence[onnx.AttributeProto]
    bodies: Sequence[onnx.GraphProto]
    depth: int


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """A message, gone through once; it is true for as long as no node, attribute, body or tensor comes or goes.

    Attributes:
        proto: the message.
        main: what its graph holds.
        functions: what each of its functions holds.
        graphs: the main graph and every body.
        attributes: every attribute of every node, and the defaults of functions.
        sparse: every sparse tensor, in initializers and in attributes; first of all the main graph's initializers.
        tensors: every tensor, in initializers and in attributes, sparse ones as their values and their indices; first
            of all those of the main graph's initializers.
    """

    proto: onnx.ModelProto
    main: Holding
    functions: Sequence[Holding]
    graphs: Sequence[onnx.GraphProto]
    attributes: Sequence[onnx.AttributeProto]
    sparse: Sequence[onnx.SparseTensorProto]
    tensors: Sequence[onnx.TensorProto]

    def shapes(self) -> Iterator[tuple[str, Sequence[onnx.TensorShapeProto.Dimension]]]:
        """Names of values whose type is declared, with the dimensions of it."""
        declared = [info for graph in self.graphs for info in (*graph.input, *graph.output, *graph.value_info)]
        for info in (*declared, *(info for function in self.proto.functions for info in function.value_info)):
            kind = info.type.sparse_tensor_type if info.type.HasField("sparse_tensor_type") else info.type.tensor_type
            yield info.name, kind.shape.dim

    def calls(self) -> dict[Call, list[Call]]:
        """What every function calls; other operators are among it."""
        named = zip(self.proto.functions, self.functions, strict=True)
        return {_call(f.domain, f.name, f.overload): _calls(holding) for f, holding in named}

    def count_nodes(self) -> int:
        """Nodes, once every call of a function is replaced by the nodes of its body; functions must not be recursive.

        A few kilobytes can stand for billions: functions that call each other twice, thirty deep.
        """
        bodies = self.calls()
        if not bodies:
            return len(self.main.nodes)
        sizes: dict[Call, int] = {}
        pending = list(bodies)
        while pending:
            missing = {call for call in bodies[pending[-1]] if call in bodies and call not in sizes}
            if missing:
                pending.extend(missing)
            else:
                key = pending.pop()
                sizes[key] = sum(sizes.get(call, 1) for call in bodies[key])
        return sum(sizes.get(call, 1) for call in _calls(self.main))


def survey_of(proto: onnx.ModelProto) -> Survey:
    """Goes through a message. A parsed one nests at most 100 deep; this needs no stack for it."""
    main, functions = hold(proto.graph.node), [hold(function.node) for function in proto.functions]
    parts = [main, *functions]
    graphs = [proto.graph, *(body for part in parts for body in part.bodies)]
    attributes = [attribute for part in parts for attribute in part.attributes]
    attributes += [attribute for function in proto.functions for attribute in function.attribute_proto]
    sparse = list(_sparse(graphs, attributes))
    tensors = [*_tensors(graphs, attributes), *(tensor for s in sparse for tensor in (s.values, s.indices))]
    return Survey(proto, main, functions, graphs, attributes, sparse, tensors)


def hold(some: Iterable[onnx.NodeProto]) -> Holding:
    """What nodes hold."""
    nodes: list[onnx.NodeProto] = []
    attributes: list[onnx.AttributeProto] = []
    bodies: list[onnx.GraphProto] = []
    depth = 0
    levels = [iter(some)]
    while levels:
        for node in levels[-1]:
            nodes.append(node)
            own = node.attribute[:]  # a slice is a list, and there in half of the time
            attributes += own
            inner = _graphs_in(own)
            if inner:
                bodies += inner
                depth = max(depth, len(levels))
                levels.append(chain.from_iterable(body.node for body in inner))
                break
        else:
            levels.pop()
    return Holding(nodes, attributes, bodies, depth)


def graphs(proto: onnx.ModelProto) -> list[onnx.GraphProto]:
    """The main graph and every body in it."""
    return [proto.graph, *hold(proto.graph.node).bodies]


def nodes_of(some: Iterable[onnx.NodeProto]) -> Sequence[onnx.NodeProto]:
    """Nodes and those of their bodies."""
    return hold(some).nodes


def bodies_of(some: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    """Bodies of nodes; of every node its own, not those within."""
    return chain.from_iterable(_graphs_in(node.attribute) for node in some)


def sparse_of(attribute: onnx.AttributeProto) -> Iterator[onnx.SparseTensorProto]:
    """Sparse tensors of an attribute."""
    if attribute.HasField("sparse_tensor"):
        yield attribute.sparse_tensor
    yield from attribute.sparse_tensors


def call_depth(calls: Mapping[Call, Sequence[Call]]) -> int | None:
    """How deep functions call functions; None where one calls itself, also by way of others."""
    depths: dict[Call, int] = {}
    for start in calls:
        pending, open_now = [start], set()
        while pending:
            key = pending[-1]
            missing = {call for call in calls[key] if call in calls and call not in depths}
            if not missing:
                depths[pending.pop()] = 1 + max((depths.get(call, 0) for call in calls[key]), default=0)
            elif key in open_now:
                return None
            else:
                open_now.add(key)
                pending.extend(missing)
    return max(depths.values(), default=0)


_TOGETHER: Final = 10_000
"""Messages whose texts are handed on together, so that they are never all in memory."""


def operators(path: Path, prefix: str) -> Counter[tuple[str, str]]:
    """Nodes of a file by domain and operator, those in bodies included; weights beside the file are not read.

    Those whose name, or that of what they give, begins with `prefix` are counted apart, under `MEASURES`.
    """

    def measures(node: onnx.NodeProto) -> bool:
        return any(name.startswith(prefix) for name in (node.name, *node.output))

    whole = survey_of(onnx.load(path, load_external_data=False))
    found = chain.from_iterable(part.nodes for part in (whole.main, *whole.functions))
    return Counter((MEASURES if measures(node) else node.domain, node.op_type) for node in found)


def texts(message: Message) -> Iterator[Mapping[str, Sequence[str | bytes]]]:
    """Names and other texts by the names of their fields, however deep, some thousands at a time.

    Those that are no UTF-8 come as bytes: the parser lets them through.
    """
    found: defaultdict[str, list[str | bytes]] = defaultdict(list)
    pending, count = [message], 0
    while pending:
        current = pending.pop()
        count += 1
        if isinstance(current, onnx.TensorProto):  # its other fields are numbers, of which this would make a copy
            found["name"].append(current.name)
            found["doc_string"].append(current.doc_string)
        else:
            for field, value in current.ListFields():
                name, holds, repeated = _field(field)
                if holds == FieldDescriptor.TYPE_STRING:
                    found[name].extend(value[:] if repeated else (value,))
                elif holds == FieldDescriptor.TYPE_MESSAGE:
                    pending.extend(value[:] if repeated else (value,))
        if count % _TOGETHER == 0:
            yield found
            found = defaultdict(list)
    yield found


@cache
def _field(field: FieldDescriptor) -> tuple[str, int, bool]:
    """Name, type, and whether it is repeated; descriptors are slow to ask."""
    return field.name, field.type, field.is_repeated


def _graphs_in(attributes: Iterable[onnx.AttributeProto]) -> list[onnx.GraphProto]:
    found: list[onnx.GraphProto] = []
    for attribute in attributes:
        if attribute.HasField("g"):
            found.append(attribute.g)
        found += attribute.graphs
    return found


def _tensors(
    graphs: Iterable[onnx.GraphProto], attributes: Iterable[onnx.AttributeProto]
) -> Iterator[onnx.TensorProto]:
    for graph in graphs:
        yield from graph.initializer[:]
    for attribute in attributes:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors


def _sparse(
    graphs: Iterable[onnx.GraphProto], attributes: Iterable[onnx.AttributeProto]
) -> Iterator[onnx.SparseTensorProto]:
    for graph in graphs:
        yield from graph.sparse_initializer
    for attribute in attributes:
        yield from sparse_of(attribute)


def _call(domain: str, name: str, overload: str) -> Call:
    return ("" if domain == "ai.onnx" else domain), name, overload


def _calls(holding: Holding) -> list[Call]:
    return [_call(node.domain, node.op_type, node.overload) for node in holding.nodes]
