"""A run in a worker, followed to the client: progress while it lasts, then what it gave, piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypeVar

from inspector._proto.inspector.v1 import inspector_service_pb2 as pb
from inspector.contract import Array, ModelView, Picture, Scale
from inspector.control import Stop, Watcher
from inspector.errors import InspectorError
from inspector.faces.grpc.latest import Latest
from inspector.faces.grpc.messages import Outgoing
from inspector.faces.grpc.summaries import send as file_pieces
from inspector.faces.grpc.workers import Worker
from inspector.faces.wire_event import CHUNK, progress_to_event, report_to_events
from inspector.faces.wire_tensor import dtype_name, little_endian, utf8
from inspector.render.pixels import picture_png
from inspector.report import Report

T = TypeVar("T")
Response = type[pb.InspectResponse] | type[pb.AuditResponse] | type[pb.MergeSummariesResponse]


async def finished(worker: Worker, job: Callable[[], T], stop: Stop) -> T:
    """What the job gives. If the caller of this is cancelled, the job is told to stop."""
    future = worker.start(job)
    try:
        return await future
    finally:
        stop.set()
        future.cancel()


async def follow(
    worker: Worker,
    job: Callable[[Watcher], Report],
    stop: Stop,
    out: Outgoing,
    kind: Response,
    *,
    render_png: bool,
    summaries: Path | None = None,
    around: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Sends the events of the run that the job makes, with the file of summaries. Cancelled as in `finished`.

    `around`: what the events are made in.
    """
    latest = Latest()
    future = worker.start(lambda: job(latest.put))
    try:
        async for progress in latest.until(future):
            await out.send(kind(event=progress_to_event(progress)))
        report = await future
        events = report_to_events(report, drawn if render_png else None, file_pieces(summaries) if summaries else ())
        async for event in in_threads(_within(around, events)):
            await out.send(kind(event=event))
    finally:
        stop.set()
        future.cancel()


def _within(around: Callable[[], AbstractContextManager[None]], items: Iterator[T]) -> Iterator[T]:
    with around():
        yield from items


async def in_threads(items: Iterator[T]) -> AsyncIterator[T]:
    """The items, each made in some thread and one after the other, so that making them does not hold up the loop."""
    while (item := await asyncio.to_thread(next, items, None)) is not None:
        yield item


def drawn(picture: Picture, scale: Scale | None) -> bytes:
    """The picture as a PNG file; empty where it cannot be drawn, which is no reason to lose the numbers."""
    try:
        return picture_png(picture, scale)
    except InspectorError:
        return b""


def tap_headers(view: ModelView, values: Mapping[str, Array]) -> list[tuple[pb.TapHeader, Array]]:
    """The values of every tap as bytes (uint8), each with what to say before them."""
    tensors = {tap.name: tap.tensor for layer in view.layers for tap in layer.taps.values()}
    return [(_tap_header(name, tensors.get(name, ""), array), little_endian(array)) for name, array in values.items()]


def _tap_header(name: str, tensor: str, array: Array) -> pb.TapHeader:
    return pb.TapHeader(
        tap=utf8(name), tensor=utf8(tensor), dtype=dtype_name(array), shape=array.shape, size_bytes=array.nbytes
    )


def pieces(data: Array) -> Iterator[bytes]:
    """Bytes (uint8) in chunks of limited size."""
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK].tobytes()
