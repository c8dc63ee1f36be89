"""What every method of the servicer does around its own work: check the request, and turn errors into a status."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc.aio
from google.protobuf.message import Message
from grpc_status import rpc_status

from inspector.errors import InputError, LimitError, ParameterError
from inspector.faces.grpc.decoding import Garbled
from inspector.faces.grpc.errors import status_of
from inspector.faces.wire_request import check_known

M = TypeVar("M", bound=Message)
Method = Callable[[Any, Any, Any], Awaitable[Any]]


def answers(method: Method) -> Method:
    """The servicer's method, with a check of its request, and with errors that reach the client as a rich status."""

    @functools.wraps(method)
    async def guarded(self: Any, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            if not isinstance(request, AsyncIterable):
                _check(request)
            return await method(self, request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer and the log the rest
            await context.abort_with_status(rpc_status.to_status(status_of(error)))

    return guarded


async def first(requests: AsyncIterator[M], part: str, patience: float) -> M:
    """The first message of a client's stream, which has to hold that part.

    Raises:
        ParameterError: the stream begins with another part, or is empty.
        InputError: the message cannot be decoded.
        LimitError: nothing came for `patience` seconds.
    """
    try:
        request = await asyncio.wait_for(anext(requests), patience)
    except StopAsyncIteration:
        raise _out_of_place(part, "the end of the stream") from None
    except TimeoutError:
        raise LimitError(
            "stream", "the client sent nothing for too long", expected=f"a message with `{part}`"
        ) from None
    _check(request)
    return _holding(request, part)


async def rest(requests: AsyncIterator[M], part: str) -> AsyncIterator[tuple[M, int]]:
    """The other messages of a client's stream, which have to hold that part, each with its size in bytes.

    Raises:
        ParameterError: a message holds another part.
        InputError: a message cannot be decoded.
    """
    async for request in requests:
        _check(request)
        yield _holding(request, part), request.ByteSize()


def _check(request: Message | Garbled) -> None:
    if isinstance(request, Garbled):
        raise InputError("message", "it cannot be decoded", expected="protobuf", found=f"{request.size} other bytes")
    check_known(request)


def _holding(request: M, part: str) -> M:
    found = request.WhichOneof("part")
    if found != part:
        raise _out_of_place(part, f"one with `{found}`" if found else "an empty one")
    return request


def _out_of_place(part: str, found: str) -> ParameterError:
    return ParameterError("stream", "a message is out of place", expected=f"one with `{part}`", found=found)
