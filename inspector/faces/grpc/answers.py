"""What every method of the servicer does around its own work: take the request, and turn errors into a status."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Final, Protocol

import grpc.aio
from google.protobuf.message import Message
from grpc_status import rpc_status

from inspector.faces.grpc.errors import status_of
from inspector.faces.grpc.messages import GoneError, Incoming, Outgoing
from inspector.faces.grpc.readers import Readers

MAX_LOOKUP: Final = 1 << 16
"""Bytes of a message that asks for no run."""
Method = Callable[[Any, Any, Outgoing], Awaitable[Any]]
Served = Callable[[Any, AsyncIterable[bytes], Any], Awaitable[Any]]


class Door(Protocol):
    """What a servicer has for its methods' calls."""

    readers: Readers
    patience: float

    def check_room(self) -> None:
        """Raises BusyError where no more runs are taken."""


def answers(kind: type[Message], *, stream: bool = False, run: bool = False) -> Callable[[Method], Served]:
    """Makes a method of one that takes a message of that kind, or a `stream` of them, and sends to an `Outgoing`.

    Its errors reach the client as a rich status. `run`: refused without reading anything where all workers are busy.
    Its messages may be as large as the server takes them; others need to hold a few names.
    """

    def decorate(method: Method) -> Served:
        @functools.wraps(method)
        async def served(self: Door, _: AsyncIterable[bytes], context: Any) -> Any:
            until = asyncio.get_running_loop().time() + self.patience
            request: Any = Incoming(kind, _Read(context), self.readers, until, 0 if run else MAX_LOOKUP)
            try:
                if run:
                    self.check_room()
                if not stream:
                    request = await request.only()
                return await method(self, request, Outgoing(context, self.patience))
            except GoneError as error:
                _let_go(error)
                gone = True
            except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer and the log the rest
                status, gone = rpc_status.to_status(status_of(error)), False
                _let_go(error)
            del request
            if gone:
                raise asyncio.CancelledError
            return await context.abort_with_status(status)  # may take long; what the error held on to is gone by now

        return served

    return decorate


class _Read:
    """The messages of a call. gRPC's own iterator would hold on to each until the next is wanted."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __aiter__(self) -> _Read:
        return self

    async def __anext__(self) -> bytes:
        data: Any = await self._context.read()
        if data is grpc.aio.EOF:
            raise StopAsyncIteration
        return bytes(data)


def _let_go(error: BaseException | None) -> None:
    """Forgets where an error came from: what its frames hold would be there until Python looks for circles."""
    if error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        _let_go(error.__cause__)
        _let_go(error.__context__)
