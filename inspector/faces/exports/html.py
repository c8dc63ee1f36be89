"""One page for a browser: what a notebook shows of a report with a table of contents, complete in itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from inspector.contract import Block, Severity
from inspector.control import Progress, Watcher, unwatched
from inspector.faces.wire_tensor import utf8
from inspector.origin import many
from inspector.render.html import block_html, escape, folded
from inspector.render.style import ROOT, STYLE, STYLE_HASH
from inspector.report import AnalysisResult, Report, head_html, result_html, run_html, skipped_html

MOST: Final = 20
"""Findings that the table of contents lists, the worst ones."""
_LONGEST: Final = 160
_ORDER: Final = (Severity.ERROR, Severity.WARNING, Severity.INFO)
_POLICY: Final = f"default-src 'none'; img-src data:; style-src '{STYLE_HASH}'; base-uri 'none'; form-action 'none'"
_HEAD: Final = f"""<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<style>{STYLE}</style>"""
"""Nothing is fetched or run; as wide as the screen is, and dark where its owner wants that."""


@dataclass(frozen=True, slots=True)
class _Section:
    """A part of the page: its id, its entry in the table of contents, what it says."""

    name: str
    entry: str
    html: str


def to_html(report: Report, watch: Watcher = unwatched) -> str:
    """The report as an HTML page with its pictures inside; it runs no script and fetches nothing."""
    sections = list(_sections(report, watch))
    head = f"{_HEAD}\n<title>{escape(report.provenance.model)}</title>"
    contents = f'<nav aria-label="Contents">{_findings(report.results)}{_list([s.entry for s in sections])}</nav>'
    parts = "\n".join(f'<section id="{section.name}">{section.html}</section>' for section in sections)
    body = f'<body>\n<main class="{ROOT}">\n{head_html(report)}\n{contents}\n{parts}\n</main>\n</body>'
    return utf8(f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n{body}\n</html>\n')


def _sections(report: Report, watch: Watcher) -> Iterator[_Section]:
    """One for every analysis, then skipped inputs, where there are some, and how it was run."""
    total, done = sum(len(result.blocks) for result in report.results), count(1)

    def written(block: Block, name: str) -> str:
        html = block_html(block, name)
        watch(Progress("page", next(done), total))
        return html

    for at, result in enumerate(report.results, 1):
        name = f"analysis-{at}"
        entry = _link(name, result.name, _told(result), _blocks(result, at))
        yield _Section(name, entry, result_html(result, f"{at}-", written))
    if skipped := skipped_html(report):
        yield _Section("skipped", _link("skipped", "Skipped inputs", f"{report.skipped_count:,}"), skipped)
    yield _Section("run", _link("run", "How it was run"), run_html(report))


def _blocks(result: AnalysisResult, at: int) -> str:
    """Links to the blocks of an analysis, to be unfolded: no browser searches the titles in pictures."""
    links = [_link(f"block-{at}-{n}", block.title) for n, block in enumerate(result.blocks, 1)]
    return folded("Tables and pictures", _list(links)) if links else ""


def _findings(results: Sequence[AnalysisResult]) -> str:
    places = [(f, f"finding-{at}-{n}") for at, r in enumerate(results, 1) for n, f in enumerate(r.findings, 1)]
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


def _link(name: str, text: str, more: str = "", below: str = "") -> str:
    """An entry, and HTML below it; a text that a plugin left empty is still one to be followed."""
    shown = escape(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…").strip() or name
    return f'<li><a href="#{name}">{shown}</a>{f": {more}" if more else ""}{below}</li>'


def _list(items: Sequence[str]) -> str:
    return f"<ul>{''.join(items)}</ul>"
