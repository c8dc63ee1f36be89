"""Resource names: `models/{model}`, `models/{model}/layers/{layer}`, `plugins/{plugin}`.

Ids are percent-encoded as in RFC 3986: all but letters, digits and `-._~` becomes `%` and two hexadecimal digits, byte
by byte of its UTF-8. So a `/` inside a layer's name never separates anything. File names that are no UTF-8 survive.
In names that are asked for, `!*'()` may stand as they are: the encoders of JavaScript leave them.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from inspector.errors import ParameterError

_ID = r"([A-Za-z0-9._~%!*'()-]+)"
_MODEL = re.compile(f"models/{_ID}")
_LAYER = re.compile(f"models/{_ID}/layers/{_ID}")
_PLUGIN = re.compile(f"plugins/{_ID}")


def model_name(model: str) -> str:
    """Resource name of a model."""
    return f"models/{_encoded(model)}"


def layer_name(model: str, layer: str) -> str:
    """Resource name of a layer, by its own name."""
    return f"models/{_encoded(model)}/layers/{_encoded(layer)}"


def plugin_name(plugin: str) -> str:
    """Resource name of a plugin."""
    return f"plugins/{_encoded(plugin)}"


def model_of(name: str, field: str = "name") -> str:
    """Id of the model in `models/{model}`; ParameterError, naming the field, for anything else."""
    return _parts(_MODEL, name, field, "models/{model}, percent-encoded")[0]


def layer_of(name: str, field: str = "name") -> tuple[str, str]:
    """Id of the model and the layer's own name; ParameterError, naming the field, for anything else."""
    model, layer = _parts(_LAYER, name, field, "models/{model}/layers/{layer}, both percent-encoded")
    return model, layer


def plugin_of(name: str, field: str = "name") -> str:
    """Id of the plugin in `plugins/{plugin}`; ParameterError, naming the field, for anything else."""
    return _parts(_PLUGIN, name, field, "plugins/{plugin}, percent-encoded")[0]


def _encoded(text: str) -> str:
    return quote(text, safe="", errors="surrogateescape")


def _parts(pattern: re.Pattern[str], name: str, field: str, expected: str) -> list[str]:
    match = pattern.fullmatch(name)
    if not match:
        raise ParameterError(field, "this is no such resource name", expected=expected, found=repr(name[:200]))
    return [unquote(part, errors="surrogateescape") for part in match.groups()]
