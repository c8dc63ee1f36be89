"""The parameters of a plugin in words, from their JSON Schema: what may be given, and what is where nothing is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.text import Text

from inspector.faces.terminal_table import plain
from inspector.render.numbers import number

_TYPES: Final[Mapping[str, str]] = {
    "integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "array": "list",
    "object": "names with values", "null": "nothing",
}  # fmt: skip
_BOUNDS: Final = (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"), ("exclusiveMaximum", "below"))


def parameters(schema: str) -> list[Text]:
    """One line for every parameter: name, default, what may be given, what it means; none where it is no schema."""
    try:
        whole = json.loads(schema or "{}")
        fields, known = whole.get("properties", {}), whole.get("$defs", {})
        return [_parameter(name, field, known) for name, field in fields.items()]
    except (ValueError, AttributeError):
        return []


def _parameter(name: str, field: dict[str, Any], known: dict[str, Any]) -> Text:
    default = f" = {json.dumps(field['default'], ensure_ascii=False)}" if "default" in field else ""
    told = f"{default}  {kind}" if (kind := _kind(field, known)) else default
    about = field.get("description", "")
    return Text.assemble(plain(name), (plain(told), "dim"), plain(f"  {about}" if about else ""))


def _kind(field: dict[str, Any], known: dict[str, Any]) -> str:
    """What may be given: a type with its bounds, or the values that there are."""
    if "$ref" in field:
        return _kind(known.get(str(field["$ref"]).rpartition("/")[2], {}), {})
    if "enum" in field or "const" in field:
        return " or ".join(map(str, field.get("enum", [field.get("const")])))
    if "anyOf" in field:
        return " or ".join(filter(None, (_kind(one, known) for one in field["anyOf"])))
    inner = _kind(field["items"], known) if field.get("items") else ""
    words = [_TYPES.get(field.get("type", ""), ""), f"({inner})" if inner else "", *_bounds(field)]
    return " ".join(filter(None, words))


def _bounds(field: dict[str, Any]) -> Iterator[str]:
    return (f"{word} {number(field[key])}" for key, word in _BOUNDS if isinstance(field.get(key), int | float))
