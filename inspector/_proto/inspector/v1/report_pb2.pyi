from inspector._proto.inspector.v1 import block_pb2 as _block_pb2
from inspector._proto.inspector.v1 import metric_pb2 as _metric_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Report(_message.Message):
    __slots__ = ("provenance", "results", "skipped", "skipped_count", "ok")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    provenance: Provenance
    results: _containers.RepeatedCompositeFieldContainer[AnalysisResult]
    skipped: _containers.RepeatedCompositeFieldContainer[SkippedInput]
    skipped_count: int
    ok: bool
    def __init__(self, provenance: _Optional[_Union[Provenance, _Mapping]] = ..., results: _Optional[_Iterable[_Union[AnalysisResult, _Mapping]]] = ..., skipped: _Optional[_Iterable[_Union[SkippedInput, _Mapping]]] = ..., skipped_count: _Optional[int] = ..., ok: _Optional[bool] = ...) -> None: ...

class Provenance(_message.Message):
    __slots__ = ("model", "sha256", "data", "data_sha256", "inputs", "batch", "preprocess", "fidelity", "device", "providers", "versions", "notes", "started", "seconds", "check", "operators", "memory", "waited", "incomplete", "missing_shards")
    class ProvidersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    DATA_SHA256_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    PREPROCESS_FIELD_NUMBER: _ClassVar[int]
    FIDELITY_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    OPERATORS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    WAITED_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_FIELD_NUMBER: _ClassVar[int]
    MISSING_SHARDS_FIELD_NUMBER: _ClassVar[int]
    model: str
    sha256: str
    data: str
    data_sha256: str
    inputs: int
    batch: int
    preprocess: str
    fidelity: str
    device: str
    providers: _containers.ScalarMap[str, int]
    versions: _containers.ScalarMap[str, str]
    notes: _containers.RepeatedScalarFieldContainer[str]
    started: str
    seconds: float
    check: Check
    operators: _containers.RepeatedCompositeFieldContainer[OperatorCount]
    memory: Memory
    waited: float
    incomplete: int
    missing_shards: int
    def __init__(self, model: _Optional[str] = ..., sha256: _Optional[str] = ..., data: _Optional[str] = ..., data_sha256: _Optional[str] = ..., inputs: _Optional[int] = ..., batch: _Optional[int] = ..., preprocess: _Optional[str] = ..., fidelity: _Optional[str] = ..., device: _Optional[str] = ..., providers: _Optional[_Mapping[str, int]] = ..., versions: _Optional[_Mapping[str, str]] = ..., notes: _Optional[_Iterable[str]] = ..., started: _Optional[str] = ..., seconds: _Optional[float] = ..., check: _Optional[_Union[Check, _Mapping]] = ..., operators: _Optional[_Iterable[_Union[OperatorCount, _Mapping]]] = ..., memory: _Optional[_Union[Memory, _Mapping]] = ..., waited: _Optional[float] = ..., incomplete: _Optional[int] = ..., missing_shards: _Optional[int] = ...) -> None: ...

class Check(_message.Message):
    __slots__ = ("outputs", "max_abs", "max_rel", "equal", "passed")
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    MAX_ABS_FIELD_NUMBER: _ClassVar[int]
    MAX_REL_FIELD_NUMBER: _ClassVar[int]
    EQUAL_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    outputs: int
    max_abs: float
    max_rel: float
    equal: bool
    passed: bool
    def __init__(self, outputs: _Optional[int] = ..., max_abs: _Optional[float] = ..., max_rel: _Optional[float] = ..., equal: _Optional[bool] = ..., passed: _Optional[bool] = ...) -> None: ...

class OperatorCount(_message.Message):
    __slots__ = ("domain", "op", "plain", "watched")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    PLAIN_FIELD_NUMBER: _ClassVar[int]
    WATCHED_FIELD_NUMBER: _ClassVar[int]
    domain: str
    op: str
    plain: int
    watched: int
    def __init__(self, domain: _Optional[str] = ..., op: _Optional[str] = ..., plain: _Optional[int] = ..., watched: _Optional[int] = ...) -> None: ...

class Memory(_message.Message):
    __slots__ = ("estimate_bytes", "budget_bytes", "waves")
    ESTIMATE_BYTES_FIELD_NUMBER: _ClassVar[int]
    BUDGET_BYTES_FIELD_NUMBER: _ClassVar[int]
    WAVES_FIELD_NUMBER: _ClassVar[int]
    estimate_bytes: int
    budget_bytes: int
    waves: int
    def __init__(self, estimate_bytes: _Optional[int] = ..., budget_bytes: _Optional[int] = ..., waves: _Optional[int] = ...) -> None: ...

class AnalysisResult(_message.Message):
    __slots__ = ("name", "version", "params", "blocks", "findings", "failure", "metrics")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    params: str
    blocks: _containers.RepeatedCompositeFieldContainer[_block_pb2.Block]
    findings: _containers.RepeatedCompositeFieldContainer[_block_pb2.Finding]
    failure: Failure
    metrics: _containers.RepeatedCompositeFieldContainer[_metric_pb2.Metric]
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., params: _Optional[str] = ..., blocks: _Optional[_Iterable[_Union[_block_pb2.Block, _Mapping]]] = ..., findings: _Optional[_Iterable[_Union[_block_pb2.Finding, _Mapping]]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., metrics: _Optional[_Iterable[_Union[_metric_pb2.Metric, _Mapping]]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("kind", "message", "remedy")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    kind: str
    message: str
    remedy: str
    def __init__(self, kind: _Optional[str] = ..., message: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...

class SkippedInput(_message.Message):
    __slots__ = ("id", "reason", "count", "incomplete")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    count: int
    incomplete: bool
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ..., count: _Optional[int] = ..., incomplete: _Optional[bool] = ...) -> None: ...
