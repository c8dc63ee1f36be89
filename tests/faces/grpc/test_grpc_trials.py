"""The server loads no file that did not survive its trial, and tries every file once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import served
from grpc_fakes import MODEL, FakeUseCases
from models import SAME, ZOO, model

from inspector import service
from inspector.errors import LimitError, ModelError, StoppedError
from inspector.faces.grpc.client import Client
from inspector.faces.grpc.settings import Settings
from inspector.faces.grpc.trials import Trials

HANGS = MODEL + b" that hangs"


def test_a_file_is_tried_once_and_again_when_its_content_changes(models: Path) -> None:
    use_cases = FakeUseCases()
    trials = Trials(use_cases, Settings(models))
    for data, tries in ((MODEL, 1), (MODEL, 1), (MODEL + b"2", 2), (MODEL, 2)):
        assert trials.load(data, name="m").name == "m"
        assert len(use_cases.checks) == tries
    assert len(use_cases.loads) == 4


def test_a_file_that_hangs_is_never_loaded_and_never_tried_again(models: Path) -> None:
    use_cases = FakeUseCases()
    trials = Trials(use_cases, Settings(models, trial_seconds=3.0, trial_mib=600))
    found = []
    for _ in range(3):
        with pytest.raises(LimitError, match=r"takes too long; expected 3.0 s, 629145600 bytes") as refused:
            trials.load(HANGS, name="m")
        found.append(refused.value)
    assert (use_cases.checks, use_cases.loads) == (["m"], [])
    assert len({id(error) for error in found}) == 3


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
        trials.load(ZOO["chain"].data, name="m")
