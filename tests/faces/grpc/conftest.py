"""Real servers on the stand-in use cases, and clients of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc_fakes import MODEL, FakeUseCases
from grpc_served import served

from inspector._proto.inspector.v1.inspector_service_pb2_grpc import InspectorServiceStub
from inspector.faces.grpc.client import Client
from inspector.faces.grpc.settings import Settings

sys.path.append(str(Path(__file__).parent.parent))  # for wire_strategies, whatever tests are run


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "toy.onnx").write_bytes(MODEL)
    return folder


@pytest.fixture
def use_cases() -> FakeUseCases:
    return FakeUseCases()


@pytest.fixture
def settings(models: Path) -> Settings:
    return Settings(models, grace=0.5, patience=5.0)


@pytest.fixture
def start(settings: Settings, use_cases: FakeUseCases) -> Iterator[Callable[..., str]]:
    """Starts a server with other settings than the usual ones; gives its address."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(served(replace(settings, **changes), use_cases))


@pytest.fixture
def address(start: Callable[..., str]) -> str:
    return start()


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(address, timeout=20) as made:
        yield made


@pytest.fixture
def stub(address: str) -> Iterator[InspectorServiceStub]:
    with grpc.insecure_channel(address) as channel:
        yield InspectorServiceStub(channel)
