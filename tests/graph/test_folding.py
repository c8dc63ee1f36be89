"""A layer's filters, as they are and with what follows folded in: the same numbers as running the nodes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import SAME, ZOO, B, W, model, norms, numbers, one
from models_graphs import UNUSUAL
from reference import transposed, values

from inspector import Array, Filters, activations
from inspector.errors import ModelError
from inspector.graph.load import load

FOLDED = {
    "bias_add": ("n",), "bias_add_first": ("n",), "scale_and_shift": ("m", "n"), "divided": ("n",),
    "dropout_between": ("n",), "batch_norm_7": ("n",), "batch_norm_9": ("n",), "batch_norm_14": ("n",),
    "batch_norm_15": ("n",), "batch_norm_26": ("n",), "instance_norm": (), "group_norm": (), "bias_of_positions": (),
}  # fmt: skip
"""What can be folded in each net of `models.norms`, by the output of the node."""


def convolved(filters: Filters, x: Array) -> Array:
    """The convolution of all these nets with other filters, in float64 by the ONNX reference implementation."""
    data = model(f"a = Conv {SAME} (x, w, b)", inputs="double[N,3,6,5] x", outputs="double[N,C,H,W] a",
                 weights={"w": filters.weight, "b": filters.bias})  # fmt: skip
    return values(data, {"x": x.astype(np.float64)}, ["a"])["a"]


def test_every_normalisation_of_the_zoo_is_accounted_for() -> None:
    assert set(FOLDED) == {case.name for case in norms()}


@pytest.mark.parametrize("name", FOLDED)
def test_filters_as_they_are_are_those_of_the_node(name: str) -> None:
    filters = load(ZOO[name].data).filters("c")
    np.testing.assert_array_equal(filters.weight, W)
    assert filters.folded == ()
    assert not filters.whole


@pytest.mark.parametrize("name", FOLDED)
def test_what_is_folded_is_named_and_what_cannot_be_is_admitted(name: str) -> None:
    filters = load(ZOO[name].data).filters("c", fold_norm=True)
    assert filters.folded == FOLDED[name]
    assert filters.whole == bool(FOLDED[name])


@pytest.mark.parametrize("name", [name for name, folded in FOLDED.items() if folded])
def test_folding_gives_what_running_the_nodes_gives(name: str) -> None:
    case = ZOO[name]
    x = case.inputs(2)
    folded = convolved(load(case.data).filters("c", fold_norm=True), x)
    np.testing.assert_allclose(folded, by_hand(name, x), rtol=1e-6, atol=1e-6)
    run = activations(case.data, x, ["c:norm"])["c:norm"]
    np.testing.assert_allclose(run, folded, rtol=1e-5, atol=1e-5)


def test_outputs_without_a_name_do_not_make_a_normalisation_one_that_trains() -> None:
    filters = load(UNUSUAL["results without names"].data).filters("c", fold_norm=True)
    assert (filters.folded, filters.whole) == (("n",), True)


def by_hand(name: str, x: Array) -> Array:
    """What each of the nets computes before its activation, from the definition of its nodes."""
    bias = 0 if "bias" in name or "dropout" in name else B.reshape(4, 1, 1)
    a = convolved(Filters(W, np.zeros(4, np.float32)), x) + bias
    if name.startswith("batch_norm"):
        g, h, m, v = (np.abs(numbers(4, scale=s)).reshape(4, 1, 1).astype(np.float64) + 0.5 for s in (1, 2, 3, 4))
        return (a - m) / np.sqrt(v + 0.1) * g + h
    k = numbers(4, 1, 1) if name in ("bias_add_first", "dropout_between") else numbers(1, 4, 1, 1)[0]
    return {"scale_and_shift": lambda: k - a * k, "divided": lambda: a / (k + 2)}.get(name, lambda: a + k)()


STEPS = {
    "Add": ("Add({v}, {k})", lambda v, k: v + k),
    "add": ("Add({k}, {v})", lambda v, k: v + k),
    "Sub": ("Sub({v}, {k})", lambda v, k: v - k),
    "sub": ("Sub({k}, {v})", lambda v, k: k - v),
    "Mul": ("Mul({v}, {k})", lambda v, k: v * k),
    "mul": ("Mul({k}, {v})", lambda v, k: v * k),
    "Div": ("Div({v}, {k})", lambda v, k: v / k),
}
SHAPES = [(), (1,), (1, 1, 1), (4, 1, 1), (1, 4, 1, 1), (1, 1, 1, 1)]


@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.sampled_from(SHAPES)), max_size=5), st.integers(0, 99))
def test_any_chain_of_scales_and_shifts_folds_into_one(steps: list[tuple[str, tuple[int, ...]]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    constants = [rng.uniform(0.5, 2, shape).astype(np.float32) for _, shape in steps]
    nodes = [f"v{i + 1} = " + STEPS[s][0].format(v=f"v{i}", k=f"k{i}") for i, (s, _) in enumerate(steps)]
    data = model(
        f"[c] v0 = Conv {SAME} (x, w, b) {' '.join(nodes)} y = Relu(v{len(steps)})",
        weights={"w": W, "b": B} | {f"k{i}": k for i, k in enumerate(constants)},
    )
    filters = load(data).filters("c", fold_norm=True)
    assert filters.whole
    assert filters.folded == tuple(f"v{i + 1}" for i in range(len(steps)))
    weight, bias = W.astype(np.float64), B.astype(np.float64).reshape(4, 1, 1, 1)
    for (step, _), k in zip(steps, constants, strict=True):
        per_channel = np.broadcast_to(k.reshape(-1, 1, 1, 1) if k.size == 4 else k.reshape(1, 1, 1, 1), (4, 1, 1, 1))
        shifted = STEPS[step][1](bias, per_channel.astype(np.float64))
        weight = STEPS[step][1](weight + bias, per_channel.astype(np.float64)) - shifted
        bias = shifted
    np.testing.assert_allclose(filters.weight, weight, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(filters.bias, bias.ravel(), rtol=1e-12)


def test_filters_of_a_transposed_convolution_are_output_first_within_their_group() -> None:
    """Row o holds, for every input channel of its group, the kernel that the definition adds to output channel o."""
    case = ZOO["transposed_grouped"]
    stored = numbers(4, 3, 2, 3)
    filters = load(case.data).filters("c")
    assert filters.weight.shape == (6, 2, 2, 3)
    x = case.inputs(2)
    expected = transposed(x, stored, groups=2, strides=(2, 1), pads=(0, 1, 1, 0), extra=(1, 0))
    for o in range(6):
        group = o // 3
        alone = np.zeros_like(stored)[:, :1]
        alone[2 * group : 2 * group + 2, 0] = filters.weight[o]
        reads = transposed(x, alone, groups=1, strides=(2, 1), pads=(0, 1, 1, 0), extra=(1, 0))
        np.testing.assert_allclose(reads[:, 0], expected[:, o], rtol=1e-6, atol=1e-6)


def test_normalisation_folds_into_the_outputs_of_a_transposed_convolution() -> None:
    scale = numbers(1, 6, 1, 1)
    body = "[c] a = ConvTranspose <group=2> (x, t) n = Mul(a, s) y = Relu(n)"
    data = model(body, inputs="float[N,4,6,5] x", weights={"t": numbers(4, 3, 2, 3), "s": scale})
    plain, folded = (load(data).filters("c", fold_norm=fold) for fold in (False, True))
    np.testing.assert_allclose(folded.weight, plain.weight * scale.reshape(6, 1, 1, 1), rtol=1e-6)


def test_a_normalisation_by_position_or_in_training_is_not_folded() -> None:
    weights = {"w": W, **{k: numbers(4, 6, 5) + 3 for k in "ghmv"}}
    spatial = f"[c] a = Conv {SAME} (x, w) n = BatchNormalization <spatial=0> (a, g, h, m, v) y = Relu(n)"
    assert not load(model(spatial, opset=7, ir=4, weights=weights)).filters("c", fold_norm=True).whole
    weights = {"w": W, **{k: np.ones(4, np.float32) for k in "ghmv"}}
    training = f"[c] a = Conv {SAME} (x, w) n = BatchNormalization <training_mode=1> (a, g, h, m, v) y = Relu(n)"
    assert not load(model(training, weights=weights)).filters("c", fold_norm=True).whole
    before = training.replace(" <training_mode=1>", "").replace("n = Batch", "n, p, q, r, s = Batch")
    assert not load(model(before, weights=weights, opset=9, ir=4)).filters("c", fold_norm=True).whole


@pytest.mark.filterwarnings("error")
def test_what_cannot_be_divided_by_gives_what_a_run_gives() -> None:
    weights = {"w": W, "g": np.ones(4, "f"), "v": np.array([1, 1, -1, 1], "f"), "d": np.array([1, 0, 1, 1], "f")}
    body = f"[c] a = Conv {SAME} (x, w) n = BatchNormalization(a, g, g, g, v) m = Div(n, e) y = Relu(m)"
    weights["e"] = weights.pop("d").reshape(4, 1, 1)
    filters = load(model(body, weights=weights)).filters("c", fold_norm=True)
    assert np.isfinite(filters.weight).reshape(4, -1).all(1).tolist() == [True, False, False, True]


def test_half_precision_weights_are_widened_exactly_and_doubles_stay() -> None:
    half = load(ZOO["float16_7"].data).filters("c")
    assert half.weight.dtype == np.float32
    np.testing.assert_array_equal(half.weight, W.astype(np.float16).astype(np.float32))
    assert load(ZOO["double_7"].data).filters("c").weight.dtype == np.float64


@pytest.mark.parametrize("bias", [numbers(5), numbers(4, 1), np.float32(1)])
def test_a_bias_of_another_shape_is_a_fault_of_the_model(bias: Array) -> None:
    data = one("net", f"[c] a = Conv {SAME} (x, w, b) y = Relu(a)", weights={"b": np.asarray(bias)}).data
    with pytest.raises(ModelError, match=r"bias has another shape; expected \(4,\)"):
        load(data).filters("c")


def test_weights_that_are_no_numbers_are_a_fault_of_the_model() -> None:
    data = one("net", f"[c] a = Conv {SAME} (x, w) y = Relu(a)", weights={"w": np.full((4, 3, 3, 3), "a")}).data
    with pytest.raises(ModelError, match="weights are no numbers"):
        load(data).filters("c")
