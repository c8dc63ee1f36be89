"""Measures on the CUDA provider against NumPy over its own maps: sizes at which its libraries may take another way."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from models import NEWEST, model, numbers
from operator_chains import apart, variants

from inspector import Ops, Value, service
from inspector.contract import Array
from inspector.contract.measures import TAPPED
from inspector.errors import ProviderError, RunError
from inspector.graph.instrument import Request, instrument
from inspector.runtime.session import open_session

pytestmark = pytest.mark.gpu

op = Ops()
MEASURES = (
    op.max(TAPPED),
    op.min(TAPPED),
    op.mean(TAPPED),
    op.count(op.greater(TAPPED, 0)),
    op.count(op.greater(TAPPED, 0.25)),
    op.count(op.less(TAPPED, -0.25)),
)
SHAPES = [(3, 1, 1), (3, 7, 7), (3, 33, 1100), (3, 1024, 1030), (3, 5), (3, 70_000), (3, 4, 40, 41), (3, 4000, 4000)]


@pytest.fixture(scope="module")
def device() -> str:
    data = model("y = Relu(x)", outputs="float[N,3,6,5] y")
    try:
        with open_session(data, device="cuda"):
            return "cuda"
    except ProviderError as error:
        pytest.skip(f"no CUDA here: {error}")


def measured(data: bytes, feeds: Array, device: str, measures: tuple[Value, ...] = MEASURES) -> list[Array]:
    """Rows of the convolution, and its maps last."""
    view = service.load(data)
    tensor = view.taps(("*:conv",))[0].tensor
    requests = [Request(tensor, measure) for measure in (*measures, op.keep(TAPPED))]
    written = instrument(view, requests, shapes={"x": feeds.shape[1:]})
    with open_session(written.model, weights=written.weights, device=device) as session:
        return list(written.rows(session.run({"x": feeds})).values())


def check(rows: list[Array]) -> None:
    *found, maps = rows
    space = tuple(range(2, maps.ndim))
    np.testing.assert_array_equal(found[0], maps.max(space))
    np.testing.assert_array_equal(found[1], maps.min(space))
    largest = np.abs(maps).max()
    np.testing.assert_allclose(found[2], maps.mean(space, dtype=np.float64), rtol=0, atol=3e-6 * largest)
    for counted, mask in zip(found[3:], (maps > 0, maps > 0.25, maps < -0.25), strict=True):
        np.testing.assert_array_equal(counted, mask.sum(space))


@pytest.mark.parametrize("opset", [9, 13, NEWEST])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_measures_of_maps_of_any_size_are_those_of_the_maps(shape: tuple[int, ...], opset: int, device: str) -> None:
    axes = ",".join(map(str, shape))
    data = model(
        "y = Conv(x, w)",
        inputs=f"float[N,{axes}] x",
        outputs=f"float[N,C,{','.join('ABC'[: len(shape) - 1])}] y",
        weights={"w": numbers(2, 3, *[1] * (len(shape) - 1))},
        opset=opset,
    )
    check(measured(data, np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32), device))


def test_sixty_six_thousand_inputs_at_once_are_counted_rightly_or_not_at_all(device: str) -> None:
    """cuDNN is known to refuse pooling over a batch of 65,536 (onnxruntime issue 29819): then the run is an error."""
    data = model("y = Conv(x, w)", inputs="float[N,3,2,2] x", weights={"w": numbers(2, 3, 1, 1)})
    with contextlib.suppress(RunError):
        check(measured(data, np.random.default_rng(0).normal(size=(66_000, 3, 2, 2)).astype(np.float32), device))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_shows_in_mean_or_extremes(number: float, device: str) -> None:
    feeds = np.zeros((3, 3, 9, 8), np.float32)
    feeds[1, :, 4, 4] = number
    data = model("y = Conv(x, w)", inputs="float[N,3,9,8] x", weights={"w": np.ones((2, 3, 1, 1), np.float32)})
    high, low, mean, *_ = measured(data, feeds, device)
    assert np.isfinite([high[[0, 2]], low[[0, 2]], mean[[0, 2]]]).all()
    assert not np.isfinite(mean[1]).any()


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_operators_on_cuda_compute_what_they_do_on_the_cpu(opset: int, device: str) -> None:
    operators, random = variants(opset), np.random.default_rng(opset)
    chains = [[name] for name in operators] + [random.choice(list(operators), 2).tolist() for _ in range(100)]
    found = {" > ".join(chain): apart([operators[name] for name in chain], opset, device) for chain in chains}
    assert {chain: how for chain, how in found.items() if how} == {}
