"""Whether the names that a policy uses exist: judged before anything runs."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from inspector.contract import MetricInfo
from inspector.errors import NotFoundError, ParameterError
from inspector.policy.compare_view import NAME as COMPARE
from inspector.policy.rules import Policy, Rule, covers, override_name

_ALIKE: Final = 0.85
_REMEDIES: Final = {COMPARE: "Judge what `inspector compare` says of two reports, with its policies."}
_LONGEST: Final = 100
"""Letters of a rule that are compared with another's."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What an analysis declares: its metrics, and the rules of its findings; no rules: it does not say.

    `held`: rules of findings that a report has of it.
    """

    metrics: tuple[MetricInfo, ...] = ()
    rules: tuple[str, ...] = ()
    held: tuple[str, ...] = ()

    def may_find(self, pattern: str) -> bool:
        """Whether it declares a rule that the pattern means."""
        return any(fnmatchcase(rule, pattern) for rule in self.rules)


def check_names(policies: Sequence[Policy], declared: Mapping[str, Declared]) -> None:
    """NotFoundError where a policy names an analysis, a metric or findings that cannot be; says the nearest one."""
    known = [f"{analysis}.{info.name}" for analysis, one in declared.items() for info in one.metrics]
    for policy in policies:
        for rule in policy.rules:
            subject = f"rule {rule.id!r} of policy {policy.name!r}"
            if rule.metric is not None and rule.metric not in known:
                raise NotFoundError.among("metric", rule.metric, known, "See `inspector plugins`.", of=subject)
            if rule.analysis and rule.analysis not in declared:
                raise NotFoundError.among("analysis", rule.analysis, declared, of=subject)
            if rule.finding is not None:
                _check_findings("finding", subject, rule.finding, rule.analysis, declared)
        for at, override in enumerate(policy.overrides, 1):
            subject = override_name(at, policy.name)
            if override.analysis and override.analysis not in declared:
                raise NotFoundError.among("analysis", override.analysis, declared, of=subject)
            _check_findings("rule", subject, override.rule, override.analysis, declared)


def _check_findings(kind: str, subject: str, pattern: str, analysis: str, declared: Mapping[str, Declared]) -> None:
    """NotFoundError where no finding can have such a rule.

    An analysis that does not say its rules may have any but those that look like a misspelt one of a finding of it.
    """
    if analysis and not declared[analysis].rules:
        held = declared[analysis].held
        if not any(fnmatchcase(rule, pattern) for rule in held) and any(_misspelt(pattern, rule) for rule in held):
            raise NotFoundError.among(kind, pattern, held, of=subject)
    elif not any(one.may_find(pattern) for one in declared.values()):
        rules = [rule for one in declared.values() for rule in one.rules]
        raise NotFoundError.among(kind, pattern, rules, "See `inspector plugins`.", of=subject)


def _misspelt(name: str, known: str) -> bool:
    """Whether what follows the analysis has the same letters in another order, or nearly the same ones."""
    own, other = name.partition("/")[2], known.partition("/")[2]
    if max(len(own), len(other)) > _LONGEST:
        return False
    return sorted(own) == sorted(other) or difflib.SequenceMatcher(None, own, other).ratio() >= _ALIKE


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
                    remedy=_REMEDIES.get(rule.analysis, f"Run the analysis {rule.analysis!r} as well."),
                )


def check_patterns(policies: Sequence[Policy], chosen: Collection[str], declared: Mapping[str, Declared]) -> None:
    """ParameterError where a pattern over all analyses means findings that no chosen one declares."""
    for policy in policies:
        for rule in policy.rules:
            able = finders(rule, declared)
            if able and not set(able) & set(chosen):
                raise ParameterError(
                    f"rule {rule.id!r} of policy {policy.name!r}",
                    f"no analysis that has findings {rule.finding!r} is there",
                    expected=" or ".join(able),
                    found=", ".join(chosen) or "(none)",
                    remedy=f"Run the analysis {' or '.join(map(repr, able))} as well.",
                )


def check_failed(
    policies: Sequence[Policy], able: Collection[str], failed: Mapping[str, str], declared: Mapping[str, Declared]
) -> None:
    """ParameterError where all that a rule is about failed before the run; `failed` says why, `able` who did not."""
    for policy in policies:
        for rule in policy.rules:
            about = finders(rule, declared) or (rule.analysis,)
            lost = [name for name in about if name in failed]
            if lost and rule.missing == "fail" and not set(about) & set(able):
                raise ParameterError(
                    f"rule {rule.id!r} of policy {policy.name!r}",
                    f"the analysis {lost[0]!r} that it is about takes no part in the run",
                    found=failed[lost[0]].rstrip("."),
                    remedy="Leave the rule out, or judge a report that has the analysis with `inspector check`.",
                )


def finders(rule: Rule, declared: Mapping[str, Declared]) -> tuple[str, ...]:
    """The analyses that declare what a pattern over all analyses means; none where the rule has no such pattern."""
    if rule.finding is None or rule.analysis:
        return ()
    return tuple(name for name, one in declared.items() if one.may_find(rule.finding))


def check_layers(policies: Sequence[Policy], places: Sequence[tuple[str, str]]) -> None:
    """NotFoundError where a pattern of a rule matches no place; `places` are layers with `layer:tap`, or the layer."""
    for policy in policies:
        asked = [(f"rule {rule.id!r} of policy {policy.name!r}", rule.layers) for rule in policy.rules]
        asked += [(override_name(at, policy.name), o.layers) for at, o in enumerate(policy.overrides, 1)]
        for subject, layers in asked:
            for pattern in layers if layers != ("*",) else ():
                if not any(covers(pattern, layer, where) for layer, where in places):
                    names = list(dict.fromkeys(layer for layer, _ in places))
                    raise NotFoundError.among("layer", pattern, names, "Patterns may hold * and ?.", of=subject)
