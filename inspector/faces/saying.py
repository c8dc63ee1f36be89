"""What goes wrong, as a command says it: one line on standard error."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand

from inspector.errors import InspectorError, ParameterError
from inspector.faces.terminal_table import plain as printable


def say(text: str, more: str = "") -> None:
    """Says an error in one line, and then `more` in its own; names of models in them steer no terminal."""
    with contextlib.suppress(OSError):  # nobody can be told that nobody can be told
        line = Text.assemble(("error", "bold red"), f": {printable(' '.join(text.split()))}")
        Console(stderr=True, soft_wrap=True, highlight=False).print(line)
        if more and sys.stderr:
            sys.stderr.write(printable(more))
            sys.stderr.flush()


def plain(error: Exception) -> str:
    """An error as text; what is none of ours with its kind."""
    return str(error) if isinstance(error, InspectorError) else f"{type(error).__name__}: {error}"


class Command(TyperCommand):
    """A command whose errors know it, for `mistyped`: typer leaves that out where an option lacks its value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: D102 - as its parent
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if is_mistyped(error) and getattr(error, "ctx", None) is None:
                error.ctx = ctx  # type: ignore[attr-defined]
            raise


def is_mistyped(error: Exception) -> bool:
    """Whether it is what typer says of a command that it cannot read; its own errors are not public."""
    return hasattr(error, "format_message")


def mistyped(error: Any) -> str:
    """What is wrong, what would be right, how the command is called.

    An option or argument that is missing, or has a wrong value, is told with its help.
    """
    param, cause = getattr(error, "param", None) or _named(error), error.__cause__
    about = f" {param.help}" if param and getattr(param, "help", None) else ""
    usage = f" {error.ctx.get_usage()}; see --help." if error.ctx else ""
    if param is not None and isinstance(cause, ValidationError):
        said = str(ParameterError.first_of(cause, lambda _: str(param.opts[0])))
    else:
        said = f"{error.format_message().rstrip('.')}."
    return f"{said}{about}{usage}"


def _named(error: Any) -> Any:
    """The option of the command that the error gives by name alone; None where there is none."""
    name, params = getattr(error, "option_name", None), error.ctx.command.params if error.ctx else ()
    return next((param for param in params if name in (*param.opts, *param.secondary_opts)), None)
