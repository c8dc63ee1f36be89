"""Requests that cannot be decoded, turned into values, so that they are answered like all other bad requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError


@dataclass(frozen=True, slots=True)
class Garbled:
    """Stands in the place of a message that could not be decoded."""

    size: int


class Decoding(grpc.aio.ServerInterceptor):
    """Makes the methods of one service see `Garbled` where gRPC itself would answer UNKNOWN without details."""

    def __init__(self, service: str) -> None:
        self._prefix = f"/{service}/"

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """The method's handler, with a decoder that does not raise."""
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(self._prefix):
            return handler
        return handler._replace(request_deserializer=_tolerant(handler.request_deserializer))


def _tolerant(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def decoded(data: bytes) -> Any:
        try:
            return decode(data)
        except DecodeError:
            return Garbled(len(data))

    return decoded
