"""The server: what it offers, how it starts, how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import grpc.aio
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from inspector import service
from inspector._proto.inspector.v1 import inspector_service_pb2, inspector_service_pb2_grpc
from inspector.errors import ParameterError, ProviderError
from inspector.faces.grpc.raw import Raw
from inspector.faces.grpc.servicer import InspectorServicer
from inspector.faces.grpc.settings import Settings
from inspector.faces.grpc.standard import HEALTH, REFLECTION, Health, Reflection
from inspector.faces.grpc.use_cases import UseCases
from inspector.runtime.devices import find_devices

PING_MS: Final = 5_000
"""A client may ping as often as this, with a call or without: gRPC itself would end the connection of one that pings
more than once in 5 minutes. Keepalive is 10 s at least in Java and Go, and a run that waits for a worker is silent."""
SERVICE: Final = inspector_service_pb2.DESCRIPTOR.services_by_name["InspectorService"].full_name


def serve(
    settings: Settings, use_cases: UseCases[Any] = service, ready: Callable[[str], None] = lambda _address: None
) -> None:
    """Serves until SIGTERM or SIGINT, then lets runs go on for `settings.grace` seconds; a second signal ends at once.

    `ready` is called with the address, such as `127.0.0.1:50051`, once requests are taken. Main thread only.

    Raises:
        ParameterError: the address cannot be listened on, or a folder of the settings does not exist.
    """
    asyncio.run(_serve(settings, use_cases, ready))


async def _serve(settings: Settings, use_cases: UseCases[Any], ready: Callable[[str], None]) -> None:
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    async with running(settings, use_cases) as address:
        for number in signals:
            loop.add_signal_handler(number, asked.set)
        ready(address)
        await asked.wait()
        for number in signals:
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def running(settings: Settings, use_cases: UseCases[Any] = service) -> AsyncIterator[str]:
    """A server that runs while the block does; gives its address.

    At the end its health becomes NOT_SERVING, new requests are refused, and runs that outlast the grace are stopped.

    Raises:
        ParameterError: the address cannot be listened on, or a folder of the settings does not exist.
    """
    _check(settings)
    servicer, health = InspectorServicer(use_cases, settings), Health(SERVICE, settings)
    reflection = Reflection((SERVICE, HEALTH, REFLECTION), settings)
    server = grpc.aio.server(interceptors=[Raw()], options=_options(settings), maximum_concurrent_rpcs=settings.calls)
    inspector_service_pb2_grpc.add_InspectorServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflection, server)
    address = _bound(server, settings)
    await server.start()
    try:
        yield address
    finally:
        health.end()
        reflection.end()
        await server.stop(settings.grace)
        await servicer.close()


def _check(settings: Settings) -> None:
    """What the first request would stumble over is an error at the start."""
    for name, folder in (("models", settings.models), ("data", settings.data)):
        if folder is not None and not folder.is_dir():
            raise ParameterError(name, "there is no such folder", found=str(folder), remedy="Make it, or name another.")
    if not (math.isfinite(settings.trial_seconds) and settings.trial_seconds > 0):
        found = str(settings.trial_seconds)
        raise ParameterError("trial seconds", "this is no limit", expected="a number above 0", found=found)
    if settings.memory is not None and settings.memory < 1:
        raise ParameterError("memory", "it is too small", expected="at least 1 byte", found=str(settings.memory))
    with contextlib.suppress(ProviderError):  # runs say why the device cannot be used
        find_devices(settings.device)


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_receive_bytes),
        ("grpc.compression_enabled_algorithms_bitset", 1),  # none: a packed message is unpacked before it is measured
        ("grpc.http2.min_ping_interval_without_data_ms", PING_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.so_reuseport", 0),  # a port that is taken is an error, not shared
    ]


def _bound(server: grpc.aio.Server, settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{host}:{settings.port}"
    try:
        _try(settings)
        return f"{host}:{server.add_insecure_port(address)}"
    except (OSError, RuntimeError) as error:
        why = f" ({_words(error)})" if isinstance(error, OSError) else ""
        remedy = "Choose another port (0 takes a free one), or an address of this machine."
        raise ParameterError("address", f"it cannot be listened on{why}", found=address, remedy=remedy) from error


def _words(error: OSError) -> str | None:
    """What the system says; of a name that is not known, numbers are below 0."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror


def _try(settings: Settings) -> None:
    """OSError where the address cannot be listened on: gRPC would not say why, but write lines of its own."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    socket.create_server((settings.host, settings.port), family=family).close()
