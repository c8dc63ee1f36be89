"""The page about pipelines: its commands run, its policy is one, its recipes name what there is."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import pytest
import typer.main
from test_docs import fenced, lines_of, names_in, place, rows_of  # noqa: F401 - a fixture is used by its name

from inspector import service
from inspector.faces import cli
from inspector.faces.exports import FORMATS
from inspector.policy.load import builtins, load_policy
from inspector.policy.rules import NUMBERS, TEXTS, Override, Rule

PAGE = Path(__file__).resolve().parent.parent / "docs" / "pipelines.md"
SAMPLES = "inspector/samples"


def recipe_lines() -> list[str]:
    """The commands inside of the page's recipes for pipelines."""
    blocks = [block.replace("\\\n", " ") for block in fenced(PAGE, "yaml")]
    return [
        match for block in blocks for match in re.findall(r"^[ \w-]*?(?:cmd: )?(inspector .*)$", block, re.MULTILINE)
    ]


def test_the_commands_of_the_page_run_one_after_the_other(place: Path) -> None:  # noqa: F811 - the fixture
    lines = lines_of(PAGE, "inspector")
    assert [shlex.split(line)[1] for line in lines] == ["audit", "check", "audit", "compare"]
    for line in lines:
        assert cli.main(shlex.split(line)[1:]) == 0, line


def test_the_same_in_python_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811 - the fixture
    (code,) = (block for block in fenced(PAGE, "python") if "write_report" in block)
    exec(compile(code, "page", "exec"), {})
    assert capsys.readouterr().out.strip() == code.rpartition("  # ")[2].strip()
    assert {path.name for path in place.iterdir()} >= {"digits.json", "digits.xml", "digits"}


def test_the_policy_of_the_page_judges_the_samples(tmp_path: Path) -> None:
    text, _ = fenced(PAGE, "toml")
    (tmp_path / "ours.toml").write_text(text)
    verdicts = {}
    for name in ("digits", "digits_hot"):
        report = service.audit(
            f"{SAMPLES}/{name}.onnx", f"{SAMPLES}/pictures/digits", policies=[tmp_path / "ours.toml"], preprocess="unit"
        )
        verdicts[name] = {f.rule for f in report.findings if f.rule.startswith("policy/")}
    assert verdicts == {"digits": set(), "digits_hot": {"policy/early-layers-live", "policy/active-channels"}}


def test_the_findings_of_the_page_count_as_it_says(tmp_path: Path) -> None:
    _, text = fenced(PAGE, "toml")
    (tmp_path / "ours.toml").write_text(text)
    report = service.audit(
        f"{SAMPLES}/digits_hot.onnx", f"{SAMPLES}/pictures/digits", policies=[tmp_path / "ours.toml"], preprocess="unit"
    )
    assert {f.layer: f.standing for f in report.findings} == {
        "conv1": "ignored (was warning)",
        "conv2": "warning",
        "conv3": "error (was warning)",
    }
    assert {names_in(row[0])[0] for row in rows_of(PAGE, "Findings that count otherwise")} == {
        field.name for field in dataclasses.fields(Override)
    }


def test_the_page_lists_the_policies_the_keys_and_the_formats_that_there_are() -> None:
    assert {names_in(row[0])[0] for row in rows_of(PAGE, "Policies") if "builtin:" in row[0]} == {
        f"builtin:{name}" for name in builtins()
    }
    keys = {name: row[1] for row in rows_of(PAGE, "Policies") for name in names_in(row[0]) if ":" not in name}
    assert keys.keys() == {field.name for field in dataclasses.fields(Rule)}
    named = re.findall(r"\w+", keys["report"].partition("`report`: ")[2])
    assert set(named) - {"numbers", "or", "texts"} == {*NUMBERS, *TEXTS}
    assert {names_in(row[0])[0] for row in rows_of(PAGE, "Files for other programs")} == set(FORMATS)


def test_every_metric_of_a_built_in_policy_is_declared() -> None:
    from inspector.policy.compare import METRICS

    declared = {f"{info.name}.{m.name}" for info in service.plugins() for m in info.metrics}
    declared |= {f"compare.{m.name}" for m in METRICS}
    named = {rule.metric for name in builtins() for rule in load_policy(f"builtin:{name}").rules if rule.metric}
    assert named <= declared


@pytest.mark.parametrize("line", recipe_lines())
def test_a_command_of_a_recipe_has_options_that_there_are(line: str) -> None:
    words = shlex.split(line.replace("$GITHUB_STEP_SUMMARY", "summary.md"))[1:]
    group = typer.main.get_command(cli.app)
    with group.make_context("inspector", list(words)) as context:
        name, command, rest = group.resolve_command(context, words)  # type: ignore[attr-defined]
        parsed = command.make_context(name, rest, parent=context).params
    assert name in {"audit", "compare"}
    assert parsed.get("policies", []) in (["policy.toml"], ["builtin:unchanged"], [])


def test_there_is_a_recipe_for_every_system_that_the_page_names() -> None:
    assert len(fenced(PAGE, "yaml")) == len(
        re.findall(r"^\*\*(GitHub Actions|GitLab|DVC)\*\*$", PAGE.read_text(), re.MULTILINE)
    )
    assert len(recipe_lines()) == 4
