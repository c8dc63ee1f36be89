"""A report at the end of a command: shown, written, and the exit code that it deserves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from inspector.contract import Severity
from inspector.errors import InputError, LimitError
from inspector.faces import terminal
from inspector.faces.exports import parse_formats, write_formats
from inspector.faces.files import save_report
from inspector.faces.wire import report_from_json, report_to_json
from inspector.paths import why_unread
from inspector.report import Report

FINE, FOUND, FAILED = 0, 1, 2
MAX_REPORT_BYTES: Final = 1 << 29
"""Size of a stored report that is read."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a report goes to: JSON (`-`: standard output, in place of text), a folder of pictures, other formats."""

    json_file: str = ""
    out: Path | None = None
    rows: int = 30
    formats: tuple[tuple[str, Path], ...] = ()

    @classmethod
    def of(cls, json_file: str, out: Path | None, rows: int, formats: Sequence[str] = ()) -> Outcome:
        """Checks the formats, so that a mistake in them is said before anything runs."""
        return cls(json_file, out, rows, parse_formats(formats))

    def show(self, report: Report) -> None:
        """Shows and writes a report; ends with 2 where an analysis failed, else with 1 where a finding is an error."""
        if self.json_file and self.json_file != "-":
            Path(self.json_file).write_text(report_to_json(report), encoding="utf-8")
        saved = [] if self.out is None else save_report(report, self.out)
        write_formats(report, self.formats)
        if self.json_file == "-":
            print(report_to_json(report))
        else:
            terminal.print_report(report, Console(), max_rows=self.rows, saved=saved)
        if any(r.failure and r.failure.kind != "INAPPLICABLE" for r in report.results):
            raise typer.Exit(FAILED)
        if any(f.severity is Severity.ERROR for f in report.findings):
            raise typer.Exit(FOUND)


def read_report(file: Path) -> Report:
    """A stored report (`--json`, `report.json`).

    Raises:
        LimitError: the file is larger than `MAX_REPORT_BYTES`.
        InputError: there is no such file, or it is no report.
    """
    if not file.is_file():
        raise InputError(f"report {str(file)!r}", why_unread(file), expected="a file that --json wrote")
    if (size := file.stat().st_size) > MAX_REPORT_BYTES:
        raise LimitError(
            f"report {str(file)!r}", "it is too large", expected=f"{MAX_REPORT_BYTES} bytes", found=str(size)
        )
    return report_from_json(file.read_bytes())
