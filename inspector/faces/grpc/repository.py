"""The models of a folder: found by name, loaded when needed, kept while there is room."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from inspector.contract import ModelView
from inspector.control import Stop
from inspector.errors import InspectorError, ModelError, NotFoundError, StoppedError
from inspector.faces.grpc.errors import ExistsError
from inspector.faces.grpc.recent import Recent
from inspector.faces.grpc.trials import UntriedError
from inspector.faces.grpc.turns import Turns
from inspector.faces.grpc.use_cases import ServedView
from inspector.faces.wire_model import ModelInfo, info_of
from inspector.graph.data_files import DataFile, data_files_beside

SUFFIX: Final = ".onnx"
MAX_BYTES: Final = (1 << 31) - 1
"""Of a model file: one protobuf message cannot be larger."""
_CACHED_INFOS: Final = 10_000
_log = logging.getLogger(__name__)


class Load(Protocol):
    """Makes a model of a file or its bytes; InspectorError where that cannot be done."""

    def __call__(self, source: Path | bytes, *, name: str = "") -> ServedView:
        """The model, under that name."""


Check = Callable[[Path | bytes, str, Stop | None], None]
"""Raises InspectorError where a model must not be loaded: see `Trials.check`."""


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

    A `stop` ends the wait for a model that was never loaded, and for others before it. Without one, such a model is an
    UntriedError.
    """

    def __init__(
        self, folder: Path, load: Load, cached: int, check: Check = lambda _source, _name, _stop: None
    ) -> None:
        self.folder = folder.resolve(strict=True)
        self._load, self._check = load, check
        self._loading = Turns()  # one at a time: bounds memory, and nothing is loaded twice
        self._views: Recent[Entry, ServedView] = Recent(cached)
        self._infos: Recent[Entry, _Described] = Recent(_CACHED_INFOS)

    def entries(self) -> list[Entry]:
        """What is there now, by name."""
        with os.scandir(self.folder) as found:
            names = [entry.name for entry in found if entry.name.endswith(SUFFIX) and entry.name != SUFFIX]
        return sorted(self._regular(names), key=lambda entry: entry.name)

    def entry(self, name: str) -> Entry:
        """The file of the model of that name; NotFoundError where there is none."""
        entries = {entry.name: entry for entry in self.entries()}
        if name not in entries:
            raise NotFoundError.among("model", name, entries)
        return entries[name]

    def view(self, name: str, stop: Stop | None) -> ModelView:
        """The model of that name.

        Raises:
            NotFoundError: there is none.
            ModelError: the file cannot be used.
            StoppedError: the stop was asked for.
        """
        return self._view(self.entry(name), stop)

    def info(self, entry: Entry, stop: Stop | None) -> ModelInfo:
        """What to say of a model file; `failure` has the reason of one that cannot be used."""
        known = self._infos.get(entry)
        if known is None or not self._holds(known, entry):
            known = self._described(entry, stop)
            self._infos.put(entry, known)
        return known.info

    def _holds(self, known: _Described, entry: Entry) -> bool:
        return (
            known.files == data_files_beside(entry.path.parent)
            if known.info.failure
            else all(file.unchanged() for file in known.files)
        )

    def _described(self, entry: Entry, stop: Stop | None) -> _Described:
        beside = data_files_beside(entry.path.parent)
        try:
            view = self._view(entry, stop)
            return _Described(info_of(entry.name, entry.size, view), frozenset(view.data_files))
        except StoppedError:
            raise
        except InspectorError as error:
            return _Described(ModelInfo(entry.name, entry.size, failure=str(error)), beside)

    def _view(self, entry: Entry, stop: Stop | None) -> ServedView:
        view = self._kept(entry)
        if view is None:
            with _readable(entry):
                self._check(entry.path, entry.name, stop)
                with self._loading.turn(stop or Stop()):
                    view = self._kept(entry) or self._loaded(entry)
        return view

    def _kept(self, entry: Entry) -> ServedView | None:
        view = self._views.get(entry)
        return view if view is not None and all(file.unchanged() for file in view.data_files) else None

    def add(self, name: str, file: Path, stop: Stop, *, overwrite: bool) -> ModelInfo:
        """Moves a file of the folder, under whatever name, to the place of the model of that name, if it is usable.

        It has to hold all its numbers: a client may not name other files of the folder.

        Raises:
            ModelError: it is not.
            ExistsError: there is such a model, and it may not be replaced.
            StoppedError: the stop was asked for; nothing was moved.
        """
        entry = Entry(name, file, file.stat().st_size, 0)
        with _readable(entry):
            content = file.read_bytes()
            self._check(content, name, stop)
            with self._loading.turn(stop):
                view = self._load(content, name=name)
        stop.check()
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
        return info_of(name, entry.size, view)

    def _loaded(self, entry: Entry) -> ServedView:
        view = self._load(entry.path, name=entry.name)
        self._views.put(entry, view)
        return view

    def _regular(self, names: list[str]) -> Iterator[Entry]:
        for name in names:
            try:
                path = (self.folder / name).resolve(strict=True)
                status = path.stat()
            except (OSError, RuntimeError):  # gone meanwhile, a link to nothing, a circle of links
                continue
            if stat.S_ISREG(status.st_mode) and path.is_relative_to(self.folder):
                yield Entry(name.removesuffix(SUFFIX), path, status.st_size, status.st_mtime_ns)


@contextlib.contextmanager
def _readable(entry: Entry) -> Iterator[None]:
    """Whatever goes wrong in the block is an error of this model: one broken file must not hide the others."""
    subject = f"model {entry.name!r}"
    if entry.size > MAX_BYTES:
        raise ModelError(subject, "it is too large", expected=f"at most {MAX_BYTES} bytes", found=str(entry.size))
    try:
        yield
    except (InspectorError, UntriedError):
        raise
    except OSError as error:
        raise ModelError(subject, "it cannot be read", found=error.strerror or type(error).__name__) from error
    except Exception as error:
        _log.exception("model %r", entry.name)
        raise ModelError(subject, "it cannot be loaded", found=type(error).__name__) from error


def exists(name: str) -> ExistsError:
    """The error for a name that is taken."""
    return ExistsError(f"model {name!r}", "there is a model of that name", remedy="Choose another, or overwrite it.")
