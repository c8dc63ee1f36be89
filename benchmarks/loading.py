"""What loading and rewriting cost, beside what onnxruntime needs for the same file.

Run it with `make bench-loading`. It makes three models in a temporary folder, measures every step in processes of their
own, in turns, and prints a table. Seconds are processor time of all threads: on a shared machine they say more than the
clock does; the clock is there too. Peak memory is VmHWM, Linux only, less what the process had after its imports.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from onnx import helper  # noqa: TID251 - makes files as an exporter would, not with what is measured

from inspector import Ops, TapKind
from inspector.contract.measures import TAPPED
from inspector.graph.instrument import Request, instrument
from inspector.graph.load import load
from inspector.runtime.session import open_session

MODELS: Final = {"1,000 convolutions": (1000, 32, False), "1 GB": (28, 1024, False), "2.5 GB beside": (66, 1024, True)}
"""Convolutions, channels, whether the weights lie in a data file."""


def main() -> None:
    """Measures and prints, or does one step where it is called for that."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=list(MODELS), help="; ".join(MODELS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--step", nargs=2, metavar=("STEP", "MODEL"), help="one step, in this process")
    arguments = parser.parse_args()
    if arguments.step:
        step, target = arguments.step
        print(json.dumps(STEPS[step](Path(target))))
        return
    print(f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}, Python {platform.python_version()}, "
          f"{platform.machine()}, medians of {arguments.rounds} (least to most)\n")  # fmt: skip
    for name in arguments.models:
        count, channels, beside = MODELS[name]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.onnx"
            needed = count * channels * channels * 9 * 4 * 2
            if shutil.disk_usage(folder).free < needed:
                sys.exit(f"{name}: the temporary folder has less than {needed} bytes free")
            make(path, count, channels, beside=beside)
            compare(name, path, arguments.rounds)


def make(path: Path, count: int, channels: int, *, beside: bool) -> None:
    """A chain of convolutions and Relus, with random weights."""
    random = np.random.default_rng(0)
    nodes, tensors, value = [], [], "x"
    with (path.parent / "net.data").open("wb") as data:
        for i in range(count):
            raw = (random.standard_normal((channels, channels, 3, 3), np.float32) * 0.01).tobytes()
            tensor = onnx.TensorProto(name=f"w{i}", data_type=1, dims=(channels, channels, 3, 3))
            if beside:
                tensor.data_location = onnx.TensorProto.EXTERNAL
                for key, text in (("location", "net.data"), ("offset", str(data.tell())), ("length", str(len(raw)))):
                    tensor.external_data.add(key=key, value=text)
                data.write(raw)
            else:
                tensor.raw_data = raw
            tensors.append(tensor)
            nodes.append(helper.make_node("Conv", [value, f"w{i}"], [f"c{i}"], name=f"conv{i}", pads=[1, 1, 1, 1]))
            nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
            value = f"r{i}"
    shape = ["N", channels, 16, 16]
    ends = [helper.make_tensor_value_info(name, 1, shape) for name in ("x", value)]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    path.write_bytes(model.SerializeToString())


def compare(name: str, path: Path, rounds: int) -> None:
    """All steps in turns, so that what else the machine does meets all of them."""
    found: dict[str, list[dict[str, float]]] = {step: [] for step in STEPS}
    for _ in range(rounds):
        for step in STEPS:
            command = [sys.executable, __file__, "--step", step, str(path)]
            found[step].append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    plain = [row["session"] for row in found["onnxruntime"]]
    ours = [row["load"] + row["instrument"] for row in found["inspector"]]
    print(f"{name}, {size / 1e6:.0f} MB")
    for step, rows in found.items():
        for key in rows[0]:
            unit = "x file" if key.endswith("peak") else "s"
            print(
                f"  {step:12} {key:18} {spread([row[key] / (size if unit == 'x file' else 1) for row in rows])} {unit}"
            )
    ratios = [mine / other for mine, other in zip(ours, plain, strict=True)]
    print(f"  load + instrument / onnxruntime's session, round by round: {spread(ratios).strip()}\n")


def spread(values: list[float]) -> str:
    """The median, and between what it lies."""
    return f"{statistics.median(values):7.2f} ({min(values):.2f} to {max(values):.2f})"


def peak() -> float:
    """Most memory that this process ever had, in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


class Steps:
    """Times and peaks of one process."""

    def __init__(self) -> None:
        self.base, self.rows = peak(), dict[str, float]()

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        cpu, clock = time.process_time(), time.perf_counter()
        result = work()
        self.rows[name] = time.process_time() - cpu
        self.rows[f"{name}, clock"] = time.perf_counter() - clock
        self.rows[f"{name}, peak"] = peak() - self.base
        return result


def plain(path: Path) -> dict[str, float]:
    """What onnxruntime needs by itself."""
    steps, options = Steps(), onnxruntime.SessionOptions()
    steps("session", lambda: onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]))
    return steps.rows


def inspected(path: Path) -> dict[str, float]:
    """Loading, writing one row per layer, and the session of the result."""
    steps, op = Steps(), Ops()
    view = steps("load", lambda: load(path))
    rows = [Request(layer.taps[TapKind.ACT].tensor, op.max(TAPPED)) for layer in view.layers]
    shape = {"x": (view.layers[0].in_channels, 16, 16)}
    written = steps("instrument", lambda: instrument(view, rows, shapes=shape))

    def opened() -> None:
        with open_session(written.model, weights=written.weights, device="cpu"):
            pass

    steps("session", opened)
    return steps.rows


STEPS: Final = {"onnxruntime": plain, "inspector": inspected}

if __name__ == "__main__":
    main()
