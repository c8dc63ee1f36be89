"""Cuts a graph down to what it gives out: asking a runtime for fewer outputs does not skip any work."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from inspector.graph.contents import bodies_of


def prune(graph: onnx.GraphProto, wanted: Iterable[str], *, nested: bool = True) -> set[str]:
    """Takes away, in place, the nodes and initializers that none of the wanted values needs, in bodies too.

    Nodes stand behind those that they read, as the standard asks for. `nested`: some of them may have bodies.

    Returns:
        Names of all values that are read in what is left; of a body, those around it are among them.
    """
    needed = set(wanted)
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node[:]):
        if needed.isdisjoint(node.output):
            continue
        kept.append(node)
        needed.update(node.input)
        for body in bodies_of([node]) if nested else ():
            needed |= prune(body, [value.name for value in body.output])
    needed.discard("")
    if len(kept) < len(graph.node):
        del graph.node[:]
        graph.node.extend(reversed(kept))
    fed = {value.name for value in graph.input}
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed or tensor.name in fed]
    if len(tensors) < len(graph.initializer):
        del graph.initializer[:]
        graph.initializer.extend(tensors)
    return needed
