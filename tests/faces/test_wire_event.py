"""A run as a stream of events, and back."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from wire_strategies import REPORTS, laws, plain

from inspector._proto.inspector.v1 import block_pb2, run_event_pb2
from inspector.contract import Heatmap, Note, Scale, ScaleKind
from inspector.control import Progress
from inspector.errors import InputError
from inspector.faces import wire_event
from inspector.report import AnalysisResult, Provenance, Report

REPORT = Report(Provenance("m", "00"), ())


@laws
@given(REPORTS)
def test_a_report_survives_its_events(given_report):
    reader = wire_event.ReportReader()
    for event in wire_event.report_to_events(given_report):
        assert reader.add(run_event_pb2.RunEvent.FromString(event.SerializeToString())) is None
    assert plain(reader.report()) == plain(given_report)


def test_a_large_block_travels_in_pieces_of_limited_size():
    large = Heatmap("h", np.arange(700_000, dtype=np.float32).reshape(7, -1), Scale(ScaleKind.SEQUENTIAL, 0.0, 1.0))
    made = dataclasses.replace(REPORT, results=(AnalysisResult("a", "1", "{}", (large, Note("n"), large)),))
    events = list(wire_event.report_to_events(made))
    kinds = [event.WhichOneof("kind") for event in events]
    assert kinds == ["header", "result", *["block_chunk"] * 3, "block", *["block_chunk"] * 3, "end"]
    assert max(event.ByteSize() for event in events) < wire_event.CHUNK + 64
    reader = wire_event.ReportReader()
    for event in events:
        reader.add(event)
    assert plain(reader.report()) == plain(made)
    for count in range(len(events)):
        cut = wire_event.ReportReader()
        for event in events[:count]:
            cut.add(event)
        with pytest.raises(InputError, match="cut short"):
            cut.report()


@pytest.mark.parametrize("progress", [Progress("run", 3, None), Progress("load", 0, 0), Progress("run", 3, 2**40)])
def test_progress_survives(progress):
    assert wire_event.ReportReader().add(wire_event.progress_to_event(progress)) == progress


@pytest.mark.parametrize(
    "event",
    [
        run_event_pb2.RunEvent(block=block_pb2.Block(note=block_pb2.Note())),
        run_event_pb2.RunEvent(finding=block_pb2.Finding(severity="SEVERITY_INFO")),
        run_event_pb2.RunEvent(block_chunk=run_event_pb2.BlockChunk(data=b"\xff\xff", last=True)),
    ],
)
def test_events_that_belong_to_nothing_are_refused(event):
    with pytest.raises(InputError):
        wire_event.ReportReader().add(event)
