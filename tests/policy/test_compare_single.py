"""Comparisons where a side had one input, of which no message says that a channel is dead."""

from __future__ import annotations

import pytest
from made import report, tap

from inspector import Severity
from inspector.policy.compare import compare


@pytest.mark.parametrize(("before", "after"), [(1, 1), (1, 100), (100, 1)])
def test_what_one_input_shows_is_a_remark(before: int, after: int) -> None:
    answer = compare(report(*tap("c", [1, 0], before)), report(*tap("c", [0, 1], after)))
    found = {f.rule: f for f in answer.findings if f.rule in {"compare/died", "compare/revived"}}
    assert {rule: (f.severity, f.channels) for rule, f in found.items()} == {
        "compare/died": (Severity.INFO, (0,)), "compare/revived": (Severity.INFO, (1,)),
    }  # fmt: skip
    assert found["compare/died"].message == (
        f"c:act: 1 of 2 channels gave only zeros and did not before (inputs: {before} before, {after} after)"
    )
    assert not any("dead" in f"{f.message} {f.remedy}" for f in found.values())


def test_two_inputs_are_judged_as_before() -> None:
    (found,) = compare(report(*tap("c", [2], 2)), report(*tap("c", [0], 2))).findings
    assert (found.rule, found.severity) == ("compare/died", Severity.WARNING)
    assert found.message == "c:act: 1 of 1 channel fired for no input and did before"
