"""One where several may be given."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import Any


def several(given: Any) -> tuple[Any, ...]:
    """What was given, as a tuple: a text, a path, or anything that is no iterable is one."""
    single = isinstance(given, (str, PathLike)) or not isinstance(given, Iterable)
    return (given,) if single else tuple(given)
