from inspector._proto.inspector.v1 import block_pb2 as _block_pb2
from inspector._proto.inspector.v1 import metric_pb2 as _metric_pb2
from inspector._proto.inspector.v1 import report_pb2 as _report_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunEvent(_message.Message):
    __slots__ = ("progress", "header", "result", "block", "block_chunk", "finding", "end", "metric", "summaries")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    BLOCK_CHUNK_FIELD_NUMBER: _ClassVar[int]
    FINDING_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    SUMMARIES_FIELD_NUMBER: _ClassVar[int]
    progress: Progress
    header: ReportHeader
    result: ResultHeader
    block: _block_pb2.Block
    block_chunk: BlockChunk
    finding: _block_pb2.Finding
    end: ReportEnd
    metric: _metric_pb2.Metric
    summaries: bytes
    def __init__(self, progress: _Optional[_Union[Progress, _Mapping]] = ..., header: _Optional[_Union[ReportHeader, _Mapping]] = ..., result: _Optional[_Union[ResultHeader, _Mapping]] = ..., block: _Optional[_Union[_block_pb2.Block, _Mapping]] = ..., block_chunk: _Optional[_Union[BlockChunk, _Mapping]] = ..., finding: _Optional[_Union[_block_pb2.Finding, _Mapping]] = ..., end: _Optional[_Union[ReportEnd, _Mapping]] = ..., metric: _Optional[_Union[_metric_pb2.Metric, _Mapping]] = ..., summaries: _Optional[bytes] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("stage", "done", "total")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    stage: str
    done: int
    total: int
    def __init__(self, stage: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...

class ReportHeader(_message.Message):
    __slots__ = ("provenance", "skipped", "skipped_count")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    provenance: _report_pb2.Provenance
    skipped: _containers.RepeatedCompositeFieldContainer[_report_pb2.SkippedInput]
    skipped_count: int
    def __init__(self, provenance: _Optional[_Union[_report_pb2.Provenance, _Mapping]] = ..., skipped: _Optional[_Iterable[_Union[_report_pb2.SkippedInput, _Mapping]]] = ..., skipped_count: _Optional[int] = ...) -> None: ...

class ResultHeader(_message.Message):
    __slots__ = ("name", "version", "params", "failure")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    params: str
    failure: _report_pb2.Failure
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., params: _Optional[str] = ..., failure: _Optional[_Union[_report_pb2.Failure, _Mapping]] = ...) -> None: ...

class BlockChunk(_message.Message):
    __slots__ = ("data", "last")
    DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    last: bool
    def __init__(self, data: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...

class ReportEnd(_message.Message):
    __slots__ = ("ok",)
    OK_FIELD_NUMBER: _ClassVar[int]
    ok: bool
    def __init__(self, ok: _Optional[bool] = ...) -> None: ...
