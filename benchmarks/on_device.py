"""What an audit could gain on a device with memory of its own: ways to bring inputs in, and ways to measure maps.

`python -m benchmarks.on_device [--device cuda] [--net ResNet-50] [--batch 64] [--rounds 15] [--write]`. Needs PyTorch
and Triton beside the inspector. The measures are largest element, mean and zero fraction at the act taps. The ways:

- *bound*: plain inference, inputs put into the device's memory before the run, as the inspector does it. The others
  are compared with it;
- *handed over*: plain inference, the runtime copies them by itself;
- *page-locked*: plain inference, inputs go through page-locked memory of the host;
- *nodes*: the measures as nodes of the graph, as the inspector does it;
- *reductions*: the same nodes, but every global pooling is a reduction over the axes of space. The CUDA provider gives
  pooling to cuDNN as one window of the size of the map, and reductions to kernels made for them;
- *kernel*: every map stays on the device and is handed by DLPack to one kernel that reads it once.

The last three have to agree, or nothing is printed. On the CPU (`TRITON_INTERPRET=1`) times mean nothing: that only
shows that the ways work.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
import torch
import triton
import triton.language as tl

import inspector
from benchmarks.against_plain import MEASURES, exact_taps, instrumented
from benchmarks.nets import NETS, PIXELS
from benchmarks.results import table, write_section
from benchmarks.timing import interleaved, machine
from inspector import Array, Ops
from inspector.contract.measures import TAPPED
from inspector.graph.instrument import Instrumented, Request
from inspector.graph.writing import PREFIX
from inspector.runtime.session import Session, open_session

BLOCK: Final = 1024
"""Elements of a map that one program of the kernel reads at a time."""
ASKED: Final = MEASURES["max, mean, zeros"]
TOLERANCE: Final = 1e-5
"""Of the largest number of a tap: how far the means of other ways may be from those of the nodes."""
REDUCTIONS: Final = {"GlobalMaxPool": "ReduceMax", "GlobalAveragePool": "ReduceMean"}
SPACE: Final = f"{PREFIX}space"


@triton.jit
def _measure(maps, rows, area, block: tl.constexpr):
    """One program for every map: its largest element, its sum, and how many elements are above zero."""
    at = tl.program_id(0).to(tl.int64)
    most = tl.full([block], float("-inf"), tl.float32)
    total = tl.zeros([block], tl.float32)
    positive = tl.zeros([block], tl.float32)
    for start in range(0, area, block):
        place = start + tl.arange(0, block)
        values = tl.load(maps + at * area + place, mask=place < area, other=0.0).to(tl.float32)
        most = tl.maximum(most, tl.where(place < area, values, float("-inf")))
        total += values
        positive += (values > 0).to(tl.float32)
    tl.store(rows + 3 * at, tl.max(most, axis=0))
    tl.store(rows + 3 * at + 1, tl.sum(total, axis=0) / area)
    tl.store(rows + 3 * at + 2, tl.sum(positive, axis=0))


class Ways:
    """One network on one device, run in every way."""

    def __init__(self, name: str, batch: int, device: str, opened: contextlib.ExitStack) -> None:
        view = inspector.load(NETS[name](), name=name)
        self._taps, self._device = exact_taps(view), device
        self._kind, _, index = device.partition(":")
        self._index = int(index or 0)
        self._inputs = np.random.default_rng(0).standard_normal((batch, 3, PIXELS, PIXELS), np.float32)
        self._image = view.inputs[0].name
        kept = instrumented(view, self._taps, [Ops().keep(TAPPED)])
        self._places = [kept.names[kept.slots[Request(tap.tensor, Ops().keep(TAPPED))].output] for tap in self._taps]
        self._models = {"plain": instrumented(view, self._taps, ()), "nodes": instrumented(view, self._taps, ASKED)}
        self._models["reductions"] = reductions(self._models["nodes"])
        self._models["kernel"] = kept

        def session(model: Instrumented) -> Session:
            return opened.enter_context(open_session(model.model, weights=model.weights, device=device))

        self._sessions = {label: session(model) for label, model in self._models.items()}
        pinned = self._kind == "cuda"
        self._staged = torch.empty(self._inputs.shape, dtype=torch.float32, pin_memory=pinned)
        self._there = torch.empty(self._inputs.shape, dtype=torch.float32, device=device)

    def tasks(self) -> dict[str, Callable[[], object]]:
        """By name; the first is what the others are compared with."""
        return {
            "bound": lambda: self._run("plain", bound=True),
            "handed over": lambda: self._run("plain", bound=False),
            "page-locked": self._page_locked,
            "nodes": self.by_nodes,
            "reductions": lambda: self.by_nodes("reductions"),
            "kernel": self.by_kernel,
        }

    def apart(self) -> str:
        """How the ways of measuring differ; empty where they agree."""
        nodes, others = self.by_nodes(), {"reductions": self.by_nodes("reductions"), "kernel": self.by_kernel()}
        found = {label: disagreement(nodes, other) for label, other in others.items()}
        return "; ".join(f"{label}: {text}" for label, text in found.items() if text)

    def _run(self, label: str, *, bound: bool) -> Sequence[Array]:
        return self._sessions[label].run({self._image: self._inputs}, bound=bound)

    def by_nodes(self, label: str = "nodes") -> list[Array]:
        """For every tap, rows (batch, channels, 3): largest element, mean, elements above zero."""
        rows = self._models[label].rows(self._run(label, bound=True))
        return [np.stack([rows[Request(tap.tensor, m)] for m in ASKED[:3]], axis=-1) for tap in self._taps]

    def by_kernel(self) -> list[Array]:
        """The same, from maps that stay where they are."""
        binding = self._raw("kernel").io_binding()
        binding.bind_ortvalue_input(self._image, self._value(self._inputs))
        for name in self._models["kernel"].names:
            binding.bind_output(name, self._kind, self._index)
        self._raw("kernel").run_with_iobinding(binding)
        binding.synchronize_outputs()
        found = dict(zip(self._models["kernel"].names, binding.get_outputs(), strict=True))
        rows = [_measured(torch.from_dlpack(found[place])) for place in self._places]
        together = torch.cat([row.flatten() for row in rows]).cpu().numpy()  # one copy for all of them
        ends = np.cumsum([row.numel() for row in rows])
        return [part.reshape(row.shape) for part, row in zip(np.split(together, ends[:-1]), rows, strict=True)]

    def _page_locked(self) -> list[Any]:
        self._staged.copy_(torch.from_numpy(self._inputs))
        self._there.copy_(self._staged, non_blocking=True)
        if self._kind == "cuda":
            torch.cuda.current_stream().synchronize()
        binding = self._raw("plain").io_binding()
        binding.bind_input(
            self._image, self._kind, self._index, np.float32, tuple(self._there.shape), self._there.data_ptr()
        )
        for name in self._models["plain"].names:
            binding.bind_output(name)
        self._raw("plain").run_with_iobinding(binding)
        return list(binding.copy_outputs_to_cpu())

    def _raw(self, label: str) -> Any:
        return self._sessions[label]._session  # noqa: SLF001 - ways that the inspector does not have

    def _value(self, array: Array) -> Any:
        return ort.OrtValue.ortvalue_from_numpy(array, self._kind, self._index)


def _measured(maps: torch.Tensor) -> torch.Tensor:
    batch, channels, *space = maps.shape
    rows = torch.empty((batch, channels, 3), dtype=torch.float32, device=maps.device)
    _measure[(batch * channels,)](maps.contiguous(), rows, int(np.prod(space)), block=BLOCK)
    return rows


def reductions(nodes: Instrumented) -> Instrumented:
    """The same model with reductions in place of its own global poolings, and of the windows before those."""
    message = onnx.ModelProto.FromString(nodes.model)
    own = [node for node in message.graph.node if node.name.startswith(PREFIX)]
    source = {node.output[0]: node.input[0] for node in own if node.op_type == "AveragePool"}
    for node in own:
        if node.op_type in REDUCTIONS:
            node.op_type, maps = REDUCTIONS[node.op_type], node.input[0]
            while maps in source:
                maps = source[maps]
            node.input[:] = [maps, SPACE]
    message.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 3]), SPACE))
    return dataclasses.replace(nodes, model=message.SerializeToString())


def disagreement(nodes: Sequence[Array], other: Sequence[Array]) -> str:
    """How rows of two ways differ; empty where they agree."""
    for number, (a, b) in enumerate(zip(nodes, other, strict=True)):
        if not np.array_equal(a[..., 0], b[..., 0]):
            return f"tap {number}: other largest elements"
        if not np.allclose(a[..., 1], b[..., 1], rtol=0, atol=TOLERANCE * np.abs(a[..., 0]).max()):
            return f"tap {number}: means apart by {np.abs(a[..., 1] - b[..., 1]).max():.3g}"
        if not np.array_equal(a[..., 2], b[..., 2]):
            return f"tap {number}: other counts"
    return ""


def main() -> None:
    """Runs the networks, prints the table, and writes it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--net", action="append", choices=list(NETS), default=None)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    options = parser.parse_args()
    rows = []
    for name in options.net or NETS:
        with contextlib.ExitStack() as opened:
            ways = Ways(name, options.batch, options.device, opened)
            if apart := ways.apart():
                raise SystemExit(f"{name}: not the numbers of the nodes: {apart}")
            timings = interleaved(ways.tasks(), options.rounds)
        for label, timing in timings.items():
            rows.append([name, label, f"{1000 * timing.wall.median:.2f}", timing.wall_ratio])
            print(*rows[-1], flush=True)
    text = (
        f"`python -m benchmarks.on_device`: batch {options.batch}, {options.rounds} interleaved rounds in one process; "
        f"medians, ratios with quartiles. Its head says what the ways are.\n\n{machine()}\n\n"
        + table(["network", "way", "ms a batch", "to bound inputs, plain"], rows)
    )
    if options.write:
        write_section(f"Ways on a device ({options.device})", text)


if __name__ == "__main__":
    main()
