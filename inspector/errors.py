"""What can go wrong, as one small tree. Every error holds its subject and a remedy; none knows a status code."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar, Final, Self

from pydantic import ValidationError

from inspector.complaints import told

_LONGEST: Final = 4096
"""Characters of a name: see `inspector.graph.loading.limits`."""


class InspectorError(Exception):
    """Base of all errors that are raised on purpose.

    The text reads `<subject>: <problem>; expected <…>, found <…>. <remedy>`, on one line.

    Attributes:
        subject: what the error is about (a file, a layer, an input, a parameter).
        problem: what is wrong with it.
        expected: what would have been right, where that can be said.
        found: what was there instead.
        remedy: what the reader can do now.
        reason: stable identifier of the kind of error, UPPER_SNAKE_CASE, for programs.
    """

    reason: ClassVar[str] = "INSPECTOR_ERROR"

    def __init__(self, subject: str, problem: str, *, expected: str = "", found: str = "", remedy: str = "") -> None:
        self.subject, self.problem = subject, problem
        self.expected, self.found, self.remedy = expected, found, remedy
        super().__init__(self._sentence())

    def __reduce__(self) -> tuple[Any, ...]:
        """How it travels between processes."""
        told = {"expected": self.expected, "found": self.found, "remedy": self.remedy}
        return partial(type(self), **told), (self.subject, self.problem)

    def about(self, name: str) -> str:
        """The text where `name` stands before it already, and begins with the subject: without the subject."""
        return str(self).removeprefix(f"{self.subject}: ") if name.startswith(self.subject) else str(self)

    def reworded(self, change: Callable[[str], str]) -> Self:
        """A new error of the same kind, each of its texts as `change` makes it."""
        subject, problem, expected, found, remedy = map(
            change, (self.subject, self.problem, self.expected, self.found, self.remedy)
        )
        return type(self)(subject, problem, expected=expected, found=found, remedy=remedy)

    def _sentence(self) -> str:
        sides = [f"expected {self.expected}"] * bool(self.expected) + [f"found {self.found}"] * bool(self.found)
        text = f"{self.subject}: {self.problem}" + ("; " + ", ".join(sides) if sides else "")
        return " ".join(f"{text.rstrip(' .')}. {self.remedy}".split())


class ModelError(InspectorError):
    """A file that is no usable ONNX CNN: not ONNX, cut short, without convolutions, breaking the standard."""

    reason = "INVALID_MODEL"


class InputError(InspectorError):
    """An input (picture, array, folder) that does not fit the model or cannot be read."""

    reason = "INVALID_INPUT"


class ParameterError(InspectorError):
    """A parameter of an analysis, or an option, that is unknown or out of range."""

    reason = "INVALID_PARAMETER"

    @classmethod
    def first_of(cls, error: ValidationError, subject: Callable[[tuple[str, ...]], str]) -> Self:
        """The first complaint of pydantic; `subject` makes one of the way to the value, empty for the whole."""
        first = error.errors()[0]
        where = subject(tuple(map(str, first["loc"])))
        return cls(where, **told(first))


class NotFoundError(InspectorError):
    """A model, layer, tap, analysis or file of that name does not exist."""

    reason = "NOT_FOUND"

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], remedy: str = "", *, of: str = "") -> NotFoundError:
        """Says which names exist, nearest first: `kind` is what was looked for, `of` where, `known` what there is.

        A name of more than 4,096 characters, which nothing can have, is near to none: looking would take long.
        """
        names = list(known)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5) if len(name) <= _LONGEST else []
        hint = f"Did you mean {near[0]!r}?" if near else ""
        shown = ", ".join(names[:8]) + (f", … ({len(names)} in all)" if len(names) > 8 else "")
        return cls(
            f"{kind} {name if len(name) <= _LONGEST else name[:40] + '…'!r}{f' of {of}' if of else ''}",
            "there is none of that name",
            expected=f"one of: {shown or '(none)'}",
            remedy=f"{hint} {remedy}".strip(),
        )


class Inapplicable(InspectorError):  # noqa: N818 - a reason, not a fault
    """An analysis has nothing to say about this model; says why. Not a fault of anybody."""

    reason = "INAPPLICABLE"


class ProviderError(InspectorError):
    """An execution provider or device that was asked for cannot be used here."""

    reason = "PROVIDER_UNAVAILABLE"


class RunError(InspectorError):
    """The runtime could not build a session for a model, or failed while running it."""

    reason = "RUNTIME_FAILED"


class PluginError(InspectorError):
    """A plugin failed to import, breaks the contract, or raised while it ran."""

    reason = "PLUGIN_FAILED"


class LimitError(InspectorError):
    """A request is larger than what this installation allows."""

    reason = "LIMIT_EXCEEDED"


class SummaryError(InspectorError):
    """Stored summaries that cannot be read, or cannot be added to each other."""

    reason = "INVALID_SUMMARY"


class OutputError(InspectorError):
    """A file or folder that is to be written cannot be.

    Attributes:
        report: what was to be written, where the run was carried through all the same; or None.
    """

    reason = "CANNOT_WRITE"

    def __init__(self, subject: str, problem: str, *, expected: str = "", found: str = "", remedy: str = "") -> None:
        super().__init__(subject, problem, expected=expected, found=found, remedy=remedy)
        self.report: Any = None

    def with_report(self, report: object) -> Self:
        """The same, with the report."""
        self.report = report
        return self


class StoppedError(InspectorError):
    """The caller stopped the run."""

    reason = "STOPPED"
