"""A real server on a free port of this machine, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from inspector.faces.grpc.server import running
from inspector.faces.grpc.settings import Settings


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
