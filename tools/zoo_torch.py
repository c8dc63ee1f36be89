"""What PyTorch itself computes: every operator of one forward pass, its convolutions, and what follows each.

This is the other side of the comparison and shares no code with the inspector: it watches ATen operators with a
`TorchDispatchMode`, so functional convolutions and weights computed on the way count like modules.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_ACTIVATIONS = {
    "relu": {"Relu"},
    "silu": {"SiLU", "Swish"},
    "hardswish": {"HardSwish"},
    "gelu": {"GELU", "Gelu", "GELU(tanh)", "Gelu(tanh)"},
    "leaky_relu": {"LeakyRelu"},
    "celu": {"Celu"},
    "mish": {"Mish"},
    "sigmoid": {"Sigmoid"},
    "tanh": {"Tanh"},
    "hardsigmoid": {"HardSigmoid"},
    "softplus": {"Softplus"},
    "_prelu_kernel": {"PRelu"},
    "rrelu_with_noise": {"LeakyRelu"},
    "softshrink": {"Shrink"},
    "hardshrink": {"Shrink"},
    "log_sigmoid_forward": {"LogSigmoid"},
}
"""ATen operator: what the inspector may call it."""
_BOUNDED = {"hardtanh", "clamp", "clamp_min", "clamp_max"}
_PRODUCTS = {  # chain of operators g: names of x * g(x)
    ("sigmoid",): {"SiLU"},
    ("mul", "sigmoid"): {"QuickGELU"},
    ("hardsigmoid",): {"HardSwish"},
    ("softplus", "tanh"): {"Mish"},
    ("add", "hardtanh"): {"HardSwish"},
    ("add", "clamp"): {"HardSwish"},
    ("add", "hardtanh", "div"): {"HardSwish"},
    ("div", "erf", "add"): {"GELU"},
}
_NORMS = {"native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"}
_NORMS |= {"native_group_norm", "native_layer_norm"}
_AFFINE = {"add", "sub", "mul", "div"}
_ARITHMETIC = _AFFINE | {"neg", "abs", "pow", "exp", "sign", "gt", "lt", "ge", "le", "where", "maximum", "minimum"}
_PASS = {"detach", "alias", "clone", "_to_copy", "dropout"}
_MAX_STEPS = 64


@dataclass(frozen=True)
class Op:
    """One executed operator: its ATen name without overload and underscore, its arguments, values in and out.

    `reads` holds only values that depend on the input; weights and what is computed from them are constants.
    """

    name: str
    args: tuple[Any, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]


@dataclass(frozen=True)
class Conv:
    """One executed convolution: position, what it was given (`aten::convolution`) and the value it made."""

    index: int
    weight: torch.Tensor
    bias: torch.Tensor | None
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    transposed: bool
    groups: int
    channels: int
    source: int | None
    value: int
    computed: bool
    """True where weight or bias depend on what the model is fed."""
    constant: bool
    """True where nothing depends on what the model is fed, so that an exporter may compute it itself."""


@dataclass(frozen=True)
class Following:
    """What follows a value: see `Trace.following`. Values are numbers of the trace, None where there is none.

    `norm_axis` and `act_axis` hold the channels of these values.
    """

    norm: int | None
    act: int | None
    names: frozenset[str]
    shared: bool
    reason: str
    norm_axis: int = 1
    act_axis: int = 1


@dataclass
class Trace:
    """Every operator of one forward pass. `arrays` holds a copy of each value, made before anything overwrote it."""

    ops: list[Op] = field(default_factory=list)
    arrays: dict[int, torch.Tensor] = field(default_factory=dict)
    convs: list[Conv] = field(default_factory=list)
    outputs: set[int] = field(default_factory=set)
    producers: dict[int, Op] = field(default_factory=dict)
    consumers: dict[int, list[Op]] = field(default_factory=lambda: defaultdict(list))

    def add(self, op: Op) -> None:
        """Remembers an operator."""
        self.ops.append(op)
        for value in dict.fromkeys(op.reads):
            self.consumers[value].append(op)
        self.producers |= dict.fromkeys(op.writes, op)

    def used(self, value: int) -> bool:
        """True where a value has a part in what the model gives."""
        seen, stack = set[int](), [value]
        while stack:
            current = stack.pop()
            if current in self.outputs:
                return True
            if current not in seen:
                seen.add(current)
                stack.extend(w for op in self.consumers[current] for w in op.writes)
        return False

    def batch_norm(self, conv: Conv) -> Op | None:
        """The batch normalisation that alone reads a convolution's output, which an exporter may fold into it."""
        ops = self.consumers[conv.value]
        return ops[0] if len(ops) == 1 and ops[0].name in _NORMS and "batch" in ops[0].name else None

    def following(self, value: int) -> Following:
        """Walks from a convolution's output to its first activation, by the same rules as the inspector."""
        norm, shared, axis, norm_axis = None, False, 1, 1
        for _ in range(_MAX_STEPS):
            ops = self.consumers[value]
            found = self._activation(value, ops) or (None if shared else self._beside(value, ops))
            if found:
                return Following(norm, found[0], frozenset(found[1]), shared, "", norm_axis, axis)
            alone = len(ops) == 1 and value not in self.outputs
            step = self._step(value, ops) or self._moved(value, ops[0], axis) if alone else None
            if not step:
                break
            value, kind = step[:2]
            axis = step[2] if len(step) > 2 else axis
            shared = shared or kind == "sum"
            if kind == "step" and not shared:
                norm, norm_axis = value, axis
        names = ", ".join(dict.fromkeys(op.name for op in self.consumers[value]))
        return Following(norm, None, frozenset(), shared, f"feeds {names or 'nothing'}", norm_axis)

    def _moved(self, value: int, op: Op, axis: int) -> tuple[int, str, int] | None:
        """Where a permutation leads that leaves images first and space in order, and which axis has the channels."""
        rank = self.arrays[value].ndim
        order = list(range(rank))
        if op.name == "permute":
            order = [dim % rank for dim in op.args[1]]
        elif op.name == "transpose":
            one, other = (dim % rank for dim in op.args[1:3])
            order[one], order[other] = other, one
        space = [dim for dim in order if dim not in (0, axis)]
        moves = op.name in ("permute", "transpose") and order[0] == 0 and space == sorted(space)
        return (op.writes[0], "view", order.index(axis)) if moves else None

    def _step(self, value: int, ops: Sequence[Op]) -> tuple[int, str] | None:
        """Where one operator leads on the way to an activation, and what it is; None where the way ends."""
        op = ops[0]
        if op.name in _PASS:
            return op.writes[0], "pass"
        if op.name in _NORMS or (op.name in _AFFINE and op.reads == (value,)):
            return op.writes[0], "step"
        if op.name == "add" and len(set(op.reads)) == 2:
            return op.writes[0], "sum"
        return self._viewed_norm(value, op)

    def _viewed_norm(self, value: int, op: Op) -> tuple[int, str] | None:
        """ATen spells InstanceNorm as a batch normalisation of one image with N * C channels, between two reshapes.

        A LayerNorm over channels stands between two permutations.
        """
        chain = [op]
        while len(chain) < 3 and len(after := self.consumers[chain[-1].writes[0]]) == 1:
            chain.append(after[0])
        last = chain[-1].writes[0]
        spelled = [o.name for o in chain] in ([view, n, view] for n in _NORMS for view in ("view", "permute"))
        same = spelled and self.arrays[last].shape == self.arrays[value].shape
        return (last, "step") if same else None

    def _activation(self, value: int, ops: Sequence[Op]) -> tuple[int, set[str]] | None:
        if len(ops) == 1 and ops[0].reads == (value,):
            names = _names(ops[0])
            return (ops[0].writes[0], names) if names else None
        return self._product(value, ops)

    def _beside(self, value: int, ops: Sequence[Op]) -> tuple[int, set[str]] | None:
        """The one activation among several readers of a value, the others of which are no arithmetic on it alone."""
        acts = [op for op in ops if op.reads == (value,) and _names(op)]
        others = [op for op in ops if op not in acts]
        if len(acts) != 1 or not others:
            return None
        own = {value, acts[0].writes[0]}
        names = None if any(o.name in _ARITHMETIC and set(o.reads) <= own for o in others) else _names(acts[0])
        return (acts[0].writes[0], names) if names else None

    def _product(self, value: int, ops: Sequence[Op]) -> tuple[int, set[str]] | None:
        """`x * g(x)`, where g is a chain of operators, and a sixth of it where the chain gave six times too much."""
        product = next((op for op in ops if op.name == "mul" and len(op.reads) == 2), None)
        if len(ops) != 2 or product is None:
            return None
        chain = [op for op in ops if op is not product]
        while len(after := self.consumers[chain[-1].writes[0]]) == 1 and after[0] is not product:
            chain.append(after[0])
        names = _PRODUCTS.get(tuple(op.name for op in chain))
        closed = set(product.reads) == {value, chain[-1].writes[0]}
        last = product.writes[0]
        if chain[0].name == "add" and len(chain) == 2 and [op.name for op in self.consumers[last]] == ["div"]:
            last = self.consumers[last][0].writes[0]
        return (last, names) if names and closed else None


def _names(op: Op) -> set[str] | None:
    """What the inspector may call an activation; None for another operator."""
    if op.name == "elu":  # also how ATen spells SELU: with a scale
        return {"Elu", "Celu"} if op.args[2:3] in ((), (1,)) else {"Selu"}
    return _bounds(op) if op.name in _BOUNDED else _ACTIVATIONS.get(op.name)


def _bounds(op: Op) -> set[str]:
    """What a bounding operator may be called: `Clip(0,6)`; from 0 to infinity also `Relu`."""
    numbers = [a if isinstance(a, (int, float)) else None for a in op.args[1:3]]
    low, high = (*numbers, None, None)[:2]
    if op.name == "clamp_max":
        low, high = None, low
    if op.name == "hardtanh" and not numbers:
        low, high = -1.0, 1.0
    pair = -math.inf if low is None else low, math.inf if high is None else high
    return {f"Clip({pair[0]:g},{pair[1]:g})"} | ({"Relu"} if pair == (0, math.inf) else set())


class Tracer(TorchDispatchMode):
    """Writes down a forward pass. Values get a new number whenever an operator writes them, also in place."""

    def __init__(self, inputs: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.trace = Trace()
        self._numbers: dict[int, int] = {}
        self._alive: list[torch.Tensor] = []  # so that no identity is used twice
        for tensor in inputs:
            self._number(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs one operator and remembers it."""
        reads = tuple(self._known((args, kwargs)))
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        is_conv = name in ("convolution", "_convolution")
        if reads or is_conv:
            writes = tuple(self._number(t) for t in tree_leaves(result) if isinstance(t, torch.Tensor))
            op = Op(name if name.startswith("_") else name.removesuffix("_"), args, reads, writes)
            if writes:
                self.trace.add(op)
            if is_conv:
                self.trace.convs.append(_conv(op, len(self.trace.convs)))
        return result

    def finish(self, outputs: Any) -> Trace:
        """The trace, knowing what the model gave."""
        self.trace.outputs = set(self._known(outputs))
        return self.trace

    def _known(self, tree: Any) -> Iterator[int]:
        for leaf in tree_leaves(tree):
            if isinstance(leaf, torch.Tensor) and id(leaf) in self._numbers:
                yield self._numbers[id(leaf)]

    def _number(self, tensor: torch.Tensor) -> int:
        number = len(self._alive)
        self._numbers[id(tensor)] = number
        self._alive.append(tensor)
        if tensor.is_floating_point() and tensor.ndim >= 3:
            self.trace.arrays[number] = tensor.detach().clone()
        return number


def _conv(op: Op, index: int) -> Conv:
    """From the arguments of `aten::convolution`."""
    _, weight, bias, stride, padding, dilation, transposed, _, groups = op.args[:9]
    rank = weight.ndim - 2

    def each(numbers: Sequence[int]) -> tuple[int, ...]:
        return tuple(numbers) * (rank if len(numbers) == 1 else 1)

    weight = weight.detach().clone()
    return Conv(
        index=index,
        weight=weight,
        bias=bias,
        strides=each(stride),
        pads=each(padding) * 2,
        dilations=each(dilation),
        transposed=transposed,
        groups=groups,
        channels=op.args[0].shape[1],
        source=op.reads[0] if op.reads else None,
        value=op.writes[0],
        computed=len(op.reads) > 1,
        constant=not op.reads,
    )


def trace(model: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> tuple[Trace, int]:
    """One forward pass, and how many of its convolutions were calls of `nn.Conv*` modules."""
    called: list[str] = []
    kinds = (torch.nn.modules.conv._ConvNd,)  # noqa: SLF001 - the one base of all convolution modules
    handles = [
        m.register_forward_hook(lambda *_, name=n: called.append(name))
        for n, m in model.named_modules()
        if isinstance(m, kinds)
    ]
    with torch.no_grad(), Tracer(inputs) as tracer:
        outputs = model(*inputs)
    for handle in handles:
        handle.remove()
    return tracer.finish(outputs), len(called)
