"""The options that MLflow hands on: what `inspector audit` takes, by name, checked."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from os import PathLike
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, ByteSize, ConfigDict, SkipValidation, TypeAdapter, ValidationError

from inspector.errors import NotFoundError, ParameterError
from inspector.runtime.sources import Data

NAME: Final = "inspector"
"""What MLflow calls this evaluator."""
_NEAR: Final = 0.7
"""How alike two names are (0 to 1) of which one is taken for a slip of the other."""


def _listed(value: object) -> object:
    return (value,) if isinstance(value, (str, PathLike)) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Files = Annotated[tuple[str | PathLike[str], ...], BeforeValidator(_listed)]


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """The arguments of `inspector.service.audit`, by their names, with its defaults.

    `data` is fed in place of what MLflow was given; None: what MLflow was given is fed. `analyses` and `policies` may
    be one text, and `memory` a text such as `2GiB`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    data: SkipValidation[Data] | None = None
    analyses: Texts = ()
    policies: Files = ()
    preprocess: str = ""
    device: str = "auto"
    fidelity: Literal["fast", "exact"] = "fast"
    batch_size: int = 0
    strict: bool = False
    memory: ByteSize | None = None
    self_check: bool = True
    shard_size: int = 0
    part: str = ""
    resume: str | PathLike[str] = ""
    runner: str = ""
    summaries: str | PathLike[str] = ""

    @classmethod
    def parse(cls, config: Mapping[str, Any]) -> Options:
        """The options in an `evaluator_config`.

        Raises:
            NotFoundError: an option that there is not; says the nearest one.
            ParameterError: a value that cannot be.
        """
        config = _ours(config)
        unknown = next((name for name in config if name not in NAMES), None)
        if unknown is not None:
            raise NotFoundError.among("option", str(unknown), NAMES, of="evaluator_config")
        try:
            return _OPTIONS.validate_python(dict(config))
        except ValidationError as error:
            raise ParameterError.first_of(error, lambda path: f"{path[0]} in evaluator_config") from error


NAMES: Final = tuple(field.name for field in fields(Options))
_OPTIONS: Final = TypeAdapter(Options)


def _ours(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is meant for this evaluator, where a config is by the names of evaluators, as MLflow has it for several."""
    inner = config.get(NAME)
    return inner if len(config) == 1 and isinstance(inner, Mapping) else config


def meant(config: Mapping[str, Any] | None) -> bool:
    """Whether a config is meant for this evaluator: an option is one of `NAMES`, or nearly."""
    return any(difflib.get_close_matches(str(name), NAMES, n=1, cutoff=_NEAR) for name in _ours(config or {}))
