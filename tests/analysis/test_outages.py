"""Stores that are away for a while, and files that change: the report says what is lost, and nothing of it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from inspector import service
from inspector.runtime import urls
from inspector.samples import SAMPLES

DIGITS = SAMPLES[0]
PICTURES = [picture.read_bytes() for picture in sorted(DIGITS.pictures.rglob("*.png"))[:6]]
OPTIONS: dict[str, Any] = {"preprocess": "unit", "device": "cpu", "shard_size": 2}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "FIRST_PAUSE", 0)


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    """Six pictures in a store."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    for number, content in enumerate(PICTURES):
        system.pipe(f"/set/{number}.png", content)
    yield system
    system.store.clear()


def test_that_a_change_could_go_unnoticed_is_said(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(urls, "_TIMES", ())
    report = service.audit(DIGITS.model, "memory://set", **OPTIONS, resume=tmp_path)
    assert "3 shards of files without ETag or time of change: a change that keeps the size is not noticed" in (
        report.provenance.notes
    )
