"""Normalisations in several nodes: passed where every channel comes back to its place."""

from __future__ import annotations

import numpy as np
import pytest
from models import SAME, W, model, numbers

from inspector import TapKind
from inspector.graph.load import load

OF_SQUARES = (
    "e = ReduceMean <axes=[1]> (a) d = Sub(a, e) p = Mul(a, a) w2 = ReduceMean <axes=[1]> (p) q = Mul(e, e) "
    "v = Sub(w2, q) l = Max(v, low) u = Add(l, eps) s = Sqrt(u)"
)
NORMS = {
    "torchscript": "t = Reshape(a, view) i = InstanceNormalization(t, g2, h2) k = Shape(a) r = Reshape(i, k) "
    "m = Mul(r, g) n = Add(m, h) y = Relu(n)",
    "dynamo": "t = Reshape(a, view) i = InstanceNormalization(t, g2, h2) r = Reshape(i, whole) m = Mul(r, g) "
    "n = Add(m, h) y = Relu(n)",
    "layer_norm": "t = Transpose <perm=[0,2,3,1]> (a) i = LayerNormalization(t, g4, h4) "
    "n = Transpose <perm=[0,3,1,2]> (i) y = Relu(n)",
    "written_out": "e = ReduceMean <axes=[1]> (a) d = Sub(a, e) q = Pow(d, two) v = ReduceMean <axes=[1]> (q) "
    "u = Add(v, eps) s = Sqrt(u) z = Div(d, s) m = Mul(z, g) n = Add(m, h) y = Relu(n)",
    "reciprocal": "e = ReduceMean <axes=[1]> (a) d = Sub(a, e) q = Mul(d, d) v = ReduceMean <axes=[1]> (q) "
    "u = Add(v, eps) s = Sqrt(u) z = Reciprocal(s) n = Mul(d, z) y = Relu(n)",
    "of squares": f"{OF_SQUARES} z = Div(d, s) m = Mul(z, g) n = Add(m, h) y = Relu(n)",
    "in groups": "t = Reshape(a, view) e = ReduceMean <axes=[2]> (t) d = Sub(t, e) p = Mul(t, t) "
    "w2 = ReduceMean <axes=[2]> (p) q = Mul(e, e) v = Sub(w2, q) u = Add(v, eps) s = Sqrt(u) z = Div(d, s) "
    "k = Shape(a) r = Reshape(z, k) m = Mul(r, g) n = Add(m, h) y = Relu(n)",
    "local_response": "n = LRN <size=3> (a) y = Relu(n)",
}
PARAMETERS = {
    "view": np.array([0, 2, -1]), "whole": np.array([-1, 4, 6, 5]), "g2": numbers(2), "h2": numbers(2),
    "g": numbers(4, 1, 1), "h": numbers(4, 1, 1), "g4": numbers(4), "h4": numbers(4), "two": np.float32(2),
    "eps": np.float32(1e-5), "low": np.float32(0), "other": np.array([-1, 2, 12, 5]),
    "dense": numbers(4, 4), "back": np.array([0, 2, 5, 6]),
}  # fmt: skip


def normed(nodes: str) -> bytes:
    """A net with a normalisation in several nodes."""
    used = {k: np.asarray(v) for k, v in PARAMETERS.items() if f" {k}," in nodes or f" {k})" in nodes}
    return model(f"[c] a = Conv {SAME} (x, w) {nodes}", weights={"w": W, **used})


@pytest.mark.parametrize("name", NORMS)
def test_a_normalisation_in_several_nodes_is_passed_and_has_its_tap(name: str) -> None:
    view = load(normed(NORMS[name]))
    (layer,) = view.layers
    assert {kind: tap.tensor for kind, tap in layer.taps.items()} == {
        TapKind.CONV: "a", TapKind.NORM: "n", TapKind.ACT: "y"
    }  # fmt: skip
    assert not view.filters("c", fold_norm=True).whole  # what depends on the input cannot be folded into weights


@pytest.mark.parametrize(
    ("nodes", "linear"),
    [
        ("t = Transpose <perm=[0,2,3,1]> (a) i = LayerNormalization(t, g4, h4) y = MatMul(i, dense)", "feeds MatMul"),
        ("t = Transpose <perm=[0,2,3,1]> (a) i = LayerNormalization(t, g4, h4) n = Transpose(i) y = Relu(n)",
         "feeds Transpose"),
        ("t = Transpose(a) i = LpNormalization(t) y = Relu(i)", "feeds Transpose → LpNormalization → Relu"),
        ("t = Reshape(a, view) i = InstanceNormalization(t, g2, h2) r = Reshape(i, other) y = Relu(r)",
         "feeds Reshape → InstanceNormalization → Reshape → Relu"),
        ("t = Transpose <perm=[1,0,2,3]> (a) y = Relu(t)", "feeds Transpose"),
        ("t = Transpose <perm=[0,1,3,2]> (a) y = Relu(t)", "feeds Transpose"),
        ("e = ReduceMean <axes=[1]> (a) d = Sub(e, a) y = Relu(d)", "feeds ReduceMean, Sub"),
        (f"{OF_SQUARES} n = Div(s, d) y = Relu(n)", "feeds ReduceMean, Sub, Mul"),
        (f"{OF_SQUARES} n = Div(d, s) k = Relu(d) y = Add(n, k)", "feeds ReduceMean, Sub, Mul"),
    ],
)  # fmt: skip
def test_channels_that_do_not_come_back_end_the_walk_and_the_reason_tells_the_way(nodes: str, linear: str) -> None:
    (layer,) = load(normed(nodes)).layers
    assert (layer.linear, layer.activation) == (linear, None)
