"""A session: what it gives, what it says of itself, how it ends."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from models import SAME, ZOO, model, numbers

import inspector
from inspector.control import Stop
from inspector.errors import LimitError, ProviderError, RunError, StoppedError
from inspector.runtime import devices, session
from inspector.runtime.devices import CPU, CUDA, Device
from inspector.runtime.session import open_session

CHAIN = ZOO["chain"]


def test_outputs_come_in_the_order_of_the_model() -> None:
    data = model("p = Relu(x) q = Neg(x)", outputs="float[N,C,H,W] q, float[N,C,H,W] p")
    x = CHAIN.inputs(2)
    with open_session(data, device="cpu") as opened:
        assert opened.outputs == ("q", "p")
        q, p = opened.run({"x": x})
    np.testing.assert_array_equal(q, -x)
    np.testing.assert_array_equal(p, np.maximum(x, 0))


@pytest.mark.parametrize("name", ["chain", "free_space", "float16_7"])
def test_bound_inputs_give_what_others_give(name: str) -> None:
    """As on CUDA, here with the CPU's own memory; inputs need not lie in one piece."""
    case = ZOO[name]
    (info,) = inspector.load(case.data).inputs
    x = np.asfortranarray(case.inputs(5)[1:4])
    with open_session(case.data, device="cpu") as opened:
        expected = opened.run({info.name: x})
        for shrink in (False, True):
            found = opened.run({info.name: x}, shrink=shrink, bound=True)
            for a, b in zip(expected, found, strict=True):
                np.testing.assert_array_equal(a, b)
                assert a.dtype == b.dtype


def test_bound_outputs_come_in_the_order_of_the_model_also_where_one_is_there_twice() -> None:
    """Sequences too: classifiers of some services give them."""
    body = "q = Neg(x) p = Relu(x) s = SequenceConstruct(p, q)"
    shape = "float[N,C,H,W]"
    data = model(body, outputs=f"{shape} q, {shape} p, seq({shape}) s, {shape} q")
    x = CHAIN.inputs(2)
    with open_session(data, device="cpu") as opened:
        assert opened.outputs == ("q", "p", "s", "q")
        first, p, s, second = opened.run({"x": x}, bound=True)
    np.testing.assert_array_equal(first, -x)
    np.testing.assert_array_equal(second, -x)
    np.testing.assert_array_equal(p, np.maximum(x, 0))
    np.testing.assert_array_equal(s, [np.maximum(x, 0), -x])


@pytest.mark.parametrize(
    "feeds",
    [{}, {"z": CHAIN.inputs(1)}, {"x": CHAIN.inputs(1)[:, :2]}, {"x": CHAIN.inputs(1).astype(np.float64)}],
    ids=["nothing", "name", "shape", "type"],
)
def test_bound_feeds_that_do_not_fit_are_an_error_and_the_session_goes_on(feeds: dict[str, Any]) -> None:
    with open_session(CHAIN.data, device="cpu") as opened:
        with pytest.raises(RunError, match="onnxruntime failed"):
            opened.run(feeds, bound=True)
        assert len(opened.run({"x": CHAIN.inputs(1)}, bound=True)) == 1


def test_a_bound_run_is_stopped_like_any_other() -> None:
    stop = Stop()
    with open_session(CHAIN.data, device="cpu", stop=stop) as opened:
        stop.set()
        with pytest.raises(StoppedError):
            opened.run({"x": CHAIN.inputs(1)}, bound=True)


@pytest.mark.parametrize(("device", "bound"), [(Device("cpu", CPU, {}), 0), (Device("cuda:0", CUDA, {}), 1)])
def test_inputs_are_bound_where_the_device_has_memory_of_its_own(
    device: Device, bound: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(session, "run_bound", lambda *args: told.append(args[-1]) or [])
    with open_session(CHAIN.data, device="cpu") as opened:
        one = session.Session(opened._session, device, Stop())
        one.run({"x": CHAIN.inputs(1)})
    assert told == [device.name] * bound


def test_exact_runs_every_node_of_the_model_and_fast_fuses_some() -> None:
    with open_session(CHAIN.data, device="cpu", fidelity="exact") as opened:
        assert (opened.device, dict(opened.providers)) == ("cpu", {CPU: 4})
    with open_session(CHAIN.data, device="cpu", fidelity="fast") as opened:
        assert opened.providers[CPU] < 4 + 3  # two fused convolutions, and changes of layout


@pytest.mark.parametrize(
    "data",
    [b"", b"no model", ZOO["foreign_operator"].data, model("y = Relu(x)", ir=99)],
)
def test_what_the_runtime_cannot_load_is_an_error_of_one_line(data: bytes) -> None:
    with pytest.raises(RunError, match=r"onnxruntime cannot load it; found .+") as caught, open_session(data):
        pass
    assert "\n" not in str(caught.value)
    assert "exact" in caught.value.remedy, "onnxruntime's optimiser refuses some sound graphs"
    with pytest.raises(RunError) as caught, open_session(data, fidelity="exact"):
        pass
    assert not caught.value.remedy


@pytest.mark.parametrize(
    "feeds",
    [{}, {"z": CHAIN.inputs(1)}, {"x": CHAIN.inputs(1)[:, :2]}, {"x": CHAIN.inputs(1).astype(np.float64)},
     {"x": CHAIN.inputs(1), "z": CHAIN.inputs(1)}],
    ids=["nothing", "name", "shape", "type", "more"],
)  # fmt: skip
def test_feeds_that_do_not_fit_are_an_error_and_the_session_goes_on(feeds: dict[str, Any]) -> None:
    with open_session(CHAIN.data, device="cpu") as opened:
        with pytest.raises(RunError, match="onnxruntime failed"):
            opened.run(feeds)
        assert len(opened.run({"x": CHAIN.inputs(1)})) == 1


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Bad.\nMore of it.", "Bad."),
        ("It is:\n  this.\nMore.", "It is: this."),
        ("It is:", "It is:"),
        ("", "RuntimeError"),
        ("No:\n" * 1000, ("No: " * 1000)[:400].strip()),
    ],
)
def test_what_an_error_announces_is_told_with_it(said: str, told: str) -> None:
    with open_session(CHAIN.data, device="cpu") as opened:

        def fail(*_: object) -> None:
            raise RuntimeError(said)

        opened._session = SimpleNamespace(run=fail)
        with pytest.raises(RunError) as caught:
            opened.run({"x": CHAIN.inputs(1)})
        assert caught.value.found.strip() == told


def test_wrong_dimensions_are_told_with_their_numbers() -> None:
    case = ZOO["batch_4"]
    with open_session(case.data, device="cpu") as opened, pytest.raises(RunError) as caught:
        opened.run({"x": case.inputs(3)})
    assert "input: x for the following indices index: 0 Got: 3 Expected: 4" in caught.value.found


def test_too_little_memory_is_a_limit_with_a_remedy() -> None:
    with open_session(CHAIN.data, device="cpu") as opened:

        def fail(*_: object) -> None:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 1099511627776\nmore")

        opened._session = SimpleNamespace(run=fail)
        with pytest.raises(LimitError, match=r"not enough memory.*1099511627776.*smaller batch"):
            opened.run({"x": CHAIN.inputs(1)})


def test_a_stop_that_was_asked_for_before_prevents_the_run() -> None:
    stop = Stop()
    with open_session(CHAIN.data, device="cpu", stop=stop) as opened:
        stop.set()
        opened._session = SimpleNamespace(run=lambda *_: pytest.fail("it ran"))
        with pytest.raises(StoppedError):
            opened.run({"x": CHAIN.inputs(1)})


def test_a_stop_ends_a_single_long_run_in_native_code() -> None:
    """Minutes of work: a stop that were only looked at between runs would let it end by itself."""
    nodes = " ".join(f"v{k + 1} = Conv {SAME} (v{k}, w)" for k in range(2000))
    data = model(f"v0 = Identity(x) {nodes} y = Relu(v2000)", inputs="float[N,16,128,128] x",
                 weights={"w": numbers(16, 16, 3, 3)})  # fmt: skip
    stop = Stop()
    x = np.ones((8, 16, 128, 128), np.float32)
    with open_session(data, device="cpu", fidelity="exact", stop=stop) as opened:
        timer = threading.Timer(0.2, stop.set)
        timer.start()
        with pytest.raises(StoppedError):
            opened.run({"x": x})
        timer.join()


def test_the_model_is_let_go_at_the_end_also_after_an_error() -> None:
    opened: Any = None

    references: list[weakref.ref[Any]] = []

    def inner() -> None:
        nonlocal opened
        with open_session(CHAIN.data, device="cpu") as opened:
            references.append(weakref.ref(opened._session))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        inner()
    gc.collect()
    assert references[0]() is None
    with pytest.raises(AssertionError, match="closed"):
        opened.run({"x": CHAIN.inputs(1)})


def test_without_a_runtime_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ProviderError, match=r"not installed.*pip install 'onnx-inspector\[cpu\]'"):
        devices.runtime()
    assert [device.name for device in devices.find_devices("cpu")] == ["cpu"]  # analyses of weights need no runtime


def fake_runtime(monkeypatch: pytest.MonkeyPatch, inference: Any) -> None:
    """onnxruntime with another way to build sessions."""
    real = devices.runtime()
    fake = SimpleNamespace(
        SessionOptions=real.SessionOptions, GraphOptimizationLevel=real.GraphOptimizationLevel,
        InferenceSession=inference, get_available_providers=lambda: [CUDA, CPU],
    )  # fmt: skip
    monkeypatch.setattr(session, "runtime", lambda: fake)
    monkeypatch.setattr(devices, "runtime", lambda: fake)


def test_a_runtime_that_falls_back_to_the_cpu_by_itself_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_runtime(monkeypatch, lambda *_, **__: SimpleNamespace(get_providers=lambda: [CPU]))
    with (
        pytest.raises(ProviderError, match=f"fell back.*expected {CUDA}, found {CPU}"),
        open_session(b"", device="cuda"),
    ):
        pass


def test_a_driver_that_does_not_fit_is_an_error_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA failure 35: CUDA driver version is insufficient")

    fake_runtime(monkeypatch, broken)
    with pytest.raises(ProviderError, match=r"'cuda:0'.*cannot be used.*driver"), open_session(b"", device="cuda"):
        pass


def test_the_cpu_is_given_the_cores_of_this_process_and_waits_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []

    def remember(_: bytes, options: Any, **__: object) -> Any:
        seen.append(options)
        return SimpleNamespace(get_providers=lambda: [CPU])

    fake_runtime(monkeypatch, remember)
    monkeypatch.setattr(session.os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    session._build(session._Parts(b"", {}, "fast", None), Device("cpu", CPU))
    monkeypatch.delattr(session.os, "sched_getaffinity")
    monkeypatch.setattr(session.os, "cpu_count", lambda: 7)
    session._build(session._Parts(b"", {}, "exact", None), Device("cpu", CPU))
    assert [o.intra_op_num_threads for o in seen] == [3, 7]
    assert all(o.use_deterministic_compute and o.inter_op_num_threads == 1 for o in seen)
    assert [o.get_session_config_entry("session.intra_op.allow_spinning") for o in seen] == ["0"] * 2
