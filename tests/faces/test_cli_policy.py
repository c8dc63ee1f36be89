"""Policies and comparisons at the command line: exit codes, files for pipelines, mistakes said before anything runs."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from inspector import service
from inspector.errors import NotFoundError
from inspector.faces.cli import main
from inspector.faces.wire import report_from_json
from inspector.policy.rules import Policy, Rule
from inspector.samples import SAMPLES, Sample

DIGITS, HOT, PATCHES = SAMPLES
Capture = pytest.CaptureFixture[str]
JUDGES = ("release", "dormant", "sparsity")


def audit(model: Path, *options: str) -> int:
    return main(["audit", str(model), "-d", str(DIGITS.pictures), "-p", "unit", *options])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sample], Path]:
    """Reports of whole audits, made once."""
    folder = tmp_path_factory.mktemp("reports")

    def file(sample: Sample) -> Path:
        path = folder / f"{sample.name}.json"
        if not path.exists():
            options = ("-a", "sparsity", "-a", "filters", "-a", "connectivity", "--json", str(path))
            assert audit(sample.model, *options) == 0
        return path

    return file


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize(("sample", "code"), [(DIGITS, 0), (HOT, 1)], ids=["digits", "digits_hot"])
def test_a_policy_passes_the_sane_model_and_stops_the_other(
    judge: str, sample: Sample, code: int, capsys: Capture, stored: Callable[[Sample], Path]
) -> None:
    assert main(["check", str(stored(sample)), "--policy", f"builtin:{judge}"]) == code
    assert ("ERROR" in capsys.readouterr().out) is bool(code)


def test_an_audit_with_policies_runs_what_they_need_and_ends_with_their_verdict(
    capsys: Capture, tmp_path: Path
) -> None:
    policies = [word for name in ("release", "weights") for word in ("--policy", f"builtin:{name}")]
    for sample, code in ((DIGITS, 0), (HOT, 1)):
        file = tmp_path / "report.json"
        assert audit(sample.model, *policies, "--json", str(file)) == code
        report = report_from_json(file.read_text())
        assert [r.name for r in report.results] == ["sparsity", "filters", "policy"]
        assert report.ok is (code == 0)
    assert "policy/dead-filters" in capsys.readouterr().out


def changed_filter(file: Path, change: Callable[[Any], Any]) -> Path:
    """The digit reader with another filter 5 in its second layer."""
    model = onnx.load(DIGITS.model)
    for tensor in model.graph.initializer:
        if tensor.name in {"conv2.weight", "conv2.bias"}:
            values = numpy_helper.to_array(tensor).copy()
            values[5] = change(values)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, file)
    return file


def test_a_filter_of_zeros_breaks_one_rule_of_the_policy_on_weights(tmp_path: Path) -> None:
    model, file = changed_filter(tmp_path / "zeroed.onnx", lambda values: 0), tmp_path / "report.json"
    options = ("-a", "filters", "-a", "connectivity", "--policy", "builtin:weights", "--json", str(file))
    assert audit(model, *options) == 1
    rules = [f.rule for f in report_from_json(file.read_text()).findings]
    assert rules == ["filters/zero", "connectivity/idle-filter", "policy/zero-filters"]


def test_copied_filters_are_found_by_the_policy_on_weights(capsys: Capture, tmp_path: Path) -> None:
    model = changed_filter(tmp_path / "copied.onnx", lambda values: values[2])
    assert audit(model, "--policy", "builtin:weights") == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "conv2: Filters equal to an earlier one (filters.copies is 1, not at most 0)" in printed


def test_a_comparison_shows_what_died_and_a_policy_can_stop_it(
    capsys: Capture, tmp_path: Path, stored: Callable[[Sample], Path]
) -> None:
    sane, hot, file = str(stored(DIGITS)), str(stored(HOT)), tmp_path / "compared.json"
    assert main(["compare", sane, hot, "--json", str(file)]) == 0
    assert main(["compare", sane, hot, "--policy", "builtin:unchanged"]) == 1
    assert main(["compare", sane, sane, "--policy", "builtin:unchanged"]) == 0
    capsys.readouterr()
    died = {f.layer: f.channels for f in report_from_json(file.read_text()).findings if f.rule == "compare/died"}
    dead = {f.layer: f.channels for f in report_from_json(Path(hot).read_text()).findings if f.rule == "sparsity/dead"}
    assert died == dead  # none was dead before
    assert len(died) == 3


def test_a_comparison_stops_a_model_that_turned_nan_and_every_output_says_so(
    capsys: Capture, tmp_path: Path, stored: Callable[[Sample], Path]
) -> None:
    model = onnx.load(DIGITS.model)
    for tensor in model.graph.initializer:
        if tensor.name == "conv3.weight":
            values = numpy_helper.to_array(tensor).copy()
            values[:3] = np.nan
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, tmp_path / "nan.onnx")
    names = ("junit", "sarif", "metrics", "summary", "html")
    files = [word for name in names for word in ("--format", f"{name}={tmp_path / name}")]
    audit(tmp_path / "nan.onnx", "--json", str(tmp_path / "nan.json"))
    pair = [str(stored(DIGITS)), str(tmp_path / "nan.json")]
    assert main(["compare", *pair, *files, "--json", str(tmp_path / "json")]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "ERROR: conv3:act: 3 of 32 channels gave NaN or Inf for some input and did not before" in printed
    assert "conv3:act 0 not finite" in printed
    for name in (*names, "json"):
        assert "not-finite" in (text := (tmp_path / name).read_text()) or '"not_finite"' in text, name
    assert main(["compare", *pair, "--policy", "builtin:unchanged"]) == 1
    assert "(compare.not_finite is 3, not at most 0)" in " ".join(capsys.readouterr().out.split())
    assert main(["compare", *reversed(pair)]) == 0


def test_the_same_inputs_in_other_shards_compare(
    capsys: Capture, tmp_path: Path, stored: Callable[[Sample], Path]
) -> None:
    options = ("--shard-size", "50", "--json", str(tmp_path / "shards.json"), "--resume", str(tmp_path / "kept"))
    assert audit(DIGITS.model, *options, *("-a", "sparsity", "-a", "filters", "-a", "connectivity")) == 0
    pair = [str(stored(DIGITS)), str(tmp_path / "shards.json")]
    assert main(["compare", *pair, "--policy", "builtin:unchanged"]) == 0
    capsys.readouterr()


def test_policies_hold_on_differences_of_metrics(
    capsys: Capture, tmp_path: Path, stored: Callable[[Sample], Path]
) -> None:
    policy = tmp_path / "delta.toml"
    policy.write_text(
        '[[rule]]\nid = "d"\nmetric = "compare.delta_sparsity_zero_fraction"\nlayers = ["conv3"]\nmax = 0.2\n'
    )
    arguments = ["compare", str(stored(DIGITS)), str(stored(HOT)), "--policy", str(policy)]
    assert main(arguments) == 1
    assert "is 0.2333, not at most 0.2" in " ".join(capsys.readouterr().out.split())  # 0.9509 - 0.7176
    policy.write_text(policy.read_text().replace("0.2", "0.3"))
    assert main(arguments) == 0


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ('metric = "sparsity.deadshare"\nmax = 0', "Did you mean 'sparsity.dead_share'"),
        ('metric = "sparsty.dead"\nmax = 0', "Did you mean 'sparsity.dead'"),
        ('metric = "sparsity.dead"\nmax = 0\nlayers = ["conf1"]', "Did you mean 'conv1'"),
        ('metric = "sparsity.dead"\nmax = 0\nlayers = ["x*"]', "conv1, conv2, conv3"),
        ('metric = "filters.zero"\nmax = 0', "Run the analysis 'filters' as well"),
        ('metric = "compare.died"\nmax = 0', "the analysis that it is about is not there"),
        ('finding = "*/copy"', "Run the analysis 'filters' as well"),
        ('finding = "[c-f]*/*-filter"', "expected connectivity, found sparsity"),
        ('finding = "*/many"', "there is none of that name"),
        ('finding = "sparsty/dead"', "Did you mean 'sparsity'"),
        ('finding = "sparsity/ded"', "Did you mean 'sparsity/dead'"),
        ('finding = "*/not-finit"', "not-finite"),
        ('metric = "sparsity.dead"\nmacs = 0', "Did you mean 'max'"),
    ],
)
def test_a_mistake_in_a_policy_is_said_before_anything_runs(
    rule: str, says: str, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it ran")

    monkeypatch.setattr(service, "report", never)
    policy = tmp_path / "wrong.toml"
    policy.write_text(f'[[rule]]\nid = "r"\n{rule}\n')
    assert audit(DIGITS.model, "-a", "sparsity", "--policy", str(policy)) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "none.json", "--policy", "builtin:release"], "no such file"),
        (["check", "REPORT", "--policy", "builtin:relase"], "Did you mean 'release'"),
        (["check", "REPORT", "--policy", "builtin:unchanged"], "the analysis that it is about is not there"),
        (["check", "REPORT", "--policy", "builtin:release", "--format", "junit"], "it says no file"),
        (["check", "REPORT", "--policy", "builtin:release", "--format", "junti=x"], "Did you mean 'junit'"),
        (["compare", "REPORT", "none.json"], "no such file"),
        (
            ["compare", "/dev/null", "REPORT"],
            "report '/dev/null': it is not a regular file; expected a report stored as JSON",
        ),
        (["compare", "REPORT", "."], "report '.': it is a folder"),
        (["check", "REPORT", "--policy", "/dev/null"], "policy '/dev/null': it is not a regular file"),
        (["check", str(DIGITS.model), "--policy", "builtin:release"], ": it is none; expected a report as JSON"),
    ],
)
def test_what_cannot_be_judged_ends_with_2(
    arguments: list[str], says: str, capsys: Capture, stored: Callable[[Sample], Path]
) -> None:
    file = str(stored(DIGITS))
    capsys.readouterr()
    assert main([file if a == "REPORT" else a for a in arguments]) == 2
    assert says in capsys.readouterr().err


def test_check_without_a_policy_says_how(capsys: Capture, stored: Callable[[Sample], Path]) -> None:
    assert main(["check", str(stored(DIGITS))]) == 2
    assert "--policy" in capsys.readouterr().err


def test_every_format_is_written_and_the_verdict_stays(
    capsys: Capture, tmp_path: Path, stored: Callable[[Sample], Path]
) -> None:
    formats = {name: tmp_path / name for name in ("junit", "sarif", "metrics", "summary", "html")}
    options = [word for name, file in formats.items() for word in ("--format", f"{name}={file}")]
    assert main(["check", str(stored(HOT)), "--policy", "builtin:release", *options]) == 1
    capsys.readouterr()
    assert all(file.stat().st_size for file in formats.values())
    numbers = json.loads(formats["metrics"].read_text())
    assert numbers["sparsity"]["dead_share"] == {"conv1:act": 0.75, "conv2:act": 0.6875, "conv3:act": 0.40625}
    assert np.isclose(numbers["sparsity"]["zero_fraction"]["conv1:act"], 0.9363, atol=5e-5)
    assert numbers["policy"] == {
        name: {"model": count} for name, count in (("rules", 7), ("broken", 1), ("overruled", 0), ("ignored", 0))
    }


def test_a_finding_that_is_an_error_here_stops_the_model_and_an_ignored_one_lets_it_pass(
    capsys: Capture, tmp_path: Path, stored: Callable[[Sample], Path]
) -> None:
    report, policy, file = str(stored(HOT)), tmp_path / "ours.toml", tmp_path / "r.json"
    entry = '[[finding]]\nrule = "sparsity/dead"\nreason = "Ours."\nseverity = '
    policy.write_text(f'{entry}"error"\n')
    assert main(["check", report, "--policy", str(policy), "--json", str(file)]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "ERROR (was warning): conv1:act: 6 of 8 channels" in printed
    assert "policy ours: Ours." in printed
    assert "3 errors" in printed
    policy.write_text(f'{entry}"ignore"\n')
    assert main(["check", str(file), "--policy", str(policy)]) == 0  # judged before, and now otherwise
    printed = " ".join(capsys.readouterr().out.split())
    assert "IGNORED (was warning): conv1:act: 6 of 8 channels" in printed
    assert "3 ignored" in printed
    assert "3 errors" not in printed
    policy.write_text(f'{entry}"ignore"\nlayers = ["conv9"]\n')
    assert main(["check", report, "--policy", str(policy)]) == 2
    assert "layer 'conv9' of finding 1 of policy 'ours'" in " ".join(capsys.readouterr().err.split())


def test_a_misspelt_finding_is_said_before_an_audit_runs(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text('[[finding]]\nrule = "sparsity/ded"\nseverity = "ignore"\nreason = "Ours."\n')
    assert main(["audit", str(DIGITS.model), "-d", "noise:3", "--policy", str(tmp_path / "ours.toml")]) == 2
    assert "Did you mean 'sparsity/dead'?" in " ".join(capsys.readouterr().err.split())


def written(path: Path, text: str) -> str:
    path.write_text(f'[[rule]]\nid = "r"\n{text}\n')
    return str(path)


def test_an_audit_runs_what_a_pattern_over_all_analyses_needs(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    policy = written(tmp_path / "p.toml", 'finding = "*/copy"')
    assert audit(PATCHES.model, "--policy", policy, "--json", str(file)) in {0, 1}
    assert [r.name for r in report_from_json(file.read_text()).results] == ["sparsity", "filters", "policy"]
    policy = written(tmp_path / "p.toml", 'finding = "*/constant"')  # sparsity has one, and runs anyhow
    assert audit(DIGITS.model, "--policy", policy, "--json", str(file)) == 0
    assert [r.name for r in report_from_json(file.read_text()).results] == ["sparsity", "policy"]
    stored = str(file)
    policy = written(tmp_path / "p.toml", 'finding = "*/copy"')
    assert main(["check", stored, "--policy", policy]) == 1
    assert "*/copy: there is nothing to judge" in capsys.readouterr().out


@pytest.mark.parametrize("chosen", [[], ["-a", "activations", "-a", "sparsity"]])
def test_a_rule_about_an_analysis_that_audits_refuse_is_said_before_anything_runs(
    chosen: list[str], capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = written(tmp_path / "p.toml", 'finding = "activations/*"\nmissing = "pass"')
    assert audit(DIGITS.model, *chosen, "--policy", policy) == 2
    assert "Failed: analysis 'activations'" in capsys.readouterr().out  # it ran, as nothing hangs on it
    monkeypatch.setattr(service, "report", None)
    policy = written(tmp_path / "p.toml", 'finding = "activations/*"')
    assert audit(DIGITS.model, *chosen, "--policy", policy) == 2
    assert "analysis 'activations': it keeps whole maps" in " ".join(capsys.readouterr().err.split())


def test_an_audit_and_a_check_of_its_report_agree_on_taps_that_nobody_watched(capsys: Capture, tmp_path: Path) -> None:
    file = str(tmp_path / "r.json")
    for missing, code in (("fail", 1), ("pass", 0)):
        text = f'metric = "sparsity.dead_share"\nmax = 1\nlayers = ["conv1:act", "conv2:conv"]\nmissing = "{missing}"'
        policy = written(tmp_path / "p.toml", text)
        assert audit(DIGITS.model, "--policy", policy, "--json", file) == code
        assert main(["check", file, "--policy", policy]) == code
        assert ("nothing to judge at 'conv2:conv'" in " ".join(capsys.readouterr().out.split())) is bool(code)


def test_a_report_that_was_judged_has_no_findings_of_rules_for_other_rules(capsys: Capture, tmp_path: Path) -> None:
    file = str(tmp_path / "r.json")
    assert audit(HOT.model, "--policy", "builtin:release", "--json", file) == 1
    policy = written(tmp_path / "p.toml", 'finding = "*/dead-filters"')
    assert main(["check", file, "--policy", policy]) == 2
    assert "there is none of that name" in capsys.readouterr().err
    made = Policy("p", "00", (Rule("r", finding="policy/*", max=0),))
    with pytest.raises(NotFoundError, match="'policy'"):
        service.check(report_from_json(Path(file).read_text()), [made])


def test_an_audit_of_a_torn_tar_file_does_not_pass_the_release_policy(capsys: Capture, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "d.tar", "w") as tar:
        tar.add(DIGITS.pictures, ".")
    whole = (tmp_path / "d.tar").read_bytes()
    command = ["audit", str(DIGITS.model), "-d", str(tmp_path / "d.tar"), "-p", "unit", "--policy", "builtin:release"]
    assert main(command) == 0
    (tmp_path / "d.tar").write_bytes(whole[: len(whole) * 2 // 3])
    summary = tmp_path / "s.md"
    assert main([*command, "--format", f"summary={summary}"]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "Nobody knows how many inputs are lost (incomplete is 1, not at most 0)" in printed
    assert "1 file is incomplete: nobody knows how many inputs are lost." in printed
    assert "- Skipped: 1 input&#59; 1 file is incomplete" in summary.read_text()
