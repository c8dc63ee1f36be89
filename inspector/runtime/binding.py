"""A run whose inputs lie in the device's memory before it begins, and whose outputs are brought to the host.

onnxruntime recommends that for devices with memory of their own. Python can also ask it for page-locked host memory
(`create_and_register_allocator_v2` for `CudaPinned`, then `OrtValue.ortvalue_from_shape_and_type(memory_info=…)`), from
which copies are faster; that is left out until `python -m benchmarks.on_device` shows on a GPU what it gains.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from inspector.contract import Array
from inspector.runtime.devices import runtime


def run_bound(session: Any, feeds: Mapping[str, Array], options: Any, device: str) -> list[Any]:
    """All outputs, in order, as `InferenceSession.run` gives them.

    Args:
        session: of onnxruntime.
        feeds: inputs by name, batch axis first.
        options: of the run.
        device: whose memory the inputs are put into, such as `cuda:0`; for `cpu` they stay where they are.
    """
    kind, _, index = device.partition(":")
    binding, values = session.io_binding(), runtime().OrtValue
    for name, array in feeds.items():
        placed = values.ortvalue_from_numpy(np.ascontiguousarray(array), kind, int(index or 0))
        binding.bind_ortvalue_input(name, placed)
    names = [output.name for output in session.get_outputs()]
    bound = list(dict.fromkeys(names))  # a value may be an output twice, but is bound once
    for name in bound:
        binding.bind_output(name)
    session.run_with_iobinding(binding, options)
    found = dict(zip(bound, binding.copy_outputs_to_cpu(), strict=True))
    return [found[name] for name in names]
