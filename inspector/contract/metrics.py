"""What an analysis publishes for programs: numbers by name, layer and channel. Tables are for people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inspector.contract.model import Array
from inspector.errors import PluginError


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """A metric that an analysis declares, so that a policy can be checked before anything runs.

    Attributes:
        name: lower-case letters, digits and underscores; unique in its analysis.
        about: what it is, with its range.
        unit: unit of its numbers; empty: none.
        per_channel: True where there is one number per channel, False where there is one per layer.
    """

    name: str
    about: str
    unit: str = ""
    per_channel: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """Numbers of one layer: one for all of it, or one for every channel.

    Attributes:
        name: a metric that the analysis declares in `metrics`.
        values: () or (C,); whole numbers as int64, others as float64; NaN: there is no such number.
        layer: the layer it is about; empty for the whole model.
        tap: which tap of the layer (`conv`, `norm`, `act`); empty where it is about the weights.
    """

    name: str
    values: Array
    layer: str = ""
    tap: str = ""

    def __post_init__(self) -> None:
        """Brings the values to one of the two element types; a plain number will do."""
        values = np.asarray(self.values)
        if values.ndim > 1 or values.dtype.kind not in "biuf":
            raise PluginError(
                f"metric {self.name!r}",
                "its values cannot be published",
                expected="one number, or one per channel",
                found=f"{values.dtype} of shape {values.shape}",
            )
        whole = values.dtype.kind != "f"
        object.__setattr__(self, "values", values.astype(np.int64 if whole else np.float64))

    @property
    def where(self) -> str:
        """`layer:tap`, `layer`, or empty for the whole model."""
        return f"{self.layer}:{self.tap}" if self.tap else self.layer
