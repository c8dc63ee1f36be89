"""What changed in channels, and whether chance may have done it."""

from __future__ import annotations

from made import report, tap

from inspector import compare


def test_what_died_is_told_from_what_was_rare_before() -> None:
    after = report(*tap("c", [0, 0, 1, 60]))
    answer = compare(report(*tap("c", [100, 1, 0, 0])), after)
    told = {f.rule.removeprefix("compare/"): f.evidence for f in answer.findings}
    assert (told["died"]["beyond chance"], told["revived"]["beyond chance"]) == (1, 1)
    assert told["drifted"]["died, turned constant or revived among them"] == 2
    rare = compare(report(*tap("c", [1])), report(*tap("c", [0])))
    assert [f.evidence["beyond chance"] for f in rare.findings] == [0]
