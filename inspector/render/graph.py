"""Things and what leads to what: boxes and arrows from left to right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from inspector.contract import Edge, Graph, Node
from inspector.errors import LimitError
from inspector.render import canvas, colourbar
from inspector.render.canvas import LABEL, MARGIN, PAGE, label_text, text_image, write
from inspector.render.layering import Layout, bends, layout
from inspector.render.lettering import height, lines, width
from inspector.render.palette import HAIRLINE, INK, LINES, MUTED, PAPER, Colour, Floats
from inspector.render.pixels import MAX_SIDE

MOST_NODES: Final = 1500
MOST_EDGES: Final = 6000
MOST_BENDS: Final = 20_000
MAX_SHEETS: Final = 16
"""Larger graphs are not drawn: nothing could be seen in them."""

_WIDEST, _BETWEEN, _BEND, _GAP, _FINE = 170, 64, 12, 14, 3
_NAMED = 12
"""Groups that the legend names."""
_HEADROOM = 400
"""Height kept for the title, the caption, the legend and the notes."""


@dataclass(frozen=True, slots=True)
class _Drawing:
    """A graph that has its places.

    Attributes:
        texts: lines of text of every node.
        fills: colour of every node.
        edges: those that are drawn, in the order of `places.chains`.
        places: where everything is.
        lefts: left edge of every layer, of `wides` each, as if all were on one long sheet.
    """

    texts: Sequence[Sequence[str]]
    fills: Sequence[Colour]
    edges: Sequence[Edge]
    places: Layout
    lefts: Sequence[int]
    wides: Sequence[int]

    def band(self, first: int, last: int) -> tuple[float, float]:
        """Topmost and lowest edge of the layers first to last."""
        here = [at for at, layer in enumerate(self.places.layer) if first <= layer <= last]
        half = [_tall(self.texts[at]) / 2 if at < len(self.texts) else _BEND / 2 for at in here]
        middles = [self.places.middle[at] for at in here]
        return (
            min(m - h for m, h in zip(middles, half, strict=True)),
            max(m + h for m, h in zip(middles, half, strict=True)),
        )


def draw_graph(block: Graph) -> Iterator[Image.Image]:
    """The sheets of a graph. Where it is wider than a sheet it goes on below, repeating its last layer in grey.

    Raises:
        LimitError: it has too many nodes or edges, or too many nodes side by side.
    """
    subject = f"graph {block.title[:80]!r}"
    _check(subject, "nodes", len(block.nodes), MOST_NODES)
    _check(subject, "edges", len(block.edges), MOST_EDGES)
    if not block.nodes:
        yield canvas.sheet(block.title, block.caption, [], ["There are no nodes."])
        return
    drawing = _arranged(block, subject)
    sheets = _sheets(drawing, subject)
    _check(subject, "layers", len(sheets), MAX_SHEETS, "sheets")
    legend, notes = _legend(block.nodes), _notes(block, drawing, rows=sum(map(len, sheets)))
    for at, cuts in enumerate(sheets):
        several = [f"Sheet {at + 1} of {len(sheets)}."] if len(sheets) > 1 else []
        bands = [_band(drawing, first, last) for first, last in cuts]
        yield canvas.sheet(block.title, block.caption, [*legend, *bands], several + notes)


def _check(subject: str, what: str, found: int, most: int, unit: str = "") -> None:
    if found > most:
        raise LimitError(
            subject,
            f"it has too many {what} to draw",
            expected=f"{most:,} {unit or what} at most",
            found=f"{found:,}",
            remedy="Ask the analysis for a part of it, or read it from the report's JSON.",
        )


def _arranged(block: Graph, subject: str) -> _Drawing:
    at = {node.name: i for i, node in enumerate(block.nodes)}
    edges = [e for e in block.edges if e.source in at and e.target in at and e.source != e.target]
    links = [(at[e.source], at[e.target]) for e in edges]
    _check(subject, "bends", bends(len(block.nodes), links), MOST_BENDS)
    texts = [lines(label_text(n.label or n.name, 60), LABEL, _WIDEST - 20, 2) or [""] for n in block.nodes]
    places = layout(len(block.nodes), links, [_tall(text) + _GAP for text in texts], _BEND)
    wides = [40] * (max(places.layer) + 1)
    for text, layer in zip(texts, places.layer, strict=False):  # nodes come first, bends after them
        wides[layer] = max(wides[layer], max(width(line, LABEL) for line in text) + 20)
    lefts = _lefts(places, wides)
    tints = _tints(block.nodes)
    return _Drawing(texts, [tints[node.group] for node in block.nodes], edges, places, lefts, wides)


def _lefts(places: Layout, wides: Sequence[int]) -> list[int]:
    """Left edge of every layer: the more edges run between two of them, the more room they get."""
    runs = Counter(places.layer[a] for chain in places.chains for a in chain[:-1])
    steps = [wide + _BETWEEN + min(2 * runs[layer], 2 * _BETWEEN) for layer, wide in enumerate(wides)]
    return [0, *accumulate(steps[:-1])]


def _tall(text: Sequence[str]) -> int:
    return len(text) * height(LABEL) + 10


def _tints(nodes: Sequence[Node]) -> Mapping[str, Colour]:
    """A pale colour for every group; nodes of no group are nearly white."""
    groups = dict.fromkeys(node.group for node in nodes if node.group)
    pale = {g: _mixed(LINES[i % len(LINES)], min(0.22 + 0.2 * (i // len(LINES)), 0.5)) for i, g in enumerate(groups)}
    return {"": (247, 247, 247), **pale}


def _mixed(colour: Colour, share: float) -> Colour:
    red, green, blue = (round(255 - (255 - c) * share) for c in colour)
    return red, green, blue


def _cuts(drawing: _Drawing) -> list[tuple[int, int]]:
    """First and last layer of every band, each as wide as a sheet at most; a band begins where the one before ended."""
    cuts, first = list[tuple[int, int]](), 0
    for layer in range(1, len(drawing.wides)):
        wide = drawing.lefts[layer] + drawing.wides[layer] - drawing.lefts[first]
        if wide > PAGE - 2 * MARGIN and layer - 1 > first:
            cuts.append((first, layer - 1))
            first = layer - 1
    return [*cuts, (first, len(drawing.wides) - 1)]


def _sheets(drawing: _Drawing, subject: str) -> list[list[tuple[int, int]]]:
    """The bands, shared out to sheets by their heights."""
    sheets, left = list[list[tuple[int, int]]](), 0
    for first, last in _cuts(drawing):
        top, bottom = drawing.band(first, last)
        tall = round(bottom - top) + 4 + canvas.GAP
        _check(subject, "nodes side by side", tall, MAX_SIDE - _HEADROOM, "pixels")
        if not sheets or tall > left:
            sheets.append([])
            left = MAX_SIDE - _HEADROOM
        sheets[-1].append((first, last))
        left -= tall
    return sheets


def _band(drawing: _Drawing, first: int, last: int) -> Image.Image:
    """The layers first to last with the edges between them."""
    top, bottom = drawing.band(first, last)
    left, right = drawing.lefts[first], drawing.lefts[last] + drawing.wides[last]
    image = canvas.blank(right - left + 2, round(bottom - top) + 4)
    origin = np.array([left - 1, top - 2])
    mask = Image.new("L", (image.width * _FINE, image.height * _FINE))
    labels = _edges(ImageDraw.Draw(mask), drawing, first, last, origin)
    image.paste((140, 140, 140), (0, 0), mask.resize(image.size, Image.Resampling.BOX))
    for at, layer in enumerate(drawing.places.layer[: len(drawing.texts)]):
        if first <= layer <= last:
            _box(image, drawing, at, origin, repeated=first > 0 and layer == first)
    for (x, y), text in labels:
        half = width(text, LABEL) / 2 + 2
        ImageDraw.Draw(image).rectangle((x - half, y - 7, x + half, y + 7), fill=PAPER)
        write(image, (x, y), text, colour=MUTED, anchor="mm")
    return image


def _box(image: Image.Image, drawing: _Drawing, at: int, origin: Floats, *, repeated: bool) -> None:
    text, layer = drawing.texts[at], drawing.places.layer[at]
    left, middle = drawing.lefts[layer] - origin[0], drawing.places.middle[at] - origin[1]
    right, half = left + drawing.wides[layer] - 1, _tall(text) / 2
    box = (int(left), int(middle - half), int(right), int(middle + half) - 1)
    ImageDraw.Draw(image).rounded_rectangle(box, 4, fill=PAPER if repeated else drawing.fills[at], outline=HAIRLINE)
    for line, shown in enumerate(text):
        y = middle + (line - (len(text) - 1) / 2) * height(LABEL)
        write(image, ((left + right) / 2, y), shown, colour=MUTED if repeated else INK, anchor="mm")


def _edges(
    draw: ImageDraw.ImageDraw, drawing: _Drawing, first: int, last: int, origin: Floats
) -> list[tuple[tuple[float, float], str]]:
    """Draws what runs between the layers first and last; gives the places of the edges' labels, and their texts."""
    layer, labels = drawing.places.layer, list[tuple[tuple[float, float], str]]()
    thicknesses = _thicknesses(drawing.edges)
    ways = zip(drawing.edges, thicknesses, drawing.places.chains, drawing.places.turned, strict=True)
    for edge, thick, chain, turned in ways:
        pairs = [(a, b) for a, b in pairwise(chain) if first <= layer[a] and layer[b] <= last]
        for a, b in pairs:
            curve = (_curve(drawing, a, b) - origin) * _FINE
            draw.line([tuple(p) for p in curve.tolist()], fill=255, width=thick, joint="curve")
            if edge.label and a == chain[0]:
                x, y = curve[len(curve) // 2] / _FINE
                labels.append(((float(x), float(y)), label_text(edge.label, 16)))
        tip, way = (chain[0], -1) if turned else (chain[-1], 1)
        if first <= layer[tip] <= last and pairs:
            _arrow(draw, (_end(drawing, tip, way) - origin) * _FINE, way, thick)
    return labels


def _thicknesses(edges: Sequence[Edge]) -> list[int]:
    """Pixels of the enlarged mask: the heavier the thicker; thin where all weigh the same."""
    weights = np.abs(np.nan_to_num([edge.weight for edge in edges], posinf=0.0, neginf=0.0))
    alike = not len(weights) or weights.min() == weights.max()
    shares = np.zeros(len(weights)) if alike else weights / weights.max()
    return [round(_FINE * (1.2 + 2.8 * float(share))) for share in shares]


def _curve(drawing: _Drawing, a: int, b: int) -> Floats:
    """(P, 2): level out of slot a, level into slot b; a bend b is crossed to its far side."""
    (x0, y0), (x1, y1) = _end(drawing, a, -1), _end(drawing, b, 1)
    t = np.linspace(0.0, 1.0, 25)
    ease = t * t * (3 - 2 * t)
    points = np.stack([x0 + (x1 - x0) * t, y0 + (y1 - y0) * ease], axis=-1)
    wide = drawing.wides[drawing.places.layer[b]]
    return points if b < len(drawing.texts) else np.concatenate([points, [[x1 + wide, y1]]])


def _end(drawing: _Drawing, slot: int, way: int) -> Floats:
    """Where an edge enters a slot: on its left when it runs to the right (1), on its right otherwise (-1)."""
    layer = drawing.places.layer[slot]
    return np.array([drawing.lefts[layer] + (drawing.wides[layer] if way < 0 else 0), drawing.places.middle[slot]])


def _arrow(draw: ImageDraw.ImageDraw, tip: Floats, way: int, thick: int) -> None:
    long, half = 7 * _FINE + thick, 3 * _FINE + thick // 2
    x, y = float(tip[0]), float(tip[1])
    draw.polygon([(x, y), (x - way * long, y - half), (x - way * long, y + half)], fill=255)


def _legend(nodes: Sequence[Node]) -> list[Image.Image]:
    """The colours of the groups, by name, of many the first; nothing where there is at most one."""
    tints = [(label_text(name), tint) for name, tint in _tints(nodes).items() if name]
    parts = [colourbar.patch(tint, name) for name, tint in tints[:_NAMED]]
    more = len(tints) - len(parts)
    return colourbar.legend([*parts, *([text_image(f"and {more:,} more")] if more else [])]) if len(tints) > 1 else []


def _notes(block: Graph, drawing: _Drawing, rows: int) -> list[str]:
    left_out = len(block.edges) - len(drawing.edges)
    notes = {
        "The thicker an arrow, the larger its weight.": len({abs(edge.weight) for edge in drawing.edges}) > 1,
        "White boxes with grey names repeat the last ones of the row above.": rows > 1,
        f"Not drawn: {left_out} edge{'s' * (left_out > 1)} from a node to itself, or to no node of the graph.": left_out
        > 0,
    }
    return [note for note, holds in notes.items() if holds]
