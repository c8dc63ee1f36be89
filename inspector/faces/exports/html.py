"""One page for a browser: what a notebook shows of a report with a table of contents, complete in itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from inspector.contract import Severity
from inspector.faces.wire_tensor import utf8
from inspector.origin import many
from inspector.render.html import escape
from inspector.report import AnalysisResult, Report, head_html, result_html

MOST: Final = 20
"""Findings that the table of contents lists, the worst ones."""
_LONGEST: Final = 160
_ORDER: Final = (Severity.ERROR, Severity.WARNING, Severity.INFO)
_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_HEAD: Final = f"""<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">"""
"""Nothing is fetched or run; as wide as the screen is, and dark where its owner wants that."""


def to_html(report: Report) -> str:
    """The report as an HTML page with its pictures inside; it runs no script and fetches nothing."""
    sections = "\n".join(
        f'<section id="analysis-{at}">{result_html(result, _prefix(at))}</section>'
        for at, result in enumerate(report.results, 1)
    )
    head = f"{_HEAD}\n<title>{escape(report.provenance.model)}</title>"
    main = f"{head_html(report)}\n{_contents(report.results)}\n{sections}"
    body = f"<body>\n<main>\n{main}\n</main>\n</body>"
    return utf8(f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n{body}\n</html>\n')


def _prefix(at: int) -> str:
    return f"finding-{at}-"


def _contents(results: Sequence[AnalysisResult]) -> str:
    """Links to the findings, the worst first and ignored ones last, and below them to the analyses."""
    if not results:
        return ""
    analyses = [_link(f"analysis-{at}", r.name, _told(r)) for at, r in enumerate(results, 1)]
    return (
        f'<nav aria-label="Contents" style="font:13px system-ui,sans-serif">{_findings(results)}{_list(analyses)}</nav>'
    )


def _findings(results: Sequence[AnalysisResult]) -> str:
    places = [(f, f"{_prefix(at)}{n}") for at, r in enumerate(results, 1) for n, f in enumerate(r.findings, 1)]
    places.sort(key=lambda place: (place[0].ignored, _ORDER.index(place[0].severity)))
    links = [_link(name, f"{f.standing.capitalize()}: {f.message}") for f, name in places[:MOST]]
    more = len(places) - len(links)
    return _list(links + [f"<li>… {more:,} more below</li>"] * bool(more)) if links else ""


def _told(result: AnalysisResult) -> str:
    if result.failure:
        return "not applicable" if result.failure.inapplicable else "failed"
    return ", ".join(
        many(n, word) for n, word in ((len(result.findings), "finding"), (len(result.blocks), "block")) if n
    )


def _link(name: str, text: str, more: str = "") -> str:
    """An entry; a text that a plugin left empty is still one to be followed."""
    shown = escape(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…").strip() or name
    return f'<li><a href="#{name}">{shown}</a>{f": {more}" if more else ""}</li>'


def _list(items: Sequence[str]) -> str:
    return f"<ul>{''.join(items)}</ul>"
