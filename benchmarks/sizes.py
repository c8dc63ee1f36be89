"""What an audit of pictures of many sizes costs beside plain inference of the same pictures.

`python -m benchmarks.sizes [--count 200] [--rounds 3] [--net ResNet-50] [--write]`. Height and width of the networks'
input are free. `sparsity` at every act tap, without the self-check; plain inference has one session, and equal pictures
that follow each other share its runs. Areas are about the same in all sets: *one size* is 224 x 224; *two in turns* are
that and 192 x 256; *all different* are sides from 160 to 288, drawn at random.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

import numpy as np
import onnx

import inspector
from benchmarks.nets import NETS, PIXELS
from benchmarks.results import table, write_section
from benchmarks.timing import interleaved, machine
from inspector import Raw
from inspector.contract import Array
from inspector.graph.instrument import instrument
from inspector.runtime.session import Session, open_session

DEFAULT: Final = ("MobileNet-v2", "SqueezeNet", "ResNet-50")
SETS: Final[Mapping[str, Callable[[int], list[tuple[int, int]]]]] = {
    "one size": lambda count: [(PIXELS, PIXELS)] * count,
    "two in turns": lambda count: [((PIXELS, PIXELS), (192, 256))[i % 2] for i in range(count)],
    "all different": lambda count: list(map(tuple, np.random.default_rng(0).integers(160, 289, (count, 2)).tolist())),
}


def with_free_sizes(data: bytes) -> bytes:
    """The network, for pictures of any size."""
    model = onnx.load_from_string(data)
    for place, name in ((2, "H"), (3, "W")):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_param = name
    return model.SerializeToString()


def shared(pictures: Sequence[Array], most: int) -> Iterator[Array]:
    """Batches of equal pictures that follow each other."""
    for _, alike in groupby(pictures, key=lambda picture: picture.shape):
        same = list(alike)
        yield from (np.stack(same[start : start + most]) for start in range(0, len(same), most))


def measured(name: str, count: int, rounds: int) -> Iterator[list[object]]:
    """The rows of one network."""
    view = inspector.load(with_free_sizes(NETS[name]()), name=name)
    plain = instrument(view, (), keep_outputs=True)
    with open_session(plain.model, weights=plain.weights, device="cpu") as session:
        for label, sides in SETS.items():
            random = np.random.default_rng(1)
            pictures = [random.standard_normal((3, *side), np.float32) for side in sides(count)]
            data = [Raw(str(i), tensors={"image": picture}) for i, picture in enumerate(pictures)]

            def audit(data: list[Raw] = data) -> inspector.Report:
                return inspector.audit(view, data, ["sparsity"], device="cpu", self_check=False)

            size = audit().provenance.batch
            batches = list(shared(pictures, size))
            timings = interleaved({"plain": lambda b=batches: run(session, b), "audit": audit}, rounds, warm=0)
            ms = 1000 * timings["plain"].wall.median / count
            yield [name, label, size, f"{ms:.1f}", timings["audit"].wall_ratio, timings["audit"].processor_ratio]


def run(session: Session, batches: Sequence[Array]) -> None:
    """Plain inference."""
    for batch in batches:
        session.run({"image": batch})


def main() -> None:
    """Measures, prints the table, and writes it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--net", action="append", choices=list(NETS), default=None)
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    rows = []
    for name in options.net or DEFAULT:
        for row in measured(name, options.count, options.rounds):
            print(*row, flush=True)
            rows.append(row)
    columns = ["network", "pictures", "batch", "plain, ms a picture", "audit: wall", "audit: processor"]
    text = (
        f"`python -m benchmarks.sizes`: {options.count} pictures, {options.rounds} interleaved rounds in one process; "
        f"medians, and of ratios to plain inference quartiles in brackets.\n\n{machine()}\n\n{table(columns, rows)}"
    )
    print(text)
    if options.write:
        write_section("Pictures of many sizes (cpu)", text)


if __name__ == "__main__":
    main()
