"""What a policy is: rules about the numbers, the findings and the provenance of a report; what findings count as."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, Final, Literal

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, StrictFloat

from inspector.contract import Array, Severity
from inspector.render.numbers import number


def control_character(text: str) -> str | None:
    """The first one in a text that could steer a terminal; line feeds and tabs are fine."""
    return next((c for c in text if unicodedata.category(c) == "Cc" and c not in "\n\t"), None)


def _readable(text: str) -> str:
    if (found := control_character(text)) is not None:
        raise ValueError(f"it has the control character {found!r}")
    return text


def _identifier(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,99}", text):
        raise ValueError("an id has lower-case letters, digits and hyphens, 100 or fewer, and begins with no hyphen")
    return text


Text = Annotated[str, Field(max_length=2000), AfterValidator(_readable)]
Name = Annotated[str, Field(min_length=1, max_length=500)]
Limit = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Layers = Annotated[tuple[Name, ...], Field(min_length=1, max_length=1000)]
Subject = Literal["metric", "finding", "report"]
Names = Set[str]
"""All layers and places (`layer:tap`) that are known."""

POLICY: Final = "policy"
"""What the result of judging, and the findings of rules, are called; rules are not about them."""
NUMBERS: Final = ("inputs", "skipped", "skipped_share", "incomplete", "missing_shards", "batch")
"""Numbers that a rule on `report` can name."""
TEXTS: Final = ("model", "sha256", "data_sha256", "preprocess", "fidelity", "device", "provider", "check")
"""Texts that a rule on `report` can name; `check` is `passed` or `failed`, nothing where there was none."""


def covers(pattern: str, layer: str, where: str, names: Names = frozenset()) -> bool:
    """Whether a pattern means this layer, or this place in it (`layer:tap`); what is one of the names means itself."""
    if pattern in {layer, where}:
        return True
    return pattern not in names and (fnmatchcase(layer, pattern) or fnmatchcase(where, pattern))


def covered(patterns: Sequence[str], layer: str, where: str, names: Names) -> bool:
    """Whether one of the patterns means this layer, or this place in it."""
    return any(covers(pattern, layer, where, names) for pattern in patterns)


def _exact(value: float) -> str:
    text = number(value)
    return text if float(text.replace(",", "")) == value else repr(value)


def analysis_in(subject: str, separator: str) -> str:
    """The analysis that a metric, or a pattern of findings, begins with; empty where that is a pattern itself."""
    name = subject.partition(separator)[0]
    return "" if set(name) & set("*?[") else name


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, field by field as in the file.

    Attributes:
        id: lower-case letters, digits and hyphens; findings are called `policy/<id>`.
        metric: `analysis.metric`; every layer and every channel of it has to keep the limits.
        finding: pattern of findings' rules, such as `sparsity/dead`; their number has to keep the limits,
            at most 0 where there are none.
        report: what of the report's provenance, one of `NUMBERS` and `TEXTS`.
        layers: patterns of layers (`conv*`) or taps (`conv1:act`) that a metric or finding is about.
        min: least number that is right.
        max: largest number that is right.
        equals: the one number or text that is right.
        one_of: the texts that are right.
        severity: of the finding where the rule does not hold; an error makes the report not ok.
        missing: what it means that there is nothing to judge: `fail` or `pass`.
        message: what is wrong then, in words of the policy.
        remedy: what can be done about it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    id: Annotated[str, AfterValidator(_identifier)]
    metric: Name | None = None
    finding: Name | None = None
    report: Name | None = None
    layers: Layers = ("*",)
    min: Limit | None = None
    max: Limit | None = None
    equals: Limit | Text | None = None
    one_of: Annotated[tuple[Text, ...], Field(max_length=1000)] = ()
    severity: Severity = Severity.ERROR
    missing: Literal["fail", "pass"] = "fail"
    message: Text = ""
    remedy: Text = ""

    @property
    def kind(self) -> Subject:
        """What the rule is about."""
        return "metric" if self.metric else "finding" if self.finding else "report"

    @property
    def subject(self) -> str:
        """The metric, the pattern of findings, or the part of the provenance."""
        return self.metric or self.finding or self.report or ""

    @property
    def analysis(self) -> str:
        """The analysis that has to run for it; empty where any may."""
        separator = {"metric": ".", "finding": "/", "report": ""}[self.kind]
        return analysis_in(self.subject, separator) if separator else ""

    @property
    def limit(self) -> str:
        """The limits in words, numbers with all their digits."""
        sides = ((self.min, "at least"), (self.max, "at most"), (self.equals, "exactly"))
        parts = [f"{word} {v if isinstance(v, str) else _exact(v)}" for v, word in sides if v is not None]
        return " and ".join([*parts, *([f"one of: {', '.join(self.one_of)}"] if self.one_of else [])])

    @property
    def numbers(self) -> tuple[float, ...]:
        """The limits that are numbers."""
        return tuple(v for v in (self.min, self.max, self.equals) if v is not None and not isinstance(v, str))

    def covers(self, layer: str, where: str, names: Names = frozenset()) -> bool:
        """Whether the rule is about this layer, or this place in it (`layer:tap`)."""
        return covered(self.layers, layer, where, names)

    def broken_by(self, values: Array) -> Array:
        """Which of the numbers (n,) do not keep the limits, (n,) bool; NaN never does."""
        fine = ~np.isnan(values.astype(np.float64))
        if self.min is not None:
            fine &= values >= self.min
        if self.max is not None:
            fine &= values <= self.max
        if self.equals is not None:
            fine &= values == self.equals
        return ~fine

    def beyond(self, values: Array) -> Array:
        """How far numbers (n,) are from the nearest that is right, (n,) float64; NaN stays NaN."""
        x = values.astype(np.float64)
        low = np.zeros_like(x) if self.min is None else self.min - x
        high = np.zeros_like(x) if self.max is None else x - self.max
        off = np.abs(x - self.equals) if isinstance(self.equals, int | float) else np.zeros_like(x)
        farthest: Array = np.maximum(np.maximum(low, high), off)
        return farthest

    def allows(self, text: str) -> bool:
        """Whether a text is right."""
        return (self.equals is None or text == self.equals) and (not self.one_of or text in self.one_of)


@dataclass(frozen=True, slots=True)
class Override:
    """How bad a kind of finding is here, whatever the analysis says; field by field as in the file.

    Attributes:
        rule: pattern of findings' rules, such as `sparsity/dead`.
        severity: what they count as; `ignore`: nothing.
        reason: why.
        layers: patterns of layers (`conv*`) or taps (`conv1:act`) that they are about.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    rule: Name
    severity: Severity | Literal["ignore"]
    reason: Annotated[Text, Field(min_length=1)]
    layers: Layers = ("*",)

    @property
    def analysis(self) -> str:
        """The analysis that it is about; empty where any may be."""
        return analysis_in(self.rule, "/")

    def covers(self, rule: str, layer: str, where: str, names: Names = frozenset()) -> bool:
        """Whether it is about findings of this rule, at this layer or this place in it (`layer:tap`)."""
        return fnmatchcase(rule, self.rule) and covered(self.layers, layer, where, names)


def override_name(at: int, policy: str) -> str:
    """What messages call the `at`th [[finding]] of a policy, from 1."""
    return f"finding {at} of policy {policy!r}"


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules that belong together.

    Attributes:
        name: of the file, without its ending, or `builtin:<name>`.
        sha256: of the file's bytes.
        rules: in the order of the file.
        about: what it is for.
        overrides: of findings' severities; the last that is about a finding holds.
    """

    name: str
    sha256: str
    rules: tuple[Rule, ...]
    about: str = ""
    overrides: tuple[Override, ...] = ()

    @property
    def analyses(self) -> tuple[str, ...]:
        """The analyses that its rules need, each once."""
        return tuple(dict.fromkeys(rule.analysis for rule in self.rules if rule.analysis))

    @property
    def identity(self) -> Mapping[str, str]:
        """What a report says about it."""
        return {"name": self.name, "sha256": self.sha256}
