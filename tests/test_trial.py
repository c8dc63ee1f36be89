"""Models in the process that tries them: what is found is told, and what kills that process kills nothing else."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import asdict
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from models import SAME, ZOO, W, model

import inspector
from inspector.errors import InspectorError, LimitError, ModelError, NotFoundError
from inspector.graph.loading.limits import DEFAULT_LIMITS
from inspector.runtime.confined import End, Outcome
from inspector.trial import Trial, answer

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not enforce a limit on memory")


def test_a_good_model_is_found_good_by_bytes_and_by_path(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(ZOO["chain"].data)
    assert inspector.vet(ZOO["chain"].data) == inspector.vet(path) == Trial(2)


def test_a_refusal_says_what_loading_would_say(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as loaded:
        inspector.load(ZOO["chain"].data[:-3], name="né")
    with pytest.raises(ModelError) as tried:
        inspector.vet(ZOO["chain"].data[:-3], name="né")
    assert str(tried.value) == str(loaded.value)
    with pytest.raises(NotFoundError, match="no such file"):
        inspector.vet(tmp_path / "absent.onnx")


def bomb(gigabytes: int) -> bytes:
    """A weight of so many GiB, computed by a graph of a few bytes."""
    filters = gigabytes * (1 << 28) // 27
    body = f"k = ConstantOfShape(s) [c] a = Conv {SAME} (x, k) y = Relu(a)"
    return model(body, weights={"s": np.array([filters, 3, 3, 3])})


@on_linux
def test_a_model_that_takes_too_much_memory_is_refused_by_the_limit_on_it() -> None:
    with pytest.raises(LimitError, match="not enough memory"):
        inspector.vet(bomb(1), memory=700 << 20)


def test_a_model_that_takes_too_long_is_refused_by_the_limit_on_it() -> None:
    with pytest.raises(LimitError, match=r"model 'slow': .*takes too long.*at most 0.2 s.*more seconds"):
        inspector.vet(ZOO["chain"].data, name="slow", seconds=0.2)


@pytest.mark.parametrize(
    ("outcome", "kind", "text"),
    [
        (Outcome(End.CRASHED, detail="signal SIGSEGV"), ModelError, "causes a crash.*SIGSEGV"),
        (Outcome(End.MEMORY, detail="more than 9 bytes"), LimitError, "too much memory.*allow a trial more memory"),
        (Outcome(End.ANSWERED, b""), ModelError, "no sensible answer"),
        (Outcome(End.ANSWERED, b'{"layers": "2"}'), ModelError, "no sensible answer"),
        (Outcome(End.ANSWERED, b'{"layers": 2, "more": 1}'), ModelError, "no sensible answer"),
        (Outcome(End.ANSWERED, b'{"error": {"reason": "STOPPED"}}'), ModelError, "no sensible answer"),
    ],
)
def test_a_crash_and_a_senseless_answer_are_errors_of_the_model(
    outcome: Outcome, kind: type[InspectorError], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inspector.trial.run_confined", lambda *_: outcome)
    with pytest.raises(kind, match=text):
        inspector.vet(b"a model")


def tried(data: bytes) -> dict[str, object]:
    """The child's answer, without a child."""
    request = {"path": "", "name": "m", "limits": asdict(DEFAULT_LIMITS)}
    verdict: dict[str, object] = json.loads(answer(io.BytesIO(data), [json.dumps(request)]))
    return verdict


def test_a_model_that_no_runtime_runs_is_no_danger_and_says_why_it_does_not_run() -> None:
    tail = model(f"[c] a = Conv {SAME} (x, w) y = com.example.Relu(a)", weights={"w": W})
    head = model(f"b = com.example.Relu(x) [c] a = Conv {SAME} (b, w) y = Relu(a)", weights={"w": W})
    assert (tried(tail)["layers"], tried(tail)["refusal"]) == (1, "")
    assert tried(head)["layers"] == 1
    assert "com.example: Relu (1 node)" in str(tried(head)["refusal"])


@pytest.mark.parametrize(("kind", "dtype"), [("double", np.float64), ("bfloat16", ml_dtypes.bfloat16)])
def test_an_element_type_without_kernels_has_its_facts_and_says_what_is_missing(kind: str, dtype: type) -> None:
    proto = onnx.load_from_string(
        model(f"[c] a = Conv {SAME} (x, w) y = Relu(a)", inputs=f"{kind}[N,3,6,5] x", outputs=f"{kind}[N,C,H,W] y",
              opset=22, ir=10, weights={"w": W})
    )  # fmt: skip
    proto.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(W.astype(dtype), "w"))
    data = proto.SerializeToString()
    np.testing.assert_array_equal(inspector.load(data).filters("c").weight, W.astype(dtype).astype(np.float64))
    assert tried(data)["layers"] == 1
    assert "onnxruntime has no Conv for its element type on cpu; found Conv of opset 22" in str(tried(data)["refusal"])


def test_facts_that_a_layer_does_not_have_are_no_reason_to_refuse_a_model() -> None:
    assert tried(ZOO["weight_computed"].data)["layers"] == 1
