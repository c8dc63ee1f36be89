"""Policy files (TOML), read and checked; the ones that come with the package by name."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from inspector.errors import LimitError, NotFoundError, ParameterError
from inspector.paths import why_unread
from inspector.policy.rules import NUMBERS, POLICY, TEXTS, Override, Policy, Rule, control_character, override_name

MAX_BYTES: Final = 1 << 20
"""Size of a policy file."""
MAX_RULES: Final = 1000
"""Rules of one policy."""
BUILTIN: Final = "builtin:"
Source = Policy | str | PathLike[str]
"""A policy, its file, or `builtin:<name>`."""

_RULE: Final = TypeAdapter(Rule)
_OVERRIDE: Final = TypeAdapter(Override)
T = TypeVar("T", Rule, Override)


def load_policies(sources: Sequence[Source]) -> tuple[Policy, ...]:
    """The policies of all sources; files of one name are called by as much of their paths as tells them apart."""
    paths = [None if isinstance(s, Policy) or str(s).startswith(BUILTIN) else Path(s).absolute() for s in sources]
    others = {path for path in paths if path is not None}
    return tuple(
        source
        if isinstance(source, Policy)
        else load_policy(source, None if path is None else _name(path, others - {path}))
        for source, path in zip(sources, paths, strict=True)
    )


def _name(path: Path, others: Collection[Path]) -> str:
    """The name of a file without its ending; with as many folders before it as no other file of that name has."""
    parts = path.with_suffix("").parts
    namesakes = [other.with_suffix("").parts for other in others]
    tails = (parts[-count:] for count in range(1, len(parts) + 1))
    apart = (tail for tail in tails if not any(other[-len(tail) :] == tail for other in namesakes))
    return "/".join(next(apart, (path.name,)))


def load_policy(source: str | PathLike[str], called: str | None = None) -> Policy:
    """The policy of a file, or `builtin:<name>`; `called`: by which name a file goes, its own without the ending.

    Raises:
        NotFoundError: there is no such file, built-in policy, or part of the provenance.
        ParameterError: it is no TOML, has an unknown key, or a rule that says nothing that can be judged.
        LimitError: it is too large.
    """
    name = str(source)
    if name.startswith(BUILTIN):
        return _parsed(name, _builtin(name.removeprefix(BUILTIN)))
    path = Path(source)
    if not path.is_file():
        raise NotFoundError(
            f"policy {name!r}",
            why_unread(path),
            remedy=f"Or one of: {', '.join(map(BUILTIN.__add__, builtins()))}.",
        )
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise LimitError(f"policy {name!r}", "it is too large", expected=f"at most {MAX_BYTES} bytes")
    return _parsed(called or path.stem, data)


def builtins() -> tuple[str, ...]:
    """Names of the policies that come with the package."""
    return tuple(sorted(f.name.removesuffix(".toml") for f in _folder().iterdir() if f.name.endswith(".toml")))


def _folder() -> Any:
    return files("inspector.policy") / "builtin"


def _builtin(name: str) -> bytes:
    if name not in builtins():
        raise NotFoundError.among("built-in policy", name, builtins())
    data: bytes = (_folder() / f"{name}.toml").read_bytes()
    return data


def _parsed(name: str, data: bytes) -> Policy:
    try:
        tree = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"policy {name!r}", "it cannot be read", expected="TOML", found=str(error)) from error
    _check_keys(f"policy {name!r}", tree, ("about", "rule", "finding"))
    about, items, others = tree.get("about", ""), tree.get("rule", []), tree.get("finding", [])
    if not (isinstance(about, str) and _are_tables(items) and _are_tables(others) and (items or others)):
        expected = "an optional text `about`, and [[rule]]s or [[finding]]s"
        raise ParameterError(f"policy {name!r}", "it has no rules", expected=expected)
    if (count := len(items) + len(others)) > MAX_RULES:
        raise LimitError(f"policy {name!r}", "too many rules", expected=f"at most {MAX_RULES}", found=str(count))
    _check_text(f"about of policy {name!r}", about)
    rules = tuple(_rule(f"rule {item.get('id', at)!r} of policy {name!r}", item) for at, item in enumerate(items, 1))
    check_ids(rules)
    overrides = tuple(_valid(_OVERRIDE, Override, override_name(at, name), item) for at, item in enumerate(others, 1))
    for at, override in enumerate(overrides, 1):
        _check_about(override_name(at, name), override.analysis, override.rule)
    return Policy(name, hashlib.sha256(data).hexdigest(), rules, about, overrides)


def _check_about(subject: str, analysis: str, about: str) -> None:
    """ParameterError where it is about what rules say."""
    if analysis == POLICY:
        remedy = "Give the rule that it names another severity or limit."
        raise ParameterError(
            subject, "what rules say is not judged by rules", expected="an analysis", found=repr(about), remedy=remedy
        )


def _check_text(subject: str, text: str) -> None:
    if (found := control_character(text)) is not None:
        raise ParameterError(subject, "it has a control character", found=repr(found), remedy="Leave it out.")


def _are_tables(items: object) -> bool:
    return isinstance(items, list) and all(isinstance(item, dict) for item in items)


def check_ids(rules: tuple[Rule, ...]) -> None:
    """ParameterError where two rules have one id, as their findings could not be told apart."""
    ids = [rule.id for rule in rules]
    if double := next((i for i in ids if ids.count(i) > 1), None):
        raise ParameterError(f"rule {double!r}", "two rules have this id", remedy="Give every rule an id of its own.")


def _check_keys(subject: str, tree: dict[str, Any], known: tuple[str, ...]) -> None:
    unknown = next((key for key in tree if key not in known), None)
    if unknown is not None:
        raise NotFoundError.among("key", unknown, known, of=subject)


def _rule(subject: str, item: dict[str, Any]) -> Rule:
    return _sensible(subject, _valid(_RULE, Rule, subject, item))


def _valid(adapter: TypeAdapter[T], kind: type[T], subject: str, item: dict[str, Any]) -> T:
    _check_keys(subject, item, tuple(field.name for field in fields(kind)))
    try:
        return adapter.validate_python(item)
    except ValidationError as error:
        raise ParameterError.first_of(error, lambda path: f"{path[0] if path else 'rule'} in {subject}") from error


def _sensible(subject: str, rule: Rule) -> Rule:
    """The rule, a limit filled in where there is a default; ParameterError where it makes no sense."""
    if sum(value is not None for value in (rule.metric, rule.finding, rule.report)) != 1:
        raise ParameterError(
            subject, "it has to be about one thing", expected="exactly one of: metric, finding, report"
        )
    _check_about(subject, rule.analysis, rule.subject)
    if rule.report is not None and rule.report not in (*NUMBERS, *TEXTS):
        raise NotFoundError.among("report", rule.report, (*NUMBERS, *TEXTS), of=subject)
    if rule.report is not None and rule.layers != ("*",):
        raise ParameterError(subject, "provenance has no layers", remedy="Leave `layers` out.")
    textual = rule.report in TEXTS
    numeric = rule.min is not None or rule.max is not None or isinstance(rule.equals, int | float)
    if numeric if textual else (isinstance(rule.equals, str) or rule.one_of):
        kind = "a text (equals, one_of)" if textual else "a number (min, max, equals)"
        raise ParameterError(subject, "its limit is of the wrong kind", expected=f"{kind} for {rule.subject!r}")
    if not rule.limit:
        if rule.kind != "finding":
            raise ParameterError(subject, "it has no limit", expected="min, max, equals or one_of")
        rule = replace(rule, max=0)
    if rule.equals is not None and (rule.min is not None or rule.max is not None or rule.one_of):
        raise ParameterError(subject, "`equals` says it all", remedy="Leave min, max and one_of out, or equals.")
    if "" in (rule.equals, *rule.one_of):
        told = "a text that is empty is one that nobody knows, which is nothing to judge"
        raise ParameterError(subject, told, remedy="Leave it out.")
    if rule.min is not None and rule.max is not None and rule.min > rule.max:
        raise ParameterError(subject, "no number keeps both limits", found=f"min {rule.min}, max {rule.max}")
    return rule
