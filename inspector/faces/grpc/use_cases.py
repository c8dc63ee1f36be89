"""What the servicer needs of the layer below: the functions of `inspector.service`, or a stand-in for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from inspector.analysis.registry import PluginInfo
from inspector.contract import Array, ModelView
from inspector.control import Stop, Watcher
from inspector.faces.wire_request import Fidelity
from inspector.graph.data_files import DataFile
from inspector.report import Report
from inspector.runtime.data import Raw


class ServedView(ModelView, Protocol):
    """A model, and the files beside its own that its numbers came from, as they were then."""

    @property
    def data_files(self) -> tuple[DataFile, ...]:
        """None for a model in one file."""


V = TypeVar("V", bound=ServedView)
Inputs = Path | str | Iterable[Raw]


class UseCases(Protocol[V]):
    """The use cases, on models of a kind that they load themselves; `inspector.service` has them all.

    All raise InspectorError.
    """

    def load(self, source: Path | bytes, *, name: str = "") -> V:
        """A model's file, or its bytes, as facts. Messages name the model and no folder."""

    def vet(
        self, source: Path | bytes, *, name: str = "", seconds: float = ..., memory: int = ..., stop: Stop | None = None
    ) -> object:
        """Tries in a child process, within these limits, whether the model can be loaded; raises where not."""

    def plugins(self) -> tuple[PluginInfo, ...]:
        """All installed plugins, the broken ones too."""

    def inspect(
        self,
        model: V,
        inputs: Inputs | None = None,
        analyses: Sequence[str] = (),
        *,
        preprocess: str = "",
        device: str = "auto",
        fidelity: Fidelity = "exact",
        memory: int | None = None,
        self_check: bool = True,
        watch: Watcher | None = None,
        stop: Stop | None = None,
    ) -> Report:
        """A few inputs, looked at closely."""

    def audit(
        self,
        model: V,
        data: Inputs,
        analyses: Sequence[str] = (),
        *,
        preprocess: str = "",
        device: str = "auto",
        fidelity: Fidelity = "fast",
        batch_size: int = 0,
        strict: bool = False,
        memory: int | None = None,
        self_check: bool = True,
        shard_size: int = 0,
        part: str = "",
        summaries: str | Path = "",
        watch: Watcher | None = None,
        stop: Stop | None = None,
    ) -> Report:
        """A data set, added up in one pass."""

    def merge(
        self, model: V, files: Sequence[Path], *, summaries: str | Path = "", largest: int = 0, stop: Stop | None = None
    ) -> Report:
        """Files of summaries, added up."""

    def activations(
        self,
        model: V,
        inputs: Inputs,
        taps: Sequence[str] = ("*",),
        *,
        preprocess: str = "",
        device: str = "auto",
        fidelity: Fidelity = "exact",
        memory: int | None = None,
        stop: Stop | None = None,
    ) -> Mapping[str, Array]:
        """Raw maps by tap name, batch axis first."""
