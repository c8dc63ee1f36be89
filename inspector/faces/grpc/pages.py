"""Pages of long lists, as AIP-158 has them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from inspector.errors import ParameterError

DEFAULT_SIZE: Final = 100
MAX_SIZE: Final = 1000

T = TypeVar("T")


def page(items: Sequence[T], key: Callable[[T], str], size: int, token: str, scope: str) -> tuple[Sequence[T], str]:
    """The page that the token points at, and the token of the next one (empty: there is none).

    Args:
        items: in the order of their keys.
        key: unique text; a token remembers the last one shown, so that a list may change between two pages.
        size: the most items wanted; 0 for the default.
        token: what the page before gave; empty for the first page.
        scope: names the list; a token is good for no other.

    Raises:
        ParameterError: a negative size, or a token that this list did not give.
    """
    if size < 0:
        raise ParameterError("page_size", "it is negative", expected="0 or more", found=str(size))
    last = _decoded(token, scope)
    rest = [item for item in items if last is None or key(item) > last]
    shown = rest[: min(size or DEFAULT_SIZE, MAX_SIZE)]
    return shown, _encoded(key(shown[-1]), scope) if len(rest) > len(shown) else ""


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
