"""Batches through a model: shared where that changes nothing, one by one where it would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from models import RUNS, SAME, ZOO, B, Case, W, model, numbers
from models_quantized import NETS
from toys import Again, installed

from inspector import Array, Note, Report, Table, service
from inspector.analysis.how import How
from inspector.analysis.observe import Observer
from inspector.control import Stop
from inspector.errors import LimitError, ModelError, StoppedError
from inspector.report import Provenance
from inspector.runtime import session as session_module
from inspector.runtime.data import Raw

FREED = "made free, it gives two inputs the original's outputs"
AS_IT_IS = "gives other outputs without that; it ran as it is"
ALONE = "goes by all inputs of a run together; so every input ran alone"


def channels(report: Report) -> list[tuple[Any, ...]]:
    table = report.result("sparsity").blocks[2]
    assert isinstance(table, Table)
    return list(table.rows)


def same(a: Report, b: Report) -> bool:
    """Counts and verdicts equal; max, min and mean to 1e-5."""
    return all(
        p[:4] == q[:4] and p[7:] == q[7:] and p[4:7] == pytest.approx(q[4:7], rel=1e-5, abs=1e-6)
        for p, q in zip(channels(a), channels(b), strict=True)
    )


def audit(data: bytes, x: Any, batch: int) -> tuple[Report, Provenance]:
    report = service.audit(data, x, ["sparsity"], fidelity="exact", batch_size=batch)
    assert report.result("sparsity").failure is None
    return report, report.provenance


@pytest.mark.parametrize("name", ["batch_1_reshape_rest", "batch_1_reshape_whole", "batch_1_reshape_flat", "batch_4"])
def test_a_fixed_batch_is_made_free_with_the_same_numbers(name: str) -> None:
    case = ZOO[name]
    x = case.inputs(7)
    (together, how), (alone, single) = (audit(case.data, x, size) for size in (5, 1))
    assert same(together, alone)
    assert how.batch == 5
    assert any(FREED in note for note in how.notes)
    assert single.batch == (4 if name == "batch_4" else 1)


MIXED = {
    "by a maximum over the batch": ZOO["batch_1_mixed"].data,
    "by weights that depend on all inputs": ZOO["weight_computed"].data,
    "in what no output shows": model(
        f"[c] a = Conv {SAME} (x, w) r = Relu(a) g = GlobalMaxPool(r) t = ArgMax <axis=1> (g) y = Identity(t) "
        f"m = ReduceMean <axes=[0]> (r) d = Sub(r, m) [e] h = Conv {SAME} (d, v) z = Relu(h)",
        inputs="float[1,3,6,5] x", outputs="int64[N,K,P,Q] y", weights={"w": W, "v": numbers(4, 4, 3, 3)},
    ),
    "by a normalisation that is training": model(
        f"[c] a = Conv {SAME} (x, w) n, p, q = BatchNormalization <training_mode=1> (a, g, g, g, g) y = Relu(n)",
        inputs="float[1,3,6,5] x", weights={"w": W, "g": np.ones(4, np.float32)},
    ),
}  # fmt: skip


def two_inputs(inputs: str, *, mixes: bool = False) -> bytes:
    """An image scaled by a vector; where it mixes them, by the mean of all that share a run."""
    scale = "j = ReduceMean <axes=[0], keepdims=1> (k) u = Unsqueeze(j, axes)" if mixes else "u = Unsqueeze(k, axes)"
    return model(f"{scale} m = Mul(x, u) [c] a = Conv {SAME} (m, w) y = Relu(a)", inputs=inputs,
                 weights={"w": W, "axes": np.array([2, 3])})  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "which", "mixes"),
    [
        ("float[N,3,6,5] x, float[1,3] k", "'k' to 1", False),
        ("float[1,3,6,5] x, float[N,3] k", "'x' to 1", False),
        ("float[?,3,6,5] x, float[1,3] k", "'k' to 1", False),
        ("float[N,3,6,5] x, float[2,3] k", "'k' to 2", False),
        ("float[N,3,6,5] x, float[1,3] k", "'k' to 1", True),
        ("float[1,3,6,5] x, float[?,3] k", "'x' to 1", True),
    ],
)
def test_a_batch_that_one_of_several_inputs_fixes_holds_for_all_of_them(inputs: str, which: str, mixes: bool) -> None:
    """It is freed where that changes nothing; where it would, inputs run one at a time."""
    rng = np.random.default_rng(0)
    feeds = {"x": rng.normal(size=(6, 3, 6, 5)).astype("f"), "k": rng.normal(size=(6, 3)).astype("f")}
    shared, how = audit(two_inputs(inputs, mixes=mixes), feeds, 4)
    free = two_inputs("float[N,3,6,5] x, float[N,3] k", mixes=mixes)
    assert same(shared, audit(free, feeds, 1 if mixes else 4)[0])
    assert how.batch == (1 if mixes else 4)
    expected = "gives other outputs without that; it ran as it is" if mixes else FREED
    (note,) = (note for note in how.notes if "fixes" in note)
    assert note.startswith(f"the model fixes the batch of {which}")
    assert note.endswith(expected)
    assert how.memory is not None
    assert how.memory.estimate > 0
    assert not any("not known beforehand" in note for note in how.notes)
    maps = service.activations(two_inputs(inputs), feeds, ["c:conv"])["c:conv"]
    assert maps.shape == (6, 4, 6, 5)


def test_inputs_that_fix_different_batches_are_told_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    feeds = {"x": np.ones((4, 3, 6, 5), "f"), "k": np.ones((4, 3), "f")}
    data = two_inputs("float[2,3,6,5] x, float[1,3] k")
    monkeypatch.setattr(How, "open", None)
    for batch in (0, 1, 2):
        with pytest.raises(ModelError, match=r"fix different batch sizes.* found 'x' to 2, 'k' to 1. Export it with"):
            service.audit(data, feeds, batch_size=batch)
    assert service.inspect(data, analyses=["filters"]).ok


@pytest.mark.parametrize("how", MIXED)
@pytest.mark.parametrize("alike", [False, True], ids=["different", "alike"])
def test_a_model_that_would_mix_its_inputs_runs_as_it_is(how: str, alike: bool) -> None:
    """Also where the first inputs are all alike, so that mixing them would not show."""
    x = np.random.default_rng(3).normal(size=(6, 3, 6, 5)).astype(np.float32)
    if alike:
        x[:4] = x[0]
    (together, shared), (alone, _) = (audit(MIXED[how], x, size) for size in (4, 1))
    assert same(together, alone)
    assert shared.batch == 1
    assert any((AS_IT_IS if how == "by a maximum over the batch" else ALONE) in note for note in shared.notes)


def test_what_fills_up_a_fixed_batch_is_cut_off_again() -> None:
    case = ZOO["batch_4"]
    x = case.inputs(6)
    report = service.inspect(case.data, x, ["sparsity"])
    assert report.provenance.inputs == 6
    assert report.provenance.batch == 4
    assert any("filled up with copies of the last input" in note for note in report.provenance.notes)
    maps = service.activations(case.data, x)["c:act"]
    assert maps.shape == (6, 4, 6, 5)
    assert [row[3] for row in channels(report)] == (maps != 0).any((2, 3)).sum(0).tolist()
    for i in range(6):
        np.testing.assert_array_equal(service.activations(case.data, x[i : i + 1])["c:act"], maps[i : i + 1])


@pytest.mark.parametrize("batch", [1, 2, 3, 16])
@pytest.mark.parametrize("name", ["chain", "residual", "free_space", "float16_7", "volume", "line"])
def test_the_batch_size_changes_nothing(name: str, batch: int) -> None:
    case: Case = RUNS[name]
    shape = {"free_space": (3, 9, 7)}.get(name, case.shape)
    x = np.random.default_rng(1).normal(size=(5, *shape)).astype(case.dtype)
    (one, first), (other, second) = (audit(case.data, x, size) for size in (5, batch))
    assert same(one, other)
    assert first.data_sha256 == second.data_sha256


def test_fixed_and_freed_cost_two_more_sessions_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []
    build = session_module._build
    monkeypatch.setattr(session_module, "_build", lambda *args: built.append(1) or build(*args))
    model, x = ZOO["batch_1_reshape_rest"].data, ZOO["chain"].inputs(4)
    service.audit(model, x, batch_size=4, self_check=False)
    assert len(built) == 3
    built.clear()
    service.audit(model, x, batch_size=1, self_check=False)
    assert len(built) == 1


def test_inputs_that_would_share_a_scale_found_at_run_time_run_alone() -> None:
    """A dark picture beside a bright one would be rounded to a few steps, or to nothing."""
    x = np.random.default_rng(4).normal(size=(3, 3, 6, 5)).astype(np.float32) * np.array([0.01, 1, 100]).reshape(
        3, 1, 1, 1
    )
    reports = [service.audit(NETS["integer_dynamic"].data, x.astype(np.float32), batch_size=b) for b in (1, 3)]
    alone, together = (report.result("sparsity").blocks[0] for report in reports)
    assert alone == together
    assert reports[1].provenance.batch == 1
    assert any("DynamicQuantizeLinear 'q': goes by all inputs" in note for note in reports[1].provenance.notes)


def test_a_run_on_cuda_says_how_it_computes() -> None:
    view = service.load(ZOO["chain"].data)
    observer = Observer(view, (), How(device="cuda", fidelity="fast", stop=Stop(), batch_size=4))
    observer.device = "cuda:0"
    assert any("no TF32" in note for note in observer.notes)


def test_the_report_says_what_was_left_out_and_how_float16_was_computed() -> None:
    (note,) = service.audit(ZOO["in_a_loop"].data, ZOO["chain"].inputs(1), batch_size=2).provenance.notes
    assert note.startswith("1 convolution is not watched: Conv 'inner' is inside the body of Loop 'l', which")
    (note,) = service.audit(ZOO["float16_7"].data, ZOO["float16_7"].inputs(1), batch_size=2).provenance.notes
    assert note.startswith("float16 on the CPU: onnxruntime computes in float32")


def test_outputs_that_are_no_arrays_do_not_stand_in_the_way() -> None:
    """Classifiers of some services give a list of dictionaries beside the numbers."""
    body = f"[c] a = Conv {SAME} (x, w, b) r = Relu(a) y = GlobalMaxPool(r) s = SequenceConstruct(y, y)"
    data = model(body, inputs="float[1,3,6,5] x", outputs="float[N,M,P,Q] y, seq(float[N,M,P,Q]) s",
                 weights={"w": W, "b": B})  # fmt: skip
    (together, _), (alone, _) = (audit(data, ZOO["chain"].inputs(4), size) for size in (4, 1))
    assert same(together, alone)


def test_whole_maps_of_one_input_are_limited_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_build", lambda *_: pytest.fail("a session was made"))
    with pytest.raises(LimitError, match="one input would bring out too many bytes; expected at most 959, found 960"):
        service.activations(ZOO["chain"].data, ZOO["chain"].inputs(1), memory=959)


def test_whole_maps_of_one_call_are_limited() -> None:
    assert len(service.activations(ZOO["chain"].data, ZOO["chain"].inputs(8), memory=8 * 960)) == 2
    with pytest.raises(LimitError, match="too large to hold"):
        service.activations(ZOO["chain"].data, ZOO["chain"].inputs(9), memory=8 * 960)


def test_exploring_sees_all_inputs_of_an_inspection_that_have_one_size() -> None:
    def seen(x: Any) -> str:
        with installed(Again):
            (block,) = service.inspect(ZOO["free_space"].data, x, ["again"]).result("again").blocks
        assert isinstance(block, Note)
        return block.text.split(",")[0]

    def raw(name: str, side: int) -> Raw:
        return Raw(name, tensors={"x": np.ones((3, side, side), np.float32)})

    assert seen(np.ones((5, 3, 6, 5), np.float32)) == "5 inputs"
    assert seen([raw("a", 8), raw("b", 9), raw("c", 8)]) == "2 inputs"


@pytest.mark.parametrize("batch", [0, 1, 5, 40])
def test_exploring_sees_the_first_16_inputs_of_an_audit_whatever_its_batches(batch: int) -> None:
    """In shards of five, so that it has to read more than one of them."""
    with installed(Again):
        x = ZOO["chain"].inputs(30)
        report = service.audit(ZOO["chain"].data, x, ["again"], batch_size=batch, shard_size=5)
        (block,) = report.result("again").blocks
    assert isinstance(block, Note)
    assert block.text.startswith("16 inputs, ")


@pytest.mark.parametrize("sides", [(64, 8), (8, 64)])
def test_of_inputs_of_several_sizes_the_smallest_batch_is_reported(sides: tuple[int, int]) -> None:
    net = model(f"[c] a = Conv {SAME} (x, w) y = Relu(a)", inputs="float[N,3,H,W] x", weights={"w": W})
    data = [Raw(f"{side}-{i}", tensors={"x": numbers(3, side, side)}) for side in sides for i in range(8)]
    found = [
        service.audit(net, data, ["sparsity"], batch_size=8, memory=m).provenance.batch for m in (1 << 20, 1 << 28)
    ]
    assert found[0] < found[1] == 8  # the large ones alone have to go in smaller batches


def test_a_run_that_only_explores_says_where_it_ran() -> None:
    with installed(Again):
        provenance = service.inspect(ZOO["chain"].data, ZOO["chain"].inputs(3), ["again"]).provenance
    assert (provenance.device, provenance.fidelity, provenance.batch, provenance.inputs) == ("cpu", "exact", 1, 3)
    assert provenance.providers == {"CPUExecutionProvider": 2}  # the convolution, and what brings it out


def test_a_stop_ends_the_comparison_of_a_fixed_batch_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop()
    run = session_module.Session.run

    def stopped(self: Any, feeds: Mapping[str, Array], **options: Any) -> Any:
        stop.set()
        return run(self, feeds, **options)

    monkeypatch.setattr(session_module.Session, "run", stopped)
    with pytest.raises(StoppedError):
        service.audit(ZOO["batch_1_reshape_rest"].data, ZOO["chain"].inputs(4), batch_size=4, stop=stop)
