"""What a model file may hold."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may hold. Networks that people use stay far below each of these.

    Attributes:
        size: bytes of the model file; one protobuf message cannot be larger than 2 GiB.
        external: bytes of its tensors in data files beside it, together.
        nodes: with those in bodies of If, Loop and Scan, and with every function call written out.
        initializers: of all graphs.
        values: inputs of the model, and outputs.
        rank: dimensions of a tensor or of a declared shape.
        elements: of a tensor, or of a declared shape whose dimensions are all known.
        sparse: bytes of its sparse tensors, once they are written out, together.
        sparse_copied: of those of them that stay in the message, which is copied a few times: in bodies and nodes, and
            of element types that weights seldom have.
        attribute: numbers or texts in one attribute.
        name: characters of a name.
        bodies: how deep bodies lie in bodies.
        calls: how deep functions call functions.
    """

    size: int = (1 << 31) - 1
    external: int = 1 << 34
    nodes: int = 100_000
    initializers: int = 20_000
    values: int = 10_000
    rank: int = 16
    elements: int = 1 << 32
    sparse: int = 1 << 30
    sparse_copied: int = 1 << 26
    attribute: int = 1 << 24
    name: int = 4096
    bodies: int = 16
    calls: int = 64

    def __repr__(self) -> str:
        """Those that are not the default."""
        changed = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default)
        return f"Limits({', '.join(changed)})"


DEFAULT_LIMITS: Final = Limits()
