"""Activations written in several nodes, recognised by what they compute.

Elementwise nodes between one value and one other, with nothing but numbers beside, are a function of one number. It is
evaluated on a grid with the ONNX reference implementation and compared with the closed forms of known activations: so
an activation has its name whatever operators, constants and order an exporter chose. The grid gets points beside every
threshold that the nodes apply. Once more evaluated in the model's own element type, it must say the same: there the
bounds of what clips are read, and adding and taking away a large number rounds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final

import ml_dtypes
import numpy as np
import onnx_ir as ir

from inspector.contract import Array, Zeros
from inspector.graph.activations import closed_forms
from inspector.graph.activations.grids import BASE, Grid, deciding, refined
from inspector.graph.activations.operators import Activation, clip_name, meaning
from inspector.graph.constants import STANDARD, Constants, run_node
from inspector.graph.layout import Layout
from inspector.graph.quantized import rounding

_ELEMENTWISE: Final = frozenset(
    {
        "Abs",
        "Add",
        "And",
        "Cast",
        "Clip",
        "Div",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "Identity",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "Pow",
        "Reciprocal",
        "Relu",
        "Sigmoid",
        "Sign",
        "Softplus",
        "Sqrt",
        "Sub",
        "Sum",
        "Tanh",
        "ThresholdedRelu",
        "Where",
    }
)
_ROUNDING: Final = frozenset({"QuantizeLinear", "DequantizeLinear"})
"""Within an activation they leave numbers what they are: quantisers round what each of its nodes gives."""
_FLOATS: Final = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)
_ENDS: Final = frozenset({"Min", "Max", "Mul", "Div", "Log"})
"""Operators that some exporters put last: the bound of ReLU6, the factor of SELU, the logarithm of log sigmoid."""
_METADATA: Final = frozenset({"Shape", "Size"})
"""They read how large a value is, and nothing of what it holds."""
_MAX_NODES: Final = 24
"""Nodes a decomposed activation can have; the longest known, Mish with a guarded Softplus, has 12."""
_MAX_READERS: Final = 32
"""Nodes that read one value of it; GELU by tanh has four."""
_MAX_OPERANDS: Final = 16
"""Operands of one node; more are only met where a Max or Sum joins what is no activation."""
_MAX_REFINEMENTS: Final = 8
"""Each at least halves how far a threshold is from the points beside it; behind affine operands one is enough."""
_OWN_STEPS: Final = 64
"""Rounding steps that the arithmetic may be away from what it means, in the model's own element type."""
_MAX_EVALUATIONS: Final = 8192
"""Different nodes that are evaluated for one model, some seconds' work; what exporters write has a few dozen."""
_MAX_NUMBERS: Final = 1 << 16
"""Elements of a constant that may be one number all over."""


def consumers(value: ir.Value) -> list[ir.Node]:
    """The nodes that read what the value holds, each once."""
    readers = [use.node for use in value.uses() if use.node.op_type not in _METADATA]
    return readers if len(readers) < 2 else list(dict.fromkeys(readers))


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


Region = Mapping[ir.Node, Sequence[ir.Value | float | None]]


@dataclass(slots=True)
class _Evaluated:
    """The values of a region as curves, as far as they can be evaluated, in order."""

    curves: dict[ir.Value, Curve]
    places: list[Array] = field(default_factory=list)


class Curves:
    """The decomposed activations of one model. Equal arithmetic is evaluated once."""

    def __init__(self, constants: Constants) -> None:
        self.constants = constants
        self._known: dict[tuple[object, ...], Curve | None] = {}
        self._starts: dict[tuple[bytes, str], Curve] = {}

    def region(self, value: ir.Value, channels: int, layout: Layout) -> dict[ir.Node, list[ir.Value | float | None]]:
        """Nodes that compute from `value` and numbers alone: in order, with their operands."""
        nodes: dict[ir.Node, list[ir.Value | float | None]] = {}
        home = value.producer()
        graph = None if home is None else home.graph
        inside = {value: None}
        queue = deque([value])
        while queue and len(nodes) < _MAX_NODES:
            for node in consumers(queue.popleft())[:_MAX_READERS]:
                elsewhere = node in nodes or node.graph is not graph
                rounds = node.op_type in _ROUNDING and value not in node.inputs
                exact = partial(self._operands, start=value, channels=channels, layout=layout)
                operands = None if elsewhere else (self._rounded if rounds else exact)(node, inside)
                if operands is not None:
                    nodes[node] = operands
                    inside[node.outputs[0]] = None
                    queue.append(node.outputs[0])
        return nodes

    def activation(self, value: ir.Value, region: Region) -> Activation | None:
        """The first activation that everything in the region of `value` goes through."""
        found: Activation | None = None
        curves = self._curves(value, region)
        done: set[ir.Node] = set()
        before: dict[ir.Value, None] = {value: None}
        for node in region:
            last = node.outputs[0]
            if last not in curves:
                break
            done.add(node)
            before[last] = None
            if node.op_type in _ROUNDING or not _is_closed(value, last, before, done, region):
                continue
            form = curves[last].form
            clamped = node.op_type in ("Min", "Max")  # a factor or a logarithm could make a bound out of a bound
            if form and (found is None or clamped or form.name in closed_forms.FIXED):
                found = self._confirmed(form, curves[last], value, last, region) or found
            if found and not goes_on(last):
                break
        return found

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
        for node, operands in region.items():
            read = [found.curves[o] if isinstance(o, ir.Value) else o for o in operands]
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
            return Activation(last, form.name, curve.zeros)
        step = max(_finfo(c.values.dtype)[1] for c in curves.values() if c.values.dtype != np.bool_)
        if not _agree(curve, own, _OWN_STEPS * step):
            return None
        name = form.name if form.clips is None else clip_name(*_bounds(form.clips, own.values))
        return Activation(last, name, curve.zeros)

    def _start(self, grid: Grid, kind: ir.DataType | None = None) -> Curve:
        """The function x, in float64 or in an element type."""
        key = (grid.x.tobytes(), "" if kind is None else kind.name)
        if key not in self._starts:
            values = grid.x if kind is None else _rounded(grid.x, kind)
            self._starts[key] = Curve(-1 - len(self._starts), grid, values, kind is not None)
        return self._starts[key]

    def _rounded(self, node: ir.Node, inside: Container[ir.Value]) -> list[ir.Value | float | None] | None:
        """What is rounded to integers or made real again, and the bounds of that; None for anything else."""
        bounds = rounding(node, self.constants) if node.inputs[0] in inside else None
        return None if bounds is None else [node.inputs[0], *bounds]

    def _operands(
        self, node: ir.Node, inside: Container[ir.Value], start: ir.Value, channels: int, layout: Layout
    ) -> list[ir.Value | float | None] | None:
        """What the node computes with: values of the region, and numbers. None where there is anything else."""
        if node.op_type not in _ELEMENTWISE or node.domain not in STANDARD or len(node.outputs) != 1:
            return None
        if len(node.inputs) > _MAX_OPERANDS:
            return None
        operands: list[ir.Value | float | None] = []
        for value in node.inputs:
            number = None if value is None or value in inside else self._number(value, start, channels, layout)
            if value is not None and value not in inside and number is None:
                return None
            operands.append(value if number is None else number)
        return operands

    def _number(self, value: ir.Value, start: ir.Value, channels: int, layout: Layout) -> float | None:
        """A constant that is one number, and leaves the shape of what it meets as it is."""
        array = self.constants(self._spread(value, start) or value)
        if array is None or not 0 < array.size <= _MAX_NUMBERS or not _is_of_numbers(array):
            return None
        if not layout.is_per_channel(array, channels):
            return None
        return float(array.flat[0]) if (array == array.flat[0]).all() else None

    def _spread(self, value: ir.Value, start: ir.Value) -> ir.Value | None:
        """The constant that is expanded to the shape of `start`, as JAX writes a number beside an array."""
        maker = value.producer()
        if maker is None or maker.op_type != "Expand" or maker.domain not in STANDARD:
            return None
        array = self.constants(maker.inputs[0]) if _are_alike(value.shape, start.shape) else None
        return maker.inputs[0] if array is not None and array.size == 1 else None

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


def _are_alike(one: ir.Shape | None, other: ir.Shape | None) -> bool:
    """True where both are known to be the same; sizes without a number are so by name."""
    if one is None or other is None or one != other:
        return False
    return all(isinstance(size, int) or size.value is not None for size in one)


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


def _is_of_numbers(array: Array) -> bool:
    return array.dtype.kind in "fiub" or array.dtype == ml_dtypes.bfloat16


def _compute(start: Curve, node: ir.Node, operands: Sequence[Curve | float | None]) -> Array | None:
    read = [o.values for o in operands if isinstance(o, Curve)]
    kind = next((a.dtype for a in read if a.dtype != np.bool_), start.values.dtype)
    arrays = [o.values if isinstance(o, Curve) else None if o is None else np.array(o, kind) for o in operands]
    with np.errstate(all="ignore"):
        if node.op_type in _ROUNDING:
            low, high = (o for o in operands if isinstance(o, float))
            results: list[Array] | None = [np.clip(read[0], low, high)]
        else:
            results = _cast(node, read, own=start.own) if node.op_type == "Cast" else run_node(node, arrays)
    real = results and results[0].dtype.kind not in "iu" and _is_of_numbers(results[0])
    return results[0] if results and real and results[0].shape == start.values.shape else None


def _cast(node: ir.Node, read: Sequence[Array], *, own: bool) -> list[Array] | None:
    """Between truth values and reals; the reference implementation has no type of its own for some of them."""
    to = node.attributes["to"].value if "to" in node.attributes else None
    if not read or to not in (*_FLOATS, ir.DataType.BOOL):
        return None
    wide = np.dtype(np.float64) if to != ir.DataType.BOOL and not own else ir.DataType(to).numpy()
    return [read[0].astype(wide)]
