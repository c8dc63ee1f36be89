"""Files whose nodes are not in the order in which they run: runtimes take them, so they load, with the same facts.

Converters to float16 write such files: their casts of inputs stand behind all other nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from models import SAME, B, W, model, numbers

import inspector
from inspector.errors import ModelError
from inspector.graph.load import load

WEIGHTS = {"w": W, "b": B, "v": numbers(4, 4, 1, 1)}
CHAIN = f"p = Neg (x) [c] a = Conv {SAME} (p, w, b) r = Relu (a) [d] e = Conv (r, v) y = Sigmoid (e)"
POSITIVE = f"q = Abs (p) [c] a = Conv {SAME} (q, w, b) t = Relu (a)"
NEGATIVE = f"[d] e = Conv {SAME} (p, w, b) u = Neg (e)"
BRANCH = f"""p = Neg (x) m = ReduceMax <keepdims=0> (x) flag = Cast <to=9> (m) y = If (flag) <
    then_branch = one () => (float[N,C,H,W] t) {{ {POSITIVE} }},
    else_branch = two () => (float[N,C,H,W] u) {{ {NEGATIVE} }}>"""
X = np.random.default_rng(4).normal(size=(2, 3, 6, 5)).astype(np.float32)


def moved(data: bytes, order: Sequence[int], *, body: bool = False) -> bytes:
    """The same nodes in another order, those of the main graph or of a branch."""
    proto = onnx.load_from_string(data)
    graph = proto.graph
    if body:
        graph = next(a.g for node in graph.node for a in node.attribute if a.name == "then_branch")
    nodes = [graph.node[k] for k in order]
    del graph.node[:]
    graph.node.extend(nodes)
    return proto.SerializeToString()


STRAIGHT = model(CHAIN, weights=WEIGHTS)
FORKED = model(BRANCH, weights={"w": W, "b": B})


@pytest.mark.parametrize("order", [(1, 2, 3, 4, 0), (4, 3, 2, 1, 0), (0, 2, 1, 4, 3)])
def test_nodes_in_any_order_are_the_same_network(order: Sequence[int]) -> None:
    data = moved(STRAIGHT, order)
    assert onnxruntime.InferenceSession(data).run(None, {"x": X})  # so it is worth reading
    assert [(layer.name, layer.activation) for layer in load(data).layers] == [("c", "Relu"), ("d", "Sigmoid")]
    ours, expected = (inspector.activations(each, X, ["*:conv", "*:act"]) for each in (data, STRAIGHT))
    assert {name: (maps == expected[name]).all() for name, maps in ours.items()} == dict.fromkeys(expected, True)


@pytest.mark.parametrize(("order", "body"), [((1, 2, 3, 0), False), ((3, 2, 1, 0), False), ((2, 0, 1), True)])
def test_what_a_branch_reads_from_around_it_comes_before_it(order: Sequence[int], *, body: bool) -> None:
    data = moved(FORKED, order, body=body)
    assert [layer.name for layer in load(data).layers] == ["c", "d"]
    ours, expected = (inspector.activations(each, X, "c:act")["c:act"] for each in (data, FORKED))
    assert (ours == expected).all()


def test_functions_are_put_in_order_too() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
    net (float[N,3,6,5] x, float[4,3,3,3] w) => (float[N,C,H,W] y) { y = own.block (x, w) }
    <domain: "own", opset_import: ["" : 17]> block (x, w) => (y) { y = Relu (a) a = Conv (x, w) }"""
    (layer,) = load(onnx.parser.parse_model(text).SerializeToString()).layers
    assert layer.activation == "Relu"


def test_nodes_that_need_each_other_are_refused() -> None:
    circle = model(f"p = Add (x, z) [c] a = Conv {SAME} (p, w, b) z = ReduceSum (a) y = Relu (a)", weights=WEIGHTS)
    with pytest.raises(ModelError, match="breaks the ONNX standard"):
        load(circle)


def test_two_values_of_one_name_are_refused_in_any_order() -> None:
    twice = model(f"a = Conv {SAME} (p, w, b) p = Neg (x) p = Abs (x) y = Relu (a)", weights=WEIGHTS)
    with pytest.raises(ModelError, match="breaks the ONNX standard"):
        load(twice)
