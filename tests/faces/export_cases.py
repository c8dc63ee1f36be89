"""Reports as the tests of exports have them: plain, overruled by a policy, and with hostile names."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import strategies as st

from inspector import Finding, Metric, Severity
from inspector.policy.judge import judged
from inspector.policy.rules import Override, Policy, Rule
from inspector.report import AnalysisResult, Failure, OperatorCount, Provenance, Report, Skipped

HOSTILE = "a<b>&\"'|`*_[x](http://y)\n\x00\x1b[31m]]>{0}{{\ud800\N{SNOWMAN}"
ANY_TEXT = st.text(st.characters(), max_size=40)


def finding(severity: Severity, rule: str = "sparsity/dead", layer: str = "conv1", message: str = "Dead") -> Finding:
    return Finding(rule, severity, message, layer, (0, 3), {"inputs": 5, "nan": float("nan")}, "Prune")


def made() -> Report:
    findings = (finding(Severity.WARNING), finding(Severity.ERROR, "sparsity/not-finite", "conv2", "NaN"))
    metrics = (
        Metric("dead", np.array(2), "conv1", "act"),
        Metric("mean", np.array(np.nan), "conv1", "act"),
        Metric("active", np.array([1, 2]), "conv1", "act"),
    )
    results = (
        AnalysisResult("sparsity", "1", "{}", findings=findings, metrics=metrics),
        AnalysisResult("sparsity", "1", "{}", metrics=metrics[:1]),
        AnalysisResult("filters", "1", "{}", failure=Failure("PLUGIN_FAILED", "It broke")),
        AnalysisResult("odd", "1", "{}", failure=Failure("INAPPLICABLE", "Nothing here")),
    )
    rules = (Rule("few", metric="sparsity.dead", max=1), Rule("fed", report="inputs", min=1))
    report = Report(Provenance("m", "ab", "pictures", "cd", 7, started="2026-01-02T03:04:05+00:00", seconds=2), results)
    return judged(report, [Policy("p", "00", rules)])


def hostile(text: str) -> Report:
    """A report that holds the text wherever a model, a plugin or a policy may have put it."""
    result = AnalysisResult(
        text, text, json.dumps({text: text}), (), (Finding(text, Severity.ERROR, text, text, (), {text: text}, text),),
        Failure(text, text, text), (Metric(text, np.array(1), text, text),),
    )  # fmt: skip
    origin = Provenance(
        text, text, text, text, preprocess=text, fidelity=text, device=text, providers={text: 1}, versions={text: text},
        notes=(text,), started=text, operators=(OperatorCount(text, text, 1, 2),),
    )  # fmt: skip
    report = Report(origin, (result,), (Skipped(text, text),), 1)
    return judged(report, [Policy(text, "", (Rule("r", finding="*"),))])


def decided() -> Report:
    """A warning that is ignored, one that is an error, and one as it was; of one rule, at three layers."""
    layers = ("conv1", "conv2", "conv3")
    found = tuple(finding(Severity.WARNING, layer=layer) for layer in layers)
    overrides = (
        Override("sparsity/dead", "ignore", "It is padding.", ("conv1",)),
        Override("sparsity/dead", Severity.ERROR, "It was pruned.", ("conv2",)),
    )
    report = Report(Provenance("m", "ab"), (AnalysisResult("sparsity", "1", "{}", findings=found),))
    return judged(report, [Policy("p", "00", (), overrides=overrides)])
