"""The use cases: everything a face may call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal

from inspector.contract import Array, ModelView
from inspector.control import Stop, Watcher
from inspector.report import Report

Fidelity = Literal["fast", "exact"]
Device = str


def load(source: str | PathLike[str] | bytes, *, name: str = "") -> ModelView:
    """An ONNX file, or its bytes, as facts."""
    raise NotImplementedError


def inspect(
    model: ModelView,
    inputs: Any = None,
    analyses: Sequence[str] = (),
    *,
    preprocess: str = "",
    device: Device = "auto",
    fidelity: Fidelity = "exact",
    watch: Watcher | None = None,
    stop: Stop | None = None,
) -> Report:
    """A few inputs, looked at closely."""
    raise NotImplementedError


def audit(
    model: ModelView,
    data: Any,
    analyses: Sequence[str] = ("sparsity",),
    *,
    preprocess: str = "",
    device: Device = "auto",
    fidelity: Fidelity = "fast",
    batch_size: int = 0,
    watch: Watcher | None = None,
    stop: Stop | None = None,
) -> Report:
    """A data set, added up in one pass."""
    raise NotImplementedError


def activations(
    model: ModelView,
    inputs: Any,
    taps: Sequence[str] = ("*",),
    *,
    preprocess: str = "",
    device: Device = "auto",
    fidelity: Fidelity = "exact",
    stop: Stop | None = None,
) -> Mapping[str, Array]:
    """Raw maps by tap name, batch axis first."""
    raise NotImplementedError
