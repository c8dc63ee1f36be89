"""Networks whose graphs are unusual, but legal: shapes, names, inputs, outputs, functions, dead ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnx.parser
from models import SAME, W, model, numbers

from inspector import Array

V = numbers(4, 4, 3, 3)
CONV = f"[c] a = Conv {SAME} (x, w) y = Relu(a)"
PLAIN = {"c": {"conv": "a", "act": "y"}}


@dataclass(frozen=True, slots=True, eq=False)
class Unusual:
    """A network, its layers with their taps' tensors as a reader would list them, and the shape of every input.

    `twin` computes the same values under the same names, where the ONNX reference implementation cannot take `data`.
    """

    data: bytes
    layers: Mapping[str, Mapping[str, str]]
    shapes: Mapping[str, tuple[int, ...]]
    twin: bytes

    def feeds(self, count: int) -> dict[str, Array]:
        """`count` random inputs."""
        rng = np.random.default_rng(6)
        return {k: rng.normal(size=(count, *shape)).astype(np.float32) for k, shape in self.shapes.items()}


def net(
    body: str, layers: Mapping[str, Mapping[str, str]] = PLAIN, *, shapes: Mapping[str, tuple[int, ...]] | None = None,
    change: Callable[[onnx.ModelProto], None] | None = None, weights: Mapping[str, Array] | None = None,
    **options: object,
) -> Unusual:  # fmt: skip
    """From the text of its nodes; `change` edits the file, and the twin is the file before."""
    twin = model(body, weights=weights or {"w": W}, **options)  # type: ignore[arg-type]
    proto = onnx.load_from_string(twin)
    if change is not None:
        change(proto)
    return Unusual(proto.SerializeToString(), layers, shapes or {"x": (3, 6, 5)}, twin)


def _imports(*imports: tuple[str, int]) -> Callable[[onnx.ModelProto], None]:
    def change(proto: onnx.ModelProto) -> None:
        del proto.opset_import[:]
        for domain, version in imports:
            proto.opset_import.add(domain=domain, version=version)

    return change


def _open_operands(proto: onnx.ModelProto) -> None:
    """Optional inputs that are there, but without a name."""
    proto.graph.node[0].input.append("")
    proto.graph.node[1].input.append("")


def _open_results(proto: onnx.ModelProto) -> None:
    """Optional outputs that are there, but without a name; with them, an onnxruntime without optimisation crashes."""
    proto.graph.node[1].output.extend(["", "", "", ""])


def _shapes() -> dict[str, Unusual]:
    nhwc = (
        f"t = Transpose <perm=[0,3,1,2]> (x) [c] a = Conv {SAME} (t, w) r = Relu(a) y = Transpose <perm=[0,2,3,1]> (r)"
    )
    return {
        "channels last": net(nhwc, {"c": {"conv": "a", "act": "r"}}, inputs="float[N,6,5,3] x",
                             shapes={"x": (6, 5, 3)}),
        "grey": net(CONV, inputs="float[N,1,6,5] x", shapes={"x": (1, 6, 5)}, weights={"w": numbers(4, 1, 3, 3)}),
        "seven channels": net(CONV, inputs="float[N,7,6,5] x", shapes={"x": (7, 6, 5)},
                              weights={"w": numbers(4, 7, 3, 3)}),
        "sizes without names": net(CONV, inputs="float[?,3,?,?] x", outputs="float[?,?,?,?] y"),
        "all sizes free": net(CONV, inputs="float[a,b,c,d] x"),
        "fixed": net(CONV, inputs="float[1,3,6,5] x", outputs="float[1,4,6,5] y"),
    }  # fmt: skip


def _ends() -> dict[str, Unusual]:
    """Several inputs or outputs."""
    two = f"[c] a = Conv {SAME} (x, w) r = Relu(a) [d] e = Conv {SAME} (z, w) s = Relu(e) y = Add(r, s)"
    scaled = f"u = Unsqueeze(k, axes) m = Mul(x, u) {CONV.replace('x,', 'm,')}"
    return {
        "two images, one weight": net(
            two, {"c": {"conv": "a", "act": "r"}, "d": {"conv": "e", "act": "s"}},
            inputs="float[N,3,6,5] x, float[N,3,6,5] z", shapes={"x": (3, 6, 5), "z": (3, 6, 5)},
        ),
        "an image and a vector": net(
            scaled, inputs="float[N,3,6,5] x, float[N,3] k", shapes={"x": (3, 6, 5), "k": (3,)},
            weights={"w": W, "axes": np.array([2, 3])},
        ),
        "a tap is an output": net(CONV, outputs="float[N,C,H,W] y, float[N,C,H,W] a"),
        "an input is an output": net(CONV, outputs="float[N,C,H,W] y, float[N,3,6,5] x"),
        "an input has a default": net(
            f"m = Mul(x, k) {CONV.replace('x,', 'm,')}", weights={"w": W, "k": np.array([2], "f")},
            weights_are_inputs=True,
        ),
    }  # fmt: skip


def _names() -> dict[str, Unusual]:
    pair = f"a = Conv {SAME} (x, w) r = Relu(a) %s e = Conv {SAME} (r, v) y = Relu(e)"
    both = {"w": W, "v": V}
    return {
        "no names": net(pair.replace("%s", ""), {"a": {"conv": "a", "act": "r"}, "e": {"conv": "e", "act": "y"}},
                        weights=both),
        "one name": net("[n] " + pair.replace("%s", "[n]"),
                        {"n": {"conv": "a", "act": "r"}, "e": {"conv": "e", "act": "y"}}, weights=both),
        "names of values": net("[y] " + pair.replace("%s", "[a]"),
                               {"y": {"conv": "a", "act": "r"}, "a": {"conv": "e", "act": "y"}}, weights=both),
        "texts": net(f'["конв/1 ü:act"] "a b/ü" = Conv {SAME} (x, w) "r:conv" = Relu("a b/ü") y = Identity("r:conv")',
                     {"конв/1 ü:act": {"conv": "a b/ü", "act": "r:conv"}}),
    }  # fmt: skip


def _paths() -> dict[str, Unusual]:
    """What is read by nobody, or only passed on."""
    return {
        "nobody reads it": net(f"{CONV} [d] e = Conv {SAME} (x, w)", PLAIN | {"d": {"conv": "e"}}),
        "nobody reads its activation": net(f"{CONV} [d] e = Conv {SAME} (x, w) s = Relu(e)",
                                           PLAIN | {"d": {"conv": "e", "act": "s"}}),
        "dead ends": net(f"[c] a = Conv {SAME} (x, w) n = Neg(a) s = Exp(n) t = Tanh(a) y = Relu(a)"),
        "identities": net(f"i = Identity(x) j = Identity(i) [c] a = Conv {SAME} (j, w) k = Identity(a) l = Identity(k) "
                          "r = Relu(l) y = Identity(r)", {"c": {"conv": "a", "act": "r"}}),
        "operands without names": net(f"[c] a = Conv {SAME} (x, w) y = Clip(a, low)", change=_open_operands,
                                      weights={"w": W, "low": np.array(0, "f")}),
        "results without names": replace(_normalised(opset=9, change=_open_results), twin=_normalised(opset=15).twin),
    }  # fmt: skip


def _normalised(**options: object) -> Unusual:
    """The ONNX reference implementation takes one of opset 9 for one that trains."""
    taps = {"c": {"conv": "a", "norm": "n", "act": "y"}}
    weights = {"w": W, "g": np.full(4, 2, "f"), "z": np.full(4, 0.25, "f")}
    body = f"[c] a = Conv {SAME} (x, w) n = BatchNormalization (a, g, z, z, g) y = Relu(n)"
    return net(body, taps, weights=weights, **options)  # type: ignore[arg-type]


def _opsets() -> dict[str, Unusual]:
    free = "float[N,3,H,W] x"  # so that counting takes the way on which opsets differ
    return {
        "the long name of the domain": net(CONV, inputs=free, change=_imports(("ai.onnx", 17))),
        "both names of the domain": net(CONV, inputs=free, change=_imports(("", 17), ("ai.onnx", 17))),
    }


FUNCTIONS = """<ir_version: 10, opset_import: ["" : 17, "f" : 1]>
net (float[N,3,6,5] x) => (float[N,C,H,W] y) <float[4,3,1,1] w = {%w}, float[4,2,1,1] v = {%v}>
{ [one] h = f.block <g=1> (x, w) [two] k = f.twice <g=2> (h, v) [three] o = f.block:leaky (k)
  [c] a = Conv(o, w2) y = Relu(a) }
<domain: "f", opset_import: ["" : 17]> block <g> (x, w) => (y)
{ [conv] a = Conv <group: int = @g> (x, w) y = Relu(a) }
<domain: "f", opset_import: ["" : 17], overload: "leaky"> block (x) => (y)
{ y = LeakyRelu <alpha=0.5> (x) }
<domain: "f", opset_import: ["" : 17, "f" : 1]> twice <g> (x, w) => (y)
{ [conv] z = f.block <g: int = @g> (x, w) y = f.block <g: int = @g> (z, w) }"""
"""Functions that call each other, with an attribute handed on and two overloads of one name."""

_ALL = (_shapes(), _ends(), _names(), _paths(), _opsets())
UNUSUAL: Mapping[str, Unusual] = {name: case for group in _ALL for name, case in group.items()}
