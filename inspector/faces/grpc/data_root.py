"""The folder whose data audits may read on the server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from inspector.errors import InspectorError, NotFoundError, ParameterError
from inspector.faces.grpc.errors import NotAllowedError
from inspector.report import Report


@dataclass(frozen=True, slots=True)
class DataRoot:
    """A resolved folder, or None where the server offers no data of its own. Clients never learn where it lies."""

    folder: Path | None

    def path(self, source: str) -> Path:
        """What a client calls `source`, relative to the folder.

        Raises:
            NotAllowedError: the server offers no data.
            ParameterError: it leads out of the folder.
            NotFoundError: there is nothing.
        """
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
            texts = {name: self._hide(getattr(error, name)) for name in ("expected", "found", "remedy")}
            raise type(error)(self._hide(error.subject), self._hide(error.problem), **texts) from error

    def without_place(self, report: Report) -> Report:
        """The report, its data named without the place of the folder."""
        return replace(report, provenance=replace(report.provenance, data=self._hide(report.provenance.data)))

    def _hide(self, text: str) -> str:
        if self.folder is None:
            return text
        return text.replace(f"{self.folder}/", "server:").replace(str(self.folder), "server:")
