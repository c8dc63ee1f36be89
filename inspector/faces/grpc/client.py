"""A client with the verbs of the Python API; what fails on the server raises here what it would raise there."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import grpc

from inspector._proto.inspector.v1 import inspector_service_pb2 as pb
from inspector._proto.inspector.v1 import inspector_service_pb2_grpc as pb_grpc
from inspector.analysis.registry import Analyses, PluginInfo, requested
from inspector.contract import Array, Layer, TensorInfo
from inspector.control import Stop, Watcher
from inspector.errors import LimitError, ModelError, NotFoundError
from inspector.faces.grpc.calls import Calls
from inspector.faces.grpc.client_inputs import raw_inputs
from inspector.faces.grpc.summaries import send as file_pieces
from inspector.faces.wire_event import CHUNK, ReportReader
from inspector.faces.wire_model import ModelInfo, layer_from_message, model_from_message
from inspector.faces.wire_names import layer_name, model_name
from inspector.faces.wire_plugin import plugin_from_message
from inspector.faces.wire_request import fidelity_to_message, input_to_message
from inspector.faces.wire_tensor import array_from_bytes
from inspector.paths import check_file, why_unread, writing
from inspector.report import Report
from inspector.runtime.data import Data, Raw
from inspector.runtime.noise import PREFIX as NOISE
from inspector.several import several
from inspector.whole import whole

SERVER_DATA: Final = "server:"
"""Before a path of data that the server holds."""
MAX_REQUEST: Final = 64 << 20
"""Bytes in one message: what a server takes by default."""


class Client:
    """Talks to a server at an address such as `localhost:50051`. Use it in a `with` block.

    Every method raises InspectorError: of the class the server raised, `UnreachableError` where there is no server,
    StoppedError after `timeout` seconds (None: never; runs may take long).
    """

    def __init__(self, target: str, *, timeout: float | None = None) -> None:
        self._calls = Calls(target, timeout)
        self._channel = grpc.insecure_channel(target, options=[("grpc.max_receive_message_length", MAX_REQUEST)])
        self._stub = pb_grpc.InspectorServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def models(self) -> tuple[ModelInfo, ...]:
        """The server's models, by name; `failure` says of a broken one what is wrong."""
        pages = self._calls.pages(self._stub.ListModels, pb.ListModelsRequest())
        return tuple(model_from_message(message) for page in pages for message in page.models)

    def model(self, model: str) -> ModelInfo:
        """One model."""
        answer = self._calls.ask(self._stub.GetModel, pb.GetModelRequest(name=model_name(model)))
        return model_from_message(answer.model)

    def layers(self, model: str) -> tuple[Layer, ...]:
        """The convolutions of a model, in execution order."""
        pages = self._calls.pages(self._stub.ListLayers, pb.ListLayersRequest(parent=model_name(model)))
        return tuple(layer_from_message(message) for page in pages for message in page.layers)

    def layer(self, model: str, layer: str) -> Layer:
        """One convolution, by its own name."""
        answer = self._calls.ask(self._stub.GetLayer, pb.GetLayerRequest(name=layer_name(model, layer)))
        return layer_from_message(answer.layer)

    def plugins(self) -> tuple[PluginInfo, ...]:
        """The analyses that the server has, the broken ones too."""
        pages = self._calls.pages(self._stub.ListPlugins, pb.ListPluginsRequest())
        return tuple(plugin_from_message(message) for page in pages for message in page.plugins)

    def upload(self, path: str | Path, name: str = "", *, overwrite: bool = False) -> ModelInfo:
        """Adds a model file to the server's; by default under the file's name without its ending."""
        path = Path(path)
        if not path.is_file():
            raise NotFoundError(f"file {str(path)!r}", why_unread(path))
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
        header = pb.UploadModelHeader(model_id=name or path.stem, size_bytes=size, sha256=digest, overwrite=overwrite)
        return model_from_message(self._calls.send(self._stub.UploadModel, _upload(header, path)).model)

    def inspect(
        self,
        model: str,
        inputs: Data | None = None,
        analyses: Analyses = (),
        *,
        preprocess: str = "",
        fidelity: str = "",
        memory: int = 0,
        self_check: bool = True,
        watch: Watcher | None = None,
        stop: Stop | None = None,
    ) -> Report:
        """A few inputs, looked at closely; arguments as for `inspector.inspect`, the model by its name.

        `memory`: bytes that the run may take; 0, and anything above it: what the server allows.
        """
        request = pb.InspectRequest(
            model=model_name(model),
            analyses=_texts(analyses),
            preprocess=preprocess,
            fidelity=fidelity_to_message(fidelity),
            memory_bytes=memory,
            skip_self_check=not self_check,
        )
        self._add_inputs(request, inputs, model)
        return self._report(self._stub.Inspect, request, watch, stop)

    def audit(
        self,
        model: str,
        data: Data,
        analyses: Analyses = (),
        *,
        preprocess: str = "",
        fidelity: str = "",
        batch_size: int = 0,
        strict: bool = False,
        memory: int = 0,
        self_check: bool = True,
        shard_size: int = 0,
        part: str = "",
        summaries: str | Path = "",
        watch: Watcher | None = None,
        stop: Stop | None = None,
    ) -> Report:
        """A data set, added up in one pass; arguments as for `inspector.audit`, the model by its name.

        `data` may also be `server:PATH`, for data that the server holds; `noise:N` it makes itself. All other data is
        streamed to it. `summaries`: file to write the summaries to.
        """
        source = _source(data)
        config = pb.AuditConfig(
            model=model_name(model),
            analyses=_texts(analyses),
            source=source,
            preprocess=preprocess,
            fidelity=fidelity_to_message(fidelity),
            batch_size=batch_size,
            strict=strict,
            memory_bytes=memory,
            skip_self_check=not self_check,
            shard_size=shard_size,
            part=part,
            summaries=bool(summaries),
        )
        inputs: Iterator[Raw] = iter(()) if source else raw_inputs(data, self._inputs_of(model))
        return self._report(self._stub.Audit, _audit(config, inputs), watch, stop, summaries)

    def merge(
        self,
        model: str,
        files: str | Path | Sequence[str | Path],
        *,
        summaries: str | Path = "",
        stop: Stop | None = None,
    ) -> Report:
        """The report of several audits together; arguments as for `inspector.merge`, the model by its name."""
        config = pb.MergeSummariesConfig(model=model_name(model), summaries=bool(summaries))
        paths = several(files, "files", str, Path, expected="a path")
        return self._report(self._stub.MergeSummaries, _merge(config, paths), None, stop, summaries)

    def activations(
        self,
        model: str,
        inputs: Data,
        taps: str | Sequence[str] = ("*",),
        *,
        preprocess: str = "",
        fidelity: str = "",
        memory: int = 0,
        stop: Stop | None = None,
    ) -> dict[str, Array]:
        """Raw maps by tap name, batch axis first; arguments as for `inspector.activations`, the model by its name."""
        request = pb.ActivationsRequest(
            model=model_name(model),
            taps=several(taps, "taps", str, expected="a pattern, as text"),
            preprocess=preprocess,
            fidelity=fidelity_to_message(fidelity),
            memory_bytes=memory,
        )
        self._add_inputs(request, inputs, model)
        with contextlib.closing(self._calls.follow(self._stub.Activations, request, stop)) as messages:
            return _arrays(messages)

    def _report(
        self,
        method: Any,
        request: Any,
        watch: Watcher | None,
        stop: Stop | None,
        summaries: str | Path = "",
    ) -> Report:
        with contextlib.ExitStack() as stack:
            if summaries:
                check_file(Path(summaries))
                stack.enter_context(writing(f"file {str(summaries)!r}"))
            file = stack.enter_context(whole(Path(summaries))) if summaries else None
            reader = ReportReader(file.write if file else None)
            for message in stack.enter_context(contextlib.closing(self._calls.follow(method, request, stop))):
                progress = reader.add(message.event)
                if progress and watch:
                    watch(progress)
            return reader.report()

    def _add_inputs(self, request: pb.InspectRequest | pb.ActivationsRequest, data: Data | None, model: str) -> None:
        """Puts all inputs into the one message; LimitError where that would be too large to be read."""
        for raw in () if data is None else raw_inputs(data, self._inputs_of(model)):
            request.inputs.append(input_to_message(raw))
            if request.ByteSize() > MAX_REQUEST:
                raise LimitError(
                    "inputs",
                    "they are too large for one request",
                    expected=f"at most {MAX_REQUEST} bytes",
                    remedy="Give fewer, or use audit, which sends them one by one.",
                )

    def _inputs_of(self, model: str) -> Callable[[], Sequence[TensorInfo]]:
        @cache
        def ask() -> Sequence[TensorInfo]:
            info = self.model(model)
            if info.failure:
                raise ModelError(f"model {model!r}", "the server cannot use it", found=info.failure)
            return info.inputs

        return ask


def _upload(header: pb.UploadModelHeader, path: Path) -> Iterator[pb.UploadModelRequest]:
    yield pb.UploadModelRequest(header=header)
    offset = 0
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            yield pb.UploadModelRequest(chunk=pb.UploadModelChunk(offset=offset, data=data))
            offset += len(data)


def _source(data: Data) -> str:
    """What the server reads itself; empty for what is sent to it."""
    text = data if isinstance(data, str) else ""
    if text.startswith(SERVER_DATA):
        return text.removeprefix(SERVER_DATA) or "."
    return text if text.startswith(NOISE) else ""


def _texts(analyses: Analyses) -> list[str]:
    return [given if isinstance(given, str) else given.text for given in requested(analyses)]


def _audit(config: pb.AuditConfig, inputs: Iterator[Raw]) -> Iterator[pb.AuditRequest]:
    yield pb.AuditRequest(config=config)
    for raw in inputs:
        yield pb.AuditRequest(input=input_to_message(raw))


def _merge(config: pb.MergeSummariesConfig, files: Sequence[str | Path]) -> Iterator[pb.MergeSummariesRequest]:
    yield pb.MergeSummariesRequest(config=config)
    for path in files:
        for data in file_pieces(Path(path)):
            yield pb.MergeSummariesRequest(chunk=pb.SummariesChunk(data=data))
        yield pb.MergeSummariesRequest(chunk=pb.SummariesChunk(last=True))


def _arrays(messages: Iterable[pb.ActivationsResponse]) -> dict[str, Array]:
    taps: list[tuple[pb.TapHeader, bytearray]] = []
    for message in messages:
        if message.HasField("header"):
            taps.append((message.header, bytearray()))
        elif taps:
            taps[-1][1].extend(message.data)
    return {h.tap: array_from_bytes(data, h.dtype, h.shape, f"values of {h.tap!r}") for h, data in taps}
