"""Pages of long lists, as AIP-158 has them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, TypeVar

from google.protobuf.message import Message

from inspector.errors import ParameterError

DEFAULT_SIZE: Final = 100
MAX_SIZE: Final = 1000
MAX_BYTES: Final = 1 << 20
"""Of the messages of a page: clients accept 4 MiB, unless they are told otherwise."""

T = TypeVar("T")
M = TypeVar("M", bound=Message)


class Asked(Protocol):
    """A request for a page.

    Attributes:
        page_size: the most items wanted; 0 for the default.
        page_token: what the page before gave; empty for the first page.
    """

    page_size: int
    page_token: str


def page(
    items: Sequence[T], key: Callable[[T], str], show: Callable[[T], M], asked: Asked, scope: str
) -> tuple[list[M], str]:
    """The page that was asked for, and the token of the next one (empty: there is none).

    Args:
        items: in the order of their keys.
        key: unique text; a token remembers the last one shown, so that a list may change between two pages.
        show: makes a message of an item. A page ends before `MAX_BYTES` of them, but has one at least.
        asked: the request.
        scope: names the list; a token is good for no other.

    Raises:
        ParameterError: a negative size, or a token that this list did not give.
    """
    if asked.page_size < 0:
        raise ParameterError("page_size", "it is negative", expected="0 or more", found=str(asked.page_size))
    last = _decoded(asked.page_token, scope)
    rest = [item for item in items if last is None or key(item) > last]
    shown = _fitting(map(show, rest[: min(asked.page_size or DEFAULT_SIZE, MAX_SIZE)]))
    return shown, _encoded(key(rest[len(shown) - 1]), scope) if len(rest) > len(shown) else ""


def _fitting(messages: Iterable[M]) -> list[M]:
    """The first messages, as many as have room in `MAX_BYTES`, and one at least."""
    fitting: list[M] = []
    room = MAX_BYTES
    for message in messages:
        room -= message.ByteSize()
        if fitting and room < 0:
            break
        fitting.append(message)
    return fitting


def _encoded(last: str, scope: str) -> str:
    return base64.urlsafe_b64encode(f"{scope}\n{last}".encode("utf-8", "surrogateescape")).decode()


def _decoded(token: str, scope: str) -> str | None:
    if not token:
        return None
    try:
        owner, _, last = (
            base64.b64decode(token, b"-_", validate=True).decode("utf-8", "surrogateescape").partition("\n")
        )
    except (binascii.Error, ValueError):
        owner, last = "", ""
    if owner != scope:
        raise ParameterError(
            "page_token",
            "it does not belong to this list",
            expected="next_page_token of the page before, with the same parent",
            found=repr(token[:80]),
        )
    return last
