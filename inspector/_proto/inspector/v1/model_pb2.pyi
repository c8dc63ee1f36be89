from inspector._proto.inspector.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TapKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TAP_KIND_UNSPECIFIED: _ClassVar[TapKind]
    TAP_KIND_CONV: _ClassVar[TapKind]
    TAP_KIND_NORM: _ClassVar[TapKind]
    TAP_KIND_ACT: _ClassVar[TapKind]

class Zeros(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ZEROS_UNSPECIFIED: _ClassVar[Zeros]
    ZEROS_EXACT: _ClassVar[Zeros]
    ZEROS_NOT_MEANINGFUL: _ClassVar[Zeros]
TAP_KIND_UNSPECIFIED: TapKind
TAP_KIND_CONV: TapKind
TAP_KIND_NORM: TapKind
TAP_KIND_ACT: TapKind
ZEROS_UNSPECIFIED: Zeros
ZEROS_EXACT: Zeros
ZEROS_NOT_MEANINGFUL: Zeros

class Model(_message.Message):
    __slots__ = ("name", "state", "failure", "sha256", "size_bytes", "facts", "inputs", "outputs", "layer_count")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Model.State]
        STATE_READY: _ClassVar[Model.State]
        STATE_FAILED: _ClassVar[Model.State]
    STATE_UNSPECIFIED: Model.State
    STATE_READY: Model.State
    STATE_FAILED: Model.State
    class FactsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    LAYER_COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: Model.State
    failure: str
    sha256: str
    size_bytes: int
    facts: _containers.ScalarMap[str, str]
    inputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorInfo]
    outputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorInfo]
    layer_count: int
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[Model.State, str]] = ..., failure: _Optional[str] = ..., sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ..., facts: _Optional[_Mapping[str, str]] = ..., inputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorInfo, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorInfo, _Mapping]]] = ..., layer_count: _Optional[int] = ...) -> None: ...

class Layer(_message.Message):
    __slots__ = ("name", "title", "index", "op", "weight_shape", "groups", "kernel", "strides", "dilations", "pads", "auto_pad", "in_channels", "out_channels", "parameters", "taps", "activation", "linear")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_SHAPE_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    STRIDES_FIELD_NUMBER: _ClassVar[int]
    DILATIONS_FIELD_NUMBER: _ClassVar[int]
    PADS_FIELD_NUMBER: _ClassVar[int]
    AUTO_PAD_FIELD_NUMBER: _ClassVar[int]
    IN_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    OUT_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    TAPS_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    LINEAR_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: str
    index: int
    op: str
    weight_shape: _containers.RepeatedScalarFieldContainer[int]
    groups: int
    kernel: _containers.RepeatedScalarFieldContainer[int]
    strides: _containers.RepeatedScalarFieldContainer[int]
    dilations: _containers.RepeatedScalarFieldContainer[int]
    pads: _containers.RepeatedScalarFieldContainer[int]
    auto_pad: str
    in_channels: int
    out_channels: int
    parameters: int
    taps: _containers.RepeatedCompositeFieldContainer[Tap]
    activation: str
    linear: str
    def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., index: _Optional[int] = ..., op: _Optional[str] = ..., weight_shape: _Optional[_Iterable[int]] = ..., groups: _Optional[int] = ..., kernel: _Optional[_Iterable[int]] = ..., strides: _Optional[_Iterable[int]] = ..., dilations: _Optional[_Iterable[int]] = ..., pads: _Optional[_Iterable[int]] = ..., auto_pad: _Optional[str] = ..., in_channels: _Optional[int] = ..., out_channels: _Optional[int] = ..., parameters: _Optional[int] = ..., taps: _Optional[_Iterable[_Union[Tap, _Mapping]]] = ..., activation: _Optional[str] = ..., linear: _Optional[str] = ...) -> None: ...

class Tap(_message.Message):
    __slots__ = ("name", "layer", "kind", "tensor", "channels", "activation", "zeros", "shared", "scale", "zero_point", "bypassed")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    ZEROS_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    ZERO_POINT_FIELD_NUMBER: _ClassVar[int]
    BYPASSED_FIELD_NUMBER: _ClassVar[int]
    name: str
    layer: str
    kind: TapKind
    tensor: str
    channels: int
    activation: str
    zeros: Zeros
    shared: bool
    scale: _containers.RepeatedScalarFieldContainer[float]
    zero_point: _containers.RepeatedScalarFieldContainer[int]
    bypassed: bool
    def __init__(self, name: _Optional[str] = ..., layer: _Optional[str] = ..., kind: _Optional[_Union[TapKind, str]] = ..., tensor: _Optional[str] = ..., channels: _Optional[int] = ..., activation: _Optional[str] = ..., zeros: _Optional[_Union[Zeros, str]] = ..., shared: _Optional[bool] = ..., scale: _Optional[_Iterable[float]] = ..., zero_point: _Optional[_Iterable[int]] = ..., bypassed: _Optional[bool] = ...) -> None: ...
