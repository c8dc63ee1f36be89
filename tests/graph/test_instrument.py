"""The one rewrite: it gives what was asked for, changes nothing else, and leaves nothing that is not needed."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from models import RUNS, SAME, ZOO, Case, W, model
from reference import transposed, values

from inspector import Array, Ops, TapKind, service
from inspector.contract.measures import TAPPED
from inspector.errors import ModelError
from inspector.graph.instrument import Instrumented, Request, instrument
from inspector.graph.load import load
from inspector.graph.view import OnnxView
from inspector.runtime.session import Fidelity, open_session
from inspector.samples import SAMPLES

op = Ops()
ROWS = (op.max(TAPPED), op.mean(TAPPED), op.count(op.greater(TAPPED, 0)), op.positions(TAPPED), op.keep(TAPPED))


def everything(view: OnnxView) -> list[Request]:
    """Every row of every tap."""
    return [Request(tap.tensor, row) for layer in view.layers for tap in layer.taps.values() for row in ROWS]


def run(data: bytes, x: Array, fidelity: Fidelity = "exact") -> list[Array]:
    with open_session(data, device="cpu", fidelity=fidelity) as session:
        return list(session.run({"x": x}))


def rows_of(written: Instrumented, x: Array) -> dict[Request, Array]:
    return written.rows(run(written.model, x))


def inputs(case: Case, view: OnnxView) -> Array:
    """As many inputs as the model fixes, or three."""
    batch = (view.inputs[0].shape or ())[0]
    return case.inputs(batch if isinstance(batch, int) else 3)


@pytest.mark.parametrize("name", [name for name in ZOO if name != "foreign_operator"])
def test_the_view_keeps_its_model_whatever_is_written(name: str) -> None:
    view = load(ZOO[name].data)
    before = ir.to_proto(view.model).SerializeToString(deterministic=True)
    layers = view.layers
    for free in (False, True):
        instrument(view, everything(view), shapes={"x": ZOO[name].shape}, free=free, keep_outputs=free)
    assert ir.to_proto(view.model).SerializeToString(deterministic=True) == before
    assert view.layers == layers


@pytest.mark.parametrize("name", RUNS)
def test_raw_outputs_are_those_of_the_onnx_reference(name: str) -> None:
    case = RUNS[name]
    view = load(case.data)
    tensors = [layer.taps[TapKind.CONV].tensor for layer in view.layers]
    x = inputs(case, view)
    found = rows_of(instrument(view, [Request(t, op.keep(TAPPED)) for t in tensors]), x).values()
    if name == "transposed_grouped":  # which the reference implementation cannot
        weight = view.model.graph.initializers["w"].const_value
        assert weight is not None
        expected = {"a": transposed(x, weight.numpy(), groups=2, strides=(2, 1), pads=(0, 1, 1, 0), extra=(1, 0))}
    elif name == "weight_dequantized_13":  # nor this, before opset 19
        expected = values(ZOO["weight_dequantized_21"].data, {"x": x}, tensors)
    else:
        expected = values(case.data, {"x": x}, tensors)
    for tensor, maps in zip(tensors, found, strict=True):
        step = 2**-10 if case.dtype == "float16" else 1e-5
        scale = float(np.abs(expected[tensor].astype(np.float64)).max())
        np.testing.assert_allclose(maps, expected[tensor], rtol=step, atol=step * scale)


@pytest.mark.parametrize("name", RUNS)
def test_the_models_own_outputs_stay_as_they_were(name: str) -> None:
    """Bit for bit without optimisation; with it, other fusions may round differently."""
    case = RUNS[name]
    view = load(case.data)
    x = inputs(case, view)
    written = instrument(view, everything(view), shapes={"x": case.shape}, keep_outputs=True)
    assert written.own == tuple(o.name for o in view.outputs)
    plain = instrument(view, (), keep_outputs=True).model if name == "names" else case.data  # runtimes refuse the file
    for fidelity in ("exact", "fast"):
        expected = run(plain, x, fidelity)
        found = written.own_of(run(written.model, x, fidelity))
        for a, b in zip(expected, found, strict=True):
            if fidelity == "exact":
                np.testing.assert_array_equal(a, b)
            else:
                np.testing.assert_allclose(a, b, rtol=1e-3 if case.dtype == "float16" else 1e-5, atol=1e-5)


@pytest.mark.parametrize("name", RUNS)
def test_every_row_is_the_one_that_its_slot_names(name: str) -> None:
    case = RUNS[name]
    view = load(case.data)
    written = instrument(view, everything(view), shapes={"x": case.shape})
    rows = rows_of(written, inputs(case, view))
    for layer in view.layers:
        for tap in layer.taps.values():
            peak, mean, above, positions, maps = (rows[Request(tap.tensor, row)] for row in ROWS)
            space = tuple(range(2, maps.ndim))
            wide = maps.astype(np.float32)
            assert maps.shape[1] == tap.channels
            np.testing.assert_array_equal(peak, wide.max(space))
            np.testing.assert_array_equal(above, (wide > 0).sum(space))
            np.testing.assert_allclose(
                mean, wide.mean(space), rtol=1e-3 if case.dtype == "float16" else 1e-5, atol=1e-4
            )
            assert positions.ravel().tolist() == [maps[0, 0].size] * len(maps)


@pytest.mark.parametrize("fidelity", ["exact", "fast"])
@pytest.mark.parametrize(("factor", "expected"), [(300, "overflow"), (1e-4, "underflow")])
def test_float16_maps_are_measured_as_what_float16_can_hold(fidelity: Fidelity, factor: float, expected: str) -> None:
    """Though onnxruntime computes them in float32 on the CPU, and need not round them for what follows."""
    half = (W * factor).astype(np.float16)
    view = load(model(
        f"[c] a = Conv {SAME} (x, w) r = Relu(a) y = GlobalAveragePool(r)",
        inputs="float16[N,3,6,5] x", outputs="float16[N,C,H,W] y", weights={"w": half},
    ))  # fmt: skip
    x = (np.random.default_rng(0).normal(size=(4, 3, 6, 5)) * factor).astype(np.float16)
    measures = (op.keep(TAPPED), op.max(TAPPED), op.mean(TAPPED), op.count(op.greater(TAPPED, 0)))
    written = instrument(view, [Request("r", m) for m in measures], shapes={"x": x.shape[1:]}, keep_outputs=True)
    maps, peak, mean, above = written.rows(run(written.model, x, fidelity)).values()
    assert maps.dtype == np.float16
    np.testing.assert_array_equal(peak, maps.astype(np.float32).max((2, 3)))
    np.testing.assert_array_equal(np.isfinite(mean), np.isfinite(maps).all((2, 3)))
    if expected == "overflow":
        assert np.isinf(peak).any()
    else:
        assert (maps == 0).mean() > 0.9
        np.testing.assert_array_equal(above, (maps > 0).sum((2, 3)))


def operators(written: Instrumented) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(written.model).graph.node]


def test_what_the_rows_do_not_need_is_cut_away() -> None:
    view = load(ZOO["chain"].data)
    first = view.layer("c").taps[TapKind.CONV].tensor
    written = instrument(view, [Request(first, op.keep(TAPPED))])
    assert operators(written) == ["Conv", "Identity"]
    assert [i.name for i in onnx.load_from_string(written.model).graph.initializer] == ["w", "b"]
    kept = instrument(view, [Request(first, op.keep(TAPPED))], keep_outputs=True)
    assert operators(kept) == ["Conv", "Identity", "Relu", "Conv", "Relu"]


def test_equal_requests_are_one_output_in_the_order_of_the_first() -> None:
    view = load(ZOO["residual"].data)
    first, second = view.taps()
    asked = [Request(tap.tensor, row) for tap in (first, second) for row in (op.max(TAPPED), op.mean(TAPPED))]
    written = instrument(view, [*asked, *asked])
    assert tuple(written.slots) == (asked[0], asked[1])
    assert operators(written).count("GlobalMaxPool") == operators(written).count("GlobalAveragePool") == 1
    assert written.own == ()


def test_bytes_of_whole_maps_are_known_beforehand() -> None:
    view = load(ZOO["chain"].data)
    requests = [Request(tap.tensor, row) for tap in view.taps() for row in (op.keep(TAPPED), op.max(TAPPED))]
    assert instrument(view, requests, shapes={"x": (3, 6, 5)}).map_bytes == 2 * 4 * 6 * 5 * 4
    assert instrument(view, requests[1:2]).map_bytes == 0
    free = load(ZOO["free_space"].data)
    request = [Request(free.taps()[0].tensor, op.keep(TAPPED))]
    assert instrument(free, request).map_bytes is None
    assert instrument(free, request, shapes={"x": (3, 8, 9)}).map_bytes == 4 * 8 * 9 * 4


NESTED = (
    f"[c] a = Conv {SAME} (x, w) q = ReduceMax <keepdims=0> (x) r = Cast <to=9> (q) "
    'y = If (r) <then_branch = yes () => (float[N,C,H,W] "inspector/t") { "inspector/t" = Relu(a) }, '
    "else_branch = no () => (float[N,C,H,W] e) { e = Neg(a) }>"
)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (f'[c] "inspector/a" = Conv {SAME} (x, w) y = Relu("inspector/a")', "inspector/a"),
        (f'[c] a = Conv {SAME} (x, "inspector/constant_1") y = Relu(a)', "inspector/constant_1"),
        (NESTED, "inspector/t"),
    ],
)
def test_names_that_belong_to_the_rewrite_are_refused(body: str, name: str) -> None:
    weights = {"w": W, "inspector/constant_1": W}
    view = load(model(body, weights={k: v for k, v in weights.items() if k in body or k == "w"}))
    with pytest.raises(ModelError, match=f"no name that begins with 'inspector/', found '{name}'"):
        instrument(view, everything(view))


def test_node_names_that_occur_twice_are_dropped_since_runtimes_refuse_them() -> None:
    view = load(ZOO["names"].data)
    names = [node.name for node in onnx.load_from_string(instrument(view, everything(view)).model).graph.node]
    assert names.count("conv") == 1
    assert "block/1:act" in names


@pytest.mark.parametrize("opset", [10, 17, 22])
@pytest.mark.parametrize("pool", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (3, 3), (2, 1)])
@pytest.mark.parametrize("size", [5, 6, 7, 8])
def test_counts_use_the_area_that_the_runtime_gives_not_one_that_is_only_inferred(
    size: int, kernel: int, stride: int, pool: str, opset: int
) -> None:
    """Rounding up in pooling was read in two ways over the years; a wrong area would scale every count."""
    shape = f"kernel_shape=[{kernel},{kernel}], strides=[{stride},{stride}], pads=[1,1,1,1], ceil_mode=1"
    body = f"p = {pool} <{shape}> (x) q = Identity(p) [c] a = Conv(q, k) y = Relu(a)"
    view = load(model(body, inputs=f"float[N,3,{size},{size}] x", opset=opset, weights={"k": np.abs(W[:, :, :1, :1])}))
    tensor = view.taps()[0].tensor
    requests = [Request(tensor, m) for m in (op.keep(TAPPED), op.positions(TAPPED), op.count(op.greater(TAPPED, 0)))]
    x = np.random.default_rng(size).uniform(1, 2, (2, 3, size, size)).astype(np.float32)
    maps, positions, above = rows_of(instrument(view, requests, shapes={"x": x.shape[1:]}), x).values()
    assert set(positions.ravel().tolist()) == {maps[0, 0].size}
    np.testing.assert_array_equal(above, (maps > 0).sum((2, 3)))


def test_a_file_newer_than_the_runtime_reads_is_written_in_a_format_that_it_reads() -> None:
    model = onnx.load(SAMPLES[0].model)
    model.ir_version = 14
    maps = service.activations(model.SerializeToString(), np.zeros((1, 1, 16, 16), np.float32), ["conv1"])
    assert maps["conv1:act"].shape == (1, 8, 16, 16)
