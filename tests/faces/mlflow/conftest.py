"""A tracking store in a temporary folder, with models in it; nothing is sent anywhere."""

from __future__ import annotations

import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when MLflow is imported
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # a store that is made in no time

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import mlflow
import onnx
import pytest
from mlflow.tracking import MlflowClient
from mlflow_nets import NET


@pytest.fixture(scope="module", autouse=True)
def no_network() -> Iterator[None]:
    """Whoever connects to anything fails; ends with each file, as tests elsewhere have servers of their own."""

    def refused(*_: object) -> NoReturn:
        raise AssertionError("a test of the MLflow face reaches out to the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refused)
        patch.setattr(socket.socket, "connect_ex", refused)
        yield


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store with one experiment; the tracking URI is as before afterwards."""
    folder = tmp_path_factory.mktemp("mlflow")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((folder / "store").as_uri())
    mlflow.set_experiment("audits")
    yield folder
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="session")
def log(store: Path) -> Callable[[bytes], str]:
    """Logs a model; gives its URI."""

    def logged(data: bytes) -> str:
        with mlflow.start_run():
            info = mlflow.onnx.log_model(onnx.load_from_string(data), name="net", pip_requirements=[])
        return str(info.model_uri)

    return logged


@pytest.fixture(scope="session")
def net(log: Callable[[bytes], str]) -> str:
    """The URI of `NET`."""
    return log(NET)


@pytest.fixture
def client(store: Path) -> MlflowClient:
    return MlflowClient()
