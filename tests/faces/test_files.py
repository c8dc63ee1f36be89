"""A report as files, and read back."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import inspector
from inspector import Progress
from inspector.contract import Curve, Graph, Heatmap, Images, Node, Note, Picture, Scale, ScaleKind, Series, Table
from inspector.faces import files
from inspector.faces.exports import FORMATS, to_format
from inspector.faces.files import _safe, save_pictures, save_report
from inspector.faces.wire import report_from_json, report_to_json
from inspector.render.sheet import block_pngs
from inspector.report import AnalysisResult, Provenance, Report

UNIT = Scale(ScaleKind.SEQUENTIAL, 0.0, 1.0)
MAPS = Images("Maps of conv1/3x3 (act)", (Picture(np.eye(3)),), 1, UNIT)
LINKS = Heatmap("../../etc/passwd", np.eye(3), UNIT)
LOSS = Curve("", "x", "y", (Series("a", (0.0, 1.0), (0.0, 1.0)),))
NET = Graph("Net", (Node("a"),), ())


def report_of(*results):
    return Report(Provenance("m", "ab"), tuple(AnalysisResult(name, "1", "{}", blocks) for name, blocks in results))


def test_every_picture_becomes_a_file_with_a_readable_name(tmp_path):
    report = report_of(("filters", (Note("n"), MAPS, LINKS)), ("curves", (Table("t", (), ()), LOSS, NET)))
    saved = save_pictures(report, tmp_path / "new" / "folder")
    names = [path.name for item in saved for path in item.paths]
    assert names == [
        "01-filters-maps-of-conv1-3x3-act.png",
        "02-filters-etc-passwd.png",
        "03-curves.png",
        "04-curves-net.png",
    ]
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == names
    assert [item.block for item in saved] == [MAPS, LINKS, LOSS, NET]
    assert saved[0].paths[0].read_bytes() == block_pngs(MAPS)[0]


def test_where_pictures_have_no_room_the_report_is_there(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "whole", full)
    report = report_of(("a", (MAPS,)))
    with pytest.raises(OSError, match="No space left"):
        save_report(report, tmp_path / "out")
    assert report_from_json((tmp_path / "out" / "report.json").read_bytes()).results[0].name == "a"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.json"]


def test_a_picture_of_several_sheets_has_numbered_files(tmp_path):
    many = Images("Maps", tuple(Picture(np.zeros((13, 13))) for _ in range(600)), 8, UNIT)
    (saved,) = save_pictures(report_of(("a", (many,))), tmp_path)
    assert len(saved.paths) > 1
    assert [path.name for path in saved.paths] == [f"01-a-maps-{i + 1}.png" for i in range(len(saved.paths))]
    assert [path.read_bytes() for path in saved.paths] == list(block_pngs(many))


def test_a_picture_that_cannot_be_drawn_costs_no_other(tmp_path):
    bad = Heatmap("bad", np.zeros(3), UNIT)
    first, second = save_pictures(report_of(("a", (bad, MAPS))), tmp_path)
    assert first.paths == ()
    assert "heat map 'bad'" in first.problem
    assert second.paths[0].exists()
    assert not second.problem


def test_pictures_of_the_same_name_do_not_replace_each_other(tmp_path):
    saved = save_pictures(report_of(("a", (MAPS, MAPS, MAPS))), tmp_path)
    assert len({path for item in saved for path in item.paths}) == 3


def test_the_names_of_a_hundred_pictures_sort_as_the_pictures_do(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "block_pngs", lambda _: (b"",))
    saved = save_pictures(report_of(("a", (LOSS,) * 100)), tmp_path)
    names = [item.paths[0].name for item in saved]
    assert names == sorted(names)
    assert names[0] == "001-a.png"


def test_what_was_left_half_written_of_pictures_goes_with_the_next_ones(tmp_path):
    for name in (".01-a-net.png.0123abcd.tmp", ".a.json.0123abcd.tmp"):
        (tmp_path / name).write_bytes(b"half")
    save_pictures(report_of(("a", (NET,))), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.json.0123abcd.tmp", "01-a-net.png"]


def test_a_report_without_pictures_makes_an_empty_folder(tmp_path):
    assert save_pictures(report_of(("a", (Note("n"),))), tmp_path / "out") == []
    assert list((tmp_path / "out").iterdir()) == []


@given(st.text(max_size=300))
@example("a" * 59 + " title that is cut at its hyphen")
def test_no_title_makes_an_unsafe_file_name(title):
    assert re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?", _safe(title))
    assert len(_safe(title)) <= 60


@pytest.mark.parametrize("path", ["net/" * 20, "net/" * 900])
def test_a_file_of_a_layer_with_a_long_name_says_what_is_drawn_of_it(path):
    names = [_safe(f"{path}Conv:act for 00.npy[{i}]") for i in range(2)]
    assert [name[:8] for name in names] == ["net-net-"] * 2
    assert [name[-21:] for name in names] == ["conv-act-for-00-npy-0", "conv-act-for-00-npy-1"]


def test_a_report_is_written_as_the_options_of_a_command_do_and_read_back(tmp_path):
    report = report_of(("filters", (MAPS, Table("t", (), ()))))
    files = {name: tmp_path / f"a.{name}" for name in FORMATS}
    written = inspector.write_report(report, json=tmp_path / "a.json", out=str(tmp_path / "out"), formats=files)
    there = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert sorted(written) == sorted(there)
    assert {path.name for path in there} >= {"a.json", "report.json", "01-filters-maps-of-conv1-3x3-act.png", "a.sarif"}
    assert files["junit"].read_text() == FORMATS["junit"](report)
    for place in (str(tmp_path / "a.json"), tmp_path / "out" / "report.json"):
        assert report_to_json(inspector.read_report(place)) == report_to_json(report)


def test_sarif_names_the_model_by_the_path_that_was_given(tmp_path):
    report = report_of(("filters", ()))
    inspector.write_report(report, formats={"sarif": tmp_path / "a"}, model="models/m.onnx")
    assert (tmp_path / "a").read_text() == to_format("sarif", report, Path("models/m.onnx"))


@pytest.mark.parametrize(
    ("places", "kind", "said"),
    [
        ({}, inspector.ParameterError, "no place is named"),
        ({"json": "a.json", "formats": {"junt": "b"}}, inspector.NotFoundError, "Did you mean 'junit'"),
        ({"json": "a.json", "formats": {"junit": "none/b"}}, inspector.OutputError, "its folder does not exist"),
        ({"out": "taken"}, inspector.OutputError, "a file is in its place"),
        ({"json": "-"}, inspector.ParameterError, "it writes to files alone"),
        ({"json": "a", "formats": {"junit": "./a"}}, inspector.OutputError, "two things are to be written to it"),
        ({"out": "o", "formats": {"html": "o/report.json"}}, inspector.OutputError, "two things are to be written"),
        ({"formats": {"sarif": "taken"}, "model": "taken"}, inspector.OutputError, "it is read as well"),
    ],
)
def test_where_a_report_cannot_be_written_is_said_before_anything_is(tmp_path, monkeypatch, places, kind, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("")
    with pytest.raises(kind, match=said):
        inspector.write_report(report_of(), **places)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_file_may_lie_in_the_folder_that_is_made(tmp_path):
    out = tmp_path / "new" / "out"
    assert set(inspector.write_report(report_of(), json=out / "r", out=out)) == {out / "r", out / "report.json"}
    assert (out / "r").read_bytes() == (out / "report.json").read_bytes()


def test_a_picture_that_could_not_be_written_is_told(tmp_path, caplog):
    inspector.write_report(report_of(("a", (Heatmap("bad", np.zeros(3), UNIT), MAPS))), out=tmp_path)
    assert [record.message[:46] for record in caplog.records] == ["a picture could not be drawn: heat map 'bad': "]


@pytest.mark.parametrize("given", [b"a.json", None, report_of()], ids=["bytes", "none", "report"])
def test_what_is_no_path_is_not_read(given):
    with pytest.raises(inspector.ParameterError, match="report: it is named by no path; expected the path"):
        inspector.read_report(given)


def test_the_text_of_a_report_is_no_file():
    text = report_to_json(report_of(("a", (MAPS,))))
    with pytest.raises(inspector.InputError, match=r"report '{.*: there is no such file") as raised:
        inspector.read_report(text)
    assert len(str(raised.value)) < 400 < len(text)


@pytest.mark.parametrize("text", ["null", "3"])
def test_a_file_of_another_thing_is_no_report(tmp_path, text):
    (tmp_path / "a").write_text(text)
    with pytest.raises(inspector.InputError, match="expected a report as JSON, found no object"):
        inspector.read_report(tmp_path / "a")


def test_what_is_no_report_is_not_written(tmp_path):
    with pytest.raises(inspector.ParameterError, match="report: it is none"):
        inspector.write_report("a.json", json=tmp_path / "b")


def test_whoever_waits_for_pictures_sees_how_many_are_drawn(tmp_path):
    steps = []
    save_report(report_of(("a", (MAPS, Note("n"))), ("b", (MAPS,))), tmp_path, steps.append)
    assert steps == [Progress("pictures", 1, 2), Progress("pictures", 2, 2)]


def test_whoever_waits_for_a_page_sees_how_many_of_its_blocks_are_written():
    report, steps = report_of(("a", (MAPS, Note("n"))), ("b", (MAPS,))), []
    assert to_format("html", report, watch=steps.append) == to_format("html", report)
    assert steps == [Progress("page", 1, 3), Progress("page", 2, 3), Progress("page", 3, 3)]
