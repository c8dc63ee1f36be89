"""Activations written in several nodes, recognised by what they compute.

Elementwise nodes between one value and one other, with nothing but numbers beside, are a function of one number. It is
evaluated on a grid with the ONNX reference implementation and compared with the closed forms of known activations: so
an activation has its name whatever operators, constants and order an exporter chose. The grid gets points beside every
threshold that the nodes apply. Once more evaluated in the model's own element type, it must say the same: there the
bounds of what clips are read, and adding and taking away a large number rounds.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import ml_dtypes
import numpy as np
import onnx_ir as ir

from inspector.contract import Array, Zeros
from inspector.graph.activations import closed_forms
from inspector.graph.activations.grids import BASE, Grid, deciding, refined
from inspector.graph.activations.operators import Activation, clip_name, meaning
from inspector.graph.activations.regions import (
    HANDING_ON,
    ROUNDING,
    Operand,
    Region,
    Regions,
    Slopes,
    consumers,
    is_of_numbers,
)
from inspector.graph.constants import Constants, run_node
from inspector.graph.layout import MOVING

_FLOATS: Final = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)
_ENDS: Final = frozenset({"Min", "Max", "Mul", "Div", "Log"})
"""Operators that some exporters put last: the bound of ReLU6, the factor of SELU, the logarithm of log sigmoid."""
_MAX_REFINEMENTS: Final = 8
"""Each at least halves how far a threshold is from the points beside it; behind affine operands one is enough."""
_OWN_STEPS: Final = 64
"""Rounding steps that the arithmetic may be away from what it means, in the model's own element type."""
_MAX_EVALUATIONS: Final = 8192
"""Different nodes that are evaluated for one model, some seconds' work; what exporters write has a few dozen."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A function of one number: which one, counted through the model, and its values on the grid.

    `own`: evaluated in the model's element type, and not in float64.
    """

    index: int
    grid: Grid
    values: Array
    own: bool = False

    @cached_property
    def form(self) -> closed_forms.Form | None:
        """The activation that it is."""
        return closed_forms.form(self.grid, self.values)

    @cached_property
    def zeros(self) -> Zeros:
        """What a zero of it means."""
        return meaning(exact=closed_forms.gives_zeros(self.grid, self.values))


@dataclass(slots=True)
class _Evaluated:
    """The values of a region as curves, as far as they can be evaluated, in order."""

    curves: dict[ir.Value, Curve]
    places: list[Array] = field(default_factory=list)


class Curves:
    """The decomposed activations of one model. Equal arithmetic is evaluated once."""

    def __init__(self, constants: Constants) -> None:
        self.constants = constants
        self.regions = Regions(constants)
        self._known: dict[tuple[object, ...], Curve | None] = {}
        self._starts: dict[tuple[bytes, str], Curve] = {}

    def activation(self, value: ir.Value, region: Region) -> Activation | None:
        """The first activation that everything in the region of `value` goes through."""
        found: Activation | None = None
        curves = self._curves(value, region)
        for node in _closed(region, curves):
            last = node.outputs[0]
            form = curves[last].form
            clamped = node.op_type in ("Min", "Max")  # a factor or a logarithm could make a bound out of a bound
            if form and (found is None or clamped or form.name in closed_forms.FIXED):
                found = self._confirmed(form, curves[last], value, last, region) or found
            if found and not goes_on(last):
                break
        return found

    def with_slopes(self, region: Region) -> Activation | None:
        """A PRelu in several nodes: a leaky rectifier both by the smallest and by the largest slope there is."""
        ends = [region.at(end) for end in (0, 1)]
        curves = [self._curves(region.start, each) for each in ends]
        for node in _closed(region, curves[0].keys() & curves[1].keys()):
            last = node.outputs[0]
            forms = [closed_forms.sloped(each[last].grid, each[last].values) for each in curves]
            found = [
                None if form is None else self._confirmed(form, each[last], region.start, last, at)
                for form, each, at in zip(forms, curves, ends, strict=True)
            ]
            if None not in found:
                return found[0]
        return None

    def _curves(self, value: ir.Value, region: Region) -> Mapping[ir.Value, Curve]:
        """The values of the region, looked at wherever its nodes may bend; empty where these are too many places."""
        grid = BASE
        for _ in range(_MAX_REFINEMENTS):
            evaluated = self._evaluated(self._start(grid), value, region)
            finer = refined(grid, evaluated.places)
            if finer is None:
                return {}
            if len(finer.x) == len(grid.x):
                break
            grid = finer
        return evaluated.curves

    def _evaluated(self, start: Curve, value: ir.Value, region: Region) -> _Evaluated:
        found = _Evaluated({value: start})
        for node, operands in region.nodes.items():
            read = [found.curves[o] if isinstance(o, ir.Value) else _number(o) for o in operands]
            curve = self._evaluate(start, node, read)
            if curve is None:
                break
            found.curves[node.outputs[0]] = curve
            with np.errstate(all="ignore"):
                found.places += deciding(node, [o.values if isinstance(o, Curve) else o for o in read])
        return found

    def _confirmed(
        self, form: closed_forms.Form, curve: Curve, value: ir.Value, last: ir.Value, region: Region
    ) -> Activation | None:
        """As an activation, where the arithmetic says the same in the model's own element type."""
        kind = value.dtype if value.dtype in _FLOATS else ir.DataType.FLOAT
        curves = self._evaluated(self._start(curve.grid, kind), value, region).curves
        own = curves.get(last)
        if own is None:
            return Activation(last, form.name, curve.zeros, region.layouts[last])
        step = max(_finfo(c.values.dtype)[1] for c in curves.values() if c.values.dtype != np.bool_)
        if not _agree(curve, own, _OWN_STEPS * step):
            return None
        name = form.name if form.clips is None else clip_name(*_bounds(form.clips, own.values))
        return Activation(last, name, curve.zeros, region.layouts[last])

    def _start(self, grid: Grid, kind: ir.DataType | None = None) -> Curve:
        """The function x, in float64 or in an element type."""
        key = (grid.x.tobytes(), "" if kind is None else kind.name)
        if key not in self._starts:
            values = grid.x if kind is None else _rounded(grid.x, kind)
            self._starts[key] = Curve(-1 - len(self._starts), grid, values, kind is not None)
        return self._starts[key]

    def _evaluate(self, start: Curve, node: ir.Node, operands: Sequence[Curve | float | None]) -> Curve | None:
        """What the node makes of its operands; None where it cannot be evaluated."""
        attributes = tuple(f"{a.name}={a.value}" for a in node.attributes.values())
        key = (start.index, node.op_type, attributes, *((o.index,) if isinstance(o, Curve) else o for o in operands))
        if key not in self._known and len(self._known) < _MAX_EVALUATIONS:
            values = _compute(start, node, operands)
            self._known[key] = None if values is None else Curve(len(self._known) + 1, start.grid, values, start.own)
        return self._known.get(key)


def goes_on(value: ir.Value) -> bool:
    """True where what alone reads the value may be the end of the same activation: `Min(Relu(x), 6)`."""
    readers = consumers(value)
    return len(readers) == 1 and readers[0].op_type in _ENDS and not value.is_graph_output()


def _closed(region: Region, known: Container[ir.Value]) -> Iterator[ir.Node]:
    """The nodes, as far as their values are known, that everything in the region goes through."""
    done: set[ir.Node] = set()
    before: dict[ir.Value, None] = {region.start: None}
    for node in region:
        last = node.outputs[0]
        if last not in known:
            break
        done.add(node)
        before[last] = None
        if node.op_type not in HANDING_ON and _is_closed(region.start, last, before, done, region):
            yield node


def _number(operand: Operand) -> float | None:
    assert not isinstance(operand, ir.Value | Slopes)
    return operand


def _is_closed(
    start: ir.Value,
    last: ir.Value,
    values: Iterable[ir.Value],
    done: Container[ir.Node],
    region: Container[ir.Node],
) -> bool:
    """True where everything in the region that is not computed yet is computed from `last` alone.

    What reads `start` outside of the region reads the linear value, and that is another matter.
    """
    for value in values:
        if value is last:
            continue
        waiting = [n for n in consumers(value) if n not in done]
        if any(n in region for n in waiting) if value is start else waiting or value.is_graph_output():
            return False
    return True


def _finfo(kind: np.dtype[Any]) -> tuple[float, float]:
    """Largest number, and the distance from 1 to the next."""
    found = ml_dtypes.finfo(kind)  # type: ignore[no-untyped-call]  # knows bfloat16 beside what NumPy knows
    return float(found.max), float(found.eps)


def _rounded(x: Array, kind: ir.DataType) -> Array:
    """In an element type, the largest numbers of which stand for those that it cannot hold."""
    most = _finfo(kind.numpy())[0]
    return np.clip(x, -most, most).astype(kind.numpy())


def _agree(curve: Curve, own: Curve, room: float) -> bool:
    """Equal but for some steps of rounding, `room` of 1, where numbers of a network usually are."""
    seen = curve.grid.middle & curve.grid.apart(room)
    expected, found = curve.values[seen], own.values[seen].astype(np.float64)
    return bool((np.abs(found - expected) <= room * (1 + np.abs(expected))).all())


def _bounds(clips: tuple[float, float], own: Array) -> tuple[float, float]:
    """The bounds of what clips, as its own element type has them."""
    ends = [
        own_end if np.isfinite([clip, own_end]).all() else clip
        for clip, own_end in zip(clips, own[[0, -1]].astype(float), strict=True)
    ]
    return float(ends[0]), float(ends[1])


def _compute(start: Curve, node: ir.Node, operands: Sequence[Curve | float | None]) -> Array | None:
    read = [o.values for o in operands if isinstance(o, Curve)]
    kind = next((a.dtype for a in read if a.dtype != np.bool_), start.values.dtype)
    arrays = [o.values if isinstance(o, Curve) else None if o is None else np.array(o, kind) for o in operands]
    with np.errstate(all="ignore"):
        if node.op_type in MOVING:
            results: list[Array] | None = read
        elif node.op_type in ROUNDING:
            low, high = (o for o in operands if isinstance(o, float))
            results = [np.clip(read[0], low, high)]
        else:
            results = _cast(node, read, own=start.own) if node.op_type == "Cast" else run_node(node, arrays)
    real = results and results[0].dtype.kind not in "iu" and is_of_numbers(results[0])
    return results[0] if results and real and results[0].shape == start.values.shape else None


def _cast(node: ir.Node, read: Sequence[Array], *, own: bool) -> list[Array] | None:
    """Between truth values and reals; the reference implementation has no type of its own for some of them."""
    to = node.attributes["to"].value if "to" in node.attributes else None
    if not read or to not in (*_FLOATS, ir.DataType.BOOL):
        return None
    wide = np.dtype(np.float64) if to != ir.DataType.BOOL and not own else ir.DataType(to).numpy()
    return [read[0].astype(wide)]
