"""JUnit XML: one test case for every analysis, every rule of a policy, and every subject of a finding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from inspector.contract import Finding, Severity
from inspector.faces.exports.plain_text import in_xml
from inspector.policy import judge
from inspector.report import AnalysisResult, Report


@dataclass(frozen=True, slots=True)
class _Case:
    """A test case; `outcome` is `failure`, `error`, `skipped`, or empty where it passed."""

    group: str
    name: str
    outcome: str = ""
    message: str = ""
    text: str = ""


def to_junit(report: Report) -> str:
    """The report as JUnit XML, as Jenkins, GitLab and GitHub actions read it.

    A finding that is an error is a failure; warnings and notes pass, with their text as output; a subject of which a
    policy ignores every finding is skipped. An analysis that failed is an error, one that is not applicable is skipped.
    """
    cases, origin = list(_cases(report)), report.provenance
    counts = {word: str(sum(c.outcome == word for c in cases)) for word in ("failure", "error", "skipped")}
    totals = {"tests": str(len(cases)), "failures": counts["failure"], "errors": counts["error"]}
    time = {"time": f"{origin.seconds:.3f}"}
    root = ET.Element("testsuites", {"name": "onnx-inspector", **totals, **time})
    own = {"name": in_xml(origin.model), **totals, "skipped": counts["skipped"], **time}
    suite = ET.SubElement(root, "testsuite", {**own, "timestamp": in_xml(origin.started[:19])})
    properties = ET.SubElement(suite, "properties")
    facts = {
        "verdict": report.verdict,
        "sha256": origin.sha256,
        "data": origin.data,
        "data_sha256": origin.data_sha256,
        "inputs": origin.inputs,
    }
    for name, value in facts.items():
        ET.SubElement(properties, "property", {"name": name, "value": in_xml(str(value))})
    for case in cases:
        _add(suite, case)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _add(suite: ET.Element, case: _Case) -> None:
    element = ET.SubElement(suite, "testcase", {"classname": in_xml(case.group), "name": in_xml(case.name)})
    if case.outcome:
        inner = ET.SubElement(element, case.outcome, {"message": in_xml(case.message)})
        inner.text = in_xml(case.text)
    elif case.text:
        ET.SubElement(element, "system-out").text = in_xml(case.text)


def _cases(report: Report) -> Iterator[_Case]:
    for result in report.results:
        yield _analysis(result)
    found: dict[str, list[Finding]] = {}
    for finding in report.findings:
        found.setdefault(finding.rule, []).append(finding)
    for verdict in judge.verdicts_of(report):
        yield _about(f"policy.{verdict.policy}", verdict.rule, found.pop(f"{judge.NAME}/{verdict.rule}", []))
    for rule, findings in found.items():
        by_layer: dict[str, list[Finding]] = {}
        for finding in findings:
            by_layer.setdefault(finding.layer, []).append(finding)
        for layer, some in by_layer.items():
            yield _about(f"finding.{rule}", layer or report.provenance.model, some)


def _analysis(result: AnalysisResult) -> _Case:
    if result.failure is None:
        return _Case("analysis", result.name)
    outcome = "skipped" if result.failure.kind == "INAPPLICABLE" else "error"
    return _Case("analysis", result.name, outcome, result.failure.message, result.failure.remedy)


def _about(group: str, name: str, findings: list[Finding]) -> _Case:
    text = "\n".join(
        " ".join(filter(None, [f"{f.standing}: {f.message.rstrip('.')}.", f.remedy, f.because])) for f in findings
    )
    errors = [f for f in findings if f.severity is Severity.ERROR]
    if errors:
        return _Case(group, name, "failure", errors[0].message, text)
    if findings and all(f.ignored for f in findings):
        return _Case(group, name, "skipped", findings[0].because, text)
    return _Case(group, name, text=text)
