"""A real server on a free port of this machine, in a thread of its own, on the stand-in use cases."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_fakes import MODEL, FakeUseCases

from inspector._proto.inspector.v1.inspector_service_pb2_grpc import InspectorServiceStub
from inspector.faces.grpc.client import Client
from inspector.faces.grpc.server import running
from inspector.faces.grpc.settings import Settings

sys.path.append(str(Path(__file__).parent.parent))  # for wire_strategies, whatever tests are run


@contextmanager
def served(settings: Settings, use_cases: Any) -> Iterator[str]:
    """Address of a server that runs while the block does; its end is checked."""
    started, address, end, failed = threading.Event(), [], [], []

    async def run() -> None:
        async with running(settings, use_cases) as target:
            address.append(target)
            stop = asyncio.Event()
            end.append((asyncio.get_running_loop(), stop))
            started.set()
            await stop.wait()

    def body() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread of the test
            failed.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=body)
    thread.start()
    started.wait()
    try:
        if not failed:
            yield address[0]
    finally:
        for loop, stop in end:
            loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=20)
        assert not thread.is_alive()
        if failed:
            raise failed[0]


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
