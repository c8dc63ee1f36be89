"""Calls to a server whose failures raise InspectorError."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, Self, TypeVar

import grpc

from inspector.control import Stop
from inspector.faces.grpc.errors import error_from_call

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Calls:
    """How to call: the server's address for messages, and seconds after which a call is given up (None: never)."""

    target: str
    timeout: float | None = None

    def ask(self, method: Any, request: Any) -> Any:
        """The answer to one message."""
        try:
            return method(request, timeout=self.timeout)
        except grpc.RpcError as error:
            self._fail(error)

    def pages(self, method: Any, request: Any) -> Iterator[Any]:
        """All pages of a list; `request` asks for the first."""
        while True:
            answer = self.ask(method, request)
            yield answer
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def send(self, method: Any, requests: Iterable[Any]) -> Any:
        """The answer to a stream of messages. An error of the stream itself is raised as it is."""
        sent = _Sent(iter(requests))
        try:
            return method(sent, timeout=self.timeout)
        except grpc.RpcError as error:
            self._fail(error, sent.error)

    def follow(self, method: Any, request: Any, stop: Stop | None = None) -> Generator[Any]:
        """The stream of answers to a message, or to a stream of messages; closing it, or the stop, ends the call."""
        sent = _Sent(request) if isinstance(request, Iterator) else request
        call = method(sent, timeout=self.timeout)
        with contextlib.ExitStack() as stack:
            stack.callback(call.cancel)
            if stop:
                stack.enter_context(stop.during(call.cancel))
            try:
                yield from call
            except grpc.RpcError as error:
                self._fail(error, getattr(sent, "error", None))

    def _fail(self, error: grpc.RpcError, own: Exception | None = None) -> NoReturn:
        raise (own or error_from_call(error, self.target)) from error


class _Sent(Generic[T]):
    """Messages to send, and the error that ended them, which gRPC itself would only print."""

    def __init__(self, messages: Iterator[T]) -> None:
        self._messages = messages
        self.error: Exception | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        try:
            return next(self._messages)
        except StopIteration:
            raise
        except Exception as error:
            self.error = error
            raise
