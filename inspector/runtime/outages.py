"""What is no fault of the data: stores that are away, and files that change while they are read."""

from __future__ import annotations

from inspector.errors import InputError


class StoreError(OSError):
    """A store on another machine did not give something; asked again later it may."""


def may_mend(error: BaseException | None) -> bool:
    """Whether a store's failure led to an error, so that it says nothing of the data."""
    while error is not None and not isinstance(error, StoreError):
        error = error.__cause__
    return error is not None


def changed(name: str, how: str = "it changed during the run") -> InputError:
    """What may not be so when it is read again: see `may_mend`."""
    error = InputError(name, how, remedy="Try again when nothing writes to it.")
    error.__cause__ = StoreError("it changed")
    return error
