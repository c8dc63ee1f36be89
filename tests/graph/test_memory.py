"""The estimate of memory: by hand for small graphs, and against what the runtime itself says for real ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from models import SAME, ZOO, model, numbers
from test_light_models import light

from inspector import service
from inspector.analysis.plan import make_plan
from inspector.graph.instrument import instrument
from inspector.graph.rewriting.memory import Footprint, footprint
from inspector.runtime.devices import runtime

X = 3 * 6 * 5 * 4
"""Bytes of the input of most nets, for one input of the batch."""
A = 4 * 6 * 5 * 4
"""Bytes of four maps."""
WEIGHTS = {"w": numbers(4, 3, 3, 3)}
W = 4 * 27 * 4


def of(body: str, **options: object) -> Footprint:
    data = model(body, **options)  # type: ignore[arg-type]
    return footprint(data, batch_is_free=True)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_a_chain_holds_its_input_and_two_neighbours(batch: int) -> None:
    found = of(f"a = Conv {SAME} (x, w) r = Relu(a) s = Tanh(r) y = Neg(s)", weights=WEIGHTS)
    assert found.part(["y"]).peak(batch) == W + batch * (X + 2 * A)
    assert found.part(["y"]).weight == W
    assert found.unknown == ()


def test_outputs_and_values_that_are_read_late_stay() -> None:
    """a waits for the sum; u is an output."""
    found = of(f"a = Conv {SAME} (x, w) u = Relu(a) s = Tanh(u) y = Add(s, a)",
               outputs="float[N,C,H,W] y, float[N,C,H,W] u", weights=WEIGHTS)  # fmt: skip
    assert found.part(["y"]).peak(1) == W + X + 3 * A
    assert found.part(["y", "u"]).peak(1) == W + X + 4 * A


def test_a_view_takes_no_memory_of_its_own_and_keeps_its_source() -> None:
    found = of(f"a = Conv {SAME} (x, w) f = Flatten(a) g = Identity(f) y = Neg(g)", weights=WEIGHTS,
               outputs="float[N,M] y")  # fmt: skip
    assert found.part(["y"]).peak(1) == W + X + 2 * A


def test_a_part_of_a_graph_takes_only_what_lies_above_its_outputs() -> None:
    found = of(f"a = Conv {SAME} (x, w) r = Relu(a) e = Conv {SAME} (r, u) y = Relu(e)",
               weights={**WEIGHTS, "u": numbers(64, 4, 3, 3)})  # fmt: skip
    assert found.part(["r"]).peak(1) == W + X + 2 * A
    assert found.part(["y"]).weight == W + 64 * 36 * 4


def test_side_branches_run_after_the_trunk_so_their_sources_wait() -> None:
    """Three pooled maps, and the trunk's end: all are alive when the first pool gives its four numbers."""
    trunk = " ".join(f"v{i + 1} = Neg(v{i}) p{i} = GlobalMaxPool(v{i + 1})" for i in range(3))
    found = of(f"v0 = Conv {SAME} (x, w) {trunk} y = Neg(v3)", weights=WEIGHTS)
    assert found.part(["p0", "p1", "p2", "y"]).peak(1) == W + X + 4 * A + 4 * 4
    assert found.part(["y"]).peak(1) == W + X + 2 * A


def test_a_size_that_only_the_run_knows_is_said_to_be_unknown() -> None:
    found = of(
        f"a = Conv {SAME} (x, w) z = NonZero(a) y = Relu(a)", weights=WEIGHTS, outputs="float[N,C,H,W] y, int64[P,Q] z"
    )
    assert found.unknown == ("z",)
    assert found.part(["y", "z"]).peak(1) == W + X + 2 * A


def test_a_fixed_batch_is_counted_once_and_as_it_is() -> None:
    view = service.load(ZOO["batch_4"].data)
    written = instrument(view, (), keep_outputs=True)
    assert written.footprint.part(written.names).peak(1) == written.footprint.part(written.names).peak(9) > 4 * (X + A)


BATCH = 2


@pytest.mark.parametrize("fidelity", ["ALL", "DISABLE_ALL"])
@pytest.mark.parametrize("watched", [False, True], ids=["plain", "watched"])
@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_the_runtime_takes_between_half_and_twice_the_estimate(
    name: str, watched: bool, fidelity: str, tmp_path: Path
) -> None:
    """By the largest sum that its allocator had given out while any node ran."""
    view = light(name)
    shape = tuple(d for d in view.inputs[0].shape or () if isinstance(d, int))[1:]
    requests = make_plan(view, ["sparsity"], allow_maps=False).requests if watched else ()
    feed = view.inputs[0].name
    written = instrument(view, requests, shapes={feed: shape}, free=True, keep_outputs=True)
    ort = runtime()
    options = ort.SessionOptions()
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if fidelity == "ALL" else levels.ORT_DISABLE_ALL
    options.enable_profiling, options.profile_file_prefix, options.log_severity_level = True, str(tmp_path / "p"), 4
    weights = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in written.weights.items()}
    options.add_external_initializers(list(weights), list(weights.values()))
    session = ort.InferenceSession(written.model, options, providers=["CPUExecutionProvider"])
    session.run(None, {feed: np.ones((BATCH, *shape), np.float32)})
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    peaks = [int(e["args"]["mem_in_use_peak"]) for e in events if "mem_in_use_peak" in e.get("args", {})]
    estimate = written.footprint.part(written.names).peak(BATCH)
    assert estimate / 2 < max(peaks) < 2 * estimate
