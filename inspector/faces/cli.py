"""The command line: arguments in, the use cases called, the report shown."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from pydantic import ByteSize, TypeAdapter, ValidationError
from rich.console import Console

import inspector
from inspector.errors import InspectorError, ParameterError
from inspector.faces import terminal
from inspector.faces.apart import check_unread, places_of
from inspector.faces.describe import describe as describe_json
from inspector.faces.describe import plugin
from inspector.faces.exports import parse_formats
from inspector.faces.files import read_report
from inspector.faces.grpc.settings import MIB, Settings
from inspector.faces.outcome import FAILED, FINE, INTERRUPTED, Ended, Outcome
from inspector.faces.saying import Command, is_mistyped, mistyped, plain, say
from inspector.faces.signals import terminable
from inspector.faces.streams import forgiving, settle
from inspector.paths import check_file, check_folder, writing
from inspector.report import Report
from inspector.whole import clear_left_of, whole

app = typer.Typer(
    name="inspector",
    help="Looks inside CNNs in ONNX files: filters, feature maps, sparsity, connectivity.",
    epilog="Exit codes: 0 fine; 1 a finding is an error, or a policy does not hold; 2 it could not be done. "
    "Documentation: README.md and docs/ beside the source.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:  # noqa: FBT001 - a flag
    if asked:
        print(version("onnx-inspector"))
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and nothing else.")
]


@app.callback()
def root(_: Version = False) -> None:  # noqa: FBT002 - a flag
    """What goes before every command."""


class Fidelity(StrEnum):
    """Whether the runtime may optimise the graph."""

    fast = "fast"
    exact = "exact"


Model = Annotated[Path, typer.Argument(help="An .onnx file.", show_default=False)]
Fidelities = Annotated[
    Fidelity,
    typer.Option("--fidelity", help="exact: every value as the graph says; fast: the runtime may optimise the graph."),
]
Inputs = Annotated[list[str], typer.Option("--input", "-i", help="A picture, .npy, .npz, folder or URL; repeatable.")]
Data = Annotated[
    list[str],
    typer.Option(
        "--data",
        "-d",
        metavar="SOURCE",
        help="A folder, picture, .npy, .npz, .tar or .parquet file, or a URL or pattern of these; repeatable. "
        "Or noise:N, for a run without data.",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Fail where an input cannot be used, in place of skipping it.")]
Analyses = Annotated[
    list[str],
    typer.Option(
        "--analysis", "-a", help="NAME or NAME:key=value,…, of `inspector plugins`; repeatable.", show_default=False
    ),
]
Preprocess = Annotated[
    str,
    typer.Option(
        "--preprocess",
        "-p",
        help="How pictures become numbers: imagenet, unit (0..1), signed (-1..1), raw (0..255), caffe, or "
        "KEY=VALUE,… of scale, mean, std, order, resize, crop and filter; docs/data.md.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:INDEX.")]
Memory = Annotated[str, typer.Option(help="What a run may take, such as 2GiB.", show_default="half of what there is")]
SelfCheck = Annotated[bool, typer.Option(help="Compare the model's own outputs with and without watching.")]
Json = Annotated[str, typer.Option("--json", metavar="FILE|-", help="Write the report as JSON; - for standard output.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON on standard output; takes no file.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for pictures and report.json.")]
Policies = Annotated[
    list[str], typer.Option("--policy", help="A policy file, or builtin:NAME, that judges the report; repeatable.")
]
Formats = Annotated[
    list[str],
    typer.Option(
        "--format", metavar="NAME=FILE|-", help="junit, sarif, metrics, summary or html, to a file; repeatable."
    ),
]
Summaries = Annotated[str, typer.Option("--summaries", metavar="FILE.sum", help="Write the summaries, for merge.")]
Rows = Annotated[int, typer.Option("--rows", min=1, help="Rows of a table that are shown; --json has all.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns its exit code: 0 fine, 1 a finding failed, 2 it could not be done; or of a signal."""
    with forgiving(), terminable() as ending:
        try:
            code = _run(arguments)
            settle()
        except (InspectorError, OSError) as error:
            say(plain(error))
        except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, it is no verdict
            say(f"this is a fault of the inspector, please report it: {plain(error)}", traceback.format_exc())
        else:
            return ending.code(code)
    return FAILED


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = app(args=None if arguments is None else list(arguments), standalone_mode=False)
    except Ended as end:
        return end.code
    except (typer.Abort, SystemExit) as end:
        if isinstance(end.__cause__, EOFError):  # typer takes it for the end of typing; we ask nothing
            raise end.__cause__ from None
        code = getattr(end, "code", FAILED)
    except Exception as error:
        if not is_mistyped(error):
            raise
        say(mistyped(error))
        return FAILED
    return FINE if not code else code if code == INTERRUPTED else FAILED  # a 1 of typer's is no finding of ours


@app.command(cls=Command)
def describe(
    model: Model,
    taps: Annotated[bool, typer.Option("--taps", help="One line for every tap, by the name that --tap takes.")] = False,  # noqa: FBT002 - a flag
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Lists the convolutions of a model, and where their outputs can be watched."""
    view = inspector.load(model)
    if as_json:
        print(json.dumps(describe_json(view), indent=2))
    else:
        terminal.print_layers(view, Console(), taps=taps)


@app.command(cls=Command)
def inspect(
    model: Model,
    inputs: Inputs = [],
    analyses: Analyses = [],
    preprocess: Preprocess = "",
    device: Device = "auto",
    fidelity: Fidelities = Fidelity.exact,
    strict: Strict = False,  # noqa: FBT002 - a flag
    memory: Memory = "",
    self_check: SelfCheck = True,  # noqa: FBT002 - a flag
    json_file: Json = "",
    out: Out = None,
    formats: Formats = [],
    rows: Rows = 30,
) -> None:
    """Looks closely at a model's filters, and at a few inputs on their way through it.

    Without --analysis: filters and connectivity, and with inputs activations and sparsity as well.
    """
    outcome = Outcome(json_file, out, rows, parse_formats(formats), model).check([model], inputs)
    view = inspector.load(model)
    outcome.check_model(view)
    with terminal.progress(Console(stderr=True)) as watch:
        report = inspector.inspect(
            view, _sources(inputs), analyses, preprocess=preprocess, device=device,
            fidelity=fidelity.value, strict=strict, memory=_bytes(memory), self_check=self_check, watch=watch,
        )  # fmt: skip
    outcome.show(report)


@app.command(cls=Command)
def audit(
    model: Model,
    data: Data,
    analyses: Analyses = [],
    policies: Policies = [],
    preprocess: Preprocess = "",
    device: Device = "auto",
    fidelity: Fidelities = Fidelity.fast,
    batch_size: Annotated[int, typer.Option(min=0, help="Inputs that share a run; 0: chosen for you.")] = 0,
    strict: Strict = False,  # noqa: FBT002 - a flag
    memory: Memory = "",
    self_check: SelfCheck = True,  # noqa: FBT002 - a flag
    resume: Annotated[str, typer.Option(metavar="DIR", help="Keep checkpoints here, and go on from those there.")] = "",
    summaries: Summaries = "",
    runner: Annotated[str, typer.Option(metavar="ray[:ADDRESS]", help="Run the shards on a Ray cluster.")] = "",
    part: Annotated[str, typer.Option(metavar="K/N", help="Audit the Kth of N parts of the data.")] = "",
    shard_size: Annotated[int, typer.Option(min=0, help="Inputs between two checkpoints; 0: 4096.")] = 0,
    json_file: Json = "",
    out: Out = None,
    formats: Formats = [],
    rows: Rows = 30,
) -> None:
    """Adds up what a model does with a whole data set: dead filters, sparsity, health.

    Without --analysis: sparsity, and what the policies need.
    """
    outcome = Outcome(json_file, out, rows, parse_formats(formats), model)
    outcome.check([model, *policies], data, summaries, resume)

    def made() -> Report:
        view = inspector.load(model)
        outcome.check_model(view, summaries)
        with terminal.progress(Console(stderr=True)) as watch:
            return inspector.audit(
                model if runner else view,  # a cluster's workers load it themselves
                _sources(data), analyses, policies=policies, preprocess=preprocess, device=device,
                fidelity=fidelity.value, batch_size=batch_size, strict=strict, memory=_bytes(memory),
                self_check=self_check, resume=resume, summaries=summaries, runner=runner, part=part,
                shard_size=shard_size, watch=watch,
            )  # fmt: skip

    outcome.show_made(made)


@app.command(cls=Command)
def merge(
    model: Model,
    files: Annotated[list[Path], typer.Argument(help="Files that --summaries or --resume wrote.", show_default=False)],
    policies: Policies = [],
    summaries: Summaries = "",
    json_file: Json = "",
    out: Out = None,
    formats: Formats = [],
    rows: Rows = 30,
) -> None:
    """Adds up the summaries of several audits of one model: parts of the data, machines, days."""
    outcome = Outcome(json_file, out, rows, parse_formats(formats), model)
    outcome.check([model, *files, *policies], kept=summaries)

    def made() -> Report:
        view = inspector.load(model)
        outcome.check_model(view, summaries)
        return inspector.merge(view, files, policies=policies, summaries=summaries)

    outcome.show_made(made)


@app.command(cls=Command)
def check(
    report: Annotated[Path, typer.Argument(help="A report as JSON.", show_default=False)],
    policies: Policies,
    json_file: Json = "",
    formats: Formats = [],
    rows: Rows = 30,
) -> None:
    """Judges a stored report by policies, without running anything."""
    outcome = Outcome(json_file, None, rows, parse_formats(formats)).check([report, *policies])
    outcome.show(inspector.check(read_report(report), policies))


@app.command(cls=Command)
def compare(
    before: Annotated[Path, typer.Argument(help="A report as JSON: the baseline.", show_default=False)],
    after: Annotated[Path, typer.Argument(help="A report as JSON: what is new.", show_default=False)],
    policies: Policies = [],
    json_file: Json = "",
    formats: Formats = [],
    rows: Rows = 30,
) -> None:
    """Says what changed from one stored report to another: channels that died, revived or drifted."""
    outcome = Outcome(json_file, None, rows, parse_formats(formats)).check([before, after, *policies])
    outcome.show(inspector.compare(read_report(before), read_report(after), policies))


@app.command(cls=Command)
def activations(
    model: Model,
    inputs: Inputs,
    out: Annotated[Path, typer.Option("--out", "-o", help="The .npz file to write.")],
    taps: Annotated[list[str], typer.Option("--tap", "-t", help="LAYER or LAYER:conv|norm|act; * and ? match.")] = [
        "*"
    ],
    preprocess: Preprocess = "",
    device: Device = "auto",
    fidelity: Fidelities = Fidelity.exact,
    memory: Memory = "",
) -> None:
    """Writes raw feature maps to a file, one array (N, C, *space) per tap."""
    out = out if out.suffix == ".npz" else out.with_name(f"{out.name}.npz")  # as NumPy would
    check_file(out)
    check_unread([out], [model, *places_of(inputs, [out])])
    view = inspector.load(model)
    check_unread([out], [file.path for file in view.data_files])
    with terminal.progress(Console(stderr=True)) as watch:
        maps = inspector.activations(
            view, _sources(inputs), taps, preprocess=preprocess, device=device,
            fidelity=fidelity.value, memory=_bytes(memory), watch=watch,
        )  # fmt: skip
    clear_left_of(out)
    with writing(f"file {str(out)!r}"), whole(out) as file:
        np.savez(file, allow_pickle=False, **maps)
    Console().print(
        f"{len(maps)} taps, {sum(m.nbytes for m in maps.values()) / 1e6:.1f} MB -> {out}", soft_wrap=True, markup=False
    )


@app.command(cls=Command)
def plugins(
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Lists the installed analyses, the broken ones with their reason."""
    infos = inspector.plugins()
    if as_json:
        print(json.dumps([plugin(info) for info in infos], indent=2))
    else:
        terminal.print_plugins(infos, Console())


@app.command(cls=Command)
def serve(
    models: Annotated[Path, typer.Option(help="Folder of .onnx files to serve.")],
    data: Annotated[Path | None, typer.Option(help="Folder that audits may read from.")] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. There is no encryption and no log-in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 50051,
    allow_uploads: Annotated[bool, typer.Option(help="Let clients add models.")] = False,  # noqa: FBT002 - a flag
    device: Device = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 2,
    max_message_mib: Annotated[int, typer.Option(min=1, max=2047, help="Largest message that is read.")] = 64,
    trial_seconds: Annotated[float, typer.Option(min=1, help="What a new model may take when first loaded.")] = 60,
    trial_mib: Annotated[int, typer.Option(min=512, help="Memory of that, beside 8 times its file.")] = 2048,
    memory: Annotated[
        str,
        typer.Option(
            help="What each run may take, such as 2GiB.", show_default="half of what there is, shared by the workers"
        ),
    ] = "",
) -> None:
    """Serves a folder of models over gRPC (inspector.v1, with health and reflection)."""
    from inspector.faces.grpc.server import serve as serve_grpc  # noqa: PLC0415 - gRPC is loaded where it is used

    serve_grpc(
        Settings(
            models=models, data=data, host=host, port=port, uploads=allow_uploads, device=device, workers=workers,
            max_receive_bytes=max_message_mib * MIB, trial_seconds=trial_seconds, trial_mib=trial_mib,
            memory=_bytes(memory),
        ),
        ready=partial(_ready, models),
    )  # fmt: skip


def _ready(models: Path, address: str) -> None:
    print(f"listening on {address}", flush=True)
    if not any(models.glob("*.onnx")):
        print(f"note: there is no .onnx file in {models} yet", file=sys.stderr)


@app.command(cls=Command)
def demo(out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")] = Path("demo")) -> None:
    """Starts a server with the sample models, and a client that audits and inspects them; writes pictures."""
    from inspector.faces.demo import run_demo  # noqa: PLC0415 - gRPC is loaded where it is used

    check_folder(out)
    run_demo(out, Console())


def _bytes(text: str) -> int | None:
    """`2GiB`, `500MB` or a number of bytes; None for nothing."""
    try:
        return int(TypeAdapter(ByteSize).validate_python(text)) if text else None
    except ValidationError as error:
        raise ParameterError.first_of(error, lambda _: "--memory") from error


def _sources(places: Sequence[str]) -> Any:
    """One place as itself, several as a list, none as None."""
    return places[0] if len(places) == 1 else (list(places) or None)
