"""From what a caller writes (paths, URLs, patterns) to files and what to call them."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from inspector.errors import InputError, NotFoundError
from inspector.runtime import files
from inspector.runtime.files import File, printable, short_names
from inspector.runtime.patterns import expanded
from inspector.runtime.stored import SUFFIXES
from inspector.runtime.urls import Place, Remote, is_url, public


@dataclass(frozen=True, slots=True)
class Found:
    """Files to feed, in order, with unique ids; `others` are names of files that cannot be fed.

    `shown` says where they are; `alone` is True for a single file, `folder` for a single folder.
    """

    shown: str
    files: Sequence[File | Remote]
    others: Sequence[str] = ()
    alone: bool = False
    folder: bool = False


def find(places: Sequence[str | Path]) -> Found:
    """The files at these places, one place after the other, in a folder by relative path.

    Patterns in texts are expanded. Of a single place, ids are paths in the folder or the name of the file; of several,
    they begin with what tells the places apart, below the last folder that all share.

    Raises:
        NotFoundError: there is nothing at a place, or it is an empty text.
        InputError: a file cannot be fed by its ending, or comes twice.
        ParameterError: a package is missing for a URL.
    """
    spots = [spot for place in places for spot in _spots(place)]
    if len(spots) == 1:
        return _single(spots[0])
    found: list[File | Remote] = []
    others: list[str] = []
    for spot, name in zip(spots, _names(spots), strict=True):
        if _is_folder(spot):
            inside, more = _listed(spot)
            found += [replace(file, id=f"{name}/{file.id}") for file in inside]
            others += more
        else:
            found.append(_file(spot, name))
    _check_unique(found)
    names = [_shown(spot) for spot in spots]
    shown = ", ".join(names[:3]) + (f", … ({len(names)} in all)" if len(names) > 3 else "")
    return Found(shown, found, others)


def endings() -> str:
    """All endings of files that can be fed."""
    return ", ".join(ending for kind in SUFFIXES.values() for ending in kind)


def _spots(place: str | Path) -> list[Path | Place]:
    if isinstance(place, Path):
        return [place]
    return [_spot(text) for text in expanded(_not_empty(_local(place)))]


def _spot(text: str) -> Path | Place:
    return Place.of(text) if is_url(text) else Path(_not_empty(_local(text)))


def _not_empty(text: str) -> str:
    """The text; an empty one would be the folder that the process happens to be in."""
    if not text:
        raise NotFoundError("data ''", "the text is empty", expected="a path, URL or pattern", remedy="Here is `.`.")
    return text


def _local(text: str) -> str:
    """`file://` is this machine; a `?` or `#` behind it is part of a name or pattern, as nobody else is asked."""
    return unquote(re.sub(r"\Afile://(localhost(?=/))?", "", text)) if text.startswith("file://") else text


def _single(spot: Path | Place) -> Found:
    if _is_folder(spot):
        inside, others = _listed(spot)
        return Found(f"folder {_shown(spot)}", inside, others, folder=True)
    return Found(f"file {_shown(spot)}", [_file(spot, printable(_as_path(spot).name))], alone=True)


def _is_folder(spot: Path | Place) -> bool:
    if isinstance(spot, Place):
        return spot.is_folder()
    try:
        return stat.S_ISDIR(spot.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a zero byte in it
        noise = " For noise in place of data write noise:N." if re.match(r"noise(?!:)", spot.name) else ""
        what = "there is no such file or folder"
        raise NotFoundError(f"data {str(spot)!r}", what, remedy=f"Check the path.{noise}") from error
    except OSError as error:  # a closed folder above it, a name that is too long
        why = f"it cannot be looked at ({error.strerror or error})"
        raise InputError(f"data {str(spot)[:200]!r}", why, remedy="Check the path.") from error


def _listed(spot: Path | Place) -> tuple[Sequence[File | Remote], Sequence[str]]:
    return files.listed(spot) if isinstance(spot, Path) else spot.listed()


def _file(spot: Path | Place, name: str) -> File | Remote:
    file = File(name, spot) if isinstance(spot, Path) else spot.file(name)
    if file.kind is None:
        found = Path(name).suffix or "no ending"
        what = "its ending is not one of those that can be fed"
        raise InputError(f"file {_shown(spot)}", what, expected=endings(), found=found)
    return file


def _names(spots: Sequence[Path | Place]) -> list[str]:
    """What to call each; URLs that differ in their queries alone, which are not shown, are numbered."""
    names, urls = short_names([_as_path(spot) for spot in spots]), dict[str, list[str]]()
    for i, spot in enumerate(spots):
        if isinstance(spot, Place):
            same = urls.setdefault(names[i], [])
            if spot.url not in same:
                same.append(spot.url)
            number = same.index(spot.url) + 1
            names[i] += f"({number})" if number > 1 else ""
    return names


def _check_unique(found: Sequence[File | Remote]) -> None:
    seen: set[str] = set()
    for file in found:
        if file.id in seen:
            raise InputError(f"file {file.id!r}", "it is listed twice", remedy="List every file once.")
        seen.add(file.id)


def _shown(spot: Path | Place) -> str:
    return str(spot) if isinstance(spot, Path) else public(spot.url)


def _as_path(spot: Path | Place) -> Path:
    """Something to name it after; a URL as if its scheme and host, and what it lies in, were folders."""
    if isinstance(spot, Path):
        return spot
    parts = [part.partition("://")[2] or part for part in public(spot.url).split("::") if "://" in part]
    return Path("/", *(step for part in reversed(parts) for step in part.strip("/").split("/")))
