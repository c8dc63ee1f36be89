"""Reports as messages and as JSON, and back; what is no report is refused."""

from __future__ import annotations

import base64
import dataclasses
import json
import subprocess
import sys
import typing

import numpy as np
import pytest
from google.protobuf import json_format
from hypothesis import given
from wire_strategies import REPORTS, laws, plain

from inspector import contract, report
from inspector._proto.inspector.v1 import block_pb2, metric_pb2, report_pb2
from inspector.contract import (
    Cell,
    Column,
    Edge,
    Finding,
    Heatmap,
    Images,
    Node,
    Picture,
    Scale,
    ScaleKind,
    Series,
    Severity,
    Table,
)
from inspector.errors import InputError
from inspector.faces import wire, wire_block
from inspector.report import AnalysisResult, Provenance, Report, Skipped

REPORT = Report(Provenance("m", "00"), ())


@laws
@given(REPORTS)
def test_a_report_survives_its_message(given_report):
    data = wire.report_to_message(given_report).SerializeToString()
    assert plain(wire.report_from_message(report_pb2.Report.FromString(data))) == plain(given_report)


@laws
@given(REPORTS)
def test_a_report_survives_its_json(given_report):
    assert plain(wire.report_from_json(wire.report_to_json(given_report))) == plain(given_report)


@laws
@given(REPORTS)
def test_json_is_protojson_with_every_field_and_whole_numbers_as_numbers(given_report):
    text = wire.report_to_json(given_report)
    tree = json.loads(text)
    parsed, direct = json_format.Parse(text, report_pb2.Report()), wire.report_to_message(given_report)
    # As plain values: a NaN is unequal to itself, and JSON knows one NaN only.
    assert json_format.MessageToDict(parsed) == json_format.MessageToDict(direct)
    assert set(tree) == {field.name for field in report_pb2.Report.DESCRIPTOR.fields}
    absent = {name for name in ("check", "memory") if getattr(given_report.provenance, name) is None}
    assert set(tree["provenance"]) == {field.name for field in report_pb2.Provenance.DESCRIPTOR.fields} - absent
    assert tree["provenance"]["inputs"] == given_report.provenance.inputs
    assert tree["provenance"]["providers"] == dict(given_report.provenance.providers)
    assert tree["skipped_count"] == given_report.skipped_count
    assert tree["ok"] is given_report.ok


def test_json_reads_well():
    table = Table("t", (Column("a"), Column("b"), Column("c")), ((2**62, float("nan"), None),))
    heatmap = Heatmap("h", np.array([[1.0]], np.float32), Scale(ScaleKind.SIGNED, -1, 1))
    finding = Finding("a/b", Severity.ERROR, "Bad.", "größe", (3,), {"z": 1, "a": 0.5})
    made = Report(Provenance("m", "00"), (AnalysisResult("a", "1", "{}", (table, heatmap), (finding,)),))
    text = wire.report_to_json(made)
    tree = json.loads(text)
    assert tree["results"][0]["blocks"][0]["table"]["rows"] == [{"cells": [{"integer": 2**62}, {"number": "NaN"}, {}]}]
    values = tree["results"][0]["blocks"][1]["heatmap"]["values"]
    assert values == {"dtype": "float32", "shape": [1, 1], "data": base64.b64encode(b"\0\0\x80\x3f").decode()}
    assert tree["results"][0]["findings"][0]["channels"] == [3]
    assert list(tree["results"][0]["findings"][0]["evidence"]) == ["a", "z"]
    assert tree["results"][0]["findings"][0]["severity"] == "SEVERITY_ERROR"
    assert tree["ok"] is False
    assert "größe" in text


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (np.int64(7), 7),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (2**63, float(2**63)),
        (-(10**400), float("-inf")),
        ("caf\udce9", "caf\\udce9"),
    ],
)
def test_cells_that_cannot_travel_as_they_are_come_as_near_as_possible(cell: Cell, expected: Cell):
    back = wire_block.cell_from_message(wire_block.cell_to_message(cell))
    assert (type(back), back) == (type(expected), expected)


def test_file_names_that_are_no_utf8_do_not_lose_the_report():
    odd = "caf\udce9.jpg"
    made = dataclasses.replace(REPORT, skipped=(Skipped(odd, f"{odd}: bad"),), skipped_count=1)
    made = dataclasses.replace(made, provenance=dataclasses.replace(made.provenance, data=odd, notes=(odd,)))
    back = wire.report_from_json(wire.report_to_json(made))
    assert back.skipped == (Skipped("caf\\udce9.jpg", "caf\\udce9.jpg: bad"),)
    assert back.provenance.notes == ("caf\\udce9.jpg",)


def test_pictures_are_drawn_where_asked_for_with_the_scale_of_the_grid():
    grid, own = Scale(ScaleKind.SIGNED, -1, 1), Scale(ScaleKind.SEQUENTIAL, 0, 2)
    pictures = tuple(Picture(np.full((1, n), n, np.float32), scale=own) for n in (1, 2))
    seen = []

    def draw(picture, scale):
        seen.append((picture.values.size, scale))
        return b"drawn" * (picture.values.size - 1)

    message = wire_block.block_to_message(Images("i", pictures, 2, grid), draw)
    assert [p.png for p in message.images.pictures] == [b"", b"drawn"]
    assert [p.HasField("png") for p in message.images.pictures] == [False, True]
    assert seen == [(1, grid), (2, grid)]
    plainly = wire_block.block_to_message(Images("i", pictures, 2, grid))
    assert not any(p.HasField("png") for p in plainly.images.pictures)


SCALE = {"kind": "SCALE_KIND_SIGNED"}
ONE = {"dtype": "float32", "shape": [1], "data": "AAAAAA=="}


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ({}, "of no kind"),
        ({"table": {"columns": [{}], "rows": [{"cells": [{}, {}]}]}}, "number of cells"),
        ({"heatmap": {"values": ONE, "scale": SCALE}}, "wrong shape"),
        ({"heatmap": {"values": ONE | {"shape": [1, 1]}}}, "kind of a scale"),
        ({"images": {"pictures": [{"values": ONE}]}}, "wrong shape"),
        ({"images": {"pictures": [{"values": ONE | {"shape": [1, 1]}, "scale": {"kind": 9}}]}}, "kind of a scale"),
        ({"curve": {"series": [{"x": [1.0], "y": []}]}}, "differ in length"),
    ],
)
def test_a_block_that_breaks_the_format_is_refused(block, problem):
    text = json.dumps({"provenance": {"model": "m"}, "results": [{"blocks": [block]}]})
    with pytest.raises(InputError, match=problem):
        wire.report_from_json(text)


@pytest.mark.parametrize(
    "values",
    [ONE, {"dtype": "float64", "shape": [1, 1], "data": "AAAAAAAAAAA="}, {"dtype": "float64", "shape": [2**40]}],
)
def test_a_metric_that_is_neither_one_number_nor_one_per_channel_is_refused(values):
    metric = {"name": "dead", "values": values}
    text = json.dumps({"provenance": {"model": "m"}, "results": [{"metrics": [metric]}]})
    with pytest.raises(InputError, match="'dead'"):
        wire.report_from_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"results": []}',
        '{"provenance": 3}',
        '{"skipped_count": "x"}',
        "[" * 100_000,
        b"\xff",
    ],
)
def test_what_is_no_report_is_refused(text):
    with pytest.raises(InputError, match="report"):
        wire.report_from_json(text)


def test_a_report_of_a_later_version_can_be_read():
    assert wire.report_from_json('{"provenance": {"model": "m", "mood": 3}, "later": {}}').provenance.model == "m"


@pytest.mark.parametrize(
    ("kind", "message", "only_there"),
    [
        *((kind, getattr(block_pb2, kind.__name__), set()) for kind in typing.get_args(contract.Block)),
        *((kind, getattr(block_pb2, kind.__name__), set()) for kind in (Column, Edge, Finding, Node, Scale, Series)),
        (contract.Picture, block_pb2.Picture, {"png"}),
        *((getattr(report, n), getattr(report_pb2, n), set()) for n in ("Provenance", "AnalysisResult", "Failure")),
        (contract.Metric, metric_pb2.Metric, set()),
        (contract.MetricInfo, metric_pb2.MetricInfo, set()),
        (report.Report, report_pb2.Report, {"ok"}),
        (report.Skipped, report_pb2.SkippedInput, set()),
    ],
)
def test_messages_mirror_the_contract(kind, message, only_there):
    fields = {field.name for field in dataclasses.fields(kind)}
    assert {field.name for field in message.DESCRIPTOR.fields} == fields | only_there


def test_the_wire_does_not_need_grpc():
    code = "import sys, inspector.faces.wire_event, inspector.faces.wire_plugin; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_skip_that_does_not_say_how_many_it_is_is_one():
    message = report_pb2.Report(provenance={}, skipped=[{"id": "a"}], skipped_count=1)
    assert wire.report_from_message(message).skipped == (Skipped("a", ""),)
