"""Bodies of If, Loop and Scan: what lies in them, and who decides whether it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

import onnx_ir as ir

from inspector.graph.constants import STANDARD, Constants
from inspector.graph.mixing import batch_of, mixes

_GRAPH, _GRAPHS = ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS
_DECIDE: Final = ("If", "Loop")


def bodies(node: ir.Node) -> list[ir.Graph]:
    """The graphs that a node holds, not those within them."""
    found: list[ir.Graph] = []
    for attribute in node.attributes.data.values():  # the mapping around the dictionary is slow to go through
        if attribute.type == _GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == _GRAPHS:
            found.extend(attribute.as_graphs())
    return found


def all_nodes(graph: ir.Graph) -> Iterator[ir.Node]:
    """Every node of a graph, each before those in its bodies, however deep."""
    return (node for node, _ in _walk(graph))


def _walk(graph: ir.Graph) -> Iterator[tuple[ir.Node, list[ir.Graph]]]:
    """Every node with its own bodies; without recursion."""
    levels: list[Iterator[ir.Node]] = [iter(graph)]
    while levels:
        for node in levels[-1]:
            inner = bodies(node)
            yield node, inner
            if inner:
                levels.append(chain.from_iterable(inner))
                break
        else:
            levels.pop()


def label(node: ir.Node) -> str:
    """How messages call a node."""
    return f"{node.op_type} {node.name or next((v.name for v in node.outputs if v.name), None) or 'without a name'!r}"


def prepare(nesting: Nesting) -> bool:
    """Makes names of values unique over all bodies, and lets bodies know their opset. The main graph stays as it is.

    Sibling bodies may both call a value `y`; here the second becomes `y~2`. Requests are by name.

    Returns:
        True where a name had to be changed.
    """
    main, *nested = nesting.graphs
    taken = {v.name for v in _values(main)} if nested else set()
    count: Counter[str] = Counter()
    for graph in nested:
        graph.opset_imports.update(main.opset_imports)
        for value in list(_values(graph)):
            name = value.name
            if name and name in taken:
                while value.name in taken:
                    count[name] += 1
                    value.name = f"{name}~{count[name] + 1}"
            taken.add(value.name)
    return bool(count)


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    """What a graph defines itself: inputs, initializers and outputs of nodes, without those in bodies."""
    yield from graph.inputs
    yield from (v for v in graph.initializers.values() if not v.is_graph_input())
    yield from chain.from_iterable(node.outputs for node in graph)


class Nesting:
    """A model's graph with all its bodies, gone through once; true for as long as no node comes or goes.

    Attributes:
        nodes: every node, each before those in its bodies.
    """

    def __init__(self, model: ir.Model) -> None:
        walked = list(_walk(model.graph))
        self.nodes: Final[Sequence[ir.Node]] = [node for node, _ in walked]
        self._main: Final = model.graph
        self._owners: Final[dict[ir.Graph, ir.Node]] = {body: node for node, inner in walked for body in inner}

    @property
    def graphs(self) -> tuple[ir.Graph, ...]:
        """The main graph, then every body."""
        return (self._main, *self._owners)

    def values(self) -> Iterator[ir.Value]:
        """Everything with a name, in bodies too."""
        return chain.from_iterable(map(_values, self.graphs))

    def owner(self, node: ir.Node) -> ir.Node | None:
        """The node whose body holds this one; None in the main graph."""
        return self._owners.get(node.graph) if isinstance(node.graph, ir.Graph) else None

    def home(self, node: ir.Node) -> str:
        """How messages call the graph that a node is in."""
        owner = self.owner(node)
        return "the model" if owner is None else f"a body of {label(owner)}"

    def why_not(self, node: ir.Node) -> str:
        """Why nothing can be carried out of where a node is, or nothing: a Loop or Scan gives many rows, or none."""
        around = self.owner(node)
        while around is not None:
            if around.op_type != "If" or around.domain not in STANDARD:
                return f"is inside the body of {label(around)}, which may run it any number of times for one input"
            around = self.owner(around)
        return ""

    def decided_by_data(self, values: Iterable[ir.Value], constants: Constants) -> tuple[str, ...]:
        """The nodes before or around these values by which inputs that share a run change each other's numbers.

        If and Loop nodes that take their course by what the model is fed decide once for all of them; others work along
        the batch.
        """
        batch = batch_of(self._main.inputs)
        found: dict[str, None] = {}
        seen: set[ir.Node] = set()
        pending = [node for v in values if (node := v.producer()) is not None]
        while pending:
            node = pending.pop()
            if node in seen:
                continue
            seen.add(node)
            decides = node.op_type in _DECIDE and node.domain in STANDARD and not _is_settled(node, constants)
            if decides or mixes(node, batch, constants):
                found[label(node)] = None
            read = [above for i in node.inputs if i is not None and (above := i.producer()) is not None]
            around = self.owner(node)
            pending += [*read, *(inner for body in bodies(node) for inner in body), *([around] if around else [])]
        return tuple(found)


def _is_settled(node: ir.Node, constants: Constants) -> bool:
    """An If of a constant condition, a Loop of a constant number of turns that its body does not cut short."""
    if node.op_type == "If":
        return constants.is_constant(node.inputs[0])
    turns, condition = (*node.inputs, None, None)[:2]
    (body,) = bodies(node)
    if len(body.inputs) < 2 or not body.outputs:
        return False  # a runtime refuses it
    goes_on = body.outputs[0]
    while (producer := goes_on.producer()) is not None and producer.op_type == "Identity":
        above = producer.inputs[0]
        if above is None:
            return False
        goes_on = above
    unchanged = goes_on is body.inputs[1] or constants.is_constant(goes_on)
    return constants.is_constant(turns) and (condition is None or constants.is_constant(condition)) and unchanged
