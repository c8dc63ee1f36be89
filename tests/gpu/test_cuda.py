"""The same work on the CUDA provider: `make gpu`. Skipped, with the reason, where there is no GPU to run on."""

from __future__ import annotations

import numpy as np
import pytest
from models import SAME, W, model

from inspector import Ops, Raw, service
from inspector.contract.measures import TAPPED
from inspector.errors import ProviderError
from inspector.graph.instrument import Request, instrument
from inspector.runtime.data import batches, open_source
from inspector.runtime.preprocess import Preprocess
from inspector.runtime.session import open_session
from inspector.samples import SAMPLES, Sample

pytestmark = pytest.mark.gpu

TOLERANCE = 1e-4
"""Of a map's largest value: float32 convolutions that add in another order; TF32 is off."""


@pytest.fixture(autouse=True)
def cuda() -> None:
    try:
        service.activations(SAMPLES[0].model, np.zeros((1, 1, 16, 16), np.float32), ["conv1"], device="cuda")
    except ProviderError as error:
        pytest.skip(f"no CUDA here: {error}")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_maps_on_cuda_equal_maps_on_the_cpu(sample: Sample) -> None:
    pictures = sorted(sample.pictures.rglob("*.png"))[:8]
    runs = {
        device: service.activations(sample.model, pictures, ["*:conv"], preprocess=sample.preprocess, device=device)
        for device in ("cpu", "cuda")
    }
    for name, expected in runs["cpu"].items():
        scale = np.abs(expected).max()
        np.testing.assert_allclose(runs["cuda"][name], expected, rtol=0, atol=TOLERANCE * scale, err_msg=name)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
@pytest.mark.parametrize("fidelity", ["fast", "exact"])
def test_an_audit_on_cuda_finds_what_an_audit_on_the_cpu_finds(sample: Sample, fidelity: service.Fidelity) -> None:
    reports = {
        device: service.audit(
            sample.model, sample.pictures, preprocess=sample.preprocess, device=device, fidelity=fidelity
        )
        for device in ("cpu", "cuda")
    }
    assert reports["cuda"].provenance.device == "cuda:0"
    assert reports["cuda"].provenance.providers["CUDAExecutionProvider"] > 0
    cpu, cuda = (reports[d].result("sparsity").blocks[0] for d in ("cpu", "cuda"))
    fractions = [[row[4] for row in table.rows] for table in (cpu, cuda)]
    # A unit may sit so near to zero that another order of adding tips it: one in ten thousand is allowed.
    np.testing.assert_allclose(np.array(fractions[1], float), np.array(fractions[0], float), rtol=0, atol=1e-4)


def test_counts_on_cuda_equal_counts_over_its_own_maps() -> None:
    sample = SAMPLES[0]
    pictures = sorted(sample.pictures.rglob("*.png"))[:16]
    maps = service.activations(sample.model, pictures, preprocess="unit", device="cuda", fidelity="fast")
    report = service.audit(sample.model, pictures, preprocess="unit", device="cuda", batch_size=1)
    table = {row[0]: row[4] for row in report.result("sparsity").blocks[0].rows}
    for name, values in maps.items():
        assert table[name] == pytest.approx(float((values == 0).mean()), abs=1e-12)


def test_extremes_on_cuda_are_elements_of_its_own_maps() -> None:
    """The smallest comes by way of a normalisation by -1, which must be exact: constant channels hang on it."""
    sample = SAMPLES[0]
    pictures = sorted(sample.pictures.rglob("*.png"))[:4]
    view, op = service.load(sample.model), Ops()
    taps = view.taps(("*:conv",))
    requests = [Request(tap.tensor, row) for tap in taps for row in (op.min(TAPPED), op.max(TAPPED), op.keep(TAPPED))]
    source = open_source(pictures, view.inputs, Preprocess.parse("unit"))
    feeds = next(iter(batches(source, 4))).feeds
    model = instrument(view, requests, shapes={name: array.shape[1:] for name, array in feeds.items()})
    with open_session(model.model, weights=model.weights, device="cuda") as session:
        rows = list(model.rows(session.run(feeds)).values())
    for low, high, maps in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        np.testing.assert_array_equal(low, maps.min((2, 3)))
        np.testing.assert_array_equal(high, maps.max((2, 3)))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_inputs_bound_to_the_gpu_give_the_rows_that_others_give(sample: Sample) -> None:
    """In batches of two sizes; copying changes no bit."""
    view, op = service.load(sample.model), Ops()
    requests = [Request(tap.tensor, row) for tap in view.taps() for row in (op.max(TAPPED), op.mean(TAPPED))]
    source = open_source(sorted(sample.pictures.rglob("*.png"))[:7], view.inputs, Preprocess.parse(sample.preprocess))
    for batch in batches(source, 4):
        model = instrument(view, requests, shapes={name: array.shape[1:] for name, array in batch.feeds.items()})
        with open_session(model.model, weights=model.weights, device="cuda") as session:
            bound = session.run(batch.feeds)
            for a, b in zip(session.run(batch.feeds, bound=False), bound, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("batch", [0, 5])
def test_a_batch_is_chosen_for_cuda_and_changes_no_count(batch: int) -> None:
    sample = SAMPLES[0]
    reports = [
        service.audit(
            sample.model, sample.pictures, preprocess="unit", device="cuda", fidelity="exact", batch_size=size
        )
        for size in (batch, 1)
    ]
    assert reports[0].provenance.batch == (batch or 64)
    first, other = (report.result("sparsity").blocks[0].rows for report in reports)
    np.testing.assert_allclose(
        np.array([r[4] for r in first], float), np.array([r[4] for r in other], float), atol=1e-4
    )


def test_auto_takes_the_gpu() -> None:
    sample = SAMPLES[0]
    report = service.audit(sample.model, sample.pictures, preprocess="unit")
    assert report.provenance.device == "cuda:0"


def test_a_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ProviderError, match="cuda:99"):
        service.audit(SAMPLES[0].model, SAMPLES[0].pictures, preprocess="unit", device="cuda:99")


def test_inputs_of_many_sizes_have_the_counts_on_cuda_that_they_have_alone() -> None:
    """One model and one session for all of them there too."""
    data = model(f"[c] a = Conv {SAME} (x, w) y = Relu(a)", inputs="float[N,3,H,W] x", weights={"w": W})
    sides = np.random.default_rng(0).integers(2, 90, (20, 2))
    pictures = [
        Raw(str(i), tensors={"x": np.random.default_rng(i).normal(size=(3, *side)).astype(np.float32)})
        for i, side in enumerate(sides)
    ]
    counts = [service.audit(data, some, ["sparsity"], device="cuda") for some in [pictures, *([p] for p in pictures)]]
    together, *alone = (np.array([row[3] for row in report.result("sparsity").blocks[2].rows]) for report in counts)
    np.testing.assert_array_equal(together, sum(alone))
