"""What is no fault of the data: stores that are away, and files that change while they are read."""

from __future__ import annotations

import errno
from typing import Final

from inspector.errors import InputError

_AWAY: Final = {
    getattr(errno, name)
    for name in (
        "EIO", "ESTALE", "ETIMEDOUT", "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ECONNRESET",
        "ECONNABORTED", "ECONNREFUSED", "EREMOTEIO", "ENOLINK", "ENODEV", "ENXIO", "EAGAIN", "ENFILE", "EMFILE",
        "ENOMEM", "ENOBUFS",
    )
    if hasattr(errno, name)
}  # fmt: skip
"""What a path of this machine gives where its disk, which may be one of the network, or its own means are away."""


class StoreError(OSError):
    """A store on another machine did not give something; asked again later it may."""


def may_mend(error: BaseException | None) -> bool:
    """Whether the failure of a store, or of a disk, led to an error, so that it says nothing of the data."""
    while error is not None and not _away(error):
        error = error.__cause__
    return error is not None


def _away(error: BaseException) -> bool:
    return isinstance(error, StoreError) or (isinstance(error, OSError) and error.errno in _AWAY)


def changed(name: str, how: str = "it changed during the run") -> InputError:
    """What may not be so when it is read again: see `may_mend`."""
    error = InputError(name, how, remedy="Try again when nothing writes to it.")
    error.__cause__ = StoreError("it changed")
    return error
