"""Where a tensor's numbers travel makes no difference to what is found and computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ml_dtypes
import numpy as np
import onnx
import pytest
from models import RUNS, ZOO, Case, model, numbers

from inspector import Array, Ops, TapKind
from inspector.contract.measures import TAPPED
from inspector.errors import InspectorError
from inspector.graph import load as loading
from inspector.graph.instrument import Instrumented, Request, instrument
from inspector.graph.load import load
from inspector.graph.loading import weights
from inspector.graph.view import OnnxView
from inspector.runtime.session import Fidelity, open_session

op = Ops()
NEVER = 1 << 62
Apart = Callable[[int], None]


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> Apart:
    """Sets from how many bytes on tensors are kept apart."""

    def set_to(least: int) -> None:
        monkeypatch.setattr(loading, "APART", least)
        monkeypatch.setattr(weights, "APART", least)

    return set_to


def written(case: Case) -> tuple[OnnxView, Instrumented]:
    view = load(case.data)
    requests = [Request(layer.taps[TapKind.CONV].tensor, op.keep(TAPPED)) for layer in view.layers]
    shapes = {"x": case.shape} if [i.name for i in view.inputs] == ["x"] else {}
    return view, instrument(view, requests, shapes=shapes, keep_outputs=True)


def run(made: Instrumented, x: Array, fidelity: Fidelity) -> Sequence[Array]:
    with open_session(made.model, weights=made.weights, device="cpu", fidelity=fidelity) as session:
        return session.run({"x": x})


@pytest.mark.parametrize("name", sorted(ZOO.keys() - {"foreign_operator"}))  # that one is refused by name
def test_all_numbers_beside_the_message_give_the_same_facts_and_bits(name: str, apart: Apart) -> None:
    case = ZOO[name]
    apart(NEVER)
    inside, plain = written(case)
    apart(0)
    outside, made = written(case)
    assert not plain.weights
    assert (outside.layers, outside.inputs, outside.outputs) == (inside.layers, inside.inputs, inside.outputs)
    assert (outside.sha256, outside.facts, outside.left_out) == (inside.sha256, inside.facts, inside.left_out)
    if name not in RUNS:
        return
    batch = (inside.inputs[0].shape or ())[0]
    x = case.inputs(batch if isinstance(batch, int) else 2)
    for fidelity in ("exact", "fast"):
        for a, b in zip(run(plain, x, fidelity), run(made, x, fidelity), strict=True):
            np.testing.assert_array_equal(a, b)


def test_tensors_of_a_kibibyte_and_more_travel_beside_the_message_and_small_ones_in_it() -> None:
    large, small = numbers(16, 16, 3, 3), numbers(16)
    body = "[c] a = Conv (x, large, small) y = Relu(a)"
    data = model(body, inputs="float[N,16,6,5] x", weights={"large": large, "small": small})
    view = load(data)
    made = instrument(view, [Request("y", op.max(TAPPED))])
    assert list(made.weights) == ["large"]
    assert len(made.model) < large.nbytes
    assert np.shares_memory(made.weights["large"], view.filters("c").weight)
    np.testing.assert_array_equal(made.weights["large"], large)
    proto = onnx.load_from_string(made.model)
    assert {t.name: t.data_location for t in proto.graph.initializer} == {"large": 1, "small": 0}


def test_weights_that_the_rows_do_not_need_are_not_handed_out() -> None:
    weights = {name: numbers(16, 16, 3, 3) for name in ("first", "second")}
    data = model("a = Conv(x, first) y = Conv(a, second)", inputs="float[N,16,6,5] x", weights=weights)
    assert list(instrument(load(data), [Request("a", op.max(TAPPED))]).weights) == ["first"]


@pytest.mark.parametrize("kind", sorted(set(onnx.TensorProto.DataType.values())))
def test_tensors_of_every_element_type_are_read_as_before_or_refused_as_before(kind: int, apart: Apart) -> None:
    def loaded(least: int) -> object:
        apart(least)
        proto = onnx.load_from_string(ZOO["chain"].data)
        proto.graph.initializer.add(name="unused", data_type=kind, dims=[4, 2], raw_data=bytes(range(64)))
        try:
            view = load(proto.SerializeToString())
            return view.model.graph.initializers["unused"].const_value.numpy().tobytes()  # type: ignore[union-attr]
        except (InspectorError, ValueError, TypeError) as error:
            return type(error)

    assert loaded(0) == loaded(NEVER)


def test_bfloat16_weights_reach_the_runtime_bit_by_bit(apart: Apart) -> None:
    """A runtime without such convolutions can still cast them."""
    apart(0)
    weight = numbers(16, 16, 3, 3).astype(ml_dtypes.bfloat16)
    body = "w = Cast<to=1>(half) [c] y = Conv(x, w)"
    view = load(model(body, inputs="float[N,16,6,5] x", weights={"half": weight}))
    made = instrument(view, [Request("y", op.keep(TAPPED))])
    assert made.weights["half"].dtype == ml_dtypes.bfloat16
    x = np.zeros((1, 16, 6, 5), np.float32)
    x[0, :, :3, :3] = 1
    (found,) = run(made, x, "exact")
    np.testing.assert_allclose(found[0, :, 0, 0], weight.astype(np.float64).sum((1, 2, 3)), rtol=0, atol=1e-5)
