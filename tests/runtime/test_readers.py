"""Threads that read: as many as are needed, in order, and none that anybody has to wait for."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import pytest

from inspector.runtime import readers
from inspector.runtime.readers import Readers


def test_threads_are_begun_when_they_are_needed():
    meeting = threading.Barrier(3, timeout=20)
    with Readers(8) as pool:
        assert [pool.submit(lambda n=n: n).result(20) for n in range(5)] == list(range(5))
        assert sum(t.name == "read" for t in threading.enumerate()) == 1
        for future in [pool.submit(meeting.wait) for _ in range(3)]:
            future.result(20)
        assert sum(t.name == "read" for t in threading.enumerate()) == 3
    assert not [t for t in threading.enumerate() if t.name == "read"]


def test_no_more_threads_than_allowed_do_all_in_order():
    done: list[int] = []
    with Readers(1) as pool:
        futures = [pool.submit(lambda n=n: done.append(n)) for n in range(20)]
        assert sum(t.name == "read" for t in threading.enumerate()) == 1
        for future in futures:
            future.result(20)
    assert done == list(range(20))


def test_what_is_raised_is_raised_where_the_result_is_taken_and_the_thread_goes_on():
    with Readers(1) as pool:
        failed = pool.submit(lambda: {}["a"])
        with pytest.raises(KeyError):
            failed.result(20)
        assert pool.submit(lambda: 7).result(20) == 7


def test_what_is_silent_is_left_alone_and_what_was_not_begun_is_never_done(monkeypatch):
    monkeypatch.setattr(readers, "LEFT_ALONE", 0.01)
    begun, answers, done = threading.Event(), threading.Event(), []
    with Readers(1) as pool:
        silent = pool.submit(lambda: (begun.set(), answers.wait(30)))
        waiting = [pool.submit(lambda: done.append(1)) for _ in range(3)]
        begun.wait(20)
    assert not silent.done()
    assert all(future.cancelled() for future in waiting)
    assert pool.submit(lambda: done.append(1)).cancelled()
    (left,) = (t for t in threading.enumerate() if t.name == "read")
    answers.set()
    left.join(20)
    assert (left.is_alive(), left.daemon, done) == (False, True, [])
    assert silent.result(0) == (None, True)


def test_an_idle_thread_holds_nothing_that_it_did():
    class Large:
        """What a picture is while it is read."""

    with Readers(1) as pool:
        held = [Large()]
        seen = weakref.ref(held[0])
        pool.submit(held.pop).result(20)
        until = time.monotonic() + 5
        while seen() is not None and time.monotonic() < until:
            gc.collect()
        assert seen() is None
