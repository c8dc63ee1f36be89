"""Reports for pipelines: what other programs read, by the name of the format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from inspector.errors import NotFoundError, ParameterError
from inspector.faces.exports.html import to_html
from inspector.faces.exports.junit import to_junit
from inspector.faces.exports.metrics import to_metrics
from inspector.faces.exports.sarif import to_sarif
from inspector.faces.exports.summary import to_summary
from inspector.report import Report

FORMATS: Final[Mapping[str, Callable[[Report], str]]] = {
    "junit": to_junit,
    "sarif": to_sarif,
    "metrics": to_metrics,
    "summary": to_summary,
    "html": to_html,
}
"""From a report to the text of a file."""


def parse_formats(texts: Sequence[str]) -> tuple[tuple[str, Path], ...]:
    """`name=file` each, as format and file.

    Raises:
        NotFoundError: there is no such format.
        ParameterError: it is not of that form.
    """
    parsed = []
    for text in texts:
        name, equals, file = text.partition("=")
        if not (equals and file):
            raise ParameterError(f"format {text!r}", "it says no file", expected="NAME=FILE, such as junit=report.xml")
        if name not in FORMATS:
            raise NotFoundError.among("format", name, FORMATS)
        parsed.append((name, Path(file)))
    return tuple(parsed)


def write_formats(report: Report, formats: Sequence[tuple[str, Path]]) -> None:
    """Writes the files; OSError where one cannot be written."""
    for name, file in formats:
        file.write_text(FORMATS[name](report), encoding="utf-8", newline="\n")
