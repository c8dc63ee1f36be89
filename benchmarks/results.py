"""Sections of `benchmarks/RESULTS.md`: a benchmark replaces its own and leaves the others alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).parent / "RESULTS.md"
_HEAD: Final = "# Results of benchmarks\n"


def write_section(title: str, text: str, file: Path = FILE) -> None:
    """Puts the text under `## title`, in place of what stood there."""
    whole = file.read_text(encoding="utf-8") if file.exists() else _HEAD
    head, *sections = whole.split("\n## ")
    kept = {section.partition("\n")[0]: section for section in sections}
    kept[title] = f"{title}\n\n{text.strip()}\n"
    file.write_text("\n## ".join([head.rstrip() + "\n", *(s.rstrip() + "\n" for s in kept.values())]), encoding="utf-8")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
