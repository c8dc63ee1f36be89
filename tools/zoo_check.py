"""One architecture through one exporter: PyTorch's own values against the inspector's."""

from __future__ import annotations

import contextlib
import io
import math
import re
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
import zoo_nets
from torch.nn import functional as F  # noqa: N812 - its usual name
from zoo_torch import Conv, Following, Trace, trace

from inspector import service
from inspector.contract import Array, Layer, TapKind
from inspector.errors import Inapplicable
from inspector.graph.view import OnnxView

TOLERANCE = 1e-4  # of the largest absolute value of a map
EXPORTERS = {"dynamo": True, "torchscript": False}


@dataclass
class Row:
    """What was seen of one architecture and exporter.

    `unseen`: what PyTorch has and no tap shows, with the inspector's reason; `problems`: contradictions, each a bug.
    """

    name: str
    exporter: str
    opset: int = 0
    torch: int = 0
    functional: int = 0
    found: int = 0
    matched: int = 0
    folded: int = 0
    worst: float = 0.0
    acts: Counter[str] = field(default_factory=Counter)
    acts_equal: int = 0
    untapped: Counter[str] = field(default_factory=Counter)
    unseen: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


@dataclass(frozen=True)
class Pair:
    """A layer and the PyTorch convolution it is; `folded`: with the batch normalisation that follows."""

    layer: Layer
    conv: Conv
    folded: bool
    difference: float


def check(name: str, exporter: str) -> Row:
    """Exports, loads, runs and compares. Whatever fails is in the row."""
    row, start = Row(name, exporter), time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _check(row)
        except Exception as error:  # noqa: BLE001 - a row of the table, whatever it was
            lines = str(error).strip().splitlines()
            row.problems.append(f"{type(error).__name__}: {lines[0][:200] if lines else ''}")
    row.seconds = round(time.monotonic() - start, 1)
    return row


def _check(row: Row) -> None:
    net, inputs = zoo_nets.build(row.name)
    copies = tuple(i.clone() for i in inputs)
    known, modules = trace(net, copies)
    row.torch, row.functional = len(known.convs), len(known.convs) - modules
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            export(net, inputs, path, row.exporter)
        except Exception as error:  # noqa: BLE001 - an exporter raises anything; its limits are not ours
            row.reasons[f"not exportable: {type(error).__name__}: {_first_line(error)}"] += 1
            return
        view = service.load(path)
        broken = _broken(path, _feeds(view, inputs))
    row.opset = view.model.graph.opset_imports.get("", 0)
    row.found = len(view.layers)
    row.problems += view.left_out
    if broken:
        row.reasons[f"onnxruntime cannot run the file: {broken}"] += 1
        return
    compare(row, known, view, _feeds(view, inputs))


def _first_line(error: Exception) -> str:
    plain = re.sub(r"\x1b\[\d*m", "", str(error))  # without colours of a terminal
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return lines[0][:160] if lines else ""


def export(net: torch.nn.Module, inputs: Sequence[torch.Tensor], path: Path, exporter: str) -> None:
    """Writes one self-contained file with the exporter's own defaults."""
    options: dict[str, Any] = {"dynamo": EXPORTERS[exporter]}
    if options["dynamo"]:
        options |= {"external_data": False, "verbose": False}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), torch.no_grad():
        torch.onnx.export(net, tuple(inputs), path, **options)


def _broken(path: Path, feeds: Mapping[str, Array]) -> str:
    """Why onnxruntime, left to itself, cannot run the file as it was exported; empty where it can."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, dict(feeds))
    except Exception as error:  # noqa: BLE001 - the runtime raises classes that have no common base
        return _first_line(error)
    return ""


def _feeds(view: OnnxView, inputs: Sequence[torch.Tensor]) -> dict[str, Array]:
    return {info.name: tensor.numpy() for info, tensor in zip(view.inputs, inputs, strict=True)}


def compare(row: Row, known: Trace, view: OnnxView, feeds: Mapping[str, Array]) -> None:
    """Fills the row: every layer, its value, weights, geometry and taps."""
    taps = [f"{layer.name}:{kind}" for layer in view.layers for kind in layer.taps]
    maps = service.activations(view, feeds, taps, fidelity="exact")
    pairs = _pairs(known, view.layers, maps)
    found = {pair.conv.index for pair in pairs}
    for conv in known.convs:
        if conv.index in found:
            continue
        if conv.constant or not known.used(conv.value):
            row.reasons["input constant or result unused, so not exported"] += 1
        else:
            row.problems.append(f"convolution {conv.index} {tuple(conv.weight.shape)} is missing")
    for layer in view.layers:
        if layer.name not in {pair.layer.name for pair in pairs}:
            row.problems.append(f"layer {layer.name!r} {layer.weight_shape} is no convolution in PyTorch")
    order = [pair.conv.index for pair in pairs]
    if order != sorted(order):
        row.problems.append("the order differs from the order of execution")
    for pair in pairs:
        _compare_pair(row, known, view, pair, maps)


def _pairs(known: Trace, layers: Sequence[Layer], maps: Mapping[str, Array]) -> list[Pair]:
    """Each layer with the first convolution of that value; without one, with the next of that shape."""
    rest, pairs, left = list(known.convs), [], []
    for layer in layers:
        pair = next((p for p in _candidates(known, layer, rest, maps) if p.difference <= TOLERANCE), None)
        if pair:
            rest.remove(pair.conv)
            pairs.append(pair)
        else:
            left.append(layer)
    for layer in left:
        pair = min(_candidates(known, layer, rest, maps), key=lambda p: p.difference, default=None)
        if pair:
            rest.remove(pair.conv)
            pairs.append(pair)
    return sorted(pairs, key=lambda pair: pair.layer.index)


def _candidates(known: Trace, layer: Layer, convs: Sequence[Conv], maps: Mapping[str, Array]) -> Iterator[Pair]:
    ours = maps[f"{layer.name}:conv"]
    for conv in convs:
        norm = known.batch_norm(conv)
        for value, folded in [(conv.value, False)] + ([(norm.writes[0], True)] if norm else []):
            theirs = known.arrays[value].numpy()
            if theirs.shape[1:] == ours.shape[1:] and tuple(conv.weight.shape) == layer.weight_shape:
                yield Pair(layer, conv, folded, difference(ours, theirs))


def difference(ours: Array, theirs: Array) -> float:
    """Largest absolute difference, relative to the largest absolute value of the map; inf where shapes differ."""
    if ours.shape != theirs.shape:
        return math.inf
    scale = float(np.abs(theirs).max(initial=0.0))
    largest = float(np.abs(ours.astype(np.float64) - theirs).max(initial=0.0))
    return largest / scale if scale else largest


def _compare_pair(row: Row, known: Trace, view: OnnxView, pair: Pair, maps: Mapping[str, Array]) -> None:
    layer = pair.layer
    row.worst = max(row.worst, pair.difference)
    row.folded += pair.folded
    if pair.difference <= TOLERANCE:
        row.matched += 1
    else:
        theirs = tuple(known.arrays[pair.conv.value].shape)
        said = f"differs by {pair.difference:.1e}, shape {maps[f'{layer.name}:conv'].shape}, in PyTorch {theirs}"
        row.problems.append(f"{layer.name}:conv {said}")
    problems = [*_geometry(row, known, pair), *_weights(row, known, view, pair), *_taps(row, known, pair, maps)]
    row.problems += [f"{layer.name}: {problem}" for problem in problems]


def _geometry(row: Row, known: Trace, pair: Pair) -> Iterator[str]:
    layer, conv = pair.layer, pair.conv
    for what, ours, theirs in (
        ("operator", layer.op, "ConvTranspose" if conv.transposed else "Conv"),
        ("groups", layer.groups, conv.groups),
        ("strides", layer.strides, conv.strides),
        ("dilations", layer.dilations, conv.dilations),
        ("channels", layer.out_channels, known.arrays[conv.value].shape[1]),
        ("channels read", layer.in_channels, conv.channels),
    ):
        if ours != theirs:
            yield f"{what} {ours}, in PyTorch {theirs}"
    producer = known.producers.get(conv.source) if conv.source is not None else None
    if (layer.pads or _same_pads(layer)) == conv.pads:
        return
    if producer is not None and "pad" in producer.name:
        row.reasons["pads of a separate Pad folded in"] += 1
    else:
        yield f"pads {layer.pads} {layer.auto_pad}, in PyTorch {conv.pads}"


def _same_pads(layer: Layer) -> tuple[int, ...]:
    """What `SAME_UPPER` and `SAME_LOWER` mean at stride 1, where the kernel is odd."""
    return tuple(d * (k - 1) // 2 for d, k in zip(layer.dilations, layer.kernel, strict=True)) * 2


def _weights(row: Row, known: Trace, view: OnnxView, pair: Pair) -> Iterator[str]:
    try:
        ours = view.filters(pair.layer.name)
    except Inapplicable as error:
        if pair.conv.computed:
            row.reasons["weights depend on the input"] += 1
        else:
            yield f"weights: {error}"
        return
    if pair.conv.computed:
        yield "weights are said to be constant"
    pairs = [("", ours, pair)]
    norm = known.batch_norm(pair.conv)
    if norm and not pair.folded and known.following(pair.conv.value).norm == norm.writes[0]:
        pairs.append(("folded ", view.filters(pair.layer.name, fold_norm=True), replace(pair, folded=True)))
    for fold, found, expected in pairs:
        weight, bias = _filters(known, expected)
        yield from _differing(fold, (("weights", found.weight, weight), ("bias", found.bias, bias)))


def _differing(fold: str, compared: Sequence[tuple[str, Array, Array]]) -> Iterator[str]:
    for what, mine, theirs in compared:
        if not difference(mine, theirs) <= TOLERANCE / 10:
            yield f"{fold}{what} {mine.shape} differ by {difference(mine, theirs):.1e} from {theirs.shape}"


def _filters(known: Trace, pair: Pair) -> tuple[Array, Array]:
    """PyTorch's weight, output channel first, and bias; the batch normalisation folded in where the file has it so."""
    conv, groups = pair.conv, pair.conv.groups
    weight = conv.weight.double().numpy()
    if conv.transposed:
        weight = np.concatenate([part.swapaxes(0, 1) for part in np.split(weight, groups)])
    bias = np.zeros(len(weight)) if conv.bias is None else conv.bias.detach().double().numpy()
    norm = known.batch_norm(conv)
    if not pair.folded or norm is None:
        return weight, bias
    gamma, beta, mean, variance = (a.detach().double().numpy() for a in norm.args[1:5])
    scale = gamma / np.sqrt(variance + norm.args[-1])
    return weight * scale.reshape(-1, *[1] * (weight.ndim - 1)), (bias - mean) * scale + beta


def _taps(row: Row, known: Trace, pair: Pair, maps: Mapping[str, Array]) -> Iterator[str]:
    layer, theirs = pair.layer, known.following(pair.conv.value)
    act, norm = layer.taps.get(TapKind.ACT), layer.taps.get(TapKind.NORM)
    if act:
        row.acts[str(act.activation)] += 1
    else:
        row.untapped[layer.linear] += 1
    computed = act is not None and not act.shared and _is_function(layer, maps)
    if act and computed and theirs.act is None:
        row.acts_equal += 1  # spelled in several operators; its values say what it is
    elif act is None and theirs.act is not None:
        row.unseen[f"{_said(theirs)}: {layer.linear}"] += 1
    elif act and act.activation not in theirs.names:
        yield f"activation {layer.activation!r}, in PyTorch {_said(theirs)}"
    elif act:
        row.acts_equal += 1
        yield from _value("act", known, theirs.act, theirs.act_axis, maps[act.name])
        if act.shared != theirs.shared:
            yield f"shared {act.shared}, in PyTorch {theirs.shared}"
    if norm and theirs.norm is not None:
        yield from _value("norm", known, theirs.norm, theirs.norm_axis, maps[norm.name])
    elif norm and not pair.folded:
        yield "has a norm tap, in PyTorch nothing normalises it"
    elif theirs.norm is not None and not pair.folded:
        row.unseen[f"normalisation: {layer.linear or 'none before ' + str(layer.activation)}"] += 1


_FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "Relu": F.relu,
    "SiLU": F.silu,
    "GELU": F.gelu,
    "Gelu": F.gelu,
    "GELU(tanh)": lambda x: F.gelu(x, approximate="tanh"),
    "Gelu(tanh)": lambda x: F.gelu(x, approximate="tanh"),
    "QuickGELU": lambda x: x * torch.sigmoid(1.702 * x),
    "LogSigmoid": F.logsigmoid,
    "HardSwish": F.hardswish,
    "Mish": F.mish,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "Softplus": F.softplus,
    "Selu": F.selu,
    "Softsign": F.softsign,
}
_SPELLED = 2e-3  # of the largest value: GELU by tanh is only so near to GELU


def _is_function(layer: Layer, maps: Mapping[str, Array]) -> bool:
    """True where the values at the act tap are what the activation's name says, of the values before it."""
    function = _FUNCTIONS.get(str(layer.activation))
    before = maps[layer.tap(TapKind.NORM).name]
    after = maps[layer.taps[TapKind.ACT].name]
    return function is not None and difference(after, function(torch.from_numpy(before)).numpy()) <= _SPELLED


def _said(following: Following) -> str:
    return " or ".join(sorted(following.names)) or repr(following.reason)


def _value(kind: str, known: Trace, value: int | None, axis: int, ours: Array) -> Iterator[str]:
    assert value is not None
    found = difference(ours, np.moveaxis(known.arrays[value].numpy(), axis, 1))
    if not found <= TOLERANCE:
        yield f"the value of its {kind} tap differs by {found:.1e}"
