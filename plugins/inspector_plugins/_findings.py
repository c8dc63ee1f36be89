"""Findings about some channels of a layer."""

from __future__ import annotations

from typing import Final

from inspector import Finding, Layer, Severity
from inspector_plugins._wording import counted, listed

_CONFIDENCE: Final = 0.05
_SURE: Final = 0.05
"""Upper bound of the firing rate below which a channel that does nothing is worth a warning: from 59 inputs on."""


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


def firing_bound(inputs: int) -> float:
    """95 % upper bound of the rate at which something fires that did not in `inputs` independent inputs."""
    return float(1 - _CONFIDENCE ** (1 / inputs)) if inputs else 1.0


def severity_after(inputs: int) -> Severity:
    """Of a finding about what never happened in `inputs` inputs: a handful of them proves little."""
    return Severity.WARNING if firing_bound(inputs) <= _SURE else Severity.INFO
