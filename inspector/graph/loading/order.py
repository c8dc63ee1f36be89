"""Nodes in an order in which they can run, where a file has them in another.

The standard asks for that order, and runtimes do without: tools that add nodes behind all others, as converters to
float16 do with their casts, give files that run and that no checker takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx

from inspector.graph.contents import Survey, hold, survey_of


def put_in_order(survey: Survey) -> Survey:
    """Moves nodes behind those whose values they read, in bodies and functions too; the message's survey from then on.

    Others stay where they are. What cannot be put in order is left to the checker: nodes in a circle, two values of
    one name.
    """
    proto = survey.proto
    moved = [_sort(nodes) for nodes in (*(g.node for g in survey.graphs), *(f.node for f in proto.functions))]
    return survey_of(proto) if any(moved) else survey


def _sort(nodes: Sequence[onnx.NodeProto]) -> bool:
    """Whether anything was moved."""
    makers = {name: at for at, node in enumerate(nodes) for name in node.output if name}
    if len(makers) < sum(bool(name) for node in nodes for name in node.output):
        return False
    before = [[makers[name] for name in _read(node) if name in makers] for node in nodes]
    if all(maker < at for at, found in enumerate(before) for maker in found):
        return False
    places = _places(before)
    if places is None:
        return False
    following = iter(places)
    nodes.sort(key=lambda _: next(following))  # type: ignore[attr-defined]  # the list of a message moves, copies nothing
    return True


def _read(node: onnx.NodeProto) -> Iterable[str]:
    """Names that a node reads, and that its bodies read from around them."""
    bodies = hold([node]).bodies
    if not bodies:
        return node.input
    inner = [each for body in bodies for each in body.node]
    own = {name for each in inner for name in each.output}
    own.update(value.name for body in bodies for value in body.input)
    own.update(tensor.name for body in bodies for tensor in body.initializer)
    return (*node.input, *(name for each in inner for name in each.input if name not in own))


def _places(before: Sequence[Sequence[int]]) -> list[int] | None:
    """Where every node goes: behind its makers, which go just before the first that needs them. None: a circle."""
    places: list[int | None] = [None] * len(before)
    count = 0
    for start in range(len(before)):
        pending, begun = [start], set[int]()
        while pending:
            at = pending[-1]
            missing = [maker for maker in before[at] if places[maker] is None]
            if places[at] is not None or not missing:
                pending.pop()
                if places[at] is None:
                    places[at], count = count, count + 1
            elif at in begun:
                return None
            else:
                begun.add(at)
                pending.extend(reversed(missing))
    return [place for place in places if place is not None]
