"""One Keras net through one exporter: Keras' own values against the inspector's."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": "tensorflow"}

import tensorflow as tf
import tf2onnx
import zoo_keras_nets as nets
from zoo_keras_trace import Conv, trace

from inspector import service
from inspector.contract import Array, Layer, TensorInfo
from inspector.graph.view import OnnxView


@dataclass
class Row:
    """What was seen of one net and exporter. `unseen`: an activation that Keras has and no tap shows."""

    name: str
    exporter: str
    keras: int = 0
    found: int = 0
    matched: int = 0
    worst: float = 0.0
    weights: int = 0
    acts: dict[str, int] = field(default_factory=Counter)
    untapped: dict[str, int] = field(default_factory=Counter)
    unseen: dict[str, int] = field(default_factory=Counter)
    counted: int = 0
    reasons: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def _tf2onnx(model: Any, path: Path, *, opset: int, nchw: bool = False) -> None:
    specs = [tf.TensorSpec([None, *t.shape[1:]], tf.float32, name=f"in{k}") for k, t in enumerate(_inputs(model))]
    function = tf.function(lambda *a: model(a[0] if len(a) == 1 else list(a), training=False), input_signature=specs)
    names = [s.name for s in specs if len(s.shape) == 4] if nchw else None
    tf2onnx.convert.from_function(function, specs, opset=opset, inputs_as_nchw=names, output_path=str(path))


def _inputs(model: Any) -> Sequence[Any]:
    return getattr(model, "inputs", None) or [model._zoo_input]  # noqa: SLF001 - of a subclassed model, see _check


def _tflite(model: Any, path: Path, fed: list[Array], how: str) -> None:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if how != "f32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if how == "f16":
        converter.target_spec.supported_types = [tf.float16]
    if how == "int8":
        converter.representative_dataset = lambda: ([x[i : i + 1] for x in fed] for i in range(len(fed[0])))
    (path.parent / "model.tflite").write_bytes(converter.convert())
    tf2onnx.convert.from_tflite(str(path.parent / "model.tflite"), opset=17, output_path=str(path))


def _saved(model: Any, path: Path) -> None:
    model.export(str(path.parent / "saved"), format="tf_saved_model", verbose=False)
    command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", path.parent / "saved", "--output", path]
    done = subprocess.run([*command, "--opset", "15"], capture_output=True, text=True, check=False)
    if not path.exists():
        raise RuntimeError(done.stderr.strip().splitlines()[-1])


EXPORTERS: dict[str, Callable[[Any, Path, list[Array]], None]] = {
    "keras": lambda m, p, _: m.export(str(p), format="onnx", verbose=False),
    "tf2onnx 18": lambda m, p, _: _tf2onnx(m, p, opset=18),
    "tf2onnx 11 nchw": lambda m, p, _: _tf2onnx(m, p, opset=11, nchw=True),
    "saved model": lambda m, p, _: _saved(m, p),
    "tflite": lambda m, p, f: _tflite(m, p, f, "f32"),
    "tflite f16": lambda m, p, f: _tflite(m, p, f, "f16"),
    "tflite dynamic": lambda m, p, f: _tflite(m, p, f, "dynamic"),
    "tflite int8": lambda m, p, f: _tflite(m, p, f, "int8"),
}
OF_APPLICATIONS = ("keras", "tflite int8")
"""What large nets go through; the others change nothing that these nets have."""
TOLERANCE = {"tflite f16": 0.02, "tflite dynamic": 0.5, "tflite int8": 0.8}
"""Of a map's largest value; 0.0002 elsewhere. Where weights were rounded, what is asked is which map is nearest."""


def check(name: str, exporter: str) -> Row:
    """Exports, loads, runs and compares. Whatever fails is in the row."""
    row, start = Row(name, exporter), time.monotonic()
    try:
        _check(row)
    except Exception as error:  # noqa: BLE001 - a row of the table, whatever it was
        where = traceback.extract_tb(error.__traceback__)[-1]
        row.problems.append(f"{type(error).__name__}: {_line(error)} ({Path(where.filename).name}:{where.lineno})")
    row.seconds = round(time.monotonic() - start, 1)
    return row


def _line(error: Exception) -> str:
    return next((line.strip()[:160] for line in str(error).splitlines() if line.strip()), "")


def _check(row: Row) -> None:
    model, fed = nets.build(row.name)
    if not getattr(model, "inputs", None):
        model._zoo_input = tf.TensorSpec([None, *fed[0].shape[1:]])  # noqa: SLF001
    convs, values = trace(model, fed)
    row.keras = len(convs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                EXPORTERS[row.exporter](model, path, fed)
        except Exception as error:  # noqa: BLE001 - an exporter raises anything; its limits are not ours
            row.reasons.append(f"not exportable: {type(error).__name__}: {_line(error)}")
            return
        if keep := os.environ.get("ZOO_KEEP"):
            (Path(keep) / f"{row.name}.{row.exporter}.onnx".replace(" ", "_")).write_bytes(path.read_bytes())
        if broken := _broken(path, fed):
            row.reasons.append(f"onnxruntime cannot run the file: {broken}")
            return
        view = service.load(path)
    row.found, row.problems = len(view.layers), list(view.left_out)
    compare(row, convs, values, view, _feeds(view.inputs, fed))


def _broken(path: Path, fed: list[Array]) -> str:
    """Why onnxruntime, left to itself, cannot run the file as it was exported; empty where it can."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        inputs = [TensorInfo(i.name, i.type, tuple(i.shape)) for i in session.get_inputs()]
        session.run(None, {name: array[:1] for name, array in _feeds(inputs, fed).items()})
    except Exception as error:  # noqa: BLE001 - the runtime raises classes that have no common base
        return _line(error).replace(f"Load model from {path} failed:", "")
    return ""


def _feeds(inputs: Sequence[TensorInfo], fed: list[Array]) -> dict[str, Array]:
    """By input, told apart by the number of axes; channels first where the model has them so."""
    if len(inputs) > len(fed):
        raise LookupError(f"it has {len(inputs)} inputs, Keras' model {len(fed)}: {[info.name for info in inputs]}")
    feeds, rest = {}, list(fed)
    for info in inputs:
        k = next(k for k, x in enumerate(rest) if x.ndim == len(info.shape or ()))
        array = rest.pop(k)
        feeds[info.name] = np.moveaxis(array, -1, 1) if array.ndim == 4 and info.shape[1] == 3 else array
    return feeds


def compare(row: Row, convs: list[Conv], values: list[Array], view: OnnxView, feeds: dict[str, Array]) -> None:
    """Fills the row: every layer, its value, weights, geometry, activation and counts."""
    taps = [f"{layer.name}:{kind}" for layer in view.layers for kind in layer.taps]
    maps = service.activations(view, feeds, taps, fidelity="exact")
    tolerance = TOLERANCE.get(row.exporter, 0.02 if row.name == "half" else 2e-4)
    rest, pairs = list(convs), []
    for layer in view.layers:
        found = min(((_nearest(layer, c, maps), k) for k, c in enumerate(rest)), default=(np.inf, 0))
        if found[0] <= tolerance:
            row.matched, row.worst = row.matched + 1, max(row.worst, found[0])
            pairs.append((layer, rest.pop(found[1])))
        elif len(next(maps[t] for t in maps if t.startswith(f"{layer.name}:"))) != len(next(iter(feeds.values()))):
            rest.remove(next(c for c in rest if _sizes(c.kernel.shape) == _sizes(layer.weight_shape)))
            row.unseen["several maps for each input: dilation is written as more inputs"] += 1
        elif (k := next((k for k, c in enumerate(rest) if _weighs(view, layer, c)), None)) is not None:
            row.reasons.append(f"{rest.pop(k).layer}: equal weights, but the exporter folded more than a bias into it")
        else:
            row.problems.append(f"layer {layer.name!r} {layer.weight_shape} is nothing in Keras ({found[0]:.1e})")
    row.problems += [f"{c.layer} {c.kernel.shape} is missing" for c in rest]
    metrics = _metrics(view, feeds)
    for layer, conv in pairs:
        act = maps.get(f"{layer.name}:act")
        if conv.act is None and act is not None:
            near = min((v for v in values if v.shape == act.shape), key=lambda v: difference(act, v), default=None)
            conv.act, conv.activation = near, "of several operations"
            conv.cut = f"{layer.name}:act" in maps and layer.taps["act"].zeros.name == "EXACT"
        problems = _pair(row, layer, conv, view=view, maps=maps, tolerance=tolerance, metrics=metrics)
        row.problems += [f"{layer.name}: {text}" for text in problems]


def _weighs(view: OnnxView, layer: Layer, conv: Conv) -> bool:
    """True where the weights are those of Keras, but for rounding to integers."""
    weight = view.filters(layer.name).weight
    return weight.size == conv.kernel.size and difference(weight.reshape(conv.kernel.shape), conv.kernel) < 0.01


def _nearest(layer: Layer, conv: Conv, maps: Any) -> float:
    """How far the layer is from the convolution: its first tap that has the size that Keras' value has.

    A transposed convolution is written without padding, so that its raw output is larger.
    """
    stages = [s for s in (*conv.stages, conv.act) if s is not None]
    taps = [maps[name] for kind in ("conv", "norm", "act") if (name := f"{layer.name}:{kind}") in maps]
    gaps = (min(difference(tap, stage) for stage in stages) for tap in taps)
    return next((gap for gap in gaps if gap < np.inf), np.inf) if layer.op == conv.op else np.inf


def difference(ours: Array, theirs: Array) -> float:
    """Largest absolute difference, relative to the map's largest value; inf where shapes differ, but for sizes of 1."""
    if ours.shape[:2] != theirs.shape[:2] or _sizes(ours.shape[2:]) != _sizes(theirs.shape[2:]):
        return float("inf")
    gap = np.abs(ours.reshape(theirs.shape).astype(np.float64) - theirs).max(initial=0)
    return float(gap / (np.abs(theirs).max(initial=0) or 1))


def _sizes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _pair(
    row: Row, layer: Layer, conv: Conv, *, view: OnnxView, maps: Any, tolerance: float, metrics: Any
) -> Iterator[str]:
    space = len(conv.strides)
    for what, ours, theirs in (
        ("operator", layer.op, conv.op),
        ("groups", layer.groups, conv.groups),
        ("kernel", _sizes(layer.weight_shape), _sizes(conv.kernel.shape)),
        ("strides", layer.strides[-space:], conv.strides),
        ("dilations", layer.dilations[-space:], conv.dilations),
        ("channels", layer.out_channels, conv.stages[0].shape[1]),
    ):
        if ours != theirs:
            yield f"{what} {ours}, in Keras {theirs}"
    row.weights += _weighs(view, layer, conv)
    act = maps.get(f"{layer.name}:act")
    if act is None:
        row.untapped[layer.linear] += 1
        if conv.act is not None:
            row.unseen[f"{conv.activation} of {conv.layer}: {layer.linear}"] += 1
        return
    row.acts[f"{layer.activation} ({conv.activation or 'none'})"] += 1
    if conv.act is None:
        yield f"act {layer.activation}, in Keras none"
    elif (gap := difference(act, conv.act)) > tolerance and _is_within(layer, conv):
        row.unseen[f"{conv.activation} of {conv.layer}: {layer.activation} within it is the first that has a name"] += 1
    elif gap > tolerance:
        yield f"act {layer.activation} differs from {conv.activation} by {gap:.1e}"
    else:
        yield from _counts(row, layer, conv, metrics, tolerance)


def _is_within(layer: Layer, conv: Conv) -> bool:
    """True where Keras bounds what the inspector names: a rectifier with a threshold has a name, a bounded one not."""
    return layer.activation == "ThresholdedRelu" and "max_value" in conv.activation


def _metrics(view: OnnxView, feeds: dict[str, Array]) -> dict[tuple[str, str], Array]:
    report = service.audit(view, feeds if len(feeds) > 1 else next(iter(feeds.values())), ["sparsity"])
    return {(m.layer, m.name): np.asarray(m.values) for r in report.results for m in r.metrics}


def _counts(row: Row, layer: Layer, conv: Conv, metrics: Any, tolerance: float) -> Iterator[str]:
    """What an audit counts, against NumPy on the values of Keras."""
    theirs = conv.act
    exact = (layer.name, "dead") in metrics
    if exact != conv.cut and "int8" not in row.exporter:
        yield f"zeros after {layer.activation} are {'exact' * exact or 'no zeros'}, in Keras ({conv.activation}) not so"
    axes, scale = (0, *range(2, theirs.ndim)), float(np.abs(theirs).max()) or 1.0
    room = 2 * tolerance + 0.002
    wanted = {"channel_peak": theirs.max(axes) / scale, "channel_mean": theirs.mean(axes) / scale}
    if exact and row.exporter in ("keras", "tf2onnx 18", "tf2onnx 11 nchw", "saved model", "tflite"):
        wanted["channel_zero_fraction"] = (theirs == 0).mean(axes)
        wanted["channel_active"] = (theirs != 0).any(tuple(range(2, theirs.ndim))).sum(0)
    for metric, numbers in wanted.items():
        ours = metrics[layer.name, metric] / (scale if metric in ("channel_peak", "channel_mean") else 1)
        if not np.allclose(ours, numbers, atol=room, rtol=0):
            yield f"{metric} differs by {np.abs(ours - numbers).max():.1e}"
    row.counted += 1
