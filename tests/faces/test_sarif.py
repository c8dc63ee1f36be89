"""SARIF: valid whatever a model's names hold, and of use to viewers that ask for more than the standard does."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from export_cases import ANY_TEXT, decided, finding, hostile, made
from hypothesis import given
from wire_strategies import laws

from inspector import Finding, Severity
from inspector.faces.exports import FORMATS, to_format
from inspector.faces.exports.plain_text import in_sarif
from inspector.report import AnalysisResult, Provenance, Report


def check_sarif(text: str) -> dict[str, Any]:
    """What SARIF 2.1.0 requires of the parts that are used, by section; gives the run."""
    log = json.loads(text)
    assert log["version"] == "2.1.0"  # 3.13.2
    (run,) = log["runs"]  # 3.13.4
    driver = run["tool"]["driver"]  # 3.14.6, 3.18.2
    assert driver["name"]  # 3.19.8
    ids = [rule["id"] for rule in driver["rules"]]  # 3.49.3
    assert len(ids) == len(set(ids))  # 3.19.23: unique
    for rule in driver["rules"]:  # what GitHub asks for
        assert all(rule[name]["text"] for name in ("fullDescription", "help"))
        assert isinstance(rule["shortDescription"]["text"], str)
    for invocation in run["invocations"]:
        assert isinstance(invocation["executionSuccessful"], bool)  # 3.20.14
        notes = invocation["toolExecutionNotifications"] + invocation["toolConfigurationNotifications"]
        assert all(note["message"]["text"] is not None for note in notes)  # 3.58.5
        assert {n["associatedRule"]["id"] for n in notes if "associatedRule" in n} <= set(ids)  # 3.58.3
    for result in run["results"]:
        assert isinstance(result["message"]["text"], str)  # 3.27.11, 3.11.8
        assert result["level"] in {"none", "note", "warning", "error"}  # 3.27.10
        assert result["partialFingerprints"]["primaryLocationLineHash"]  # 3.27.17
        assert ids[result["ruleIndex"]] == result["ruleId"]  # 3.27.6
        for location in result["locations"]:
            assert location["physicalLocation"]["region"] == {"startLine": 1}  # 3.30.5
            physical = location["physicalLocation"]["artifactLocation"]  # 3.29.2
            assert physical["uri"] == run["artifacts"][physical["index"]]["location"]["uri"]  # 3.4.5
            assert re.fullmatch(r"[A-Za-z0-9._~%/:-]+", physical["uri"])  # 3.4.3, RFC 3986
            for logical in location.get("logicalLocations", []):
                assert logical["name"]  # 3.33.4
    assert {role for a in run["artifacts"] for role in a["roles"]} == {"analysisTarget"}  # 3.24.6
    return dict(run)


def test_sarif_has_findings_rules_the_model_and_what_failed() -> None:
    run = check_sarif(FORMATS["sarif"](made()))
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [
        "policy/few", "policy/fed", "sparsity/dead", "sparsity/not-finite",
    ]  # fmt: skip
    assert [(r["ruleId"], r["level"]) for r in run["results"]] == [
        ("sparsity/dead", "warning"), ("sparsity/not-finite", "error"), ("policy/few", "error"),
        ("policy/few", "error"),
    ]  # fmt: skip
    first = run["results"][0]
    assert first["message"]["text"] == "Dead. Prune"
    assert first["locations"][0]["logicalLocations"] == [{"name": "conv1", "fullyQualifiedName": "conv1"}]
    assert first["properties"] == {"channels": [0, 3], "evidence": {"inputs": 5, "nan": "nan"}}
    assert run["artifacts"][0]["hashes"] == {"sha-256": "ab"}
    assert run["invocations"][0]["executionSuccessful"] is False
    assert run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"] == "filters: It broke"


@laws
@given(ANY_TEXT)
def test_sarif_keeps_its_form_whatever_the_names_hold(text: str) -> None:
    check_sarif(FORMATS["sarif"](hostile(text)))


def test_sarif_messages_hold_no_links_and_no_placeholders() -> None:
    assert in_sarif("[a](http://b) {0} \\") == "\\[a\\](http://b) {{0}} \\\\"


def test_sarif_has_no_result_of_what_is_ignored_as_viewers_open_an_alert_for_each_and_says_so() -> None:
    run = check_sarif(FORMATS["sarif"](decided()))
    second, third = run["results"]
    assert [r["locations"][0]["logicalLocations"][0]["name"] for r in (second, third)] == ["conv2", "conv3"]
    assert [r["level"] for r in (second, third)] == ["error", "warning"]
    assert second["properties"]["overruled"] == {"level": "warning", "policy": "p", "reason": "It was pruned."}
    assert "overruled" not in third["properties"]
    assert run["invocations"][0]["executionSuccessful"] is True
    assert run["invocations"][0]["toolConfigurationNotifications"] == [
        {
            "level": "note",
            "message": {"text": "sparsity/dead is ignored: Dead (policy p: It is padding.)"},
            "associatedRule": {"id": "sparsity/dead"},
        }
    ]
    assert check_sarif(FORMATS["sarif"](made()))["invocations"][0]["toolConfigurationNotifications"] == []


def test_sarif_rules_say_what_they_ask_and_what_to_do() -> None:
    rules = {rule["id"]: rule for rule in check_sarif(FORMATS["sarif"](made()))["tool"]["driver"]["rules"]}
    assert rules["policy/few"]["fullDescription"]["text"] == (
        "A rule of the policy p: sparsity.dead has to be at most 1."
    )
    assert rules["sparsity/dead"]["fullDescription"]["text"] == "The analysis sparsity found this in a model: dead."
    assert rules["sparsity/dead"]["help"]["text"] == "Prune"
    assert "docs/numbers.md" in rules["policy/fed"]["help"]["text"]


def test_a_rule_is_helped_by_the_first_remedy_that_one_of_its_findings_has() -> None:
    found = (replace(finding(Severity.WARNING), remedy=""), finding(Severity.WARNING, layer="conv2"))
    report = Report(Provenance("m", "ab"), (AnalysisResult("sparsity", "1", "{}", findings=found),))
    (rule,) = check_sarif(FORMATS["sarif"](report))["tool"]["driver"]["rules"]
    assert rule["help"]["text"] == "Prune"


def marks(*findings: Finding) -> list[str]:
    report = Report(Provenance("m", "ab"), (AnalysisResult("sparsity", "1", "{}", findings=findings),))
    results = check_sarif(FORMATS["sarif"](report))["results"]
    return [result["partialFingerprints"]["primaryLocationLineHash"] for result in results]


def test_a_finding_has_one_fingerprint_in_every_run_and_no_other_has_it() -> None:
    one = finding(Severity.WARNING)
    others = (
        finding(Severity.WARNING, "sparsity/low"),
        finding(Severity.WARNING, layer="conv2"),
        replace(one, channels=(0,)),
        one,  # another tap of the layer, say
    )
    found = marks(one, *others)
    assert len(set(found)) == 5
    assert [marks(alone)[0] for alone in (one, *others[:3])] == found[:4]  # whatever else was found
    later = replace(one, severity=Severity.ERROR, message="Dead now", evidence={"inputs": 9}, remedy="")
    assert marks(later)[0] == found[0]


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("models/a b.onnx", "models/a%20b.onnx"),
        ("./models/../m.onnx", "m.onnx"),
        ("../m.onnx", "../m.onnx"),
        ("c:m.onnx", "c%3Am.onnx"),
        ("/srv/m#1.onnx", "file:///srv/m%231.onnx"),
    ],
)
def test_sarif_names_the_model_by_the_path_that_was_given(path: str, uri: str) -> None:
    run = check_sarif(to_format("sarif", made(), Path(path)))
    assert run["artifacts"][0]["location"]["uri"] == uri
