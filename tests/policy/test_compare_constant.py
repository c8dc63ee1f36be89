"""Channels that turned constant: what is left to see of a lost filter where zeros mean nothing."""

from __future__ import annotations

import numpy as np
from made import report, tap
from models import SAME, B, W, model

from inspector import Severity, audit, compare

X = np.random.default_rng(5).normal(size=(6, 3, 6, 5)).astype(np.float32)


def test_a_filter_that_was_zeroed_behind_silu_is_named() -> None:
    text = f"[c] a = Conv {SAME} (x, w, b) g = Sigmoid(a) y = Mul(a, g)"
    lost = W.copy()
    lost[2] = 0
    before, after = (audit(model(text, weights={"w": w, "b": B}), X, ["sparsity"]) for w in (W, lost))
    answer = compare(before, after)
    (found,) = [f for f in answer.findings if f.rule == "compare/constant"]
    assert (found.severity, found.layer, found.channels) == (Severity.WARNING, "c", (2,))
    assert found.evidence["beyond chance"] == 0  # of six inputs
    (count,) = [m.values for m in answer.results[0].metrics if m.name == "constant"]
    assert count == 1
    assert not [f for f in compare(after, before).findings if f.rule == "compare/constant"]


def test_nothing_is_said_where_one_report_does_not_tell_constant_channels() -> None:
    old, new = (report(*tap("c", [9, 9], dead=False, constant=each)) for each in (None, [0, 1]))
    assert not [f for f in compare(old, new).findings if f.rule == "compare/constant"]
    known = report(*tap("c", [9, 9], dead=False, constant=[0, 0]))
    assert [f.channels for f in compare(known, new).findings if f.rule == "compare/constant"] == [(1,)]


def test_after_a_single_input_it_is_no_warning() -> None:
    sides = [report(*tap("c", [1, 1], 1, dead=False, constant=each)) for each in ([0, 0], [1, 0])]
    assert [f.severity for f in compare(*sides).findings if f.rule == "compare/constant"] == [Severity.INFO]
