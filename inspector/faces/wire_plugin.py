"""Plugins as messages, and back."""

from __future__ import annotations

from typing import Final

from inspector._proto.inspector.v1 import plugin_pb2
from inspector.analysis.registry import PluginInfo
from inspector.faces.wire_metric import metric_info_from_message, metric_info_to_message
from inspector.faces.wire_names import plugin_name
from inspector.faces.wire_tensor import utf8

KINDS: Final = {
    "static": plugin_pb2.Plugin.KIND_STATIC,
    "measured": plugin_pb2.Plugin.KIND_MEASURED,
    "explored": plugin_pb2.Plugin.KIND_EXPLORED,
}


def plugin_to_message(info: PluginInfo) -> plugin_pb2.Plugin:
    """A plugin's description as a message."""
    return plugin_pb2.Plugin(
        name=plugin_name(info.name),
        title=utf8(info.name),
        version=utf8(info.version),
        kind=KINDS.get(info.kind, plugin_pb2.Plugin.KIND_UNSPECIFIED),
        about=utf8(info.about),
        distribution=utf8(info.distribution),
        params_schema=utf8(info.params_schema),
        state=plugin_pb2.Plugin.STATE_FAILED if info.failure else plugin_pb2.Plugin.STATE_READY,
        failure=utf8(info.failure),
        metrics=[metric_info_to_message(metric) for metric in info.metrics],
        rules=map(utf8, info.rules),
    )


def plugin_from_message(message: plugin_pb2.Plugin) -> PluginInfo:
    """A plugin's description from a message; an unknown kind is empty, as for a plugin that failed."""
    return PluginInfo(
        name=message.title,
        version=message.version,
        kind=next((word for word, number in KINDS.items() if number == message.kind), ""),
        about=message.about,
        distribution=message.distribution,
        params_schema=message.params_schema,
        failure=message.failure,
        metrics=tuple(metric_info_from_message(metric) for metric in message.metrics),
        rules=tuple(message.rules),
    )
