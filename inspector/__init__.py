"""Looks inside any ONNX CNN. These are the public names; plugins import nothing else."""

from typing import TYPE_CHECKING, Any

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
from inspector.errors import Inapplicable, InspectorError, ParameterError
from inspector.report import Report
from inspector.service import activations, audit, check, compare, inspect, load, merge, plugins, vet

if TYPE_CHECKING:
    from inspector.faces.grpc.client import Client


def __getattr__(name: str) -> Any:
    """`Client` on first use: whoever does not talk to a server need not load gRPC."""
    if name != "Client":
        raise AttributeError(f"module 'inspector' has no attribute {name!r}")
    from inspector.faces.grpc.client import Client  # noqa: PLC0415 - that is the point

    return Client


__all__ = [
    "Analysis",
    "Any_",
    "Array",
    "BatchInfo",
    "Block",
    "ByLabel",
    "Cell",
    "Client",
    "Column",
    "Curve",
    "Earliest",
    "Edge",
    "Explored",
    "Filters",
    "Finding",
    "First",
    "Graph",
    "Heatmap",
    "Histogram",
    "Images",
    "Inapplicable",
    "InspectorError",
    "Lab",
    "Layer",
    "Max",
    "Measured",
    "Metric",
    "MetricInfo",
    "Min",
    "ModelView",
    "Moments",
    "Node",
    "Note",
    "Ops",
    "ParameterError",
    "Picture",
    "Report",
    "Same",
    "Scale",
    "ScaleKind",
    "Series",
    "Severity",
    "Sum",
    "Summary",
    "Table",
    "Tap",
    "TapKind",
    "TensorInfo",
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
    "vet",
]
