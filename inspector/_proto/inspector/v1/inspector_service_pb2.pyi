from inspector._proto.inspector.v1 import input_pb2 as _input_pb2
from inspector._proto.inspector.v1 import model_pb2 as _model_pb2
from inspector._proto.inspector.v1 import plugin_pb2 as _plugin_pb2
from inspector._proto.inspector.v1 import run_event_pb2 as _run_event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Fidelity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIDELITY_UNSPECIFIED: _ClassVar[Fidelity]
    FIDELITY_FAST: _ClassVar[Fidelity]
    FIDELITY_EXACT: _ClassVar[Fidelity]
FIDELITY_UNSPECIFIED: Fidelity
FIDELITY_FAST: Fidelity
FIDELITY_EXACT: Fidelity

class ListModelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[_model_pb2.Model]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[_model_pb2.Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: _model_pb2.Model
    def __init__(self, model: _Optional[_Union[_model_pb2.Model, _Mapping]] = ...) -> None: ...

class ListLayersRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListLayersResponse(_message.Message):
    __slots__ = ("layers", "next_page_token")
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    layers: _containers.RepeatedCompositeFieldContainer[_model_pb2.Layer]
    next_page_token: str
    def __init__(self, layers: _Optional[_Iterable[_Union[_model_pb2.Layer, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetLayerRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetLayerResponse(_message.Message):
    __slots__ = ("layer",)
    LAYER_FIELD_NUMBER: _ClassVar[int]
    layer: _model_pb2.Layer
    def __init__(self, layer: _Optional[_Union[_model_pb2.Layer, _Mapping]] = ...) -> None: ...

class ListPluginsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPluginsResponse(_message.Message):
    __slots__ = ("plugins", "next_page_token")
    PLUGINS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    plugins: _containers.RepeatedCompositeFieldContainer[_plugin_pb2.Plugin]
    next_page_token: str
    def __init__(self, plugins: _Optional[_Iterable[_Union[_plugin_pb2.Plugin, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UploadModelRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: UploadModelHeader
    chunk: UploadModelChunk
    def __init__(self, header: _Optional[_Union[UploadModelHeader, _Mapping]] = ..., chunk: _Optional[_Union[UploadModelChunk, _Mapping]] = ...) -> None: ...

class UploadModelHeader(_message.Message):
    __slots__ = ("model_id", "size_bytes", "sha256", "overwrite")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    OVERWRITE_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    size_bytes: int
    sha256: str
    overwrite: bool
    def __init__(self, model_id: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., overwrite: _Optional[bool] = ...) -> None: ...

class UploadModelChunk(_message.Message):
    __slots__ = ("offset", "data")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    offset: int
    data: bytes
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class UploadModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: _model_pb2.Model
    def __init__(self, model: _Optional[_Union[_model_pb2.Model, _Mapping]] = ...) -> None: ...

class InspectRequest(_message.Message):
    __slots__ = ("model", "inputs", "analyses", "preprocess", "fidelity", "render_png", "memory_bytes", "skip_self_check")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    ANALYSES_FIELD_NUMBER: _ClassVar[int]
    PREPROCESS_FIELD_NUMBER: _ClassVar[int]
    FIDELITY_FIELD_NUMBER: _ClassVar[int]
    RENDER_PNG_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    SKIP_SELF_CHECK_FIELD_NUMBER: _ClassVar[int]
    model: str
    inputs: _containers.RepeatedCompositeFieldContainer[_input_pb2.Input]
    analyses: _containers.RepeatedScalarFieldContainer[str]
    preprocess: str
    fidelity: Fidelity
    render_png: bool
    memory_bytes: int
    skip_self_check: bool
    def __init__(self, model: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[_input_pb2.Input, _Mapping]]] = ..., analyses: _Optional[_Iterable[str]] = ..., preprocess: _Optional[str] = ..., fidelity: _Optional[_Union[Fidelity, str]] = ..., render_png: _Optional[bool] = ..., memory_bytes: _Optional[int] = ..., skip_self_check: _Optional[bool] = ...) -> None: ...

class InspectResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: _run_event_pb2.RunEvent
    def __init__(self, event: _Optional[_Union[_run_event_pb2.RunEvent, _Mapping]] = ...) -> None: ...

class AuditRequest(_message.Message):
    __slots__ = ("config", "input")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    config: AuditConfig
    input: _input_pb2.Input
    def __init__(self, config: _Optional[_Union[AuditConfig, _Mapping]] = ..., input: _Optional[_Union[_input_pb2.Input, _Mapping]] = ...) -> None: ...

class AuditConfig(_message.Message):
    __slots__ = ("model", "analyses", "source", "preprocess", "fidelity", "batch_size", "render_png", "memory_bytes", "skip_self_check", "strict", "part", "shard_size", "summaries")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ANALYSES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PREPROCESS_FIELD_NUMBER: _ClassVar[int]
    FIDELITY_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    RENDER_PNG_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    SKIP_SELF_CHECK_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    SHARD_SIZE_FIELD_NUMBER: _ClassVar[int]
    SUMMARIES_FIELD_NUMBER: _ClassVar[int]
    model: str
    analyses: _containers.RepeatedScalarFieldContainer[str]
    source: str
    preprocess: str
    fidelity: Fidelity
    batch_size: int
    render_png: bool
    memory_bytes: int
    skip_self_check: bool
    strict: bool
    part: str
    shard_size: int
    summaries: bool
    def __init__(self, model: _Optional[str] = ..., analyses: _Optional[_Iterable[str]] = ..., source: _Optional[str] = ..., preprocess: _Optional[str] = ..., fidelity: _Optional[_Union[Fidelity, str]] = ..., batch_size: _Optional[int] = ..., render_png: _Optional[bool] = ..., memory_bytes: _Optional[int] = ..., skip_self_check: _Optional[bool] = ..., strict: _Optional[bool] = ..., part: _Optional[str] = ..., shard_size: _Optional[int] = ..., summaries: _Optional[bool] = ...) -> None: ...

class AuditResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: _run_event_pb2.RunEvent
    def __init__(self, event: _Optional[_Union[_run_event_pb2.RunEvent, _Mapping]] = ...) -> None: ...

class MergeSummariesRequest(_message.Message):
    __slots__ = ("config", "chunk")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    config: MergeSummariesConfig
    chunk: SummariesChunk
    def __init__(self, config: _Optional[_Union[MergeSummariesConfig, _Mapping]] = ..., chunk: _Optional[_Union[SummariesChunk, _Mapping]] = ...) -> None: ...

class MergeSummariesConfig(_message.Message):
    __slots__ = ("model", "render_png", "summaries")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RENDER_PNG_FIELD_NUMBER: _ClassVar[int]
    SUMMARIES_FIELD_NUMBER: _ClassVar[int]
    model: str
    render_png: bool
    summaries: bool
    def __init__(self, model: _Optional[str] = ..., render_png: _Optional[bool] = ..., summaries: _Optional[bool] = ...) -> None: ...

class SummariesChunk(_message.Message):
    __slots__ = ("data", "last")
    DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    last: bool
    def __init__(self, data: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...

class MergeSummariesResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: _run_event_pb2.RunEvent
    def __init__(self, event: _Optional[_Union[_run_event_pb2.RunEvent, _Mapping]] = ...) -> None: ...

class ActivationsRequest(_message.Message):
    __slots__ = ("model", "inputs", "taps", "preprocess", "fidelity", "memory_bytes")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TAPS_FIELD_NUMBER: _ClassVar[int]
    PREPROCESS_FIELD_NUMBER: _ClassVar[int]
    FIDELITY_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    model: str
    inputs: _containers.RepeatedCompositeFieldContainer[_input_pb2.Input]
    taps: _containers.RepeatedScalarFieldContainer[str]
    preprocess: str
    fidelity: Fidelity
    memory_bytes: int
    def __init__(self, model: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[_input_pb2.Input, _Mapping]]] = ..., taps: _Optional[_Iterable[str]] = ..., preprocess: _Optional[str] = ..., fidelity: _Optional[_Union[Fidelity, str]] = ..., memory_bytes: _Optional[int] = ...) -> None: ...

class ActivationsResponse(_message.Message):
    __slots__ = ("header", "data")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header: TapHeader
    data: bytes
    def __init__(self, header: _Optional[_Union[TapHeader, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class TapHeader(_message.Message):
    __slots__ = ("tap", "tensor", "dtype", "shape", "size_bytes")
    TAP_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    tap: str
    tensor: str
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    size_bytes: int
    def __init__(self, tap: _Optional[str] = ..., tensor: _Optional[str] = ..., dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., size_bytes: _Optional[int] = ...) -> None: ...
