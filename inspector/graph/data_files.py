"""Data files beside a model, as they were when they were looked at."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file as it was when it was opened: `size` in bytes, `changed_ns` its time of change."""

    path: Path
    size: int
    changed_ns: int

    def unchanged(self) -> bool:
        """Whether it still looks as it did."""
        try:
            status = self.path.lstat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size, self.changed_ns)


def data_files_beside(folder: Path) -> frozenset[DataFile]:
    """Files of a folder that could be data files of a model in it: not hidden, and no models."""
    files = []
    with contextlib.suppress(OSError), os.scandir(folder) as found:  # the folder is gone: nothing is there
        for item in found:
            if not item.name.startswith(".") and not item.name.endswith(".onnx"):
                status = item.stat(follow_symlinks=False)
                files.append(DataFile(Path(item.path), status.st_size, status.st_mtime_ns))
    return frozenset(files)
