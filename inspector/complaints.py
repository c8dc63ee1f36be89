"""What pydantic complains of, in our words."""

from __future__ import annotations

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
    "string_too_short": "characters, {min_length} or more",
    "string_too_long": "{max_length} characters or fewer",
    "string_pattern_mismatch": "a text like {pattern}",
    "too_short": "values, {min_length} or more",
    "too_long": "{max_length} values or fewer",
    "byte_size": "a size such as 2GiB or 500MB",
    "byte_size_unit": "a size such as 2GiB or 500MB",
}
"""By kind of complaint; the names in braces are pydantic's."""

_TYPES: Final[Mapping[str, str]] = {
    "float": "a number", "decimal": "a number", "int": "a whole number", "string": "a text", "bool": "true or false",
    "list": "a list", "tuple": "a list", "set": "a list", "frozen_set": "a list", "dict": "names with values",
    "mapping": "names with values", "model": "names with values", "dataclass": "names with values",
}  # fmt: skip
"""By the first word of a complaint about a type: `float_parsing`, `list_type`."""

_PROBLEMS: Final[Mapping[str, str]] = {
    "missing": "it is missing",
    "extra_forbidden": "there is none of that name",
    "unexpected_keyword_argument": "there is none of that name",
}


def told(complaint: Mapping[str, Any]) -> dict[str, str]:
    """`problem`, and `expected` and `found` where they can be said, of one of `ValidationError.errors()`."""
    kind, facts = complaint["type"], complaint.get("ctx", {})
    if kind in _PROBLEMS:
        return {"problem": _PROBLEMS[kind]}
    found = repr(complaint["input"])[:200]
    if kind in ("value_error", "assertion_error"):  # words of whoever wrote the check
        problem = str(facts.get("error", complaint["msg"]))
        return {"problem": problem, "found": "" if found in problem else found}
    return {"problem": "it is not valid", "expected": _expected(kind, facts, complaint["msg"]), "found": found}


def _expected(kind: str, facts: Mapping[str, Any], message: str) -> str:
    if kind in _EXPECTED:
        short = {name: f"{fact:g}" if isinstance(fact, float) else fact for name, fact in facts.items()}
        return _EXPECTED[kind].format_map(short)
    subject, _, what = kind.rpartition("_")
    if what in ("type", "parsing") and subject in _TYPES:
        return _TYPES[subject]
    return "a whole number" if kind == "int_from_float" else message.removeprefix("Input should be ")
