"""Which layer of one report is which layer of another."""

from __future__ import annotations

from made import report, tap

from inspector.policy.matching import matched


def test_a_layer_that_was_put_between_is_no_renamed_one() -> None:
    before, after = (report(*(m for name in names for m in tap(name, [1]))) for names in ("abc", "axbC"))
    found = matched(before, after)
    assert (found.renamed, found.removed, found.added) == ((), ("c",), ("x", "C"))
