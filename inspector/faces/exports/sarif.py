"""SARIF 2.1.0: findings as results, layers as logical locations, the model as the artifact."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from inspector.contract import Cell, Finding, Overruled, Severity
from inspector.faces.exports.plain_text import in_sarif
from inspector.faces.wire_tensor import utf8
from inspector.policy import judge
from inspector.report import Report

_LEVELS: Final = {Severity.INFO: "note", Severity.WARNING: "warning", Severity.ERROR: "error"}
_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_HELP: Final = "docs/numbers.md defines what is counted, and `inspector plugins` says which analyses there are."
_FINGERPRINT: Final = "primaryLocationLineHash"
"""The one name that GitHub looks at; without it, all findings of a rule in one model would be one alert."""


def to_sarif(report: Report, model: Path | None = None) -> str:
    """The report as a SARIF log of one run; `model` is its file, where it is known, else its name stands for it.

    An analysis that failed is a notification of the invocation, which then counts as not successful. A finding that a
    policy ignores is a notification as well, and no result: viewers open an alert for every result, suppressed or not.
    """
    verdicts = {f"{judge.NAME}/{verdict.rule}": verdict for verdict in judge.verdicts_of(report)}
    found = [finding for finding in report.findings if not finding.ignored]
    rules = list(dict.fromkeys(utf8(rule) for rule in (*verdicts, *(f.rule for f in report.findings))))
    described = [_rule(rule, verdicts.get(rule), _remedy(rule, found)) for rule in rules]
    origin, uri = report.provenance, _uri(model) if model else quote(utf8(report.provenance.model), safe="") or "model"
    run = {
        "tool": {"driver": {"name": "onnx-inspector", "version": version("onnx-inspector"), "rules": described}},
        "artifacts": [
            {"location": {"uri": uri}, "roles": ["analysisTarget"], "hashes": {"sha-256": utf8(origin.sha256)}}
        ],
        "invocations": [_invocation(report)],
        "results": _results(found, rules, uri),
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, allow_nan=False) + "\n"


def _uri(path: Path) -> str:
    """Of a path as it was given: relative where that is."""
    if path.is_absolute():
        return path.as_uri()
    return quote(os.fsencode(Path(os.path.normpath(path)).as_posix()))


def _rule(rule: str, verdict: judge.Verdict | None, remedy: str) -> dict[str, Any]:
    """What is known of a rule; GitHub asks for all of it."""
    analysis, _, name = rule.partition("/")
    about = f"The analysis {analysis} found this in a model: {name or rule}."
    if verdict:
        about = f"A rule of the policy {verdict.policy}: {verdict.about} has to be {verdict.limit}."
    texts = {"shortDescription": rule, "fullDescription": about, "help": remedy or _HELP}
    return {"id": rule, **{name: {"text": in_sarif(text)} for name, text in texts.items()}}


def _remedy(rule: str, findings: Sequence[Finding]) -> str:
    return next((f.remedy for f in findings if f.remedy and utf8(f.rule) == rule), "")


def _invocation(report: Report) -> dict[str, Any]:
    broken = [_note("error", f"{r.name}: {r.failure.message}") for r in report.failed if r.failure]
    ignored = [
        _note("note", f"{f.rule} is ignored: {f.message} ({f.because})", f) for f in report.findings if f.ignored
    ]
    notes = {"toolExecutionNotifications": broken, "toolConfigurationNotifications": ignored}
    return {"executionSuccessful": not broken, **notes}


def _note(level: str, text: str, finding: Finding | None = None) -> dict[str, Any]:
    about = {"associatedRule": {"id": utf8(finding.rule)}} if finding else {}
    return {"level": level, "message": {"text": in_sarif(text)}, **about}


def _results(findings: Sequence[Finding], rules: Sequence[str], uri: str) -> list[dict[str, Any]]:
    times = Counter[str]()
    results = []
    for finding in findings:
        mark = _fingerprint(finding)
        times[mark] += 1
        result = _result(finding, rules, uri)
        results.append({**result, "partialFingerprints": {_FINGERPRINT: f"{mark}:{times[mark]}"}})
    return results


def _fingerprint(finding: Finding) -> str:
    """The same in every run for the same finding: by rule, layer and channels, whatever the numbers are."""
    identity = json.dumps([utf8(finding.rule), utf8(finding.layer), finding.channels])
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _overruled(overruled: Overruled) -> dict[str, str]:
    return {
        "level": _LEVELS[overruled.severity],
        "policy": utf8(overruled.policy),
        "reason": utf8(overruled.reason),
    }


def _result(finding: Finding, rules: Sequence[str], uri: str) -> dict[str, Any]:
    """A result at the first line of the model: a file without lines, but viewers ask for one."""
    physical = {"artifactLocation": {"uri": uri, "index": 0}, "region": {"startLine": 1}}
    location: dict[str, Any] = {"physicalLocation": physical}
    if finding.layer:
        layer = utf8(finding.layer)
        location["logicalLocations"] = [{"name": layer, "fullyQualifiedName": layer}]
    text = f"{finding.message.rstrip('.')}. {finding.remedy}" if finding.remedy else finding.message
    rule = utf8(finding.rule)
    before = {"overruled": _overruled(finding.overruled)} if finding.overruled else {}
    return {
        "ruleId": rule,
        "ruleIndex": rules.index(rule),
        "level": _LEVELS[finding.severity],
        "message": {"text": in_sarif(text)},
        "locations": [location],
        "properties": {"channels": list(finding.channels), "evidence": _evidence(finding.evidence), **before},
    }


def _evidence(evidence: Mapping[str, Cell]) -> dict[str, Cell]:
    """JSON has no NaN: such a number is a text."""
    return {
        utf8(name): utf8(str(value)) if isinstance(value, str) or _strange(value) else value
        for name, value in evidence.items()
    }


def _strange(value: Cell) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
