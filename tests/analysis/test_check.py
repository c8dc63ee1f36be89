"""The self-check: what watching does to a model's own outputs, measured and judged."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from models import RUNS, SAME, ZOO, W, model, numbers
from toys import Again, installed

from inspector import Array, Report, service
from inspector.analysis import observe
from inspector.analysis.check import compare, self_check
from inspector.errors import RunError
from inspector.report import Check
from inspector.runtime.session import Session

CHAIN = ZOO["chain"]
SOME = ("chain", "residual", "batch_norm_15", "transposed", "volume", "line", "float16_7", "batch_4",
        "batch_1_reshape_flat", "free_space", "in_a_loop", "integer_beside", "weight_computed", "names")  # fmt: skip


def audit(data: bytes, x: Array, **options: Any) -> Report:
    report = service.audit(data, x, ["sparsity"], **options)
    assert report.result("sparsity").failure is None
    return report


def check_of(report: Report) -> Check:
    assert report.provenance.check is not None, report.provenance.notes
    return report.provenance.check


@pytest.mark.parametrize("name", SOME)
def test_exact_watching_changes_no_bit_of_the_outputs(name: str) -> None:
    case = RUNS[name]
    shape = {"free_space": (3, 9, 7)}.get(name, case.shape)
    x = np.random.default_rng(1).normal(size=(3, *shape)).astype(case.dtype)
    report = audit(case.data, x, fidelity="exact", batch_size=2)
    check = check_of(report)
    assert (check.max_abs, check.max_rel, check.equal, check.passed) == (0, 0, True, True)
    assert check.outputs >= 1
    assert not any("warning" in note for note in report.provenance.notes)


def test_exact_runs_the_operators_of_the_file_and_adds_only_measures() -> None:
    """The chain's nodes, counted by hand."""
    operators = audit(CHAIN.data, CHAIN.inputs(2), fidelity="exact").provenance.operators
    assert {(o.domain, o.op): o.plain for o in operators if o.plain} == {("", "Conv"): 2, ("", "Relu"): 2}
    assert all(o.watched >= o.plain for o in operators)
    assert sum(o.watched for o in operators) > 4


def test_fast_runs_fuse_and_a_watched_value_can_no_longer_be_fused_away() -> None:
    """A batch normalisation that is folded into the convolution, unless something reads what lies between."""
    data = model(
        f"[c] a = Conv {SAME} (x, w) n = BatchNormalization (a, g, h, m, v) y = Relu(n)",
        weights={"w": W} | {k: np.abs(numbers(4, scale=i)) + 0.5 for i, k in enumerate("ghmv", 1)},
    )
    x = CHAIN.inputs(2)
    found = {}
    for kind in ("act", "conv"):
        operators = service.audit(data, x, [f"sparsity:kind={kind}"], fidelity="fast").provenance.operators
        kinds = {"Conv", "FusedConv", "BatchNormalization"}
        linear = [o for o in operators if o.op in kinds and o.domain != "inspector"]
        found[kind] = (sum(o.plain for o in linear), sum(o.watched for o in linear))
    assert found == {"act": (1, 1), "conv": (1, 2)}


def test_what_fast_changes_in_the_last_bits_is_measured_and_passes() -> None:
    x = CHAIN.inputs(2)
    for name in ("chain", "residual", "batch_norm_15"):
        check = check_of(audit(ZOO[name].data, x, fidelity="fast"))
        assert check.passed
        assert check.max_rel < 1e-5


def test_without_the_check_nothing_is_said_to_have_been_checked() -> None:
    report = audit(CHAIN.data, CHAIN.inputs(2), self_check=False)
    assert (report.provenance.check, report.provenance.operators) == (None, ())


def test_a_run_that_only_explores_is_checked_too() -> None:
    with installed(Again):
        provenance = service.inspect(CHAIN.data, CHAIN.inputs(2), ["again"]).provenance
    assert provenance.check is not None
    assert provenance.check.equal


def test_an_analysis_that_runs_the_model_several_times_has_it_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[int] = []
    monkeypatch.setattr(observe, "self_check", lambda *args, **ways: checks.append(1) or self_check(*args, **ways))
    with installed(Again):
        for analyses in (["again"], ["again", "sparsity"]):
            checks.clear()
            service.inspect(CHAIN.data, CHAIN.inputs(2), analyses)
            assert checks == [1]


def doctored(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """A runtime that gives something else where taps are watched."""
    run = Session.run

    def other(self: Session, feeds: Mapping[str, Array], **options: Any) -> Any:
        results = list(run(self, feeds, **options))
        return change(self, results) if any(n.startswith("inspector/") for n in self.outputs) else results

    monkeypatch.setattr(Session, "run", other)


@pytest.mark.parametrize(
    ("fidelity", "factor", "warning"),
    [("exact", 1 + 1e-6, "watching changes the model"), ("fast", 1.01, "the optimiser computes something else"),
     ("fast", 1 + 1e-6, "")],
)  # fmt: skip
def test_a_runtime_that_computes_something_else_when_watched_is_called_out(
    monkeypatch: pytest.MonkeyPatch, fidelity: Any, factor: float, warning: str
) -> None:
    def change(session: Session, results: list[Array]) -> list[Array]:
        return [a * np.float32(factor) if n == "y" else a for n, a in zip(session.outputs, results, strict=True)]

    doctored(monkeypatch, change)
    report = audit(CHAIN.data, CHAIN.inputs(2), fidelity=fidelity)
    check = check_of(report)
    assert not check.equal
    assert check.passed is not bool(warning)
    assert check.max_rel == pytest.approx(factor - 1, rel=0.2)
    notes = [note for note in report.provenance.notes if note.startswith("warning")]
    assert [warning in note for note in notes] == ([True] if warning else [])


@pytest.mark.parametrize(
    ("change", "problem"),
    [(lambda _: np.asarray(None), "the runtime gave nothing for it"), (lambda a: a[:, :1], "what it came in has"),
     (lambda a: a[..., None], "what it came in has"), (lambda a: a.astype(np.float64), "no whole numbers")],
    ids=["dropped", "channels", "axes", "type"],
)  # fmt: skip
def test_a_row_that_is_missing_or_of_another_form_is_an_error_that_names_the_tap(
    monkeypatch: pytest.MonkeyPatch, change: Any, problem: str
) -> None:
    def first(_: Session, results: list[Array]) -> list[Array]:
        whole = problem == "no whole numbers"
        at = next(i for i, a in enumerate(results) if (a.dtype.kind == "i") is whole)
        return [change(a) if i == at else a for i, a in enumerate(results)]

    doctored(monkeypatch, first)
    with pytest.raises(RunError, match=rf"tap 'c:act', measure '\w+': .*{problem}"):
        service.audit(CHAIN.data, CHAIN.inputs(2), self_check=False)


def test_an_output_that_a_session_does_not_have_is_an_error_that_names_the_tap(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Session.__init__

    def without_last(self: Session, *args: Any) -> None:
        made(self, *args)
        self.outputs = self.outputs[:-1]

    monkeypatch.setattr(Session, "__init__", without_last)
    with pytest.raises(RunError, match=r"tap '[cd]:act', measure '\w+': the runtime dropped it"):
        service.audit(CHAIN.data, CHAIN.inputs(2), self_check=False)


def test_where_nothing_can_be_written_the_run_goes_on_unchecked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    report = audit(CHAIN.data, CHAIN.inputs(2))
    assert report.provenance.check is None
    assert any(note.startswith("outputs not checked") for note in report.provenance.notes)


def test_a_check_that_would_not_fit_into_the_memory_is_left_out_and_told() -> None:
    """Nothing that is watched needs the large output; only the check would keep it."""
    body = f"[c] a = Conv {SAME} (x, w) r = Relu(a) y = Concat <axis=3> ({', '.join(['r'] * 64)})"
    net = model(body, inputs="float[N,3,H,W] x", weights={"w": W})
    small, large = (audit(net, numbers(2, 3, 16, 16), memory=size).provenance for size in (100_000, 1_000_000))
    assert (small.check, large.check is None) == (None, False)
    assert any("outputs not checked: with them the model would take" in note for note in small.notes)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1.0, NAN, INF], [1.0, NAN, INF], (0, 0, True, True)),
        ([2.0, -4.0], [2.0, -4.001], (0.001, 0.00025, False, True)),
        ([2.0, -4.0], [2.1, -4.0], (0.1, 0.025, False, False)),
        ([NAN, 1.0], [0.0, 1.0], (INF, INF, False, False)),
        ([INF, 1.0], [1.0, 1.0], (INF, INF, False, False)),
        ([0.0, 0.0], [0.0, 1e-9], (1e-9, INF, False, False)),
        ([0.0], [-0.0], (0, 0, True, True)),
        ([1.0, 2.0], [1.0], (0, 0, False, False)),
    ],
)  # fmt: skip
def test_the_distance_of_two_outputs(a: list[float], b: list[float], expected: tuple[float, float, bool, bool]) -> None:
    check = compare([np.array(a)], [np.array(b)], "fast")
    assert (check.max_abs, check.max_rel) == pytest.approx(expected[:2], rel=1e-9)
    assert (check.equal, check.passed) == expected[2:]


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ([1.0, -4.0], [1.0, -4.5], "up to 0.5 apart, 0.12 of the largest"),
        ([1.0], [NAN], "infinitely far apart (NaN or Inf in one alone)"),
        ([0.0], [0.25], "up to 0.25 apart"),
        ([1.0, 2.0], [1.0], "of other shapes, types or whole numbers"),
    ],
)
def test_the_distance_is_told_without_numbers_that_are_none(a: list[float], b: list[float], words: str) -> None:
    assert compare([np.array(a)], [np.array(b)], "fast").distance == words


@pytest.mark.parametrize(("dtype", "passed"), [("float16", True), (ml_dtypes.bfloat16, True), ("float32", False)])
@pytest.mark.parametrize("fidelity", ["fast", "exact"])
def test_half_precision_may_move_further(dtype: Any, passed: bool, fidelity: Any) -> None:
    """Also without optimisation: it is computed in 32 bits on the CPU, and rounded where it is watched."""
    check = compare([np.array([1.0], dtype)], [np.array([1.01], dtype)], fidelity)
    assert (check.passed, check.equal) == (passed, False)


@pytest.mark.parametrize("fidelity", ["fast", "exact"])
def test_float32_outputs_of_a_model_with_float16_inside_may_move_as_far(fidelity: Any) -> None:
    """Converters leave what a model takes and gives in float32, behind casts."""
    kernel = numbers(16, 3, 3, 3, scale=9).astype(np.float16)
    body = f"h = Cast <to=10> (x) [c] a = Conv {SAME} (h, w) r = Relu (a) [d] e = Conv (r, v) y = Cast <to=1> (e)"
    narrow = numbers(4, 16, 1, 1).astype(np.float16)
    report = audit(model(body, weights={"w": kernel, "v": narrow}), CHAIN.inputs(2), fidelity=fidelity)
    check = check_of(report)
    assert 1e-5 < check.max_rel < 1e-3  # as `c:act` is rounded where it is watched
    assert check.passed
    assert [n[:18] for n in report.provenance.notes if "warning" in n or "float16" in n] == ["float16 on the CPU"]


def test_without_optimisation_32_bits_move_by_nothing() -> None:
    a = np.array([1.0], np.float32)
    assert not compare([a], [np.nextafter(a, np.float32(2))], "exact").passed


def test_whole_numbers_and_texts_compare_exactly() -> None:
    for a, b in ((np.array([1, 2]), np.array([1, 3])), (np.array(["a"], object), np.array(["b"], object))):
        assert compare([a], [a.copy()], "fast").equal
        assert not compare([a], [b], "fast").passed
