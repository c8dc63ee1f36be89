"""What children of the tests do: each is a `Function` of `inspector.runtime.confined`."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO


def ends(stream: BinaryIO, arguments: Sequence[str]) -> bytes:
    os.write(1, b"noise of a library")
    data = stream.read()
    return data[:1] + str(len(data)).encode() + data[-1:] + arguments[0].encode()


def surroundings(_stream: BinaryIO, _arguments: Sequence[str]) -> bytes:
    kinds = ("RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CPU", "RLIMIT_AS")
    limits = {kind: resource.getrlimit(getattr(resource, kind))[0] for kind in kinds}
    return json.dumps(
        {**limits, "secret": "SECRET" in os.environ, "folder": [path.name for path in Path().iterdir()]}
    ).encode()


def segfault(_stream: BinaryIO, _arguments: Sequence[str]) -> bytes:
    os.kill(os.getpid(), signal.SIGSEGV)
    return b""


def raises(_stream: BinaryIO, _arguments: Sequence[str]) -> bytes:
    raise ZeroDivisionError


def hungry(_stream: BinaryIO, _arguments: Sequence[str]) -> bytes:
    return bytes(1 << 31)[:1]


def talkative(_stream: BinaryIO, _arguments: Sequence[str]) -> bytes:
    return bytes(1 << 20)


def hang_with_a_child(_stream: BinaryIO, arguments: Sequence[str]) -> bytes:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(arguments[0]).write_text(str(child.pid))
    time.sleep(60)
    return b""
