"""Checks the inspector against PyTorch, convolution by convolution, over a zoo of architectures and both exporters.

For developers: needs torch, torchvision, timm and onnxscript, none of which the project itself needs. Each
architecture runs in a process of its own under a time limit, so that a crash or a hang is a row of the table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from zoo_check import EXPORTERS, Row, check
from zoo_nets import zoo
from zoo_table import document

RESULT = Path(__file__).resolve().parent.parent / "benchmarks" / "ZOO.md"
MARK = "zoo-row "
PACKAGES = ("torch", "torchvision", "timm", "onnx", "onnxscript", "onnx-ir", "onnxruntime")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the zoo, or one architecture of it; 1 where something differs without a stated reason."""
    options = _parser().parse_args(arguments)
    if options.worker:
        return _work(options.worker, options.exporter)
    rows = {(row.name, row.exporter): row for row in _earlier(options.json)}
    for row in _run(options.only or list(zoo()), options):
        rows[row.name, row.exporter] = row
        if options.json:
            options.json.write_text(json.dumps([vars(each) for each in rows.values()], indent=1))
    wanted = [(name, exporter) for name in zoo() for exporter in EXPORTERS]
    rows = [rows[key] for key in wanted if key in rows]
    text = document(rows, {name: version(name) for name in PACKAGES}, datetime.now(UTC).date().isoformat())
    print(text)
    if len(rows) == len(wanted):
        RESULT.write_text(text)
    return int(any(row.problems for row in rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(zoo()), help="these architectures alone")
    parser.add_argument("--exporter", choices=[*EXPORTERS, "both"], default="both")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default 2)")
    parser.add_argument("--limit", type=float, default=400, help="seconds per architecture (default 400)")
    parser.add_argument("--json", type=Path, help="rows of earlier runs, kept and added to: the zoo can run in parts")
    parser.add_argument("--worker", metavar="NAME", help=argparse.SUPPRESS)
    return parser


def _work(name: str, exporter: str) -> int:
    """One architecture, in this process: a marked line of JSON per exporter."""
    import torch  # noqa: PLC0415 - its threads are set before anything else uses it

    torch.set_num_threads(1)
    for each in EXPORTERS if exporter == "both" else [exporter]:
        print(MARK + json.dumps(vars(check(name, each))), flush=True)
    return 0


def _run(names: Sequence[str], options: argparse.Namespace) -> Iterator[Row]:
    """All rows, as they come, with a line of progress for each."""
    with ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(_architecture, name, options.exporter, options.limit) for name in names]
        for done, future in enumerate(as_completed(futures), 1):
            for row in future.result():
                state = f"{len(row.problems)} problems: {row.problems[0]}" if row.problems else "fine"
                print(
                    f"[{done}/{len(names)}] {row.name} {row.exporter}: {row.matched}/{row.torch}, {state}", flush=True
                )
                yield row


def _architecture(name: str, exporter: str, limit: float) -> list[Row]:
    """The rows of one architecture, from a process of its own."""
    command = [sys.executable, __file__, "--worker", name, "--exporter", exporter]
    start = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
        output, end = done.stdout, f"the process ended with {done.returncode}: {done.stderr.strip()[-200:]}"
    except subprocess.TimeoutExpired as error:
        output, end = (error.stdout or b"").decode(), f"took longer than {limit:g} s"
    rows = [_row(json.loads(line.removeprefix(MARK))) for line in output.splitlines() if line.startswith(MARK)]
    missing = [e for e in (EXPORTERS if exporter == "both" else [exporter]) if e not in {row.exporter for row in rows}]
    seconds = round(time.monotonic() - start, 1)
    return rows + [Row(name, each, problems=[end], seconds=seconds) for each in missing]


def _earlier(path: Path | None) -> list[Row]:
    return [_row(fields) for fields in json.loads(path.read_text())] if path and path.exists() else []


def _row(fields: dict[str, Any]) -> Row:
    counters = {name: Counter(fields[name]) for name in ("acts", "untapped", "reasons", "unseen")}
    return Row(**(fields | counters))


if __name__ == "__main__":
    sys.exit(main())
