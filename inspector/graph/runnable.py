"""What no runtime here can run, told by name before a session is made. The facts of such a model are still good."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

import onnx_ir as ir

from inspector.errors import ModelError
from inspector.graph.bodies import all_nodes

OLDEST_OPSET: Final = 7
"""Before, operators broadcast in another way, and onnxruntime has no kernels for most of them."""
_KNOWN: Final = ("", "ai.onnx.ml", "com.microsoft")
"""Sets of operators that onnxruntime brings with it. Those of its own rewriting are not for files."""


def custom_operators(model: ir.Model) -> str:
    """Operators of sets that no runtime here has, such as `com.example: Foo, Bar (3 nodes)`; empty: none."""
    return _described(all_nodes(model.graph))


def refuse_what_cannot_run(model: ir.Model, name: str) -> None:
    """Looks at a model that holds no more than what is to be run.

    Raises:
        ModelError: it needs operators that no runtime here has.
    """
    found = custom_operators(model)
    if found:
        raise ModelError(
            f"model {name!r}",
            "it cannot be run: no library of custom operators is ever loaded",
            expected="operators of ONNX or of onnxruntime",
            found=found,
            remedy="Analyses of weights work, and so do taps that none of these operators feeds.",
        )
    opset = model.graph.opset_imports.get("", OLDEST_OPSET)
    if opset < OLDEST_OPSET:
        raise ModelError(
            f"model {name!r}",
            "it cannot be run: its operators are too old",
            expected=f"opset {OLDEST_OPSET} or newer",
            found=f"opset {opset}",
            remedy="Analyses of weights work. To run it, use onnx.version_converter.convert_version(model, 13).",
        )


def _described(nodes: Iterable[ir.Node]) -> str:
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for node in nodes:
        domain = "" if node.domain == "ai.onnx" else node.domain
        if domain not in _KNOWN:
            kinds[domain[:80]][node.op_type[:80]] += 1
    shown = [
        f"{domain}: {', '.join(sorted(counts)[:5])}{', …' if len(counts) > 5 else ''} ({counts.total()} nodes)"
        for domain, counts in sorted(kinds.items())[:5]
    ]
    return "; ".join(shown) + ("; …" if len(kinds) > 5 else "")
