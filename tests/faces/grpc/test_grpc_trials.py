"""The server loads no file that did not survive its trial, and tries every file once."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_fakes import MODEL, FakeUseCases
from grpc_served import served
from models import SAME, ZOO, model

from inspector import service
from inspector._proto.inspector.v1 import inspector_service_pb2 as pb
from inspector._proto.inspector.v1.inspector_service_pb2_grpc import InspectorServiceStub
from inspector.control import Stop
from inspector.errors import LimitError, ModelError, StoppedError
from inspector.faces.grpc.client import Client
from inspector.faces.grpc.settings import Settings
from inspector.faces.grpc.trials import Trials, UntriedError

HANGS = MODEL + b" that hangs"


def test_contents_are_tried_once_whatever_they_are_called(models: Path) -> None:
    use_cases = FakeUseCases()
    trials = Trials(use_cases, Settings(models))
    for data, name, tries in ((MODEL, "m", 1), (MODEL, "n", 1), (MODEL + b"2", "m", 2), (MODEL, "o", 2)):
        trials.check(data, name, Stop())
        assert len(use_cases.checks) == tries
    (models / "copy.onnx").write_bytes(MODEL)
    for name in ("toy", "copy"):
        trials.check(models / f"{name}.onnx", name, Stop())
    assert len(use_cases.checks) == 2
    assert use_cases.loads == []


def test_a_file_is_tried_again_when_it_or_a_file_beside_it_changes(models: Path) -> None:
    use_cases = FakeUseCases()
    trials, path = Trials(use_cases, Settings(models)), models / "toy.onnx"
    for change, tries in ((path, 1), (models / "weights.bin", 2), (path, 3)):
        change.write_bytes(MODEL + str(tries).encode())
        for _ in range(2):
            trials.check(path, "toy", Stop())
        assert len(use_cases.checks) == tries


def test_a_file_that_hangs_is_never_tried_again_and_every_error_names_its_own_model(models: Path) -> None:
    use_cases = FakeUseCases()
    trials = Trials(use_cases, Settings(models, trial_seconds=3.0, trial_mib=600))
    found = []
    for name in ("m", "m", "n"):
        with pytest.raises(LimitError, match=r"takes too long; expected 3.0 s, 629145600 bytes") as refused:
            trials.check(HANGS, name, Stop())
        found.append(refused.value)
    assert (use_cases.checks, use_cases.loads) == (["m"], [])
    assert len({id(error) for error in found}) == 3
    assert [error.subject for error in found] == ["model 'm'", "model 'm'", "model 'n'"]


def test_without_a_stop_nothing_is_tried_and_no_file_is_read(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_cases = FakeUseCases()
    trials, path = Trials(use_cases, Settings(models)), models / "toy.onnx"
    with monkeypatch.context() as unread:
        unread.setattr(hashlib, "file_digest", None)
        for source in (path, MODEL):
            with pytest.raises(UntriedError):
                trials.check(source, "m", None)
    trials.check(path, "m", Stop())
    trials.check(path, "m", None)
    assert use_cases.checks == ["m"]


def test_a_verdict_on_a_file_that_changed_meanwhile_is_not_kept(models: Path) -> None:
    class Changing(FakeUseCases):
        def vet(self, source: Path | bytes, **options: Any) -> None:
            super().vet(source, **options)
            (models / "toy.onnx").write_bytes(MODEL + b" that is another")

    use_cases = Changing()
    trials = Trials(use_cases, Settings(models))
    trials.check(models / "toy.onnx", "toy", Stop())
    trials.check(MODEL, "m", Stop())
    assert use_cases.checks == ["toy", "m"]


class SlowTrials(FakeUseCases):
    """Trials go on until they are stopped, or told to end; `stopped` names those that were stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped: list[str] = []
        self.trying = threading.Semaphore(0)

    def vet(
        self, source: Path | bytes, *, name: str = "", seconds: float = 0, memory: int = 0, stop: Any = None
    ) -> None:
        self.trying.release()
        try:
            while not self.go_on.wait(0.01):
                stop.check()
        except StoppedError:
            self.stopped.append(name)
            raise


@pytest.fixture
def slow() -> Iterator[SlowTrials]:
    use_cases = SlowTrials()
    yield use_cases
    use_cases.go_on.set()


def test_a_trial_ends_with_its_caller_and_the_next_begins(models: Path, slow: SlowTrials) -> None:
    trials, first, waits, given_up = Trials(slow, Settings(models)), Stop(), Stop(), Stop()
    with ThreadPoolExecutor(3) as pool:
        one = pool.submit(trials.check, MODEL, "one", first)
        assert slow.trying.acquire(timeout=20)
        other = pool.submit(trials.check, MODEL + b"2", "two", waits)
        gone = pool.submit(trials.check, MODEL + b"3", "three", given_up)
        given_up.set()
        assert isinstance(gone.exception(20), StoppedError)  # though the first goes on
        first.set()
        assert isinstance(one.exception(20), StoppedError)
        assert slow.trying.acquire(timeout=20)
        slow.go_on.set()
        assert other.exception(20) is None
    assert slow.stopped == ["one"]


def test_look_ups_of_known_models_and_plugins_wait_for_no_trial(
    settings: Settings, models: Path, slow: SlowTrials
) -> None:
    with served(settings, slow) as address, grpc.insecure_channel(address) as channel:
        stub = InspectorServiceStub(channel)
        slow.go_on.set()
        stub.GetModel(pb.GetModelRequest(name="models/toy"))
        slow.go_on.clear()
        assert slow.trying.acquire(timeout=20)
        for name in "abc":
            (models / f"{name}.onnx").write_bytes(MODEL + name.encode())
        calls = [stub.GetModel.future(pb.GetModelRequest(name=f"models/{name}")) for name in "abc"]
        assert slow.trying.acquire(timeout=20)
        assert stub.ListPlugins(pb.ListPluginsRequest(), timeout=20).plugins
        assert stub.GetModel(pb.GetModelRequest(name="models/toy"), timeout=20).model.layer_count == 3
        for call in calls:  # one after the other: a look-up ends when its client has gone
            call.cancel()
        slow.go_on.set()
        assert stub.GetModel(pb.GetModelRequest(name="models/a"), timeout=20).model.layer_count == 3


def test_a_cancelled_run_of_a_new_model_frees_its_worker(settings: Settings, models: Path, slow: SlowTrials) -> None:
    with served(replace(settings, workers=1, queue=1), slow) as address, grpc.insecure_channel(address) as channel:
        stub = InspectorServiceStub(channel)
        call = stub.Inspect(pb.InspectRequest(model="models/toy", analyses=["blocks"]))
        assert slow.trying.acquire(timeout=20)
        call.cancel()
        again = stub.Inspect(pb.InspectRequest(model="models/toy", analyses=["blocks"]), timeout=20)
        assert slow.trying.acquire(timeout=20)
        slow.go_on.set()
        assert list(again)[-1].event.end.ok
    assert slow.stopped == ["toy"]


def test_the_server_lists_a_file_that_hangs_with_its_reason_and_serves_the_others(
    client: Client, models: Path, use_cases: FakeUseCases
) -> None:
    (models / "bad.onnx").write_bytes(HANGS)
    listed = {model.name: model for model in client.models()}
    assert "takes too long" in listed["bad"].failure
    assert not listed["toy"].failure
    assert use_cases.loads == ["toy"]


def test_an_upload_is_tried_before_it_is_published(
    start: Callable[..., str], models: Path, use_cases: FakeUseCases, tmp_path: Path
) -> None:
    file = tmp_path / "new.onnx"
    file.write_bytes(HANGS)
    with Client(start(uploads=True), timeout=20) as client, pytest.raises((LimitError, ModelError), match="too long"):
        client.upload(file)
    assert use_cases.loads == []
    assert [path.name for path in models.iterdir()] == ["toy.onnx"]


def test_a_real_server_outlives_a_model_that_takes_all_memory(models: Path) -> None:
    weights = {"s": np.array([10_000_000, 3, 3, 3])}
    bomb = model(f"k = ConstantOfShape(s) [c] a = Conv {SAME} (x, k) y = Relu(a)", weights=weights)
    (models / "toy.onnx").write_bytes(ZOO["chain"].data)
    (models / "bomb.onnx").write_bytes(bomb)
    with served(Settings(models, grace=0.5, trial_mib=700), service) as address, Client(address, timeout=100) as client:
        listed = {info.name: info for info in client.models()}
        assert "not enough memory" in listed["bomb"].failure
        with pytest.raises(LimitError, match="not enough memory"):
            client.inspect("bomb")
        assert [layer.name for layer in client.layers("toy")] == ["c", "d"]


def test_a_server_that_ends_does_not_wait_for_a_trial(models: Path) -> None:
    trials = Trials(service, Settings(models))
    trials.end()
    with pytest.raises(StoppedError):
        trials.check(ZOO["chain"].data, "m", Stop())


def test_the_end_ends_a_trial_that_goes_on_and_no_other_begins(models: Path, slow: SlowTrials) -> None:
    trials = Trials(slow, Settings(models))
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(trials.check, MODEL, "m", Stop())
        assert slow.trying.acquire(timeout=20)
        trials.end()
        try:
            assert isinstance(going.exception(20), StoppedError)
        finally:
            slow.go_on.set()
    with pytest.raises(StoppedError):
        trials.check(HANGS, "n", Stop())
    assert not slow.trying.acquire(blocking=False)
