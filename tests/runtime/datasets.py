"""One small data set in every form that can be fed, for the tests of sources."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from inspector.contract import TensorInfo
from inspector.errors import InputError
from inspector.report import Skipped
from inspector.runtime.data import Source, batches
from inspector.runtime.items import Items
from inspector.runtime.preprocess import Preprocess

X = TensorInfo("x", "float32", ("N", 1, 2, 2))
RAW = Preprocess.parse("raw")
CLASSES = ("ant", "bee", "cat")


def png(pixels: np.ndarray | int) -> bytes:
    """A grey picture; a number is a picture of that level."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(np.broadcast_to(np.uint8(pixels), (2, 2)))).save(file, "PNG")
    return file.getvalue()


PIXELS = [np.random.default_rng(i).integers(0, 256, (2, 2), np.uint8) for i in range(11)]
"""The pixels of the data set, in its order."""
LABELS = [CLASSES[i // 4] for i in range(11)]
"""The classes of its inputs."""
FILES = {f"{label}/{i:02d}.png": png(pixels) for i, (label, pixels) in enumerate(zip(LABELS, PIXELS, strict=True))}


def write_folder(folder: Path) -> Path:
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def tar_bytes(members: Mapping[str, bytes | tarfile.TarInfo], mode: str = "w", **options: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, **options) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return file.getvalue()


def samples(numbers: Iterable[int]) -> dict[str, bytes]:
    """Members of a WebDataset with these inputs."""
    members: dict[str, bytes] = {}
    for i in numbers:
        members |= {f"{i:02d}.png": png(PIXELS[i]), f"{i:02d}.cls": LABELS[i].encode()}
    return members


def read(items: Items) -> list[tuple[str, str | None, np.ndarray | str]]:
    """Id, label and first array of every input, or why it cannot be read."""

    def one(item):
        try:
            return next(iter(item.read().values()))
        except InputError as error:
            return str(error)

    return [(item.id, item.label, one(item)) for item in items]


def assert_is_the_data_set(source: Source) -> None:
    """The inputs, in order, and their labels, through batches."""
    skips: list[Skipped] = []
    found = list(batches(source, 4, workers=2, on_skip=skips.append))
    np.testing.assert_array_equal(np.concatenate([b.feeds["x"][:, 0] for b in found]), np.array(PIXELS, np.float32))
    assert [label for b in found for label in b.info.labels] == LABELS
    ids = [key for b in found for key in b.info.ids]
    assert len(set(ids)) == len(PIXELS)
    assert skips == []
