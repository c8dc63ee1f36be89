"""The folder whose data audits may read on the server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from inspector.errors import InspectorError, NotFoundError, ParameterError
from inspector.faces.grpc.errors import NotAllowedError
from inspector.report import Provenance, Report
from inspector.runtime.noise import PREFIX as NOISE

MAX_NOISE: Final = 100_000
"""Inputs of noise that a client may ask for."""


@dataclass(frozen=True, slots=True)
class DataRoot:
    """A resolved folder, or None where the server offers no data of its own. Clients never learn where it lies."""

    folder: Path | None

    def data(self, source: str) -> Path | str:
        """What a client calls `source`: a path relative to the folder, or `noise:N`, which needs no folder.

        Raises:
            NotAllowedError: the server offers no data, or it is a URL.
            ParameterError: it leads out of the folder, or asks for too much noise, or for none.
            NotFoundError: there is nothing.
        """
        if source.startswith(NOISE):
            return _little_noise(source)
        if "://" in source:
            remedy = "Name data of the server's folder, or send the inputs."
            raise NotAllowedError("source", "this server reads no URLs for its clients", remedy=remedy)
        return self._path(source)

    def _path(self, source: str) -> Path:
        if self.folder is None:
            remedy = "Send the inputs, or start the server with a data folder."
            raise NotAllowedError("source", "this server offers no data of its own", remedy=remedy)
        try:
            path = (self.folder / source).resolve(strict=True)
        except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links in a circle; ValueError: a NUL
            shown = repr(source[:200])
            raise NotFoundError(f"source {shown}", "there is no such file or folder in the server's data") from error
        if not path.is_relative_to(self.folder):
            expected = "a path inside the server's data folder, relative to it"
            raise ParameterError(
                "source", "it leads out of the data folder", expected=expected, found=repr(source[:200])
            )
        return path

    @contextlib.contextmanager
    def hiding(self) -> Iterator[None]:
        """Errors that leave the block do not say where the folder lies."""
        try:
            yield
        except InspectorError as error:
            raise error.reworded(self._hide) from error

    def without_place(self, report: Report) -> Report:
        """The report, its data named without the place of the folder."""
        return replace(report, provenance=self.placeless(report.provenance))

    def placeless(self, provenance: Provenance) -> Provenance:
        """The same for a provenance."""
        return replace(provenance, data=self._hide(provenance.data))

    def _hide(self, text: str) -> str:
        if self.folder is None:
            return text
        return text.replace(f"{self.folder}/", "server:").replace(str(self.folder), "server:")


def _little_noise(source: str) -> str:
    """The same text, where it asks for 1 to `MAX_NOISE` inputs; what else may be wrong is seen later."""
    count = source.removeprefix(NOISE).partition(",")[0]
    if not (count.isascii() and count.isdigit() and len(count) <= len(str(MAX_NOISE)) and 0 < int(count) <= MAX_NOISE):
        expected = f"noise:N of 1 to {MAX_NOISE:,} inputs"
        raise ParameterError(
            "source", "it is too much noise, or no number of inputs", expected=expected, found=repr(source[:40])
        )
    return source
