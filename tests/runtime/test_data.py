"""Batches: the same sequence however it is divided and read, broken inputs left out, memory bounded."""

from __future__ import annotations

import io
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listed import Feeds, Listed, broken, good
from PIL import Image

from inspector.contract import TensorInfo
from inspector.control import Stop
from inspector.errors import LimitError, ParameterError, RunError, StoppedError
from inspector.report import Skipped
from inspector.runtime.data import LOOK_AHEAD, Batch, Item, batches, open_source
from inspector.runtime.preprocess import Preprocess
from inspector.runtime.readers import Readers


def rows(result: list[Batch]) -> list[tuple[str, float]]:
    return [(key, float(x.flat[0])) for b in result for key, x in zip(b.info.ids, b.feeds["x"], strict=True)]


@pytest.mark.parametrize("size", [1, 3, 7])
def test_batches_put_together_are_the_sequence(size):
    result = list(batches(Listed([good(i) for i in range(20)]), size))
    assert rows(result) == [(f"i{i}", i) for i in range(20)]
    assert [len(b.info.ids) for b in result] == [size] * (20 // size) + [20 % size] * bool(20 % size)
    assert [b.info.first for b in result] == list(range(0, 20, size))
    assert all(b.feeds["x"].shape == (len(b.info.ids), 2) and b.feeds["x"].dtype == np.float32 for b in result)


@pytest.mark.parametrize("size", [1 << 50, 1 << 61])
def test_a_batch_that_no_memory_holds_is_an_error_that_says_so(size):
    with pytest.raises(LimitError, match=f"found {size} inputs of 8 bytes. Use a smaller batch size"):
        list(batches(Listed([good(i) for i in range(3)]), lambda _: size))


def reference(kinds: list[int], size: int) -> tuple[list[list[int]], list[int]]:
    """The rule in its plainest form: positions of every batch, positions left out. A kind of 0 is broken."""
    groups: list[list[int]] = []
    for i, kind in enumerate(kinds):
        if kind:
            if not groups or len(groups[-1]) == size or kinds[groups[-1][-1]] != kind:
                groups.append([])
            groups[-1].append(i)
    return groups, [i for i, kind in enumerate(kinds) if not kind]


@settings(max_examples=60)
@given(
    kinds=st.lists(st.sampled_from([0, 1, 1, 1, 2]), max_size=30),
    size=st.integers(1, 5),
    workers=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_order_and_division_do_not_depend_on_how_long_reading_takes(kinds, size, workers, seed):
    delays = np.random.default_rng(seed).uniform(0, 0.001, len(kinds))

    def slow(i: int, kind: int) -> Callable[[], Feeds]:
        def read():
            time.sleep(delays[i])
            return good(i, (kind,))() if kind else broken()()

        return read

    skips: list[Skipped] = []
    source = Listed([slow(i, kind) for i, kind in enumerate(kinds)])
    result = list(batches(source, size, workers=workers, on_skip=skips.append))
    groups, left_out = reference(kinds, size)
    assert [b.info.ids for b in result] == [tuple(f"i{i}" for i in g) for g in groups]
    assert [b.info.first for b in result] == [sum(map(len, groups[:n])) for n in range(len(groups))]
    assert rows(result) == [(f"i{i}", i) for g in groups for i in g]
    assert [s.id for s in skips] == [f"i{i}" for i in left_out]


def test_a_broken_input_is_skipped_and_the_next_one_takes_its_place():
    skips: list[Skipped] = []
    reads = [good(0), broken("torn"), good(2), good(3), broken("late")]
    first, second = batches(Listed(reads), 2, on_skip=skips.append)
    assert (first.info.ids, first.info.first) == (("i0", "i2"), 0)
    assert (second.info.ids, second.info.first) == (("i3",), 2)
    assert skips == [Skipped("i1", "picture: torn."), Skipped("i4", "picture: late.")]


def test_skips_after_the_last_full_batch_are_heard_of_too():
    skips: list[Skipped] = []
    (only,) = batches(Listed([good(0), broken()]), 1, on_skip=skips.append)
    assert only.info.ids == ("i0",)
    assert [s.id for s in skips] == ["i1"]


def test_one_broken_picture_among_five_in_a_folder(tmp_path):
    for i in range(5):
        Image.new("L", (4, 4), 10 * i).save(tmp_path / f"{i}.png")
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:50])  # the header ends at byte 33
    source = open_source(tmp_path, [TensorInfo("x", "float32", (1, 1, 4, 4))], Preprocess.parse("raw"))
    skips: list[Skipped] = []
    (batch,) = batches(source, 8, on_skip=skips.append)
    assert rows([batch]) == [("0.png", 0), ("1.png", 10), ("3.png", 30), ("4.png", 40)]
    assert [s.id for s in skips] == ["2.png"]
    assert skips[0].reason.startswith("the picture is cut short or damaged")


def test_pictures_of_different_sizes_never_share_a_batch(tmp_path):
    for name, size in (("a", 4), ("b", 4), ("c", 6), ("d", 4)):
        Image.new("RGB", (size, 3)).save(tmp_path / f"{name}.png")
    source = open_source(tmp_path, [TensorInfo("x", "float32", ("N", 3, "h", "w"))], Preprocess.parse("raw"))
    shapes = [b.feeds["x"].shape for b in batches(source, 4)]
    assert shapes == [(2, 3, 3, 4), (1, 3, 3, 6), (1, 3, 3, 4)]


def test_several_inputs_are_stacked_side_by_side():
    source = open_source(
        {"x": np.arange(10.0).reshape(5, 2), "flag": np.arange(5)},
        [TensorInfo("x", "float64", ("N", 2)), TensorInfo("flag", "int64", ("N",))],
    )
    result = list(batches(source, 2))
    np.testing.assert_array_equal(np.concatenate([b.feeds["x"] for b in result]), np.arange(10.0).reshape(5, 2))
    np.testing.assert_array_equal(np.concatenate([b.feeds["flag"] for b in result]), np.arange(5))


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("shapes", [[(3,)], [(3,), (5,), (3,), (3,)]], ids=["one shape", "many shapes"])
def test_never_more_than_the_look_ahead_is_read_before_it_is_needed(size, shapes):
    lock = threading.Lock()
    started = live = highest_live = handed = highest_ahead = 0

    def released() -> None:
        nonlocal live
        with lock:
            live -= 1

    def counted(i: int) -> Callable[[], Feeds]:
        def read():
            nonlocal started, live, highest_live, highest_ahead
            x = np.full(shapes[i % len(shapes)], i, np.float32)
            weakref.finalize(x, released)
            with lock:
                started, live = started + 1, live + 1
                highest_live = max(highest_live, live)
                highest_ahead = max(highest_ahead, started - handed)
            return {"x": x}

        return read

    for batch in batches(Listed([counted(i) for i in range(60)]), size, workers=4):
        time.sleep(0.001)  # the caller works; readers run as far ahead as they may
        with lock:
            handed += len(batch.info.ids)
    assert started == handed == 60
    room = max(LOOK_AHEAD * size, 4)  # one for every worker, if these are more
    assert highest_ahead <= room + size  # the batch in the caller's hands is counted after its work
    assert highest_live <= room + 1  # and one on its way into its batch
    assert highest_ahead > 1


def test_the_size_of_a_batch_may_be_chosen_by_the_shapes_of_its_first_input():
    shapes = [(2,)] * 7 + [(5,)] * 5 + [(2,)] * 4
    asked = []

    def choose(found):
        asked.append(found)
        return {(2,): 3, (5,): 2}[found["x"]]

    source = Listed([good(i, shape) for i, shape in enumerate(shapes)])
    result = list(batches(source, choose, workers=2))
    assert [b.feeds["x"].shape for b in result] == [(3, 2), (3, 2), (1, 2), (2, 5), (2, 5), (1, 5), (3, 2), (1, 2)]
    assert asked == [{"x": b.feeds["x"].shape[1:]} for b in result]
    assert [b.info.first for b in result] == [0, 3, 6, 7, 9, 11, 12, 15]
    np.testing.assert_array_equal(np.concatenate([b.feeds["x"][:, 0] for b in result]), np.arange(16))


@pytest.mark.parametrize("sizes", [[1, 8, 8, 8], [8, *[1] * 24]], ids=["larger", "smaller"])
def test_a_size_that_is_chosen_anew_moves_how_far_is_read_ahead(sizes):
    chosen, ahead = iter(sizes), []
    source = Listed([good(i) for i in range(60)])
    running = batches(source, lambda _: next(chosen, 1), workers=1)
    given = 0
    for size in sizes:
        given += len(next(running).info.ids)
        time.sleep(0.01)  # readers run as far ahead as they may
        ahead.append((len(source.pulled) - given, size))
    running.close()
    assert all(count <= LOOK_AHEAD * max(size, sizes[0]) + 1 for count, size in ahead)
    assert ahead[-1][0] <= LOOK_AHEAD * sizes[-1] + 1


def test_inputs_already_in_the_batch_count_towards_the_look_ahead():
    size, beyond = 4, threading.Event()
    early: list[bool] = []

    def waits() -> Feeds:
        early.append(beyond.wait(0.02))
        return good(3)()

    class Watched(Listed):
        def __iter__(self) -> Iterator[Item]:
            for i, item in enumerate(super().__iter__()):
                if i >= LOOK_AHEAD * size:
                    beyond.set()
                yield item

    reads = [good(i) for i in range(40)]
    reads[size - 1] = waits  # the batch has all but this one while it waits
    assert len(list(batches(Watched(reads), size))) == 10
    assert early == [False]


def test_no_worker_is_idle_however_small_the_batches_are():
    """All four read at once: first what is asked for at the beginning, then what follows, when the size is known."""
    together = threading.Barrier(4)

    def meets(i: int) -> Callable[[], Feeds]:
        def read():
            together.wait(10)
            return good(i)()

        return read

    assert len(list(batches(Listed([meets(i) for i in range(12)]), 1, workers=4))) == 12


def test_reading_goes_on_while_the_caller_works():
    both_read = threading.Event()

    def last() -> Feeds:
        both_read.set()
        return good(1)()

    for batch in batches(Listed([good(0), last]), 1):
        if batch.info.first == 0:
            assert both_read.wait(5)


def test_closing_ends_the_readers_and_what_was_not_begun_is_never_read(monkeypatch):
    read: list[int] = []
    closing = threading.Event()
    submit, cancelled = Readers.submit, []

    def noticed(readers, act):
        future = submit(readers, act)
        future.add_done_callback(lambda done: (cancelled.append(done), closing.set()) if done.cancelled() else None)
        return future

    def noted(i: int) -> Callable[[], Feeds]:
        def act():
            read.append(i)
            assert i < 2 or closing.wait(5)
            return good(i)()

        return act

    monkeypatch.setattr(Readers, "submit", noticed)
    before = threading.active_count()
    source = Listed([noted(i) for i in range(100)])
    running = batches(source, 2, workers=1)
    next(running)
    assert threading.active_count() > before
    running.close()
    assert threading.active_count() == before
    assert set(read) <= {0, 1, 2}  # the third was under way
    assert cancelled
    assert len(source.pulled) <= (LOOK_AHEAD + 1) * 2


def test_a_stop_is_heard_between_inputs():
    stop = Stop()
    source = Listed([good(i) for i in range(100)])
    running = batches(source, 2, stop=stop)
    next(running)
    stop.set()
    with pytest.raises(StoppedError):
        next(running)
    assert len(source.pulled) <= (LOOK_AHEAD + 1) * 2


def test_errors_that_are_no_fault_of_an_input_end_the_run():
    def fails() -> Feeds:
        raise RunError("device", "it burns")

    before = threading.active_count()
    with pytest.raises(RunError, match="it burns"):
        list(batches(Listed([good(0), fails]), 2))
    assert threading.active_count() == before


@pytest.mark.parametrize(("size", "workers", "name"), [(0, 1, "batch size"), (-1, 1, "batch size"), (1, 0, "workers")])
def test_senseless_sizes_are_refused_at_once(size, workers, name):
    with pytest.raises(
        ParameterError, match=f"{name}: it is out of range; expected at least 1, found {size * workers}"
    ):
        batches(Listed([]), size, workers=workers)


def test_a_source_without_good_inputs_gives_no_batch():
    assert list(batches(Listed([]), 3)) == []
    assert list(batches(Listed([broken(), broken()]), 3)) == []


def test_the_whole_way_from_files_to_batches_equals_doing_it_by_hand(tmp_path):
    rng = np.random.default_rng(3)
    pictures = [rng.integers(0, 256, (8, 6, 3), dtype=np.uint8) for _ in range(7)]
    for i, pixels in enumerate(pictures):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        (tmp_path / f"{i}.png").write_bytes(file.getvalue())
    source = open_source(tmp_path, [TensorInfo("x", "float32", (1, 3, 8, 6))], Preprocess.parse("caffe"))
    fed = np.concatenate([b.feeds["x"] for b in batches(source, 3)])
    by_hand = np.stack(pictures)[..., ::-1].transpose(0, 3, 1, 2) - np.array([103.939, 116.779, 123.68])[:, None, None]
    np.testing.assert_allclose(fed, by_hand, rtol=2**-23)
