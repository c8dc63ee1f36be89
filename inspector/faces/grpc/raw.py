"""Calls as streams of bytes: when a message is read, and where it is decoded, is for `messages` to say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio


class Raw(grpc.aio.ServerInterceptor):
    """Hands the methods an iterator of undecoded messages, also those that take one message only.

    gRPC itself would read the message of such a call, whatever its size, before it asks anybody; and decode it,
    whatever it becomes, while all other calls wait.
    """

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """The method's handler, as one that takes a stream; None where there is no such method."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        if handler.response_streaming:
            method = handler.stream_stream or handler.unary_stream
            return grpc.stream_stream_rpc_method_handler(method, None, handler.response_serializer)
        method = handler.stream_unary or handler.unary_unary
        return grpc.stream_unary_rpc_method_handler(method, None, handler.response_serializer)
