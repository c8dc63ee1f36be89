"""One onnxruntime session as a context manager: which device, what really ran where, and how to stop it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from inspector.contract import Array
from inspector.control import Stop
from inspector.errors import LimitError, ProviderError, RunError
from inspector.runtime.binding import run_bound
from inspector.runtime.devices import CPU, Device, cores, find_devices, load_libraries, runtime

_log = logging.getLogger(__name__)
Fidelity = Literal["fast", "exact"]
"""`fast`: all graph optimisations; `exact`: none, so that every value is computed as the model says."""


Peril = Callable[[Mapping[str, tuple[int, ...]]], str]
"""Says what would end the process for inputs of some shapes, without the batch axis; empty: nothing."""
_KEPT: Final = 256
"""Answers to that which are kept."""


class Session:
    """A loaded model. `device` is where it runs, `providers` how many nodes each execution provider got."""

    def __init__(self, session: Any, device: Device, stop: Stop, peril: Peril | None = None) -> None:
        self._session, self._stop = session, stop
        self._peril = lru_cache(_KEPT)(lambda shapes: peril(dict(shapes)) if peril else "")
        self._has_memory = device.provider != CPU
        self.device = device.name
        self.outputs: tuple[str, ...] = tuple(o.name for o in session.get_outputs())
        self.providers: Mapping[str, int] = _assigned(session)

    def run(self, feeds: Mapping[str, Array], *, shrink: bool = False, bound: bool | None = None) -> Sequence[Array]:
        """All outputs, in order.

        Args:
            feeds: inputs by name, batch axis first.
            shrink: give the memory of the run back after it, for other sessions to use.
            bound: put the inputs into the device's memory before (see `inspector.runtime.binding`); None: where it has
                one of its own.

        Raises:
            StoppedError: the stop was asked for, before or while it ran.
            RunError: the runtime refused or failed.
        """
        self._stop.check()
        assert self._session is not None, "the session was closed"
        if found := self._peril(tuple((name, array.shape[1:]) for name, array in feeds.items())):
            raise RunError("run", "it cannot be tried", found=found, remedy="Feed larger inputs.")
        options = runtime().RunOptions()
        if shrink:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", _arenas(self.device))
        with self._stop.during(lambda: setattr(options, "terminate", True)):
            try:
                results: list[Any] = (
                    run_bound(self._session, feeds, options, self.device)
                    if (self._has_memory if bound is None else bound)
                    else self._session.run(None, dict(feeds), options)
                )
            except Exception as error:
                self._stop.check()
                raise _run_error(error) from error
        return [np.asarray(r) for r in results]

    def close(self) -> None:
        """Lets go of the model's memory."""
        self._session = None


@contextlib.contextmanager
def open_session(
    model: bytes,
    *,
    weights: Mapping[str, Array] | None = None,
    device: str = "auto",
    fidelity: Fidelity = "fast",
    stop: Stop | None = None,
    optimised: Path | None = None,
    has_ifs_within: bool = False,
    peril: Peril | None = None,
) -> Iterator[Session]:
    """Builds a session, and lets go of it at the end.

    Args:
        model: serialized ONNX.
        weights: initializers that the model only names, as external data; they are used where they lie, not copied.
        device: see `find_devices`.
        fidelity: whether the runtime may optimise.
        stop: ends runs.
        optimised: where to write the model as it runs, after all optimisations, without its larger weights.
        has_ifs_within: True where an If stands in a body of another node: see `_LEFT_OUT_WITHIN`.
        peril: is asked before every run with inputs of new shapes.

    Raises:
        ProviderError: the device is not there, or the runtime fell back from it.
        RunError: the runtime cannot load the model.
    """
    values = {name: _ort_value(array) for name, array in (weights or {}).items()}
    parts = _Parts(model, values, fidelity, optimised, has_ifs_within)
    session = _first_that_works(parts, find_devices(device), stop or Stop(), peril)
    try:
        yield session
    finally:
        session.close()
        del values  # the session reads their memory, which they keep alive, until it is closed


def _ort_value(array: Array) -> Any:
    """The array as a value of the runtime, which shares its memory."""
    values = runtime().OrtValue
    if array.dtype.name == "bfloat16":  # not a type of NumPy's own
        return values.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), _BFLOAT16)
    return values.ortvalue_from_numpy(array)


_BFLOAT16: Final = 16
"""TensorProto.BFLOAT16."""


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """What a session is built from, on whatever device: see `open_session`."""

    model: bytes
    weights: Mapping[str, Any]
    fidelity: Fidelity
    optimised: Path | None
    has_ifs_within: bool = False


def _first_that_works(parts: _Parts, devices: Sequence[Device], stop: Stop, peril: Peril | None) -> Session:
    for device in devices[:-1]:
        try:
            return Session(_build(parts, device), device, stop, peril)
        except ProviderError as error:
            _log.warning("%s Trying the next device.", error)
    return Session(_build(parts, devices[-1]), devices[-1], stop, peril)


def _build(parts: _Parts, device: Device) -> Any:
    if device.provider != CPU:
        load_libraries()
    try:
        session = _session(parts, device)
    except Exception as error:
        raise _load_error(error, device, parts.fidelity) from error
    if device.provider not in session.get_providers():
        raise ProviderError(
            f"device {device.name!r}",
            "the runtime fell back to another provider",
            expected=device.provider,
            found=", ".join(session.get_providers()),
            remedy="Check the driver and that CUDA and cuDNN match this onnxruntime.",
        )
    return session


def _session(parts: _Parts, device: Device) -> Any:
    ort = runtime()
    options = ort.SessionOptions()
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if parts.fidelity == "fast" else levels.ORT_DISABLE_ALL
    options.intra_op_num_threads = cores() if device.provider == CPU else 1
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # errors are raised; the runtime need not print them as well
    for key, value in _CONFIG.items():
        options.add_session_config_entry(key, value)
    if parts.optimised is not None:
        _write_optimised(options, parts.optimised)
    options.add_external_initializers(list(parts.weights), list(parts.weights.values()))
    providers = [(device.provider, dict(device.options))] + ([] if device.provider == CPU else [(CPU, {})])
    left_out = _LEFT_OUT + _LEFT_OUT_WITHIN * parts.has_ifs_within
    return ort.InferenceSession(parts.model, options, providers=providers, disabled_optimizers=left_out)


_MISSING = re.compile(r"Could not find an implementation for (\w+)\((\d+)\) node with name '([^']*)'")
_TOO_NEW = re.compile(r"Opset (\d+) is under development.*?(?:is till opset (\d+)|$)")
_CONFIG = {
    "session.record_ep_graph_assignment_info": "1",  # so that a report can say what really ran where
    "session.intra_op.allow_spinning": "0",  # a server must not burn its cores while it waits
    "session.inter_op.allow_spinning": "0",
    "session.disable_double_qdq_remover": "1",  # rounding twice is part of a model
}
_LEFT_OUT: Final = ["Pad_Fusion", "WeightBiasQuantization", "QDQPropagationTransformer"]
"""Steps of the optimiser that change what a model computes (ADR 31). The first makes zeros before a MaxPool the padding
of that, which is never the largest; the second quantises weights and biases that the model has as real numbers; the
third ends the process for some models of int8 data, and makes others that cannot be loaded."""
_LEFT_OUT_WITHIN: Final = ["ConstantFolding"]
"""It takes the branch of an If that is always taken in place of the If, and ends the process with some of those that
have Ifs in their branches, such as voice detectors whose sampling rate was fixed."""


def _write_optimised(options: Any, path: Path) -> None:
    """Has the model written as it runs; its weights, which nobody reads, go nowhere where a system has such a place."""
    weights = path.with_suffix(".weights")
    with contextlib.suppress(OSError):
        weights.symlink_to(os.devnull)
    options.optimized_model_filepath = str(path)
    for key, value in (("file_name", weights.name), ("min_size_in_bytes", "1024")):
        options.add_session_config_entry(f"session.optimized_model_external_initializers_{key}", value)


def _arenas(device: str) -> str:
    return "cpu:0" if device == "cpu" else f"cpu:0;gpu:{device.partition(':')[2] or 0}"


def _assigned(session: Any) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] += len(part.get_nodes())
    return dict(counts)


def _load_error(error: Exception, device: Device, fidelity: Fidelity) -> Exception:
    text = _first_line(error)
    if device.provider != CPU and "CUDA" in text.upper():
        return ProviderError(f"device {device.name!r}", "it cannot be used", found=text)
    if _hungry(error):
        return LimitError("model", "there is not enough memory to load it", found=text)
    if (missing := _MISSING.search(text)) is not None:
        return RunError(
            "model",
            f"onnxruntime has no {missing[1]} for its element type on {device.name}",
            found=f"{missing[1]} of opset {missing[2]}, node {missing[3]!r}",
            remedy="Analyses of weights work. To run it, export the model in float32.",
        )
    if (newer := _TOO_NEW.search(str(error))) is not None:
        return RunError(
            "model",
            "its operators are newer than this onnxruntime",
            expected=f"opset {newer[2]} or older" if newer[2] else "",
            found=f"opset {newer[1]}",
            remedy="Install a newer onnxruntime, or export the model for an older opset.",
        )
    remedy = "Try fidelity exact: its optimiser breaks some sound graphs." if fidelity == "fast" else ""
    return RunError("model", "onnxruntime cannot load it", found=text, remedy=remedy)


def _hungry(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "allocate" in str(error) or "bad_alloc" in str(error)


def _run_error(error: Exception) -> Exception:
    text = _first_line(error)
    if _hungry(error):
        return LimitError(
            "run", "there is not enough memory", found=text, remedy="Use a smaller batch or watch fewer taps."
        )
    return RunError("run", "onnxruntime failed", found=text)


def _first_line(error: Exception) -> str:
    """What an error says first: the lines up to one that is not followed by what it announces, and not too long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    end = 1
    while end < len(lines) and (lines[end - 1].endswith(":") or lines[end].startswith("index:")):
        end += 1
    return " ".join(lines[:end])[:400]
