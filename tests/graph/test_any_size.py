"""One rewritten model for inputs of any size: the rows that a model of their own would give them, or none at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import numpy as np
import onnx
import pytest
from models import RUNS, SAME, Case, W, model, numbers
from models_branches import BRANCHED
from models_quantized import NETS

from inspector import Array, Ops, Value
from inspector.contract.measures import TAPPED
from inspector.errors import RunError
from inspector.graph.instrument import Request, Shapes, instrument, spaces_of
from inspector.graph.load import load
from inspector.graph.view import OnnxView
from inspector.runtime.session import open_session

op = Ops()
KEEP = op.keep(TAPPED)
ROWS = (
    op.max(TAPPED), op.min(TAPPED), op.mean(TAPPED), op.count(op.greater(TAPPED, 0)), op.count(op.less(TAPPED, -0.25)),
    op.positions(TAPPED),
)  # fmt: skip


def with_free_sizes(data: bytes) -> bytes:
    proto = onnx.load_from_string(data)
    weights = {tensor.name for tensor in proto.graph.initializer}
    for value in proto.graph.input:
        for place, dim in enumerate(value.type.tensor_type.shape.dim):
            if place > 1 and value.name not in weights:
                dim.dim_param = f"size{place}"
    del proto.graph.value_info[:]
    return proto.SerializeToString()


def sizes_of(case: Case) -> list[tuple[int, ...]]:
    """Of the case, smaller and larger ones, and one axis of each."""
    channels, *space = case.shape
    factors = [(1, 1, 1), (2, 2, 2), (1, 3, 1), (3, 2, 5), (9, 7, 1)]
    return [(channels, *(size * f for size, f in zip(space, some, strict=False))) for some in factors]


def requests_of(view: OnnxView, measures: Sequence[Value] = ROWS) -> list[Request]:
    taps = [tap for layer in view.layers for tap in layer.taps.values()]
    return [Request(tap.tensor, measure) for tap in taps for measure in measures]


def assert_rows_are_of_maps(rows: Mapping[Request, Array], maps: Mapping[Request, Array], half: bool = False) -> None:
    for request, row in rows.items():
        array = maps[Request(request.tensor, KEEP)].astype(np.float32)
        space = tuple(range(2, array.ndim))
        twins = [
            array.max(space), array.min(space), array.mean(space, dtype=np.float64), (array > 0).sum(space),
            (array < -0.25).sum(space), np.full((len(array), 1), array[0, 0].size),
        ]  # fmt: skip
        expected = twins[ROWS.index(request.measure)]
        off = np.abs(array).max() * (1e-3 if half else 2e-6) if request.measure.op == "mean" else 0
        np.testing.assert_allclose(row, expected, rtol=0, atol=off, err_msg=str(request))


class Sized:
    """A model for any size, and one that brings out whole maps, both open."""

    def __init__(self, stack: ExitStack, view: OnnxView, planned: Shapes, measures: Sequence[Value] = ROWS) -> None:
        self.view = view
        self.written = instrument(view, requests_of(view, measures), shapes=planned, any_size=True)
        self.kept = instrument(view, requests_of(view, (KEEP,)))
        self._session, self._plain = (
            stack.enter_context(open_session(model.model, weights=model.weights, device="cpu", fidelity="exact"))
            for model in (self.written, self.kept)
        )

    def maps(self, x: Array) -> dict[Request, Array]:
        return self.kept.rows(self._plain.run({"x": x}))

    def rows(self, x: Array) -> dict[Request, Array] | None:
        """None where the model cannot be used for inputs of this size."""
        spaces = spaces_of(self.written, self.view, {"x": x.shape[1:]})
        return None if spaces is None else self.written.rows(self._session.run({"x": x}), spaces)


@pytest.mark.parametrize("name", sorted({*RUNS} - {"names"}))
def test_rows_are_those_of_the_maps_at_every_size_whichever_it_was_written_for(name: str) -> None:
    case, view = RUNS[name], load(with_free_sizes(RUNS[name].data))
    batch, ran, used = (view.inputs[0].shape or ())[0], 0, 0
    for planned in (sizes_of(case)[0], sizes_of(case)[-1]):
        with ExitStack() as stack:
            net = Sized(stack, view, {"x": planned})
            for shape in sizes_of(case):
                count = batch if isinstance(batch, int) else 2
                x = np.random.default_rng(1).normal(size=(count, *shape)).astype(case.dtype)
                try:
                    maps = net.maps(x)
                except RunError:  # it takes one size only, whatever its input says
                    continue
                rows, ran = net.rows(x), ran + 1
                if rows is not None:
                    used += 1
                    assert_rows_are_of_maps(rows, maps, half=case.dtype == "float16")
    assert (ran, used) == ((2, 1) if name == "bias_of_positions" else (10, 10))


def test_a_map_that_is_too_large_to_be_averaged_is_measured_otherwise_whatever_it_was_written_for() -> None:
    """A model whose counts are averaged cannot be used for it; one that sums them up does for any size."""
    view = load(model("[c] a = Conv (x, w) y = Relu(a)", inputs="float[N,1,H,W] x", weights={"w": numbers(1, 1, 1, 1)}))
    large = np.random.default_rng(0).normal(size=(1, 1, 2049, 2049)).astype(np.float32)
    measures = (op.count(op.greater(TAPPED, 0)), op.positions(TAPPED))
    with ExitStack() as stack:
        for_small = Sized(stack, view, {"x": (1, 30, 30)}, measures)
        assert for_small.rows(large[..., :2048, :2048]) is not None
        assert for_small.rows(large) is None
        for_large = Sized(stack, view, {"x": (1, 2049, 2049)}, measures)
        for x in (large, large[..., :300, :70]):
            rows = for_large.rows(x)
            assert rows is not None
            assert_rows_are_of_maps(rows, for_large.maps(x))


@pytest.mark.parametrize("any_size", [True, False])
def test_a_recording_of_more_positions_than_float32_counts_is_counted_exactly(any_size: bool) -> None:
    """Along one axis alone float32 would lose what is beyond 2^24, and digits of the mean long before."""
    one = {"w": np.ones((1, 1, 1), np.float32)}
    view = load(model("[c] a = Conv (x, w) y = Relu(a)", inputs="float[N,1,T] x", weights=one))
    x = np.full((1, 1, (1 << 24) + 3), 0.1, np.float32)
    requests = [Request("y", op.count(op.greater(TAPPED, 0))), Request("y", op.mean(TAPPED))]
    written = instrument(view, requests, shapes={"x": x.shape[1:]}, any_size=any_size)
    with open_session(written.model, weights=written.weights, device="cpu", fidelity="exact") as session:
        spaces = spaces_of(written, view, {"x": x.shape[1:]}) if any_size else {}
        assert spaces is not None
        count, mean = written.rows(session.run({"x": x}), spaces).values()
    assert count.item() == x.size
    assert mean.item() == pytest.approx(0.1, rel=3e-6)


def test_a_model_whose_channels_go_by_the_size_of_its_input_has_a_model_for_each() -> None:
    """Rows of all layers leave it side by side, so how many channels each has must not change."""
    view = load(model(
        f"[c] a = Conv {SAME} (x, w) t = Transpose <perm=[0,2,1,3]> (a) y = Relu(t)",
        inputs="float[N,3,H,W] x", weights={"w": W},
    ))  # fmt: skip
    with ExitStack() as stack:
        written = Sized(stack, view, {"x": (3, 6, 5)})
        for shape in ((3, 6, 5), (3, 6, 9), (3, 12, 5)):
            x = numbers(2, *shape)
            rows = written.rows(x)
            if rows is not None:
                assert_rows_are_of_maps(rows, written.maps(x))


@pytest.mark.parametrize("name", BRANCHED)
def test_branches_are_measured_at_any_size(name: str) -> None:
    view = load(with_free_sizes(BRANCHED[name].data))
    with ExitStack() as stack:
        net = Sized(stack, view, {"x": (3, 6, 5)})
        for shape in ((3, 6, 5), (3, 20, 31)):
            for sign in (1, -1):
                x = sign * np.abs(numbers(1, *shape))
                rows = net.rows(x)
                assert rows is not None
                taken = {request: row for request, row in rows.items() if len(row)}
                assert len(taken) >= len(ROWS)
                assert_rows_are_of_maps(taken, net.maps(x))


@pytest.mark.parametrize("name", [name for name, net in NETS.items() if net.runs])
def test_quantized_maps_have_the_rows_that_a_model_of_their_own_size_gives(name: str) -> None:
    view = load(with_free_sizes(NETS[name].data))
    with ExitStack() as stack:
        net = Sized(stack, view, {"x": (3, 6, 5)})
        for shape in ((3, 6, 5), (3, 23, 30)):
            x = numbers(2, *shape)
            rows = net.rows(x)
            own = instrument(view, requests_of(view), shapes={"x": shape})
            with open_session(own.model, weights=own.weights, device="cpu", fidelity="exact") as session:
                expected = own.rows(session.run({"x": x}))
            assert rows is not None
            for request, row in rows.items():
                np.testing.assert_allclose(row, expected[request], rtol=3e-6, atol=1e-6, err_msg=str(request))
