"""The law that every measured plugin keeps: however the data is split, the parts add up to the whole."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import random
import typing
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import SAME, model, numbers
from numpy_ops import evaluate

from inspector import Array, BatchInfo, First, Histogram, Same, Summary, service
from inspector.analysis.identity import Identity
from inspector.analysis.plan import Plan, make_plan
from inspector.analysis.run import Totals
from inspector.analysis.runner import Setting
from inspector.analysis.store import from_bytes, to_bytes
from inspector.contract.summary import merges_of
from inspector.control import Stop
from inspector.errors import SummaryError
from inspector.graph.view import OnnxView

PLUGINS = [plugin.name for plugin in service.plugins() if plugin.kind == "measured"]
CHANNELS = 5
"""Of every tap; no other axis has that many entries, so an axis of 5 is the channels'."""
COUNT = 11
ACTIVATIONS = ("Relu", "HardSwish", "LeakyRelu", "Sigmoid")

data = st.builds(lambda seed, broken: (seed, broken), st.integers(0, 2**32 - 1), st.booleans())


@functools.cache
def view(twist: float = 1.0) -> OnnxView:
    """Four layers with an activation of each kind: rectified, rectified with negative values, and two without zeros."""
    nodes = [f"[c{i}] a{i} = Conv {SAME} (x, w) y{i} = {op}(a{i})" for i, op in enumerate(ACTIVATIONS)]
    body = " ".join(nodes) + " y = Sum(y0, y1, y2, y3)"
    return service.load(model(body, weights={"w": numbers(CHANNELS, 3, 3, 3) * np.float32(twist)}))


@functools.cache
def plan(plugin: str, twist: float = 1.0) -> Plan:
    """What the plugin, with its defaults, wants of that net."""
    made = make_plan(view(twist), [plugin], allow_maps=True)
    assert made.entries[0].failure is None
    assert made.requests
    return made


def maps(seed: int, broken: bool) -> dict[str, Array]:
    """Random maps (11, 5, 3, 4) of what is fed and of all tapped tensors; some are zero, and not finite if `broken`."""
    rng = np.random.default_rng(seed)
    found = {"x": rng.normal(size=(COUNT, CHANNELS, 3, 4)).astype(np.float32)}
    for i, op in enumerate(ACTIVATIONS):
        x = rng.normal(size=(COUNT, CHANNELS, 3, 4)).astype(np.float32) * np.exp(rng.normal(size=(1, CHANNELS, 1, 1)))
        x[rng.random(x.shape) < 0.3] = 0
        x[rng.random(x.shape[:2]) < 0.3] = 0
        if broken:
            x[rng.random(x.shape) < 0.02] = rng.choice([np.nan, np.inf])
        found[f"y{i}"] = np.maximum(x, 0).astype(np.float32) if op == "Relu" else x.astype(np.float32)
    return found


def total(plan: Plan, maps: dict[str, Array], start: int = 0, stop: int = COUNT) -> Totals:
    """The summaries of inputs `start` to `stop`, as one batch."""
    totals = Totals(plan)
    rows = {r: evaluate(r.measure, maps[r.tensor][start:stop]) for r in plan.requests}
    ids, labels = tuple(f"input[{i}]" for i in range(COUNT)), ("cat", None, "dog", "ant") * COUNT
    totals.add(rows, BatchInfo(ids[start:stop], start, labels[start:stop]))
    assert totals.failures == [None]
    return totals


def parts(plan: Plan, maps: dict[str, Array], cuts: Sequence[int]) -> list[Totals]:
    """The summaries of the batches between the cuts."""
    edges = sorted({0, COUNT, *cuts})
    return [total(plan, maps, a, b) for a, b in itertools.pairwise(edges)]


def merged(plan: Plan, a: Totals, b: Totals) -> Totals:
    result = Totals(plan)
    result.summaries[0] = {tap: part + b.summaries[0][tap] for tap, part in a.summaries[0].items()}
    return result


def fields(summary: Summary, prefix: str = "") -> Iterator[tuple[str, object, Array]]:
    """(name, merge, value) of every field, those of inner summaries too."""
    derived = type(summary).__add__ is Summary.__add__
    merges = merges_of(type(summary)) if derived else {"sums": np.add, "mean": np.add, "m2": np.add}
    if isinstance(summary, Histogram):
        yield f"{prefix}buckets", None, buckets(summary)
        yield f"{prefix}odd", None, summary.odd
        return
    for field in dataclasses.fields(summary):
        value = getattr(summary, field.name)
        if isinstance(value, Summary):
            yield from fields(value, f"{prefix}{field.name}.")
        elif isinstance(summary, First) and field.name == "flat" and summary.values:  # here all of one shape
            yield f"{prefix}flat", None, np.stack(summary.values)
        else:
            yield prefix + field.name, merges.get(field.name), np.asarray(value)


def buckets(histogram: Histogram) -> Array:
    """(C, 11, 2): buckets and counts of every channel, filled up with -1; `cells` numbers those of all channels."""
    found = np.full((CHANNELS, COUNT, 2), -1)
    for c in range(CHANNELS):
        own = histogram.cells // 2**14 == c
        found[c, : own.sum()] = np.stack([histogram.cells[own] % 2**14, histogram.counts[own]], axis=1)
    return found


def assert_same(found: Totals, expected: Totals, magnitude: float) -> None:
    """Bit for bit; but a sum of floats, whose terms are at most `magnitude`, or their squares, to 1e-12 of that."""
    assert found.summaries[0].keys() == expected.summaries[0].keys()
    for tap, summary in expected.summaries[0].items():
        for (name, merge, value), (_, _, other) in zip(fields(summary), fields(found.summaries[0][tap]), strict=True):
            assert value.dtype == other.dtype, name
            if merge is np.add and value.dtype.kind == "f":
                size = magnitude ** (2 if name.endswith(".m2") else 1)
                np.testing.assert_allclose(other, value, rtol=1e-12, atol=1e-12 * COUNT * size, err_msg=name)
            else:
                np.testing.assert_array_equal(other, value, strict=True, err_msg=name)


def magnitude(maps: dict[str, Array]) -> float:
    return max(float(np.abs(x[np.isfinite(x)]).max()) for x in maps.values())


def test_the_measured_plugins_that_come_with_it_are_among_those_that_are_tried() -> None:
    assert {"sparsity", "activations", "distribution", "selectivity"} <= set(PLUGINS)


@pytest.mark.parametrize("plugin", PLUGINS)
@given(data, st.lists(st.integers(1, COUNT - 1)))
def test_the_parts_of_any_split_add_up_to_the_whole(plugin: str, drawn: tuple[int, bool], cuts: list[int]) -> None:
    chosen, x = plan(plugin), maps(*drawn)
    joined = functools.reduce(functools.partial(merged, chosen), parts(chosen, x, cuts))
    assert_same(joined, total(chosen, x), magnitude(x))


@pytest.mark.parametrize("plugin", PLUGINS)
@given(data, st.lists(st.integers(1, COUNT - 1), min_size=2), st.randoms(use_true_random=False))
def test_parts_add_up_to_the_same_in_any_order_and_in_any_grouping(
    plugin: str, drawn: tuple[int, bool], cuts: list[int], chance: random.Random
) -> None:
    chosen, x = plan(plugin), maps(*drawn)
    left = parts(chosen, x, cuts)
    while len(left) > 1:
        chance.shuffle(left)
        left.append(merged(chosen, left.pop(), left.pop()))
    assert_same(left[0], total(chosen, x), magnitude(x))


@pytest.mark.parametrize("plugin", PLUGINS)
@given(data, st.integers(1, COUNT - 1))
def test_parts_that_went_through_bytes_add_up_bit_for_bit_as_they_were(
    plugin: str, drawn: tuple[int, bool], cut: int
) -> None:
    chosen, x = plan(plugin), maps(*drawn)
    direct = parts(chosen, x, [cut])
    stored = [from_bytes(chosen, to_bytes(chosen, part)) for part in direct]
    for part, other in zip(direct, stored, strict=True):
        assert_same(other, part, 0.0)
    assert_same(merged(chosen, *stored), merged(chosen, *direct), 0.0)


@pytest.mark.parametrize("plugin", PLUGINS)
@given(data, st.permutations(range(CHANNELS)))
def test_permuted_channels_give_permuted_summaries(plugin: str, drawn: tuple[int, bool], order: list[int]) -> None:
    chosen, x = plan(plugin), maps(*drawn)
    permuted = total(chosen, {name: np.ascontiguousarray(a[:, order]) for name, a in x.items()})
    for tap, summary in total(chosen, x).summaries[0].items():
        for (name, _, value), (_, _, other) in zip(fields(summary), fields(permuted.summaries[0][tap]), strict=True):
            for axis, size in enumerate(value.shape):
                value = np.take(value, order, axis) if size == CHANNELS else value  # noqa: PLW2901 - axis by axis
            np.testing.assert_array_equal(other, value, strict=True, err_msg=name)


def limits(kind: type[Summary]) -> Iterator[tuple[str, ...]]:
    """Paths to the fields of a summary, and of those within, that must agree on both sides."""
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        if hint == Same:
            yield (name,)
        elif isinstance(hint, type) and issubclass(hint, Summary):
            yield from ((name, *rest) for rest in limits(hint))


LIMITS = [(p, path) for p in PLUGINS for path in limits(plan(p).entries[0].analysis.summary)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("plugin", "path"), LIMITS, ids=lambda v: v if isinstance(v, str) else ".".join(v))
def test_a_part_of_other_limits_is_refused(plugin: str, path: tuple[str, ...]) -> None:
    for part in total(plan(plugin), maps(1, broken=False)).summaries[0].values():
        with pytest.raises(SummaryError):
            part + changed(part, path)
        with pytest.raises(SummaryError):
            changed(part, path) + part


def changed(summary: Summary, path: tuple[str, ...]) -> Summary:
    """The same, but for one field that is one more."""
    value = getattr(summary, path[0])
    return dataclasses.replace(summary, **{path[0]: changed(value, path[1:]) if path[1:] else value + 1})


@pytest.mark.parametrize("plugin", PLUGINS)
def test_parts_of_another_model_are_of_another_run(plugin: str) -> None:
    mine, other = (
        Identity.of(view(scale), plan(plugin, scale), fidelity="exact", preprocess="", shard_size=0)
        for scale in (1.0, 2.0)
    )
    mine.check(mine, "summaries")
    with pytest.raises(SummaryError, match="another run, differing in the model;"):
        mine.check(other, "summaries")


@pytest.mark.parametrize("plugin", PLUGINS)
def test_the_graph_gives_the_rows_that_numpy_gives_for_the_same_maps(plugin: str) -> None:
    """So what is said here of rows holds for those of a run. Counts and extremes bit for bit, means to 1e-5."""
    chosen, x = plan(plugin), np.random.default_rng(3).normal(size=(COUNT, 3, 6, 5)).astype(np.float32)
    found = service.activations(view(), x, ["*"]) | {"x:input": x}
    by_tensor = {watch.tap.tensor: found[watch.tap.name] for watch in chosen.entries[0].watches}
    setting = Setting(
        preprocess="", device="cpu", fidelity="exact", batch_size=COUNT, watch=lambda _: None, stop=Stop()
    )
    ((rows, info),) = setting.observer(view(), chosen.requests)(setting.feed(view(), x).batches(COUNT))
    assert len(info.ids) == COUNT
    for request, row in rows.items():
        expected = evaluate(request.measure, by_tensor[request.tensor])
        tolerance = 1e-5 if request.measure.op == "mean" else 0
        np.testing.assert_allclose(np.broadcast_to(row, expected.shape), expected, rtol=tolerance, atol=tolerance)
