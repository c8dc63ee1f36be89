"""One page for a browser: what a notebook shows of a report, complete in itself."""

from __future__ import annotations

from inspector.faces.wire_tensor import utf8
from inspector.render.html import escape
from inspector.report import Report


def to_html(report: Report) -> str:
    """The report as an HTML page with its pictures inside; it runs no script and fetches nothing."""
    shown = report._repr_html_()
    title = escape(report.provenance.model)
    page = f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n{shown}\n</html>\n'
    return utf8(page)
