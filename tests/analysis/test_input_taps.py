"""What a model is fed, as a tap: through the graph with all others, and the same whatever runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import SAME, ZOO, B, W, model, numbers
from test_spread import Here
from toys import Peaks, Says, installed

from inspector import Array, Max, Min, Report, Sum, Summary, TensorInfo, service
from inspector.analysis import runner
from inspector.analysis.spread import Job
from inspector.contract import Ops
from inspector.contract.measures import TAPPED
from inspector.errors import NotFoundError
from inspector.graph.instrument import Request, instrument
from inspector.graph.taps import input_taps
from inspector.runtime import session as session_module

X = np.random.default_rng(8).normal(size=(23, 3, 6, 5)).astype(np.float32)
CHAIN = ZOO["chain"]
OPTIONS: dict[str, Any] = {"device": "cpu", "shard_size": 4, "batch_size": 3}


@dataclass(frozen=True, eq=False)
class Span(Summary):
    low: Min
    high: Max
    above: Sum


class Inputs(Says):
    """The numbers of every input channel, beside those of the layers."""

    name, summary = "inputs", Span

    def select(self, model: Any) -> Any:
        return (*model.input_taps, *model.taps())

    def observe(self, op: Any, x: Any, tap: Any) -> Any:
        return {"low": op.min(x), "high": op.max(x), "above": op.count(op.greater(x, 0.5))}

    def summarize(self, tap: Any, rows: Any, batch: Any) -> Span:
        return Span(rows["low"].min(0), rows["high"].max(0), rows["above"].sum(0))

    def finalize(self, model: Any, summaries: Any) -> str:
        return "; ".join(
            f"{t.name} {s.low.tolist()} {s.high.tolist()} {s.above.tolist()}" for t, s in summaries.items()
        )


def said(report: Report) -> str:
    (found,) = report.results
    assert found.failure is None, found.failure
    return found.blocks[0].text  # type: ignore[union-attr]


def expected(x: Array) -> str:
    axes = (0, 2, 3)
    return f"x:input {x.min(axes).tolist()} {x.max(axes).tolist()} {(x > 0.5).sum(axes).tolist()}; "


def test_an_audit_measures_what_was_fed_and_any_way_to_run_it_gives_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By other batch sizes, with checkpoints, in parts that are merged, and as tasks of a cluster."""
    np.save(tmp_path / "x.npy", X)
    pools: list[Here] = []

    @contextmanager
    def pool(runner: str, job: Job) -> Iterator[Here]:
        pools.append(Here(job))
        yield pools[-1]

    monkeypatch.setattr(service, "ray_pool", pool)
    with installed(Inputs):

        def run(**more: Any) -> str:
            return said(service.audit(CHAIN.data, tmp_path / "x.npy", ["inputs"], **OPTIONS | more))

        whole = run()
        assert whole.startswith(expected(X))
        assert "c:act" in whole
        assert run(batch_size=1) == run(runner="ray") == run(resume=tmp_path / "points") == whole
        next((tmp_path / "points").glob("*.sum")).unlink()
        assert run(resume=tmp_path / "points") == whole
        files = [tmp_path / f"{k}.sum" for k in (1, 2)]
        for k, file in enumerate(files, 1):
            run(part=f"{k}/2", summaries=file)
        assert said(service.merge(CHAIN.data, files)) == whole
    assert len(pools) == 1


@pytest.mark.parametrize("kind", ["uint8", "int32", "float16", "double"])
def test_other_element_types_are_measured_as_real_numbers(kind: str) -> None:
    x = (np.arange(4 * 3 * 4) % 7).reshape(2, 2, 3, 4).astype({"double": "float64"}.get(kind, kind))
    data = model(f"f = Cast <to=1> (x) [c] a = Conv {SAME} (f, w) y = Relu(a)", inputs=f"{kind}[N,2,3,4] x",
                 weights={"w": numbers(4, 2, 3, 3)})  # fmt: skip
    with installed(Inputs):
        assert said(service.audit(data, x, ["inputs"])).startswith(expected(x.astype(np.float64)))


def test_a_lab_gives_what_it_was_given() -> None:
    class Mirror(Says):
        name = "mirror"

        def explore(self, model: Any, lab: Any) -> str:
            (tap,) = model.input_taps
            return str(np.array_equal(lab.run(lab.inputs, [tap])[tap], lab.inputs["x"]))

    with installed(Mirror):
        assert said(service.inspect(CHAIN.data, X[:3], ["mirror"])) == "True"


def test_whole_inputs_count_in_the_budget_and_are_watched_in_waves(monkeypatch: pytest.MonkeyPatch) -> None:
    view = service.load(CHAIN.data)
    (tap,) = view.input_taps
    kept = instrument(view, [Request("x", Ops().keep(TAPPED))], shapes={"x": (3, 6, 5)})
    one = 3 * 6 * 5 * 4
    assert kept.map_bytes == one
    assert kept.footprint.part(kept.names).peak(2) == 2 * 2 * one  # what is fed, and what is given out
    last = service.load(model(f"t = Transpose <perm=[0,3,1,2]> (x) [c] a = Conv {SAME} (t, w) y = Relu(a)",
                              inputs="float[N,H,W,3] x", weights={"w": W}))  # fmt: skip
    assert instrument(last, [Request("x", Ops().keep(TAPPED))], shapes={"x": (6, 5, 3)}).map_bytes == one
    taps = (tap, *view.taps(("*:conv",)), *view.taps())
    whole = runner.gather(view, X[:1], taps, _setting())
    size = sum(maps.nbytes for maps in whole.values())
    built: list[int] = []
    build = session_module._build
    monkeypatch.setattr(session_module, "_build", lambda *args: built.append(1) or build(*args))
    tight = runner.gather(view, X[:1], taps, _setting(size + 100))
    for name, maps in whole.items():
        np.testing.assert_array_equal(tight[name], maps)
    assert len(built) > 1
    np.testing.assert_array_equal(whole[tap], X[:1])


def _setting(memory: int = 1 << 30) -> Any:
    return service._setting("", "cpu", "exact", 1, None, None, memory)


def test_patterns_find_layers_and_not_inputs() -> None:
    view = service.load(CHAIN.data)
    assert not any(tap.is_input for tap in view.taps())
    with pytest.raises(NotFoundError):
        view.taps("x:input")


def test_a_tap_of_another_models_input_is_refused() -> None:
    other = service.load(model(f"[c] a = Conv {SAME} (z, w) y = Add(a, b)", inputs="float[N,3,6,5] z",
                               weights={"w": W, "b": B.reshape(4, 1, 1)})).input_taps  # fmt: skip

    class Foreign(Peaks):
        name = "foreign"

        def select(self, model: Any) -> Any:
            return other

    with installed(Foreign):
        failure = service.audit(CHAIN.data, X[:1], ["foreign"]).results[0].failure
    assert failure is not None
    assert "'z:input'" in failure.message


@pytest.mark.parametrize(
    ("shape", "dtype", "channels"),
    [
        (("N", 3, 4, 4), "float32", 3),
        (("N", "C", 4), "bfloat16", 0),
        (("N", 4, 4, 4, 3), "uint8", 4),
        (("N", 4), "float32", None),
        (("N",), "float32", None),
        ((), "float32", None),
        (None, "float32", None),
        (("N", 3, 4, 4), "bool", None),
        (("N", 3, 4, 4), "object", None),
        (("N", 3, 4, 4), "unknown", None),
    ],
)
def test_inputs_that_are_numbers_with_axes_in_space_are_taps(shape: Any, dtype: str, channels: int | None) -> None:
    found = input_taps((TensorInfo("x", dtype, shape),))
    assert [tap.channels for tap in found] == ([] if channels is None else [channels])
    assert [tap.name for tap in found] == ["x:input"] * len(found)
