"""The models of a folder: found by name, loaded when needed, kept while there is room."""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from inspector.contract import ModelView
from inspector.errors import InspectorError, ModelError, NotFoundError
from inspector.faces.grpc.errors import ExistsError
from inspector.faces.grpc.recent import Recent
from inspector.faces.grpc.use_cases import ServedView
from inspector.faces.wire_model import ModelInfo, info_of
from inspector.graph.external import DataFile, data_files_beside

SUFFIX: Final = ".onnx"
MAX_BYTES: Final = (1 << 31) - 1
"""Of a model file: one protobuf message cannot be larger."""
_CACHED_INFOS: Final = 10_000
_log = logging.getLogger(__name__)


class Load(Protocol):
    """Makes a model of a file or its bytes; InspectorError where that cannot be done."""

    def __call__(self, source: Path | bytes, *, name: str = "") -> ServedView:
        """The model, under that name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One model file as it is now. Equal entries hold equal models."""

    name: str
    path: Path
    size: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class _Described:
    """What was said of a model file, and what else that depends on: data files, or whatever lay beside a broken one."""

    info: ModelInfo
    files: frozenset[DataFile]


class Repository:
    """The `.onnx` files that lie directly in a folder, by name without the ending. For use from many threads.

    A link counts if what it points at is a regular file inside the folder too. No path is ever made from a name that a
    client sent: names are looked up among what the folder holds. Data files lie beside the file that names them; what
    was loaded is forgotten once one of them changes.
    """

    def __init__(self, folder: Path, load: Load, cached: int) -> None:
        self.folder = folder.resolve(strict=True)
        self._load = load
        self._loading = threading.Lock()  # one at a time: bounds memory, and nothing is loaded twice
        self._views: Recent[Entry, ServedView] = Recent(cached)
        self._infos: Recent[Entry, _Described] = Recent(_CACHED_INFOS)

    def entries(self) -> list[Entry]:
        """What is there now, by name."""
        with os.scandir(self.folder) as found:
            names = [entry.name for entry in found if entry.name.endswith(SUFFIX)]
        return sorted(self._regular(names), key=lambda entry: entry.name)

    def entry(self, name: str) -> Entry:
        """The file of the model of that name; NotFoundError where there is none."""
        entries = {entry.name: entry for entry in self.entries()}
        if name not in entries:
            raise NotFoundError.among("model", name, entries)
        return entries[name]

    def view(self, name: str) -> ModelView:
        """The model of that name.

        Raises:
            NotFoundError: there is none.
            ModelError: the file cannot be used.
        """
        return self._view(self.entry(name))

    def info(self, entry: Entry) -> ModelInfo:
        """What to say of a model file; `failure` has the reason of one that cannot be used."""
        known = self._infos.get(entry)
        if known is None or not self._holds(known, entry):
            known = self._described(entry)
            self._infos.put(entry, known)
        return known.info

    def _holds(self, known: _Described, entry: Entry) -> bool:
        return (
            known.files == data_files_beside(entry.path.parent)
            if known.info.failure
            else all(file.unchanged() for file in known.files)
        )

    def _described(self, entry: Entry) -> _Described:
        beside = data_files_beside(entry.path.parent)
        try:
            view = self._view(entry)
            return _Described(info_of(entry.name, entry.size, view), frozenset(view.data_files))
        except InspectorError as error:
            return _Described(ModelInfo(entry.name, entry.size, failure=str(error)), beside)

    def _view(self, entry: Entry) -> ServedView:
        view = self._kept(entry)
        if view is None:
            with self._loading:
                view = self._kept(entry) or self._loaded(entry)
        return view

    def _kept(self, entry: Entry) -> ServedView | None:
        view = self._views.get(entry)
        return view if view is not None and all(file.unchanged() for file in view.data_files) else None

    def add(self, name: str, file: Path, *, overwrite: bool) -> ModelInfo:
        """Moves a file of the folder, under whatever name, to the place of the model of that name, if it is usable.

        It has to hold all its numbers: a client may not name other files of the folder.

        Raises:
            ModelError: it is not.
            ExistsError: there is such a model, and it may not be replaced.
        """
        size = file.stat().st_size
        with self._loading:
            view = self._read(Entry(name, file, size, 0), whole=True)
        target = self.folder / f"{name}{SUFFIX}"
        try:
            if overwrite:
                file.replace(target)
            else:
                target.hardlink_to(file)  # unlike a move, fails where there is one already
        except (FileExistsError, IsADirectoryError) as error:
            raise exists(name) from error
        status = target.stat()
        self._views.put(Entry(name, target, status.st_size, status.st_mtime_ns), view)
        return info_of(name, size, view)

    def _loaded(self, entry: Entry) -> ServedView:
        view = self._read(entry)
        self._views.put(entry, view)
        return view

    def _read(self, entry: Entry, *, whole: bool = False) -> ServedView:
        """The model in a file, and in its data files unless it has to be `whole`."""
        subject = f"model {entry.name!r}"
        if entry.size > MAX_BYTES:
            raise ModelError(subject, "it is too large", expected=f"at most {MAX_BYTES} bytes", found=str(entry.size))
        try:
            return self._load(entry.path.read_bytes() if whole else entry.path, name=entry.name)
        except InspectorError:
            raise
        except OSError as error:
            raise ModelError(subject, "it cannot be read", found=error.strerror or type(error).__name__) from error
        except Exception as error:  # one broken file must not hide the others
            _log.exception("model %r", entry.name)
            raise ModelError(subject, "it cannot be loaded", found=type(error).__name__) from error

    def _regular(self, names: list[str]) -> Iterator[Entry]:
        for name in names:
            try:
                path = (self.folder / name).resolve(strict=True)
                status = path.stat()
            except (OSError, RuntimeError):  # gone meanwhile, a link to nothing, a circle of links
                continue
            if stat.S_ISREG(status.st_mode) and path.is_relative_to(self.folder):
                yield Entry(name.removesuffix(SUFFIX), path, status.st_size, status.st_mtime_ns)


def exists(name: str) -> ExistsError:
    """The error for a name that is taken."""
    return ExistsError(f"model {name!r}", "there is a model of that name", remedy="Choose another, or overwrite it.")
