"""Slow twins: every number of an analysis once more, written from its definition."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from inspector import Array, Filters


def values(data: bytes, feeds: Mapping[str, Array], tensors: Iterable[str]) -> dict[str, Array]:
    """Values inside of a model, by the ONNX reference implementation."""
    proto = written_dense(data)
    names = list(dict.fromkeys(tensors))
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    nodes = _needed(list(proto.graph.node), set(names))
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return dict(zip(names, ReferenceEvaluator(proto).run(None, dict(feeds)), strict=True))


def written_dense(data: bytes) -> onnx.ModelProto:
    """A model without sparse tensors, which the reference implementation cannot take; those of bodies stay."""
    proto = onnx.load_from_string(data)
    for sparse in proto.graph.sparse_initializer:
        proto.graph.initializer.append(_dense(sparse))
    del proto.graph.sparse_initializer[:]
    for node in proto.graph.node:
        if [attribute.name for attribute in node.attribute] == ["sparse_value"]:
            dense = _dense(node.attribute[0].sparse_tensor)
            node.attribute[0].CopyFrom(onnx.AttributeProto(name="value", t=dense, type=onnx.AttributeProto.TENSOR))
    return proto


def _dense(sparse: onnx.SparseTensorProto) -> onnx.TensorProto:
    """One element after the other, as onnx.proto says where it is."""
    values, indices = map(onnx.numpy_helper.to_array, (sparse.values, sparse.indices))
    dense = np.zeros(tuple(sparse.dims), values.dtype)
    for value, index in zip(values, indices, strict=True):
        place = []
        if indices.ndim == 1:
            for size in reversed(sparse.dims):
                index, position = divmod(index, size)  # noqa: PLW2901 - what is left of it
                place.insert(0, position)
        dense[tuple(place or index)] = value
    return onnx.numpy_helper.from_array(dense, sparse.values.name)


def _needed(nodes: list[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    """The nodes that these values depend on, in order."""
    kept = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input)
            for attribute in node.attribute:
                wanted |= {name for inner in attribute.g.node for name in inner.input}
    return kept[::-1]


@dataclass(frozen=True, slots=True, eq=False)
class Sparsity:
    """What the sparsity analysis says of maps (N, C, *space), from all of them at once; arrays are (C,)."""

    zero_fraction: Array
    active: Array
    dead: Array
    rare: Array
    never_zero: Array
    constant: Array
    not_finite: Array
    peak: Array
    low: Array
    mean: Array
    silent: Array

    @classmethod
    def of(cls, maps: Array, *, exact: bool, near: float = 1e-3, rare: float = 0.01) -> Sparsity:
        """`exact`: zeros are exact zeros; otherwise |a| < near, and nothing is dead, rare or silent."""
        wide = maps.astype(np.float64 if maps.dtype == np.float64 else np.float32)
        channels = [_channel(wide[:, c], exact=exact, near=near, rare=rare) for c in range(wide.shape[1])]
        columns = {name: np.array([channel[name] for channel in channels]) for name in channels[0]}
        return cls(**columns | {"silent": columns["silent"].T})


def _channel(maps: Array, *, exact: bool, near: float, rare: float) -> dict[str, object]:
    """One channel: maps (N, *space)."""
    finite = [bool(np.isfinite(m).all()) for m in maps]
    good = [m for m, ok in zip(maps, finite, strict=True) if ok]
    zeros = [int(sum(1 for v in m.ravel() if (v == 0 if exact else abs(v) < np.float32(near)))) for m in good]
    elements = [m.size for m in good]
    active = sum(z < e for z, e in zip(zeros, elements, strict=True))
    dead = exact and all(finite) and active == 0
    every = [float(v) for m in good for v in m.ravel()]
    one_value = all(finite) and min(every) == max(every)
    return {
        "zero_fraction": sum(zeros) / sum(elements) if good else np.nan,
        "active": active,
        "dead": dead,
        "rare": exact and active > 0 and active / len(good) < rare,
        "never_zero": exact and bool(good) and sum(zeros) == 0,
        "constant": one_value and not dead,
        "not_finite": not all(finite),
        "peak": max(every) if good else np.nan,
        "low": min(every) if good else np.nan,
        "mean": float(np.mean([np.mean(m, dtype=np.float64) for m in good])) if good else np.nan,
        "silent": [exact and ok and not m.any() for m, ok in zip(maps, finite, strict=True)],
    }


@dataclass(frozen=True, slots=True)
class Spread:
    """What the distribution analysis says of one channel, from its maps (N, *space); quantiles are (p1, p50, p99)."""

    mean: float
    deviation: float
    means: Sequence[float]
    peaks: Sequence[float]
    size: float
    at_bound: float
    unvarying: bool
    not_finite: bool

    @classmethod
    def of(cls, maps: Array, at_bound: Callable[[float], bool] | None) -> Spread:
        """`at_bound` says which elements are saturated; None: there is no bound."""
        good = [[float(v) for v in m.ravel()] for m in maps if np.isfinite(m).all()]
        nothing = (math.nan,) * 3
        if not good:
            return cls(math.nan, math.nan, nothing, nothing, math.nan, math.nan, unvarying=False, not_finite=True)
        means, peaks = [math.fsum(m) / len(m) for m in good], [max(m) for m in good]
        size = statistics.fmean(math.fsum(map(abs, m)) / len(m) for m in good)
        every = [v for m in good for v in m]
        return cls(
            mean=statistics.fmean(means),
            deviation=statistics.pstdev(means),
            means=[_of_rank(means, share) for share in ("0.01", "0.5", "0.99")],
            peaks=[_of_rank(peaks, share) for share in ("0.01", "0.5", "0.99")],
            size=size,
            at_bound=sum(map(at_bound, every)) / len(every) if at_bound else math.nan,
            unvarying=1 < len(good) == len(maps) and len({*means}) == 1 and len({*peaks}) == 1 and size > 0,
            not_finite=len(good) < len(maps),
        )


def _of_rank(values: Sequence[float], share: str) -> float:
    """The value at or below which at least this share of them lies, and no smaller one."""
    return sorted(values)[max(1, math.ceil(Fraction(share) * len(values))) - 1]


def scores(sizes: Sequence[float]) -> list[float]:
    """Sokar et al. 2023: mean |a| of every channel over the mean of these."""
    known = [s for s in sizes if not math.isnan(s)]
    return [0.0 if s == 0 else s / statistics.fmean(known) if known else math.nan for s in sizes]


def selectivity(maps: Array, labels: Sequence[str | None]) -> tuple[float, str]:
    """Morcos et al. 2018, of one channel's maps (N, *space): index, NaN for 0/0, and the class of the largest mean."""
    by_class: dict[str, list[float]] = {}
    for one, label in zip(maps, labels, strict=True):
        if label is not None:
            by_class.setdefault(label, []).append(float(np.mean(one, dtype=np.float64)))
    means = {label: statistics.fmean(found) for label, found in sorted(by_class.items())}
    best = max(means, key=lambda label: means[label])
    rest = statistics.fmean(value for label, value in means.items() if label != best)
    total = means[best] + rest
    return ((means[best] - rest) / total if total > 0 else math.nan), best


def most_before_activation(filters: Filters, low: float, high: float) -> list[float]:
    """For every filter the largest value it can give for an input in [low, high], by the best input of each weight."""
    most = []
    for kernel, bias in zip(filters.weight, filters.bias, strict=True):
        total = float(bias)
        for index in itertools.product(*map(range, kernel.shape)):
            weight = float(kernel[index])
            total += max((weight * low, weight * high)) if weight else 0.0
        most.append(total)
    return most


def transposed(
    x: Array, weight: Array, *, groups: int, strides: tuple[int, int], pads: tuple[int, ...], extra: tuple[int, int]
) -> Array:
    """A transposed convolution (N, C, H, W) -> (N, M, H', W'): every input element adds its filter to the output."""
    n, channels, height, width = x.shape
    _, per_group, kh, kw = weight.shape
    out = np.zeros((n, per_group * groups, (height - 1) * strides[0] + kh, (width - 1) * strides[1] + kw))
    out = np.pad(out, [(0, 0), (0, 0), (0, extra[0]), (0, extra[1])])
    for c, i, j, m in itertools.product(range(channels), range(height), range(width), range(per_group)):
        o = c // (channels // groups) * per_group + m
        top, left = i * strides[0], j * strides[1]
        out[:, o, top : top + kh, left : left + kw] += x[:, c, i, j, None, None] * weight[c, m]
    return out[:, :, pads[0] : out.shape[2] - pads[2], pads[1] : out.shape[3] - pads[3]]
