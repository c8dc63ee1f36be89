"""What pydantic complains of, in our words."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import Any, Final

_EXPECTED: Final[Mapping[str, str]] = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "finite_number": "a finite number",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "multiple_of": "a multiple of {multiple_of}",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "string_pattern_mismatch": "a text like {pattern}",
    "none_required": "nothing",
    "json_invalid": "JSON",
    "is_instance_of": "a {class}",
    "union_tag_invalid": "{discriminator} to be one of {expected_tags}",
    "union_tag_not_found": "{discriminator} among the names",
    "byte_size": "a size such as 2GiB or 500MB",
    "byte_size_unit": "a size such as 2GiB or 500MB",
}
"""By kind of complaint; the names in braces are pydantic's."""

_LENGTHS: Final[Mapping[str, tuple[str, str]]] = {
    "string": ("character", "characters"), "url": ("character", "characters"),
    "bytes": ("byte", "bytes"), "": ("value", "values"),
}  # fmt: skip
"""What is counted, by what comes before `too_short` and `too_long` in a complaint."""

_TYPES: Final[Mapping[str, str]] = {
    "float": "a number", "decimal": "a number", "int": "a whole number", "string": "a text", "bool": "true or false",
    "bytes": "bytes", "path": "a path", "complex": "a number", "fraction": "a number", "url": "a URL", "uuid": "a UUID",
    "date": "a date", "time": "a time of day", "datetime": "a date with a time", "time_delta": "a length of time",
    "json": "JSON", "list": "a list", "tuple": "a list", "set": "a list", "frozen_set": "a list",
    "dict": "names with values", "mapping": "names with values", "model": "names with values",
    "dataclass": "names with values",
}  # fmt: skip
"""By the first word of a complaint about a type: `float_parsing`, `list_type`."""

_UNLISTED: Final = frozenset({"byte_size", "byte_size_unit", "path_type"})
"""Kinds of pydantic's that have no page; others without one are of checks with words of their own."""

_BOUNDS: Final = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})
_INVALID: Final = "it is not valid"
_PROBLEMS: Final[Mapping[str, str]] = {
    "missing": "it is missing",
    "missing_argument": "it is missing",
    "missing_keyword_only_argument": "it is missing",
    "extra_forbidden": "there is none of that name",
    "unexpected_keyword_argument": "there is none of that name",
}


def told(complaint: Mapping[str, Any]) -> dict[str, str]:
    """`problem`, and `expected` and `found` where they can be said, of one of `ValidationError.errors()` with `url`."""
    kind, facts = complaint["type"], complaint.get("ctx", {})
    if kind in _PROBLEMS:
        return {"problem": _PROBLEMS[kind]}
    found = repr(complaint["input"])[:200]
    foreign = kind in ("value_error", "assertion_error") or ("url" not in complaint and kind not in _UNLISTED)
    if foreign:  # words of whoever wrote the check
        problem = str(facts.get("error", complaint["msg"])) or _INVALID
        return {"problem": problem, "found": "" if found in problem else found}
    expected = _expected(kind, facts)
    number = "a number, " if kind in _BOUNDS and _is_nan(complaint["input"]) else ""
    return {"problem": _INVALID, "expected": f"{number}{expected}", "found": found}


def _expected(kind: str, facts: Mapping[str, Any]) -> str:
    """Empty for a kind that is not known here: pydantic's words are none of ours."""
    subject, _, what = kind.rpartition("_")
    with contextlib.suppress(KeyError):  # a check of somebody else's that took a name of pydantic's, without the facts
        if kind in _EXPECTED:
            short = {name: f"{fact:g}" if isinstance(fact, float) else fact for name, fact in facts.items()}
            return _EXPECTED[kind].format_map(short)
        if kind.endswith(("too_short", "too_long")):
            return _length(kind, facts)
    return _TYPES.get(subject, "") if what in ("type", "parsing") else ""


def _length(kind: str, facts: Mapping[str, Any]) -> str:
    one, several = _LENGTHS.get(kind.rpartition("too_")[0].rstrip("_"), _LENGTHS[""])
    count, more = (facts["min_length"], "more") if kind.endswith("short") else (facts["max_length"], "fewer")
    return f"{count} {one if count == 1 else several} or {more}"


def _is_nan(value: object) -> bool:
    try:
        return math.isnan(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False
