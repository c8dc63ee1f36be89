"""How rows that are computed in a branch get out of the model.

A model gives out values of its main graph only. So a row that is computed in a branch of an If becomes an output of
that branch; the other branch gets an output without rows in its place, and the If the output that is one of the two;
level by level, up to the main graph. No rows mean: the branch was not taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx
import onnx_ir as ir

from inspector.graph.contents import bodies_of
from inspector.graph.writing import add_node, add_output


@dataclass(frozen=True, slots=True, eq=False)
class Home:
    """The graph in which a value is computed.

    Attributes:
        graph: where nodes that read the value can be appended.
        owner: the node that holds the graph; None for the main graph.
        number: which of the owner's bodies it is.
        around: the graph of the owner.
    """

    graph: onnx.GraphProto
    owner: onnx.NodeProto | None = None
    number: int = 0
    around: Home | None = None


def homes(graph: onnx.GraphProto) -> dict[str, Home]:
    """The home of every value that a node makes in a body, however deep; those in the main graph are not among them."""
    found: dict[str, Home] = {}
    pending = [Home(graph)]
    while pending:
        home = pending.pop()
        for node in home.graph.node:
            if home.owner is not None:
                found.update((name, home) for name in node.output if name)
            pending += [Home(body, node, number, home) for number, body in enumerate(bodies_of([node]))]
    return found


def carry(value: str, home: Home, dtype: ir.DataType, shape: tuple[int, ...]) -> str:
    """A value of the main graph that holds these rows, or none where they were not computed.

    Args:
        value: made by a node of `home`.
        home: a graph around which there are branches of If and nothing else, or the main graph.
        dtype: its element type.
        shape: without the batch axis: what the rows that are not there would have.
    """
    while home.owner is not None and home.around is not None:
        for number, body in enumerate(bodies_of([home.owner])):
            given = value if number == home.number else _no_rows(body, f"{value}/none_{number}", dtype, shape)
            add_output(body, given, dtype)
        value = f"{value}/carried"
        home.owner.output.append(value)
        home = home.around
    return value


def _no_rows(body: onnx.GraphProto, name: str, dtype: ir.DataType, shape: tuple[int, ...]) -> str:
    nothing = onnx.TensorProto(data_type=int(dtype), dims=(0, *shape), raw_data=b"")
    add_node(body, "Constant", [], name, name=name, attributes={"value": nothing})
    return name
