"""What every operator does to receptive fields: from a node and the traces of its inputs to those of its outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from inspector.graph.constants import STANDARD
from inspector.graph.convolutions import MICROSOFT
from inspector.graph.receptive.axes import concat, cut, expand, gather, pad, split, squeeze, tile, transpose, unsqueeze
from inspector.graph.receptive.join import join
from inspector.graph.receptive.reshape import flatten, reshape
from inspector.graph.receptive.resize import resize
from inspector.graph.receptive.sliding import convolution, depth_to_space, pool, space_to_depth, transposed
from inspector.graph.receptive.step import Step, axes_of
from inspector.graph.receptive.trace import NOWHERE, Loss, Trace, worse

Result = Trace | Sequence[Trace | None]
"""The first output's trace, or one for every output."""
Rule = Callable[[Step], Result]

_ELEMENTWISE: Final = frozenset({
    "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BitCast", "BitShift", "BitwiseAnd",
    "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast", "Ceil", "Celu", "Clip", "Cos", "Cosh", "Div", "Dropout",
    "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish",
    "Identity", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish",
    "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Shrink",
    "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tan", "Tanh",
    "ThresholdedRelu", "Where", "Xor",
})  # fmt: skip
_REDUCTIONS: Final = frozenset({
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
    "ReduceProd", "ReduceSum", "ReduceSumSquare",
})  # fmt: skip
_EVERYWHERE: Final = frozenset({
    "Attention", "AffineGrid", "CausalConvWithState", "DFT", "DeformConv", "Det", "DynamicQuantizeLinear",
    "FlexAttention", "GRU", "GridSample", "LSTM", "LinearAttention", "MaxRoiPool", "NonMaxSuppression", "RNN",
    "RoiAlign", "STFT",
})  # fmt: skip
"""Operators that relate all places to each other, or read where the data tell them to."""
_NOT_READ: Final = frozenset({"Shape", "Size", "RandomNormalLike", "RandomUniformLike", "EyeLike"})
"""Operators that use the shape of their input and none of its numbers."""
SLIDING: Final = frozenset({
    "Conv", "ConvInteger", "QLinearConv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "DeformConv",
})  # fmt: skip
"""Operators whose axes from 2 on are space: the first one an image meets tells which of its axes are."""


def follow_node(step: Step) -> list[Trace | None]:
    """The traces of all outputs of a node."""
    read = [t for t in step.traces if t is not None]
    outputs = step.node.outputs
    if not read or step.node.op_type in _NOT_READ:
        return [None] * len(outputs)
    if not any(t.live for t in read):
        return [_lost(read, None)] * len(outputs)
    standard = step.node.domain in STANDARD
    rule = RULES.get(step.node.op_type) if standard else MICROSOFT_RULES.get((step.node.domain, step.node.op_type))
    if rule is None:
        return [_lost(read, Loss(f"{step.why} is of an operator that is not followed"))] * len(outputs)
    try:
        found = rule(step)
    except (ValueError, TypeError, KeyError, IndexError, ArithmeticError) as error:
        return [_lost(read, Loss(f"{step.why} cannot be read ({error})"))] * len(outputs)
    if not isinstance(found, Trace):
        return list(found)
    other = _lost(read, Loss(f"a further output of {step.why} is not followed"))
    return [found, *[other] * (len(outputs) - 1)]


def unread(traces: Sequence[Trace], reason: str) -> Trace:
    """The trace of what is computed from `traces` in a way that is not followed."""
    return _lost(traces, Loss(reason))


def _lost(traces: Sequence[Trace], loss: Loss | None) -> Trace:
    """Nothing runs along the image any more; `loss` is why, for every axis that did."""
    lost: Mapping[int, Loss] = {}
    for trace in traces:
        now = {w.axis: loss for axis in trace.axes for w in axis.windows} if loss is not None else {}
        lost = worse(lost, worse(trace.lost, now))
    return Trace((), lost)


def _everywhere(step: Step) -> Trace:
    return _lost([t for t in step.traces if t is not None], Loss(f"{step.why} reads all of it", whole=True))


def _first(step: Step) -> Trace:
    return step.trace


def _batch_norm(step: Step) -> Trace:
    if step.number("training_mode", 0):
        return step.trace.mixing(range(len(step.trace.axes)), step.why, keep=True)
    return step.trace


def _cast_like(step: Step) -> Sequence[Trace | None]:
    """Of its second input only the type is read."""
    return [step.traces[0]]


def _elementwise(step: Step) -> Trace:
    return join(step.branches(), _sizes(step), step.why)


def _sizes(step: Step) -> list[int | None]:
    """Of the first output, as far as known; its rank is that of the inputs, broadcast."""
    ranks = [len(t.axes) for t in step.traces if t is not None]
    ranks += [len(shape) for i in range(len(step.node.inputs)) if (shape := step.dims(i)) is not None]
    return [step.out_size(t) for t in range(max(ranks))]


def _single(rule: Rule) -> Rule:
    """For rules that follow the first input: what the others decide, when they depend on the image, is not known."""

    def guarded(step: Step) -> Result:
        others = step.branches(range(1, len(step.traces)))
        if others:
            reason = f"the image itself decides what {step.why} does"
            return unread([t for t in step.traces if t is not None], reason)
        return rule(step)

    return guarded


def _global_pool(step: Step) -> Trace:
    return step.trace.mixing(range(2, len(step.trace.axes)), step.why)


def _mixing_from(name: str, default: int) -> Rule:
    """All axes from attribute `name` on: LayerNormalization, and Softmax before opset 13."""

    def rule(step: Step) -> Trace:
        rank = len(step.trace.axes)
        (first,) = axes_of([step.number(name, default)], rank)
        return step.trace.mixing(range(first, rank), step.why, keep=True)

    return rule


def _mixing_one(default: int) -> Rule:
    """One axis, attribute `axis`: Softmax, TopK and their like."""

    def rule(step: Step) -> Trace:
        axes = axes_of([step.number("axis", default)], len(step.trace.axes))
        return step.trace.mixing(axes, step.why, keep=True)

    return rule


def _softmax(step: Step) -> Result:
    return _mixing_one(-1)(step) if step.opset >= 13 else _mixing_from("axis", 1)(step)


def _space(step: Step) -> Trace:
    """InstanceNormalization: all places of a channel."""
    return step.trace.mixing(range(2, len(step.trace.axes)), step.why, keep=True)


def _places_of_groups(step: Step) -> Trace:
    """GroupNormalization: all places of several channels."""
    return step.trace.mixing(range(1, len(step.trace.axes)), step.why, keep=True)


def _mean_variance(step: Step) -> Trace:
    axes = step.listed("axes", -1) or (0, 2, 3)
    return step.trace.mixing(axes_of(axes, len(step.trace.axes)), step.why, keep=True)


def _across_channels(step: Step) -> Trace:
    return step.trace.mixing([1], step.why, keep=True)


def _cumulative(step: Step) -> Trace:
    axis = step.constant(1)
    if axis is None:
        raise ValueError("its axis is not known")
    return step.trace.mixing(axes_of([int(axis.reshape(-1)[0])], len(step.trace.axes)), step.why, keep=True)


def _reduce(step: Step) -> Trace:
    rank = len(step.trace.axes)
    listed = step.listed("axes", 1)
    if listed is None and step.given(1):
        raise ValueError("its axes are not known")
    if not listed and step.number("noop_with_empty_axes", 0):
        return step.trace
    return _reduced(step, axes_of(listed or range(rank), rank))


def _arg_reduce(step: Step) -> Trace:
    return _reduced(step, axes_of([step.number("axis", 0)], len(step.trace.axes)))


def _reduced(step: Step, axes: Sequence[int]) -> Trace:
    trace = step.trace.mixing(axes, step.why)
    if step.number("keepdims", 1):
        return trace
    return Trace(tuple(a for t, a in enumerate(trace.axes) if t not in axes), trace.lost)


def _product(step: Step) -> Trace:
    """MatMul: the last axis of the first and the last but one of the second factor are summed over."""
    a, b = 0, 3 if step.node.op_type == "QLinearMatMul" else 1
    ranks = [_rank(step, i) for i in (a, b)]
    if min(ranks) < 2:
        raise ValueError("a factor is a vector")
    branches = []
    for i, t, name in ((a, ranks[0] - 1, "first"), (b, ranks[1] - 2, "second")):
        trace = step.traces[i]
        if trace is not None:
            branches.append((str(name), trace.mixing([t], step.why) if trace.live else trace))
    return join(branches, [step.out_size(t) for t in range(max(ranks))], step.why)


def _rank(step: Step, index: int) -> int:
    trace, shape = step.traces[index], step.dims(index)
    if trace is not None and trace.live:
        return len(trace.axes)
    if shape is None:
        raise ValueError("the rank of a factor is not known")
    return len(shape)


def _affine(step: Step) -> Trace:
    """Gemm: as MatMul of two matrices, transposed or not, plus a third input."""
    branches = []
    for i, summed in ((0, 1 - step.number("transA", 0)), (1, step.number("transB", 0))):
        trace = step.traces[i]
        if trace is not None:
            mixed = trace.mixing([summed], step.why) if trace.live else trace
            kept = mixed.axes[1 - summed] if trace.live else NOWHERE
            branches.append((f"input {i}", Trace((kept, NOWHERE) if i == 0 else (NOWHERE, kept), mixed.lost)))
    return join([*branches, *step.branches(range(2, len(step.traces)))], [step.out_size(0), step.out_size(1)], step.why)


RULES: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    **dict.fromkeys(_REDUCTIONS, _single(_reduce)),
    **dict.fromkeys(_EVERYWHERE, _everywhere),
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv"), convolution),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), _global_pool),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _softmax),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _mixing_from("axis", -1)),
    **dict.fromkeys(("TopK", "LpNormalization"), _mixing_one(-1)),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg_reduce),
    **dict.fromkeys(("CumSum", "CumProd"), _single(_cumulative)),
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul"), _product),
    **dict.fromkeys(("Resize", "Upsample"), _single(resize)),
    "ConvTranspose": transposed,
    "BatchNormalization": _single(_batch_norm),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), _single(_first)),
    "CastLike": _cast_like,
    "InstanceNormalization": _space,
    "GroupNormalization": _places_of_groups,
    "MeanVarianceNormalization": _mean_variance,
    "LRN": _across_channels,
    "Gemm": _affine,
    "SpaceToDepth": space_to_depth,
    "DepthToSpace": depth_to_space,
    "Transpose": transpose,
    "Squeeze": _single(squeeze),
    "Unsqueeze": _single(unsqueeze),
    "Reshape": _single(reshape),
    "Flatten": flatten,
    "Slice": _single(cut),
    "Pad": _single(pad),
    "Split": _single(split),
    "Gather": gather,
    "Concat": concat,
    "Expand": _single(expand),
    "Tile": _single(tile),
}
MICROSOFT_RULES: Final[Mapping[tuple[str, str], Rule]] = {
    **dict.fromkeys(((MICROSOFT, "FusedConv"), (MICROSOFT, "QLinearConv")), convolution),
    **dict.fromkeys(((MICROSOFT, "QuantizeLinear"), (MICROSOFT, "DequantizeLinear")), _single(_first)),
    **dict.fromkeys(((MICROSOFT, "QLinearLeakyRelu"), (MICROSOFT, "QLinearSigmoid")), _single(_first)),
    (MICROSOFT, "QLinearAdd"): _elementwise,
}
"""Of onnxruntime's own operators, as its quantiser and optimiser write them."""
