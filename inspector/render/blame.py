"""Who is to blame when a block cannot be drawn: the plugin that made it, in one kind of error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from inspector.errors import InspectorError, PluginError


@contextmanager
def blamed(kind: str, title: object) -> Iterator[None]:
    """Turns whatever goes wrong inside into an error about that block.

    Blocks come from plugins and their types are not checked when they are made, so anything may be in them.

    Args:
        kind: what it is, such as `heat map`.
        title: what it is called.

    Raises:
        PluginError: in place of any error that is not the inspector's own.
    """
    try:
        yield
    except InspectorError:
        raise
    except Exception as error:
        raise PluginError(
            f"{kind} {str(title)[:80]!r}",
            "it cannot be drawn",
            expected="a block as the contract describes it",
            found=f"{type(error).__name__}: {error}"[:300],
        ) from error
