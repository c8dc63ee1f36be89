"""What no runtime here can run, told by name before a session is made. The facts of such a model are still good."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

import onnx
import onnx_ir as ir

from inspector.errors import ModelError, RunError
from inspector.graph.contents import Holding
from inspector.graph.perils import peril
from inspector.graph.shapes import Kinds
from inspector.origin import many

OLDEST_OPSET: Final = 7
"""Before, operators broadcast in another way, and onnxruntime has no kernels for most of them."""
_KNOWN: Final = ("", "ai.onnx.ml", "com.microsoft")
"""Sets of operators that onnxruntime brings with it."""
_REWRITTEN: Final = ("com.microsoft.nchwc", "com.ms.internal.nhwc")
"""Those of its own rewriting, which are not for files."""


def refuse_what_cannot_run(message: onnx.ModelProto, held: Holding, kinds: Kinds, name: str) -> None:
    """Looks at a model that holds no more than what is to be run, at all that it holds, and at types of its values.

    Raises:
        ModelError: it needs operators that no runtime here has.
        RunError: of the sizes that it has now, it would end the runtime's process.
    """
    found = custom_operators(held.nodes)
    if found:
        rewritten = any(node.domain in _REWRITTEN for node in held.nodes)
        raise ModelError(
            f"model {name!r}",
            "it cannot be run: "
            + (
                "onnxruntime saved it as it had rewritten it for one kind of processor"
                if rewritten
                else "no library of custom operators is ever loaded"
            ),
            expected="operators of ONNX or of onnxruntime",
            found=found,
            remedy="Analyses of weights work, and so do taps that none of these operators feeds."
            + " To run it, load what it was made from." * rewritten,
        )
    opset = next((o.version for o in message.opset_import if not o.domain), OLDEST_OPSET)
    if opset < OLDEST_OPSET:
        raise ModelError(
            f"model {name!r}",
            "it cannot be run: its operators are too old",
            expected=f"opset {OLDEST_OPSET} or newer",
            found=f"opset {opset}",
            remedy="Analyses of weights work. To run it, use onnx.version_converter.convert_version(model, 13).",
        )
    if what := peril(held.nodes, kinds):
        raise RunError("run", "it cannot be tried", found=what, remedy="Feed larger inputs.")


def custom_operators(some: Iterable[ir.Node | onnx.NodeProto]) -> str:
    """Operators of sets that no runtime here has, such as `com.example: Foo, Bar (3 nodes)`; empty: none."""
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for node in some:
        domain = "" if node.domain == "ai.onnx" else node.domain
        if domain not in _KNOWN:
            kinds[domain[:80]][node.op_type[:80]] += 1
    shown = [
        f"{domain}: {', '.join(sorted(counts)[:5])}{', …' if len(counts) > 5 else ''} ({many(counts.total(), 'node')})"
        for domain, counts in sorted(kinds.items())[:5]
    ]
    return "; ".join(shown) + ("; …" if len(kinds) > 5 else "")
