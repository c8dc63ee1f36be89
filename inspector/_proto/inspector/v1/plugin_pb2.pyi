from inspector._proto.inspector.v1 import metric_pb2 as _metric_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Plugin(_message.Message):
    __slots__ = ("name", "title", "version", "kind", "about", "distribution", "params_schema", "state", "failure", "metrics", "rules")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Plugin.Kind]
        KIND_STATIC: _ClassVar[Plugin.Kind]
        KIND_MEASURED: _ClassVar[Plugin.Kind]
        KIND_EXPLORED: _ClassVar[Plugin.Kind]
    KIND_UNSPECIFIED: Plugin.Kind
    KIND_STATIC: Plugin.Kind
    KIND_MEASURED: Plugin.Kind
    KIND_EXPLORED: Plugin.Kind
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Plugin.State]
        STATE_READY: _ClassVar[Plugin.State]
        STATE_FAILED: _ClassVar[Plugin.State]
    STATE_UNSPECIFIED: Plugin.State
    STATE_READY: Plugin.State
    STATE_FAILED: Plugin.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    PARAMS_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: str
    version: str
    kind: Plugin.Kind
    about: str
    distribution: str
    params_schema: str
    state: Plugin.State
    failure: str
    metrics: _containers.RepeatedCompositeFieldContainer[_metric_pb2.MetricInfo]
    rules: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., version: _Optional[str] = ..., kind: _Optional[_Union[Plugin.Kind, str]] = ..., about: _Optional[str] = ..., distribution: _Optional[str] = ..., params_schema: _Optional[str] = ..., state: _Optional[_Union[Plugin.State, str]] = ..., failure: _Optional[str] = ..., metrics: _Optional[_Iterable[_Union[_metric_pb2.MetricInfo, _Mapping]]] = ..., rules: _Optional[_Iterable[str]] = ...) -> None: ...
