"""A report as files in a folder: its JSON and its pictures."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inspector.errors import InspectorError
from inspector.faces.wire import report_to_json
from inspector.render.sheet import Drawn, block_pngs, is_drawn
from inspector.report import Report
from inspector.whole import clear_left, whole, write_whole

REPORT: Final = "report.json"
"""The name of the report among its pictures."""
_LONGEST: Final = 60


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


def save_report(report: Report, folder: Path) -> list[Saved]:
    """Writes `report.json`, and then every picture of a report, into a folder; see `save_pictures`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / REPORT, report_to_json(report).encode())
    return save_pictures(report, folder)


def save_pictures(report: Report, folder: Path) -> list[Saved]:
    """Writes every picture of a report as `NN-analysis-title.png` into a folder, which is made where it is missing.

    A picture of several sheets gives `NN-analysis-title-1.png`, `-2.png` and so on. Files of these names are
    replaced, each whole.
    A block that cannot be drawn costs nothing but its own file.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clear_left(folder, lambda name: name.endswith(".png"))
    return [_save(block, folder, stem) for block, stem in _stems(report)]


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
    """Letters a to z, digits and single hyphens only: no separators, no dots, nothing a shell or file system minds."""
    plain = unicodedata.normalize("NFKD", text[:500]).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST].rstrip("-")
