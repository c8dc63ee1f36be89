"""A report at the end of a command: shown, written, and the exit code that it deserves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from inspector.contract import Severity
from inspector.errors import InputError, LimitError, OutputError
from inspector.faces import terminal
from inspector.faces.exports import parse_formats, write_formats
from inspector.faces.files import Saved, save_report
from inspector.faces.wire import report_from_json, report_to_json
from inspector.paths import check_file, check_folder, why_unread, writing
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
        """Checks the formats, and whether all places can be written, so that mistakes are said before anything runs.

        Raises:
            InspectorError: there is no such format, or something cannot be written.
        """
        outcome = cls(json_file, out, rows, parse_formats(formats))
        for file in outcome._files():
            check_file(file)
        if out is not None:
            check_folder(out)
        return outcome

    def show_made(self, make: Callable[[], Report]) -> None:
        """Shows what `make` gives, also where that could not write a file of its own, which is told afterwards."""
        try:
            report = make()
        except OutputError as error:
            if error.report is None:
                raise
            self.show(error.report, error)
        else:
            self.show(report)

    def show(self, report: Report, problem: OutputError | None = None) -> None:
        """Writes and shows a report; ends with 2 where an analysis failed, else with 1 where a finding is an error.

        What cannot be written keeps nothing else from being written and shown.

        Raises:
            OutputError: something cannot be written, or `problem`.
        """
        problems, saved = [problem] if problem else [], list[Saved]()
        for file, write in self._writes(report, saved):
            try:
                with writing(file):
                    write()
            except OutputError as error:
                problems.append(error)
        if self.json_file == "-":
            print(report_to_json(report))
        else:
            terminal.print_report(report, Console(), max_rows=self.rows, saved=saved)
        if problems:
            raise problems[0]
        if any(r.failure and r.failure.kind != "INAPPLICABLE" for r in report.results):
            raise typer.Exit(FAILED)
        if any(f.severity is Severity.ERROR for f in report.findings):
            raise typer.Exit(FOUND)

    def _files(self) -> list[Path]:
        named = [file for _, file in self.formats]
        return [Path(self.json_file), *named] if self.json_file not in ("", "-") else named

    def _writes(self, report: Report, saved: list[Saved]) -> Iterator[tuple[str, Callable[[], object]]]:
        """Everything that is to be written, each with what to call it; pictures are added to `saved`."""
        if self.json_file not in ("", "-"):
            file = Path(self.json_file)
            yield f"file {self.json_file!r}", lambda: file.write_text(report_to_json(report), encoding="utf-8")
        if self.out is not None:
            out = self.out
            yield f"folder {str(out)!r}", lambda: saved.extend(save_report(report, out))
        for one in self.formats:
            yield f"file {str(one[1])!r}", partial(write_formats, report, [one])


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
