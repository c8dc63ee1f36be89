"""What it costs to audit over gRPC: data that lie beside the server, and data that a client sends, against no server.

`python -m benchmarks.over_grpc [--pictures 256] [--rounds 5] [--write]`. The server is a process of its own on this
machine, so that the client takes processors from it. JPEG files of 500 x 375 are decoded where the model runs; arrays
are 3 x 224 x 224 float32, 602 kB each, from one `.npy` file. Rounds take turns.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import inspector
from benchmarks.decoding import write
from benchmarks.nets import mobilenet_v2, one_convolution
from benchmarks.results import table, write_section
from benchmarks.timing import interleaved, machine

FORMS: Final = {"JPEG files": "imagenet", ".npy file": ""}


@contextmanager
def serving(folder: Path) -> Iterator[inspector.Client]:
    """A client of a server of its own."""
    command = [
        sys.executable,
        "-m",
        "inspector",
        "serve",
        "--port",
        "0",
        "--models",
        str(folder),
        "--data",
        str(folder),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().split()[-1]
        try:
            with inspector.Client(address) as client:
                yield client
        finally:
            server.terminate()


def ways(
    client: inspector.Client, model: Path, place: Path, preprocess: str
) -> dict[str, Callable[[], inspector.Report]]:
    """The same audit without a server, with the data beside it, and with data that are sent."""
    name = model.stem

    def here() -> inspector.Report:
        return inspector.audit(model, place, preprocess=preprocess, device="cpu")

    def beside() -> inspector.Report:
        return client.audit(name, f"server:{place.name}", preprocess=preprocess)

    def sent() -> inspector.Report:
        return client.audit(name, place, preprocess=preprocess)

    return {"no server": here, "beside the server": beside, "sent": sent}


def measured(folder: Path, count: int, rounds: int) -> Iterator[list[object]]:
    """The rows of the table."""
    places = write(folder, count)
    models = {"a convolution": one_convolution(), "MobileNet-v2": mobilenet_v2()}
    with serving(folder) as client:
        for number, (net, data) in enumerate(models.items()):
            path = folder / f"net{number}.onnx"
            path.write_bytes(data)
            for form, preprocess in FORMS.items():
                timings = interleaved(ways(client, path, places[form], preprocess), rounds, warm=1)
                first, *others = timings.values()
                yield [net, form, f"{count / first.wall.median:.0f}", *(each.wall_ratio for each in others)]


def main() -> None:
    """Measures, prints the table, and writes it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for row in measured(Path(folder), options.pictures, options.rounds):
            print(*row, flush=True)
            rows.append(row)
    columns = ["network", "data", "no server, inputs a second", "beside the server: wall", "sent: wall"]
    text = (
        f"`python -m benchmarks.over_grpc`: {options.pictures} inputs, {options.rounds} rounds in turns; medians, "
        f"and of ratios to no server quartiles in brackets.\n\n{machine()}\n\n{table(columns, rows)}"
    )
    print(text)
    if options.write:
        write_section("Over gRPC, on one machine (cpu)", text)


if __name__ == "__main__":
    main()
