"""The same work as users do it today: zero fraction, fired, max and mean of every channel after every ReLU.

`python -m benchmarks.against_others [--net SqueezeNet] [--batch 8] [--batches 6] [--write]`. Every way runs in a
process of its own, so that peak memory is its own; the processes take turns. A way that needs a package which is not
installed (Polygraphy, PyTorch) is left out, and said to be.

- *plain*: inference alone, for scale.
- *inspector*: measures in the graph.
- *all maps, NumPy*: the maps of all ReLUs as outputs of the graph, reduced in NumPy.
- *qdq_loss_debug*: onnxruntime's own collection of activations, which keeps them all, reduced in NumPy.
- *Polygraphy*: `mark all`, reduced in NumPy.
- *PyTorch, plain*: inference alone of the same network with the same weights, in eager mode.
- *PyTorch, hooks*: forward hooks at every ReLU, which reduce its output with PyTorch.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime

import inspector
from benchmarks.against_plain import MEASURES, exact_taps, instrumented
from benchmarks.nets import NETS, PIXELS
from benchmarks.results import table, write_section
from benchmarks.timing import machine
from inspector.runtime.devices import cores
from inspector.runtime.session import open_session

Feeds = dict[str, np.ndarray[Any, Any]]
Run = Iterator[tuple[float, float, int]]
"""Of every batch: seconds on the wall, of the processor by all threads, and bytes that left the session."""


def images(batch: int, batches: int) -> Iterator[Feeds]:
    """Batches of noise, the same ones every time."""
    random = np.random.default_rng(0)
    for _ in range(batches):
        yield {"image": random.standard_normal((batch, 3, PIXELS, PIXELS), np.float32)}


def reduce_maps(maps: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
    """What the work asks of maps (N, C, *space): zero fraction, fired, max, mean, each (N, C)."""
    space = tuple(range(2, maps.ndim))
    zeros = (maps == 0).mean(space)
    return zeros, zeros < 1, maps.max(space), maps.mean(space)


def plain(data: bytes, batches: Iterator[Feeds]) -> Run:
    """Inference alone."""
    with open_session(data, device="cpu") as session:
        yield from _timed(batches, lambda feeds: sum(a.nbytes for a in session.run(feeds)))


def in_graph(data: bytes, batches: Iterator[Feeds]) -> Run:
    """The inspector's way."""
    view = inspector.load(data)
    model = instrumented(view, exact_taps(view), MEASURES["max, mean, zeros"])
    with open_session(model.model, weights=model.weights, device="cpu") as session:
        yield from _timed(batches, lambda feeds: sum(a.nbytes for a in session.run(feeds)))


def all_maps(data: bytes, batches: Iterator[Feeds]) -> Run:
    """All maps out, NumPy reduces them."""
    with open_session(_exposed(data), device="cpu") as session:

        def work(feeds: Feeds) -> int:
            maps = session.run(feeds)
            for array in maps[1:]:
                reduce_maps(array)
            return sum(a.nbytes for a in maps)

        yield from _timed(batches, work)


def loss_debug(data: bytes, batches: Iterator[Feeds]) -> Run:
    """`onnxruntime.quantization.qdq_loss_debug` as documented: it collects the tensors of all batches first."""
    from onnxruntime.quantization import qdq_loss_debug  # noqa: PLC0415 - heavy, and only one way needs it

    channels = {tap.tensor: tap.channels for tap in inspector.load(data).taps()}
    with tempfile.TemporaryDirectory() as folder:
        model, augmented = Path(folder, "model.onnx"), Path(folder, "augmented.onnx")
        model.write_bytes(data)
        qdq_loss_debug.modify_model_output_intermediate_tensors(model, augmented, op_types_for_saving=["Relu", "Clip"])
        feeds = list(batches)

        class Reader:
            """What the collection reads from: one batch after the other, then None."""

            def __iter__(self) -> Iterator[Feeds]:
                return iter(feeds)

        began, spent = time.perf_counter(), time.process_time()
        found = qdq_loss_debug.collect_activations(str(augmented), Reader())  # type: ignore[arg-type]
        for name in found.keys() & channels.keys():
            for array, fed in zip(found[name], feeds, strict=True):  # they come flat
                reduce_maps(array.reshape(len(fed["image"]), channels[name], -1))
        wall, processor = ((now - at) / len(feeds) for now, at in _clocks(began, spent))
        size = sum(a.nbytes for arrays in found.values() for a in arrays) // len(feeds)
        yield from [(wall, processor, size)] * len(feeds)


def polygraphy(data: bytes, batches: Iterator[Feeds]) -> Run:
    """Polygraphy: all tensors marked as outputs, run one batch at a time."""
    from polygraphy import constants  # noqa: PLC0415 - optional
    from polygraphy.backend.onnx import modify_outputs  # noqa: PLC0415
    from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx  # noqa: PLC0415

    marked = modify_outputs(onnx.load_from_string(data), outputs=constants.MARK_ALL)
    relus = [name for node in marked.graph.node if node.op_type in ("Relu", "Clip") for name in node.output]
    with OnnxrtRunner(SessionFromOnnx(marked.SerializeToString(), providers=["cpu"])) as runner:

        def work(feeds: Feeds) -> int:
            maps = runner.infer(feeds)
            for name in relus:
                reduce_maps(maps[name])
            return sum(a.nbytes for a in maps.values())

        yield from _timed(batches, work)


def torch_plain(data: bytes, batches: Iterator[Feeds]) -> Run:
    """PyTorch, inference alone."""
    yield from _in_torch(data, batches, hooks=False)


def torch_hooks(data: bytes, batches: Iterator[Feeds]) -> Run:
    """PyTorch with forward hooks."""
    yield from _in_torch(data, batches, hooks=True)


def _in_torch(data: bytes, batches: Iterator[Feeds], *, hooks: bool) -> Run:
    import torch  # noqa: PLC0415 - optional, and heavy

    from benchmarks.torch_net import Net  # noqa: PLC0415 - needs it

    torch.set_num_threads(cores())
    net = Net(data).eval()
    rows: list[Any] = []

    def hook(_: Any, __: Any, maps: Any) -> None:
        zeros = (maps == 0).float().mean((2, 3))
        rows.append((zeros, zeros < 1, maps.amax((2, 3)), maps.mean((2, 3))))

    for module in net.activations if hooks else ():
        module.register_forward_hook(hook)

    def work(feeds: Feeds) -> int:
        rows.clear()
        scores = net(torch.from_numpy(feeds["image"]))
        found = [row.numpy() for tap in rows for row in tap]
        return scores.nbytes + sum(row.nbytes for row in found)

    with torch.inference_mode():
        yield from _timed(batches, work)


WAYS: Final[dict[str, Callable[[bytes, Iterator[Feeds]], Run]]] = {
    "plain": plain,
    "inspector": in_graph,
    "all maps, NumPy": all_maps,
    "qdq_loss_debug": loss_debug,
    "Polygraphy": polygraphy,
    "PyTorch, plain": torch_plain,
    "PyTorch, hooks": torch_hooks,
}


def _exposed(data: bytes) -> bytes:
    proto = onnx.load_from_string(data)
    names = [name for node in proto.graph.node if node.op_type in ("Relu", "Clip") for name in node.output]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return proto.SerializeToString()


def _timed(batches: Iterator[Feeds], work: Callable[[Feeds], int]) -> Run:
    for feeds in batches:
        began, spent = time.perf_counter(), time.process_time()
        size = work(feeds)
        wall, processor = (now - at for now, at in _clocks(began, spent))
        yield wall, processor, size


def _clocks(began: float, spent: float) -> tuple[tuple[float, float], tuple[float, float]]:
    return (time.perf_counter(), began), (time.process_time(), spent)


def _child(way: str, net: str, batch: int, batches: int) -> None:
    onnxruntime.set_default_logger_severity(4)
    data = NETS[net]()
    runs = list(WAYS[way](data, images(batch, batches)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, processor, sizes = zip(*runs[1:], strict=True)
    times = {"seconds": statistics.median(wall), "processor": statistics.median(processor)}
    print(json.dumps({**times, "bytes": sizes[-1], "peak": peak}))


def _measured(way: str, options: argparse.Namespace) -> dict[str, float] | None:
    command = [sys.executable, "-m", __spec__.name, "--way", way, "--net", options.net, "--batch", str(options.batch)]
    done = subprocess.run([*command, "--batches", str(options.batches)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{way}: {done.stderr.strip().splitlines()[-1]}")
        return None
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{way}: {found}", flush=True)
    return found


def main() -> None:
    """Runs all ways in turns, prints the table, and writes it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", default="SqueezeNet", choices=list(NETS))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--way", choices=list(WAYS))
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    if options.way:
        _child(options.way, options.net, options.batch, options.batches)
        return
    turns = [{way: _measured(way, options) for way in WAYS} for _ in range(options.turns)]
    rows = [_row(way, [found for turn in turns if (found := turn[way])]) for way in WAYS]
    columns = [
        "way",
        "seconds a batch",
        "processor seconds a batch",
        "peak memory, MB",
        "leaves the session, MB a batch",
    ]
    text = (
        f"`python -m benchmarks.against_others --net {options.net}`: {options.net}, batch {options.batch}, "
        f"{options.batches} batches, {options.turns} turns; medians. Peak memory is of the whole process."
        f"\n\n{machine()}\n\n{table(columns, rows)}"
    )
    print(text)
    if options.write:
        write_section(f"The same work as others do it ({options.net})", text)


def _row(way: str, found: Sequence[dict[str, float]]) -> list[str]:
    if not found:
        return [way, "not installed", "", "", ""]
    keys = ("seconds", "processor", "peak", "bytes")
    seconds, processor, peak, size = (statistics.median(f[key] for f in found) for key in keys)
    return [way, f"{seconds:.2f}", f"{processor:.2f}", f"{peak:.0f}", f"{size / 1e6:.2f}"]


if __name__ == "__main__":
    main()
