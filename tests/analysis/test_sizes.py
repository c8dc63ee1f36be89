"""Audits of pictures of many sizes: the numbers that each has alone, from one session, whatever came before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import SAME, ZOO, W, model, numbers

from inspector import Report, Table, service
from inspector.analysis.fitting import Fitting
from inspector.faces.wire import report_to_json
from inspector.runtime import session as session_module
from inspector.runtime.data import Raw

V = numbers(4, 4, 3, 3)
NETS = {
    "classifier": model(
        f"[c] a = Conv {SAME} (x, w) r = Relu(a) p = MaxPool <kernel_shape=[2,2], strides=[2,2]> (r) "
        f"[d] e = Conv {SAME} (p, v) s = Relu(e) g = GlobalAveragePool(s) y = Flatten(g)",
        inputs="float[N,3,H,W] x", outputs="float[N,4] y", weights={"w": W, "v": V},
    ),
    "encoder and decoder": model(
        f"[c] a = Conv {SAME} (x, w) r = Relu(a) p = MaxPool <kernel_shape=[2,2], strides=[2,2]> (r) "
        f"[d] e = Conv {SAME} (p, v) s = Relu(e) [u] t = ConvTranspose <strides=[2,2]> (s, k) h = Relu(t) "
        f"j = Concat <axis=1> (h, r) [f] i = Conv {SAME} (j, z) y = Relu(i)",
        inputs="float[N,3,H,W] x", weights={"w": W, "v": V, "k": numbers(4, 4, 2, 2), "z": numbers(2, 8, 3, 3)},
    ),
    "sizes computed from the shape": model(
        f"[c] a = Conv {SAME} (x, w) r = Relu(a) m = Shape(r) o = Slice(m, two, four) q = Div(o, twice) "
        f"n = Slice(m, none, two) l = Concat <axis=0> (n, q) z = Resize (r, , , l) [d] e = Conv {SAME} (z, v) "
        "y = Relu(e)",
        inputs="float[N,3,H,W] x",
        weights={"w": W, "v": V, "none": np.array([0]), "two": np.array([2]), "four": np.array([4]),
                 "twice": np.array([2, 2])},
    ),
    "channels last in the middle": model(
        f"[c] a = Conv {SAME} (x, w) t = Transpose <perm=[0,2,3,1]> (a) r = Relu(t) m = MatMul(r, b) "
        f"u = Transpose <perm=[0,3,1,2]> (m) [d] e = Conv {SAME} (u, v) y = Relu(e)",
        inputs="float[N,3,H,W] x", weights={"w": W, "v": V, "b": numbers(4, 4)},
    ),
}  # fmt: skip


def pictures(sides: Sequence[tuple[int, int]], seed: int = 0) -> list[Raw]:
    random = np.random.default_rng(seed)
    return [
        Raw(f"{i}", tensors={"x": random.normal(size=(3, *side)).astype(np.float32)}, label=f"class {i % 3}")
        for i, side in enumerate(sides)
    ]


def many_sides(count: int, seed: int = 0) -> list[tuple[int, int]]:
    """Even ones, in no order; some come twice in a row."""
    sides = np.random.default_rng(seed).integers(2, 40, (count, 2)) * 2
    return [(int(a), int(b)) for a, b in np.repeat(sides, 2, axis=0)[:count]]


def facts(report: Report) -> dict[str, list[Any]]:
    """Every row of every table of every analysis that counts."""
    assert not any(result.failure for result in report.results)
    return {
        f"{result.name} {block.title}": list(block.rows)
        for result in report.results
        for block in result.blocks
        if hasattr(block, "rows")
    }


def assert_same(found: dict[str, list[Any]], expected: dict[str, list[Any]]) -> None:
    """Integers and words are equal, real numbers within 3e-6: docs/numbers.md."""
    assert found.keys() == expected.keys()
    for name, rows in found.items():
        assert len(rows) == len(expected[name])
        for row, other in zip(rows, expected[name], strict=True):
            for a, b in zip(row, other, strict=True):
                assert a == (pytest.approx(b, rel=3e-6, abs=3e-6) if isinstance(b, float) else b), (name, row, other)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One for every session that is made."""
    built: list[int] = []
    build = session_module._build
    monkeypatch.setattr(session_module, "_build", lambda *args: built.append(1) or build(*args))
    return built


@pytest.mark.parametrize("fidelity", ["exact", "fast"])
@pytest.mark.parametrize("name", NETS)
def test_pictures_of_many_sizes_have_the_numbers_of_models_made_for_each_size(
    name: str, fidelity: Any, sessions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pictures(many_sides(60))
    analyses = ["sparsity", "distribution", "selectivity"]
    found = service.audit(NETS[name], data, analyses, fidelity=fidelity)
    assert len(sessions) < 10  # the largest grows a few times
    few = len(sessions)
    monkeypatch.setattr(Fitting, "_plan_for_all", lambda *_: None)
    expected = service.audit(NETS[name], data, analyses, fidelity=fidelity)
    assert len(sessions) - few > 30
    assert_same(facts(found), facts(expected))
    assert found.provenance.inputs == expected.provenance.inputs == 60
    assert found.provenance.data_sha256 == expected.provenance.data_sha256


@pytest.mark.parametrize("name", NETS)
def test_zeros_largest_and_mean_are_those_of_all_maps_by_numpy(name: str) -> None:
    data = pictures(many_sides(25, seed=3), seed=4)
    report = service.audit(NETS[name], data, ["sparsity"], fidelity="exact")
    layers, channels, _ = (list(b.rows) for b in report.result("sparsity").blocks if isinstance(b, Table))
    taps = [row[0] for row in layers]
    maps = [service.activations(NETS[name], [raw], taps, fidelity="exact") for raw in data]
    for tap, channel, zeros, active, most, least, mean, _ in channels:
        every = [of_one[tap][0, channel].astype(np.float64) for of_one in maps]
        flat = np.concatenate([one.ravel() for one in every])
        assert zeros == np.count_nonzero(flat == 0) / flat.size
        assert active == sum(bool((one != 0).any()) for one in every)
        assert (most, least) == (flat.max(), flat.min())
        assert mean == pytest.approx(np.mean([one.mean() for one in every]), rel=3e-6)  # every map weighs the same


def text(report: Report) -> str:
    """The report as JSON, without its times."""
    tree = json.loads(report_to_json(report))
    for time in ("started", "seconds", "waited"):
        del tree["provenance"][time]
    return json.dumps(tree)


def test_what_a_shard_gives_does_not_hang_on_the_sizes_that_came_before_it(tmp_path: Path) -> None:
    """Or a run that goes on from checkpoints would give another report than one that nobody disturbed."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    sides = [(9, 9), (16, 50), (40, 12), (7, 7), (60, 8), (8, 60), (30, 30), (5, 6), (6, 5), (64, 64), (9, 9), (4, 4)]
    for i, raw in enumerate(pictures([(2 * a, 2 * b) for a, b in sides])):
        np.save(folder / f"{i:02}.npy", (raw.tensors or {})["x"])
    kept = tmp_path / "kept"

    def audit() -> str:
        net, options = NETS["encoder and decoder"], {"shard_size": 3, "resume": kept}
        return text(service.audit(net, folder, ["sparsity", "distribution"], **options))  # type: ignore[arg-type]

    whole = audit()
    shards = sorted(kept.glob("*.sum"))
    assert len(shards) == 4
    for left in range(4):
        for number, shard in enumerate(shards):
            if number != left:
                shard.unlink()
        assert audit() == whole


def test_one_session_does_for_all_sizes_where_the_largest_comes_first(sessions: list[int]) -> None:
    service.audit(NETS["classifier"], pictures([(80, 80), (80, 80), *many_sides(40)]), ["sparsity"])
    assert len(sessions) == 2 + 1, "two of the self-check, which is made once"


def test_a_new_session_is_made_only_where_the_model_is_written_otherwise(sessions: list[int]) -> None:
    """Up to 64 positions are averaged at once: so maps of 8 x 8 and of 8 x 9 differ, and those up to 56 x 56 do not."""
    sides = [(8, 8), (8, 4), (8, 8), (8, 9), (16, 16), (8, 8)]
    service.audit(ZOO["free_space"].data, pictures(sides), batch_size=2)
    assert len(sessions) == 2 + 2, "two of the self-check, which is made once"


def test_sizes_that_take_turns_are_planned_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    planned, plan = [], Fitting._plan
    monkeypatch.setattr(
        Fitting, "_plan", lambda self, form, key, **more: planned.append(key) or plan(self, form, key, **more)
    )
    service.audit(NETS["classifier"], pictures([(8, 6), (6, 8), (6, 6)] * 4), ["sparsity"])
    assert planned == [(("x", (3, 8, 6)),), (("x", (3, 8, 8)),)]


def test_small_inputs_share_runs_though_a_large_one_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many do goes by the largest of about their size; of about any, by the largest of all."""
    sizes: list[int] = []
    run = session_module.Session.run

    def counted(self: Any, feeds: Any, **options: Any) -> Any:
        sizes.append(len(feeds["x"]))
        return run(self, feeds, **options)

    monkeypatch.setattr(session_module.Session, "run", counted)
    data = pictures([(1024, 1024)] * 2 + [(16, 16)] * 64)
    report = service.audit(NETS["classifier"], data, ["sparsity"], self_check=False, memory=1 << 28)
    assert sizes == [1, 1, 64]
    assert report.provenance.batch == 1


def test_sizes_of_which_only_all_together_are_too_large_have_models_of_their_own(sessions: list[int]) -> None:
    """A wide and a high picture fit, one that is as wide and as high does not."""
    data = pictures([(8, 4096), (4096, 8)] * 3)
    report = service.audit(NETS["classifier"], data, ["sparsity"], memory=1 << 24)
    assert report.result("sparsity").failure is None
    assert len(sessions) == 2 + 6
    assert (report.provenance.memory or sessions).estimate <= 1 << 24  # type: ignore[union-attr]


def test_whole_maps_are_watched_by_a_model_for_each_size(sessions: list[int]) -> None:
    """Their bytes are known beforehand then."""
    maps = service.activations(NETS["classifier"], pictures([(8, 8)] * 2), ["c:act"])
    assert maps["c:act"].shape == (2, 4, 8, 8)
