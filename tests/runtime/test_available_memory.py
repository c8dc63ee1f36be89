"""How much memory there is: physical, or what control groups leave of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.runtime import memory

PHYSICAL = 1000


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "OWN_CGROUP", tmp_path / "own")
    monkeypatch.setattr(memory.os, "sysconf", {"SC_PAGE_SIZE": 10, "SC_PHYS_PAGES": 100}.__getitem__)
    return tmp_path


def test_without_a_limit_it_is_what_the_machine_has(groups: Path) -> None:
    assert memory.available() == PHYSICAL
    for said in ("max\n", "0\n"):
        (groups / "memory.max").write_text(said)
        assert memory.available() == PHYSICAL
    assert [memory.default_budget(n) for n in (1, 2, 1000)] == [500, 250, 1]


@pytest.mark.parametrize("place", ["memory.max", "memory/memory.limit_in_bytes", "a/memory.max", "a/b/memory.max"])
def test_a_limit_of_the_own_group_or_one_above_counts(groups: Path, place: str) -> None:
    (groups / "own").write_text("1:name=systemd:/\n0::/a/b\n")
    for file, limit in ((place, 600), ("other/memory.max", 5)):
        (groups / file).parent.mkdir(parents=True, exist_ok=True)
        (groups / file).write_text(f"{limit}\n")
    assert memory.available() == 600


def test_a_system_that_does_not_say_gets_a_fixed_sum(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(memory.os, "sysconf", unknown)
    assert memory.available() == memory.FALLBACK
