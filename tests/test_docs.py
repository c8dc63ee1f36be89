"""The documentation is run: its commands, its code, its calls; and compared with what it describes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_health.v1 import health_pb2  # noqa: F401 - makes the health service known to the descriptor pool
from models import SAME, model, numbers

import inspector
from inspector._proto.inspector.v1 import inspector_service_pb2, run_event_pb2
from inspector.analysis import registry
from inspector.analysis.plan import MAX_ANALYSES
from inspector.analysis.registry import MAX_TEXT
from inspector.errors import InspectorError
from inspector.faces import cli
from inspector.faces.grpc.answers import MAX_LOOKUP
from inspector.faces.grpc.errors import code_of
from inspector.faces.grpc.server import PING_MS
from inspector.faces.grpc.settings import MIB, Settings
from inspector.faces.wire_check import MAX_FIELDS
from inspector.faces.wire_request import MAX_ID
from inspector.graph.taps import MOST_PATTERNS
from inspector.runtime.memory import SHARE
from inspector.runtime.preprocess import PRESETS

ROOT = Path(__file__).resolve().parent.parent
README, GUIDE = ROOT / "README.md", ROOT / "docs" / "writing-plugins.md"
NUMBERS, GRPC = ROOT / "docs" / "numbers.md", ROOT / "docs" / "grpc.md"
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").glob("*.md"), ROOT / "protos/README.md"]
)
DECISIONS = sorted((ROOT / "docs" / "adr").glob("*.md"))
ADDRESS = "localhost:50051"
SAMPLES = "inspector/samples"


def fenced(page: Path, language: str = "") -> list[str]:
    """The contents of a page's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def lines_of(page: Path, command: str) -> list[str]:
    """The lines of a page's shell blocks that run a command, continued lines joined."""
    blocks = fenced(page, "bash") + fenced(page)
    lines = [line for block in blocks for line in block.replace("\\\n", "").splitlines()]
    return [line for line in lines if line.startswith(f"{command} ")]


def modules(page: Path) -> dict[str, str]:
    """Python blocks that begin with a comment that is a file's name, by that name."""
    found = (re.match(r"# (\w+\.py)\n", block) for block in fenced(page, "python"))
    return {match[1]: match.string for match in found if match}


def section(page: Path, heading: str) -> str:
    """What stands below a heading of a page, up to the next one."""
    return page.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows_of(page: Path, heading: str = "") -> list[list[str]]:
    """Cells of all tables of a page, or of those below a heading, without their head rows."""
    part = section(page, heading) if heading else page.read_text("utf-8")
    lines = [line for line in part.splitlines() if line.startswith("|")]
    heads = {i + step for i, line in enumerate(lines) if line.startswith("|---") for step in (-1, 0)}
    return [[c.strip() for c in line.strip("|").split("|")] for i, line in enumerate(lines) if i not in heads]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in, where the samples have the paths that the pages give them."""
    (tmp_path / "inspector").symlink_to(ROOT / "inspector")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The server that the README starts, on a free port."""
    arguments = shlex.split(next(line for line in lines_of(README, "inspector") if " serve " in line))[1:]
    command = [sys.executable, "-m", "inspector", *arguments, "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().removeprefix("listening on ").strip()
        finally:
            process.terminate()


@pytest.fixture
def installed(place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[str]]:
    """Makes the plugins of a page importable and known as if they were installed; gives their names."""

    def install(page: Path) -> list[str]:
        points = list(registry._points())
        names = []
        for file, code in modules(page).items():
            (place / file).write_text(code, "utf-8")
            monkeypatch.delitem(sys.modules, file.removesuffix(".py"), raising=False)
            match = re.search(r"^class (\w+):", code, re.MULTILINE)
            if match:
                names.append(match[1].lower())
                points.append(EntryPoint(names[-1], f"{file.removesuffix('.py')}:{match[1]}", registry.GROUP))
        monkeypatch.syspath_prepend(place)
        monkeypatch.setattr(registry, "_points", lambda: tuple(points))
        return names

    return install


def table(report: inspector.Report) -> inspector.Table:
    assert report.results[0].failure is None, report.results[0].failure
    block = report.results[0].blocks[0]
    assert isinstance(block, inspector.Table)
    return block


# ------------------------------------------------------------------------------------------------ the README


@pytest.mark.parametrize("line", [x for x in lines_of(README, "inspector") if " serve " not in x])
def test_a_command_of_the_readme_runs(line: str, place: Path) -> None:
    assert cli.main(shlex.split(line, comments=True)[1:]) == 0


def test_the_output_that_the_readme_shows_is_what_comes_out(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["audit", f"{SAMPLES}/digits_hot.onnx", "-d", f"{SAMPLES}/pictures/digits", "-p", "unit"])
    printed = " ".join(capsys.readouterr().out.split())
    (excerpt,) = fenced(README, "text")
    missing = [
        line for line in excerpt.splitlines() if not set(line) <= {"─"} and " ".join(line.split()) not in printed
    ]
    assert missing == []


def test_the_python_examples_of_the_readme_run(place: Path, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    examples = [block for block in fenced(README, "python") if not block.startswith("# ")]
    assert len(examples) == 2
    for block in examples:
        exec(compile(block.replace(ADDRESS, address), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    for comment in re.findall(r"print\(.*\)  # (.+)", "".join(examples)):
        assert comment in printed


def test_the_readme_has_a_plugin_of_20_lines_that_says_what_maps_say(
    installed: Callable[[Path], list[str]],
) -> None:
    (name,) = installed(README)
    (code,) = modules(README).values()
    assert len([line for line in code.splitlines() if line]) <= 20
    model, pictures = f"{SAMPLES}/digits.onnx", f"{SAMPLES}/pictures/digits/3"
    shown = dict(table(inspector.audit(model, pictures, [name], preprocess="unit")).rows)
    maps = inspector.activations(model, pictures, preprocess="unit")
    assert list(shown) == list(maps)
    np.testing.assert_allclose(list(shown.values()), [m.max() for m in maps.values()], rtol=1e-5)


# ------------------------------------------------------------------------------------------------ the plugin guide


def test_every_kind_of_plugin_of_the_guide_runs(installed: Callable[[Path], list[str]]) -> None:
    names = installed(GUIDE)
    assert {registry.kind_of(registry._load(p)) for p in registry._points() if p.name in names} == {
        "static",
        "measured",
        "explored",
    }
    layers = len(inspector.load(f"{SAMPLES}/digits.onnx").layers)
    for name in names:
        report = inspector.audit(f"{SAMPLES}/digits.onnx", f"{SAMPLES}/pictures/digits/3", [name], preprocess="unit")
        assert len(table(report).rows) == layers


def test_the_static_plugin_of_the_guide_counts_parameters(installed: Callable[[Path], list[str]]) -> None:
    installed(GUIDE)
    rows = table(inspector.inspect(f"{SAMPLES}/digits.onnx", None, ["size"])).rows
    assert dict(rows)["conv1"] == 8 * 1 * 5 * 5 + 8


def test_the_explored_plugin_of_the_guide_finds_no_change_in_a_symmetric_input(
    installed: Callable[[Path], list[str]],
) -> None:
    installed(GUIDE)
    half = np.random.default_rng(0).random((1, 1, 16, 8), np.float32)
    symmetric = np.concatenate([half, half[..., ::-1]], axis=-1)
    model = inspector.load(f"{SAMPLES}/digits.onnx")
    maps = inspector.activations(model, symmetric)
    rows = dict(table(inspector.inspect(model, symmetric, ["mirror"])).rows)
    for name, values in maps.items():  # both runs see one input, so only the mirroring of the maps is left
        expected = np.abs(values[..., ::-1] - values).mean() / np.abs(values).mean()
        assert rows[name] == pytest.approx(expected, rel=1e-5)


def test_the_distribution_of_the_guide_is_built_installed_and_tested_from_the_page_alone(tmp_path: Path) -> None:
    """With its second analysis added as the page says; the tests run in a folder of their own, away from a checkout."""
    source, site, elsewhere = (tmp_path / name for name in ("source", "site", "elsewhere"))
    files = modules(GUIDE)
    (toml,), (line,) = fenced(GUIDE, "toml"), re.findall(r"`(firing = .*?)`", GUIDE.read_text("utf-8"))
    shipped = ("size_plugin.py", "firing_plugin.py")
    files["pyproject.toml"] = toml.replace('"size_plugin.py"', ", ".join(f'"{name}"' for name in shipped)) + line
    for folder, names in {source: [*shipped, "pyproject.toml"], elsewhere: ["test_firing.py"]}.items():
        folder.mkdir()
        for name in names:
            (folder / name).write_text(files[name], "utf-8")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(site), str(source)], check=True, capture_output=True)
    assert {path.name for path in site.glob("*.py")} == set(shipped)
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    settings["PYTHONPATH"] = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    tests = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    ran = subprocess.run(tests, cwd=elsewhere, env=settings, capture_output=True, text=True, check=False)
    assert "2 passed" in ran.stdout, ran.stdout


@pytest.mark.parametrize("page", [README, GUIDE])
def test_entry_points_of_a_page_name_classes_that_are_there(page: Path) -> None:
    (text,) = fenced(page, "toml")
    for name, value in tomllib.loads(text)["project"]["entry-points"][registry.GROUP].items():
        module, _, kind = value.partition(":")
        assert re.search(rf"^class {kind}:", modules(page)[f"{module}.py"], re.MULTILINE)
        assert f'"{name}"' in modules(page)[f"{module}.py"]


def test_the_vocabulary_of_the_guide_is_that_of_ops() -> None:
    (start,) = [i for i, row in enumerate(rows_of(GUIDE)) if row[0].startswith("`abs(")]
    words = [re.match(r"`(\w+)\(", row[0]) for row in rows_of(GUIDE)[start:]]
    listed = {match[1] for match in words if match}
    assert listed == {name for name in vars(inspector.Ops) if not name.startswith("_")}


# ------------------------------------------------------------------------------------------------ the numbers


def bounded_net() -> bytes:
    weights = {"w": numbers(4, 3, 3, 3)}
    return model(f"[c] a = Conv {SAME} (x, w) y = Sigmoid(a)", weights=weights)


@pytest.mark.parametrize(
    "analysis", ["sparsity", "activations", "filters", "connectivity", "distribution", "selectivity"]
)
def test_every_column_is_defined_and_every_definition_is_a_column(analysis: str) -> None:
    if analysis == "distribution":  # all its columns are there where the activation has bounds
        (result,) = inspector.inspect(bounded_net(), numbers(2, 3, 6, 5), [analysis]).results
    else:
        patches, photos = f"{ROOT}/{SAMPLES}/patches.onnx", f"{ROOT}/{SAMPLES}/pictures/photos"
        (result,) = inspector.inspect(patches, photos, [analysis], preprocess="signed").results
    tables = [block for block in result.blocks if isinstance(block, inspector.Table)]
    text = NUMBERS.read_text("utf-8")
    assert tables
    assert [t.title for t in tables if f"\n**{t.title}**\n" not in text] == []
    defined = {name for row in rows_of(NUMBERS, analysis) if len(row) == 3 for name in names_in(row[0])}
    rules = {name for name in defined if "/" in name}
    assert defined - rules == {column.name for t in tables for column in t.columns}


def test_every_rule_is_defined_and_every_definition_is_a_rule() -> None:
    sources = [path.read_text("utf-8") for path in (ROOT / "plugins" / "inspector_plugins").glob("*.py")]
    raised = {rule for text in sources for rule in re.findall(r'rule="(\w+/[\w-]+)"', text)}
    from inspector_plugins._sparsity_view import _REMEDIES

    from inspector.policy.compare import RULES

    raised |= {f"sparsity/{rule}" for rule in _REMEDIES} | set(RULES)
    defined = {name for row in rows_of(NUMBERS) for name in names_in(row[0]) if re.fullmatch(r"\w+/[\w-]+", name)}
    assert defined == raised


# ------------------------------------------------------------------------------------------------ gRPC


@pytest.mark.parametrize("line", lines_of(README, "grpcurl") + lines_of(GRPC, "grpcurl"))
def test_a_grpcurl_line_is_a_call_that_the_server_answers(line: str, address: str) -> None:
    words = shlex.split(line)
    assert words[-2] == ADDRESS
    service, _, name = words[-1].partition("/")
    method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    request = json_format.Parse(words[words.index("-d") + 1], message_factory.GetMessageClass(method.input_type)())
    answer = message_factory.GetMessageClass(method.output_type)
    with grpc.insecure_channel(address) as channel:
        call = channel.stream_stream(f"/{words[-1]}", type(request).SerializeToString, answer.FromString)
        answers = list(call(iter([request])))
    assert answers
    if method.server_streaming:
        assert answers[-1].event.end.ok


def test_the_methods_of_the_page_are_those_of_the_service() -> None:
    service = inspector_service_pb2.DESCRIPTOR.services_by_name["InspectorService"]
    rows = {names_in(row[0])[0]: row[1] for row in rows_of(GRPC, "Methods")}
    kinds = {
        m.name: f"{'stream' if m.client_streaming else 'one'} → {'stream' if m.server_streaming else 'one'}"
        for m in service.methods
    }
    assert rows == kinds


def test_the_events_of_the_page_are_those_of_a_run() -> None:
    kinds = {field.name for field in run_event_pb2.RunEvent.DESCRIPTOR.oneofs_by_name["kind"].fields}
    assert kinds <= set(names_in(section(GRPC, "Reading a report")))


def test_the_reasons_of_the_page_are_those_of_the_errors_with_their_codes() -> None:
    rows = {names_in(row[0])[0]: row[1].strip("`") for row in rows_of(GRPC, "Errors")}
    kinds = {kind.reason: kind for kind in _all_kinds(InspectorError) if kind.__module__.startswith("inspector.")}
    assert set(rows) == set(kinds)
    for reason, code in rows.items():
        assert code == (code_of(kinds[reason]("", "")).name if reason != "UNREACHABLE" else ""), reason


def _all_kinds(kind: type[InspectorError]) -> Iterator[type[InspectorError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _all_kinds(child)


def test_the_limits_of_the_page_are_those_of_the_settings() -> None:
    settings, rows = Settings(models=ROOT), {row[0]: row[1] for row in rows_of(GRPC, "Limits")}
    assert rows == {
        "message to the server": f"{settings.max_receive_bytes // MIB} MiB, unpacked",
        "message of a method that runs nothing": f"{MAX_LOOKUP >> 10} KiB",
        "fields of a message, numbers in `shape` included": f"{MAX_FIELDS:,}",
        "calls at a time, of all kinds": f"{settings.calls}, then `RESOURCE_EXHAUSTED` without details",
        "calls whose first messages arrive at a time": f"{settings.readers}; others wait their turn",
        "runs at a time": str(settings.workers),
        "memory of a run, by estimate": f"{SHARE:.0%} of what there is, shared by workers",
        "runs that wait": str(settings.queue),
        "uploaded model": f"{settings.max_model_bytes // (1024 * MIB)} GiB",
        "inputs of `Inspect`": str(inspector.service.MAX_INSPECTED),
        "analyses of a run": f"{MAX_ANALYSES}, each of at most {MAX_TEXT:,} characters",
        "inputs that share a run (`batch_size`)": f"{inspector.service.MAX_BATCH:,}, and what fits into the memory",
        "patterns of taps": f"{MOST_PATTERNS:,} different ones",
        "summaries to merge, all together": f"{settings.max_summary_bytes // MIB} MiB",
        "pings of a connection, with a call or without": f"one in {PING_MS / 1000:g} s",
        "silence of a client that sends, or that has to read": f"{settings.patience:g} s",
        "characters of an input's `id` in reports": str(MAX_ID),
        "time of the trial of a new model": f"{settings.trial_seconds:g} s",
        "memory of that, beside 8 times its file": f"{settings.trial_mib} MiB",
        "runs may go on after SIGTERM for": f"{settings.grace:g} s",
    }


# ------------------------------------------------------------------------------------------------ all pages


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_paths_of_a_page_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    top = "inspector|plugins|protos|docs|tests|deploy|tools"
    paths = [name for name in names_in(text) if re.fullmatch(rf"(?:{top})/[\w./-]*", name)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_make_targets_and_presets_of_a_page_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert named <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for name in re.findall(r"--preprocess (\w+)", text):
        assert name in PRESETS


def test_pictures_are_small() -> None:
    pictures = list((ROOT / "docs" / "img").iterdir())
    assert pictures
    assert [p.name for p in pictures if p.stat().st_size > 60_000] == []


def test_decisions_are_numbered_without_gaps_and_have_four_parts() -> None:
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    for number, path in enumerate(DECISIONS, 1):
        text = path.read_text("utf-8")
        assert text.startswith(f"# {number}. ")
        assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == ["Context", "Decision", "Rejected", "Consequences"]
