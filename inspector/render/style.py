"""How reports look in a browser: one style sheet, the same for notebooks and for pages."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Final

from inspector.contract import Severity

ROOT: Final = "onnx-inspector"
"""The class of the element around everything; no rule of the sheet reaches anything outside of it."""

COLOURS: Final = {Severity.ERROR: "#d93a30", Severity.WARNING: "#b86e00", Severity.INFO: "#3b7ec4"}
"""Of the line beside a finding, to be seen on white and in the dark. Its word has the colour of the text around it."""
IGNORED: Final = "#808080"

_LINES: Final = {**{severity.value: colour for severity, colour in COLOURS.items()}, "ignored": IGNORED}
_RULES: Final[Mapping[str, str]] = {
    "": "font:13px/1.45 system-ui,sans-serif",
    "h1": "font:600 20px system-ui,sans-serif;margin:.4em 0",
    "h2": "font:600 17px system-ui,sans-serif;margin:1.6em 0 .4em",
    "h3": "font:600 15px system-ui,sans-serif;margin:.4em 0",
    ".block": "margin:0 0 1.5em",
    ".text": "max-width:60em;white-space:pre-line;overflow-wrap:anywhere",
    ".muted": "opacity:.7",
    ".scroll": "overflow-x:auto",
    "table": "border-collapse:collapse;border:0;font-size:13px;font-variant-numeric:tabular-nums;margin:.4em 0",
    "th,td": "padding:2px 10px;border:0;border-bottom:1px solid #8884;text-align:left;vertical-align:top",
    "thead th": "border-bottom-color:#888;font-weight:600;vertical-align:bottom",
    "th.n,td.n": "text-align:right",
    ".pairs": "max-width:75em",
    ".pairs th": "border:0;padding-left:2px;font-weight:400;opacity:.7;white-space:nowrap",
    ".pairs td": "border:0;overflow-wrap:anywhere",
    ".findings": "list-style:none;padding:0;margin:0 0 1.5em",
    ".findings li": "border-left:3px solid;padding:1px 0 1px 10px;margin:.5em 0",
    **{f".findings .{name}": f"border-color:{colour}" for name, colour in _LINES.items()},
    "details": "margin:.2em 0",
    "img": "max-width:100%;height:auto",
}
_NARROW: Final = {"img": "max-width:none"}
_PRINTED: Final = {
    ".scroll": "overflow:visible",
    "img": "max-width:100%;max-height:95vh;width:auto",
    "table": "font-size:10px",
    "th,td": "padding:1px 4px;overflow-wrap:anywhere",
    "nav details": "display:none",
    "h1,h2,h3,summary": "break-after:avoid",
    "tr,li,img": "break-inside:avoid",
    "details::details-content": "content-visibility:visible",
}


def _written(rules: Mapping[str, str]) -> str:
    return "\n".join(f"{_within(names)}{{{look}}}" for names, look in rules.items())


def _within(names: str) -> str:
    return ",".join(f".{ROOT} {name}".rstrip() for name in names.split(","))


_SHEET: Final = (
    _written(_RULES),
    f"@media (max-width:700px){{\n{_written(_NARROW)}\n}}",
    f"@media print{{\n{_written(_PRINTED)}\n}}",
)
STYLE: Final = "\n".join(("", *_SHEET, ""))
"""Letters in pictures stay readable on a narrow screen, as pictures scroll; on paper nothing scrolls or is folded."""

STYLE_HASH: Final = f"sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}"
"""What a content security policy calls the sheet."""


def styled(html: str) -> str:
    """The element that a notebook shows: it brings the sheet along."""
    return f'<style>{STYLE}</style><div class="{ROOT}">{html}</div>'
