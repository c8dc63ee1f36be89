"""Which rows a rewritten model gives out, and where: rows of many layers leave it together, in few outputs.

A runtime needs more than twice the time for twice the outputs, and what remains to be done to each row is a handful of
nodes that cost more to call than to compute.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import Final

import onnx
import onnx_ir as ir

from inspector.contract import Array, Value
from inspector.contract.measures import keeps_maps
from inspector.graph.rewriting.carrying import Home, carry, homes
from inspector.graph.rewriting.finishing import Row, finish
from inspector.graph.rewriting.maps import Maps, Watched, for_any_size
from inspector.graph.rewriting.ops import Lowering
from inspector.graph.view import OnnxView
from inspector.graph.writing import add_output

_MOST_GROUPS: Final = 128
"""Values that one node joins at most: onnxruntime takes a second to plan a graph that has a node of 1,000 inputs."""


@dataclass(frozen=True, slots=True)
class Request:
    """One row to bring out: a measure of a tensor. Equal requests are one request."""

    tensor: str
    measure: Value


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rows of a request are, and what is left to do with them.

    Attributes:
        output: the number of an output of the rewritten model.
        columns: which part of it along axis 1; None: all of it.
        row: what they were written as, and of which value of the model.
    """

    output: int
    row: Row
    columns: tuple[int, int] | None = None

    def of(self, outputs: Sequence[Array], space: tuple[int, ...] | None = None) -> Array:
        """The rows, of all outputs of a run; `space`: sizes of one map, where it has others."""
        array = outputs[self.output]
        return finish(self.row, array if self.columns is None else array[:, slice(*self.columns)], space)


@dataclass(frozen=True, slots=True)
class Written:
    """What was added to a message.

    Attributes:
        places: every request once, in order.
        branched: requests that give no rows where a branch of an If is not taken.
        map_bytes: bytes of whole maps per input; None where a shape is not known.
        planned: what was known of the maps of every value.
    """

    places: Mapping[Request, Place]
    branched: frozenset[Request]
    map_bytes: int | None
    planned: Mapping[str, Watched]


def write_rows(
    message: onnx.ModelProto, view: OnnxView, maps: Maps, requests: Sequence[Request], *, any_size: bool
) -> Written:
    """Appends what computes the requests, and outputs for them.

    Args:
        message: changed in place; it has no outputs yet.
        view: the model of which it is a copy.
        maps: what is known of its maps.
        requests: what to bring out; duplicates are made once.
        any_size: runs may have inputs of other sizes.
    """
    writer, own = _Outputs(message, view, maps, any_size=any_size), len(message.graph.node)
    slots = tuple(dict.fromkeys(requests))
    for request in slots:
        writer.add(request)
    writer.gather(_move_up(message.graph, own))
    return Written(
        {request: writer.places[request] for request in slots},
        frozenset(writer.branched),
        None if None in writer.maps else sum(size for size in writer.maps if size is not None),
        writer.planned,
    )


class _Outputs:
    def __init__(self, message: onnx.ModelProto, view: OnnxView, maps: Maps, *, any_size: bool) -> None:
        self._graph, self._view, self._maps, self._any_size = message.graph, view, maps, any_size
        self._opset = next((o.version for o in message.opset_import if not o.domain), 1)
        self._home = Home(message.graph)
        self._homes = homes(message.graph) if view.source.nested else {}
        self._lowerings: dict[int, Lowering] = {}
        self._waiting: dict[str, dict[Request, Row]] = {}
        self.planned: dict[str, Watched] = {}
        self.places: dict[Request, Place] = {}
        self.branched: list[Request] = []
        self.maps: list[int | None] = []

    def add(self, request: Request) -> None:
        """Writes one request; rows that can leave together with others wait for `gather`."""
        home = self._homes.get(request.tensor, self._home)
        watched = self._maps(request.tensor)
        if self._any_size:
            watched = for_any_size(watched) if home is self._home else replace(watched, space=None)
        self.planned[request.tensor] = watched
        row = self._lowering(home)(watched, request.measure)
        if home is self._home and row.channels is not None and watched.is_of_inputs:
            self._waiting.setdefault(row.value, {})[request] = row
            return
        channels = self._view.watchable[request.tensor].channels or watched.channels
        absent = (1 if request.measure.op == "positions" else channels or 1, *[1] * (row.rank - 2))
        self.places[request] = Place(self._give_out(carry(row.value, home, row.written, absent)), row)
        if home is not self._home:
            self.branched.append(request)
        if keeps_maps(request.measure):
            area = watched.area
            self.maps.append(
                None if area is None or channels is None else int(area * channels * watched.dtype.itemsize)
            )

    def gather(self, order: Mapping[str, int]) -> None:
        """Gives out what waits, in one output for each element type. `order`: where the model makes what it is of."""
        kinds: defaultdict[ir.DataType, list[Row]] = defaultdict(list)
        for value in sorted(self._waiting, key=order.__getitem__):
            row = next(iter(self._waiting[value].values()))
            kinds[row.written].append(row)
        for rows in kinds.values():
            output, start = self._give_out(self._lowering(self._home).gather(_groups(rows, order))), 0
            for row in rows:
                end = start + (row.channels or 0)
                waiting = self._waiting[row.value].items()
                self.places.update((request, Place(output, own, (start, end))) for request, own in waiting)
                start = end

    def _give_out(self, value: str) -> int:
        add_output(self._graph, value)
        return len(self._graph.output) - 1

    def _lowering(self, home: Home) -> Lowering:
        key = id(home)
        if key not in self._lowerings:
            name = "" if home is self._home else f"{len(self._lowerings)}/"
            self._lowerings[key] = Lowering(home.graph, self._opset, name)
        return self._lowerings[key]


def _move_up(graph: onnx.GraphProto, own: int) -> dict[str, int]:
    """Puts every node behind the first `own` ones right behind what it reads.

    A runtime that finds them all at the end has all of them waiting while it plans, and searches among those that wait.

    Returns:
        By which of the first nodes each value is made, or what it is computed from.
    """
    places = {name: at for at, node in enumerate(graph.node[:own]) for name in node.output}
    order = list(range(own))
    for node in graph.node[own:]:
        order.append(max((places.get(name, 0) for name in node.input), default=0))
        places.update(dict.fromkeys(node.output, order[-1]))
    place = iter(order)
    graph.node.sort(key=lambda _: next(place))  # in place: messages taken out and put back are copied
    return places


def _groups(rows: Sequence[Row], order: Mapping[str, int]) -> list[list[Row]]:
    """Rows of one tensor each, in order; of several neighbours where there are many tensors."""
    tensors = [list(of_one) for _, of_one in groupby(rows, key=lambda row: (order[row.value], row.rank))]
    size = -(-len(tensors) // _MOST_GROUPS)
    groups: list[list[Row]] = []
    for _, of_rank in groupby(tensors, key=lambda some: some[0].rank):
        alike = list(of_rank)
        groups += [list(chain.from_iterable(alike[start : start + size])) for start in range(0, len(alike), size)]
    return groups
