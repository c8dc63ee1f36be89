"""Checks the inspector against Keras, convolution by convolution, over exporters of Keras, TensorFlow and TFLite.

For developers: needs keras, tensorflow-cpu and tf2onnx, none of which the project itself needs. Each net runs in a
process of its own under a time limit; benchmarks/ZOO_KERAS.md is written once there is a row of each.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": "tensorflow"}

from zoo_keras_check import EXPORTERS, OF_APPLICATIONS, Row, check
from zoo_keras_nets import NAMES, OWN

RESULT = Path(__file__).resolve().parent.parent / "benchmarks" / "ZOO_KERAS.md"
MARK = "zoo-row "
PACKAGES = ("keras", "tensorflow-cpu", "tf2onnx", "onnx", "onnx-ir", "onnxruntime")
_HEAD = (
    "net", "exporter", "convs in Keras", "found", "matched outputs", "max relative difference", "weights equal",
    "act taps (in Keras)", "not tapped", "counted", "seconds",
)  # fmt: skip
_ABOUT = """\
# Keras zoo

Written by `python tools/zoo_keras.py`. Random weights and statistics of normalisations, four inputs per net. Every
convolution that Keras executes is compared with the layer that the inspector finds in the exported file: operator,
geometry, weights, raw output (or that after bias or normalisation, which exporters fold), value after the activation.
*Matched* means within 0.0002 of the map's largest value (float16: 0.02; TFLite with rounded weights: nearest of all).
*Counted*: layers whose largest and mean values, and with real weights zeros and silent channels too, an audit gives as
NumPy counts them on Keras' values. *Unseen* is an activation that Keras has and no tap shows, with the inspector's
reason. Kinds of `tflite` went through `tf.lite.TFLiteConverter` and `tf2onnx --tflite`.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the zoo, or some nets of it; 1 where something differs without a stated reason."""
    options = _parser().parse_args(arguments)
    if options.worker:
        return _work(options.worker, options.exporter)
    rows = {(row.name, row.exporter): row for row in _earlier(options.json)}
    for name in options.only:
        rows |= {(row.name, row.exporter): row for row in _net(name, options)}
        if options.json:
            options.json.write_text(json.dumps([vars(row) for row in rows.values()], indent=1))
    wanted = [(name, exporter) for name in NAMES for exporter in _exporters(name, list(EXPORTERS))]
    if options.write or all(key in rows for key in wanted):
        RESULT.write_text(document([rows[key] for key in wanted if key in rows]))
    return int(any(row.problems for row in rows.values()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NET", choices=NAMES, default=NAMES, help="these nets alone")
    parser.add_argument("--exporter", nargs="+", choices=list(EXPORTERS), default=list(EXPORTERS))
    parser.add_argument("--limit", type=float, default=1800, help="seconds per net (default 1800)")
    parser.add_argument("--json", type=Path, help="rows of earlier runs, kept and added to: the zoo can run in parts")
    parser.add_argument("--write", action="store_true", help="write the page though not all nets ran, and name those")
    parser.add_argument("--worker", metavar="NET", help=argparse.SUPPRESS)
    return parser


def _work(name: str, exporters: Sequence[str]) -> int:
    """One net, in this process: a marked line of JSON per exporter."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    for exporter in exporters:
        print(MARK + json.dumps(vars(check(name, exporter))), flush=True)
    return 0


def _exporters(name: str, among: Sequence[str]) -> list[str]:
    return [exporter for exporter in among if name in OWN or exporter in OF_APPLICATIONS]


def _net(name: str, options: argparse.Namespace) -> list[Row]:
    """The rows of one net, from a process of its own."""
    exporters = _exporters(name, options.exporter)
    command = [sys.executable, __file__, "--worker", name, "--exporter", *exporters]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.limit, check=False)
        output, end = done.stdout, f"the process ended with {done.returncode}: {done.stderr.strip()[-200:]}"
    except subprocess.TimeoutExpired as error:
        output, end = (error.stdout or b"").decode(), f"took longer than {options.limit:g} s"
    lines = [line.removeprefix(MARK) for line in output.splitlines() if line.startswith(MARK)]
    rows = [Row(**json.loads(line)) for line in lines]
    rows += [Row(name, e, problems=[end]) for e in exporters if e not in {row.exporter for row in rows}]
    for row in rows:
        state = "; ".join([*row.problems, *row.reasons, *row.unseen]) or "fine"
        print(f"{name}, {row.exporter}: {row.matched}/{row.keras}, {row.seconds} s, {state}", flush=True)
    return rows


def _earlier(path: Path | None) -> list[Row]:
    return [Row(**fields) for fields in json.loads(path.read_text())] if path and path.exists() else []


def document(rows: Sequence[Row]) -> str:
    """The whole page: what was checked, totals, the table, then what is worth a word."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    ran = [row for row in rows if row.found]
    totals = (
        f"{len({row.name for row in rows})} nets, {len(ran)} files that could be exported and loaded: "
        f"{sum(row.keras for row in ran)} convolutions in Keras, {sum(row.found for row in ran)} found, "
        f"{sum(row.matched for row in ran)} outputs matched, {sum(sum(row.acts.values()) for row in ran)} act taps, "
        f"{sum(row.counted for row in ran)} of them counted, {sum(sum(row.unseen.values()) for row in ran)} unseen, "
        f"{sum(len(row.problems) for row in rows)} problems."
    )
    lines = [_ABOUT, f"{datetime.now(UTC).date().isoformat()}; {packages}.", "", totals, ""]
    missing = [name for name in NAMES if name not in {row.name for row in rows}]
    lines += [f"Not run this time: {', '.join(missing)}.", ""] if missing else []
    lines += ["| " + " | ".join(_HEAD) + " |", "|" + " --- |" * len(_HEAD)]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    for title, what in (("Stated reasons", "reasons"), ("Unseen", "unseen"), ("Problems", "problems")):
        lines += ["", f"## {title}", "", *(_notes(rows, what) or ["None."])]
    return "\n".join([*lines, ""])


def _cells(row: Row) -> list[str]:
    if not row.found:
        return [row.name, row.exporter, str(row.keras), *["-"] * 7, f"{row.seconds:g}"]
    return [
        row.name,
        row.exporter,
        *(str(n) for n in (row.keras, row.found, row.matched)),
        f"{row.worst:.1e}",
        str(row.weights),
        _listed(row.acts),
        _listed(row.untapped),
        str(row.counted),
        f"{row.seconds:g}",
    ]


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in Counter(counts).most_common()) or "none"


def _notes(rows: Iterable[Row], what: str) -> list[str]:
    """One line for all exporters of a net that have the same to say."""
    said: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for text in getattr(row, what):
            said.setdefault((row.name, text), []).append(row.exporter)
    return [f"- {name}, {', '.join(exporters)}: {text}" for (name, text), exporters in said.items()]


if __name__ == "__main__":
    sys.exit(main())
