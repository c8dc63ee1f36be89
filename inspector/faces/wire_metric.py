"""Metrics as messages, and back."""

from __future__ import annotations

from typing import Final

from inspector._proto.inspector.v1 import metric_pb2
from inspector.contract import Metric, MetricInfo
from inspector.errors import InputError
from inspector.faces.wire_tensor import tensor_from_message, tensor_to_message, utf8

_TYPES: Final = ("int64", "float64")


def metric_to_message(metric: Metric) -> metric_pb2.Metric:
    """The numbers of one layer as a message."""
    return metric_pb2.Metric(
        name=utf8(metric.name),
        values=tensor_to_message(metric.values),
        layer=utf8(metric.layer),
        tap=utf8(metric.tap),
    )


def metric_from_message(message: metric_pb2.Metric) -> Metric:
    """The numbers of one layer from a message.

    Raises:
        InputError: they are neither one number nor one per channel, or of another element type.
    """
    subject = f"values of metric {message.name!r}"
    values = tensor_from_message(message.values, subject)
    if message.values.dtype not in _TYPES or values.ndim > 1:
        found = f"{message.values.dtype} of shape {values.shape}"
        raise InputError(subject, "wrong type or shape", expected="int64 or float64 of shape () or (C,)", found=found)
    return Metric(message.name, values, message.layer, message.tap)


def metric_info_to_message(info: MetricInfo) -> metric_pb2.MetricInfo:
    """A declared metric as a message."""
    return metric_pb2.MetricInfo(
        name=utf8(info.name), about=utf8(info.about), unit=utf8(info.unit), per_channel=info.per_channel
    )


def metric_info_from_message(message: metric_pb2.MetricInfo) -> MetricInfo:
    """A declared metric from a message."""
    return MetricInfo(message.name, message.about, message.unit, message.per_channel)
