"""Patterns to taps."""

from __future__ import annotations

import pytest
from models import SAME, ZOO, B, W, model, numbers

from inspector import Inapplicable, TapKind
from inspector.errors import LimitError, NotFoundError
from inspector.graph.load import load
from inspector.graph.view import OnnxView


@pytest.fixture(scope="module")
def view() -> OnnxView:
    """Layers a (conv, norm, act), b (conv, act), last (conv alone), and one that is called `b:act`."""
    body = (
        f"[a] p = Conv {SAME} (x, w) q = Add(p, k) r = Relu(q) [b] s = Conv {SAME} (r, w2) t = Relu(s) "
        f'["b:act"] u = Conv {SAME} (t, w2) v = Relu(u) ["last[0]"] y = Conv {SAME} (v, w2)'
    )
    return load(model(body, weights={"w": W, "k": B.reshape(4, 1, 1), "w2": numbers(4, 4, 3, 3)}))


@pytest.mark.parametrize(
    ("patterns", "kind", "taps"),
    [
        (("*",), TapKind.ACT, ["a:act", "b:act", "b:act:act", "last[0]:conv"]),
        (("*",), TapKind.NORM, ["a:norm", "b:conv", "b:act:conv", "last[0]:conv"]),
        (("*",), TapKind.CONV, ["a:conv", "b:conv", "b:act:conv", "last[0]:conv"]),
        (("*:act",), TapKind.CONV, ["a:act", "b:act", "b:act:act"]),
        (("*:norm",), TapKind.ACT, ["a:norm"]),
        (("a:conv",), TapKind.ACT, ["a:conv"]),
        (("b:act",), TapKind.CONV, ["b:act:conv"]),
        (("b:act:act",), TapKind.CONV, ["b:act:act"]),
        (("last[0]",), TapKind.ACT, ["last[0]:conv"]),
        (("?",), TapKind.ACT, ["a:act", "b:act"]),
        (("last*", "a", "a:act", "a:norm"), TapKind.ACT, ["a:act", "a:norm", "last[0]:conv"]),
        ((), TapKind.ACT, []),
    ],
)
def test_a_pattern_gives_the_taps_of_its_layers_in_their_order_each_once(
    view: OnnxView, patterns: tuple[str, ...], kind: TapKind, taps: list[str]
) -> None:
    assert [tap.name for tap in view.taps(patterns, kind)] == taps


def test_a_pattern_without_a_layer_is_answered_with_the_nearest_name(view: OnnxView) -> None:
    with pytest.raises(NotFoundError, match=r"Did you mean 'last\[0\]'"):
        view.taps(("last[1]",))
    with pytest.raises(NotFoundError, match="Patterns may use"):
        view.taps(("a", "nowhere/*"))


def test_a_tap_that_no_layer_has_is_inapplicable_and_says_why(view: OnnxView) -> None:
    with pytest.raises(
        Inapplicable, match=r"'b' has no separate bias or normalisation; expected one of: b:conv, b:act"
    ):
        view.taps(("b:norm",))
    with pytest.raises(Inapplicable, match=r"no activation: it is an output of the model"):
        view.taps(("last*:act",))


def test_two_convolutions_into_one_sum_share_a_tensor_but_not_a_tap() -> None:
    first, second = load(ZOO["residual"].data).taps()
    assert first.tensor == second.tensor == "y"
    assert first != second
    assert first.shared
    assert second.shared


def test_more_patterns_than_anybody_means_are_refused_and_repeated_ones_looked_for_once(view: OnnxView) -> None:
    assert view.taps(("*",) * 1_000_000) == view.taps()
    with pytest.raises(LimitError, match="at most 10,000, found 10,001"):
        view.taps(tuple(map(str, range(10_001))))
