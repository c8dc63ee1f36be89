"""How a server is set up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server is set up. Sizes are in bytes, times in seconds.

    Attributes:
        models: folder whose `.onnx` files are served.
        data: folder below which audits may read data of the server's own; None: clients send all inputs.
        host: address to listen on. There is no encryption and no log-in: beyond this machine, put a proxy before it.
        port: TCP port; 0 takes a free one.
        uploads: True: clients may add models, and replace them.
        max_model_bytes: the largest upload.
        max_receive_bytes: the largest message that is read.
        max_summary_bytes: the largest files of summaries to merge, all together; also of a shard, unpacked.
        workers: runs at a time.
        queue: runs that may wait; more are refused.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        cached_models: models that are kept in memory.
        feed_bytes: what an audit or an upload may buffer of a client's stream.
        patience: how long a call waits for the client's next message, and for the client to take one. The first
            messages of a call, before it needs a worker, have to be there in that time together.
        readers: calls that may have such a first message on its way at a time; gRPC holds what arrives of each.
        hurry: how long one of these may be silent where others wait for its place.
        calls: calls at a time, of every kind; more are refused before anything of them is read.
        trial_seconds: what a model that was never loaded before may take in the child process that tries it.
        trial_mib: MiB of memory that it may take there, beside eight times the size of its file.
        memory: what each run may take, by estimate; None: a half of what the process may use, shared by the workers.
        grace: how long runs may go on after the server was asked to end.
    """

    models: Path
    data: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    uploads: bool = False
    max_model_bytes: int = 2048 * MIB
    max_receive_bytes: int = 64 * MIB
    max_summary_bytes: int = 256 * MIB
    workers: int = 2
    queue: int = 16
    device: str = "auto"
    cached_models: int = 8
    feed_bytes: int = 64 * MIB
    patience: float = 60.0
    readers: int = 4
    hurry: float = 3.0
    calls: int = 512
    trial_seconds: float = 60.0
    trial_mib: int = 2048
    memory: int | None = None
    grace: float = 10.0
