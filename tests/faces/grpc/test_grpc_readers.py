"""Messages on their way: so many at a time, looked at before they are decoded, and nobody is waited for in vain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest

from inspector._proto.inspector.v1 import inspector_service_pb2 as pb
from inspector.errors import LimitError, ParameterError
from inspector.faces.grpc.errors import BusyError
from inspector.faces.grpc.messages import GoneError, Incoming, Outgoing
from inspector.faces.grpc.readers import Readers

NEVER = 1e9


async def a_moment() -> None:
    """All that can happen on the loop by itself has happened."""
    for _ in range(20):
        await asyncio.sleep(0)


class Client:
    """Sends what it is told to, when it is told to."""

    def __init__(self) -> None:
        self.asked, self._queue = 0, asyncio.Queue[bytes | None]()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self.asked += 1
        data = await self._queue.get()
        if data is None:
            raise StopAsyncIteration
        return data

    def send(self, *messages: bytes | None) -> Client:
        for message in messages:
            self._queue.put_nowait(message)
        return self


def incoming(client: Client, readers: Readers, *, patience: float = 60, most: int = 0) -> Incoming[Any]:
    return Incoming(pb.AuditRequest, client, readers, asyncio.get_running_loop().time() + patience, most)


CONFIG = pb.AuditRequest(config=pb.AuditConfig(model="models/toy")).SerializeToString()


async def test_messages_are_read_so_many_at_a_time() -> None:
    readers = Readers(2, NEVER)
    clients = [Client() for _ in range(4)]
    calls = [asyncio.create_task(incoming(client, readers).only()) for client in clients]
    await a_moment()
    assert [client.asked for client in clients] == [1, 1, 0, 0]
    clients[1].send(CONFIG)
    await a_moment()
    assert [client.asked for client in clients] == [1, 1, 1, 0]
    calls[0].cancel()
    await a_moment()
    assert [client.asked for client in clients] == [1, 1, 1, 1]
    for client in clients[2:]:
        client.send(CONFIG)
    assert [m.config.model for m in await asyncio.gather(*calls[1:])] == ["models/toy"] * 3


async def test_those_that_wait_and_leave_pass_their_turn_on() -> None:
    readers = Readers(1, NEVER)
    clients = [Client() for _ in range(3)]
    calls = [asyncio.create_task(incoming(client, readers).only()) for client in clients]
    await a_moment()
    clients[0].send(CONFIG)
    calls[1].cancel()
    clients[2].send(CONFIG)
    assert await calls[0] == await calls[2]
    assert clients[1].asked == 0


async def test_one_that_leaves_just_as_its_turn_comes_passes_it_on() -> None:
    readers = Readers(1, NEVER)
    async with readers.place():
        calls = [asyncio.create_task(incoming(Client().send(CONFIG), readers).only()) for _ in range(2)]
        await a_moment()
    calls[0].cancel()  # its turn has come, and it does not know yet
    await a_moment()
    assert calls[0].cancelled()
    assert calls[1].done()


async def test_the_silent_one_goes_where_others_wait() -> None:
    readers = Readers(2, hurry=0)
    silent, other = Client(), Client()
    calls = [asyncio.create_task(incoming(client, readers).only()) for client in (silent, other)]
    await a_moment()
    assert not calls[0].done()  # nobody waits
    assert (await incoming(Client().send(CONFIG), readers).only()).config.model == "models/toy"
    with pytest.raises(BusyError, match="others wait"):
        await calls[0]
    assert not calls[1].done()  # it came later
    other.send(CONFIG)
    assert await calls[1]


async def test_nobody_waits_longer_than_its_patience() -> None:
    readers = Readers(1, NEVER)
    silent = asyncio.create_task(incoming(Client(), readers).only())
    await a_moment()
    with pytest.raises(LimitError, match="sent nothing for too long"):
        await incoming(Client().send(CONFIG), readers, patience=0).only()
    with pytest.raises(LimitError, match="sent nothing for too long"):
        await incoming(Client(), Readers(1, NEVER), patience=0).only()
    silent.cancel()


async def test_the_first_messages_share_one_patience() -> None:
    client, clock = Client().send(CONFIG), asyncio.get_running_loop()
    call = incoming(client, Readers(1, NEVER), patience=0.2)
    assert await call.first("config")
    begun = clock.time()
    with pytest.raises(LimitError):
        await call.second("input")
    assert clock.time() - begun < 10  # 0.2 s, not 0.2 s more for every message


async def test_what_is_read_is_given_once_and_in_order() -> None:
    inputs = [pb.AuditRequest(input={"id": name, "picture": bytes(5000)}).SerializeToString() for name in "abc"]
    call = incoming(Client().send(CONFIG, *inputs, None), Readers(1, NEVER))
    assert (await call.first("config")).config.model == "models/toy"
    begun = await call.second("input")
    found = [(message.input.id, size) async for message, size in call.rest("input", begun)]
    assert found == [("a", len(inputs[0])), ("b", len(inputs[1])), ("c", len(inputs[2]))]
    assert begun == []  # nothing is held on to


class Broken:
    """A call whose client has left."""

    async def write(self, _: object) -> None:
        raise grpc.aio.InternalError("Failed")


async def test_a_client_that_has_left_is_no_accident() -> None:
    with pytest.raises(GoneError):
        await Outgoing(Broken(), 60).send(pb.AuditResponse())  # type: ignore[arg-type]


async def test_messages_that_are_missing_too_large_or_out_of_place_are_refused() -> None:
    readers = Readers(1, NEVER)
    with pytest.raises(ParameterError, match="the end of the stream"):
        await incoming(Client().send(None), readers).only()
    with pytest.raises(ParameterError, match="one with `config`"):
        await incoming(Client().send(CONFIG), readers).second("input")
    with pytest.raises(LimitError, match="at most 5 bytes"):
        await incoming(Client().send(CONFIG), readers, most=5).only()
    assert await incoming(Client().send(None), readers).second("input") == []
