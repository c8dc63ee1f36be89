"""A command that was typed wrongly, in one line: what is wrong, what would be right, how it is called."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from inspector.errors import ParameterError


def is_mistyped(error: Exception) -> bool:
    """Whether it is what typer says of a command that it cannot read; its own errors are not public."""
    return hasattr(error, "format_message")


def mistyped(error: Any) -> str:
    """That line. An option or argument that is missing, or has a wrong value, is told with its help."""
    param, cause = getattr(error, "param", None), error.__cause__
    about = f" {param.help}" if getattr(param, "help", None) else ""
    usage = f" {error.ctx.get_usage()}; see --help." if error.ctx else ""
    if param is not None and isinstance(cause, ValidationError):
        said = str(ParameterError.first_of(cause, lambda _: param.opts[0]))
    else:
        said = f"{error.format_message().rstrip('.')}."
    return f"{said}{about}{usage}"
