"""A model that nobody has looked at yet, tried in a child process where it can do no harm."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inspector import errors
from inspector.contract.measures import TAPPED, Ops
from inspector.control import Stop
from inspector.errors import Inapplicable, InspectorError, LimitError, ModelError
from inspector.graph.data_files import data_files_beside
from inspector.graph.instrument import Request, instrument
from inspector.graph.load import load
from inspector.graph.loading.limits import DEFAULT_LIMITS, Limits
from inspector.graph.view import OnnxView
from inspector.runtime.confined import DEFAULT_BOUNDS, Bounds, End, run_confined
from inspector.runtime.session import open_session

COPIES: Final = 8
"""What is added to the memory, as a multiple of the files: checker, graph, rewrite and runtime each hold copies."""
_FUNCTION: Final = "inspector.trial:answer"
_TEXT: Final = 400
"""Characters of each text of an answer."""
_KINDS: Final = {
    kind.reason: kind for kind in (errors.ModelError, errors.LimitError, errors.NotFoundError, errors.RunError)
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What was found out about a model that is harmless to load.

    Attributes:
        layers: how many convolutions can be watched.
        refusal: why the runtime would not run it, in its own words; empty where it would.
    """

    layers: int
    refusal: str = ""


def try_model(
    source: str | PathLike[str] | bytes,
    *,
    name: str = "",
    limits: Limits = DEFAULT_LIMITS,
    bounds: Bounds = DEFAULT_BOUNDS,
    stop: Stop | None = None,
) -> Trial:
    """Does in a limited child all that a first load does: parse, check, infer, look at every layer, build a session.

    `bounds.memory` grows by `COPIES` times the size of the file, and of what could be its data files.

    Raises:
        NotFoundError: no such file.
        ModelError: it is no usable model, or reading it ends the process that does it.
        LimitError: beyond `limits`, or beyond `bounds` in time or memory.
        StoppedError: the stop was asked for.
    """
    data, path = (source, "") if isinstance(source, bytes) else (b"", str(Path(source).resolve()))
    subject = f"model {name or 'model'!r}" if name or not path else str(source)
    size = min(len(data) if not path else _size(Path(path)), limits.size + limits.external)
    request = json.dumps({"path": path, "name": name, "limits": asdict(limits)})
    bounds = replace(bounds, memory=bounds.memory + COPIES * size)
    outcome = run_confined(_FUNCTION, data, (request,), bounds, stop or Stop())
    if outcome.end is not End.ANSWERED:
        raise _death(outcome.end, outcome.detail, subject, bounds)
    try:
        verdict = _Verdict.model_validate_json(outcome.answer)
    except ValidationError as error:
        raise ModelError(subject, "the process that tries new models gave no sensible answer") from error
    if verdict.error is not None:
        raise verdict.error.rebuilt()
    return Trial(verdict.layers, verdict.refusal)


def _size(path: Path) -> int:
    """Bytes of a model file and of its folder's data files, where they are."""
    if not path.is_file():
        return 0
    return path.stat().st_size + sum(file.size for file in data_files_beside(path.parent))


def _death(end: End, detail: str, subject: str, bounds: Bounds) -> InspectorError:
    where = "in the process that tries new models"
    match end:
        case End.TIME:
            return LimitError(
                subject,
                f"loading it takes too long {where}",
                expected=f"at most {bounds.seconds:g} s",
                found=detail,
                remedy="If you trust the model, allow a trial more seconds.",
            )
        case End.MEMORY:
            return LimitError(
                subject,
                f"loading it takes too much memory {where}",
                expected=f"at most {bounds.memory} bytes",
                found=detail,
                remedy="If you trust the model, allow a trial more memory.",
            )
        case _:
            return ModelError(
                subject,
                f"loading it causes a crash {where}",
                found=detail,
                remedy="It is broken, hostile, or shows a fault of a library; onnx.checker.check_model may say more.",
            )


# ------------------------------------------------------------------------------------- what the child answers


class _Error(BaseModel):
    """An error in JSON."""

    model_config = ConfigDict(strict=True, extra="forbid")

    reason: str = Field(pattern="^(" + "|".join(_KINDS) + ")$")
    subject: str = Field(max_length=_TEXT)
    problem: str = Field(max_length=_TEXT)
    expected: str = Field(max_length=_TEXT)
    found: str = Field(max_length=_TEXT)
    remedy: str = Field(max_length=_TEXT)

    @classmethod
    def of(cls, error: InspectorError) -> _Error:
        """An error as it is written; one of another kind becomes a RunError."""
        reason = error.reason if error.reason in _KINDS else errors.RunError.reason
        texts = (error.subject, error.problem, error.expected, error.found, error.remedy)
        subject, problem, expected, found, remedy = (_plain(text) for text in texts)
        return cls(reason=reason, subject=subject, problem=problem, expected=expected, found=found, remedy=remedy)

    def rebuilt(self) -> InspectorError:
        """The error that was written."""
        return _KINDS[self.reason](
            self.subject, self.problem, expected=self.expected, found=self.found, remedy=self.remedy
        )


class _Verdict(BaseModel):
    """An answer in JSON: an error, or facts."""

    model_config = ConfigDict(strict=True, extra="forbid")

    layers: int = Field(default=0, ge=0)
    refusal: str = Field(default="", max_length=2 * _TEXT)
    error: _Error | None = None


def answer(stream: BinaryIO, arguments: Sequence[str]) -> bytes:
    """The child's part: loads the model, looks at all of it, and says in JSON what came of it."""
    request = json.loads(arguments[0])
    name, path = request["name"], request["path"]
    try:
        view = load(path or stream.read(), name=name, limits=Limits(**request["limits"]))
        look_at(view)
        verdict = _Verdict(layers=len(view.layers), refusal=_plain(refusal(view)))
    except InspectorError as error:
        verdict = _Verdict(error=_Error.of(error))
    return verdict.model_dump_json().encode()


def look_at(view: OnnxView) -> None:
    """Asks for every fact, as clients will; a layer that has some fact not is no reason to refuse the model.

    Raises:
        LimitError: a fact takes more than is allowed.
    """
    for layer in view.layers:
        for ask in (view.filters, view.input_range, view.cost, view.receptive_fields):
            with contextlib.suppress(Inapplicable, ModelError):
                ask(layer.name)


def refusal(view: OnnxView) -> str:
    """Builds the session that a run would build, and gives what speaks against it.

    Raises:
        LimitError: the runtime asks for more memory than there is.
    """
    taps = view.taps()
    try:
        model = instrument(view, [Request(tap.tensor, Ops().max(TAPPED)) for tap in taps])
        within = model.has_ifs_within
        with open_session(model.model, weights=model.weights, device="cpu", has_ifs_within=within):
            return ""
    except LimitError:
        raise
    except InspectorError as error:
        return str(error)


def _plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()[:_TEXT]
