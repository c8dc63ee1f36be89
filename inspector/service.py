"""The use cases: everything a face may call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

from inspector.analysis.cluster import check_runner, ray_pool
from inspector.analysis.feed import Feed
from inspector.analysis.keep import Keep, Keeper
from inspector.analysis.merge import merged
from inspector.analysis.plan import Plan, make_plan
from inspector.analysis.registry import Analyses, AnalysisRequest, PluginInfo, plugins, requested
from inspector.analysis.runner import Run, Setting, gather, report
from inspector.analysis.spread import make_job, run_on
from inspector.analysis.store import MAX_BYTES
from inspector.contract import Array
from inspector.control import Stop, Watcher, unwatched
from inspector.errors import OutputError, ParameterError
from inspector.graph.load import DEFAULT_LIMITS, Limits
from inspector.graph.load import load as _load
from inspector.graph.view import OnnxView
from inspector.report import Report
from inspector.runtime.confined import DEFAULT_BOUNDS, Bounds
from inspector.runtime.memory import default_budget
from inspector.runtime.session import Fidelity
from inspector.several import several
from inspector.trial import Trial, try_model
from inspector.verdicts import Policies, check, compare, make_gate

__all__ = [
    "AnalysisRequest",
    "Fidelity",
    "PluginInfo",
    "Trial",
    "activations",
    "audit",
    "check",
    "compare",
    "inspect",
    "load",
    "merge",
    "plugins",
    "vet",
]

Model = OnnxView | str | PathLike[str] | bytes
"""A loaded model, or what to load it from: a path, or the file's bytes."""

STATIC_DEFAULT: Final = ("filters", "connectivity")
INSPECT_DEFAULT: Final = ("filters", "activations", "sparsity", "connectivity")
AUDIT_DEFAULT: Final = ("sparsity",)
SHARD_DEFAULT: Final = 4096
MAX_BATCH: Final = 65_536
"""Inputs that may be asked to share a run."""
MAX_INSPECTED: Final = 64
"""Inputs that `inspect` takes: it may keep whole maps of each."""


def load(source: str | PathLike[str] | bytes, *, name: str = "", limits: Limits = DEFAULT_LIMITS) -> OnnxView:
    """The facts of an ONNX file: its layers, where they can be watched, and their filters. Nothing runs.

    Args:
        source: path, or the file's content.
        name: what to call the model; by default the file's name without its ending.
        limits: what is refused.

    Raises:
        NotFoundError: no such file.
        ModelError: it is no usable model, or has no convolution.
        LimitError: beyond `limits`.
    """
    return _load(source, name=name, limits=limits)


def vet(
    source: str | PathLike[str] | bytes,
    *,
    name: str = "",
    limits: Limits = DEFAULT_LIMITS,
    seconds: float = DEFAULT_BOUNDS.seconds,
    memory: int = DEFAULT_BOUNDS.memory,
    stop: Stop | None = None,
) -> Trial:
    """Tries in a child process whether a model that nobody trusts can be loaded: a crash or a hang ends only the child.

    Args:
        source: path, or the file's content.
        name: what to call the model.
        limits: what is refused.
        seconds: what the child may take, on the clock.
        memory: bytes that the child may take, beside eight times the size of the file and what lies beside it.
        stop: ends the child early, with StoppedError.

    Raises:
        NotFoundError: no such file.
        ModelError: it is no usable model, or loading it causes a crash.
        LimitError: beyond `limits`, `seconds` or `memory`.
    """
    return try_model(source, name=name, limits=limits, bounds=Bounds(seconds, memory), stop=stop)


def inspect(
    model: Model,
    inputs: Any = None,
    analyses: Analyses = (),
    *,
    preprocess: str = "",
    device: str = "auto",
    fidelity: Fidelity = "exact",
    strict: bool = False,
    memory: int | None = None,
    self_check: bool = True,
    watch: Watcher | None = None,
    stop: Stop | None = None,
) -> Report:
    """Looks closely at a model, and at a few inputs on their way through it.

    Args:
        model: a loaded model, a path or the file's bytes.
        inputs: at most 64; None: weights only. A path, URL, pattern or `noise:N`, or a list of paths; one array
            (N, …), or arrays by the names of the model's inputs; or `Raw` one by one. See docs/data.md.
        analyses: `name`, `name:key=value,…` or requests, one or several; by default `filters` and `connectivity`, and
            with inputs `activations` and `sparsity` as well. `plugins()` lists them.
        preprocess: how pictures become tensors, such as `imagenet` or `resize=256,crop=224,scale=1/255` (see
            docs/data.md); arrays are fed as they are. Where it was not needed, a note says so.
        device: `auto`, `cpu`, `cuda` or `cuda:<index>`.
        fidelity: `exact` runs without graph optimisations, `fast` with all of them.
        strict: True: an input that cannot be used is an error. Otherwise it is skipped, counted and named.
        memory: bytes that the run may take, by estimate; None: a half of what this process may use. What does not fit
            runs in smaller batches, or watches its taps in waves; the provenance says so.
        self_check: compare the model's own outputs with and without watching, for the first input.
        watch: told about progress.
        stop: ends the run early, with StoppedError.

    Raises:
        InspectorError: the request cannot be carried out. A failing analysis is no error: it is in the report.
    """
    view = _view(model)
    chosen = requested(analyses) or (STATIC_DEFAULT if inputs is None else INSPECT_DEFAULT)
    plan = make_plan(view, chosen, allow_maps=True, stop=stop)
    setting = _setting(preprocess, device, fidelity, 1, watch, stop, memory)
    setting = replace(setting, most=MAX_INSPECTED, strict=strict, self_check=self_check)
    return report(view, inputs, plan, setting)


def audit(
    model: Model,
    data: Any,
    analyses: Analyses = (),
    *,
    policies: Policies = (),
    preprocess: str = "",
    device: str = "auto",
    fidelity: Fidelity = "fast",
    batch_size: int = 0,
    strict: bool = False,
    memory: int | None = None,
    self_check: bool = True,
    shard_size: int = 0,
    part: str = "",
    resume: str | PathLike[str] = "",
    runner: str = "",
    summaries: str | PathLike[str] = "",
    watch: Watcher | None = None,
    stop: Stop | None = None,
) -> Report:
    """Adds up a whole data set in one pass, whatever its size.

    Args:
        model: as for `inspect`; with a `runner`, a path or bytes.
        data: as for `inspect`, any number of inputs.
        analyses: as for `inspect`; by default `sparsity` and what the policies need.
        policies: files or `builtin:<name>` that judge the report, in one more result, `policy`; checked beforehand.
        preprocess: as for `inspect`.
        device: as for `inspect`.
        fidelity: as for `inspect`.
        strict: as for `inspect`.
        memory: as for `inspect`.
        self_check: as for `inspect`.
        watch: as for `inspect`.
        stop: as for `inspect`.
        batch_size: inputs that share a run, as far as the memory allows, at most 65,536; 0: chosen.
        shard_size: inputs that are added up, and kept, together (docs/scale.md); 0: 4096.
        part: `K/N` runs the Kth of N parts of the data.
        resume: folder of checkpoints: what is there is not run again, what is run is put there.
        runner: `ray` or `ray:ADDRESS` runs the shards on a cluster; the report is the same.
        summaries: file to write the summaries to, for `merge`.

    Raises:
        InspectorError: the request cannot be carried out. A failing analysis is no error: it is in the report.
        OutputError: the summaries cannot be written; where that showed at the end, `error.report` has the report.
    """
    _check_sizes(batch_size, shard_size)
    keep = Keep.parse(fspath(resume), fspath(summaries), part)
    keep.check_places()
    if runner:
        check_runner(runner)
    view, gate = _view(model), make_gate(policies)
    plan = make_plan(view, gate.chosen(requested(analyses), AUDIT_DEFAULT), allow_maps=False, stop=stop)
    gate.check(view, plan)
    setting = _setting(preprocess, device, fidelity, batch_size, watch, stop, memory)
    setting = replace(setting, strict=strict, self_check=self_check, shard_size=shard_size or SHARD_DEFAULT)
    run = _on_cluster(runner, model, view, data, plan, setting) if runner else None
    with _judged_late(gate.judged):
        return gate.judged(report(view, data, plan, setting, keep=keep, run=run))


def merge(
    model: Model,
    files: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    policies: Policies = (),
    summaries: str | PathLike[str] = "",
    largest: int = 0,
    stop: Stop | None = None,
) -> Report:
    """The report of several audits of one model together, from the files that `summaries=` made.

    They must have run the same analyses with the same options, on whatever device and with whatever batch size. Parts
    of one data set give what an audit of the whole gives; a shard that is in several files counts once. `summaries`:
    file to write the union to. `policies` judge the report, as in `audit`. `largest`: bytes of a shard's summaries,
    unpacked, beyond which they are refused; 0: 1 GiB. `stop` ends it early, with StoppedError.

    Raises:
        InspectorError: a file is damaged, or of another model or run: the message says what differs.
        OutputError: the union cannot be written; where that showed late, it has the report.
    """
    view, gate = _view(model), make_gate(policies)
    target = Path(summaries) if fspath(summaries) else None
    paths, most = [Path(f) for f in several(files, "files", str, PathLike, expected="a path")], largest or MAX_BYTES
    with _judged_late(gate.judged):
        return gate.judged(
            merged(view, paths, summaries=target, most=most, stop=stop, planned=lambda plan: gate.check(view, plan))
        )


def activations(
    model: Model,
    inputs: Any,
    taps: str | Sequence[str] = ("*",),
    *,
    preprocess: str = "",
    device: str = "auto",
    fidelity: Fidelity = "exact",
    memory: int | None = None,
    watch: Watcher | None = None,
    stop: Stop | None = None,
) -> dict[str, Array]:
    """Raw maps by tap name (`layer:kind`), each (N, C, *space) in the model's own element type.

    Quantised maps are the integers as they are; the tap's `scale` and `zero_point` say what they mean.

    Where a model changes the batch axis inside (by joining images, say), its maps come as they are, run after run.
    A tap in a branch of an If has the maps of those inputs, in their order, that took the branch: N is smaller. Where
    none took it, the tap is missing; where that is so for all of them, it is an Inapplicable error.
    `taps` are patterns, one or several (see `ModelView.taps`). The maps of all inputs have to fit into `memory` as
    well, and nothing is checked as in a report. An input that cannot be used is an InputError, never left out: the rest
    would not tell which row is whose. Other arguments and errors as for `inspect`.
    """
    view = _view(model)
    setting = replace(_setting(preprocess, device, fidelity, 1, watch, stop, memory), strict=True)
    return {tap.name: maps for tap, maps in gather(view, inputs, view.taps(taps), setting).items()}


def _check_sizes(batch_size: int, shard_size: int) -> None:
    for name, value in (("batch size", batch_size), ("shard size", shard_size)):
        if value < 0:
            raise ParameterError(name, "it is too small", expected="0 or more", found=str(value))
    if batch_size > MAX_BATCH:
        remedy = "0 chooses one that suits the model and the memory."
        raise ParameterError(
            "batch size", "it is too large", expected=f"at most {MAX_BATCH}", found=str(batch_size), remedy=remedy
        )


def _on_cluster(  # noqa: PLR0917 - everything about one run
    runner: str, model: Model, view: OnnxView, data: Any, plan: Plan, setting: Setting
) -> Run:
    if isinstance(model, OnnxView):
        remedy = "Give its path or its bytes, which the workers load as well."
        raise ParameterError("model", "a loaded one cannot be sent to a cluster", remedy=remedy)
    content = model if isinstance(model, bytes) else Path(model).read_bytes()

    def run(feed: Feed, keeper: Keeper) -> None:
        job = make_job(content, view, data, plan=plan, setting=setting, feed=feed)
        with ray_pool(runner, job) as pool:
            run_on(pool, plan, feed, keeper, setting.stop, again=lambda: setting.feed(view, data))

    return run


def _view(model: Model) -> OnnxView:
    return model if isinstance(model, OnnxView) else load(model)


def _setting(  # noqa: PLR0917 - positional here, so that the three use cases above stay readable
    preprocess: str, device: str, fidelity: Fidelity, batch_size: int, watch: Watcher | None, stop: Stop | None,
    memory: int | None,
) -> Setting:  # fmt: skip
    if fidelity not in ("fast", "exact"):
        raise ParameterError("fidelity", "there is no such one", expected="fast or exact", found=repr(fidelity))
    if memory is not None and memory < 1:
        raise ParameterError("memory", "it is too small", expected="at least 1 byte", found=str(memory))
    budget = default_budget() if memory is None else memory
    return Setting(
        preprocess=preprocess, device=device, fidelity=fidelity, batch_size=batch_size, watch=watch or unwatched,
        stop=stop or Stop(), memory=budget,
    )  # fmt: skip


@contextlib.contextmanager
def _judged_late(judged: Callable[[Report], Report]) -> Iterator[None]:
    """The report that an OutputError has is judged as well."""
    try:
        yield
    except OutputError as error:
        error.report = error.report and judged(error.report)
        raise
