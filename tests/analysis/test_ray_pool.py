"""What is asked of Ray, and what becomes of its answers: with a stand-in, as the real one takes seconds to begin."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from inspector.analysis import spread
from inspector.analysis.cluster import RETRIES, RayPool, ray_pool
from inspector.analysis.spread import Task
from inspector.control import Stop
from inspector.errors import InputError, InspectorError, RunError, StoppedError


class RayError(Exception):
    """As Ray's."""


class RayTaskError(RayError):
    """An error of the task itself."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass
class FakeRay:
    """A cluster of 3 CPUs and 2 GPUs; notes what it is asked. A task is ready after so many looks at it."""

    known: bool = False
    looks: int = 0
    gives: Any = "an outcome"
    away: str = ""
    asked: dict[str, Any] = field(default_factory=dict)
    exceptions: ClassVar[Any] = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def is_initialized(self) -> bool:
        return self.known

    def init(self, **options: Any) -> None:
        self.asked["init"] = options
        if self.away:
            raise ConnectionError(self.away)

    def shutdown(self) -> None:
        self.asked["shutdown"] = True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 3.0, "GPU": 2.0}

    def put(self, value: Any) -> Any:
        return ("put", value)

    def remote(self, **options: Any) -> Any:
        self.asked["remote"] = options
        return lambda function: SimpleNamespace(remote=lambda *given: (function, *given))

    def wait(self, handles: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        self.looks -= 1
        return ([], handles) if self.looks >= 0 else (handles, [])

    def get(self, handle: Any) -> Any:
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives

    def cancel(self, handle: Any) -> None:
        self.asked["cancel"] = handle


def job(device: str) -> Any:
    """As far as a pool looks at it."""
    return SimpleNamespace(setting={"device": device})


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    made = FakeRay()
    monkeypatch.setitem(__import__("sys").modules, "ray", made)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    return made


@pytest.mark.parametrize(("device", "gpus", "width"), [("cpu", 0, 6), ("cuda", 1, 4), ("cuda:1", 1, 4)])
def test_a_task_takes_a_gpu_where_it_runs_on_one_and_two_for_each_are_handed_over(
    ray: FakeRay, device: str, gpus: int, width: int
) -> None:
    pool = RayPool(ray, job(device))
    assert ray.asked["remote"] == {"num_cpus": 1, "num_gpus": gpus, "max_retries": RETRIES}
    assert pool.width == width
    assert pool.submit(Task(3, "s")) == (spread.run_task, ("put", job(device)), Task(3, "s"))


@pytest.mark.parametrize(("runner", "address"), [("ray", None), ("ray:", None), ("ray:head:6379", "head:6379")])
def test_a_cluster_that_was_begun_here_ends_with_the_run(ray: FakeRay, runner: str, address: str | None) -> None:
    with ray_pool(runner, job("cpu")):
        assert ray.asked["init"]["address"] == address
        assert "shutdown" not in ray.asked
    assert ray.asked["shutdown"]


def test_a_cluster_that_was_there_before_goes_on(ray: FakeRay) -> None:
    ray.known = True
    with ray_pool("ray", job("cpu")):
        pass
    assert set(ray.asked) == {"remote"}


def test_an_address_where_nobody_answers_is_an_error_of_the_runner(ray: FakeRay) -> None:
    ray.away = "no such host"
    with pytest.raises(RunError, match="runner 'ray:there': no cluster answers there; found no such host"):
        ray_pool("ray:there", job("cpu")).__enter__()


def test_a_task_is_waited_for_until_a_stop(ray: FakeRay) -> None:
    ray.looks, stop = 2, Stop()
    pool = RayPool(ray, job("cpu"))
    assert pool.take("task", stop) == "an outcome"
    ray.looks = 1
    stop.set()
    with pytest.raises(StoppedError):
        pool.take("task", stop)
    pool.drop("task")
    assert ray.asked["cancel"] == "task"


@pytest.mark.parametrize(
    ("given", "raised", "says"),
    [
        (RayTaskError(InputError("input 'a'", "is bad")), InputError, "input 'a': is bad"),
        (RayTaskError(KeyError("secret")), RunError, "a shard failed there; found KeyError"),
        (RayError("died"), RunError, "it was lost; found RayError after 3 retries"),
    ],
)
def test_errors_of_tasks_and_of_their_workers_are_told_apart(
    ray: FakeRay, given: Exception, raised: type[InspectorError], says: str
) -> None:
    ray.gives = given
    with pytest.raises(raised, match=says) as caught:
        RayPool(ray, job("cpu")).take("task", Stop())
    assert type(caught.value) is raised
