"""The service's methods: message in, use case in a worker, message out."""
# ruff: noqa: N802 - the methods are named by the protocol

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc.aio

from inspector._proto.inspector.v1 import inspector_service_pb2 as pb
from inspector._proto.inspector.v1 import inspector_service_pb2_grpc as pb_grpc
from inspector._proto.inspector.v1.run_event_pb2 import RunEvent
from inspector.analysis.sums import change
from inspector.contract import Array
from inspector.control import Stop, Watcher
from inspector.errors import ParameterError
from inspector.faces.grpc.answers import answers, first, rest
from inspector.faces.grpc.data_root import DataRoot
from inspector.faces.grpc.errors import NotAllowedError
from inspector.faces.grpc.feed import Feed
from inspector.faces.grpc.pages import page
from inspector.faces.grpc.repository import Repository
from inspector.faces.grpc.runs import finished, follow, pieces, tap_headers
from inspector.faces.grpc.settings import Settings
from inspector.faces.grpc.summaries import receive as receive_summaries
from inspector.faces.grpc.summaries import without_folder
from inspector.faces.grpc.trials import Trials
from inspector.faces.grpc.uploads import Announced, Piece, receive
from inspector.faces.grpc.use_cases import UseCases
from inspector.faces.grpc.workers import Workers
from inspector.faces.wire_model import layer_to_message, model_to_message
from inspector.faces.wire_names import layer_of, model_of
from inspector.faces.wire_plugin import plugin_to_message
from inspector.faces.wire_request import fidelity_from_message, input_from_message
from inspector.paths import writing
from inspector.report import Report
from inspector.runtime.memory import default_budget

Context = grpc.aio.ServicerContext[Any, Any]


class InspectorServicer(pb_grpc.InspectorServiceServicer):
    """Answers for one folder of models. Runs and look-ups have threads of their own: a busy server still lists."""

    def __init__(self, use_cases: UseCases[Any], settings: Settings) -> None:
        self._use_cases, self._settings = use_cases, settings
        self._trials = Trials(use_cases, settings)
        self._repository = Repository(settings.models, self._trials.load, settings.cached_models)
        self._data = DataRoot(settings.data.resolve(strict=True) if settings.data else None)
        self._runs = Workers("inspector-run", settings.workers, settings.queue)
        self._lookups = Workers("inspector-lookup", 2, 256)

    async def close(self) -> None:
        """Ends when all threads have ended; new models are not waited for."""
        self._trials.end()
        await self._runs.close()
        await self._lookups.close()

    @answers
    async def ListModels(self, request: pb.ListModelsRequest, _: Context) -> pb.ListModelsResponse:
        """The models, the broken ones too; a file that was never looked at is loaded for it."""

        def job() -> pb.ListModelsResponse:
            entries = self._repository.entries()
            shown, token = page(entries, lambda e: e.name, request.page_size, request.page_token, "models")
            models = [model_to_message(self._repository.info(entry)) for entry in shown]
            return pb.ListModelsResponse(models=models, next_page_token=token)

        return await self._lookups.submit(job)

    @answers
    async def GetModel(self, request: pb.GetModelRequest, _: Context) -> pb.GetModelResponse:
        """One model, also a broken one."""
        name = model_of(request.name)

        def job() -> pb.GetModelResponse:
            info = self._repository.info(self._repository.entry(name))
            return pb.GetModelResponse(model=model_to_message(info))

        return await self._lookups.submit(job)

    @answers
    async def ListLayers(self, request: pb.ListLayersRequest, _: Context) -> pb.ListLayersResponse:
        """The convolutions of a model."""
        name = model_of(request.parent, "parent")

        def job() -> pb.ListLayersResponse:
            layers = self._repository.view(name).layers
            key, scope = lambda layer: f"{layer.index:09d}", f"layers {request.parent}"
            shown, token = page(layers, key, request.page_size, request.page_token, scope)
            return pb.ListLayersResponse(layers=[layer_to_message(name, la) for la in shown], next_page_token=token)

        return await self._lookups.submit(job)

    @answers
    async def GetLayer(self, request: pb.GetLayerRequest, _: Context) -> pb.GetLayerResponse:
        """One convolution."""
        model, layer = layer_of(request.name)

        def job() -> pb.GetLayerResponse:
            return pb.GetLayerResponse(layer=layer_to_message(model, self._repository.view(model).layer(layer)))

        return await self._lookups.submit(job)

    @answers
    async def ListPlugins(self, request: pb.ListPluginsRequest, _: Context) -> pb.ListPluginsResponse:
        """The analyses, the broken ones too."""

        def job() -> pb.ListPluginsResponse:
            numbered = list(enumerate(self._use_cases.plugins()))  # two plugins may claim one name
            shown, token = page(numbered, lambda n: f"{n[0]:09d}", request.page_size, request.page_token, "plugins")
            return pb.ListPluginsResponse(plugins=[plugin_to_message(p) for _, p in shown], next_page_token=token)

        return await self._lookups.submit(job)

    @answers
    async def UploadModel(self, requests: AsyncIterator[pb.UploadModelRequest], _: Context) -> pb.UploadModelResponse:
        """A new model, written, checked and published by a worker while its bytes arrive."""
        if not self._settings.uploads:
            raise NotAllowedError("upload", "this server takes no models", remedy="Start it with uploads allowed.")
        stream = aiter(requests)
        header = (await first(stream, "header", self._settings.patience)).header
        announced = Announced(header.model_id, header.size_bytes, header.sha256, header.overwrite)
        announced.check(self._settings.max_model_bytes)
        stop, feed = Stop(), Feed[pb.UploadModelRequest](self._settings.feed_bytes, self._settings.patience)
        chunks = (Piece(request.chunk.offset, request.chunk.data) for request in feed)
        job = partial(receive, self._repository, announced, chunks, stop)
        filling = asyncio.create_task(feed.fill(rest(stream, "chunk")))
        try:
            info = await finished(self._runs, job, stop)
        finally:
            filling.cancel()
        return pb.UploadModelResponse(model=model_to_message(info))

    @answers
    async def Inspect(self, request: pb.InspectRequest, context: Context) -> None:
        """A close look at a few inputs."""
        name, stop = model_of(request.model, "model"), Stop()
        inputs = [input_from_message(message) for message in request.inputs] or None
        options = self._options(request)

        def job(watch: Watcher) -> Report:
            view = self._repository.view(name)
            analyses = tuple(request.analyses)
            return self._use_cases.inspect(view, inputs, analyses, **options, watch=watch, stop=stop)

        async def send(event: RunEvent) -> None:
            await context.write(pb.InspectResponse(event=event))

        await follow(self._runs, job, stop, send, render_png=request.render_png)

    @answers
    async def Audit(self, requests: AsyncIterator[pb.AuditRequest], context: Context) -> None:
        """A data set, of the server's own or streamed by the client while the run goes on."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            await self._audit(aiter(requests), context, Path(folder))

    async def _audit(self, stream: AsyncIterator[pb.AuditRequest], context: Context, folder: Path) -> None:
        config = (await first(stream, "config", self._settings.patience)).config
        name, options, stop = model_of(config.model, "model"), self._options(config), Stop()
        feed = Feed[pb.AuditRequest](self._settings.feed_bytes, self._settings.patience)
        data = self._data.data(config.source) if config.source else (input_from_message(r.input) for r in feed)
        if config.batch_size:
            options["batch_size"] = config.batch_size
        if config.strict:
            options["strict"] = True
        options |= {name: getattr(config, name) for name in ("part", "shard_size") if getattr(config, name)}
        raw, summaries = folder / "raw.sum", folder / "all.sum"
        if config.summaries:
            options["summaries"] = raw

        def job(watch: Watcher) -> Report:
            view = self._repository.view(name)
            with self._data.hiding(), without_folder(folder):
                analyses = tuple(config.analyses)
                report = self._use_cases.audit(view, data, analyses, **options, watch=watch, stop=stop)
                if config.summaries:
                    with writing("summaries"):
                        change(raw, summaries, self._data.placeless)
            return self._data.without_place(report)

        async def send(event: RunEvent) -> None:
            await context.write(pb.AuditResponse(event=event))

        filling = asyncio.create_task(feed.fill(rest(stream, "input")))
        try:
            shown = summaries if config.summaries else None
            await follow(self._runs, job, stop, send, render_png=config.render_png, summaries=shown)
        finally:
            filling.cancel()

    @answers
    async def MergeSummaries(self, requests: AsyncIterator[pb.MergeSummariesRequest], context: Context) -> None:
        """Files of summaries, added up; they lie in a folder of their own while the call lasts."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            await self._merge(aiter(requests), context, Path(folder))

    async def _merge(
        self, stream: AsyncIterator[pb.MergeSummariesRequest], context: Context, folder: Path
    ) -> None:  # fmt: skip
        config = (await first(stream, "config", self._settings.patience)).config
        name, stop, most = model_of(config.model, "model"), Stop(), self._settings.max_summary_bytes
        feed = Feed[pb.MergeSummariesRequest](self._settings.feed_bytes, self._settings.patience)
        union = folder / "union.sum" if config.summaries else None

        def job(_: Watcher) -> Report:
            view = self._repository.view(name)
            files = receive_summaries(((r.chunk.data, r.chunk.last) for r in feed), folder, most, stop)
            with without_folder(folder):
                return self._use_cases.merge(view, files, summaries=union or "", largest=most, stop=stop)

        async def send(event: RunEvent) -> None:
            await context.write(pb.MergeSummariesResponse(event=event))

        filling = asyncio.create_task(feed.fill(rest(stream, "chunk")))
        try:
            await follow(self._runs, job, stop, send, render_png=config.render_png, summaries=union)
        finally:
            filling.cancel()

    @answers
    async def Activations(self, request: pb.ActivationsRequest, context: Context) -> None:
        """Raw values, tap by tap."""
        name, stop = model_of(request.model, "model"), Stop()
        inputs = [input_from_message(message) for message in request.inputs]
        taps, options = tuple(request.taps) or ("*",), self._options(request)

        def job() -> list[tuple[pb.TapHeader, Array]]:
            view = self._repository.view(name)
            return tap_headers(view, self._use_cases.activations(view, inputs, taps, **options, stop=stop))

        for header, data in await finished(self._runs, job, stop):
            await context.write(pb.ActivationsResponse(header=header))
            for piece in pieces(data):
                await context.write(pb.ActivationsResponse(data=piece))

    def _options(self, request: pb.InspectRequest | pb.AuditConfig | pb.ActivationsRequest) -> dict[str, Any]:
        """What runs of all kinds take; the fidelity only where the client chose one."""
        fidelity = fidelity_from_message(request.fidelity)
        chosen: dict[str, Any] = {"fidelity": fidelity} if fidelity else {}
        if not isinstance(request, pb.ActivationsRequest) and request.skip_self_check:
            chosen["self_check"] = False
        memory = self._memory(request.memory_bytes)
        return {"preprocess": request.preprocess, "device": self._settings.device, "memory": memory, **chosen}

    def _memory(self, asked: int) -> int:
        """What a run may take: what the client asks for, at most what the server allows."""
        if asked < 0:
            raise ParameterError("memory_bytes", "it is too small", expected="0 or more", found=str(asked))
        allowed = self._settings.memory or default_budget(self._settings.workers)
        return min(asked or allowed, allowed)
