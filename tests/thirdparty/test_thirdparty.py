"""A plugin of somebody else, in a distribution of its own: installed, listed, run over gRPC, shown in the report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector import service
from inspector.faces.grpc.client import Client
from inspector.samples import SAMPLES

SOURCE = Path(__file__).parent / "brightest"
DIGITS = SAMPLES[0]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The plugin installed by pip, beside this environment's own packages; whoever has the variables sees it."""
    site = tmp_path_factory.mktemp("site")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(site), str(SOURCE)], check=True, capture_output=True)
    return {**os.environ, "PYTHONPATH": str(site)}


@pytest.fixture(scope="module")
def address(environment: dict[str, str]) -> Iterator[str]:
    """A server that has the plugin."""
    command = [sys.executable, "-m", "inspector", "serve", "--models", str(DIGITS.model.parent), "--port", "0"]
    command += ["--data", str(DIGITS.pictures.parent)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split()[-1]
        server.terminate()


def test_its_source_is_as_short_as_promised() -> None:
    lines = (SOURCE / "src/inspector_brightest.py").read_text().splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 40


def test_the_command_lists_it_and_the_broken_one_with_its_reason(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "inspector", "plugins", "--json"]
    listed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    infos = {info["name"]: info for info in json.loads(listed.stdout)}
    assert infos["brightest"]["kind"] == "measured"
    assert infos["brightest"]["distribution"] == "inspector-brightest"
    assert infos["brightest"]["failure"] == ""
    assert "inspector_brightest_missing" in infos["broken"]["failure"]
    assert infos["sparsity"]["failure"] == ""


def test_it_runs_over_grpc_and_shows_in_the_report(address: str) -> None:
    with Client(address) as client:
        assert {p.name: p.version for p in client.plugins()}["brightest"] == "0.3"
        report = client.audit("digits", "server:digits", ["brightest", "sparsity"], preprocess="unit")
    (table,) = report.result("brightest").blocks
    maps = service.activations(DIGITS.model, DIGITS.pictures, preprocess="unit")
    for layer, channel, mean in table.rows:
        means = maps[f"{layer}:act"].mean((0, 2, 3))
        assert channel == int(means.argmax())
        assert mean == pytest.approx(float(means.max()), rel=1e-5)
    assert len(table.rows) == 3
    assert report.result("sparsity").failure is None


def test_one_that_cannot_be_imported_is_an_error_of_the_request_alone(address: str) -> None:
    with Client(address) as client:
        with pytest.raises(Exception, match="cannot be imported"):
            client.audit("digits", "server:digits", ["broken"], preprocess="unit")
        assert client.audit("digits", "server:digits", ["sparsity"], preprocess="unit").ok
