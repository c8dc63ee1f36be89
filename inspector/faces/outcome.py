"""A report at the end of a command: shown, written, and the exit code that it deserves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

from rich.console import Console

from inspector.control import Watcher
from inspector.errors import OutputError
from inspector.faces import terminal
from inspector.faces.apart import check_apart, check_no_checkpoint, check_outside, check_unread, places_of
from inspector.faces.exports import to_format, write_format
from inspector.faces.files import REPORT, Saved, save_report
from inspector.faces.streams import settle, write_out
from inspector.faces.wire import report_to_json
from inspector.paths import check_file, check_folder, writing
from inspector.report import Report
from inspector.whole import is_standard_output, write_whole

if TYPE_CHECKING:
    from inspector.graph.view import OnnxView

T = TypeVar("T")

FINE, FOUND, FAILED, INTERRUPTED = 0, 1, 2, 130
STDOUT: Final = "-"


class Ended(Exception):  # noqa: N818 - a verdict, not a fault
    """A command has done what it could; `code` says what came of it."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a report goes to: JSON, a folder of pictures, other formats (`-`: standard output, in place of text).

    `model` is its file, where it is known.
    """

    json_file: str = ""
    out: Path | None = None
    rows: int = 30
    formats: tuple[tuple[str, str], ...] = ()
    model: Path | None = None

    def check(self, reads: Sequence[str | Path], data: Sequence[str] = (), kept: str = "", resume: str = "") -> Self:
        """Checks whether all places can be written, so that mistakes are said before anything runs; gives itself back.

        `reads` and `data` are what the command reads, `kept` and `resume` the file of summaries and the folder of
        checkpoints that it writes beside its report.

        Raises:
            InspectorError: something cannot be written, or would overwrite something else of this command.
        """
        places = [place for place in (self.json_file, *(file for _, file in self.formats)) if place]
        if sum(place == STDOUT or is_standard_output(Path(place)) for place in places) > 1:
            remedy = "Name a file for all but one of them."
            raise OutputError("standard output", "two things are to be written to it", remedy=remedy)
        files, folder = self._files(), [self.out / REPORT] if self.out else []
        for file in files:
            check_file(file)
        if self.out is not None:
            check_folder(self.out)
            check_outside(self.out, data)
        if kept:
            check_file(Path(kept), beside=True)
        if resume:
            check_folder(Path(resume))
        writes = [*files, *folder, *([Path(kept)] if kept else [])]
        check_apart(writes)
        check_no_checkpoint(writes, resume)
        check_unread(writes, [*map(Path, reads), *places_of(data, writes)])
        return self

    def check_model(self, view: OnnxView, kept: str = "") -> None:
        """The same of the data files beside a model, which are known once it is loaded."""
        check_unread([*self._files(), *([Path(kept)] if kept else [])], [file.path for file in view.data_files])

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
            Ended: all is written, and the report is not fine.
        """
        problems, saved = [problem] if problem else [], list[Saved]()
        for subject, write in self._writes(report, saved):
            try:
                with writing(subject):
                    write()
            except OutputError as error:
                problems.append(error)
        if problems:
            raise problems[0]
        if report.failed:
            raise Ended(FAILED)
        if not report.ok:
            raise Ended(FOUND)

    def _print(self, report: Report, saved: list[Saved]) -> None:
        format_out = next((name for name, file in self.formats if file == STDOUT), "")
        if self.json_file == STDOUT:
            write_out(report_to_json(report) + "\n")
        elif format_out:
            write_out(_watched(lambda watch: to_format(format_out, report, self.model, watch)))
        else:
            terminal.print_report(report, Console(), max_rows=self.rows, saved=saved)
        settle()

    def _files(self) -> list[Path]:
        places = (self.json_file, *(file for _, file in self.formats))
        return [Path(place) for place in places if place not in ("", STDOUT)]

    def _writes(self, report: Report, saved: list[Saved]) -> Iterator[tuple[str, Callable[[], object]]]:
        """All that is to be written and shown, in order, each with what to call it; pictures are added to `saved`."""
        if self.json_file not in ("", STDOUT):
            file = Path(self.json_file)
            yield f"file {self.json_file!r}", lambda: write_whole(file, report_to_json(report).encode())
        if self.out is not None:
            out = self.out
            yield f"folder {str(out)!r}", lambda: saved.extend(_watched(lambda watch: save_report(report, out, watch)))
        for name, place in self.formats:
            if place != STDOUT:
                write = partial(write_format, name, report, Path(place), self.model)
                yield f"file {place!r}", partial(_watched, write)
        yield "standard output", lambda: self._print(report, saved)


def _watched(write: Callable[[Watcher], T]) -> T:
    """Lets it draw behind a bar, which is gone before anything is printed."""
    with terminal.progress(Console(stderr=True)) as watch:
        return write(watch)
