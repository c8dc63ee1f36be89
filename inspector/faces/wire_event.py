"""A run's progress and report as a stream of events, and back; no event is much larger than 1 MiB."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError

from inspector._proto.inspector.v1 import block_pb2, run_event_pb2
from inspector.contract import Block, Finding, Metric
from inspector.control import Progress
from inspector.errors import InputError, LimitError
from inspector.faces import wire
from inspector.faces.wire_block import (
    Draw,
    block_from_message,
    block_to_message,
    finding_from_message,
    finding_to_message,
)
from inspector.faces.wire_metric import metric_from_message, metric_to_message
from inspector.faces.wire_tensor import utf8
from inspector.report import AnalysisResult, Report

CHUNK: Final = 1 << 20
"""Bytes in a piece of a large block, or of a tap's values."""
MAX_BLOCK: Final = (1 << 31) - 1
"""Bytes in a block: protobuf's own limit."""


def progress_to_event(progress: Progress) -> run_event_pb2.RunEvent:
    """How far a run is, as an event."""
    message = run_event_pb2.Progress(stage=utf8(progress.stage), done=progress.done, total=progress.total)
    return run_event_pb2.RunEvent(progress=message)


def report_to_events(
    report: Report, draw: Draw | None = None, summaries: Iterable[bytes] = ()
) -> Iterator[run_event_pb2.RunEvent]:
    """The report in pieces, made one by one; with `draw`, pictures come with a PNG of themselves.

    `summaries`: pieces of its file of summaries.

    Raises:
        LimitError: a block is larger than protobuf can write.
    """
    header = run_event_pb2.ReportHeader(
        provenance=wire.provenance_to_message(report.provenance),
        skipped=wire.skipped_to_messages(report.skipped),
        skipped_count=wire.skipped_count(report),
    )
    yield run_event_pb2.RunEvent(header=header)
    for result in report.results:
        yield run_event_pb2.RunEvent(result=_result_header(result))
        for block in result.blocks:
            yield from _block_to_events(block_to_message(block, draw))
        for finding in result.findings:
            yield run_event_pb2.RunEvent(finding=finding_to_message(finding))
        for metric in result.metrics:
            yield run_event_pb2.RunEvent(metric=metric_to_message(metric))
    yield from (run_event_pb2.RunEvent(summaries=piece) for piece in summaries)
    yield run_event_pb2.RunEvent(end=run_event_pb2.ReportEnd(ok=report.ok))


def _result_header(result: AnalysisResult) -> run_event_pb2.ResultHeader:
    return run_event_pb2.ResultHeader(
        name=utf8(result.name),
        version=utf8(result.version),
        params=utf8(result.params),
        failure=wire.failure_to_message(result.failure),
    )


def _block_to_events(block: block_pb2.Block) -> Iterator[run_event_pb2.RunEvent]:
    size = block.ByteSize()
    if size > MAX_BLOCK:
        remedy = "Ask the analysis for a part of it."
        raise LimitError("block", "too large to travel", expected=f"up to {MAX_BLOCK}", found=str(size), remedy=remedy)
    if size <= CHUNK:
        yield run_event_pb2.RunEvent(block=block)
        return
    data = block.SerializeToString()
    for start in range(0, size, CHUNK):
        last = start + CHUNK >= size
        yield run_event_pb2.RunEvent(block_chunk=run_event_pb2.BlockChunk(data=data[start : start + CHUNK], last=last))


def progress_from_event(message: run_event_pb2.Progress) -> Progress:
    """How far a run is."""
    return Progress(message.stage, message.done, message.total if message.HasField("total") else None)


@dataclass(slots=True)
class _Result:
    header: run_event_pb2.ResultHeader
    blocks: list[Block] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)

    def frozen(self) -> AnalysisResult:
        failure = wire.failure_from_message(self.header.failure) if self.header.HasField("failure") else None
        header = self.header
        return AnalysisResult(
            header.name,
            header.version,
            header.params,
            tuple(self.blocks),
            tuple(self.findings),
            failure,
            tuple(self.metrics),
        )


class ReportReader:
    """Puts a report together again from the events of its run; `summaries` takes pieces of its file of summaries."""

    def __init__(self, summaries: Callable[[bytes], object] | None = None) -> None:
        self._summaries = summaries
        self._header: run_event_pb2.ReportHeader | None = None
        self._results: list[_Result] = []
        self._pieces = bytearray()
        self._ended = False

    def add(self, event: run_event_pb2.RunEvent) -> Progress | None:
        """Takes the next event; gives the progress where it is one.

        Raises:
            InputError: the event cannot come at this place.
            LimitError: a block is larger than protobuf can read.
        """
        match event.WhichOneof("kind"):
            case "progress":
                return progress_from_event(event.progress)
            case "header":
                self._header = event.header
            case "result":
                self._results.append(_Result(event.result))
            case "summaries":
                if self._summaries:
                    self._summaries(event.summaries)
            case "end":
                self._ended = True
            case _:
                self._add_to_result(event)
        return None

    def _add_to_result(self, event: run_event_pb2.RunEvent) -> None:
        match event.WhichOneof("kind"):
            case "block":
                self._current().blocks.append(block_from_message(event.block))
            case "block_chunk":
                self._add_piece(event.block_chunk)
            case "finding":
                self._current().findings.append(finding_from_message(event.finding))
            case "metric":
                self._current().metrics.append(metric_from_message(event.metric))
            case _:
                pass  # an event of a newer server

    def report(self) -> Report:
        """The whole report; InputError where the stream was cut short."""
        if not self._header or not self._ended or self._pieces:
            raise InputError(
                "report", "it was cut short", remedy="Ask again; see the server's log if it happens again."
            )
        return Report(
            provenance=wire.provenance_from_message(self._header.provenance),
            results=tuple(result.frozen() for result in self._results),
            skipped=wire.skipped_from_messages(self._header.skipped),
            skipped_count=self._header.skipped_count,
        )

    def _current(self) -> _Result:
        if not self._results:
            raise InputError("report", "a block, finding or metric came before the analysis it belongs to")
        return self._results[-1]

    def _add_piece(self, chunk: run_event_pb2.BlockChunk) -> None:
        self._pieces += chunk.data
        if len(self._pieces) > MAX_BLOCK:
            raise LimitError("block", "too large to read", expected=f"up to {MAX_BLOCK} bytes")
        if chunk.last:
            try:
                block = block_pb2.Block.FromString(bytes(self._pieces))
            except DecodeError as error:
                raise InputError("block", "its pieces make no block", found=str(error)) from error
            self._pieces.clear()
            self._current().blocks.append(block_from_message(block))
