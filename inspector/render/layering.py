"""Where the nodes of a directed graph go: layers from left to right, places from top to bottom.

The frame is that of Sugiyama, Tagawa and Toda (1981): turn back edges round, give every node the layer that its
longest path from a source asks for, let long edges pass through empty slots of the layers between, order the slots of
a layer by the mean place of their neighbours, and move them towards it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 8

Link = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """Slots in layers. Slot i < nodes is node i, the others are bends of long edges.

    Attributes:
        layer: layer of every slot, from 0.
        middle: vertical centre of every slot, from 0 downwards.
        chains: per edge the slots it runs through, from left to right.
        turned: per edge whether it runs against the layers, from right to left.
    """

    layer: tuple[int, ...]
    middle: tuple[float, ...]
    chains: tuple[tuple[int, ...], ...]
    turned: tuple[bool, ...]


def layout(nodes: int, links: Sequence[Link], heights: Sequence[float], bend: float) -> Layout:
    """Places nodes 0, 1, … so that links lead from left to right wherever there is no cycle.

    Args:
        nodes: how many there are.
        links: source and target, none to itself.
        heights: height of every node, distance to the next included.
        bend: the same for the bend of a long edge.
    """
    back = _back(nodes, links)
    forward = [(t, s) if (s, t) in back else (s, t) for s, t in links]
    layer = _layers(nodes, forward)
    chains = list[tuple[int, ...]]()
    for source, target in forward:
        between = range(layer[source] + 1, layer[target])
        chains.append((source, *range(len(layer), len(layer) + len(between)), target))
        layer.extend(between)
    sizes = [*heights, *[bend] * (len(layer) - nodes)]
    near = _neighbours([pair for chain in chains for pair in pairwise(chain)])
    middle = _places(_ordered(layer, near), sizes, near)
    return Layout(tuple(layer), tuple(middle), tuple(chains), tuple(link in back for link in links))


def bends(nodes: int, links: Sequence[Link]) -> int:
    """How many bends `layout` would make: known before any is made."""
    back = _back(nodes, links)
    layer = _layers(nodes, [(t, s) if (s, t) in back else (s, t) for s, t in links])
    return sum(abs(layer[t] - layer[s]) - 1 for s, t in links)


def _back(nodes: int, links: Sequence[Link]) -> set[Link]:
    """The links that close a cycle, found depth first: without them, turned round, there is none."""
    targets, back, state = defaultdict[int, list[int]](list), set[Link](), [0] * nodes
    for source, target in links:
        targets[source].append(target)
    for root in range(nodes):
        stack = [(root, iter(targets[root]))] if state[root] == 0 else []
        state[root] = max(state[root], 1)
        while stack:
            node, rest = stack[-1]
            target = next(rest, -1)
            if target < 0:
                state[node] = 2
                stack.pop()
            elif state[target] == 1:
                back.add((node, target))
            elif state[target] == 0:
                state[target] = 1
                stack.append((target, iter(targets[target])))
    return back


def _layers(nodes: int, links: Sequence[Link]) -> list[int]:
    """Length of the longest path that leads to each node; `links` have no cycle."""
    targets, waiting, layer = defaultdict[int, list[int]](list), [0] * nodes, [0] * nodes
    for source, target in links:
        targets[source].append(target)
        waiting[target] += 1
    ready = [node for node in range(nodes) if not waiting[node]]
    for node in ready:  # grows while it is read
        for target in targets[node]:
            layer[target] = max(layer[target], layer[node] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return layer


def _neighbours(pairs: Sequence[Link]) -> Mapping[int, Sequence[int]]:
    near = defaultdict[int, list[int]](list)
    for a, b in pairs:
        near[a].append(b)
        near[b].append(a)
    return near


def _ordered(layer: Sequence[int], near: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """The slots of every layer, in an order with few crossings: by the mean rank of neighbours, to and fro."""
    columns = [list[int]() for _ in range(max(layer, default=-1) + 1)]
    for slot, at in enumerate(layer):
        columns[at].append(slot)
    rank = {slot: float(at) for column in columns for at, slot in enumerate(column)}
    for sweep in range(_SWEEPS):
        step = -1 if sweep % 2 == 0 else 1
        for column in columns if sweep % 2 == 0 else reversed(columns):
            means = {
                slot: _mean([rank[n] for n in near.get(slot, ()) if layer[n] == layer[slot] + step], rank[slot])
                for slot in column
            }
            column.sort(key=lambda slot, means=means: means[slot])  # type: ignore[misc]
            rank.update((slot, float(at)) for at, slot in enumerate(column))
    return columns


def _places(columns: Sequence[Sequence[int]], sizes: Sequence[float], near: Mapping[int, Sequence[int]]) -> list[float]:
    """Vertical centres: each slot as near to its neighbours' mean as its column allows; the topmost edge is 0."""
    middle = [0.0] * len(sizes)
    for column in columns:
        _settle(column, [0.0] * len(column), sizes, middle)
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            _settle(column, [_mean([middle[n] for n in near.get(s, ())], middle[s]) for s in column], sizes, middle)
    top = min((m - size / 2 for m, size in zip(middle, sizes, strict=True)), default=0.0)
    return [m - top for m in middle]


def _settle(column: Sequence[int], wished: Sequence[float], sizes: Sequence[float], middle: list[float]) -> None:
    """Sets the centres of a column: the mean of two placements without overlap, pushed down and pushed up."""
    apart = [(sizes[a] + sizes[b]) / 2 for a, b in pairwise(column)]
    down, up = list(wished), list(wished)
    for at, distance in enumerate(apart):
        down[at + 1] = max(down[at + 1], down[at] + distance)
    for at in range(len(apart) - 1, -1, -1):
        up[at] = min(up[at], up[at + 1] - apart[at])
    for slot, low, high in zip(column, down, up, strict=True):
        middle[slot] = (low + high) / 2


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
