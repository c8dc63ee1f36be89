"""The container files, as far as they can be checked without an engine; the health check against a real server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from inspector.faces import cli
from inspector.faces.grpc.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
COMPOSE = (DEPLOY / "compose.yaml").read_text("utf-8")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
BASE = "python:3.12-slim-bookworm"


@pytest.fixture(params=["cpu", "gpu"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def instructions(kind: str) -> Iterator[tuple[str, str]]:
    """Instructions of a Dockerfile and their arguments, continued lines joined, without comments."""
    text = (DEPLOY / f"Dockerfile.{kind}").read_text("utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            yield word, rest


def of(kind: str, word: str) -> list[str]:
    return [rest for found, rest in instructions(kind) if found == word]


def copied(kind: str) -> list[str]:
    """Paths of the repository that an image copies."""
    return [path for rest in of(kind, "COPY") if not rest.startswith("--from") for path in rest.split()[:-1]]


def test_both_stages_have_the_same_pinned_base(kind: str) -> None:
    assert [rest.split()[0] for rest in of(kind, "FROM")] == [BASE, BASE]
    assert "latest" not in (DEPLOY / f"Dockerfile.{kind}").read_text("utf-8") + COMPOSE


def test_everything_that_is_copied_exists_and_the_build_may_see_it(kind: str) -> None:
    assert copied(kind)
    assert [path for path in copied(kind) if not (ROOT / path).exists()] == []
    rules = (DEPLOY / f"Dockerfile.{kind}.dockerignore").read_text("utf-8").splitlines()
    assert rules[1] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == set(copied(kind))


def test_a_wheel_can_be_built_of_what_is_copied(kind: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    needed = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert [p for p in (*needed, *packages) if not any(Path(p).is_relative_to(c) for c in copied(kind))] == []


def test_each_image_installs_its_own_runtime_in_pinned_versions(kind: str) -> None:
    (install,) = [rest for rest in of(kind, "RUN") if "[" in rest and "pip install" in rest]
    assert f"[{kind}]" in install
    assert "--constraint constraints.txt" in install


def test_the_last_word_on_the_user_is_a_number_that_is_not_root(kind: str) -> None:
    assert of(kind, "USER")[-1] == "10001:10001"
    assert list(instructions(kind))[-1][0] == "ENTRYPOINT"


def test_the_command_has_the_options_that_the_image_gives_it(kind: str) -> None:
    command = json.loads(of(kind, "ENTRYPOINT")[0])
    assert command[:6] == ["inspector", "serve", "--host", "0.0.0.0", "--models", "/models"]
    serve = typer.main.get_command(cli.app).commands["serve"]  # type: ignore[attr-defined]
    options = {name for parameter in serve.params for name in parameter.opts}
    given = {word for word in [*command, *re.findall(r"--data", COMPOSE)] if word.startswith("--")}
    assert given <= options
    (port,) = [parameter.default for parameter in serve.params if parameter.name == "port"]
    assert of(kind, "EXPOSE") == [str(port)]
    assert f'"127.0.0.1:{port}:{port}"' in COMPOSE


def test_versions_of_images_are_that_of_the_project(kind: str) -> None:
    assert f"image: onnx-inspector:{VERSION}-{kind}\n" in COMPOSE
    assert f"dockerfile: deploy/Dockerfile.{kind}\n" in COMPOSE
    assert f"--tag onnx-inspector:{VERSION}-{kind} ." in (DEPLOY / f"Dockerfile.{kind}").read_text("utf-8")


def test_the_compose_file_confines_the_server() -> None:
    for line in ("read_only: true", 'cap_drop: ["ALL"]', 'security_opt: ["no-new-privileges:true"]', "mem_limit: "):
        assert f"\n  {line}" in COMPOSE
    assert COMPOSE.count("<<: *server") == 2
    assert re.findall(r"ports:\n\s+- \"([\d.]+):", COMPOSE) == ["127.0.0.1"]
    assert [line for line in COMPOSE.splitlines() if ":/models" in line or ":/data" in line] == [
        line for line in COMPOSE.splitlines() if line.endswith(':ro"')
    ]
    for folder in re.findall(r":-([./\w]+)}", COMPOSE):
        assert (DEPLOY / folder).is_dir()


def test_the_temporary_folder_holds_the_merges_of_all_workers() -> None:
    (size,) = re.findall(r'tmpfs: \["/tmp:size=(\d+)g"\]', COMPOSE)
    settings = Settings(ROOT)
    assert int(size) << 30 >= 2 * settings.workers * settings.max_summary_bytes  # the files, and their union


def test_the_compose_file_is_yaml() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not among the tools of this project")
    services = yaml.safe_load(COMPOSE)["services"]
    assert services["cpu"]["read_only"] is True
    assert services["gpu"]["profiles"] == ["gpu"]


def test_the_readme_says_that_images_are_not_built_here() -> None:
    assert "not built in continuous integration" in (DEPLOY / "README.md").read_text("utf-8")


def test_the_health_check_says_yes_while_the_server_serves_and_no_afterwards(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inspector", "serve", "--models", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().removeprefix("listening on ").strip()
        check = [sys.executable, str(DEPLOY / "healthcheck.py"), address]
        try:
            assert subprocess.run(check, check=False).returncode == 0
        finally:
            process.terminate()
    assert subprocess.run(check, check=False).returncode == 1
