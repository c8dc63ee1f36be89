"""A Ray cluster as a pool: a task a shard, done again elsewhere where its worker dies."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Final

from inspector.analysis import spread
from inspector.analysis.spread import Job, Lost, Outcome, Task
from inspector.control import Stop
from inspector.errors import InspectorError, ParameterError, RunError

PREFIX: Final = "ray"
RETRIES: Final = 3
"""How often a shard is done again because its worker died."""
_TICK: Final = 0.5


class RayPool:
    """See `Pool`. A task is one CPU for Ray, and a GPU where the job runs on CUDA."""

    def __init__(self, ray: Any, job: Job) -> None:
        self._ray = ray
        gpus = int(str(job.setting["device"]).startswith("cuda"))
        self._remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(spread.run_task)
        self._job = ray.put(job)
        self.width = 2 * max(1, int(ray.cluster_resources().get("GPU" if gpus else "CPU", 1)))

    def submit(self, task: Task) -> Any:
        """See `Pool`."""
        return self._remote.remote(self._job, task)

    def drop(self, handle: Any) -> None:
        """See `Pool`."""
        self._ray.cancel(handle)

    def take(self, handle: Any, stop: Stop) -> Outcome | Lost:
        """See `Pool`."""
        while not self._ray.wait([handle], timeout=_TICK)[0]:
            stop.check()
        try:
            given: Outcome | Lost = self._ray.get(handle)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, InspectorError):
                raise error.cause from error
            raise RunError("worker", "a shard failed there", found=f"{type(error.cause).__name__}") from error
        except self._ray.exceptions.RayError as error:
            found = f"{type(error).__name__} after {RETRIES} retries"
            remedy = "Look at the cluster's logs; with checkpoints, what was counted is kept."
            raise RunError("worker", "it was lost", found=found, remedy=remedy) from error
        return given


@contextlib.contextmanager
def ray_pool(runner: str, job: Job) -> Iterator[RayPool]:
    """The pool of `ray` (the cluster that is known here, or else one of this machine alone) or `ray:ADDRESS`.

    Raises:
        ParameterError: another text, or Ray is not installed.
        RunError: there is no cluster at the address.
    """
    try:
        import ray  # noqa: PLC0415 - an extra that most do without
    except ImportError as error:
        raise ParameterError(f"runner {runner!r}", "it needs Ray", remedy="Install onnx-inspector[ray].") from error
    address = runner.removeprefix(PREFIX).removeprefix(":")
    began = not ray.is_initialized()
    if began:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
        try:
            ray.init(address=address or None, log_to_driver=False)
        except (ConnectionError, OSError, ValueError, RuntimeError) as error:
            raise RunError(f"runner {runner!r}", "no cluster answers there", found=str(error)[:200]) from error
    try:
        yield RayPool(ray, job)
    finally:
        if began:
            ray.shutdown()


def check_runner(runner: str) -> None:
    """Raises ParameterError where a text names no runner."""
    if runner.partition(":")[0] != PREFIX:
        raise ParameterError("runner", "there is no such one", expected="ray or ray:ADDRESS", found=repr(runner[:80]))
