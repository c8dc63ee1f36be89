"""Devices by name: CUDA is CUDA or an error; `auto` tries it and says what ran."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from inspector import service
from inspector.errors import ParameterError, ProviderError
from inspector.runtime import devices, session
from inspector.runtime.devices import CPU, CUDA, find_devices
from inspector.samples import SAMPLES

INPUT = np.zeros((1, 1, 16, 16), np.float32)


def with_providers(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(devices, "runtime", lambda: SimpleNamespace(get_available_providers=lambda: list(names)))


@pytest.mark.parametrize(
    "text", ["", "gpu", "cpu:0", "auto:1", "cuda:", "cuda:x", "cuda:-1", "CUDA", "cuda:1234", "cuda:٣"]
)
def test_a_name_that_is_no_device_says_what_there_is(text: str) -> None:
    with pytest.raises(ParameterError, match="auto, cpu, cuda or cuda:<index>"):
        find_devices(text)


@pytest.mark.parametrize(
    ("text", "names"),
    [("cpu", ["cpu"]), ("cuda", ["cuda:0"]), ("cuda:2", ["cuda:2"]), ("auto", ["cuda:0", "cpu"])],
)
def test_where_there_is_cuda_a_name_means_what_it_says(
    text: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_providers(monkeypatch, CUDA, CPU)
    assert [d.name for d in find_devices(text)] == names


def test_where_there_is_no_cuda_auto_is_the_cpu_and_cuda_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with_providers(monkeypatch, CPU)
    assert [d.name for d in find_devices("auto")] == ["cpu"]
    with pytest.raises(ProviderError, match=r"expected CUDAExecutionProvider, found CPUExecutionProvider"):
        find_devices("cuda")


def test_audits_on_cuda_are_reproducible_and_not_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with_providers(monkeypatch, CUDA, CPU)
    (device,) = find_devices("cuda:3")
    assert dict(device.options) == {"device_id": "3", "use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}


class Broken:
    """A runtime that has CUDA by name and cannot use it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        build = session._build

        def only_cpu(model: bytes, device: Any, *others: Any) -> Any:
            if device.provider == CUDA:
                raise ProviderError("device 'cuda:0'", "it cannot be used")
            return build(model, device, *others)

        monkeypatch.setattr(session, "_build", only_cpu)
        real = devices.runtime()
        fake = SimpleNamespace(get_available_providers=lambda: [CUDA, *real.get_available_providers()])
        monkeypatch.setattr(devices, "runtime", lambda: fake)


def test_auto_goes_on_to_the_cpu_and_the_log_and_the_report_say_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Broken(monkeypatch)
    report = service.audit(SAMPLES[0].model, INPUT, device="auto")
    assert "device 'cuda:0': it cannot be used. Trying the next device." in caplog.text
    assert report.provenance.device == "cpu"
    assert set(report.provenance.providers) == {CPU}


def test_cuda_that_cannot_be_used_is_an_error_and_never_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    Broken(monkeypatch)
    with pytest.raises(ProviderError, match="cannot be used"):
        service.audit(SAMPLES[0].model, INPUT, device="cuda")


def test_the_runtime_reports_to_nobody(tmp_path: Path) -> None:
    """What onnxruntime sends its makers, and who it is to them, it keeps below the home folder."""
    program = (
        "import inspector; from inspector.samples import SAMPLES; "
        "inspector.audit(SAMPLES[0].model, 'noise:2', ['sparsity'], device='cpu')"
    )
    environment = {k: v for k, v in os.environ.items() if k not in {"ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}}
    subprocess.run([sys.executable, "-c", program], env={**environment, "HOME": str(tmp_path)}, check=True)
    assert [*tmp_path.rglob("*")] == []


def test_who_wants_it_to_report_is_not_overruled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    devices.runtime()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"
