"""Whether the names that a policy uses exist: judged before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from inspector.contract import MetricInfo
from inspector.errors import NotFoundError, ParameterError
from inspector.policy.rules import Policy, covers

Declared = Mapping[str, Sequence[MetricInfo]]
"""The metrics that analyses declare, by the analysis."""


def check_metrics(policies: Sequence[Policy], declared: Declared) -> None:
    """NotFoundError where a rule names an analysis or metric that does not exist; says the nearest one."""
    known = [f"{analysis}.{info.name}" for analysis, infos in declared.items() for info in infos]
    for policy in policies:
        for rule in policy.rules:
            subject = f"of rule {rule.id!r} of policy {policy.name!r}:"
            if rule.metric is not None and rule.metric not in known:
                raise NotFoundError.among(f"metric {subject}", rule.metric, known, "See `inspector plugins`.")
            if rule.analysis and rule.analysis not in declared:
                raise NotFoundError.among(f"analysis {subject}", rule.analysis, declared)


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
