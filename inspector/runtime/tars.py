"""Tar files in the layout of WebDataset: members that share their name up to the first dot are one sample.

https://github.com/webdataset/webdataset: `0001.jpg`, `0001.cls`; the key is the path up to the first dot of the file
name, the members of a sample follow each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from inspector.contract import Array
from inspector.errors import InputError, InspectorError
from inspector.runtime import arrays, pictures
from inspector.runtime.arrays import npy, only_input
from inspector.runtime.door import Door
from inspector.runtime.files import printable
from inspector.runtime.items import Feeds, Item
from inspector.runtime.stored import Stored
from inspector.runtime.tar_members import Member, members

MAX_LABEL: Final = 64 * 1024
"""Bytes of a member that holds a label."""
MAX_SAMPLE: Final = arrays.MAX_BYTES
"""Bytes of all members of a sample that are read."""

_LABELS = (".cls", ".json")


def tar_items(stored: Stored, door: Door) -> Iterator[Item]:
    """The samples of a tar file; what is wrong with a member, or with the rest of the file, as broken items.

    A sample's picture is its member with a picture's ending; where there are several, the one whose ending has no
    dot inside (`0001.jpg` beside `0001.mask.png`). Without pictures, `.npy` members feed the inputs that they name
    (`0001.x.npy` the input `x`, `0001.npy` the only one). What has neither is passed over.
    """
    sample, problem, seen, told_of = _Sample(stored.id, ""), None, set[str](), 0
    try:
        with stored.open() as file:
            for member in members(file, stored.id, _most):
                key = _key(member.name)
                if key != sample.key:
                    yield from sample.items(door, seen)
                    sample = _Sample(stored.id, key)
                if told := sample.add(member):
                    name = f"{stored.id}/{printable(member.name)}"
                    told_of += 1
                    yield Item.broken(name, InputError(name, told))
    except InputError as error:
        problem = error
    yield from sample.items(door, seen)
    if problem or not (seen or told_of):
        nothing = InputError(stored.id, "it holds nothing to feed", expected="pictures or .npy files")
        yield Item.broken(stored.id, problem or nothing, incomplete=True)


@dataclass(slots=True)
class _Sample:
    """Members of one key, in the making."""

    shard: str
    key: str
    pictures: dict[str, bytes] = field(default_factory=dict)
    arrays: dict[str, bytes] = field(default_factory=dict)
    labels: dict[str, bytes] = field(default_factory=dict)
    held: int = 0

    def add(self, member: Member) -> str:
        """Keeps what is needed of a member. Returns what is wrong with it, an empty text where nothing is."""
        if member.data is None or (place := self._place(member.name)) is None:
            return member.problem
        if member.name in place and place is not self.labels:
            return "an input of that id came before"
        self.held += len(member.data)
        if self.held > MAX_SAMPLE:
            return f"its sample is too large, at most {MAX_SAMPLE:,} bytes are read"
        place[member.name] = member.data
        return ""

    def items(self, door: Door, seen: set[str]) -> Iterator[Item]:
        """One item to feed, where there is one; its id is added to `seen`."""
        if self.pictures or self.arrays:
            key = self._id()
            yield (
                self._item(key, door)
                if key not in seen
                else Item.broken(key, InputError(key, "an input of that id came before"))
            )
            seen.add(key)

    def _item(self, key: str, door: Door) -> Item:
        try:
            if self.pictures:
                door.for_pictures(self.shard)
                name = self._picture()
                return Item(
                    key, partial(door.picture, self.pictures[name], key), self._label(), len(self.pictures[name])
                )
            read = partial(_read_arrays, self.arrays, door, key)
            return Item(key, read, self._label(), sum(map(len, self.arrays.values())))
        except InputError as error:
            return Item.broken(key, error)

    def _id(self) -> str:
        """The name of what is fed: the member's, or the key of several."""
        names = [*self.pictures] or [*self.arrays]
        plain = [n for n in names if _ending(n).count(".") == 1]
        name = names[0] if len(names) == 1 else plain[0] if len(plain) == 1 else self.key
        return f"{self.shard}/{printable(name)}"

    def _picture(self) -> str:
        plain = [n for n in self.pictures if _ending(n).count(".") == 1]
        if len(self.pictures) > 1 and len(plain) != 1:
            raise InputError(
                self._id(),
                "several pictures share a key, and nothing says which one to feed",
                found=", ".join(map(printable, [*self.pictures][:3])),
                remedy="Name every picture differently up to its first dot.",
            )
        return plain[0] if len(plain) == 1 else next(iter(self.pictures))

    def _label(self) -> str | None:
        return next((found for n, data in sorted(self.labels.items()) if (found := _read_label(n, data))), None)

    def _place(self, name: str) -> dict[str, bytes] | None:
        lower = name.lower()
        if lower.endswith(pictures.SUFFIXES):
            return self.pictures
        if lower.endswith(".npy"):
            return self.arrays
        return self.labels if _ending(lower) in _LABELS else None


def _most(name: str) -> int:
    """Bytes that a member may have: 0 for what is not read, hidden files among it."""
    lower = name.lower()
    if any(part.startswith(".") and part != ".." for part in name.split("/")):
        return 0
    if lower.endswith(pictures.SUFFIXES):
        return pictures.MAX_BYTES
    return arrays.MAX_BYTES if lower.endswith(".npy") else MAX_LABEL if _ending(lower) in _LABELS else 0


def _key(name: str) -> str:
    return name.removesuffix(_ending(name))


def _ending(name: str) -> str:
    """What comes after the key: `.jpg`, `.mask.png`."""
    _, dot, ending = name.rpartition("/")[2].partition(".")
    return dot + ending


def _read_arrays(files: dict[str, bytes], door: Door, key: str) -> Feeds:
    found: dict[str, Array] = {}
    for name, data in files.items():
        target = _ending(name)[1:-4] or only_input(door.inputs, key).name
        try:
            found[target] = npy(data, key)
        except InspectorError:
            raise
        except Exception as error:  # NumPy raises several unrelated types on damaged bytes
            raise InputError(key, f"the array cannot be read ({error})", remedy="Write it again.") from error
    return door.tensors(found, key)


def _read_label(name: str, data: bytes) -> str | None:
    """The text of a .cls member, which may be empty; of a .json one what is under `label` or `cls`."""
    text = data.decode("utf-8", "replace").strip()
    if _ending(name.lower()) == ".cls":
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    value = next((found[k] for k in ("label", "cls") if k in found), None) if isinstance(found, dict) else None
    return str(value) if isinstance(value, str | int) else None
