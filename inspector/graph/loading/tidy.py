"""What is put right when a model is loaded, so that nothing after it has to think of it; the numbers stay the same."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
import onnx_ir as ir

from inspector.graph.bodies import all_nodes, bodies

_FIRST_WITH_IMPORTS = 3
"""Older files name no opset; theirs is the first."""


def tidy(model: ir.Model, roots: frozenset[str]) -> None:
    """Settles the opset, and takes away what hides activations. `roots`: operators that stay, read or not."""
    _settle_opset(model)
    _drop_dead_ends(model.graph, roots)


def drop_empty_ends(nodes: Iterable[onnx.NodeProto]) -> None:
    """Takes away empty names after the last output of a node that has one: they mean the same as missing ones.

    A BatchNormalization of opset 9 that has them ends a process in which onnxruntime runs it without optimisation.
    Empty names of inputs stay: runtimes take them well, and a Loop needs its first two.
    """
    for node in nodes:
        while len(node.output) > 1 and not node.output[-1]:
            node.output.pop()


def _settle_opset(model: ir.Model) -> None:
    """The standard domain has two names; from here on it is the empty one."""
    imports = model.graph.opset_imports
    version = imports.pop("ai.onnx", 1)
    imports.setdefault("", version)
    model.ir_version = max(model.ir_version or 0, _FIRST_WITH_IMPORTS)


def _drop_dead_ends(graph: ir.Graph, roots: frozenset[str]) -> None:
    """Readers of a value that lead nowhere, where it has others that do not: they would look like a fork.

    What follows a convolution that nobody reads stays, as there is nothing else to see of it.
    """
    if not any(_is_dead_end(node, roots) for node in graph):
        return
    live = _needed(graph, roots)
    used = {*graph.outputs, *(value for node in live for value in _read(node))}
    forks = {value for value in used if value.producer() in live}
    dead_ends: set[ir.Node] = set()
    for node in graph:
        if node not in live and any(value in forks or value.producer() in dead_ends for value in _read(node)):
            dead_ends.add(node)
    for node in reversed([node for node in graph if node in dead_ends]):
        _let_go(node)
        graph.remove(node, safe=True)


def _let_go(node: ir.Node) -> None:
    """Nodes in its bodies read values around it; they would hold these for ever."""
    for inner in _within(node):
        for at in range(len(inner.inputs)):
            inner.replace_input_with(at, None)


def _is_dead_end(node: ir.Node, roots: frozenset[str]) -> bool:
    """Nobody reads what it gives, and it holds no root: whatever leads nowhere ends in such a node."""
    read = any(output.uses() or output.is_graph_output() for output in node.outputs)
    return not read and not _holds_root(node, roots)


def _holds_root(node: ir.Node, roots: frozenset[str]) -> bool:
    return node.op_type in roots or any(inner.op_type in roots for inner in _within(node))


def _needed(graph: ir.Graph, roots: frozenset[str]) -> set[ir.Node]:
    """Nodes that an output or a root depends on, and the roots."""
    pending = [v.producer() for v in graph.outputs]
    pending += [node for node in graph if _holds_root(node, roots)]
    live: set[ir.Node] = set()
    while pending:
        node = pending.pop()
        if node is not None and node not in live:
            live.add(node)
            pending += [value.producer() for value in _read(node)]
    return {node for node in live if node.graph is graph}


def _read(node: ir.Node) -> list[ir.Value]:
    return [i for reader in (node, *_within(node)) for i in reader.inputs if i is not None]


def _within(node: ir.Node) -> list[ir.Node]:
    return [inner for body in bodies(node) for inner in all_nodes(body)]
