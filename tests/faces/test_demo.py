"""The main job: a real server, a real client, pictures and reports on disk."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from inspector.faces.demo import _say_where
from inspector.faces.wire import report_from_json
from inspector.samples import SAMPLES


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "inspector", "demo", "--out", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stderr
    return folder, run.stdout


def test_it_audits_and_inspects_every_sample(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    for sample in SAMPLES:
        audit = report_from_json((folder / sample.name / "audit/report.json").read_text())
        assert audit.provenance.inputs == len(list(sample.pictures.rglob("*.png")))
        assert audit.ok
        closer = report_from_json((folder / sample.name / "inspect/report.json").read_text())
        assert [r.name for r in closer.results] == ["filters", "activations", "sparsity", "connectivity"]
        assert not any(r.failure for r in closer.results)
    assert (folder / "report.json").exists()


def test_it_finds_the_dead_filters_of_the_hot_model_and_none_elsewhere(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    dead = {
        sample.name: sum(
            len(f.channels)
            for f in report_from_json((folder / sample.name / "audit/report.json").read_text()).findings
            if f.rule == "sparsity/dead"
        )
        for sample in SAMPLES
    }
    assert dead == {"digits": 0, "digits_hot": 30, "patches": 0}


def test_its_pictures_are_pictures_and_it_says_where_they_are(demo: tuple[Path, str]) -> None:
    folder, output = demo
    pictures = sorted(folder.rglob("*.png"))
    assert len(pictures) > 40
    for path in pictures:
        with Image.open(path) as image:
            assert image.width > 100
            assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 4
    assert "pictures and" in output
    assert "colour-patches.png" in output


def test_it_names_no_path_of_this_machine_in_its_reports(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    assert str(SAMPLES[0].model.parent) not in (folder / "report.json").read_text()


def test_where_to_look_is_said_of_folders_with_brackets_too(tmp_path: Path) -> None:
    out = tmp_path / "[red]demo[/]"
    (out / "digits").mkdir(parents=True)
    (out / "digits" / "filters.png").touch()
    told = io.StringIO()
    _say_where(out, Console(file=told, width=300))
    assert told.getvalue().count(str(out)) == 2
