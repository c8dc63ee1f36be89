"""How web servers are asked, through fsspec and aiohttp: what they answer is looked at before it is believed."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

SILENCE: Final = 60.0
"""Seconds without a byte after which a request is given up; an answer that goes on may take any time."""

_PART = 206  # status of an answer that is a part of a file, RFC 9110 section 15.3.7


class NoPartsError(io.UnsupportedOperation):
    """A server gives a file from its beginning only."""


def options(url: str) -> dict[str, Any]:
    """Options for the file systems that a URL names, those within others too, by scheme."""
    found = (re.match(r"(https?)://", part) for part in url.split("::"))
    return {scheme[1]: {"get_client": client} for scheme in found if scheme}


async def client(**more: Any) -> Any:
    """A session of aiohttp. By itself that would end every answer after five minutes, however well it comes."""
    import aiohttp  # noqa: PLC0415 - an extra that most do without

    patience = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE, sock_read=SILENCE)
    return aiohttp.ClientSession(**{"timeout": patience, "raise_for_status": _as_asked, **more})


def whole_parts(file: Any) -> Any:
    """The file; one of HTTP, which takes a part that is shorter or longer for what it asked, is mended."""
    if type(file).__name__ == "HTTPFile":
        file.cache.fetcher = partial(_all_of, file.cache.fetcher)
    return file


def _all_of(fetch: Callable[[int, int], bytes], start: int, end: int) -> bytes:
    """The bytes from start to end; a server may give fewer at a time."""
    found = fetch(start, end)
    while len(found) < end - start:
        more = fetch(start + len(found), end)
        if not more:
            raise OSError(f"it gave {len(found):,} bytes of {end - start:,}")
        found += more
    return found[: end - start]


async def _as_asked(answer: Any) -> None:
    """Raises where an answer is another part of a file than was asked for, or all of it in place of a later part."""
    asked = re.match(r"bytes=(\d+)-", answer.request_info.headers.get("Range", ""))
    if asked is None:
        return
    given = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    first = int(given[1]) if given else 0
    if answer.status == _PART and (given is None or first != int(asked[1])):
        answer.close()
        raise OSError("it gave another part of the file than it was asked for")
    if answer.ok and first != int(asked[1]):
        answer.close()
        raise NoPartsError("its server gives no parts of files")
