"""Unusual graphs, from the file to the numbers: against the ONNX reference implementation and NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
from models import SAME, W, model, numbers
from models_graphs import CONV, FUNCTIONS, UNUSUAL
from reference import Sparsity, values

from inspector import Table, service
from inspector.contract.measures import TAPPED, Ops
from inspector.errors import InputError, ModelError
from inspector.graph.instrument import Request, instrument
from inspector.runtime.session import open_session

ALL = pytest.mark.parametrize("name", UNUSUAL)


def channels(data: bytes, feeds: Any, batch: int) -> list[tuple[Any, ...]]:
    result = service.audit(data, feeds, ["sparsity"], batch_size=batch).result("sparsity")
    assert result.failure is None
    (table,) = (b for b in result.blocks if isinstance(b, Table) and b.title == "Sparsity by channel")
    return list(table.rows)


@ALL
def test_its_layers_are_those_that_a_reader_finds(name: str) -> None:
    case = UNUSUAL[name]
    view = service.load(case.data)
    assert {x.name: {k.value: t.tensor for k, t in x.taps.items()} for x in view.layers} == case.layers
    assert view.left_out == ()
    for layer in view.layers:
        assert view.filters(layer.name).weight.shape == layer.weight_shape
        assert view.cost(layer.name).parameters == layer.parameters


@ALL
def test_its_maps_are_those_of_the_onnx_reference(name: str) -> None:
    case = UNUSUAL[name]
    feeds = case.feeds(3)
    tensors = {f"{layer}:{kind}": tensor for layer, taps in case.layers.items() for kind, tensor in taps.items()}
    single = [values(case.twin, {k: x[i : i + 1] for k, x in feeds.items()}, tensors.values()) for i in range(3)]
    found = service.activations(case.data, feeds, [*tensors])
    assert found.keys() == tensors.keys()
    for tap, tensor in tensors.items():
        np.testing.assert_allclose(found[tap], np.concatenate([s[tensor] for s in single]), rtol=1e-5, atol=1e-5)


@ALL
@pytest.mark.parametrize("batch", [1, 5])
def test_its_counts_are_those_of_numpy(name: str, batch: int) -> None:
    case = UNUSUAL[name]
    feeds = case.feeds(5)
    rows = channels(case.data, feeds, batch)
    for tap in service.load(case.data).taps():
        maps = service.activations(case.data, feeds, [tap.name])[tap.name]
        wanted = Sparsity.of(maps, exact=tap.zeros.value == "exact")
        found = [row for row in rows if row[0] == tap.name]
        assert [row[2] for row in found] == pytest.approx(wanted.zero_fraction.tolist(), abs=1e-12)
        assert [row[3] for row in found] == wanted.active.tolist()


@pytest.mark.parametrize("name", ["the long name of the domain", "both names of the domain"])
def test_counts_of_maps_of_unknown_size_are_written_in_the_opset_of_the_model(name: str) -> None:
    """There the reductions differ from opset to opset; the runtime refuses those of another."""
    case = UNUSUAL[name]
    op = Ops()
    requests = [Request("a", op.keep(TAPPED)), Request("a", op.count(op.greater(TAPPED, 0.25)))]
    written = instrument(service.load(case.data), requests)
    with open_session(written.model, weights=written.weights, device="cpu") as session:
        maps, above = written.rows(session.run(case.feeds(2))).values()
    np.testing.assert_array_equal(above, (maps > 0.25).sum((2, 3)))


def functions(*, overloads: bool = True) -> bytes:
    """Without overloads, which the reference implementation does not know, the second function has another name."""
    text = (
        FUNCTIONS
        if overloads
        else FUNCTIONS.replace("f.block:leaky", "f.leaky").replace(', overload: "leaky"> block', "> leaky")
    )
    text = text.replace("%w", ",".join(map(str, numbers(4, 3, 1, 1).ravel())))
    proto = onnx.parser.parse_model(text.replace("%v", ",".join(map(str, numbers(4, 2, 1, 1).ravel()))))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(numbers(4, 4, 1, 1), "w2"))
    return proto.SerializeToString()


def test_convolutions_in_functions_are_layers_of_their_own_with_names_of_their_own() -> None:
    """The model's outputs against the reference implementation, which calls the functions; names keep their stem."""
    view = service.load(functions())
    names = [x.name for x in view.layers]
    assert len(set(names)) == 4
    assert [n for n in names if n.startswith("conv")] == names[:3]
    assert names[3] == "c"
    assert [(x.groups, x.activation) for x in view.layers] == [(1, "Relu"), (2, "Relu"), (2, "Relu"), (1, "Relu")]
    x = np.random.default_rng(1).normal(size=(2, 3, 6, 5)).astype(np.float32)
    expected = values(functions(overloads=False), {"x": x}, ["a", "y", "h", "k"])
    found = service.activations(functions(), x)
    taps = {names[0]: "h", names[2]: "k", names[3]: "y"}
    for layer, tensor in taps.items():
        np.testing.assert_allclose(found[f"{layer}:act"], expected[tensor], rtol=1e-5, atol=1e-5)


def changed(change: Any, **options: Any) -> bytes:
    proto = onnx.load_from_string(model(CONV, weights={"w": W}, **options))
    change(proto)
    return proto.SerializeToString()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.graph.ClearField("output"), "it gives nothing out"),
        (lambda p: p.ClearField("opset_import"), "must specify opset_import"),
        (lambda p: p.opset_import.pop(0), "No opset import for domain ''"),
        (lambda p: p.graph.input[0].type.tensor_type.ClearField("shape"), "'shape' of 'type' is required"),
    ],
    ids=["no output", "no opsets", "only other opsets", "an input without a rank"],
)
def test_what_breaks_the_standard_or_computes_nothing_is_refused(change: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        service.load(changed(change))


def test_a_file_from_before_opsets_has_the_first_one() -> None:
    def old(proto: onnx.ModelProto) -> None:
        proto.ClearField("opset_import")
        proto.ir_version = 2

    view = service.load(changed(old, opset=1, weights_are_inputs=True))
    assert view.model.graph.opset_imports == {"": 1}
    assert view.cost("c").macs == 4 * 3 * 9 * 30


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        ((0, 3, 6, 5), InputError, "it holds no inputs"),
        ((2, 3, 0, 5), InputError, "another shape"),
        ((2, 3, 2, 2), InputError, r"cannot run it, of the size 'x' \(3, 2, 2\); found .*Invalid input shape"),
    ],
    ids=["no inputs", "no pixels", "fewer pixels than the kernel"],
)
def test_inputs_of_no_size_are_an_error_that_says_so(
    shape: tuple[int, ...], error: type[Exception], message: str
) -> None:
    data = model("[c] a = Conv(x, w) y = Relu(a)", inputs="float[N,3,H,W] x", weights={"w": W})
    with pytest.raises(error, match=message):
        service.audit(data, np.zeros(shape, np.float32))


def test_an_input_without_a_batch_axis_is_refused_by_name() -> None:
    data = model(f"m = Mul(x, k) [c] a = Conv {SAME} (m, w) y = Relu(a)", inputs="float[N,3,6,5] x, float k",
                 weights={"w": W})  # fmt: skip
    with pytest.raises(InputError, match=r"input 'k' has no batch axis.*as an initializer"):
        service.audit(data, {"x": np.zeros((2, 3, 6, 5), np.float32), "k": np.array(2, np.float32)})
