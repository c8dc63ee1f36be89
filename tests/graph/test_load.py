"""The door: whatever bytes come in, what comes out is a view or an error that says what is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import SAME, ZOO, W, model

from inspector import TapKind
from inspector.errors import InspectorError, LimitError, ModelError, NotFoundError
from inspector.graph.load import Limits, load

CHAIN = ZOO["chain"].data
BODY = f"[c] a = Conv {SAME} (x, w) y = Relu(a)"


def changed(change: Callable[[onnx.ModelProto], object], name: str = "chain") -> bytes:
    """A net of the zoo with something done to its message."""
    proto = onnx.load_from_string(ZOO[name].data)
    change(proto)
    return proto.SerializeToString()


def test_a_path_and_its_bytes_give_the_same_facts(tmp_path: Path) -> None:
    path = tmp_path / "net.v2.onnx"
    path.write_bytes(CHAIN)
    from_path, from_bytes = load(path), load(CHAIN)
    assert (from_path.name, from_bytes.name, load(str(path), name="mine").name) == ("net.v2", "model", "mine")
    assert from_path.sha256 == from_bytes.sha256 == hashlib.sha256(CHAIN).hexdigest()
    assert from_path.layers == from_bytes.layers
    assert from_path.facts["bytes"] == str(len(CHAIN))
    assert from_path.facts["opsets"] == "ai.onnx 17, com.example 1, com.microsoft 1"


def test_inputs_and_outputs_are_described_as_a_caller_must_feed_them() -> None:
    view = load(ZOO["weights_as_inputs"].data)
    ((name, dtype, shape),) = ((i.name, i.dtype, i.shape) for i in view.inputs)
    assert (name, dtype, shape) == ("x", "float32", ("N", 3, 6, 5))
    assert [o.name for o in view.outputs] == ["y"]
    assert load(ZOO["float16_7"].data).inputs[0].dtype == "float16"
    untyped = changed(lambda p: setattr(p.graph.input[0].type.tensor_type, "elem_type", 0))
    assert load(untyped).inputs[0].dtype == "unknown"


def test_what_is_not_there_is_told_apart_from_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        load(tmp_path / "absent.onnx")
    with pytest.raises(ModelError, match="not a file"):
        load(tmp_path)
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(ModelError, match="empty"):
        load(tmp_path / "empty.onnx")


@pytest.mark.parametrize("content", [b"\x00" * 64, b"PK\x03\x04 not a model", b"{}", b"\x80\x04K\x01.", b"\n"])
def test_other_files_are_not_models(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"not an ONNX (file|model)"):
        load(content)


def test_the_runtimes_own_format_is_told_by_name(tmp_path: Path) -> None:
    path = tmp_path / "net.ort"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(CHAIN, options)
    with pytest.raises(ModelError, match=r"net\.ort: it is in onnxruntime's own format.*\.onnx file that it was made"):
        load(path)


@given(st.integers(0, len(CHAIN) - 1))
@settings(max_examples=500)
def test_a_model_that_is_cut_short_anywhere_is_refused_or_still_whole(cut: int) -> None:
    try:
        view = load(CHAIN[:cut])
    except ModelError:
        return
    assert [layer.name for layer in view.layers] == ["c", "d"]


@given(st.sampled_from(sorted(ZOO)), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=500)
def test_a_model_with_bytes_changed_is_read_or_refused_never_anything_else(
    name: str, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(ZOO[name].data)
    for place, byte in changes:
        data[int(place * (len(data) - 1))] = byte
    try:
        view = load(bytes(data))
        for layer in view.layers:
            low, high = view.input_range(layer.name)
            assert not low > high
            assert len(view.filters(layer.name, fold_norm=True).weight) == layer.out_channels
    except InspectorError:
        return  # refused in words; any other exception fails the test


@given(st.binary(max_size=300))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        load(data)


def test_limits_are_checked_before_the_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.onnx"
    path.write_bytes(CHAIN)
    monkeypatch.setattr("inspector.graph.load.read", lambda *_: pytest.fail("it was read"))
    with pytest.raises(LimitError, match=f"at most 100 bytes, found {len(CHAIN)} bytes"):
        load(path, limits=Limits(size=100))
    with pytest.raises(LimitError, match="at most 100 bytes"):
        load(CHAIN, limits=Limits(size=100))


def test_nodes_and_initializers_are_limited() -> None:
    load(CHAIN, limits=Limits(nodes=4, initializers=3))
    with pytest.raises(LimitError, match="too many nodes; expected at most 3, found 4"):
        load(CHAIN, limits=Limits(nodes=3))
    with pytest.raises(LimitError, match="too many initializers; expected at most 2, found 3"):
        load(CHAIN, limits=Limits(initializers=2))
    with pytest.raises(LimitError, match="too many nodes"):  # those in the bodies of an If count
        load(ZOO["in_a_branch"].data, limits=Limits(nodes=5))


EXTERNAL = onnx.TensorProto.EXTERNAL


def outside(tensor: onnx.TensorProto, location: Path) -> None:
    """Makes a tensor point into another file."""
    for field in ("raw_data", "float_data"):
        tensor.ClearField(field)
    tensor.data_location = EXTERNAL
    for key, value in (("location", location.name), ("offset", "0"), ("length", "432")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def test_no_tensor_may_name_a_file_wherever_it_hides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attribute's tensor could otherwise read a file of the server into a filter's picture."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 432)
    monkeypatch.chdir(tmp_path)
    for data in (
        changed(lambda p: outside(p.graph.initializer[0], secret)),
        changed(lambda p: outside(p.graph.node[0].attribute[0].t, secret), "weight_constant"),
        changed(lambda p: outside(p.graph.node[4].attribute[0].g.node[0].attribute[0].t, secret), "in_a_branch"),
    ):
        with pytest.raises(ModelError, match=r"weights lie in other files.*save_as_external_data=False"):
            load(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: setattr(p, "ir_version", 0),
        lambda p: setattr(p, "ir_version", 99),
        lambda p: p.ClearField("opset_import"),
        lambda p: p.graph.node.pop(0),
        lambda p: p.graph.initializer.pop(0),
        lambda p: [p.graph.node[0].input.pop() for _ in "wb"],
        lambda p: p.graph.node[0].output.__setitem__(0, "r"),
        lambda p: p.graph.input[0].ClearField("type"),
        lambda p: p.graph.initializer[0].dims.__setitem__(0, -4),
        lambda p: p.graph.initializer[0].ClearField("raw_data"),
        lambda p: setattr(p.graph.initializer[0], "data_type", 99),
    ],
)
def test_a_model_that_breaks_the_standard_is_refused(change: Callable[[onnx.ModelProto], object]) -> None:
    with pytest.raises(ModelError):
        load(changed(change))


@pytest.mark.parametrize(("text", "broken"), [(b"com.example", b"com.exampl\xe6"), (b"auto", b"aut\xe6")])
def test_texts_that_are_no_text_are_refused(text: bytes, broken: bytes) -> None:
    data = model('[c] a = Conv <auto_pad="VALID"> (x, w) y = Relu(a)', weights={"w": W})
    assert text in data
    with pytest.raises(ModelError):
        load(data.replace(text, broken))


def functions(depth: int, *, calls: int = 2) -> bytes:
    """A model whose one function calls the next `calls` times, and so on; the last is a Relu."""
    text = (
        '<ir_version: 8, opset_import: ["" : 17, "f" : 1]> net (float[N,3,6,5] x) => (float[N,C,H,W] y) '
        "{ [c] a = Conv <pads=[1,1,1,1]> (x, w) [g] y = f.f0(a) }"
    )
    for level in range(depth):
        name = "Relu" if level == depth - 1 else f"f.f{level + 1}"
        steps = " ".join(f"v{k + 1} = {name}(v{k})" for k in range(calls))
        text += f' <domain: "f", opset_import: ["" : 17, "f" : 1]> f{level} (v0) => (v{calls}) {{ {steps} }}'
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(W, "w"))
    return proto.SerializeToString()


def test_functions_are_written_out_so_that_what_is_inside_is_found() -> None:
    (layer,) = load(functions(3)).layers
    assert layer.activation == "Relu"
    assert layer.taps[TapKind.ACT].tensor not in {"a", "y"}  # the first of eight
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17, "f" : 1]> net (float[N,3,6,5] x) => (float[N,C,H,W] y) '
        "<float[3,3,1,1] w = {1,2,3,4,5,6,7,8,9}> { a = f.block(x, w) y = f.block(a, w) } "
        '<domain: "f", opset_import: ["" : 17]> block (i, k) => (o) { [conv] c = Conv(i, k) o = Relu(c) }'
    )
    names = [layer.name for layer in load(proto.SerializeToString()).layers]
    assert len(set(names)) == 2
    assert all("conv" in name for name in names)


def test_functions_that_stand_for_billions_of_nodes_are_refused_before_they_are_written_out() -> None:
    with pytest.raises(LimitError, match=f"too many nodes; expected at most 100000, found {2**60 + 1}"):
        load(functions(60))


def test_recursive_functions_and_those_of_another_opset_are_refused() -> None:
    text = onnx.load_from_string(functions(2))
    text.functions[1].node[0].op_type, text.functions[1].node[0].domain = "f0", "f"
    with pytest.raises(ModelError):
        load(text.SerializeToString())
    other = onnx.load_from_string(functions(1))
    other.functions[0].opset_import[0].version = 16
    with pytest.raises(ModelError, match=r"its functions cannot be written out.*f0"):
        load(other.SerializeToString())


def test_a_standard_domain_may_be_written_out_in_full() -> None:
    proto = onnx.load_from_string(CHAIN)
    for imported in proto.opset_import:
        if imported.domain == "":
            imported.domain = "ai.onnx"
    assert [layer.activation for layer in load(proto.SerializeToString()).layers] == ["Relu", "Relu"]


DEEP = 10_000


@pytest.mark.parametrize(
    ("body", "activation"),
    [
        (f"i0 = Identity(w) {{chain}} [c] a = Conv {SAME} (x, i{DEEP}) y = Relu(a)", "Relu"),
        (f"i0 = Sigmoid(x) {{chain}} [c] a = Conv {SAME} (i{DEEP}, w) y = Relu(a)", "Relu"),
        (f"[c] a = Conv {SAME} (x, w) i0 = Identity(a) {{chain}} y = Relu(i{DEEP})", None),
    ],
    ids=["weights", "input", "output"],
)
def test_deep_graphs_do_not_exhaust_the_stack(body: str, activation: str | None) -> None:
    chain = " ".join(f"i{k + 1} = Identity(i{k})" for k in range(DEEP))
    view = load(model(body.format(chain=chain), weights={"w": W}))
    (layer,) = view.layers
    assert layer.activation == activation
    np.testing.assert_array_equal(view.filters("c").weight, W)
    assert view.input_range("c")[0] == (0.0 if body.startswith("i0 = Sigmoid") else -np.inf)
