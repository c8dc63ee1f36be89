"""Looks inside any ONNX CNN. These are the public names; plugins import nothing else.

Begin with `load`, `inspect`, `audit` and `activations`; with a server, `Client` has the same verbs. What goes wrong on
purpose is an `InspectorError`. A class that answers a question of your own is an `Analysis`.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from inspector.analysis.registry import AnalysisRequest, PluginInfo, plugins
from inspector.analysis.summaries import ByLabel, Earliest, First, Histogram, Moments
from inspector.contract import (
    Analysis,
    Any_,
    Array,
    BatchInfo,
    Block,
    Cell,
    Column,
    Curve,
    Edge,
    Explored,
    Filters,
    Finding,
    Graph,
    Heatmap,
    Images,
    Lab,
    Layer,
    Max,
    Measured,
    Metric,
    MetricInfo,
    Min,
    ModelView,
    Node,
    Note,
    Ops,
    Picture,
    Same,
    Scale,
    ScaleKind,
    Series,
    Severity,
    Sum,
    Summary,
    Table,
    Tap,
    TapKind,
    TensorInfo,
    Value,
    Zeros,
)
from inspector.control import Progress, Stop
from inspector.errors import (
    Inapplicable,
    InputError,
    InspectorError,
    LimitError,
    ModelError,
    NotFoundError,
    OutputError,
    ParameterError,
    PluginError,
    ProviderError,
    RunError,
    StoppedError,
    SummaryError,
)
from inspector.graph.loading.limits import Limits
from inspector.report import AnalysisResult, Provenance, Report
from inspector.runtime.items import Raw
from inspector.verdicts import check, compare

if TYPE_CHECKING:
    from inspector.faces.files import read_report, write_report
    from inspector.faces.grpc.client import Client
    from inspector.faces.grpc.errors import BusyError, ExistsError, InternalError, NotAllowedError, UnreachableError
    from inspector.faces.wire_model import ModelInfo
    from inspector.service import activations, audit, inspect, load, merge, vet
    from inspector.trial import Trial

    __version__: str

_LATE = {
    **dict.fromkeys(("read_report", "write_report"), "inspector.faces.files"),
    "Client": "inspector.faces.grpc.client",
    **dict.fromkeys(
        ("BusyError", "ExistsError", "InternalError", "NotAllowedError", "UnreachableError"),
        "inspector.faces.grpc.errors",
    ),
    "ModelInfo": "inspector.faces.wire_model",
    **dict.fromkeys(("activations", "audit", "inspect", "load", "merge", "vet"), "inspector.service"),
    "Trial": "inspector.trial",
}
"""Names that are loaded on first use, and where from: whoever loads no model need not wait for all that reads ONNX,
and whoever does not talk to a server need not load gRPC."""


def __getattr__(name: str) -> Any:
    """A name that is loaded on first use. The version is that of the installed package; a bare checkout has none."""
    if name == "__version__":
        return version("onnx-inspector")
    if name not in _LATE:
        raise AttributeError(f"module 'inspector' has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, "__version__"]


__all__ = [
    "Analysis",
    "AnalysisRequest",
    "AnalysisResult",
    "Any_",
    "Array",
    "BatchInfo",
    "Block",
    "BusyError",
    "ByLabel",
    "Cell",
    "Client",
    "Column",
    "Curve",
    "Earliest",
    "Edge",
    "ExistsError",
    "Explored",
    "Filters",
    "Finding",
    "First",
    "Graph",
    "Heatmap",
    "Histogram",
    "Images",
    "Inapplicable",
    "InputError",
    "InspectorError",
    "InternalError",
    "Lab",
    "Layer",
    "LimitError",
    "Limits",
    "Max",
    "Measured",
    "Metric",
    "MetricInfo",
    "Min",
    "ModelError",
    "ModelInfo",
    "ModelView",
    "Moments",
    "Node",
    "NotAllowedError",
    "NotFoundError",
    "Note",
    "Ops",
    "OutputError",
    "ParameterError",
    "Picture",
    "PluginError",
    "PluginInfo",
    "Progress",
    "Provenance",
    "ProviderError",
    "Raw",
    "Report",
    "RunError",
    "Same",
    "Scale",
    "ScaleKind",
    "Series",
    "Severity",
    "Stop",
    "StoppedError",
    "Sum",
    "Summary",
    "SummaryError",
    "Table",
    "Tap",
    "TapKind",
    "TensorInfo",
    "Trial",
    "UnreachableError",
    "Value",
    "Zeros",
    "activations",
    "audit",
    "check",
    "compare",
    "inspect",
    "load",
    "merge",
    "plugins",
    "read_report",
    "vet",
    "write_report",
]
