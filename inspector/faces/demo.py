"""The main job on the samples that come with the inspector: a real server, and a real client of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape

from inspector.errors import RunError
from inspector.faces import terminal
from inspector.faces.files import REPORT, save_report
from inspector.faces.grpc.client import Client
from inspector.faces.wire import report_to_json
from inspector.report import Report
from inspector.samples import SAMPLES, Sample
from inspector.whole import write_whole

SHOWN_INPUTS: Final = 2
_ANNOUNCED: Final = "listening on "


def run_demo(out: Path, console: Console) -> None:
    """Audits and inspects every sample model over gRPC; writes reports and pictures below `out`."""
    folder = SAMPLES[0].model.parent
    with _server(folder, folder / "pictures") as address, Client(address) as client:
        models, analyses = len(client.models()), len(client.plugins())
        console.print(f"A server on {address} has {models} models and {analyses} analyses. This is a client of it.\n")
        for sample in SAMPLES:
            console.rule(f"{sample.name}: {sample.about}")
            terminal.print_report(_audit(client, sample, out), console, max_rows=12)
            report = _inspect(client, sample, out)
    write_whole(out / REPORT, report_to_json(report).encode())
    _say_where(out, console)


def _audit(client: Client, sample: Sample, out: Path) -> Report:
    """Over all pictures of the sample, which the server reads itself."""
    with terminal.progress(Console(stderr=True)) as watch:
        source = f"server:{sample.pictures.name}"
        report = client.audit(sample.name, source, preprocess=sample.preprocess, watch=watch)
        save_report(report, out / sample.name / "audit", watch)
    return report


def _inspect(client: Client, sample: Sample, out: Path) -> Report:
    """A few pictures, which the client sends."""
    with terminal.progress(Console(stderr=True)) as watch:
        report = client.inspect(sample.name, _some_pictures(sample), preprocess=sample.preprocess, watch=watch)
        save_report(report, out / sample.name / "inspect", watch)
    return report


@contextlib.contextmanager
def _server(models: Path, data: Path) -> Iterator[str]:
    """A server process on a free port; its address. Ended at the end."""
    command = [sys.executable, "-m", "inspector", "serve", "--models", str(models), "--data", str(data), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if _ANNOUNCED not in line:
                raise RunError("demo", "the server did not start", found=line.strip() or "no output")
            yield line.split(_ANNOUNCED)[1].split()[0]
        finally:
            process.terminate()


def _some_pictures(sample: Sample) -> list[Path]:
    """The first picture of the first few classes."""
    classes = sorted(p for p in sample.pictures.iterdir() if p.is_dir())
    return [min(folder.iterdir()) for folder in classes[:SHOWN_INPUTS]]


def _say_where(out: Path, console: Console) -> None:
    pictures = sorted(out.rglob("*.png"))
    console.rule("Where to look")
    reports, place = len(list(out.rglob(REPORT))), escape(str(out))
    console.print(f"{len(pictures)} pictures and {reports} reports below [bold]{place}[/], such as:")
    for path in (p for p in pictures if "filters" in p.name or "zero-fraction" in p.name):
        console.print(f"  {path}", soft_wrap=True, highlight=False, markup=False)
