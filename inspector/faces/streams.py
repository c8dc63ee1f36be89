"""Standard output and error as a command uses them: a reader that goes early, or knows few letters, ends nothing."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, cast


@contextlib.contextmanager
def forgiving() -> Iterator[None]:
    """Within the block, what is printed after a reader has gone is lost, and the command goes on.

    Letters that the stream's encoding lacks become question marks. A stream that cannot be written for any other
    reason, such as a full disk, raises OSError, once. What Pillow remarks of metadata that it repairs is not printed.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_forgiving(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def write_out(text: str) -> None:
    """A file's content on standard output: UTF-8, whatever the terminal's encoding."""
    out = sys.stdout
    if isinstance(out, _Forgiving):
        out.write_bytes(text.encode())
    elif out is not None:
        out.write(text)


def settle() -> None:
    """Writes out what is buffered; OSError where that cannot be."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _forgiving(stream: TextIO) -> TextIO:
    """The same stream, forgiving; as it is where there is none, or it is no file's."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    if stream.errors == "strict" or (stream.errors == "surrogateescape" and "utf" not in stream.encoding.lower()):
        stream.reconfigure(errors="replace")
    return cast("TextIO", _Forgiving(stream))


class _Forgiving:
    """A text stream that never says that its reader has gone."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._patience():
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def write_bytes(self, data: bytes) -> None:
        with self._patience():
            self._stream.flush()
            self._stream.buffer.write(data)
            self._stream.buffer.flush()

    def flush(self) -> None:
        with self._patience():
            self._stream.flush()

    @contextlib.contextmanager
    def _patience(self) -> Iterator[None]:
        """After an error everything goes nowhere: what is still buffered would fail again, as late as at the exit."""
        try:
            yield
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError):
                raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
