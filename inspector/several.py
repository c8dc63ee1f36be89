"""One where several may be given."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import Any, Final

from inspector.errors import ParameterError

_SINGLE: Final = (str, bytes, PathLike)
_MOST: Final = 80


def several(given: Any, subject: str, *kinds: type, expected: str) -> tuple[Any, ...]:
    """What was given, as a tuple; one stands for itself, and None for nothing.

    Args:
        given: one of the kinds, an iterable of them, or None.
        subject: what they are, for errors.
        kinds: what each has to be.
        expected: the same in words.

    Raises:
        ParameterError: one of them is of another kind.
    """
    for one in (items := () if given is None else _items(given)):
        if not isinstance(one, kinds):
            raise ParameterError(subject, "one is of another kind", expected=expected, found=repr(one)[:_MOST])
    return items


def _items(given: Any) -> tuple[Any, ...]:
    """What an iterable holds; a text, a path, or anything else is one. An array without axes cannot be iterated."""
    if isinstance(given, _SINGLE) or not isinstance(given, Iterable) or getattr(given, "shape", None) == ():
        return (given,)
    return tuple(given)
