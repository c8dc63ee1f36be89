"""A report as files: its JSON, its pictures, formats for other programs; and read back."""

from __future__ import annotations

import logging
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Final

from inspector.control import Progress, Watcher, unwatched
from inspector.errors import InputError, InspectorError, LimitError, ParameterError
from inspector.faces.apart import check_apart, check_unread
from inspector.faces.exports import known_format, write_format
from inspector.faces.wire import report_from_json, report_to_json
from inspector.paths import check_file, check_folder, why_unread, writing
from inspector.render.sheet import Drawn, block_pngs, is_drawn
from inspector.report import Report
from inspector.verdicts import be_report
from inspector.whole import clear_left, whole, write_whole

REPORT: Final = "report.json"
"""The name of the report among its pictures."""
MAX_REPORT_BYTES: Final = 1 << 29
"""Size of a stored report that is read."""
_LONGEST: Final = 60
_SHOWN: Final = 200
"""Characters of a name in a message; it may be anything, such as the text of a report."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """A block that is a picture, and where it is now.

    Attributes:
        block: the very object of the report.
        paths: its files, one per sheet; none where it could not be drawn.
        problem: why it could not be drawn, empty where it was.
    """

    block: Drawn
    paths: tuple[Path, ...] = ()
    problem: str = ""


def write_report(
    report: Report,
    *,
    json: str | PathLike[str] = "",
    out: str | PathLike[str] = "",
    formats: Mapping[str, str | PathLike[str]] | None = None,
    model: str | PathLike[str] = "",
) -> tuple[Path, ...]:
    """Writes a report, as the options `--json`, `--out` and `--format` of a command do, and gives the files.

    Args:
        report: what to write.
        json: file for the report itself, which `read_report` reads.
        out: folder for `report.json` and pictures; it is made where it is missing. A picture that cannot be drawn costs
            no more than its own file, and is told as a warning of the logger `inspector.faces.files`.
        formats: files by format: `junit`, `sarif`, `metrics`, `summary`, `html` (docs/pipelines.md).
        model: path of the model, which SARIF names.

    Raises:
        ParameterError: no place is named, one is `-`, or `report` is none.
        NotFoundError: there is no such format; nothing is written.
        OutputError: a file or folder cannot be written, or a file would be two things, or the model.
    """
    named = {known_format(name): Path(place) for name, place in (formats or {}).items()}
    files = [*([Path(json)] if fspath(json) else []), *named.values()]
    if not files and not fspath(out):
        raise ParameterError("write_report", "no place is named", expected="json=, out= or formats=")
    text = report_to_json(be_report(report)).encode()
    folder, source = Path(out) if fspath(out) else None, Path(model) if fspath(model) else None
    _check_places(files, folder, source)
    if folder:
        with writing(f"folder {str(folder)!r}"):
            files += [folder / REPORT, *_drawn(save_report(report, folder))]
    if fspath(json):
        with writing(f"file {fspath(json)!r}"):
            write_whole(Path(json), text)
    for name, place in named.items():
        with writing(f"file {str(place)!r}"):
            write_format(name, report, place, source)
    return tuple(files)


def _check_places(files: Sequence[Path], folder: Path | None, model: Path | None) -> None:
    """Checks that all can be written, each for itself; makes the folder, which may be to hold some of them."""
    if Path("-") in files:
        raise ParameterError("write_report", "it writes to files alone", found="-", remedy="Name a file.")
    writes = [*files, *([folder / REPORT] if folder else [])]
    check_apart(writes)
    check_unread(writes, [model] if model else [])
    if folder:
        check_folder(folder)
        with writing(f"folder {str(folder)!r}"):
            folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        check_file(file)


def _drawn(saved: Sequence[Saved]) -> list[Path]:
    """The files of pictures; what could not be drawn is told."""
    for problem in (one.problem for one in saved if one.problem):
        _log.warning("a picture could not be drawn: %s", problem)
    return [path for one in saved for path in one.paths]


def read_report(file: str | PathLike[str]) -> Report:
    """A stored report: what `write_report` or a command (`--json`, `--out`) wrote as JSON.

    Raises:
        ParameterError: `file` is no path.
        LimitError: the file is larger than 512 MiB.
        InputError: there is no such file, it cannot be read, or it is no report.
    """
    if not isinstance(file, str | PathLike):
        found = repr(file)[:80]
        raise ParameterError("report", "it is named by no path", expected="the path of a stored report", found=found)
    file, subject = Path(file), f"report {str(file)[:_SHOWN]!r}"
    if not os.path.isfile(file):  # noqa: PTH113 - a text that is no name, such as a report itself, names no file
        raise InputError(subject, why_unread(file), expected="a report stored as JSON")
    try:
        if (size := file.stat().st_size) > MAX_REPORT_BYTES:
            raise LimitError(subject, "it is too large", expected=f"{MAX_REPORT_BYTES} bytes", found=str(size))
        return report_from_json(file.read_bytes())
    except OSError as error:
        raise InputError(subject, "it cannot be read", found=error.strerror or str(error)) from error
    except InputError as error:
        raise InputError(subject, str(error).removeprefix("report: ")) from error


def save_report(report: Report, folder: Path, watch: Watcher = unwatched) -> list[Saved]:
    """Writes `report.json`, and then every picture of a report, into a folder; see `save_pictures`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / REPORT, report_to_json(report).encode())
    return save_pictures(report, folder, watch)


def save_pictures(report: Report, folder: Path, watch: Watcher = unwatched) -> list[Saved]:
    """Writes every picture of a report as `NN-analysis-title.png` into a folder, which is made where it is missing.

    A picture of several sheets gives `NN-analysis-title-1.png`, `-2.png` and so on. Files of these names are
    replaced, each whole.
    A block that cannot be drawn costs nothing but its own file.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clear_left(folder, lambda name: name.endswith(".png"))
    saved, pictures = list[Saved](), list(_stems(report))
    for block, stem in pictures:
        saved.append(_save(block, folder, stem))
        watch(Progress("pictures", len(saved), len(pictures)))
    return saved


def _stems(report: Report) -> Iterator[tuple[Drawn, str]]:
    """The pictures of a report and their file names without ending."""
    drawn: list[tuple[str, Drawn]] = [
        (result.name, block) for result in report.results for block in result.blocks if is_drawn(block)
    ]
    digits = max(2, len(str(len(drawn))))
    for at, (analysis, block) in enumerate(drawn, 1):
        yield block, "-".join(filter(None, [f"{at:0{digits}}", _safe(analysis), _safe(str(block.title))]))


def _save(block: Drawn, folder: Path, stem: str) -> Saved:
    try:
        sheets = block_pngs(block)
    except InspectorError as error:
        return Saved(block, problem=str(error))
    names = [f"{stem}.png"] if len(sheets) == 1 else [f"{stem}-{at}.png" for at in range(1, len(sheets) + 1)]
    for name, data in zip(names, sheets, strict=True):
        with whole(folder / name, lasting=False) as file:
            file.write(data)
    return Saved(block, tuple(folder / name for name in names))


def _safe(text: str) -> str:
    """Letters a to z, digits and single hyphens only: no separators, no dots, nothing a shell or file system minds.

    A long text loses its middle: where it begins with the path of a layer, its end says what of it is drawn.
    """
    given = text if len(text) <= 500 else f"{text[:250]} {text[-250:]}"
    plain = unicodedata.normalize("NFKD", given).encode("ascii", "ignore").decode("ascii").lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if len(words) <= _LONGEST:
        return words
    half = (_LONGEST - 1) // 2
    return f"{words[:half].rstrip('-')}-{words[-half:].lstrip('-')}"
