"""SARIF 2.1.0: findings as results, layers as logical locations, the model as the artifact."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import quote

from inspector.contract import Cell, Finding, Overruled, Severity
from inspector.faces.exports.plain_text import in_sarif
from inspector.faces.wire_tensor import utf8
from inspector.policy import judge
from inspector.report import Report

_LEVELS: Final = {Severity.INFO: "note", Severity.WARNING: "warning", Severity.ERROR: "error"}
_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def to_sarif(report: Report) -> str:
    """The report as a SARIF log of one run.

    An analysis that failed is a notification of the invocation, which then counts as not successful. A finding that a
    policy ignores is suppressed, at the level that its analysis gave it.
    """
    ids = [f"{judge.NAME}/{verdict.rule}" for verdict in judge.verdicts_of(report)]
    rules = list(dict.fromkeys(utf8(rule) for rule in (*ids, *(f.rule for f in report.findings))))
    origin, uri = report.provenance, quote(utf8(report.provenance.model), safe="") or "model"
    run = {
        "tool": {"driver": {"name": "onnx-inspector", "version": version("onnx-inspector"), "rules": _rules(rules)}},
        "artifacts": [
            {"location": {"uri": uri}, "roles": ["analysisTarget"], "hashes": {"sha-256": utf8(origin.sha256)}}
        ],
        "invocations": [_invocation(report)],
        "results": _results(report, rules, uri),
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, allow_nan=False) + "\n"


def _rules(ids: list[str]) -> list[dict[str, Any]]:
    return [{"id": rule, "shortDescription": {"text": in_sarif(rule)}} for rule in ids]


def _invocation(report: Report) -> dict[str, Any]:
    failed = [r for r in report.results if r.failure and r.failure.kind != "INAPPLICABLE"]
    notes = [
        {"level": "error", "message": {"text": in_sarif(f"{r.name}: {r.failure.message}")}} for r in failed if r.failure
    ]
    return {"executionSuccessful": not failed, "toolExecutionNotifications": notes}


def _results(report: Report, rules: list[str], uri: str) -> list[dict[str, Any]]:
    results = [_result(finding, rules, uri) for finding in report.findings]
    if any(finding.ignored for finding in report.findings):  # all results say whether they are suppressed, or none
        for result, finding in zip(results, report.findings, strict=True):
            result["suppressions"] = [_suppression(finding)] if finding.ignored else []
    return results


def _suppression(finding: Finding) -> dict[str, str]:
    return {"kind": "external", "status": "accepted", "justification": utf8(finding.because)}


def _overruled(overruled: Overruled) -> dict[str, str]:
    return {
        "level": _LEVELS[overruled.severity],
        "policy": utf8(overruled.policy),
        "reason": utf8(overruled.reason),
    }


def _result(finding: Finding, rules: list[str], uri: str) -> dict[str, Any]:
    location: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": uri, "index": 0}}}
    if finding.layer:
        layer = utf8(finding.layer)
        location["logicalLocations"] = [{"name": layer, "fullyQualifiedName": layer}]
    text = f"{finding.message}. {finding.remedy}" if finding.remedy else finding.message
    rule = utf8(finding.rule)
    severity = finding.overruled.severity if finding.overruled and finding.ignored else finding.severity
    before = {"overruled": _overruled(finding.overruled)} if finding.overruled else {}
    return {
        "ruleId": rule,
        "ruleIndex": rules.index(rule),
        "level": _LEVELS[severity],
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
