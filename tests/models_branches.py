"""Networks that choose their course: convolutions in branches of If nodes, and the same written out flat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from models import SAME, W, model, numbers

from inspector import Array

Test = Callable[[Array], bool]
HEAD = f"[c] a = Conv {SAME} (x, w) r = Relu(a)"
POSITIVE = "p = ReduceMean <keepdims=0> (x) zero = Constant <value = float {0.0}> () q = Greater(p, zero)"
W2, V, BN = numbers(4, 4, 3, 3), numbers(4, 4, 3, 3) * 2, np.array([0.5, 1.0, 1.5, 2.0], np.float32)


def positive(x: Array) -> bool:
    """What `POSITIVE` asks of one input."""
    return float(x.mean(dtype=np.float64)) > 0


def negative(x: Array) -> bool:
    """The other branch."""
    return not positive(x)


def large(x: Array) -> bool:
    """In the branch for positive means, what the inner If asks."""
    return positive(x) and float(x.max()) > 2


def always(_: Array) -> bool:
    """The main graph, and branches that a constant chooses."""
    return True


def never(_: Array) -> bool:
    """Branches that no input takes."""
    return False


@dataclass(frozen=True, slots=True, eq=False)
class Branched:
    """A network with branches.

    Attributes:
        data: the model.
        flat: one without branches, whose main graph has all that is in them, under the names that they must get.
        layers: as a reader would list them: name, and per kind of tap the tensor and which inputs reach it.
        decided: True where the data decide.
    """

    data: bytes
    flat: bytes
    layers: Mapping[str, tuple[Test, Mapping[str, str]]]
    decided: bool = True


def choice(condition: str, then: str, other: str, *, name: str = "choose", out: str = "y", inner: str = "t") -> str:
    """An If whose branches both give `inner`."""
    kind = "float[N,M,P,Q]"
    return (
        f"[{name}] {out} = If ({condition}) <then_branch = yes_{name} () => ({kind} {inner}) {{ {then} }}, "
        f"else_branch = no_{name} () => ({kind} {inner}) {{ {other} }}>"
    )


def _siblings() -> Branched:
    """A convolution in either branch, of one name and with values of one name; weights from inside and outside."""
    weight = ",".join(repr(float(v)) for v in W2.ravel())
    then = (
        f"u = Constant <value = float[4,4,3,3] {{{weight}}}> () [d] e = Conv {SAME} (r, u) "
        "n = BatchNormalization(e, g, g, g, g) t = Relu(n)"
    )
    flat = (
        f"{HEAD} e = Conv {SAME} (r, w2) n = BatchNormalization(e, g, g, g, g) t = Relu(n) "
        f'"e~2" = Conv {SAME} (r, v) "t~2" = LeakyRelu <alpha=0.5> ("e~2") y = Add(t, "t~2")'
    )
    own = {"w": W, "v": V, "g": BN}
    return Branched(
        model(f"{HEAD} {POSITIVE} " + choice("q", then, f"[d] e = Conv {SAME} (r, v) t = LeakyRelu <alpha=0.5> (e)"),
              weights=own),
        model(flat, weights=own | {"w2": W2}),
        {
            "c": (always, {"conv": "a", "act": "r"}),
            "d": (positive, {"conv": "e", "norm": "n", "act": "t"}),
            "e~2": (negative, {"conv": "e~2", "act": "t~2"}),
        },
    )  # fmt: skip


def _nested() -> Branched:
    """An If in a branch of an If; the inner one reads values of all graphs around it."""
    test = "m = ReduceMax <keepdims=0> (x) two = Constant <value = float {2.0}> () l = Greater(m, two)"
    inner = choice("l", f"[f] k = Conv {SAME} (s, w2) i = Relu(k)", "i = Add(s, r)", name="inner", out="o", inner="i")
    then = f"[d] e = Conv {SAME} (r, w2) s = Relu(e) {test} {inner} t = Neg(o)"
    flat = f"{HEAD} e = Conv {SAME} (r, w2) s = Relu(e) k = Conv {SAME} (s, w2) i = Relu(k) y = Neg(i)"
    own = {"w": W, "w2": W2}
    return Branched(
        model(f"{HEAD} {POSITIVE} " + choice("q", then, "t = Identity(r)"), weights=own),
        model(flat, weights=own),
        {
            "c": (always, {"conv": "a", "act": "r"}),
            "d": (positive, {"conv": "e", "act": "s"}),
            "f": (large, {"conv": "k", "act": "i"}),
        },
    )


def _constant() -> Branched:
    """A condition that no input changes."""
    own = {"w": W, "v": V, "yes": np.array(True)}
    return Branched(
        model(f"{HEAD} q = Identity(yes) "
              + choice("q", f"[d] e = Conv {SAME} (r, v) t = Relu(e)", f"[f] k = Conv {SAME} (r, v) t = Tanh(k)"),
              weights=own),
        model(f'{HEAD} e = Conv {SAME} (r, v) t = Relu(e) k = Conv {SAME} (r, v) "t~2" = Tanh(k) y = Add(t, "t~2")',
              weights=own),
        {
            "c": (always, {"conv": "a", "act": "r"}),
            "d": (always, {"conv": "e", "act": "t"}),
            "f": (never, {"conv": "k", "act": "t~2"}),
        },
        decided=False,
    )  # fmt: skip


BRANCHED: Mapping[str, Branched] = {"siblings": _siblings(), "nested": _nested(), "constant": _constant()}


AFTER = model(
    f"{POSITIVE} {choice('q', 't = Mul(x, x)', 't = Neg(x)', out='h')} [c] a = Conv {SAME} (h, w) y = Relu(a)",
    weights={"w": W},
)
"""A convolution of the main graph that reads what the branches give."""
LOOPED = model(
    "[turn] h = Loop (turns, , x) <body = again (int64 i, bool on, float[N,3,P,Q] s) => (bool go, float[N,3,P,Q] t) "
    "{ m = ReduceMax <keepdims=0> (s) ten = Constant <value = float {10.0}> () go = Less(m, ten) "
    f"[inner] k = Conv (s, u) t = Add(s, s) }}> [c] a = Conv {SAME} (h, w) y = Relu(a)",
    weights={"w": W, "u": numbers(3, 3, 1, 1), "turns": np.array(8)},
)
"""Doubles until an element reaches 10, at most 8 times: how often depends on all inputs of a run together."""
