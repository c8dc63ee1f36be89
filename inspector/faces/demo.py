"""The main job on the samples that come with the inspector: a real server, and a real client of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console

from inspector.errors import RunError
from inspector.faces import terminal
from inspector.faces.files import save_pictures
from inspector.faces.grpc.client import Client
from inspector.faces.wire import report_to_json
from inspector.report import Report
from inspector.samples import SAMPLES, Sample

SHOWN_INPUTS: Final = 2
_ANNOUNCED: Final = "listening on "


def run_demo(out: Path, console: Console) -> None:
    """Audits and inspects every sample model over gRPC; writes pictures and reports below `out`."""
    folder = SAMPLES[0].model.parent
    with _server(folder, folder / "pictures") as address, Client(address) as client:
        console.print(
            f"[bold]Server[/] on {address} with {len(client.models())} models and "
            f"{len(client.plugins())} analyses; this is a client of it.\n"
        )
        for sample in SAMPLES:
            console.rule(f"{sample.name}: {sample.about}")
            with terminal.progress(Console(stderr=True)) as watch:
                audit = client.audit(
                    sample.name, f"server:{sample.pictures.name}", preprocess=sample.preprocess, watch=watch
                )
            terminal.print_report(audit, console, max_rows=12)
            _write(audit, out / sample.name / "audit")
            with terminal.progress(Console(stderr=True)) as watch:
                report = client.inspect(sample.name, _some_pictures(sample), preprocess=sample.preprocess, watch=watch)
            _write(report, out / sample.name / "inspect")
            if sample is SAMPLES[-1]:
                (out / "report.json").write_text(report_to_json(report))
    _say_where(out, console)


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


def _write(report: Report, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report_to_json(report))
    save_pictures(report, folder)


def _say_where(out: Path, console: Console) -> None:
    pictures = sorted(out.rglob("*.png"))
    console.rule("Where to look")
    console.print(
        f"{len(pictures)} pictures and {len(list(out.rglob('report.json')))} reports below [bold]{out}[/], such as:"
    )
    for path in (p for p in pictures if "filters" in p.name or "zero-fraction" in p.name):
        console.print(f"  {path}", soft_wrap=True, highlight=False)
