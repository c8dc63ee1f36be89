"""Devices by name, and what they mean to onnxruntime. `cuda` is CUDA or an error: never a silent fallback."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType

from inspector.errors import ParameterError, ProviderError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"


@dataclass(frozen=True, slots=True)
class Device:
    """`name` as reported (`cpu`, `cuda:0`), and the execution provider with its options."""

    name: str
    provider: str
    options: Mapping[str, str] = field(default_factory=dict)


def runtime() -> ModuleType:
    """The onnxruntime module, imported on first use.

    It sends its makers what it runs (hashes and names of models, the processor), unless the environment forbids it
    before: that is done here, where nobody said otherwise.

    Raises:
        ProviderError: neither of its two distributions is installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime  # noqa: PLC0415 - facts about a model need no runtime; only a run does
    except ImportError as error:
        raise ProviderError(
            "onnxruntime",
            "it is not installed",
            found=str(error),
            remedy="pip install 'onnx-inspector[cpu]', or 'onnx-inspector[gpu]' for CUDA (never both).",
        ) from error
    module: ModuleType = onnxruntime
    return module


def find_devices(text: str) -> tuple[Device, ...]:
    """What a name means, in the order to try: `cpu`, `cuda`, `cuda:1`; `auto` is CUDA if it works, else the CPU.

    Raises:
        ParameterError: not a device.
        ProviderError: CUDA was asked for and this onnxruntime has none.
    """
    match = re.fullmatch(r"(auto|cpu|cuda)(?::([0-9]{1,3}))?", text)
    if match is None or (match[2] and match[1] != "cuda"):
        raise ParameterError(
            "device", "there is no such device", expected="auto, cpu, cuda or cuda:<index>", found=repr(text)
        )
    available = () if match[1] == "cpu" else runtime().get_available_providers()
    if match[1] == "cuda" and CUDA not in available:
        raise ProviderError(
            f"device {text!r}",
            "this onnxruntime has no CUDA provider",
            expected=CUDA,
            found=", ".join(available),
            remedy="Install 'onnx-inspector[gpu]' in an environment without plain onnxruntime, or choose cpu.",
        )
    cpu = (Device("cpu", CPU),)
    return {"cpu": cpu, "cuda": (_cuda(match[2] or "0"),), "auto": (_cuda("0"), *cpu) if CUDA in available else cpu}[
        match[1]
    ]


def _cuda(index: str) -> Device:
    # TF32 rounds the inputs of convolutions to 10 bits; exhaustive search makes runs differ in the last bits.
    options = {"device_id": index, "use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
    return Device(f"cuda:{index}", CUDA, options)


def cores() -> int:
    """Processors that this process may use; some systems only know how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_libraries() -> None:
    """Loads CUDA and cuDNN from the installed NVIDIA packages, where this onnxruntime can."""
    preload = getattr(runtime(), "preload_dlls", None)
    if preload is not None:
        preload()
