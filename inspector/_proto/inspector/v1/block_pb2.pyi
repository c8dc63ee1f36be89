from inspector._proto.inspector.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScaleKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCALE_KIND_UNSPECIFIED: _ClassVar[ScaleKind]
    SCALE_KIND_SIGNED: _ClassVar[ScaleKind]
    SCALE_KIND_SEQUENTIAL: _ClassVar[ScaleKind]
    SCALE_KIND_COLOUR: _ClassVar[ScaleKind]

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_INFO: _ClassVar[Severity]
    SEVERITY_WARNING: _ClassVar[Severity]
    SEVERITY_ERROR: _ClassVar[Severity]
SCALE_KIND_UNSPECIFIED: ScaleKind
SCALE_KIND_SIGNED: ScaleKind
SCALE_KIND_SEQUENTIAL: ScaleKind
SCALE_KIND_COLOUR: ScaleKind
SEVERITY_UNSPECIFIED: Severity
SEVERITY_INFO: Severity
SEVERITY_WARNING: Severity
SEVERITY_ERROR: Severity

class Block(_message.Message):
    __slots__ = ("table", "heatmap", "images", "graph", "curve", "note")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    HEATMAP_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    CURVE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    table: Table
    heatmap: Heatmap
    images: Images
    graph: Graph
    curve: Curve
    note: Note
    def __init__(self, table: _Optional[_Union[Table, _Mapping]] = ..., heatmap: _Optional[_Union[Heatmap, _Mapping]] = ..., images: _Optional[_Union[Images, _Mapping]] = ..., graph: _Optional[_Union[Graph, _Mapping]] = ..., curve: _Optional[_Union[Curve, _Mapping]] = ..., note: _Optional[_Union[Note, _Mapping]] = ...) -> None: ...

class Table(_message.Message):
    __slots__ = ("title", "columns", "rows", "caption")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    CAPTION_FIELD_NUMBER: _ClassVar[int]
    title: str
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    rows: _containers.RepeatedCompositeFieldContainer[Row]
    caption: str
    def __init__(self, title: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., rows: _Optional[_Iterable[_Union[Row, _Mapping]]] = ..., caption: _Optional[str] = ...) -> None: ...

class Column(_message.Message):
    __slots__ = ("name", "about", "unit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    about: str
    unit: str
    def __init__(self, name: _Optional[str] = ..., about: _Optional[str] = ..., unit: _Optional[str] = ...) -> None: ...

class Row(_message.Message):
    __slots__ = ("cells",)
    CELLS_FIELD_NUMBER: _ClassVar[int]
    cells: _containers.RepeatedCompositeFieldContainer[Cell]
    def __init__(self, cells: _Optional[_Iterable[_Union[Cell, _Mapping]]] = ...) -> None: ...

class Cell(_message.Message):
    __slots__ = ("text", "integer", "number", "truth")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TRUTH_FIELD_NUMBER: _ClassVar[int]
    text: str
    integer: int
    number: float
    truth: bool
    def __init__(self, text: _Optional[str] = ..., integer: _Optional[int] = ..., number: _Optional[float] = ..., truth: _Optional[bool] = ...) -> None: ...

class Scale(_message.Message):
    __slots__ = ("kind", "low", "high", "unit")
    KIND_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    kind: ScaleKind
    low: float
    high: float
    unit: str
    def __init__(self, kind: _Optional[_Union[ScaleKind, str]] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., unit: _Optional[str] = ...) -> None: ...

class Heatmap(_message.Message):
    __slots__ = ("title", "values", "scale", "row_axis", "column_axis", "row_labels", "column_labels", "caption", "meanings")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    ROW_AXIS_FIELD_NUMBER: _ClassVar[int]
    COLUMN_AXIS_FIELD_NUMBER: _ClassVar[int]
    ROW_LABELS_FIELD_NUMBER: _ClassVar[int]
    COLUMN_LABELS_FIELD_NUMBER: _ClassVar[int]
    CAPTION_FIELD_NUMBER: _ClassVar[int]
    MEANINGS_FIELD_NUMBER: _ClassVar[int]
    title: str
    values: _tensor_pb2.Tensor
    scale: Scale
    row_axis: str
    column_axis: str
    row_labels: _containers.RepeatedScalarFieldContainer[str]
    column_labels: _containers.RepeatedScalarFieldContainer[str]
    caption: str
    meanings: _containers.RepeatedCompositeFieldContainer[Meaning]
    def __init__(self, title: _Optional[str] = ..., values: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., scale: _Optional[_Union[Scale, _Mapping]] = ..., row_axis: _Optional[str] = ..., column_axis: _Optional[str] = ..., row_labels: _Optional[_Iterable[str]] = ..., column_labels: _Optional[_Iterable[str]] = ..., caption: _Optional[str] = ..., meanings: _Optional[_Iterable[_Union[Meaning, _Mapping]]] = ...) -> None: ...

class Meaning(_message.Message):
    __slots__ = ("value", "text")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    value: float
    text: str
    def __init__(self, value: _Optional[float] = ..., text: _Optional[str] = ...) -> None: ...

class Picture(_message.Message):
    __slots__ = ("values", "label", "mark", "scale", "png")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    values: _tensor_pb2.Tensor
    label: str
    mark: str
    scale: Scale
    png: bytes
    def __init__(self, values: _Optional[_Union[_tensor_pb2.Tensor, _Mapping]] = ..., label: _Optional[str] = ..., mark: _Optional[str] = ..., scale: _Optional[_Union[Scale, _Mapping]] = ..., png: _Optional[bytes] = ...) -> None: ...

class Images(_message.Message):
    __slots__ = ("title", "pictures", "columns", "scale", "caption")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    CAPTION_FIELD_NUMBER: _ClassVar[int]
    title: str
    pictures: _containers.RepeatedCompositeFieldContainer[Picture]
    columns: int
    scale: Scale
    caption: str
    def __init__(self, title: _Optional[str] = ..., pictures: _Optional[_Iterable[_Union[Picture, _Mapping]]] = ..., columns: _Optional[int] = ..., scale: _Optional[_Union[Scale, _Mapping]] = ..., caption: _Optional[str] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("name", "label", "group")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    name: str
    label: str
    group: str
    def __init__(self, name: _Optional[str] = ..., label: _Optional[str] = ..., group: _Optional[str] = ...) -> None: ...

class Edge(_message.Message):
    __slots__ = ("source", "target", "weight", "label")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    source: str
    target: str
    weight: float
    label: str
    def __init__(self, source: _Optional[str] = ..., target: _Optional[str] = ..., weight: _Optional[float] = ..., label: _Optional[str] = ...) -> None: ...

class Graph(_message.Message):
    __slots__ = ("title", "nodes", "edges", "caption")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    CAPTION_FIELD_NUMBER: _ClassVar[int]
    title: str
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    edges: _containers.RepeatedCompositeFieldContainer[Edge]
    caption: str
    def __init__(self, title: _Optional[str] = ..., nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ..., edges: _Optional[_Iterable[_Union[Edge, _Mapping]]] = ..., caption: _Optional[str] = ...) -> None: ...

class Series(_message.Message):
    __slots__ = ("name", "x", "y")
    NAME_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    name: str
    x: _containers.RepeatedScalarFieldContainer[float]
    y: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, name: _Optional[str] = ..., x: _Optional[_Iterable[float]] = ..., y: _Optional[_Iterable[float]] = ...) -> None: ...

class Curve(_message.Message):
    __slots__ = ("title", "x_axis", "y_axis", "series", "caption")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    X_AXIS_FIELD_NUMBER: _ClassVar[int]
    Y_AXIS_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    CAPTION_FIELD_NUMBER: _ClassVar[int]
    title: str
    x_axis: str
    y_axis: str
    series: _containers.RepeatedCompositeFieldContainer[Series]
    caption: str
    def __init__(self, title: _Optional[str] = ..., x_axis: _Optional[str] = ..., y_axis: _Optional[str] = ..., series: _Optional[_Iterable[_Union[Series, _Mapping]]] = ..., caption: _Optional[str] = ...) -> None: ...

class Note(_message.Message):
    __slots__ = ("text", "title")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    text: str
    title: str
    def __init__(self, text: _Optional[str] = ..., title: _Optional[str] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("rule", "severity", "message", "layer", "channels", "evidence", "remedy", "overruled")
    class EvidenceEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Cell
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Cell, _Mapping]] = ...) -> None: ...
    RULE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    OVERRULED_FIELD_NUMBER: _ClassVar[int]
    rule: str
    severity: Severity
    message: str
    layer: str
    channels: _containers.RepeatedScalarFieldContainer[int]
    evidence: _containers.MessageMap[str, Cell]
    remedy: str
    overruled: Overruled
    def __init__(self, rule: _Optional[str] = ..., severity: _Optional[_Union[Severity, str]] = ..., message: _Optional[str] = ..., layer: _Optional[str] = ..., channels: _Optional[_Iterable[int]] = ..., evidence: _Optional[_Mapping[str, Cell]] = ..., remedy: _Optional[str] = ..., overruled: _Optional[_Union[Overruled, _Mapping]] = ...) -> None: ...

class Overruled(_message.Message):
    __slots__ = ("severity", "policy", "reason", "ignored")
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    severity: Severity
    policy: str
    reason: str
    ignored: bool
    def __init__(self, severity: _Optional[_Union[Severity, str]] = ..., policy: _Optional[str] = ..., reason: _Optional[str] = ..., ignored: _Optional[bool] = ...) -> None: ...
