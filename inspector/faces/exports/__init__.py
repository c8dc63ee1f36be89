"""Reports for pipelines: what other programs read, by the name of the format."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from inspector.control import Watcher, unwatched
from inspector.errors import NotFoundError, ParameterError
from inspector.faces.exports.html import to_html
from inspector.faces.exports.junit import to_junit
from inspector.faces.exports.metrics import to_metrics
from inspector.faces.exports.sarif import to_sarif
from inspector.faces.exports.summary import to_summary
from inspector.report import Report
from inspector.whole import write_whole

FORMATS: Final[Mapping[str, Callable[[Report], str]]] = {
    "junit": to_junit,
    "sarif": to_sarif,
    "metrics": to_metrics,
    "summary": to_summary,
    "html": to_html,
}
"""From a report to the text of a file."""
STEP_SUMMARY: Final = "GITHUB_STEP_SUMMARY"
"""The variable that names the summary of a step."""


def parse_formats(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
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
        parsed.append((known_format(name), file))
    return tuple(parsed)


def known_format(name: str) -> str:
    """The name of a format, as it was given; NotFoundError where there is none of that name."""
    if name not in FORMATS:
        raise NotFoundError.among("format", name, FORMATS)
    return name


def to_format(name: str, report: Report, model: Path | None = None, watch: Watcher = unwatched) -> str:
    """The report in a format; `model` is its file, for the format that names one, `watch` for the one that draws."""
    if name == "html":
        return to_html(report, watch)
    return to_sarif(report, model) if name == "sarif" else FORMATS[name](report)


def write_format(name: str, report: Report, file: Path, model: Path | None = None, watch: Watcher = unwatched) -> None:
    """Writes a file, whole. The summary of a step of GitHub Actions is added to, as others write there too.

    Raises:
        OSError: it cannot be written.
    """
    data = to_format(name, report, model, watch).encode()
    if name == "summary" and _is_step_summary(file):
        with file.open("ab") as summary:  # after an empty line, which ends a paragraph or a table
            summary.write(b"\n" * bool(summary.tell()) + data)
    else:
        write_whole(file, data)


def _is_step_summary(file: Path) -> bool:
    named = os.environ.get(STEP_SUMMARY, "")
    return bool(named) and os.path.realpath(named) == os.path.realpath(file)
