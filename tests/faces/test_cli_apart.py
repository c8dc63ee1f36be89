"""What a command writes overwrites neither what it reads nor what else it writes: said before anything runs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from inspector import service
from inspector.faces.cli import main
from inspector.faces.wire import report_to_json
from inspector.samples import SAMPLES

DIGITS = SAMPLES[0]
POLICY = '[[rule]]\nid = "fed"\nreport = "inputs"\nmin = 1\n'
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two reports and their summaries."""
    folder = tmp_path_factory.mktemp("made")
    for name, seed in (("a", 1), ("b", 2)):
        report = service.audit(DIGITS.model, f"noise:4,seed={seed}", summaries=folder / f"{name}.sum")
        (folder / f"{name}.json").write_text(report_to_json(report), "utf-8")
    return folder


@pytest.fixture
def place(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, with a model, data, a policy, reports and summaries."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    shutil.copy(DIGITS.model, "m.onnx")
    shutil.copytree(DIGITS.pictures / "3", "pictures/3")
    Path("p.toml").write_text(POLICY)
    Path("link").symlink_to("m.onnx")
    os.link("a.json", "hard.json")
    Path("x.npy").write_bytes(b"")
    Path("kept").mkdir()
    return tmp_path


AUDIT = "audit m.onnx -p unit -d pictures"
WRONG = [
    f"{AUDIT} --json m.onnx",
    f"{AUDIT} --json ./kept/../m.onnx",
    f"{AUDIT} --json link",
    f"{AUDIT} --format sarif=m.onnx",
    f"{AUDIT} --summaries m.onnx",
    f"{AUDIT} --policy p.toml --json p.toml",
    f"{AUDIT} --json pictures/3/000.png",
    f"{AUDIT} --json new --format html=new",
    f"{AUDIT} --format junit=new --format sarif=kept/../new",
    f"{AUDIT} --summaries new --json new",
    f"{AUDIT} --out kept --json kept/report.json",
    f"{AUDIT} --resume kept --json kept/00000003.sum",
    f"{AUDIT} --resume kept --json kept/../kept/00000003.sum",
    f"{AUDIT} --out pictures/new",
    f"{AUDIT} --out {{place}}/pictures",
    f"{AUDIT} --json - --format html=/dev/stdout",
    "inspect m.onnx -i pictures --out pictures/3",
    "audit m.onnx -d x.npy --json x.npy",
    "audit m.onnx -d {x,x}.npy --json x.npy",
    "audit m.onnx -d file://{place}/x.npy --json x.npy",
    "inspect m.onnx --json m.onnx",
    "inspect m.onnx -i x.npy --format html=x.npy",
    "activations m.onnx -i x.npy -o ./m.onnx.npz",
    "merge m.onnx a.sum b.sum --json a.sum",
    "merge m.onnx a.sum b.sum --summaries b.sum",
    "merge m.onnx a.sum b.sum --json m.onnx",
    "merge m.onnx a.sum b.sum --summaries u.sum --json u.sum",
    "check a.json --policy p.toml --json a.json",
    "check a.json --policy p.toml --format junit=hard.json",
    "check a.json --policy p.toml --json p.toml",
    "compare a.json b.json --json a.json",
    "compare a.json b.json --format summary=b.json",
]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("line", WRONG)
def test_a_file_is_one_thing(line: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    if "activations" in line:
        shutil.copy("m.onnx", "m.onnx.npz")
        line = line.replace(" m.onnx ", " m.onnx.npz ")
    before = contents(place)

    def run(*_: object, **__: object) -> Any:
        raise AssertionError("it ran")

    for name in ("report", "merged", "gather", "load", "check", "compare"):
        monkeypatch.setattr(service, name, run)
    capsys.readouterr()
    assert main(line.replace("{place}", str(place)).split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith(("error: file '", "error: folder '", "error: standard output"))
    ways = (
        "two things are to be written to it", "it is read as well", "it is a checkpoint as well", "it lies in the data"
    )  # fmt: skip
    assert any(way in shown.err for way in ways)
    assert contents(place) == before


def test_a_data_file_beside_a_model_is_part_of_it(place: Path, capsys: Capture) -> None:
    onnx.save_model(
        onnx.load("m.onnx"), "big.onnx", save_as_external_data=True, location="big.bin", size_threshold=0
    )  # fmt: skip
    before = Path("big.bin").read_bytes()
    np.save("maps.npy", np.zeros((1, 1, 8, 8), np.float32))
    shutil.copy("big.bin", "copy.npz")
    for line in ("audit big.onnx -d noise:2", "inspect big.onnx", "merge big.onnx a.sum"):
        assert main([*line.split(), "--json", "big.bin"]) == 2
        assert "file 'big.bin': it is read as well" in capsys.readouterr().err
    assert main(["audit", "big.onnx", "-d", "noise:2", "--summaries", "big.bin"]) == 2
    assert Path("big.bin").read_bytes() == before


@pytest.mark.parametrize(
    "line",
    [
        f"{AUDIT} --json pictures/report.json",
        f"{AUDIT} --json /dev/null --format junit=/dev/null",
        f"{AUDIT} --out kept --json kept/other.json --summaries kept/all.sum --resume kept",
        "merge m.onnx a.sum b.sum --summaries u.sum --json u.json",
        "audit m.onnx -d noise:4 --json noise:4",
    ],
)
def test_what_is_apart_may_be_written_again_and_again(line: str, place: Path) -> None:
    assert main(line.split()) == 0
    assert main(line.split()) == 0
