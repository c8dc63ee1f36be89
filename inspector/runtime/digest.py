"""Identifies inputs, in order, however they are divided into batches, shards and parts of other machines.

A running hash would need all inputs in one place, one after the other. Here every input stands for a matrix, and inputs
for the product of theirs. Products can be put together in any grouping, so shards that were run anywhere give what the
whole gives; but not in another order. The matrix of an input is drawn by SHAKE-256 from its id and contents, so that
nobody meets two lists of inputs with one product by chance.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

PRIME: Final = (1 << 255) - 19
"""Numbers in matrices are remainders of it."""
_DIGITS: Final = 64
FORM: Final = re.compile(f"[0-9a-f]{{{4 * _DIGITS}}}")
"""What `Digest.hex` looks like."""
_Matrix = tuple[int, int, int, int]
_ONE: Final = (1, 0, 0, 1)


class Digest:
    """A running product over ids and contents of inputs."""

    def __init__(self) -> None:
        self._product: _Matrix = _ONE

    def add(self, name: str, content: bytes) -> None:
        """The next input: its id, and the SHA-256 of its contents (see `inspector.runtime.items.content`)."""
        key = name.encode("utf-8", "surrogatepass")
        drawn = hashlib.shake_256(len(key).to_bytes(8, "little") + key + content).digest(4 * 32)
        a, b, c, d = (int.from_bytes(drawn[i : i + 32], "big") % PRIME for i in range(0, 128, 32))
        self._product = _times(self._product, (a, b, c, d))

    def join(self, digest: str) -> None:
        """The next inputs: all those of another digest, by its `hex`; ValueError where it is none."""
        if not FORM.fullmatch(digest):
            raise ValueError("no digest of inputs")
        a, b, c, d = (int(digest[i : i + _DIGITS], 16) for i in range(0, 4 * _DIGITS, _DIGITS))
        self._product = _times(self._product, (a, b, c, d))

    @property
    def hex(self) -> str:
        """All that is known of what was added so far: the four numbers, row by row, lower-case hexadecimal."""
        return "".join(f"{number:0{_DIGITS}x}" for number in self._product)

    @property
    def sha256(self) -> str:
        """The short form: SHA-256 of the text `hex`, lower-case hexadecimal."""
        return hashlib.sha256(self.hex.encode("ascii")).hexdigest()


def _times(x: _Matrix, y: _Matrix) -> _Matrix:
    a, b, c, d = x
    e, f, g, h = y
    return (a * e + b * g) % PRIME, (a * f + b * h) % PRIME, (c * e + d * g) % PRIME, (c * f + d * h) % PRIME
