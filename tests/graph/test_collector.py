"""The collector rests while a model is loaded and rewritten, and is as it was afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from models import ZOO

from inspector.errors import ModelError
from inspector.graph.collector import paused
from inspector.graph.load import load


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    gc.enable()


def test_it_rests_meanwhile_and_goes_on_after_pauses_within_each_other() -> None:
    with paused():
        with paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_somebody_else_switched_off_stays_off() -> None:
    gc.disable()
    with paused():
        pass
    assert not gc.isenabled()


def test_it_goes_on_when_the_last_of_several_threads_is_done() -> None:
    both = Barrier(2, timeout=10)

    def first() -> None:
        with paused():
            both.wait()  # the second is in its pause
        both.wait()

    def second() -> bool:
        with paused():
            both.wait()
            both.wait()  # the first has left its own
            return gc.isenabled()

    with ThreadPoolExecutor(2) as threads:
        done, still_off = threads.submit(first), threads.submit(second)
        assert not still_off.result()
        done.result()
    assert gc.isenabled()


def test_it_goes_on_after_a_model_that_cannot_be_loaded() -> None:
    load(ZOO["chain"].data)
    assert gc.isenabled()
    with pytest.raises(ModelError):
        load(b"nothing")
    assert gc.isenabled()
