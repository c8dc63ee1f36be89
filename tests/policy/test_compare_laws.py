"""What holds of every comparison: of equal reports, of two sides swapped, of channels in another order."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from made import report, tap

from inspector import Array, Metric
from inspector.policy.compare import compare
from inspector.policy.judge import judged
from inspector.policy.load import load_policy
from inspector.report import Report

INPUTS = 60
Counts = tuple[int, int]
"""Finite maps of a channel, and active ones among them."""
FINITE = st.sampled_from([INPUTS, INPUTS, INPUTS, INPUTS - 1, 1, 0])
CHANNEL = FINITE.flatmap(
    lambda of: st.tuples(st.just(of), st.sampled_from([0, 1, of // 2, of]).map(lambda n: min(n, of)))
)
PAIRS = st.lists(st.tuples(CHANNEL, CHANNEL), min_size=1, max_size=8)
NAMES = ("not_finite", "finite_again", "died", "revived", "drifted")
SWAPPED = {"not_finite": "finite_again", "finite_again": "not_finite", "died": "revived", "revived": "died"}


def made(channels: list[Counts]) -> Report:
    return report(*tap("c", [n for _, n in channels], INPUTS, finite=[of for of, _ in channels]))


def both(pairs: list[tuple[Counts, Counts]]) -> tuple[Report, Report]:
    return made([a for a, _ in pairs]), made([b for _, b in pairs])


def said(answer: Report) -> dict[str, set[int]]:
    """Channels by what is said of them, once the findings and the metrics have been seen to agree."""
    found = {f.rule.removeprefix("compare/").replace("-", "_"): set(f.channels) for f in answer.findings}
    numbers = {m.name: m.values.item() for m in answer.results[0].metrics if m.where == "c:act"}
    every = {name: found.pop(name, set()) for name in NAMES}
    assert found == {}
    assert {name: numbers[name] for name in NAMES} == {name: len(channels) for name, channels in every.items()}
    return every


@given(pairs=PAIRS)
def test_a_report_compared_with_itself_says_nothing(pairs: list[tuple[Counts, Counts]]) -> None:
    for one in both(pairs):
        answer = compare(one, one)
        assert answer.findings == ()
        assert all(m.values == 0 or np.isnan(m.values) for m in answer.results[0].metrics)
        assert judged(answer, (load_policy("builtin:unchanged"),)).ok


@given(pairs=PAIRS)
def test_swapped_sides_swap_what_died_with_what_revived(pairs: list[tuple[Counts, Counts]]) -> None:
    a, b = both(pairs)
    there, back = said(compare(a, b)), said(compare(b, a))
    assert back == {SWAPPED.get(name, name): channels for name, channels in there.items()}


@given(pairs=PAIRS, data=st.data())
def test_channels_in_another_order_are_said_the_same_of(
    pairs: list[tuple[Counts, Counts]], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(pairs))))
    before, after = said(compare(*both(pairs))), said(compare(*both([pairs[c] for c in order])))
    assert after == {name: {i for i, c in enumerate(order) if c in channels} for name, channels in before.items()}
    equal = sorted(order, key=lambda c: pairs[c])  # channels with equal numbers in any order
    assert said(compare(*both([pairs[c] for c in equal]))) == said(compare(*both(sorted(pairs))))


@given(pairs=PAIRS)
def test_every_channel_is_what_its_counts_say_and_not_finite_ones_are_nothing_else(
    pairs: list[tuple[Counts, Counts]],
) -> None:
    found = said(compare(*both(pairs)))
    for c, ((of, was), (of_now, now)) in enumerate(pairs):
        sound = (of == INPUTS, of_now == INPUTS)
        assert (c in found["not_finite"]) is (sound == (True, False))
        assert (c in found["finite_again"]) is (sound == (False, True))
        assert (c in found["died"]) is (all(sound) and now == 0 < was)
        assert (c in found["revived"]) is (all(sound) and was == 0 < now)
        if c in found["drifted"]:
            assert all(sound)
            assert abs(Fraction(was, of) - Fraction(now, of_now)) >= Fraction(1, 20)


WHOLE, REAL = st.integers(-(2**63), 2**63 - 1), st.floats()
NUMBERS = st.one_of(
    st.one_of(WHOLE, REAL).map(np.array),
    st.lists(WHOLE, max_size=3).map(lambda values: np.array(values, np.int64)),
    st.lists(REAL, max_size=3).map(lambda values: np.array(values, np.float64)),
)
KEYS = ("inputs", "not_finite", "channel_active", "channel_finite", "channel_dead", "channel_constant", "channel_mean")
SIDE = st.dictionaries(st.sampled_from(KEYS), NUMBERS, min_size=1)


@given(sides=st.tuples(SIDE, SIDE))
@example(sides=({"not_finite": np.array(0)}, {"not_finite": np.array(1e300)}))
@example(sides=({name: np.zeros(0, np.int64) for name in KEYS[2:5]},) * 2)
@example(sides=({name: np.zeros(() if name != KEYS[4] else 0, np.int64) for name in KEYS[2:5]},) * 2)
@example(sides=({name: np.array([np.nan]) for name in KEYS[2:4]},) * 2)
def test_whatever_a_file_holds_can_be_compared(sides: tuple[dict[str, Array], dict[str, Array]]) -> None:
    made = [report(*(Metric(name, values, "c", "act") for name, values in side.items())) for side in sides]
    answer = compare(made[0], made[1])
    assert {m.name for m in answer.results[0].metrics} >= {"unfair", "failed"}
