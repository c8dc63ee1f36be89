"""The parts of the server by themselves: errors, pages, the feed and the workers."""

from __future__ import annotations

import asyncio
import threading

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector import errors
from inspector._proto.inspector.v1 import inspector_service_pb2 as pb
from inspector._proto.inspector.v1 import model_pb2
from inspector.contract import Picture
from inspector.control import Progress, Stop
from inspector.errors import InputError, LimitError, ParameterError, StoppedError
from inspector.faces.grpc import errors as face
from inspector.faces.grpc.calls import Calls
from inspector.faces.grpc.feed import Feed
from inspector.faces.grpc.latest import Latest
from inspector.faces.grpc.pages import MAX_SIZE, page
from inspector.faces.grpc.runs import drawn
from inspector.faces.grpc.turns import Turns
from inspector.faces.grpc.workers import Workers
from inspector.render.pixels import MAX_SIDE

KINDS = [
    kind
    for module in (errors, face)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, errors.InspectorError)
]
CODES = {
    errors.ModelError: "INVALID_ARGUMENT",
    errors.InputError: "INVALID_ARGUMENT",
    errors.ParameterError: "INVALID_ARGUMENT",
    errors.SummaryError: "INVALID_ARGUMENT",
    errors.NotFoundError: "NOT_FOUND",
    errors.Inapplicable: "FAILED_PRECONDITION",
    errors.ProviderError: "FAILED_PRECONDITION",
    errors.LimitError: "RESOURCE_EXHAUSTED",
    errors.PluginError: "INTERNAL",
    errors.RunError: "INTERNAL",
    errors.OutputError: "INTERNAL",
    errors.StoppedError: "CANCELLED",
    errors.InspectorError: "INTERNAL",
    face.BusyError: "RESOURCE_EXHAUSTED",
    face.NotAllowedError: "PERMISSION_DENIED",
    face.ExistsError: "ALREADY_EXISTS",
    face.InternalError: "INTERNAL",
    face.UnreachableError: "UNAVAILABLE",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_has_the_code_that_was_agreed(kind):
    assert face.code_of(kind("it", "is bad")) == grpc.StatusCode[CODES[kind]]
    assert face.status_of(kind("it", "is bad")).code == grpc.StatusCode[CODES[kind]].value[0]


def test_kinds_that_a_plugin_derives_have_the_code_of_what_they_derive_from():
    derived = type("MyError", (errors.ParameterError,), {"reason": "MINE"})
    assert face.code_of(derived("it", "is bad")) == grpc.StatusCode.INVALID_ARGUMENT


@given(st.lists(st.text(st.characters(codec=None, exclude_categories=())), min_size=5, max_size=5))
@settings(deadline=None, max_examples=50)
def test_no_error_is_too_large_or_too_odd_to_travel(texts):
    subject, problem, expected, found, remedy = (text * 500 for text in texts)
    error = errors.ParameterError(subject, problem, expected=expected, found=found, remedy=remedy)
    status = face.status_of(error)
    trailers = len(status.SerializeToString()) * 4 / 3 + 3 * len(status.message.encode())
    assert trailers < 7500


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_a_short_text_is_at_most_so_long_and_keeps_both_ends(text):
    one_line = " ".join(text.split()).encode("utf-8", "backslashreplace").decode()
    assert face.short(text) == one_line
    cut = face.short(f"begin {text * 500} end")
    assert len(cut.encode()) <= face.MAX_BYTES
    assert cut.startswith("begin")
    assert cut.endswith("end")


def test_details_say_what_is_wrong_with_which_field():
    info, violations = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    status = face.status_of(InputError("tensor 'x'", "has a bad shape", expected="(3,)", found="(4,)"))
    assert status.details[0].Unpack(info)
    assert dict(info.metadata) == {
        "subject": "tensor 'x'",
        "problem": "has a bad shape",
        "expected": "(3,)",
        "found": "(4,)",
    }
    assert status.details[1].Unpack(violations)
    assert (violations.field_violations[0].field, violations.field_violations[0].description) == (
        "tensor 'x'",
        "has a bad shape",
    )


def titled(title):
    return model_pb2.Layer(title=title)


@given(st.sets(st.text(max_size=3)), st.integers(1, 5))
def test_pages_together_are_the_list(names, size):
    items, seen, token = sorted(names), [], ""
    while True:
        shown, token = page(items, str, titled, pb.ListModelsRequest(page_size=size, page_token=token), "scope")
        assert len(shown) <= size
        seen += [message.title for message in shown]
        if not token:
            break
        assert shown
    assert seen == items


def test_a_page_has_an_upper_bound():
    items = [f"{number:05d}" for number in range(MAX_SIZE + 5)]
    assert len(page(items, str, titled, pb.ListModelsRequest(page_size=MAX_SIZE + 3), "scope")[0]) == MAX_SIZE
    assert len(page(items, str, titled, pb.ListModelsRequest(), "scope")[0]) == 100
    with pytest.raises(ParameterError, match="negative"):
        page(items, str, titled, pb.ListModelsRequest(page_size=-1), "scope")


def test_a_page_is_far_below_what_clients_accept():
    sizes, made, seen, asked = [300_000, 600_000, 5_000_000, 500_000, 500_000, 1], [], [], pb.ListModelsRequest()

    def show(index):
        made.append(index)
        return titled("x" * sizes[index])

    while not seen or asked.page_token:
        shown, asked.page_token = page(range(len(sizes)), str, show, asked, "scope")
        seen.append([len(message.title) for message in shown])
    assert seen == [[300_000, 600_000], [5_000_000], [500_000, 500_000, 1]]
    assert len(made) == len(sizes) + 2, "none is made but to see that it does not fit"


async def test_a_full_feed_holds_the_stream_back():
    feed: Feed[int] = Feed(limit=3 * 4096 + 30, patience=5.0)
    put = []

    async def items():
        for number in range(10):
            put.append(number)
            yield number, 10

    filling = asyncio.create_task(feed.fill(items()))
    await asyncio.sleep(0.05)
    assert put == [0, 1, 2, 3]  # three are in, the fourth waits for room
    reading = asyncio.to_thread(lambda: list(feed))
    assert await reading == list(range(10))
    await filling


async def test_an_item_larger_than_the_feed_goes_alone():
    feed: Feed[str] = Feed(limit=10, patience=5.0)

    async def items():
        yield "a", 1000
        yield "b", 1000

    filling = asyncio.create_task(feed.fill(items()))
    assert await asyncio.to_thread(lambda: list(feed)) == ["a", "b"]
    await filling


@pytest.mark.parametrize("kind", [InputError, StoppedError])
async def test_what_ends_a_stream_ends_the_reading(kind):
    feed: Feed[int] = Feed(limit=100, patience=5.0)

    async def items():
        yield 1, 1
        if kind is InputError:
            raise InputError("item 2", "is bad")
        await asyncio.sleep(60)

    filling = asyncio.create_task(feed.fill(items()))
    await asyncio.sleep(0.01)
    if kind is StoppedError:
        filling.cancel()
    seen = []
    with pytest.raises(kind):
        await asyncio.to_thread(lambda: [seen.append(item) for item in feed])
    assert seen == [1]


async def test_a_silent_feed_gives_up():
    feed: Feed[int] = Feed(limit=100, patience=0.05)
    with pytest.raises(LimitError, match="sent nothing for too long"):
        await asyncio.to_thread(lambda: list(feed))


async def a_call(workers, job, answered):
    """A call that gives its worker back once its answer was taken."""
    async with workers.worker() as worker:
        result = await worker.start(job)
        await answered.wait()
        return result


async def a_moment():
    """All that can happen on the loop by itself has happened."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_workers_take_so_many_calls_and_no_more():
    workers, go_on, answered = Workers("test", 1, 2), threading.Event(), asyncio.Event()
    answered.set()
    calls = [asyncio.create_task(a_call(workers, lambda n=n: go_on.wait(10) and n, answered)) for n in range(3)]
    await a_moment()
    assert (workers.busy, workers.waiting) == (1, 2)
    with pytest.raises(face.BusyError):
        await a_call(workers, lambda: None, answered)
    calls[1].cancel()  # it waits, so its place is free again
    await a_moment()
    calls[1] = asyncio.create_task(a_call(workers, lambda: "new", answered))
    go_on.set()
    assert await asyncio.gather(*calls) == [0, "new", 2]
    assert await a_call(workers, lambda: "later", answered) == "later"
    assert (workers.busy, workers.waiting) == (0, 0)
    await workers.close()


@pytest.mark.parametrize("late", [False, True])
async def test_a_worker_goes_past_a_call_that_leaves_just_as_its_turn_comes(late):
    workers, answered = Workers("test", 1, 2), asyncio.Event()
    async with workers.worker():
        calls = [asyncio.create_task(a_call(workers, lambda: "done", answered)) for _ in range(2)]
        await a_moment()
        if not late:
            calls[0].cancel()
    if late:
        calls[0].cancel()
    answered.set()
    assert await asyncio.wait_for(calls[1], 10) == "done"
    assert calls[0].cancelled()
    await a_moment()
    assert (workers.busy, workers.waiting) == (0, 0)
    await workers.close()


def test_no_turn_begins_after_a_stop():
    stop = Stop()
    stop.set()
    with pytest.raises(StoppedError), Turns().turn(stop):
        pytest.fail("it began")


async def test_a_worker_is_held_until_the_answer_was_taken():
    workers, answered = Workers("test", 1, 1), asyncio.Event()
    calls = [asyncio.create_task(a_call(workers, threading.Event().is_set, answered)) for _ in range(2)]
    await asyncio.wait(calls, timeout=0.1)
    assert (workers.busy, workers.waiting) == (1, 1)  # though nothing runs any more
    answered.set()
    assert await asyncio.gather(*calls) == [False, False]
    await workers.close()


async def test_a_worker_whose_call_was_cancelled_is_held_until_its_job_ends():
    workers, going, go_on = Workers("test", 1, 1), threading.Event(), threading.Event()
    call = asyncio.create_task(a_call(workers, lambda: (going.set(), go_on.wait(10)), asyncio.Event()))
    assert await asyncio.to_thread(going.wait, 10)
    call.cancel()
    await a_moment()
    assert (call.cancelled(), workers.busy) == (True, 1)
    go_on.set()
    async with workers.worker():
        assert workers.busy == 1
    assert workers.busy == 0
    await workers.close()


async def test_workers_that_close_drop_what_waits_and_end_what_runs():
    workers, going, go_on, answered = Workers("test", 1, 2), threading.Event(), threading.Event(), asyncio.Event()
    answered.set()
    running = asyncio.create_task(a_call(workers, lambda: (going.set(), go_on.wait(10)), answered))
    waiting = asyncio.create_task(a_call(workers, lambda: None, answered))
    await asyncio.to_thread(going.wait, 10)
    closing = asyncio.create_task(workers.close())
    await a_moment()
    assert not closing.done()
    go_on.set()
    await closing
    assert (await running)[1]
    assert waiting.cancelled()


async def test_only_the_newest_progress_is_given_and_the_last_is_never_lost():
    latest, end = Latest(), asyncio.get_running_loop().create_future()
    seen = []
    for done in range(5):
        latest.put(Progress("run", done, 5))

    async def follow():
        async for progress in latest.until(end):
            seen.append(progress.done)
            if progress.done == 4:
                latest.put(Progress("run", 5, 5))
                end.set_result(None)

    await asyncio.wait_for(follow(), 10)
    assert seen == [4, 5]


class Answers(list):
    """A call with answers, that may be cancelled."""

    cancelled = False

    def cancel(self):
        self.cancelled = True


def test_a_stream_of_answers_that_is_no_longer_read_ends_its_call():
    call = Answers("ab")
    following = Calls("nobody").follow(lambda _request, timeout: call, None)
    assert (next(following), call.cancelled) == ("a", False)
    following.close()
    assert call.cancelled


def test_a_picture_that_cannot_be_drawn_is_sent_without_its_drawing():
    fine, wide = (Picture(np.zeros((1, width), np.float32), "p") for width in (MAX_SIDE, MAX_SIDE + 1))
    assert drawn(fine, None).startswith(b"\x89PNG")
    assert drawn(wide, None) == b""
