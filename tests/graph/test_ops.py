"""Measures in the graph against NumPy: every operator, opset, element type, rank; known and unknown area."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from models import NEWEST, ZOO

from inspector import Array, Ops, Value
from inspector.contract.measures import TAPPED
from inspector.errors import PluginError
from inspector.graph.instrument import Request, instrument
from inspector.graph.layout import Layout
from inspector.graph.load import load
from inspector.graph.rewriting import ops
from inspector.graph.rewriting.finishing import finish
from inspector.graph.rewriting.maps import Watched, space_of
from inspector.graph.rewriting.ops import Lowering
from inspector.graph.writing import add_output
from inspector.runtime.session import Fidelity, open_session

op, x = Ops(), TAPPED
OPSETS = (7, 9, 11, 13, 18, NEWEST)


def measured(maps: Array, *measures: Value, opset: int = NEWEST, area_known: bool = True, fidelity: Fidelity = "fast",
             nodes: list[str] | None = None, planned: tuple[int, ...] | None = None) -> list[Array]:  # fmt: skip
    """The measures of maps, by onnxruntime; `nodes` collects the operators that were written.

    `planned`: sizes of one map that they are written for, where these are of another size.
    """
    dtype = ir.DataType.from_numpy(maps.dtype)
    is_fixed = area_known and planned is None
    space = list(maps.shape[2:]) if is_fixed else [f"d{i}" for i in range(maps.ndim - 2)]
    fed = ir.Value(name="fed", shape=ir.Shape(["N", maps.shape[1], *space]), type=ir.TensorType(dtype))
    node = ir.Node("", "Identity", [fed])
    node.outputs[0].name = "tensor"
    message = ir.to_proto(ir.Model(ir.Graph([fed], [], nodes=[node], opset_imports={"": opset}), ir_version=8))
    lower = Lowering(message.graph, opset)
    known = (planned or space_of((None, *maps.shape[1:]))) if area_known else None
    tensor = Watched("tensor", dtype, Layout(maps.ndim), known, maps.shape[1])
    rows = [lower(tensor, m) for m in measures]
    for row in rows:
        add_output(message.graph, row.value, row.written)
    if nodes is not None:
        nodes.extend(n.op_type for n in message.graph.node)
    with open_session(message.SerializeToString(), device="cpu", fidelity=fidelity) as session:
        sizes = maps.shape[2:] if planned else None
        return [finish(row, found, sizes) for row, found in zip(rows, session.run({"fed": maps}), strict=True)]


def count(mask: Array) -> Array:
    return np.count_nonzero(mask, axis=tuple(range(2, mask.ndim))).astype(np.int64)


def space(maps: Array) -> tuple[int, ...]:
    return tuple(range(2, maps.ndim))


EXACT: Mapping[str, tuple[Value, Callable[[Array], Array]]] = {
    "above zero": (op.count(op.greater(x, 0)), lambda a: count(a > 0)),
    "below zero": (op.count(op.less(x, 0)), lambda a: count(a < 0)),
    "above a number": (op.count(op.greater(x, 0.5)), lambda a: count(a > a.dtype.type(0.5))),
    "below a number": (op.count(op.less(x, -0.3)), lambda a: count(a < a.dtype.type(-0.3))),
    "near zero": (op.count(op.less(op.abs(x), 1e-3)), lambda a: count(abs(a) < a.dtype.type(1e-3))),
    "max": (op.max(x), lambda a: a.max(space(a))),
    "min": (op.min(x), lambda a: a.min(space(a))),
    "max of abs": (op.max(op.abs(x)), lambda a: abs(a).max(space(a))),
    "positions": (op.positions(x), lambda a: np.full((len(a), 1), a[0, 0].size, np.int64)),
    "keep": (op.keep(x), lambda a: a),
}
ROUNDED: Mapping[str, tuple[Value, Callable[[Array], Array]]] = {
    "mean": (op.mean(x), lambda a: a.mean(space(a), dtype=np.float64)),
    "mean of abs": (op.mean(op.abs(x)), lambda a: abs(a).mean(space(a), dtype=np.float64)),
}
ALL = [m for m, _ in (*EXACT.values(), *ROUNDED.values())]


def maps_of(dtype: str, rank: int) -> Array:
    """Three inputs of four channels: noise, noise cut off at zero, zeros, and one value."""
    maps = np.random.default_rng(rank).normal(size=(3, 4, 7, 5, 6)[:rank])
    maps[:, 1] = np.maximum(maps[:, 1], 0)
    maps[:, 2] = 0.0
    maps[:, 3] = -1e-4
    return maps.astype(dtype)


@pytest.mark.parametrize("area_known", [True, False], ids=["static", "free"])
@pytest.mark.parametrize("rank", [3, 4, 5])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("opset", OPSETS)
def test_every_measure_equals_numpy(opset: int, dtype: str, rank: int, area_known: bool) -> None:
    maps = maps_of(dtype, rank)
    wide = maps.astype(np.float32) if dtype == "float16" else maps
    found = measured(maps, *ALL, opset=opset, area_known=area_known)
    for (name, (_, twin)), rows in zip(EXACT.items(), found, strict=False):
        expected = twin(maps if name == "keep" else wide)
        assert rows.dtype == expected.dtype, name
        np.testing.assert_array_equal(rows, expected, err_msg=name)
    for (name, (_, twin)), rows in zip(ROUNDED.items(), found[len(EXACT) :], strict=True):
        assert rows.dtype == wide.dtype, name
        tolerance = 1e-12 if dtype == "float64" else 1e-6
        np.testing.assert_allclose(rows, twin(wide), rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("rank", [3, 4, 5])
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("planned", [1, 6, 9, 33, 150])
def test_measures_that_are_written_for_one_size_of_maps_are_right_for_others(
    planned: int, opset: int, rank: int
) -> None:
    """As many windows as the planned size needs, for maps that are smaller or larger than it."""
    of_size = (min(planned, 40) if rank == 5 else planned,) * (rank - 2)
    for size in (1, 5, 8, 23, 64):
        maps = np.random.default_rng(size).normal(size=(2, 3, size + 1, size, 3)[:rank]).astype(np.float32)
        found = measured(maps, *ALL, opset=opset, planned=of_size)
        for (name, (_, twin)), rows in zip(EXACT.items(), found, strict=False):
            np.testing.assert_array_equal(rows, twin(maps), err_msg=name)
        for (name, (_, twin)), rows in zip(ROUNDED.items(), found[len(EXACT) :], strict=True):
            np.testing.assert_allclose(rows, twin(maps), rtol=1e-6, atol=1e-6, err_msg=name)


numbers = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)
one_map = arrays(np.float32, st.tuples(st.just(1), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
                 elements=numbers | st.sampled_from([0.0, -0.0, 1e-38, -1e-38, 3.4e38, -3.4e38]))  # fmt: skip


@given(one_map, st.booleans())
def test_counts_and_extremes_are_exact_for_any_numbers(maps: Array, area_known: bool) -> None:
    """From the smallest normal float32 to the largest; minus zero is zero."""
    found = measured(maps, *[m for m, _ in EXACT.values()], area_known=area_known, fidelity="exact")
    for (name, (_, twin)), rows in zip(EXACT.items(), found, strict=True):
        np.testing.assert_array_equal(rows, twin(maps), err_msg=name)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_map_with_nan_or_infinity_is_given_away_by_its_mean_and_leaves_the_others_alone(
    value: float, dtype: str
) -> None:
    maps = maps_of(dtype, 4)
    broken = maps.copy()
    broken[1, 1, 2, 3] = value
    for area_known in (True, False):
        clean, found = (measured(m, *ALL, area_known=area_known) for m in (maps, broken))
        others = np.ones((3, 4), bool)
        others[1, 1] = False
        for before, after in zip(clean, found, strict=True):
            if before.shape == others.shape:
                np.testing.assert_array_equal(before[others], after[others])
        assert np.isfinite(found[len(EXACT)]).tolist() == others.tolist()


@pytest.mark.parametrize("fidelity", ["exact", "fast"])
@pytest.mark.parametrize("area_known", [True, False], ids=["static", "free"])
@pytest.mark.parametrize("side", [28, 56, 112, 149, 224, 1021, 1024])
def test_means_are_as_exact_as_the_documentation_says(side: int, area_known: bool, fidelity: Fidelity) -> None:
    """Of one number all over, where every rounding goes the same way; of noise, and of few large numbers in it."""
    random = np.random.default_rng(side)
    noise = np.maximum(random.normal(size=(1, 8, side, side)), 0).astype(np.float32)
    constant = np.broadcast_to(random.uniform(0.01, 9, (1, 8, 1, 1)), noise.shape).astype(np.float32)
    outliers = noise.copy()
    outliers[..., :10, :10] *= 1e4
    for maps in (constant, noise, outliers):
        (mean,) = measured(maps, op.mean(x), area_known=area_known, fidelity=fidelity)
        exact = maps.mean((2, 3), dtype=np.float64)
        np.testing.assert_allclose(mean, exact, rtol=3e-6 if maps is constant else 1e-6, atol=0)


@pytest.mark.parametrize("shape", [(1, 1, 2048, 2048), (1, 1, 2049, 2049), (1, 1, 3000, 3000), (1, 2, (1 << 22) + 1)])
def test_counts_are_exact_on_both_sides_of_the_area_that_fits_an_average(shape: tuple[int, ...]) -> None:
    """2^22 positions and one more way to count beyond: one position more or less must show."""
    for zeros in (0, 1, 2, 3, 12345, 2_097_153):
        maps = np.ones(shape, np.float32)
        maps.reshape(shape[0], shape[1], -1)[..., :zeros] = 0
        (above, below) = measured(maps, op.count(op.greater(x, 0)), op.count(op.less(x, 0.5)))
        assert set(above.ravel().tolist()) == {maps[0, 0].size - zeros}
        assert set(below.ravel().tolist()) == {zeros}


def test_the_cheap_way_to_count_is_taken_only_where_it_is_exact() -> None:
    cheap: list[str] = []
    both = op.count(op.greater(x, 0)), op.count(op.less(x, 5.999))
    measured(np.ones((1, 1, 4, 4), np.float32), *both, nodes=cheap)
    assert cheap.count("HardSigmoid") == 2
    assert not {"Greater", "Less"} & set(cheap)
    tiny: list[str] = []
    measured(np.ones((1, 1, 4, 4), np.float32), op.count(op.greater(x, 1e-35)), nodes=tiny)
    assert "HardSigmoid" not in tiny
    for maps, known in [(np.ones((1, 1, 4, 4)), True), (np.ones((1, 1, 4, 4), np.float32), False)]:
        general: list[str] = []
        measured(maps, op.count(op.greater(x, 0)), area_known=known, nodes=general)
        assert "HardSigmoid" not in general


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(threshold=0.0)
@example(threshold=6.0)
@example(threshold=-1.0)
@example(threshold=2.0**-100)
@example(threshold=-(2.0**-101))
@example(threshold=float(np.finfo(np.float32).max))
def test_the_step_lies_between_a_threshold_and_its_neighbours(threshold: float) -> None:
    """With both roundings that a runtime may make of slope * x + offset: after each operation, or once at the end."""
    line = ops.step(threshold)
    if line is None:
        assert abs(threshold) < 2.0**-100
        return
    at, tiny, large = np.float32(threshold), np.finfo(np.float32).tiny, np.finfo(np.float32).max
    with np.errstate(over="ignore"):
        near = [at, np.nextafter(at, np.float32(-np.inf)), np.nextafter(at, np.float32(np.inf)), at / 2, -at]
        numbers = np.array([*near, 0, -0.0, 1, -1, tiny, -tiny, large, -large, np.inf, -np.inf], np.float32)
        if threshold == 0:  # subnormal numbers fall between
            numbers = numbers[(numbers == 0) | (abs(numbers) >= tiny)]
        slope, offset = (np.float32(number) for number in line)
        assert np.isfinite([slope, offset]).all()
        for cut in (slope * numbers + offset, np.float64(slope) * numbers + np.float64(offset)):
            np.testing.assert_array_equal(np.clip(cut, 0, 1), numbers > at)
            np.testing.assert_array_equal(np.clip(-cut, 0, 1), numbers < at)


@pytest.mark.parametrize("threshold", [6.0, float(np.nextafter(np.float32(6), np.float32(0))), -0.3, 1e-3])
def test_numbers_next_to_a_threshold_are_counted_on_their_side_of_it(threshold: float) -> None:
    at = np.float32(threshold)
    near = [np.nextafter(at, np.float32(-np.inf)), at, np.nextafter(at, np.float32(np.inf)), np.inf, -np.inf]
    maps = np.array(near, np.float32).reshape(1, 5, 1, 1)
    nodes: list[str] = []
    above, below = measured(maps, op.count(op.greater(x, threshold)), op.count(op.less(x, threshold)), nodes=nodes)
    assert above.tolist() == [[0, 0, 1, 1, 0]]
    assert below.tolist() == [[1, 0, 0, 0, 1]]
    assert nodes.count("HardSigmoid") == 2


def test_the_number_of_positions_is_not_asked_of_the_maps_where_it_is_known() -> None:
    """Asking them would force a reorder of every map out of the runtime's blocked layout; once for a size is enough."""
    view = load(ZOO["chain"].data, name="chain")
    requests = [Request(tap.tensor, op.positions(x)) for tap in view.taps()]
    nodes = onnx.load_from_string(instrument(view, requests).model).graph.node
    assert [list(node.input) for node in nodes if node.op_type == "Shape"] == [["x"]]
    assert [node.op_type for node in nodes].count("Tile") == 1 < len(requests)
    open_size = load(ZOO["free_space"].data, name="free")
    free = onnx.load_from_string(instrument(open_size, [Request("r", op.positions(x))]).model).graph.node
    assert [list(node.input) for node in free if node.op_type == "Shape"] == [["r"]]


def test_the_smallest_is_looked_for_without_leaving_the_blocked_layout() -> None:
    """Neg of whole maps would force a reorder of them; -x by BatchNormalization is exact, for infinities too."""
    nodes: list[str] = []
    maps = np.array([[[[-0.0, 3e38, 1e-40, -7.5]], [[np.inf, 1, 2, 3]]]], np.float32)
    (low,) = measured(maps, op.min(x), nodes=nodes)
    assert low.tolist() == [[-7.5, 1.0]]
    assert nodes[1:3] == ["BatchNormalization", "GlobalMaxPool"]


def test_the_slope_is_steep_enough_for_the_smallest_normal_number_and_does_not_overflow_the_largest() -> None:
    small, large = np.finfo(np.float32).tiny, np.finfo(np.float32).max
    maps = np.array([[[small, large, -small, -large, 0, -0.0]]], np.float32)
    above, below = measured(maps, op.count(op.greater(x, 0)), op.count(op.less(x, 0)))
    assert (int(above[0, 0]), int(below[0, 0])) == (2, 2)
    assert ops.SLOPE * small >= 1


@pytest.mark.parametrize("threshold", [1e300, -1e300, 3.5e38])
def test_a_threshold_beyond_the_type_compares_as_it_would_on_paper(threshold: float) -> None:
    maps = np.array([[[3e38, -3e38, 0, np.inf]]], np.float32)
    with np.errstate(over="ignore"):
        above, below = measured(maps, op.count(op.greater(x, threshold)), op.count(op.less(x, threshold)))
    finite = maps[np.isfinite(maps)].astype(np.float64)
    assert int(above[0, 0]) == np.count_nonzero(finite > threshold) + (threshold < 0)
    assert int(below[0, 0]) == np.count_nonzero(finite < threshold)


def test_equal_measures_of_one_tensor_become_one_set_of_nodes() -> None:
    once: list[str] = []
    again: list[str] = []
    measured(maps_of("float32", 4), op.max(x), op.mean(op.abs(x)), nodes=once)
    measured(maps_of("float32", 4), op.max(x), op.mean(op.abs(x)), op.max(x), op.mean(op.abs(x)), nodes=again)
    assert once == again


def test_what_ops_builds_is_known_and_what_it_does_not_is_not() -> None:
    assert all(ops.is_known(m) for m in ALL)
    assert not ops.is_known(Value("median", "rows", (x,)))
    assert not ops.is_known(Value("max", "rows", (Value("sort", "maps", (x,)),)))


@pytest.mark.parametrize(
    "build",
    [
        lambda: op.count(x),
        lambda: op.max(op.max(x)),
        lambda: op.abs(op.greater(x, 0)),
        lambda: op.keep(op.mean(x)),
        lambda: op.greater(x, float("nan")),
        lambda: op.less(x, float("inf")),
    ],
)
def test_measures_that_make_no_sense_are_refused_where_they_are_written(build: Callable[[], Value]) -> None:
    with pytest.raises(PluginError):
        build()
