"""The two directions of a call: messages that are wanted from a client, and messages that it has to take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import grpc.aio
from google.protobuf.message import Message

from inspector.errors import LimitError, ParameterError
from inspector.faces.grpc.errors import RETRY_SECONDS, BusyError
from inspector.faces.grpc.readers import Readers
from inspector.faces.wire_check import decoded

M = TypeVar("M", bound=Message)
_SMALL: Final = 4096
"""Bytes of a message that is decoded at once; larger ones are decoded in a thread."""


class GoneError(Exception):
    """The client has left, so nothing can be said to it any more."""


@dataclass(frozen=True, slots=True)
class Incoming(Generic[M]):
    """What a client sends in one call.

    Attributes:
        kind: of its messages.
        raw: these, undecoded; iterating again goes on where it was left.
        readers: where to wait for the first ones, before the call has anything of its own.
        until: when, by the loop's clock, the first ones have to be there.
        most: bytes of a message, beside what gRPC itself refuses; 0: any number.
    """

    kind: type[M]
    raw: AsyncIterable[bytes]
    readers: Readers
    until: float
    most: int = 0

    async def only(self) -> M:
        """The message of a method that takes one.

        Raises:
            ParameterError: there is none.
            InspectorError: as for `decoded`; LimitError also where it does not come in time.
        """
        found = await self._early()
        if found is None:
            raise _out_of_place("a message", "the end of the stream")
        return found

    async def first(self, part: str) -> M:
        """The first message of a stream, which has to hold that part. Errors as of `only`, and for another part."""
        found = await self._early()
        if found is None:
            raise _out_of_place(f"one with `{part}`", "the end of the stream")
        return _holding(found, part)

    async def second(self, part: str) -> list[M]:
        """The message after that, if one comes. Errors as of `first`."""
        found = await self._early()
        return [] if found is None else [_holding(found, part)]

    async def another(self, patience: float) -> M | None:
        """The next message of a call that never has anything of its own; None at the end. Errors as of `only`."""
        return await self._early(asyncio.get_running_loop().time() + patience)

    async def rest(self, part: str, begun: list[M]) -> AsyncIterator[tuple[M, int]]:
        """What has been read already, then all other messages, each with its size in bytes. Errors as of `first`."""
        while begun:
            yield begun[0], begun.pop(0).ByteSize()
        async for data in self.raw:
            yield _holding(await self._decoded(data), part), len(data)

    async def _early(self, until: float | None = None) -> M | None:
        try:
            async with asyncio.timeout_at(until or self.until), self.readers.place() as wanted:
                data = await self._read(wanted)
                return None if data is None else await self._decoded(data)
        except TimeoutError:
            raise LimitError("stream", "the client sent nothing for too long", expected="a message") from None

    async def _read(self, wanted: asyncio.Future[None]) -> bytes | None:
        reading: asyncio.Future[bytes | None] = asyncio.ensure_future(anext(aiter(self.raw), None))
        try:
            await asyncio.wait((reading, wanted), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                raise BusyError(
                    "stream",
                    "the client sent nothing for too long, and others wait",
                    remedy=f"Try again in {RETRY_SECONDS} s or later.",
                )
            return reading.result()
        finally:
            reading.cancel()

    async def _decoded(self, data: bytes) -> M:
        if 0 < self.most < len(data):
            raise LimitError("message", "it is too large", expected=f"at most {self.most} bytes", found=str(len(data)))
        if len(data) <= _SMALL:
            return decoded(data, self.kind)
        return await asyncio.to_thread(decoded, data, self.kind)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a client takes in one call; `patience`: seconds that it may take for a message."""

    context: grpc.aio.ServicerContext[Any, Any]
    patience: float

    async def send(self, message: Message) -> None:
        """Sends a message.

        Raises:
            LimitError: the client does not take it.
            GoneError: the client has left.
        """
        try:
            async with asyncio.timeout(self.patience):
                await self.context.write(message)
        except TimeoutError:
            expected = f"a message at least every {self.patience:g} s"
            raise LimitError("stream", "the client took nothing for too long", expected=expected) from None
        except grpc.aio.UsageError:
            raise
        except grpc.aio.BaseError as error:  # the client has left, or the server has stopped
            raise GoneError from error


def _holding(request: M, part: str) -> M:
    found = request.WhichOneof("part")
    if found != part:
        raise _out_of_place(f"one with `{part}`", f"one with `{found}`" if found else "an empty one")
    return request


def _out_of_place(expected: str, found: str) -> ParameterError:
    return ParameterError("stream", "a message is out of place", expected=expected, found=found)
