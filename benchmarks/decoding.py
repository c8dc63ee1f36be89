"""How fast inputs are read, by form, and for how much of an audit nothing runs because they are not there yet.

`python -m benchmarks.decoding [--pictures 256] [--rounds 3] [--write]`. Pictures of 500 x 375, the size of many in
ImageNet, are made in a temporary folder: smooth ones with a little noise, so that JPEG files are of the usual length.
They become tensors of 3 x 224 x 224 by `imagenet`; `.npy` holds such tensors. Rounds take turns.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import inspector
from benchmarks.nets import PIXELS, mobilenet_v2, one_convolution
from benchmarks.results import table, write_section
from benchmarks.timing import machine
from inspector.contract import TensorInfo
from inspector.runtime.data import batches, open_source
from inspector.runtime.preprocess import Preprocess

INPUT: Final = TensorInfo("image", "float32", ("N", 3, PIXELS, PIXELS))
BATCH: Final = 16
FORMS: Final = ("JPEG files", "PNG files", ".npy file", "tar of JPEG", "Parquet of JPEG")
WIDTH, HEIGHT = 500, 375


def pictures(count: int) -> Iterator[Image.Image]:
    """Smooth random pictures with a little noise, the same ones every time."""
    random = np.random.default_rng(0)
    for _ in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8))
        smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.int16)
        noisy = smooth + random.normal(0, 8, smooth.shape).astype(np.int16)
        yield Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def encoded(picture: Image.Image, form: str) -> bytes:
    """The bytes of a picture file."""
    file = io.BytesIO()
    picture.save(file, form, **({"quality": 90} if form == "JPEG" else {}))
    return file.getvalue()


def write(folder: Path, count: int) -> dict[str, Path]:
    """All forms of the data set."""
    places = {form: folder / str(number) for number, form in enumerate(FORMS)}
    for form in ("JPEG files", "PNG files"):
        places[form].mkdir()
    jpegs = []
    for number, picture in enumerate(pictures(count)):
        jpegs.append(encoded(picture, "JPEG"))
        (places["JPEG files"] / f"{number:05d}.jpg").write_bytes(jpegs[-1])
        (places["PNG files"] / f"{number:05d}.png").write_bytes(encoded(picture, "PNG"))
    places = {form: place if place.is_dir() else place.with_suffix(_ENDINGS[form]) for form, place in places.items()}
    np.save(places[".npy file"], np.random.default_rng(0).standard_normal((count, 3, PIXELS, PIXELS), np.float32))
    with tarfile.open(places["tar of JPEG"], "w") as tar:
        for number, data in enumerate(jpegs):
            info = tarfile.TarInfo(f"{number:05d}.jpg")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    pq.write_table(pa.table({"image": jpegs}), places["Parquet of JPEG"], row_group_size=64)
    return places


_ENDINGS: Final = {".npy file": ".npy", "tar of JPEG": ".tar", "Parquet of JPEG": ".parquet"}


def speed(form: str, place: Path, threads: int) -> float:
    """Inputs a second, put into batches."""
    source = open_source(place, [INPUT], None if form == ".npy file" else Preprocess.parse("imagenet"))
    began = time.perf_counter()
    count = sum(len(batch.info.ids) for batch in batches(source, BATCH, workers=threads))
    return count / (time.perf_counter() - began)


def waiting(model: bytes, form: str, place: Path) -> tuple[float, float]:
    """Inputs a second of an audit, and for which share of its time nothing ran."""
    preprocess = "" if form == ".npy file" else "imagenet"
    origin = inspector.audit(model, place, preprocess=preprocess, device="cpu", self_check=False).provenance
    return origin.inputs / origin.seconds, origin.waited / origin.seconds


def main() -> None:
    """Reads and audits all forms, prints the table, and writes it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    models = {"a convolution": one_convolution(), "MobileNet-v2": mobilenet_v2()}
    with tempfile.TemporaryDirectory() as folder:
        places = write(Path(folder), options.pictures)
        sizes = {form: _size(place) / options.pictures / 1000 for form, place in places.items()}
        rounds = [
            {
                form: [
                    speed(form, place, 1),
                    speed(form, place, 2),
                    *(waiting(m, form, place) for m in models.values()),
                ]
                for form, place in places.items()
            }
            for _ in range(options.rounds)
        ]
    rows = []
    for form in FORMS:
        one, two, *audits = zip(*(found[form] for found in rounds), strict=True)
        rows.append([form, f"{sizes[form]:.0f}", f"{statistics.median(one):,.0f}", f"{statistics.median(two):,.0f}"])
        for audit in audits:
            rates, shares = zip(*audit, strict=True)
            rows[-1].append(f"{statistics.median(rates):,.0f}, {statistics.median(shares):.0%}")
    columns = ["form", "kB each", "1 thread, a second", "2 threads, a second"]
    columns += [f"audit of {name}: a second, waiting" for name in models]
    text = (
        f"`python -m benchmarks.decoding`: {options.pictures} pictures, {options.rounds} rounds; medians. *Waiting* is "
        f"the share of the audit in which nothing ran because inputs were not there.\n\n{machine()}\n\n"
        f"{table(columns, rows)}"
    )
    print(text)
    if options.write:
        write_section("Reading inputs", text)


def _size(place: Path) -> int:
    return sum(file.stat().st_size for file in (place.iterdir() if place.is_dir() else [place]))


if __name__ == "__main__":
    main()
