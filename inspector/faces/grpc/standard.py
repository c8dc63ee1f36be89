"""What every gRPC server has: health and reflection. Streams of both end when the server does, and hold up nothing."""
# ruff: noqa: N802 - the methods are named by the protocols

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from inspector.errors import NotFoundError
from inspector.faces.grpc.answers import answers
from inspector.faces.grpc.messages import Incoming, Outgoing
from inspector.faces.grpc.readers import Readers
from inspector.faces.grpc.settings import Settings

HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
REFLECTION: Final = reflection.SERVICE_NAME
_Status = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # publishes no types
    """Says SERVING of the server and of one service, until the end."""

    def __init__(self, service: str, settings: Settings) -> None:
        self.readers, self.patience = Readers(max(1, settings.readers // 2), settings.hurry), settings.patience
        self._known = ("", service)
        self._ended = asyncio.Event()

    def end(self) -> None:
        """From now on it says NOT_SERVING, also to those who watch, and then they are let go."""
        self._ended.set()

    def check_room(self) -> None:
        """There always is: nothing runs."""

    @answers(health_pb2.HealthCheckRequest)
    async def Check(self, request: health_pb2.HealthCheckRequest, _: Outgoing) -> health_pb2.HealthCheckResponse:
        """How it is."""
        if request.service not in self._known:
            raise NotFoundError.among("service", request.service, [name for name in self._known if name])
        return self._now(request.service)

    @answers(health_pb2.HealthCheckRequest)
    async def Watch(self, request: health_pb2.HealthCheckRequest, out: Outgoing) -> None:
        """How it is, and once more when that changes."""
        said = self._now(request.service)
        await out.send(said)
        await self._ended.wait()
        if self._now(request.service) != said:
            await out.send(self._now(request.service))

    def _now(self, service: str) -> health_pb2.HealthCheckResponse:
        if service not in self._known:
            return _Status(status=_Status.SERVICE_UNKNOWN)
        return _Status(status=_Status.NOT_SERVING if self._ended.is_set() else _Status.SERVING)


class Reflection(reflection.aio.ReflectionServicer):  # type: ignore[misc]  # publishes no types
    """Describes the services to tools that have no files of them."""

    def __init__(self, names: Sequence[str], settings: Settings) -> None:
        super().__init__(names)
        self.readers, self.patience = Readers(max(1, settings.readers // 2), settings.hurry), settings.patience
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Ends the streams that are open."""
        self._ended.set()

    def check_room(self) -> None:
        """There always is: nothing runs."""

    @answers(reflection_pb2.ServerReflectionRequest, stream=True)
    async def ServerReflectionInfo(self, requests: Incoming[Any], out: Outgoing) -> None:
        """Answers question by question."""
        async with contextlib.aclosing(_until(requests, self.patience, self._ended)) as asked:
            async for answer in super().ServerReflectionInfo(asked, None):
                await out.send(answer)


async def _until(requests: Incoming[Any], patience: float, ended: asyncio.Event) -> AsyncGenerator[Any]:
    """The messages of a client, as long as the server serves."""
    ending = asyncio.ensure_future(ended.wait())
    try:
        while not ending.done():
            reading = asyncio.ensure_future(requests.another(patience))
            try:
                await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done() or reading.result() is None:
                    return
                yield reading.result()
            finally:
                reading.cancel()
    finally:
        ending.cancel()
