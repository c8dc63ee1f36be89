"""Blocks and findings as messages, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

import numpy as np

from inspector._proto.inspector.v1 import block_pb2, tensor_pb2
from inspector.contract import (
    Array,
    Block,
    Cell,
    Column,
    Curve,
    Edge,
    Finding,
    Graph,
    Heatmap,
    Images,
    Node,
    Note,
    Overruled,
    Picture,
    Scale,
    ScaleKind,
    Series,
    Severity,
    Table,
)
from inspector.errors import InputError, PluginError
from inspector.faces.wire_tensor import tensor_from_message, tensor_to_message, utf8

Draw = Callable[[Picture, Scale | None], bytes]
"""Draws a picture of a grid with the grid's common scale, as a PNG file; empty where it cannot be drawn."""

SCALE_KINDS: Final = {
    ScaleKind.SIGNED: block_pb2.SCALE_KIND_SIGNED,
    ScaleKind.SEQUENTIAL: block_pb2.SCALE_KIND_SEQUENTIAL,
    ScaleKind.COLOUR: block_pb2.SCALE_KIND_COLOUR,
}
SEVERITIES: Final = {
    Severity.INFO: block_pb2.SEVERITY_INFO,
    Severity.WARNING: block_pb2.SEVERITY_WARNING,
    Severity.ERROR: block_pb2.SEVERITY_ERROR,
}
_INT64: Final = range(-(2**63), 2**63)

Word = TypeVar("Word", bound=StrEnum)


def enum_from_message(table: Mapping[Word, Any], number: int, subject: str) -> Word:
    """The word for an enum's number; InputError for a number that the table lacks, such as 0."""
    for word, known in table.items():
        if known == number:
            return word
    expected = f"one of {', '.join(str(n) for n in table.values())} ({', '.join(table)})"
    raise InputError(subject, "unknown value", expected=expected, found=str(number))


def block_to_message(block: Block, draw: Draw | None = None) -> block_pb2.Block:
    """The block as a message; with `draw`, pictures come with a PNG of themselves."""
    match block:
        case Table():
            return block_pb2.Block(table=_table_to_message(block))
        case Heatmap():
            return block_pb2.Block(heatmap=_heatmap_to_message(block))
        case Images():
            return block_pb2.Block(images=_images_to_message(block, draw))
        case Graph():
            return block_pb2.Block(graph=_graph_to_message(block))
        case Curve():
            return block_pb2.Block(curve=_curve_to_message(block))
        case Note():
            return block_pb2.Block(note=block_pb2.Note(text=utf8(block.text), title=utf8(block.title)))


def block_from_message(message: block_pb2.Block) -> Block:
    """The block in a message.

    Raises:
        InputError: it is of no known kind, or breaks a rule of its kind.
    """
    kind = message.WhichOneof("kind")
    if kind is None:
        raise InputError("block", "it is of no kind that is known here", expected=f"one of {', '.join(_FROM_MESSAGE)}")
    block: Block = _FROM_MESSAGE[kind](getattr(message, kind))
    return block


def cell_to_message(cell: Cell | np.generic) -> block_pb2.Cell:
    """A table's entry; NumPy scalars count as numbers, whole numbers beyond 64 bits travel as real numbers."""
    value: Cell = cell.item() if isinstance(cell, np.generic) else cell
    if value is None:
        return block_pb2.Cell()
    if isinstance(value, bool):
        return block_pb2.Cell(truth=value)
    if isinstance(value, str):
        return block_pb2.Cell(text=utf8(value))
    if isinstance(value, int) and value in _INT64:
        return block_pb2.Cell(integer=value)
    return block_pb2.Cell(number=_real(value))


def cell_from_message(message: block_pb2.Cell) -> Cell:
    """A table's entry from a message."""
    kind = message.WhichOneof("kind")
    cell: Cell = None if kind is None else getattr(message, kind)
    return cell


def _real(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def finding_to_message(finding: Finding) -> block_pb2.Finding:
    """The judgement as a message."""
    return block_pb2.Finding(
        rule=utf8(finding.rule),
        severity=SEVERITIES[finding.severity],
        message=utf8(finding.message),
        layer=utf8(finding.layer),
        channels=[int(c) for c in finding.channels],
        evidence={utf8(name): cell_to_message(cell) for name, cell in finding.evidence.items()},
        remedy=utf8(finding.remedy),
        overruled=None if finding.overruled is None else _overruled_to_message(finding.overruled),
    )


def _overruled_to_message(overruled: Overruled) -> block_pb2.Overruled:
    return block_pb2.Overruled(
        severity=SEVERITIES[overruled.severity],
        policy=utf8(overruled.policy),
        reason=utf8(overruled.reason),
        ignored=overruled.ignored,
    )


def finding_from_message(message: block_pb2.Finding) -> Finding:
    """The judgement in a message; its evidence in the order of the names.

    Raises:
        InputError: the severity is unknown.
    """
    subject = f"severity of finding {message.rule!r}"
    return Finding(
        rule=message.rule,
        severity=enum_from_message(SEVERITIES, message.severity, subject),
        message=message.message,
        layer=message.layer,
        channels=tuple(message.channels),
        evidence={name: cell_from_message(message.evidence[name]) for name in sorted(message.evidence)},
        remedy=message.remedy,
        overruled=_overruled_from_message(message.overruled, subject) if message.HasField("overruled") else None,
    )


def _overruled_from_message(message: block_pb2.Overruled, subject: str) -> Overruled:
    severity = enum_from_message(SEVERITIES, message.severity, f"{subject} before a policy")
    return Overruled(severity, message.policy, message.reason, message.ignored)


def _table_to_message(table: Table) -> block_pb2.Table:
    return block_pb2.Table(
        title=utf8(table.title),
        columns=[block_pb2.Column(name=utf8(c.name), about=utf8(c.about), unit=utf8(c.unit)) for c in table.columns],
        rows=[block_pb2.Row(cells=[cell_to_message(cell) for cell in row]) for row in table.rows],
        caption=utf8(table.caption),
    )


def _table_from_message(message: block_pb2.Table) -> Table:
    columns = tuple(Column(c.name, c.about, c.unit) for c in message.columns)
    rows = tuple(tuple(cell_from_message(cell) for cell in row.cells) for row in message.rows)
    for index, row in enumerate(rows):
        if len(row) != len(columns):
            subject = f"row {index} of table {message.title!r}"
            raise InputError(subject, "wrong number of cells", expected=str(len(columns)), found=str(len(row)))
    return Table(message.title, columns, rows, message.caption)


def _scale_to_message(scale: Scale | None) -> block_pb2.Scale | None:
    if scale is None:
        return None
    kind = SCALE_KINDS[scale.kind]
    return block_pb2.Scale(kind=kind, low=float(scale.low), high=float(scale.high), unit=utf8(scale.unit))


def _scale_from_message(message: block_pb2.Scale) -> Scale:
    kind = enum_from_message(SCALE_KINDS, message.kind, "kind of a scale")
    return Scale(kind, message.low, message.high, message.unit)


def _own_scale(message: block_pb2.Images | block_pb2.Picture) -> Scale | None:
    return _scale_from_message(message.scale) if message.HasField("scale") else None


def _heatmap_to_message(heatmap: Heatmap) -> block_pb2.Heatmap:
    return block_pb2.Heatmap(
        title=utf8(heatmap.title),
        values=_tensor(heatmap.values, f"values of heatmap {heatmap.title!r}"),
        scale=_scale_to_message(heatmap.scale),
        row_axis=utf8(heatmap.row_axis),
        column_axis=utf8(heatmap.column_axis),
        row_labels=map(utf8, heatmap.row_labels),
        column_labels=map(utf8, heatmap.column_labels),
        caption=utf8(heatmap.caption),
        meanings=[block_pb2.Meaning(value=value, text=utf8(text)) for value, text in heatmap.meanings],
    )


def _heatmap_from_message(message: block_pb2.Heatmap) -> Heatmap:
    return Heatmap(
        title=message.title,
        values=_matrix(message.values, f"values of heatmap {message.title!r}"),
        scale=_scale_from_message(message.scale),
        row_axis=message.row_axis,
        column_axis=message.column_axis,
        row_labels=tuple(message.row_labels),
        column_labels=tuple(message.column_labels),
        caption=message.caption,
        meanings=tuple((meaning.value, meaning.text) for meaning in message.meanings),
    )


def _tensor(values: Array, subject: str) -> tensor_pb2.Tensor:
    try:
        return tensor_to_message(np.asarray(values))
    except InputError as error:
        raise PluginError(subject, error.problem, expected=error.expected, found=error.found) from error


def _matrix(message: tensor_pb2.Tensor, subject: str, *, colours: bool = False) -> Array:
    array = tensor_from_message(message, subject)
    if array.ndim == 2 or (colours and array.ndim == 3 and array.shape[2] == 3):
        return array
    expected = "(height, width) or (height, width, 3)" if colours else "(rows, columns)"
    raise InputError(subject, "wrong shape", expected=expected, found=str(array.shape))


def _images_to_message(images: Images, draw: Draw | None) -> block_pb2.Images:
    return block_pb2.Images(
        title=utf8(images.title),
        pictures=[_picture_to_message(p, images.scale, draw) for p in images.pictures],
        columns=images.columns,
        scale=_scale_to_message(images.scale),
        caption=utf8(images.caption),
    )


def _images_from_message(message: block_pb2.Images) -> Images:
    pictures = tuple(_picture_from_message(p) for p in message.pictures)
    return Images(message.title, pictures, message.columns, _own_scale(message), message.caption)


def _picture_to_message(picture: Picture, common: Scale | None, draw: Draw | None) -> block_pb2.Picture:
    return block_pb2.Picture(
        values=_tensor(picture.values, f"values of picture {picture.label!r}"),
        label=utf8(picture.label),
        mark=utf8(picture.mark),
        scale=_scale_to_message(picture.scale),
        png=(draw(picture, common) or None) if draw else None,
    )


def _picture_from_message(message: block_pb2.Picture) -> Picture:
    values = _matrix(message.values, f"values of picture {message.label!r}", colours=True)
    return Picture(values, message.label, message.mark, _own_scale(message))


def _graph_to_message(graph: Graph) -> block_pb2.Graph:
    return block_pb2.Graph(
        title=utf8(graph.title),
        nodes=[block_pb2.Node(name=utf8(n.name), label=utf8(n.label), group=utf8(n.group)) for n in graph.nodes],
        edges=[_edge_to_message(edge) for edge in graph.edges],
        caption=utf8(graph.caption),
    )


def _edge_to_message(edge: Edge) -> block_pb2.Edge:
    source, target, label = utf8(edge.source), utf8(edge.target), utf8(edge.label)
    return block_pb2.Edge(source=source, target=target, weight=float(edge.weight), label=label)


def _graph_from_message(message: block_pb2.Graph) -> Graph:
    nodes = tuple(Node(n.name, n.label, n.group) for n in message.nodes)
    edges = tuple(Edge(e.source, e.target, e.weight, e.label) for e in message.edges)
    return Graph(message.title, nodes, edges, message.caption)


def _curve_to_message(curve: Curve) -> block_pb2.Curve:
    return block_pb2.Curve(
        title=utf8(curve.title),
        x_axis=utf8(curve.x_axis),
        y_axis=utf8(curve.y_axis),
        series=[block_pb2.Series(name=utf8(s.name), x=map(float, s.x), y=map(float, s.y)) for s in curve.series],
        caption=utf8(curve.caption),
    )


def _curve_from_message(message: block_pb2.Curve) -> Curve:
    series = tuple(Series(s.name, tuple(s.x), tuple(s.y)) for s in message.series)
    for line in series:
        if len(line.x) != len(line.y):
            subject = f"series {line.name!r} of curve {message.title!r}"
            raise InputError(subject, "x and y differ in length", expected=str(len(line.x)), found=str(len(line.y)))
    return Curve(message.title, message.x_axis, message.y_axis, series, message.caption)


def _note_from_message(message: block_pb2.Note) -> Note:
    return Note(message.text, message.title)


_FROM_MESSAGE: Final[Mapping[str, Callable[[Any], Block]]] = {
    "table": _table_from_message,
    "heatmap": _heatmap_from_message,
    "images": _images_from_message,
    "graph": _graph_from_message,
    "curve": _curve_from_message,
    "note": _note_from_message,
}
