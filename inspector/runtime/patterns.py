"""Names that stand for several: `train-{000..031}.tar`, `{a,b}/*.parquet`."""

from __future__ import annotations

import glob
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from inspector.errors import InputError, NotFoundError
from inspector.runtime.urls import Place, is_url, public

MOST: Final = 100_000
"""Names that one pattern may stand for."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")


def expanded(text: str) -> list[str]:
    """The places that a text stands for: itself, where it has no braces or wildcards, or a file is called so.

    Braces come in the order in which they are written, wildcards sorted by name.

    Raises:
        NotFoundError: nothing fits a wildcard.
        InputError: it stands for too many, or its numbers go down.
    """
    if not is_url(text) and _seen(text):
        return [text]
    names = list(itertools.islice(_braces(text), MOST + 1))
    if len(names) > MOST:
        raise InputError(f"data {text[:80]!r}", "it stands for too many files", expected=f"at most {MOST:,}")
    return [place for name in names for place in _wild(name)]


def _seen(name: str) -> bool:
    """Whether there is such a file; not where its name is too long for one, or its folder is closed."""
    try:
        return Path(name).exists()
    except OSError:
        return False


def _braces(text: str) -> Iterator[str]:
    """All combinations; the leftmost brace varies slowest, as in a shell."""
    pieces = _BRACES.split(text)
    choices = [[piece] if i % 2 == 0 else _choices(piece) for i, piece in enumerate(pieces)]
    return ("".join(parts) for parts in itertools.product(*choices))


def _choices(inside: str) -> list[str]:
    """What one pair of braces stands for; braces around neither a list nor a range are left as they are."""
    if bounds := _RANGE.fullmatch(inside):
        start, stop = bounds.groups()
        if int(start) > int(stop):
            raise InputError(
                f"data pattern {{{inside}}}", "it stands for no number", remedy="Write the smaller one first."
            )
        return [f"{n:0{len(start)}d}" for n in range(int(start), min(int(stop), int(start) + MOST) + 1)]
    return inside.split(",") if "," in inside else [f"{{{inside}}}"]


def _wild(name: str) -> list[str]:
    """Names that fit wildcards: `*`, and on this machine `?`, `[…]` and `**` too."""
    if is_url(name):
        if "*" not in name:
            return [name]
        found = Place.of(name).matching()
    elif not glob.has_magic(name) or _seen(name):
        return [name]
    else:
        found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    if not found:
        raise NotFoundError(f"data {public(name)!r}", "nothing fits this pattern", remedy="Check the path.")
    if len(found) > MOST:
        raise InputError(f"data {public(name)!r}", "it stands for too many files", expected=f"at most {MOST:,}")
    return found
