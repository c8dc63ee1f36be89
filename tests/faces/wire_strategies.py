"""Arbitrary reports and their parts, and what makes two of them the same."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from inspector.contract import (
    Column,
    Curve,
    Edge,
    Finding,
    Graph,
    Heatmap,
    Images,
    Metric,
    MetricInfo,
    Node,
    Note,
    Overruled,
    Picture,
    Scale,
    ScaleKind,
    Series,
    Severity,
    Table,
)
from inspector.faces import wire_tensor
from inspector.report import AnalysisResult, Check, Failure, Memory, OperatorCount, Provenance, Report, Skipped

laws = settings(deadline=None, max_examples=40)

TEXT = st.text(max_size=8)
FLOATS = st.floats()
INTS = st.integers(-(2**63), 2**63 - 1)
COUNTS = st.integers(0, 2**63 - 1)
CELLS = TEXT | INTS | FLOATS | st.booleans() | st.none()
SCALES = st.builds(Scale, st.sampled_from(ScaleKind), FLOATS, FLOATS, TEXT)
DTYPES = st.sampled_from(list(wire_tensor.DTYPES.values()))


def arrays(shapes):
    """Arrays of every element type that travels, in both byte orders, made of arbitrary bits."""

    def from_bits(dtype, shape, seed, order):
        size = int(np.prod(shape)) * dtype.itemsize
        bits = np.random.default_rng(seed).integers(0, 2 if dtype.kind == "b" else 256, size, np.uint8)
        return bits.view(dtype).reshape(shape).astype(dtype.newbyteorder(order))

    return st.builds(from_bits, DTYPES, shapes, st.integers(0, 2**32), st.sampled_from("<>"))


def tuples(elements, most=3):
    return st.lists(elements, max_size=most).map(tuple)


MATRICES = arrays(st.tuples(st.integers(0, 4), st.integers(0, 4)))
PICTURES = st.builds(
    Picture,
    MATRICES | arrays(st.tuples(st.integers(0, 4), st.integers(0, 4), st.just(3))),
    TEXT,
    TEXT,
    SCALES | st.none(),
)
TABLES = tuples(st.builds(Column, TEXT, TEXT, TEXT)).flatmap(
    lambda columns: st.builds(Table, TEXT, st.just(columns), tuples(st.tuples(*[CELLS] * len(columns))), TEXT)
)
SERIES = st.lists(st.tuples(FLOATS, FLOATS), max_size=3).flatmap(
    lambda points: st.builds(Series, TEXT, st.just(tuple(p[0] for p in points)), st.just(tuple(p[1] for p in points)))
)
BLOCKS = st.one_of(
    TABLES,
    st.builds(
        Heatmap, TEXT, MATRICES, SCALES, TEXT, TEXT, tuples(TEXT), tuples(TEXT), TEXT, tuples(st.tuples(FLOATS, TEXT))
    ),
    st.builds(Images, TEXT, tuples(PICTURES), st.integers(1, 9), SCALES | st.none(), TEXT),
    st.builds(
        Graph, TEXT, tuples(st.builds(Node, TEXT, TEXT, TEXT)), tuples(st.builds(Edge, TEXT, TEXT, FLOATS, TEXT)), TEXT
    ),
    st.builds(Curve, TEXT, TEXT, TEXT, tuples(SERIES), TEXT),
    st.builds(Note, TEXT, TEXT),
)
FINDINGS = st.builds(
    Finding, TEXT, st.sampled_from(Severity), TEXT, TEXT, tuples(COUNTS),
    st.dictionaries(TEXT, CELLS, max_size=3), TEXT,
    st.none() | st.builds(Overruled, st.sampled_from(Severity), TEXT, TEXT, st.booleans()),
)  # fmt: skip
METRIC_VALUES = st.one_of(
    COUNTS.map(np.int64), FLOATS.map(np.float64), st.lists(FLOATS, max_size=4).map(lambda v: np.array(v, np.float64))
)
METRICS = st.builds(Metric, TEXT, METRIC_VALUES, TEXT, TEXT)
METRIC_INFOS = st.builds(MetricInfo, TEXT, TEXT, TEXT, st.booleans())
RESULTS = st.builds(
    AnalysisResult,
    TEXT,
    TEXT,
    TEXT,
    tuples(BLOCKS),
    tuples(FINDINGS),
    st.builds(Failure, TEXT, TEXT, TEXT) | st.none(),
    tuples(METRICS),
)
PROVENANCES = st.builds(
    Provenance,
    *[TEXT] * 4,
    *[COUNTS] * 2,
    *[TEXT] * 3,
    st.dictionaries(TEXT, COUNTS, max_size=3),
    st.dictionaries(TEXT, TEXT, max_size=3),
    tuples(TEXT),
    TEXT,
    FLOATS,
    st.builds(Check, COUNTS, FLOATS, FLOATS, st.booleans(), st.booleans()) | st.none(),
    tuples(st.builds(OperatorCount, TEXT, TEXT, COUNTS, COUNTS)),
    st.builds(Memory, COUNTS, COUNTS, COUNTS) | st.none(),
    FLOATS,
    COUNTS,
    COUNTS,
)
SKIPPED = st.builds(Skipped, TEXT, TEXT, st.integers(1, 2**62), st.booleans())
REPORTS = st.builds(Report, PROVENANCES, tuples(RESULTS), tuples(SKIPPED), COUNTS)


def plain(value):
    """A value whose equality is that of types, bits and structure: NaN equals NaN, 1 is not 1.0 and not True."""
    if dataclasses.is_dataclass(value):
        return type(value), [(f.name, plain(getattr(value, f.name))) for f in dataclasses.fields(value)]
    if isinstance(value, np.ndarray):
        return value.dtype.newbyteorder("=").name, value.shape, value.astype(value.dtype.newbyteorder("<")).tobytes()
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return sorted((key, repr(plain(item))) for key, item in value.items())
    return type(value), repr(value)
