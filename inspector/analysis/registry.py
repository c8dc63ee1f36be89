"""Entry points to analyses. A broken plugin is listed with its reason and hurts nobody else."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Literal

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from inspector.contract import Analysis, MetricInfo, Summary
from inspector.contract.summary import merges_of
from inspector.errors import InspectorError, LimitError, NotFoundError, ParameterError, PluginError
from inspector.several import several

GROUP: Final = "inspector.plugins"
MAX_TEXT: Final = 16_384
"""Characters of an analysis with its parameters."""
Kind = Literal["static", "measured", "explored"]


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One analysis that is installed, or one that should be and fails.

    Attributes:
        name: what to ask for.
        version: of its numbers.
        kind: `static` (weights), `measured` (data) or `explored` (runs of its own); empty when it failed.
        about: first sentence of its docstring.
        distribution: the installed distribution it came with.
        params_schema: JSON Schema of its parameters.
        failure: why it cannot be used; empty when it can.
        metrics: the numbers that it publishes for programs.
        rules: the rules of its findings; empty where it does not say.
    """

    name: str
    version: str = ""
    kind: str = ""
    about: str = ""
    distribution: str = ""
    params_schema: str = field(default="{}", repr=False)
    failure: str = ""
    metrics: tuple[MetricInfo, ...] = field(default=(), repr=False)
    rules: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class AnalysisRequest:
    """An analysis by name, with its parameters."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> AnalysisRequest:
        """`name`, `name:key=value,key=value` (a value is JSON, or else text), or `name:{"key": value}`.

        Raises:
            ParameterError: not of that form.
            LimitError: longer than `MAX_TEXT`.
        """
        if len(text) > MAX_TEXT:
            raise LimitError(
                f"analysis {text[:40]!r}…",
                "its text is too long",
                expected=f"at most {MAX_TEXT} characters",
                found=str(len(text)),
                remedy="Patterns stand for many names: * and ? match.",
            )
        name, _, rest = text.strip().partition(":")
        if rest.startswith("{"):
            return cls(name, _json_object(name, rest))
        pairs = [part.partition("=") for part in _split(rest)] if rest else []
        if any(not equals for _, equals, _ in pairs):
            raise ParameterError(
                f"analysis {text[:200]!r}", "its parameters cannot be read", expected="name:key=value,key=value"
            )
        return cls(name, {key.strip(): _value(value) for key, _, value in pairs})

    @property
    def text(self) -> str:
        """What `parse` reads as this; ParameterError where a parameter is no JSON."""
        try:
            return f"{self.name}:{json.dumps(dict(self.params))}" if self.params else self.name
        except (TypeError, ValueError, RecursionError) as error:
            subject = f"analysis {self.name!r}"
            raise ParameterError(subject, "its parameters cannot be sent", expected="JSON", found=str(error)) from error


Analyses = str | AnalysisRequest | Sequence[str | AnalysisRequest] | None
"""`name` or `name:key=value,…`, requests, or several of these; None: none."""


def requested(analyses: Any) -> tuple[str | AnalysisRequest, ...]:
    """The analyses that a caller asks for, one or several; ParameterError for anything that is none."""
    expected = "`name`, `name:key=value,…` or an AnalysisRequest"
    return several(analyses, "analyses", str, AnalysisRequest, expected=expected)


def plugins() -> tuple[PluginInfo, ...]:
    """All installed plugins, by name, the broken ones too."""
    return tuple(_info(point) for point in sorted(_points(), key=lambda p: p.name))


def make(request: AnalysisRequest) -> tuple[str, Analysis[Any]]:
    """The parameters as JSON, defaults filled in, and the analysis of that name made with them.

    Raises:
        NotFoundError: none is called so.
        PluginError: it is installed and cannot be used.
        ParameterError: a parameter is unknown or out of range, or JSON has no word for it.
    """
    found = [p for p in _points() if p.name == request.name]
    if not found:
        raise NotFoundError.among("analysis", request.name, sorted(p.name for p in _points()))
    if len(found) > 1:
        sources = ", ".join(_distribution(p) for p in found)
        raise PluginError(
            f"analysis {request.name!r}", "two plugins claim the name", found=sources, remedy="Uninstall one."
        )
    kind = _load(found[0])
    params = _params(kind, request)
    text = _as_json(kind, params, request.name)
    try:
        return text, kind(params)
    except InspectorError:
        raise
    except Exception as error:
        raise PluginError(
            f"analysis {request.name!r}", "it cannot be made", found=f"{type(error).__name__}: {error}"
        ) from error


def _as_json(kind: Any, params: BaseModel, name: str) -> str:
    """The parameters as a report, a checkpoint or another process has them, who must read the same there."""
    text = params.model_dump_json()
    changed = ParameterError(
        f"parameters of {name!r}",
        "written as JSON, they are not read back as they are",
        expected="finite numbers, texts, lists and the like",
        found=text[:200],
    )
    try:
        again = kind.Params.model_validate_json(text)
    except ValidationError as error:
        raise changed from error
    if again != params:
        raise changed
    return text


@cache
def _points() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP))


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else ""


def _info(point: EntryPoint) -> PluginInfo:
    try:
        kind = _load(point)
    except PluginError as error:
        return PluginInfo(point.name, distribution=_distribution(point), failure=str(error))
    about = (inspect.getdoc(kind) or "").partition("\n")[0]
    schema = json.dumps(kind.Params.model_json_schema(), sort_keys=True)
    return PluginInfo(
        point.name,
        kind.version,
        kind_of(kind),
        about,
        _distribution(point),
        schema,
        metrics=tuple(getattr(kind, "metrics", ())),
        rules=tuple(getattr(kind, "rules", ())),
    )


def kind_of(analysis: Any) -> Kind:
    """Which of the three kinds an analysis (or its class) is."""
    if hasattr(analysis, "explore"):
        return "explored"
    return "measured" if hasattr(analysis, "observe") else "static"


def _load(point: EntryPoint) -> Any:
    try:
        kind = point.load()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise PluginError(
            f"plugin {point.name!r}",
            "it cannot be imported",
            found=f"{type(error).__name__}: {error}",
            remedy=f"Repair or uninstall {_distribution(point) or point.value}.",
        ) from error
    fault = _fault(kind, point.name)
    if fault:
        raise PluginError(
            f"plugin {point.name!r}", f"it breaks the contract: {fault}", remedy="See docs/writing-plugins.md."
        )
    return kind


_MEMBERS: Final[dict[Kind, tuple[str, ...]]] = {
    "static": ("finalize", "present"),
    "measured": ("select", "observe", "summarize", "finalize", "present"),
    "explored": ("explore", "present"),
}


def _fault(kind: Any, name: str) -> str:
    """What a plugin lacks, or nothing."""
    if getattr(kind, "name", None) != name:
        return f"its name is {getattr(kind, 'name', None)!r}, its entry point {name!r}"
    if not isinstance(getattr(kind, "version", None), str):
        return "it has no version"
    if not (isinstance(getattr(kind, "Params", None), type) and issubclass(kind.Params, BaseModel)):
        return "Params is no pydantic model"
    missing = [m for m in _MEMBERS[kind_of(kind)] if not callable(getattr(kind, m, None))]
    if missing:
        return f"it has no {', '.join(missing)}"
    measured = kind_of(kind) == "measured"
    return _params_fault(kind.Params) or _declared_fault(kind) or (_summary_fault(kind) if measured else "")


def _params_fault(params: type[BaseModel]) -> str:
    try:
        params.model_json_schema()
    except Exception as error:  # noqa: BLE001 - pydantic raises whatever a custom type raises
        return f"Params has no JSON Schema ({type(error).__name__})"
    renamed = next((key for key, field in params.model_fields.items() if _has_alias(field)), None)
    return f"its parameter {renamed!r} has an alias; a parameter has one name" if renamed else ""


def _has_alias(field: FieldInfo) -> bool:
    return any((field.alias, field.validation_alias, field.serialization_alias))


def _declared_fault(kind: Any) -> str:
    infos = getattr(kind, "metrics", ())
    if not (isinstance(infos, tuple) and all(isinstance(info, MetricInfo) for info in infos)):
        return "metrics is no tuple of MetricInfo"
    odd = next((info.name for info in infos if not re.fullmatch(r"[a-z][a-z0-9_]*", info.name)), None)
    if odd is not None:
        return f"{odd!r} is no name for a metric; use lower-case letters, digits and underscores"
    rules = getattr(kind, "rules", ())
    if not (isinstance(rules, tuple) and all(isinstance(r, str) and r.startswith(f"{kind.name}/") for r in rules)):
        return f"rules is no tuple of texts that begin with '{kind.name}/'"
    return "two metrics have one name" if len({info.name for info in infos}) < len(infos) else ""


def _summary_fault(kind: Any) -> str:
    summary = getattr(kind, "summary", None)
    if not (isinstance(summary, type) and issubclass(summary, Summary)):
        return "summary is no Summary"
    if "__dataclass_fields__" not in vars(summary):
        return "summary is no dataclass"
    try:
        if summary.__add__ is Summary.__add__:
            merges_of(summary)
    except InspectorError as error:
        return str(error)
    return ""


_SEVERAL: Final = (list, tuple, set, frozenset, range)
"""What holds the values of a parameter that takes several; anything else is one of them."""


def _params(kind: Any, request: AnalysisRequest) -> BaseModel:
    fields = kind.Params.model_fields
    unknown = next((key for key in request.params if key not in fields), None)
    if unknown is not None:
        near = NotFoundError.among("parameter", unknown, fields)
        raise ParameterError(
            f"parameter {unknown!r} of {request.name!r}", near.problem, expected=near.expected, remedy=near.remedy
        )
    listed = kind.Params.model_json_schema().get("properties", {})
    values = {
        k: [v] if listed.get(k, {}).get("type") == "array" and not isinstance(v, _SEVERAL) else v
        for k, v in request.params.items()
    }
    try:
        params: BaseModel = kind.Params.model_validate(values)
    except ValidationError as error:
        raise ParameterError.first_of(
            error, lambda path: f"parameter {'.'.join(path) or 'parameters'!r} of {request.name!r}"
        ) from error
    return params


def _json_object(name: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"analysis {name!r}", "its parameters are not JSON", found=str(error)) from error
    if not isinstance(value, dict):
        raise ParameterError(f"analysis {name!r}", "its parameters are no JSON object", found=type(value).__name__)
    return value


def _split(text: str) -> list[str]:
    """At commas that stand outside of brackets and quotes."""
    parts, depth, quoted, start = [], 0, False, 0
    for index, char in enumerate(text):
        quoted ^= char == '"'
        depth += 0 if quoted else (char in "[{") - (char in "]}")
        if char == "," and not depth and not quoted:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
