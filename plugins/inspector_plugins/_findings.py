"""Findings about some channels of a layer."""

from __future__ import annotations

from inspector import Finding, Layer, Severity
from inspector_plugins._wording import counted, listed


def about_channels(
    layer: Layer,
    channels: tuple[int, ...],
    what: str,
    *,
    rule: str,
    severity: Severity,
    remedy: str,
    noun: str = "filter",
) -> tuple[Finding, ...]:
    """One finding that says `what` of these filters, or input maps (`noun`), ascending; none where there are none."""
    if not channels:
        return ()
    total = layer.out_channels if noun == "filter" else layer.in_channels
    message = f"{layer.name!r} has {counted(len(channels), noun)} (of {total:,}) {what}: {listed(channels)}."
    return (Finding(rule, severity, message, layer.name, channels, {"found": len(channels), "of": total}, remedy),)
