"""Whether the names that a policy uses exist: judged before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from inspector.contract import MetricInfo
from inspector.errors import NotFoundError, ParameterError
from inspector.policy.rules import Policy, covers


@dataclass(frozen=True, slots=True)
class Declared:
    """What an analysis declares: its metrics, and the rules of its findings; no rules: it does not say."""

    metrics: tuple[MetricInfo, ...] = ()
    rules: tuple[str, ...] = ()


def check_names(policies: Sequence[Policy], declared: Mapping[str, Declared]) -> None:
    """NotFoundError where a rule names an analysis, a metric or findings that cannot be; says the nearest one."""
    known = [f"{analysis}.{info.name}" for analysis, one in declared.items() for info in one.metrics]
    rules = [rule for one in declared.values() for rule in one.rules]
    silent = {analysis for analysis, one in declared.items() if not one.rules}
    for policy in policies:
        for rule in policy.rules:
            subject = f"of rule {rule.id!r} of policy {policy.name!r}:"
            if rule.metric is not None and rule.metric not in known:
                raise NotFoundError.among(f"metric {subject}", rule.metric, known, "See `inspector plugins`.")
            if rule.analysis and rule.analysis not in declared:
                raise NotFoundError.among(f"analysis {subject}", rule.analysis, declared)
            open_end = rule.analysis in silent if rule.analysis else False
            if rule.finding is not None and not open_end and not any(fnmatchcase(r, rule.finding) for r in rules):
                raise NotFoundError.among(f"finding {subject}", rule.finding, rules, "See `inspector plugins`.")


def check_analyses(policies: Sequence[Policy], chosen: Collection[str]) -> None:
    """ParameterError where a rule needs an analysis that is not among the chosen ones."""
    for policy in policies:
        for rule in policy.rules:
            if rule.analysis and rule.analysis not in chosen:
                raise ParameterError(
                    f"rule {rule.id!r} of policy {policy.name!r}",
                    "the analysis that it is about is not there",
                    expected=rule.analysis,
                    found=", ".join(chosen) or "(none)",
                    remedy=f"Run the analysis {rule.analysis!r} as well.",
                )


def check_layers(policies: Sequence[Policy], places: Sequence[tuple[str, str]]) -> None:
    """NotFoundError where a pattern of a rule matches no place; `places` are layers with `layer:tap`, or the layer."""
    for policy in policies:
        for rule in policy.rules:
            if rule.layers == ("*",):
                continue
            for pattern in rule.layers:
                if not any(covers(pattern, layer, where) for layer, where in places):
                    names = list(dict.fromkeys(layer for layer, _ in places))
                    kind = f"layer of rule {rule.id!r} of policy {policy.name!r}:"
                    raise NotFoundError.among(kind, pattern, names, "Patterns may hold * and ?.")
