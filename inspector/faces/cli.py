"""The command line: arguments in, the use cases called, the report shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from pydantic import ByteSize, TypeAdapter, ValidationError
from rich.console import Console

from inspector import service
from inspector.contract import Severity
from inspector.errors import InspectorError, ParameterError
from inspector.faces import terminal
from inspector.faces.demo import run_demo
from inspector.faces.describe import describe as describe_json
from inspector.faces.files import save_report
from inspector.faces.grpc.server import serve as serve_grpc
from inspector.faces.grpc.settings import MIB, Settings
from inspector.faces.wire import report_to_json
from inspector.report import Report

app = typer.Typer(
    name="inspector",
    help="Looks inside any ONNX CNN: filters, feature maps, sparsity, connectivity.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

FINE, FOUND, FAILED = 0, 1, 2


class Fidelity(StrEnum):
    """Whether the runtime may optimise the graph."""

    fast = "fast"
    exact = "exact"


Model = Annotated[Path, typer.Argument(help="An .onnx file.", show_default=False)]
Inputs = Annotated[list[Path], typer.Option("--input", "-i", help="A picture, .npy, .npz or folder; repeatable.")]
Data = Annotated[list[Path], typer.Option("--data", "-d", help="A folder of pictures, .npy or .npz; repeatable.")]
Analyses = Annotated[
    list[str], typer.Option("--analysis", "-a", help="NAME or NAME:key=value,…; repeatable.", show_default=False)
]
Preprocess = Annotated[
    str, typer.Option("--preprocess", "-p", help="imagenet, unit, signed, raw, caffe, or key=value,… for pictures.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:INDEX.")]
Memory = Annotated[str, typer.Option(help="What a run may take, such as 2GiB.", show_default="half of what there is")]
SelfCheck = Annotated[bool, typer.Option(help="Compare the model's own outputs with and without watching.")]
Json = Annotated[str, typer.Option("--json", metavar="FILE|-", help="Write the report as JSON; - for standard output.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for pictures and report.json.")]
Rows = Annotated[int, typer.Option("--rows", min=1, help="Rows of a table that are shown.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns its exit code: 0 fine, 1 a finding failed, 2 it could not be done."""
    try:
        app(args=None if arguments is None else list(arguments))
    except SystemExit as end:  # how typer ends, well or badly
        return int(end.code or FINE)
    except (InspectorError, OSError) as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]error[/]: {_plain(error)}")
    return FAILED


def _plain(error: Exception) -> str:
    text = str(error) if isinstance(error, InspectorError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split()).replace("[", r"\[")


@app.command()
def describe(
    model: Model,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Lists the convolutions of a model, and where their outputs can be watched."""
    view = service.load(model)
    if as_json:
        print(json.dumps(describe_json(view), indent=2))
    else:
        terminal.print_layers(view, Console())


@app.command()
def inspect(
    model: Model,
    inputs: Inputs = [],
    analyses: Analyses = [],
    preprocess: Preprocess = "",
    device: Device = "auto",
    fidelity: Fidelity = Fidelity.exact,
    memory: Memory = "",
    self_check: SelfCheck = True,  # noqa: FBT002 - a flag
    json_file: Json = "",
    out: Out = None,
    rows: Rows = 30,
) -> None:
    """Looks closely at a model's filters, and at a few inputs on their way through it."""
    with terminal.progress(Console(stderr=True)) as watch:
        report = service.inspect(
            service.load(model), _sources(inputs), analyses, preprocess=preprocess, device=device,
            fidelity=fidelity.value, memory=_bytes(memory), self_check=self_check, watch=watch,
        )  # fmt: skip
    _show(report, json_file, out, rows)


@app.command()
def audit(
    model: Model,
    data: Data,
    analyses: Analyses = ["sparsity"],
    preprocess: Preprocess = "",
    device: Device = "auto",
    fidelity: Fidelity = Fidelity.fast,
    batch_size: Annotated[int, typer.Option(min=0, help="Inputs that share a run; 0: chosen for you.")] = 0,
    memory: Memory = "",
    self_check: SelfCheck = True,  # noqa: FBT002 - a flag
    json_file: Json = "",
    out: Out = None,
    rows: Rows = 30,
) -> None:
    """Adds up what a model does with a whole data set: dead filters, sparsity, health."""
    with terminal.progress(Console(stderr=True)) as watch:
        report = service.audit(
            service.load(model), _sources(data), analyses, preprocess=preprocess, device=device,
            fidelity=fidelity.value, batch_size=batch_size, memory=_bytes(memory), self_check=self_check, watch=watch,
        )  # fmt: skip
    _show(report, json_file, out, rows)


@app.command()
def activations(
    model: Model,
    inputs: Inputs,
    out: Annotated[Path, typer.Option("--out", "-o", help="The .npz file to write.")],
    taps: Annotated[list[str], typer.Option("--tap", "-t", help="LAYER or LAYER:conv|norm|act; * and ? match.")] = [
        "*"
    ],
    preprocess: Preprocess = "",
    device: Device = "auto",
    fidelity: Fidelity = Fidelity.exact,
    memory: Memory = "",
) -> None:
    """Writes raw feature maps to a file, one array (N, C, *space) per tap."""
    with terminal.progress(Console(stderr=True)) as watch:
        maps = service.activations(
            service.load(model), _sources(inputs), taps, preprocess=preprocess, device=device,
            fidelity=fidelity.value, memory=_bytes(memory), watch=watch,
        )  # fmt: skip
    np.savez(out, allow_pickle=False, **maps)
    Console().print(f"{len(maps)} taps, {sum(m.nbytes for m in maps.values()) / 1e6:.1f} MB -> {out}")


@app.command()
def plugins(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with the schema of every parameter.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Lists the installed analyses, the broken ones with their reason."""
    infos = service.plugins()
    if as_json:
        print(json.dumps([_plugin_json(info) for info in infos], indent=2))
    else:
        terminal.print_plugins(infos, Console())


def _plugin_json(info: service.PluginInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "version": info.version,
        "kind": info.kind,
        "about": info.about,
        "distribution": info.distribution,
        "failure": info.failure,
        "params_schema": json.loads(info.params_schema),
    }


@app.command()
def serve(
    models: Annotated[Path, typer.Option(help="Folder of .onnx files to serve.", file_okay=False, exists=True)],
    data: Annotated[
        Path | None, typer.Option(help="Folder that audits may read from.", file_okay=False, exists=True)
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. There is no encryption and no log-in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 50051,
    allow_uploads: Annotated[bool, typer.Option(help="Let clients add models.")] = False,  # noqa: FBT002 - a flag
    device: Device = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Runs at a time.")] = 2,
    max_message_mib: Annotated[int, typer.Option(min=1, max=2047, help="Largest message that is read.")] = 64,
    memory: Annotated[
        str,
        typer.Option(
            help="What each run may take, such as 2GiB.", show_default="half of what there is, shared by the workers"
        ),
    ] = "",
) -> None:
    """Serves a folder of models over gRPC (inspector.v1, with health and reflection)."""
    serve_grpc(
        Settings(
            models=models,
            data=data,
            host=host,
            port=port,
            uploads=allow_uploads,
            device=device,
            workers=workers,
            max_receive_bytes=max_message_mib * MIB,
            memory=_bytes(memory),
        ),
        ready=lambda address: print(f"listening on {address}", flush=True),
    )


@app.command()
def demo(out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")] = Path("demo")) -> None:
    """Starts a server with the sample models, and a client that audits and inspects them; writes pictures."""
    run_demo(out, Console())


def _bytes(text: str) -> int | None:
    """`2GiB`, `500MB` or a number of bytes; None for nothing."""
    try:
        return int(TypeAdapter(ByteSize).validate_python(text)) if text else None
    except ValidationError as error:
        expected = "a size such as 2GiB or 500MB"
        raise ParameterError("memory", "it is no size", expected=expected, found=repr(text)) from error


def _sources(paths: Sequence[Path]) -> Any:
    """One path as itself, several as a list, none as None."""
    return paths[0] if len(paths) == 1 else (list(paths) or None)


def _show(report: Report, json_file: str, out: Path | None, rows: int) -> None:
    """Shows and writes a report, and ends with the exit code that it deserves."""
    if json_file and json_file != "-":
        Path(json_file).write_text(report_to_json(report), encoding="utf-8")
    saved = [] if out is None else save_report(report, out)
    if json_file == "-":
        print(report_to_json(report))
    else:
        terminal.print_report(report, Console(), max_rows=rows, saved=saved)
    if any(r.failure and r.failure.kind != "INAPPLICABLE" for r in report.results):
        raise typer.Exit(FAILED)
    if any(f.severity is Severity.ERROR for f in report.findings):
        raise typer.Exit(FOUND)
