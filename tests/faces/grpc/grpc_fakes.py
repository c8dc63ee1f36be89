"""A stand-in for the use cases, whose analyses are orders: what to answer, what to raise, when to wait."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from inspector import errors
from inspector.analysis.registry import PluginInfo
from inspector.contract import (
    Column,
    Curve,
    Edge,
    Finding,
    Graph,
    Heatmap,
    Images,
    Layer,
    Node,
    Note,
    Picture,
    Scale,
    ScaleKind,
    Series,
    Severity,
    Table,
    Tap,
    TapKind,
    TensorInfo,
    Zeros,
)
from inspector.control import Progress
from inspector.graph.data_files import DataFile
from inspector.report import AnalysisResult, Failure, Provenance, Report, Skipped

MODEL = b"a model with 3 layers"
SIGNED = Scale(ScaleKind.SIGNED, -1.0, 1.0, "weight")


def layer(index: int, name: str) -> Layer:
    taps = {
        TapKind.CONV: Tap(name, TapKind.CONV, f"{name}.out", 4),
        TapKind.ACT: Tap(name, TapKind.ACT, f"{name}.relu", 4, "Relu", Zeros.EXACT, shared=True),
    }
    return Layer(
        name, index, "Conv", (4, 3, 3, 3), 1, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), "NOTSET", 3, 4, 112, taps, "Relu"
    )


@dataclass(frozen=True)
class FakeView:
    name: str
    sha256: str
    layers: tuple[Layer, ...]
    facts: dict[str, str] = field(default_factory=lambda: {"producer": "nobody", "opset": "21"})
    inputs: tuple[TensorInfo, ...] = (TensorInfo("x", "float32", ("N", 3, None, 8)),)
    outputs: tuple[TensorInfo, ...] = (TensorInfo("y", "float32", None),)
    data_files: tuple[DataFile, ...] = ()

    def layer(self, name: str) -> Layer:
        for found in self.layers:
            if found.name == name:
                return found
        raise errors.NotFoundError.among("layer", name, [la.name for la in self.layers])


BLOCKS = (
    Table("t", (Column("a", "about", "%"), Column("b")), (("x", 1), (None, float("nan")), (True, 2**63 - 1)), "c"),
    Heatmap("h", np.array([[0.5, np.nan], [np.inf, -1.0]], np.float32), SIGNED, "r", "c", ("1", "2"), ("3", "4")),
    Images("i", (Picture(np.zeros((2, 3), np.float32), "p", "silent"),), 2, SIGNED),
    Graph("g", (Node("a"), Node("b", "B", "x")), (Edge("a", "b", 0.5, "e"),)),
    Curve("c", "x", "y", (Series("s", (0.0, 1.0), (float("-inf"), 2.0)),)),
    Note("text", "title"),
)
FINDINGS = (Finding("fake/rule", Severity.WARNING, "Look.", "conv1", (1, 2), {"n": 3, "p": 0.5}, "Do."),)


def megabytes(count: int) -> Heatmap:
    """A block of so many MB, no two of its values alike."""
    return Heatmap("big", np.arange(count * 250_000, dtype=np.float32).reshape(count, -1), SIGNED)


@dataclass
class FakeUseCases:
    """`calls` holds the options of every run; `going` and `ended` tell of a run that waits."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    fed: list[Any] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    going: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def load(self, source: Path | bytes, *, name: str = "") -> FakeView:
        self.loads.append(name)
        source = source if isinstance(source, bytes) else source.read_bytes()
        if not source.startswith(b"a model"):
            raise errors.ModelError(f"model {name!r}", "this is no model", found=repr(source[:10]))
        if b"bug" in source:
            raise ZeroDivisionError("secret")
        names = ("conv1", "block/conv 2", "größe%2F[0]")
        return FakeView(name, hashlib.sha256(source).hexdigest(), tuple(layer(i, n) for i, n in enumerate(names)))

    def vet(
        self, source: Path | bytes, *, name: str = "", seconds: float = 0, memory: int = 0, stop: Any = None
    ) -> None:
        self.checks.append(name)
        if b"hangs" in (source if isinstance(source, bytes) else source.read_bytes()):
            raise errors.LimitError(f"model {name!r}", "it takes too long", expected=f"{seconds} s, {memory} bytes")

    def plugins(self) -> tuple[PluginInfo, ...]:
        fine = PluginInfo("fake", "1", "measured", "Does nothing.", "fakes", '{"type": "object"}')
        return fine, PluginInfo("torn", distribution="torn-plugin", failure="ImportError: no such thing")

    def inspect(
        self, model: FakeView, inputs: Any = None, analyses: Any = (), *, watch: Any, stop: Any, **options: Any
    ):
        self.calls.append(options | {"analyses": analyses})
        self.fed = list(inputs or [])
        results = tuple(self.result(order, watch, stop) for order in analyses)
        provenance = Provenance(
            model.name, model.sha256, inputs=len(self.fed), notes=("n",), versions={"b": "1", "a": "2"}
        )
        return Report(provenance, results, (Skipped("bad\udce9.jpg", "broken"),), 3)

    def audit(self, model: FakeView, data: Path | Iterable[Any], analyses: Any = (), **options: Any) -> Report:
        if isinstance(data, Path):
            if not data.is_dir():
                raise errors.InputError(f"folder {data}", "it is no folder")
            provenance = Provenance(model.name, model.sha256, data=f"folder {data} (2 pictures)")
            return Report(provenance, ())
        return self.inspect(model, self.watched(data, options), analyses, **options)

    @staticmethod
    def watched(data: Iterable[Any], options: dict[str, Any]) -> Iterable[Any]:
        for count, raw in enumerate(data, 1):
            options["stop"].check()
            options["watch"](Progress("run", count, None))
            yield raw

    def activations(self, model: FakeView, inputs: Any, taps: Any = ("*",), *, stop: Any, **options: Any):
        self.calls.append(options | {"taps": taps})
        self.fed = list(inputs)
        return {
            "conv1:act": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
            "conv1:conv": np.arange(1_500_000, dtype=np.float16).reshape(2, 3, -1),
            "none:conv": np.zeros((0, 4), np.int64),
        }

    def result(self, order: str, watch: Any, stop: Any) -> AnalysisResult:
        word, _, rest = order.partition(":")
        match word:
            case "blocks":
                return AnalysisResult("blocks", "1", "{}", BLOCKS, FINDINGS)
            case "megabytes":
                return AnalysisResult("megabytes", "1", "{}", tuple(megabytes(int(n)) for n in rest.split(",")))
            case "inapplicable":
                return AnalysisResult(
                    "inapplicable", "1", "{}", failure=Failure("INAPPLICABLE", "Not here.", "Go away.")
                )
            case "raise":
                raise getattr(errors, rest)("it", "is bad", expected="good", found="bad", remedy="Better it.")
            case "crash":
                raise ZeroDivisionError("secret")
            case "wait":
                self.wait(watch, stop)
                return AnalysisResult("wait", "1", "{}")
            case _:
                raise errors.NotFoundError.among("analysis", order, ["blocks"])

    def wait(self, watch: Any, stop: Any) -> None:
        """Goes on until told to, or stopped."""
        watch(Progress("wait", 0, 1))
        self.going.set()
        try:
            while not self.go_on.wait(0.01):
                stop.check()
        finally:
            self.ended.set()


def details(error: grpc.RpcError) -> dict[str, object]:
    """The details of an error by the name of their kind."""
    found = {}
    for detail in rpc_status.from_call(error).details:
        kind = getattr(error_details_pb2, detail.TypeName().rpartition(".")[2])
        found[kind.__name__] = kind.FromString(detail.value)
    return found
