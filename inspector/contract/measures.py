"""What an analysis can ask the graph to compute: expressions as plain values, so that equal requests are equal.

Nothing is computed here. `inspector.graph.rewriting.ops` writes a `Value` into a model as ONNX nodes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from inspector.errors import PluginError

Form = Literal["maps", "mask", "rows"]
"""`maps`: numbers (N, C, *space); `mask`: truth values of that shape; `rows`: small results, batch axis first."""


@dataclass(frozen=True, slots=True)
class Value:
    """One in-graph expression. Built with `Ops`, compared by content, never by identity."""

    op: str
    form: Form
    inputs: tuple[Value, ...] = ()
    number: float | None = None


TAPPED = Value("tapped", "maps")
"""The watched tensor itself."""


class Ops:
    """The vocabulary of measures. The same words work for every opset, element type and number of spatial axes.

    Quantised maps are measured as the real numbers that they stand for; `keep` gives their integers.

    Numbers are computed as float32; float16 and bfloat16 maps are widened first (exact), float64 maps stay float64.
    """

    def abs(self, x: Value) -> Value:
        """|x|, elementwise: maps -> maps."""
        return Value("abs", "maps", (_form(x, "maps"),))

    def greater(self, x: Value, number: float) -> Value:
        """X > number, elementwise: maps -> mask. NaN is not greater than anything."""
        return Value("greater", "mask", (_form(x, "maps"),), _finite(number))

    def less(self, x: Value, number: float) -> Value:
        """X < number, elementwise: maps -> mask. NaN is not less than anything."""
        return Value("less", "mask", (_form(x, "maps"),), _finite(number))

    def count(self, mask: Value) -> Value:
        """True positions of every map: mask -> rows (N, C) int64, exact for maps of any size.

        Of maps that hold a NaN the count may be anything: look at `mean` as well, which is not finite then. Positive
        numbers below 2.95e-39 may or may not be counted as greater than 0.
        """
        return Value("count", "rows", (_form(mask, "mask"),))

    def max(self, x: Value) -> Value:
        """Largest element of every map: maps -> rows (N, C)."""
        return Value("max", "rows", (_form(x, "maps"),))

    def min(self, x: Value) -> Value:
        """Smallest element of every map: maps -> rows (N, C)."""
        return Value("min", "rows", (_form(x, "maps"),))

    def mean(self, x: Value) -> Value:
        """Mean of every map: maps -> rows (N, C). Not finite where the map holds NaN or Inf."""
        return Value("mean", "rows", (_form(x, "maps"),))

    def positions(self, x: Value) -> Value:
        """Elements in one map: maps -> rows (N, 1) int64."""
        return Value("positions", "rows", (_form(x, "maps"),))

    def keep(self, x: Value) -> Value:
        """The whole maps as rows (N, C, *space). Only for a few inputs; an audit refuses it."""
        return Value("keep", "rows", (_form(x, "maps"),))


def keeps_maps(value: Value) -> bool:
    """True where a value brings whole maps out of the graph."""
    return value.op == "keep"


def _form(x: Value, form: Form) -> Value:
    if x.form != form:
        raise PluginError(
            f"measure on {x.op!r}",
            "it cannot be applied here",
            expected=form,
            found=x.form,
            remedy="Rows are final: reduce maps or masks, once.",
        )
    return x


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise PluginError("threshold", "it must be a finite number", found=str(number))
    return float(number)
