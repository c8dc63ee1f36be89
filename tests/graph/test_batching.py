"""A batch size that the model fixed is made free; whether that changes the numbers is decided by running."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from models import SAME, ZOO, B, W, model, numbers

from inspector import Array, Ops, TensorInfo
from inspector.contract.measures import TAPPED
from inspector.graph.batching import fixed_batch
from inspector.graph.instrument import Request, instrument
from inspector.graph.load import load
from inspector.runtime.session import open_session


@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        ([(1, 3, 8, 8)], 1),
        ([(4, 3, 8, 8), (4, 10)], 4),
        ([("N", 3, 8, 8)], None),
        ([(None, 3)], None),
        ([(1, 3), (4, 3)], None),
        ([(1, 3), ("N", 3)], 1),
        ([(None, 3), (2, 3), ("M",)], 2),
        ([(1, 3), ("N", 3), (4, 3)], None),
        ([(1, 3), ()], 1),
        ([(1, 3), None], 1),
        ([None], None),
        ([], None),
    ],
)
def test_a_batch_is_fixed_where_inputs_that_say_a_number_agree_on_it(
    shapes: list[tuple[int | str | None, ...] | None], size: int | None
) -> None:
    assert fixed_batch(tuple(TensorInfo(f"i{k}", "float32", s) for k, s in enumerate(shapes))) == size


def freed(name: str, x: Array) -> list[Array]:
    """The net's own outputs and its peaks, with the batch made free."""
    view = load(ZOO[name].data)
    request = Request(view.taps()[0].tensor, Ops().max(TAPPED))
    written = instrument(view, [request], shapes={"x": x.shape[1:]}, free=True, keep_outputs=True)
    assert written.batch_is_free
    with open_session(written.model, weights=written.weights, device="cpu", fidelity="exact") as session:
        return list(session.run({"x": x}))


def one_by_one(name: str, x: Array) -> list[Array]:
    """The same, by the model as it is."""
    view = load(ZOO[name].data)
    size = fixed_batch(view.inputs) or 1
    request = Request(view.taps()[0].tensor, Ops().max(TAPPED))
    data = instrument(view, [request], shapes={"x": x.shape[1:]}, keep_outputs=True).model
    with open_session(data, device="cpu", fidelity="exact") as session:
        parts = [session.run({"x": x[i : i + size]}) for i in range(0, len(x), size)]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


@pytest.mark.parametrize("name", ["batch_1_reshape_rest", "batch_1_reshape_whole", "batch_1_reshape_flat", "batch_4"])
@pytest.mark.parametrize("count", [4, 8])
def test_a_freed_model_gives_every_input_what_the_original_gives_it(name: str, count: int) -> None:
    x = ZOO[name].inputs(count)
    for a, b in zip(freed(name, x), one_by_one(name, x), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_free_batch_is_left_alone() -> None:
    view = load(ZOO["chain"].data)
    plain, freed = (instrument(view, [], free=free, keep_outputs=True) for free in (False, True))
    assert freed.model == plain.model


def targets(data: bytes) -> list[list[int]]:
    """The constant shapes of a freed model's reshapes."""
    proto = onnx.load_from_string(instrument(load(data), (), free=True, keep_outputs=True).model)
    known = {i.name: onnx.numpy_helper.to_array(i) for i in proto.graph.initializer}
    return [known[n.input[1]].tolist() for n in proto.graph.node if n.op_type == "Reshape" and n.input[1] in known]


@pytest.mark.parametrize(
    ("batch", "target", "changed"),
    [(1, [1, -1], [0, -1]), (1, [1, 120], [-1, 120]), (1, [-1, 120], [-1, 120]), (1, [0, 120], [0, 120]),
     (4, [4, 120], [-1, 120]), (4, [2, 240], [2, 240])],
)  # fmt: skip
def test_only_a_reshape_that_names_the_batch_is_changed(batch: int, target: list[int], changed: list[int]) -> None:
    body = f"[c] a = Conv {SAME} (x, w, b) r = Relu(a) y = Reshape(r, s)"
    data = model(body, inputs=f"float[{batch},3,6,5] x", outputs="float[P,Q] y",
                 weights={"w": W, "b": B, "s": np.array(target)})  # fmt: skip
    assert targets(data) == [changed]


def test_a_reshape_of_weights_keeps_its_shape() -> None:
    body = f"k = Reshape(f, s) [c] y = Conv {SAME} (x, k)"
    data = model(body, inputs="float[1,3,6,5] x", weights={"f": numbers(1, 27), "s": np.array([1, 3, 3, 3])})
    assert targets(data) == [[1, 3, 3, 3]]


def test_weights_that_are_inputs_too_keep_their_sizes() -> None:
    data = model(f"[c] y = Conv {SAME} (x, w)", inputs="float[1,3,6,5] x", weights={"w": W}, weights_are_inputs=True)
    proto = onnx.load_from_string(instrument(load(data), (), free=True, keep_outputs=True).model)
    first = {i.name: i.type.tensor_type.shape.dim[0] for i in proto.graph.input}
    assert first["x"].dim_param
    assert "w" not in first or first["w"].dim_value == 4
