"""Sparse tensors: what is loaded is the same net written dense, and hostile ones are refused before they are large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from models import RUNS, SAME, ZOO, W, model, numbers, sparse

import inspector
from inspector import Array, Ops, Table
from inspector.contract.measures import TAPPED
from inspector.errors import LimitError, ModelError
from inspector.graph.instrument import Request, instrument
from inspector.graph.load import load
from inspector.graph.loading.limits import DEFAULT_LIMITS

ZOOS = ("weight_sparse_places", "weight_sparse_coordinates", "weight_sparse_constant")
FEW = np.where(np.abs(W) > 0.2, W, 0)
CONV = f"[c] a = Conv {SAME} (x, k) y = Relu(a)"
Change = Callable[[onnx.SparseTensorProto], object]


def with_sparse(tensor: onnx.SparseTensorProto, body: str = CONV, *, in_node: bool = False) -> bytes:
    """A net with that sparse initializer, or with a Constant that gives it as k."""
    proto = onnx.load_from_string(model(body))
    if in_node:
        node = onnx.NodeProto(op_type="Constant", output=["k"])
        node.attribute.add(name="sparse_value", sparse_tensor=tensor, type=onnx.AttributeProto.SPARSE_TENSOR)
        proto.graph.node.insert(0, node)
    else:
        proto.graph.sparse_initializer.append(tensor)
    return proto.SerializeToString()


def changed(change: Change, *, coordinates: bool = False) -> onnx.SparseTensorProto:
    tensor = sparse(FEW, "k", coordinates=coordinates)
    change(tensor)
    return tensor


def indices(change: Callable[[Array], object]) -> Change:
    """Other indices."""

    def apply(tensor: onnx.SparseTensorProto) -> None:
        array = onnx.numpy_helper.to_array(tensor.indices).copy()
        found = change(array)
        tensor.indices.CopyFrom(onnx.numpy_helper.from_array(array if found is None else np.asarray(found), "places"))

    return apply


@pytest.mark.parametrize("name", ZOOS)
def test_a_sparse_weight_is_the_dense_one_in_facts_and_in_every_report(name: str) -> None:
    dense = model(CONV, weights={"k": FEW})
    found, twin = load(RUNS[name].data), load(dense)
    np.testing.assert_array_equal(found.filters("c").weight, FEW)
    assert (found.layers, found.inputs, found.outputs) == (twin.layers, twin.inputs, twin.outputs)
    assert found.cost("c") == twin.cost("c")
    x = RUNS[name].inputs(3)
    one, other = (inspector.audit(data, x, ["sparsity"]).result("sparsity") for data in (RUNS[name].data, dense))
    tables = [[block.rows for block in result.blocks if isinstance(block, Table)] for result in (one, other)]
    assert tables[0]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("coordinates", [False, True])
def test_a_large_sparse_weight_travels_beside_the_message_like_any_other(coordinates: bool) -> None:
    weight = numbers(32, 3, 3, 3)
    weight[np.abs(weight) < 0.2] = 0
    view = load(with_sparse(sparse(weight, "k", coordinates=coordinates)))
    made = instrument(view, [Request("y", Ops().max(TAPPED))])
    assert np.shares_memory(made.weights["k"], view.filters("c").weight)
    assert not made.weights["k"].flags.writeable
    np.testing.assert_array_equal(made.weights["k"], weight)


TYPES = (
    "float32",
    "float64",
    "float16",
    "bfloat16",
    "bool",
    *(f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64)),
)


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("kind", TYPES)
def test_numbers_of_every_whole_type_are_read_however_they_are_stored(kind: str, typed: bool) -> None:
    """`typed`: in the field for the type, as onnx.proto says which, instead of raw bytes."""
    dtype = np.dtype(getattr(ml_dtypes, kind, kind))
    array = np.array([[0, 1, 0], [2, 0, 3]]).astype(dtype)
    tensor = sparse(array, "k")
    if typed:
        fields = {"float32": "float_data", "float64": "double_data", "int64": "int64_data", "uint32": "uint64_data",
                  "uint64": "uint64_data"}  # fmt: skip
        numbers_of = array[array != 0]
        as_bits = numbers_of.view({"float16": "u2", "bfloat16": "u2", "bool": "u1"}.get(kind, dtype))
        getattr(tensor.values, fields.get(kind, "int32_data")).extend(as_bits.tolist())
        tensor.values.ClearField("raw_data")
        tensor.indices.int64_data.extend(onnx.numpy_helper.to_array(tensor.indices).tolist())
        tensor.indices.ClearField("raw_data")
    body = "f = Cast <to=1> (k) [c] y = Conv(x, w)"
    proto = onnx.load_from_string(model(body, weights={"w": W}))
    proto.graph.sparse_initializer.append(tensor)
    found = load(proto.SerializeToString()).model.graph.initializers["k"].const_value
    assert found is not None
    assert found.numpy().dtype == dtype
    np.testing.assert_array_equal(found.numpy(), array)


@pytest.mark.parametrize("in_node", [False, True])
def test_without_any_number_it_is_all_zeros(in_node: bool) -> None:
    empty = changed(lambda t: (t.values.CopyFrom(onnx.numpy_helper.from_array(np.zeros(0, "f"), "k")),
                               t.ClearField("indices")))  # fmt: skip
    np.testing.assert_array_equal(load(with_sparse(empty, in_node=in_node)).filters("c").weight, np.zeros_like(W))


BODY = """<ir_version: 8, opset_import: ["" : 17]> net (float[N,3,6,5] x) => (float[N,C,H,W] y) {
  p = ReduceMax <keepdims=0> (x) r = Relu(p) q = Cast <to=9> (r)
  y = If (q) <then_branch = yes () => (float[N,M,P,Q] t) { [c] t = Conv <pads=[1,1,1,1]> (x, k) },
              else_branch = no () => (float[N,M,P,Q] e) { [d] e = Conv <pads=[1,1,1,1]> (x, k) }> }"""


def test_in_bodies_each_has_its_own() -> None:
    """And keeps its bytes in the message, however many."""
    whole = numbers(16, 3, 3, 3)
    proto = onnx.parser.parse_model(BODY)
    for attribute, scale in zip(proto.graph.node[3].attribute, (1, -1), strict=True):
        attribute.g.sparse_initializer.append(sparse(whole * scale, "k"))
    data = proto.SerializeToString()
    view = load(data)
    np.testing.assert_array_equal(view.filters("c").weight, whole)
    np.testing.assert_array_equal(view.filters("d").weight, -whole)
    for sign, name in ((1, "c"), (-1, "d")):
        x = sign * np.abs(ZOO["chain"].inputs(1))
        maps = inspector.activations(data, x, [f"{name}:conv"])[f"{name}:conv"]
        weight = {"w": whole * sign}
        plain = inspector.activations(model(f"[c] y = Conv {SAME} (x, w)", weights=weight), x, ["c:conv"])["c:conv"]
        np.testing.assert_array_equal(maps, plain)


FUNCTION = """<ir_version: 8, opset_import: ["" : 17, "f" : 1]>
net (float[N,3,6,5] x) => (float[N,C,H,W] y) { y = f.g (x) }
<domain: "f", opset_import: ["" : 17]> g <k> (x) => (y) { [c] a = Conv <pads=[1,1,1,1]> (x, k) y = Relu(a) }"""


@pytest.mark.parametrize("handed_on", [False, True])
def test_in_functions_too_even_as_an_attribute_of_the_call(handed_on: bool) -> None:
    proto = onnx.parser.parse_model(FUNCTION)
    node = onnx.NodeProto(op_type="Constant", output=["k"])
    value = node.attribute.add(name="sparse_value", type=onnx.AttributeProto.SPARSE_TENSOR)
    if handed_on:
        value.ref_attr_name = "k"
        value = proto.graph.node[0].attribute.add(name="k", type=onnx.AttributeProto.SPARSE_TENSOR)
    else:
        del proto.functions[0].attribute[:]
    value.sparse_tensor.CopyFrom(sparse(FEW))
    proto.functions[0].node.insert(0, node)
    view = load(proto.SerializeToString())
    np.testing.assert_array_equal(view.filters(view.layers[0].name).weight, FEW)


def test_its_numbers_and_places_may_lie_in_a_data_file(tmp_path: Path) -> None:
    tensor = sparse(FEW, "k")
    content = b""
    for part, start in ((tensor.values, 0), (tensor.indices, len(tensor.values.raw_data))):
        content += part.raw_data
        part.external_data.add(key="location", value="net.data")
        part.external_data.add(key="offset", value=str(start))
        part.external_data.add(key="length", value=str(len(part.raw_data)))
        part.data_location = onnx.TensorProto.EXTERNAL
        part.ClearField("raw_data")
    (tmp_path / "net.data").write_bytes(content)
    (tmp_path / "net.onnx").write_bytes(with_sparse(tensor))
    np.testing.assert_array_equal(load(tmp_path / "net.onnx").filters("c").weight, FEW)


def put(place: object, value: int) -> Change:
    """Another index at a place."""
    return indices(lambda a: a.__setitem__(place, value))


BROKEN: dict[str, tuple[Change, bool]] = {
    "below": (put(0, -1), False),
    "beyond": (put(-1, W.size), False),
    "far beyond": (put(-1, (1 << 63) - 1), False),
    "unsorted": (indices(lambda a: a[::-1].copy()), False),
    "twice": (indices(lambda a: a.__setitem__(1, a[0])), False),
    "one too few": (indices(lambda a: a[:-1].copy()), False),
    "int32": (indices(lambda a: a.astype(np.int32)), False),
    "a coordinate below": (put((0, 0), -1), True),
    "a coordinate beyond": (put((-1, 3), 3), True),
    "unsorted coordinates": (indices(lambda a: a[::-1].copy()), True),
    "coordinates twice": (indices(lambda a: a.__setitem__(1, a[0])), True),
    "coordinates of three axes": (indices(lambda a: a[:, :3].copy()), True),
    "coordinates in three axes": (indices(lambda a: a[..., None].copy()), True),
    "no shape": (lambda t: t.ClearField("dims"), False),
    "another shape": (lambda t: t.dims.__setitem__(0, 1), False),
    "a negative size": (lambda t: t.dims.__setitem__(0, -4), False),
    "values of two axes": (lambda t: t.values.dims.insert(0, 1), False),
    "values cut short": (lambda t: setattr(t.values, "raw_data", t.values.raw_data[:-1]), False),
    "indices cut short": (lambda t: setattr(t.indices, "raw_data", t.indices.raw_data[:-1]), False),
}


@pytest.mark.parametrize("in_node", [False, True])
@pytest.mark.parametrize("name", BROKEN)
def test_one_that_breaks_the_standard_is_refused(name: str, in_node: bool) -> None:
    change, coordinates = BROKEN[name]
    with pytest.raises(ModelError, match=r"breaks the ONNX standard|negative dimension|differ in size"):
        load(with_sparse(changed(change, coordinates=coordinates), in_node=in_node))


def test_names_are_needed_and_taken_once() -> None:
    for extra in (sparse(FEW, ""), sparse(FEW, "k")):
        proto = onnx.load_from_string(ZOO["weight_sparse_places"].data)
        proto.graph.sparse_initializer.append(extra)
        with pytest.raises(ModelError, match="breaks the ONNX standard"):
            load(proto.SerializeToString())


@pytest.mark.parametrize("kind", ["STRING", "COMPLEX64", "FLOAT8E8M0", "INT4", "FLOAT4E2M1"])
def test_an_unusual_type_is_refused_by_name(kind: str) -> None:
    number = onnx.TensorProto.DataType.Value(kind)
    tensor = onnx.SparseTensorProto(dims=[4, 3, 3, 3])
    tensor.values.name, tensor.values.data_type = "k", number
    tensor.values.dims.append(0)
    tensor.indices.data_type = onnx.TensorProto.INT64
    tensor.indices.dims.append(0)
    with pytest.raises(ModelError, match=f"sparse tensor 'k'.*expected FLOAT, .*found {kind}"):
        load(with_sparse(tensor))


def giant(*dims: int) -> onnx.SparseTensorProto:
    """Without a single number."""
    tensor = changed(lambda t: t.dims.__setitem__(slice(None), dims))
    tensor.values.CopyFrom(onnx.numpy_helper.from_array(np.zeros(0, "f"), "k"))
    tensor.indices.CopyFrom(onnx.numpy_helper.from_array(np.zeros(0, np.int64), "places"))
    return tensor


@pytest.mark.parametrize(
    ("dims", "in_node", "text"),
    [
        ((1 << 40,), False, f"sparse tensor 'k'.*too many elements.*found {1 << 40}"),
        ((1 << 62, 1 << 62), False, f"found {1 << 124}"),
        ((0, 1 << 62), False, f"found {1 << 62}"),
        ((1,) * 17, False, "too many dimensions"),
        ((1 << 14, 1 << 14, 2), False, rf"too large once they are written out; expected at most {1 << 30} bytes"),
        ((1 << 24, 2), True, rf"beside its weights.*at most {1 << 26} bytes together, found {1 << 27}"),
    ],
)
def test_a_few_bytes_do_not_become_gigabytes(dims: tuple[int, ...], in_node: bool, text: str) -> None:
    data = with_sparse(giant(*dims), in_node=in_node)
    assert len(data) < 500
    with pytest.raises(LimitError, match=text):
        load(data)


def test_the_limit_is_on_all_of_them_together_however_often_a_function_is_called() -> None:
    proto = onnx.parser.parse_model(FUNCTION.replace("y = f.g (x)", "y = f.g (x) z = f.g (x) u = f.g (x)"))
    node = onnx.NodeProto(op_type="Constant", output=["k"])
    node.attribute.add(name="sparse_value", sparse_tensor=sparse(FEW), type=onnx.AttributeProto.SPARSE_TENSOR)
    proto.functions[0].node.insert(0, node)
    del proto.functions[0].attribute[:]
    data = proto.SerializeToString()
    assert len(load(data, limits=replace(DEFAULT_LIMITS, sparse_copied=3 * W.nbytes)).layers) == 3
    for limits in (replace(DEFAULT_LIMITS, sparse_copied=3 * W.nbytes - 1), replace(DEFAULT_LIMITS, sparse=W.nbytes)):
        with pytest.raises(LimitError, match=f"found {3 * W.nbytes}"):
            load(data, limits=limits)


def test_what_is_kept_apart_does_not_count_as_copied() -> None:
    weight = numbers(32, 3, 3, 3)
    data = with_sparse(sparse(weight, "k"))
    assert load(data, limits=replace(DEFAULT_LIMITS, sparse_copied=0, sparse=weight.nbytes)).layers
    with pytest.raises(LimitError, match="once they are written out"):
        load(data, limits=replace(DEFAULT_LIMITS, sparse=weight.nbytes - 1))
    with pytest.raises(LimitError, match="too many initializers"):
        load(data, limits=replace(DEFAULT_LIMITS, initializers=0))


@pytest.mark.parametrize(
    ("operator", "attribute"),
    [("com.example.Foo", "sparse_value"), ("com.example.Constant", "sparse_value"), ("com.example.Foo", "many")],
)
def test_in_any_other_attribute_it_is_refused_by_name(operator: str, attribute: str) -> None:
    proto = onnx.load_from_string(model(f"b = {operator} (x) {CONV}", weights={"k": W}))
    held = proto.graph.node[0].attribute.add(name=attribute)
    if attribute == "many":
        held.type = onnx.AttributeProto.SPARSE_TENSORS
        held.sparse_tensors.append(sparse(FEW))
    else:
        held.type = onnx.AttributeProto.SPARSE_TENSOR
        held.sparse_tensor.CopyFrom(sparse(FEW))
    with pytest.raises(ModelError, match=rf"where none is read.*attribute '{attribute}' of operator"):
        load(proto.SerializeToString())


def test_one_that_is_an_input_as_well_is_its_default() -> None:
    proto = onnx.load_from_string(model(CONV, inputs="float[N,3,6,5] x, float[4,3,3,3] k"))
    proto.graph.sparse_initializer.append(sparse(FEW, "k"))
    dense = onnx.load_from_string(model(CONV, weights={"k": FEW}, weights_are_inputs=True))
    x = ZOO["chain"].inputs(2)
    found, twin = (inspector.activations(p.SerializeToString(), x)["c:act"] for p in (proto, dense))
    np.testing.assert_array_equal(found, twin)
