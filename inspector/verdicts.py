"""The use cases of reports that are there already: judged again, or compared. Nothing is loaded and nothing runs."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

from inspector.analysis.gate import Gate, Source
from inspector.errors import ParameterError
from inspector.policy.compare import compare as _compare
from inspector.policy.rules import Policy
from inspector.report import Report
from inspector.several import several

Policies = Source | Sequence[Source] | None
"""A policy file, `builtin:<name>`, or several of these; None: none."""


def check(report: Report, policies: Policies) -> Report:
    """A report that is there already, judged by policies: with one more result, `policy`, in place of an earlier one.

    Raises:
        InspectorError: a policy cannot be read, or is about something that the report does not have.
    """
    return make_gate(policies).judged_as_stored(be_report(report))


def compare(before: Report, after: Report, policies: Policies = ()) -> Report:
    """What changed from one report to another: a report about the second with the result `compare`.

    Policies judge that one, by metrics such as `compare.died`.

    Raises:
        InspectorError: a report has no metrics; errors of policies as for `check`.
    """
    gate, compared = make_gate(policies), _compare(be_report(before), be_report(after))
    return gate.judged_as_stored(compared) if gate.policies else compared


def be_report(given: object) -> Report:
    """The report that was given; ParameterError where it is something else, such as the name of a file."""
    if isinstance(given, Report):
        return given
    remedy = "Read a stored one with inspector.read_report(path)."
    raise ParameterError("report", "it is none", expected="a Report", found=repr(given)[:80], remedy=remedy)


def make_gate(policies: Policies) -> Gate:
    """What judges by these policies; InspectorError where one cannot be read."""
    return Gate(several(policies, "policies", str, PathLike, Policy, expected="a path or `builtin:<name>`"))
