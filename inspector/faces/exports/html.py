"""One page for a browser: what a notebook shows of a report, complete in itself."""

from __future__ import annotations

from typing import Final

from inspector.faces.wire_tensor import utf8
from inspector.render.html import escape
from inspector.report import Report

_FITTING: Final = '<meta name="viewport" content="width=device-width">\n<meta name="color-scheme" content="light dark">'
"""As wide as the screen is, and dark where its owner wants that."""


def to_html(report: Report) -> str:
    """The report as an HTML page with its pictures inside; it runs no script and fetches nothing."""
    shown = report._repr_html_()
    title = escape(report.provenance.model)
    head = f'<meta charset="utf-8">\n{_FITTING}\n<title>{title}</title>'
    return utf8(f'<!doctype html>\n<html lang="en">\n{head}\n{shown}\n</html>\n')
