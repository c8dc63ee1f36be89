"""Inputs that the model itself cannot run are skipped, counted and named; the others have their own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import SAME, W, model, numbers
from toys import Again, installed

from inspector import Note, Report, Table, service
from inspector.analysis import feed
from inspector.errors import InputError, LimitError, RunError
from inspector.runtime import session as session_module
from inspector.runtime.data import Raw

EVEN_BODY = (
    f"[c] a = Conv {SAME} (x, w) r = Relu(a) p = MaxPool <kernel_shape=[2,2], strides=[2,2]> (r) "
    f"[u] t = ConvTranspose <strides=[2,2]> (p, k) h = Relu(t) j = Concat <axis=1> (h, r) "
    f"[f] i = Conv {SAME} (j, z) y = Relu(i)"
)
EVEN_WEIGHTS = {"w": W, "k": numbers(4, 4, 2, 2), "z": numbers(2, 8, 3, 3)}
EVEN = model(EVEN_BODY, inputs="float[N,3,H,W] x", weights=EVEN_WEIGHTS)
LARGE = model("[c] a = Conv (x, w) y = Relu(a)", inputs="float[N,3,H,W] x", weights={"w": numbers(4, 3, 7, 7)})
NETS = {
    "less than 7 x 7": (LARGE, (3, 6, 2)),
    "sides that are not even": (EVEN, (21, 23, 25)),
    "and a batch that is fixed": (model(EVEN_BODY, inputs="float[1,3,H,W] x", weights=EVEN_WEIGHTS), (21, 23, 25)),
}
"""Sides that each cannot run."""


def pictures(sides: Sequence[int]) -> list[Raw]:
    """Each with its side in its name."""
    return [
        Raw(f"{i}, {side}", tensors={"x": np.random.default_rng(i).normal(size=(3, side, side)).astype(np.float32)})
        for i, side in enumerate(sides)
    ]


def saved(folder: Path, sides: Sequence[int]) -> None:
    folder.mkdir()
    for i, raw in enumerate(pictures(sides)):
        np.save(folder / f"{i}.npy", (raw.tensors or {})["x"])


def tables(report: Report) -> list[Any]:
    assert not any(result.failure for result in report.results)
    return [row for result in report.results for b in result.blocks if isinstance(b, Table) for row in b.rows]


@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("place", ["first", "amid", "last"])
@pytest.mark.parametrize("name", NETS)
def test_they_are_left_out_wherever_they_come(name: str, place: str, batch: int) -> None:
    net, bad = NETS[name]
    good = [20, 20, 24, 20, 30, 30, 30, 30]
    sides = {"first": [*bad, bad[0], *good], "amid": [*good[:3], *bad, *good[3:]], "last": [*good, *bad, bad[0]]}[place]
    data = pictures(sides)
    fit = [raw for raw, side in zip(data, sides, strict=True) if side not in bad]
    report, expected = (
        service.audit(net, some, ["sparsity", "distribution"], fidelity="exact", batch_size=batch)
        for some in (data, fit)
    )
    assert tables(report) == tables(expected)
    assert report.provenance.inputs == len(good)
    assert report.provenance.data_sha256 == expected.provenance.data_sha256
    assert report.provenance.check == expected.provenance.check
    assert [skipped.id for skipped in report.skipped] == [raw.id for raw in data if raw not in fit]
    for skipped in report.skipped:
        side = skipped.id.split()[1]
        assert (
            f"the model cannot run it, of the size 'x' (3, {side}, {side}); found [ONNXRuntimeError]" in skipped.reason
        )


def test_a_strict_run_ends_with_the_first_and_names_it() -> None:
    with pytest.raises(InputError, match=r"^input '1, 21': it cannot be used: the model cannot run it, of the size"):
        service.audit(EVEN, pictures([20, 21, 23]), ["sparsity"], strict=True)


def test_maps_are_not_given_of_some_inputs_only() -> None:
    with pytest.raises(InputError, match=r"^input '1, 21': it cannot be used: the model cannot run it, of the size"):
        service.activations(EVEN, pictures([20, 21, 20]))


def test_where_there_are_no_others_the_first_is_named() -> None:
    with pytest.raises(
        InputError, match=r"none of 3 inputs could be used; the first is 0, 21: the model cannot run it"
    ):
        service.audit(EVEN, pictures([21, 23, 21]), ["sparsity"])


def test_analyses_that_explore_see_the_others() -> None:
    report = service.inspect(EVEN, pictures([21, 20]), ["activations", "sparsity"])
    expected = service.inspect(EVEN, pictures([21, 20])[1:], ["activations", "sparsity"])
    assert tables(report) == tables(expected)
    assert report.skipped_count == 1


def test_a_run_that_goes_on_leaves_them_out_as_one_that_was_not_disturbed(tmp_path: Path) -> None:
    folder, kept = tmp_path / "pictures", tmp_path / "kept"
    saved(folder, [20, 21, 20, 24, 23, 24, 25, 27, 20])
    whole = service.audit(EVEN, folder, ["sparsity"], shard_size=3, resume=kept)
    assert (whole.provenance.inputs, whole.skipped_count) == (5, 4)
    sums = sorted(kept.glob("*.sum"))
    assert len(sums) == 3
    sums[0].unlink()
    again = service.audit(EVEN, folder, ["sparsity"], shard_size=3, resume=kept)
    assert tables(again) == tables(whole)
    assert again.skipped == whole.skipped
    assert again.provenance.data_sha256 == whole.provenance.data_sha256


def test_a_run_that_fails_for_another_reason_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model without measures runs then."""
    run = session_module.Session.run

    def failing(self: Any, feeds: Any, **options: Any) -> Any:
        if feeds["x"].shape[2] == 24 and any("inspector/" in name for name in self.outputs):
            raise RunError("run", "onnxruntime failed", found="no reason")
        return run(self, feeds, **options)

    monkeypatch.setattr(session_module.Session, "run", failing)
    for sides in ([24, 20], [20, 24], [20, 20, 24, 24]):
        with pytest.raises(RunError, match="no reason"):
            service.audit(EVEN, pictures(sides), ["sparsity"])


def of_numbers(numbers: Sequence[float]) -> list[Raw]:
    return [
        Raw(f"{i}: {number:g}", tensors={"x": np.full((3, 6, 5), number, np.float32)})
        for i, number in enumerate(numbers)
    ]


@pytest.mark.parametrize("batch", [0, 1, 2, 3, 8])
def test_those_that_fail_for_their_numbers_are_left_out_of_whatever_shares_a_run_with_them(batch: int) -> None:
    net = model(
        f"m = ReduceMax <axes=[1,2,3], keepdims=1> (x) i = Cast <to=7> (m) g = Gather <axis=0> (k, i) "
        f"f = Reshape(g, q) s = Mul(x, f) [c] a = Conv {SAME} (s, w) y = Relu(a)",
        inputs="float[N,3,6,5] x", weights={"w": W, "k": np.ones(3, np.float32), "q": np.array([-1, 1, 1, 1])},
    )  # fmt: skip
    numbers = [7, 2, 7, 1, 0, 2, 7, 7, 1, 0.5, 1, 2, 7]
    data = of_numbers(numbers)
    report = service.audit(net, data, ["sparsity", "distribution"], fidelity="exact", batch_size=batch)
    fit = [raw for raw, number in zip(data, numbers, strict=True) if number != 7]
    expected = service.audit(net, fit, ["sparsity", "distribution"], fidelity="exact", batch_size=batch)
    assert tables(report) == tables(expected)
    assert report.provenance.data_sha256 == expected.provenance.data_sha256
    assert [skipped.id for skipped in report.skipped] == ["0: 7", "2: 7", "6: 7", "7: 7", "12: 7"]
    assert all("the model cannot run it" in s.reason and "Gather" in s.reason for s in report.skipped)
    with pytest.raises(InputError, match=r"^input '0: 7': it cannot be used: the model cannot run it"):
        service.audit(net, data, ["sparsity"], batch_size=batch, strict=True)
    with pytest.raises(RunError, match=r"none of 2 inputs could be used; the first is 0: 7: .*Gather"):
        service.audit(net, of_numbers([7, 7]), ["sparsity"], batch_size=batch)


def test_a_device_that_fails_from_now_on_is_no_matter_of_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    run = session_module.Session.run
    left = 3

    def failing(self: Any, feeds: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise RunError("run", "onnxruntime failed", found="the device is gone")
        return run(self, feeds, **options)

    monkeypatch.setattr(session_module.Session, "run", failing)
    with pytest.raises(RunError, match="the device is gone"):
        service.audit(EVEN, pictures([20, 20, 20, 20, 20, 20]), ["sparsity"], batch_size=1, self_check=False)


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_where_the_data_begin_with_many_the_run_ends_early(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(feed, "MOST_REFUSED", 4)
    with pytest.raises(InputError, match=r"none of the first 4 inputs that were read could be used; the first is 0,"):
        service.audit(EVEN, pictures([21, 21, 21, 27, 20]), ["sparsity"], batch_size=batch)
    assert service.audit(EVEN, pictures([21, 21, 21, 20]), ["sparsity"], batch_size=batch).skipped_count == 3
    report = service.audit(EVEN, pictures([20, 21, 23, 25, 27, 29, 31]), ["sparsity"], batch_size=batch)
    assert report.skipped_count == 6


def test_a_shard_that_begins_with_many_is_the_same_whatever_ran_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MOST_REFUSED", 2)
    folder, kept = tmp_path / "pictures", tmp_path / "kept"
    saved(folder, [20, 20, 20, 21, 23, 21, 21, 21, 20])
    whole = service.audit(EVEN, folder, ["sparsity"], shard_size=3, resume=kept)
    assert (whole.provenance.inputs, whole.skipped_count) == (4, 5)
    for first in (1, 0):
        for number, stored in enumerate(sorted(kept.glob("*.sum"))):
            if number >= first:
                stored.unlink()
        again = service.audit(EVEN, folder, ["sparsity"], shard_size=3, resume=kept)
        assert tables(again) == tables(whole)
        assert again.skipped == whole.skipped


def test_analyses_that_explore_see_the_same_inputs_when_a_run_goes_on(tmp_path: Path) -> None:
    folder, kept = tmp_path / "pictures", tmp_path / "kept"
    saved(folder, [21, 20, 21, 20, 24, *[20] * 20])
    with installed(Again):
        whole, again = (service.audit(EVEN, folder, ["sparsity", "again"], shard_size=2, resume=kept) for _ in range(2))
        assert [block.text for block in whole.results[1].blocks if isinstance(block, Note)] == ["16 inputs, ratio 2.00"]
        assert again.results[1] == whole.results[1]
        assert tables(again) == tables(whole)


def test_one_that_is_too_large_for_the_memory_is_left_out() -> None:
    data = pictures([20, 700, 20, 24])
    report = service.audit(EVEN, data, ["sparsity"], memory=1 << 21)
    expected = service.audit(EVEN, [data[0], *data[2:]], ["sparsity"], memory=1 << 21)
    assert tables(report) == tables(expected)
    (skipped,) = report.skipped
    assert skipped.id == "1, 700"
    assert "watching the model run it needs too much memory, of the size 'x' (3, 700, 700); expected at most" in (
        skipped.reason
    )
    with pytest.raises(InputError, match="none of 1 input could be used; the first is 1, 700: watching the model"):
        service.audit(EVEN, data[1:2], ["sparsity"], memory=1 << 21)
    with pytest.raises(LimitError):
        service.activations(EVEN, data[1:2], memory=1 << 21)


def test_a_model_of_one_size_that_does_not_fit_is_an_error() -> None:
    net = model(EVEN_BODY, inputs="float[N,3,700,700] x", weights=EVEN_WEIGHTS)
    with pytest.raises(LimitError):
        service.audit(net, pictures([700]), ["sparsity"], memory=1 << 21)


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_what_is_said_of_a_fixed_batch_does_not_hang_on_inputs_that_cannot_run(tmp_path: Path, batch: int) -> None:
    net, _ = NETS["and a batch that is fixed"]
    folder, kept = tmp_path / "pictures", tmp_path / "kept"
    saved(folder, [21, 23, 20, 20, 21, 20])
    options: dict[str, Any] = {"shard_size": 2, "resume": kept, "batch_size": batch}
    whole = service.audit(net, folder, ["sparsity"], **options)
    (kept / "00000000.sum").unlink()
    assert service.audit(net, folder, ["sparsity"], **options).provenance.notes == whole.provenance.notes
    (kept / "00000001.sum").unlink()
    assert service.audit(net, folder, ["sparsity"], **options).provenance.notes == whole.provenance.notes
    told = " ".join(whole.provenance.notes)
    assert "could not be run" not in told
    if batch != 1:
        assert "made free, it gives two inputs the original's outputs" in told
