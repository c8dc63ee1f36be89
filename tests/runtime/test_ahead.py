"""Reading ahead: labels and places kept, waiting counted, memory bounded, and an end in every case."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from listed import Listed, broken, good

from inspector.control import Stop
from inspector.errors import RunError, StoppedError
from inspector.runtime.data import Item, batches


def test_labels_and_positions_travel_with_the_inputs():
    class Labelled(Listed):
        def __iter__(self) -> Iterator[Item]:
            for i, item in enumerate(super().__iter__()):
                yield Item(item.id, item.read, None if i == 2 else f"class {i}")

    reads = [good(0), broken(), good(2), good(3)]
    first, second = batches(Labelled(reads), 2, first=100)
    assert (first.info.ids, first.info.labels, first.info.first) == (("i0", "i2"), ("class 0", None), 100)
    assert (second.info.ids, second.info.labels, second.info.first) == (("i3",), ("class 3",), 102)


def test_unread_bytes_are_limited_beside_the_number_of_inputs(monkeypatch):
    monkeypatch.setattr("inspector.runtime.ahead.MAX_HELD", 10)
    taken = [0]
    beyond: list[int] = []

    class Heavy(Listed):
        def __iter__(self) -> Iterator[Item]:
            for i, item in enumerate(super().__iter__()):
                beyond.append(i - taken[0])
                yield Item(item.id, item.read, held=6)

    for batch in batches(Heavy([good(i) for i in range(40)]), 8, workers=1):
        taken[0] += len(batch.info.ids)
    assert max(beyond) <= 8 + 2  # those in the batch, and two of six bytes


def test_a_stop_is_heard_while_a_source_gives_nothing(monkeypatch):
    monkeypatch.setattr("inspector.runtime.ahead.LEFT_ALONE", 0.01)
    stop, asked, more = Stop(), threading.Event(), threading.Event()

    class Silent(Listed):
        def __iter__(self) -> Iterator[Item]:
            yield from super().__iter__()
            asked.set()
            more.wait(30)

    def end() -> None:
        asked.wait(30)
        stop.set()

    ending = threading.Thread(target=end)
    ending.start()
    with pytest.raises(StoppedError):
        for _ in batches(Silent([good(0)]), 1, stop=stop):
            pass
    assert not more.is_set()
    left = [t for t in threading.enumerate() if t.name == "list"]
    more.set()
    for thread in (ending, *left):
        thread.join(5)


def test_a_source_that_gives_nothing_more_does_not_keep_a_caller_who_leaves(monkeypatch):
    monkeypatch.setattr("inspector.runtime.ahead.LEFT_ALONE", 0.01)
    more = threading.Event()

    class Silent(Listed):
        def __iter__(self) -> Iterator[Item]:
            yield from super().__iter__()
            more.wait(30)

    before = threading.active_count()
    running = batches(Silent([good(0)]), 1)
    next(running)
    running.close()
    left = [t for t in threading.enumerate() if t.name == "list"]
    more.set()
    for thread in left:
        thread.join(5)
    assert threading.active_count() == before


def test_a_stop_is_heard_while_an_input_is_read_from_a_store_that_is_silent():
    """It is in nobody's power to end such a read; nobody waits for it either."""
    stop, reading, answers = Stop(), threading.Event(), threading.Event()

    def silent():
        reading.set()
        answers.wait(30)
        return good(1)()

    def end() -> None:
        reading.wait(30)
        stop.set()

    ending = threading.Thread(target=end)
    ending.start()
    with pytest.raises(StoppedError):
        list(batches(Listed([silent, good(2)]), 1, workers=1, stop=stop))
    assert not answers.is_set()
    left = [t for t in threading.enumerate() if t.name == "read"]
    answers.set()
    for thread in (ending, *left):
        thread.join(5)
    assert [(thread.daemon, thread.is_alive()) for thread in left] == [(True, False)]


class Panic(BaseException):
    """What readers that are written in other languages raise."""


@pytest.mark.parametrize("error", [RunError("source", "it burns"), Panic("source: it burns")])
def test_what_a_source_raises_is_raised_after_the_inputs_before_it(error):
    class Fails(Listed):
        def __iter__(self) -> Iterator[Item]:
            yield from super().__iter__()
            raise error

    stop = Stop()
    late = threading.Timer(20, stop.set)  # rather than wait for ever for what never comes
    late.start()
    running = batches(Fails([good(0), good(1)]), 1, stop=stop)
    assert [next(running).info.ids for _ in range(2)] == [("i0",), ("i1",)]
    with pytest.raises(type(error), match="it burns"):
        next(running)
    late.cancel()


def test_reading_goes_on_while_the_caller_works_on_a_batch():
    beyond, room = threading.Event(), 2 * 2

    class Counting(Listed):
        def __iter__(self) -> Iterator[Item]:
            for i, item in enumerate(super().__iter__()):
                if i >= room:
                    beyond.set()
                yield item

    running = batches(Counting([good(i) for i in range(8)]), 2, workers=1)
    next(running)
    assert beyond.wait(20)
    running.close()
