"""The service's methods: message in, use case in a worker, message out."""
# ruff: noqa: N802 - the methods are named by the protocol

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, TypeVar

from inspector._proto.inspector.v1 import inspector_service_pb2 as pb
from inspector._proto.inspector.v1 import inspector_service_pb2_grpc as pb_grpc
from inspector.analysis.sums import change
from inspector.contract import Array
from inspector.control import Stop, Watcher
from inspector.errors import InputError, ParameterError
from inspector.faces.grpc.answers import answers
from inspector.faces.grpc.data_root import DataRoot
from inspector.faces.grpc.errors import NotAllowedError
from inspector.faces.grpc.feed import Feed
from inspector.faces.grpc.messages import Incoming, Outgoing
from inspector.faces.grpc.pages import page
from inspector.faces.grpc.readers import Readers
from inspector.faces.grpc.repository import Repository
from inspector.faces.grpc.runs import finished, follow, pieces, tap_headers
from inspector.faces.grpc.settings import Settings
from inspector.faces.grpc.summaries import folder_for_files, of_the_files, without_folder
from inspector.faces.grpc.summaries import receive as receive_summaries
from inspector.faces.grpc.trials import Trials, UntriedError
from inspector.faces.grpc.uploads import Announced, Piece, receive
from inspector.faces.grpc.use_cases import UseCases
from inspector.faces.grpc.workers import Worker, Workers
from inspector.faces.wire_model import layer_to_message, model_to_message
from inspector.faces.wire_names import layer_of, model_of
from inspector.faces.wire_plugin import plugin_to_message
from inspector.faces.wire_request import fidelity_from_message, input_from_message, streamed_inputs
from inspector.paths import writing
from inspector.report import Report
from inspector.runtime.memory import default_budget

T = TypeVar("T")
M = TypeVar("M", pb.AuditRequest, pb.MergeSummariesRequest, pb.UploadModelRequest)


class InspectorServicer(pb_grpc.InspectorServiceServicer):
    """Answers for one folder of models. Its methods are called with streams of bytes: see `Raw` and `answers`.

    Runs, look-ups, and look-ups that wait for a trial have threads of their own: a busy server still lists.
    """

    def __init__(self, use_cases: UseCases[Any], settings: Settings) -> None:
        self._use_cases, self._settings = use_cases, settings
        self.readers, self.patience = Readers(settings.readers, settings.hurry), settings.patience
        self._trials = Trials(use_cases, settings)
        self._repository = Repository(settings.models, use_cases.load, settings.cached_models, self._trials.check)
        self._data = DataRoot(settings.data.resolve(strict=True) if settings.data else None)
        self._runs = Workers("inspector-run", settings.workers, settings.queue)
        self._lookups = Workers("inspector-lookup", 2, 256)
        self._trying = Workers("inspector-trial", 8, 256)

    async def close(self) -> None:
        """Ends when all threads have ended; new models are not waited for."""
        self._trials.end()
        for workers in (self._runs, self._lookups, self._trying):
            await workers.close()

    def check_room(self) -> None:
        """Raises BusyError where no more runs are taken."""
        self._runs.check_room()

    @answers(pb.ListModelsRequest)
    async def ListModels(self, request: pb.ListModelsRequest, _: Outgoing) -> pb.ListModelsResponse:
        """The models, the broken ones too; a file that was never looked at is loaded for it."""

        def job(stop: Stop | None) -> pb.ListModelsResponse:
            entries, info = self._repository.entries(), self._repository.info
            show = lambda entry: model_to_message(info(entry, stop))  # noqa: E731 - as long as what it is given to
            models, token = page(entries, lambda entry: entry.name, show, request, "models")
            return pb.ListModelsResponse(models=models, next_page_token=token)

        return await self._looked_up(job)

    @answers(pb.GetModelRequest)
    async def GetModel(self, request: pb.GetModelRequest, _: Outgoing) -> pb.GetModelResponse:
        """One model, also a broken one."""
        name = model_of(request.name)

        def job(stop: Stop | None) -> pb.GetModelResponse:
            info = self._repository.info(self._repository.entry(name), stop)
            return pb.GetModelResponse(model=model_to_message(info))

        return await self._looked_up(job)

    @answers(pb.ListLayersRequest)
    async def ListLayers(self, request: pb.ListLayersRequest, _: Outgoing) -> pb.ListLayersResponse:
        """The convolutions of a model."""
        name = model_of(request.parent, "parent")

        def job(stop: Stop | None) -> pb.ListLayersResponse:
            layers, show = self._repository.view(name, stop).layers, partial(layer_to_message, name)
            key, scope = lambda layer: f"{layer.index:09d}", f"layers {request.parent}"
            shown, token = page(layers, key, show, request, scope)
            return pb.ListLayersResponse(layers=shown, next_page_token=token)

        return await self._looked_up(job)

    @answers(pb.GetLayerRequest)
    async def GetLayer(self, request: pb.GetLayerRequest, _: Outgoing) -> pb.GetLayerResponse:
        """One convolution."""
        model, layer = layer_of(request.name)

        def job(stop: Stop | None) -> pb.GetLayerResponse:
            return pb.GetLayerResponse(layer=layer_to_message(model, self._repository.view(model, stop).layer(layer)))

        return await self._looked_up(job)

    @answers(pb.ListPluginsRequest)
    async def ListPlugins(self, request: pb.ListPluginsRequest, _: Outgoing) -> pb.ListPluginsResponse:
        """The analyses, the broken ones too."""

        def job(_: Stop | None) -> pb.ListPluginsResponse:
            numbered = list(enumerate(self._use_cases.plugins()))  # two plugins may claim one name
            key, show = lambda item: f"{item[0]:09d}", lambda item: plugin_to_message(item[1])
            shown, token = page(numbered, key, show, request, "plugins")
            return pb.ListPluginsResponse(plugins=shown, next_page_token=token)

        return await self._looked_up(job)

    @answers(pb.UploadModelRequest, stream=True, run=True)
    async def UploadModel(self, requests: Incoming[pb.UploadModelRequest], _: Outgoing) -> pb.UploadModelResponse:
        """A new model, written, checked and published by a worker while its bytes arrive."""
        if not self._settings.uploads:
            raise NotAllowedError("upload", "this server takes no models", remedy="Start it with uploads allowed.")
        header = (await requests.first("header")).header
        announced = Announced(header.model_id, header.size_bytes, header.sha256, header.overwrite)
        announced.check(self._settings.max_model_bytes)
        stop, begun = Stop(), await requests.second("chunk")
        async with self._runs.worker() as worker, self._fed(requests.rest("chunk", begun)) as feed:
            chunks = (Piece(request.chunk.offset, request.chunk.data) for request in feed)
            info = await finished(worker, partial(receive, self._repository, announced, chunks, stop), stop)
        return pb.UploadModelResponse(model=model_to_message(info))

    @answers(pb.InspectRequest, run=True)
    async def Inspect(self, request: pb.InspectRequest, out: Outgoing) -> None:
        """A close look at a few inputs."""
        name, stop = model_of(request.model, "model"), Stop()
        options = self._options(request)

        def job(watch: Watcher) -> Report:
            inputs = [input_from_message(message) for message in request.inputs] or None
            view = self._repository.view(name, stop)
            analyses = tuple(request.analyses)
            return self._use_cases.inspect(view, inputs, analyses, **options, watch=watch, stop=stop)

        async with self._runs.worker() as worker:
            await follow(worker, job, stop, out, pb.InspectResponse, render_png=request.render_png)

    @answers(pb.AuditRequest, stream=True, run=True)
    async def Audit(self, requests: Incoming[pb.AuditRequest], out: Outgoing) -> None:
        """A data set, of the server's own or streamed by the client while the run goes on."""
        config = (await requests.first("config")).config
        model_of(config.model, "model")  # what is wrong is said before any data is asked for
        options = self._options(config) | _audit_options(config)
        if config.source:
            data: Any = self._data.data(config.source)
            async with self._runs.worker() as worker:
                await self._audit(worker, out, config, data, options)
            return
        begun = await requests.second("input")
        async with self._runs.worker() as worker, self._fed(requests.rest("input", begun)) as feed:
            data = streamed_inputs(request.input for request in feed)
            await self._audit(worker, out, config, data, options)

    async def _audit(
        self, worker: Worker, out: Outgoing, config: pb.AuditConfig, data: Any, options: dict[str, Any]
    ) -> None:
        name, stop = model_of(config.model, "model"), Stop()
        with folder_for_files() as folder:
            raw, summaries = folder / "raw.sum", folder / "all.sum"
            if config.summaries:
                options["summaries"] = raw

            def job(watch: Watcher) -> Report:
                view = self._repository.view(name, stop)
                with self._data.hiding(), without_folder(folder):
                    analyses = tuple(config.analyses)
                    report = self._use_cases.audit(view, data, analyses, **options, watch=watch, stop=stop)
                    if config.summaries:
                        with writing("summaries"):
                            change(raw, summaries, self._data.placeless)
                return self._data.without_place(report)

            shown = summaries if config.summaries else None
            await follow(worker, job, stop, out, pb.AuditResponse, render_png=config.render_png, summaries=shown)

    @answers(pb.MergeSummariesRequest, stream=True, run=True)
    async def MergeSummaries(self, requests: Incoming[pb.MergeSummariesRequest], out: Outgoing) -> None:
        """Files of summaries, added up; they lie in a folder of their own while the call lasts."""
        config = (await requests.first("config")).config
        name, stop, most = model_of(config.model, "model"), Stop(), self._settings.max_summary_bytes
        begun = await requests.second("chunk")
        async with self._runs.worker() as worker, self._fed(requests.rest("chunk", begun)) as feed:
            with folder_for_files() as folder:
                union = folder / "union.sum" if config.summaries else None

                def job(_: Watcher) -> Report:
                    view = self._repository.view(name, stop)
                    files = receive_summaries(((r.chunk.data, r.chunk.last) for r in feed), folder, most, stop)
                    with without_folder(folder), of_the_files():
                        return self._use_cases.merge(view, files, summaries=union or "", largest=most, stop=stop)

                kind, png = pb.MergeSummariesResponse, config.render_png
                await follow(worker, job, stop, out, kind, render_png=png, summaries=union, around=of_the_files)

    @answers(pb.ActivationsRequest, run=True)
    async def Activations(self, request: pb.ActivationsRequest, out: Outgoing) -> None:
        """Raw values, tap by tap."""
        name, stop = model_of(request.model, "model"), Stop()
        taps, options = tuple(request.taps) or ("*",), self._options(request)

        def job() -> list[tuple[pb.TapHeader, Array]]:
            inputs = [input_from_message(message) for message in request.inputs]
            view = self._repository.view(name, stop)
            maps = self._use_cases.activations(view, inputs, taps, **options, stop=stop)
            return tap_headers(view, maps)

        if not request.inputs:
            raise InputError("inputs", "there is nothing to feed", expected="one input at least")

        async with self._runs.worker() as worker:
            for header, data in await finished(worker, job, stop):
                await out.send(pb.ActivationsResponse(header=header))
                for piece in pieces(data):
                    await out.send(pb.ActivationsResponse(data=piece))

    async def _looked_up(self, job: Callable[[Stop | None], T]) -> T:
        """What the job gives; where that takes a trial, it is done anew among those that wait for trials."""
        try:
            async with self._lookups.worker() as worker:
                return await finished(worker, partial(job, None), Stop())
        except UntriedError:
            stop = Stop()
        async with self._trying.worker() as worker:
            return await finished(worker, partial(job, stop), stop)

    @contextlib.asynccontextmanager
    async def _fed(self, messages: AsyncIterator[tuple[M, int]]) -> AsyncIterator[Feed[M]]:
        """The messages of a client, for a thread to go through, while the block runs."""
        feed = Feed[M](self._settings.feed_bytes, self.patience)
        filling = asyncio.create_task(feed.fill(messages))
        try:
            yield feed
        finally:
            filling.cancel()

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


def _audit_options(config: pb.AuditConfig) -> dict[str, Any]:
    """What audits alone take, where the client chose it."""
    names = ("batch_size", "strict", "part", "shard_size")
    return {name: getattr(config, name) for name in names if getattr(config, name)}
