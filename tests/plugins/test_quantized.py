"""The built-in analyses on quantised models: what is counted is what the integers stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models import SAME
from models_quantized import B32, NETS, NUMBERS, REAL, X_SCALE, net
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from reference import most_before_activation

from inspector import Array, Images, Table, TapKind, Zeros, audit, inspect, load, service
from inspector.samples import SAMPLES

DIGITS = next(sample.model for sample in SAMPLES if sample.model.stem == "digits")
X = np.random.default_rng(0).uniform(0, 1, (16, 1, 16, 16)).astype(np.float32)


class Calibration(CalibrationDataReader):
    """The pictures that the quantiser sees, one by one."""

    def __init__(self) -> None:
        self._left = iter(X)

    def get_next(self) -> dict[str, Array] | None:
        """One input, or None at the end."""
        picture = next(self._left, None)
        return None if picture is None else {"image": picture[None]}


@pytest.fixture(scope="module", params=["qdq", "qdq per channel", "operators", "operators per channel", "dynamic"])
def quantised(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digit reader as onnxruntime quantises it."""
    path = tmp_path_factory.mktemp("quantised") / "digits.onnx"
    if request.param == "dynamic":
        quantize_dynamic(DIGITS, path, weight_type=QuantType.QUInt8, op_types_to_quantize=["Conv"])
        return path
    form = QuantFormat.QDQ if "qdq" in request.param else QuantFormat.QOperator
    quantize_static(
        DIGITS, path, Calibration(), quant_format=form, per_channel="per channel" in request.param,
        weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8,
    )  # fmt: skip
    return path


def table(report: object, title: str) -> list[dict[str, object]]:
    """The rows of a table of the first analysis."""
    (found,) = [b for b in report.results[0].blocks if isinstance(b, Table) and b.title == title]  # type: ignore[attr-defined]
    return [dict(zip([c.name for c in found.columns], row, strict=True)) for row in found.rows]


def test_a_quantised_model_has_the_layers_and_the_zeros_of_the_real_one(quantised: Path) -> None:
    real, view = load(DIGITS), load(quantised)
    assert view.left_out == ()
    assert [x.weight_shape for x in view.layers] == [x.weight_shape for x in real.layers]
    assert all(x.taps[TapKind.ACT].zeros is Zeros.EXACT for x in view.layers)
    fractions = [
        [row["zero fraction"] for row in table(audit(m, X, ["sparsity"], fidelity="exact"), "Sparsity by layer")]
        for m in (real, view)
    ]
    np.testing.assert_allclose(fractions[0], fractions[1], atol=0.03)


def test_zeros_are_those_of_the_raw_maps_counted_by_hand(quantised: Path) -> None:
    view = load(quantised)
    raw = service.activations(view, X)
    report = audit(view, X, ["sparsity"], fidelity="exact", batch_size=1)  # scales found at run time are of a batch
    rows = table(report, "Sparsity by channel")
    for tap in view.taps():
        maps = raw[tap.name]
        zero = tap.zero_point[0] if tap.zero_point else 0
        scale = tap.scale[0] if tap.scale else 1.0
        assert maps.dtype == (np.uint8 if tap.scale else np.float32)
        for row in (row for row in rows if row["tap"] == tap.name):
            channel = maps[:, row["channel"]].astype(np.float64)  # type: ignore[call-overload]
            assert row["zero fraction"] == pytest.approx(np.mean(channel == zero), rel=1e-12)
            assert row["max"] == pytest.approx((channel.max() - zero) * scale, rel=1e-6)
            assert row["mean"] == pytest.approx((channel.mean() - zero) * scale, rel=1e-5)


def test_filters_of_the_quantised_model_are_those_of_the_real_one_but_for_rounding(quantised: Path) -> None:
    real, view = load(DIGITS), load(quantised)
    for known, layer in zip(real.layers, view.layers, strict=True):
        expected, found = real.filters(known.name), view.filters(layer.name, fold_norm=False)
        weight = expected.weight
        if layer.op == "ConvInteger":  # integers, whose scale comes later: the range over 255 steps
            found_weight = found.weight * (float(weight.max()) - float(weight.min())) / 255
        else:
            found_weight = found.weight
            np.testing.assert_allclose(found.bias, expected.bias, atol=1e-3)
        np.testing.assert_allclose(found_weight, weight, atol=np.abs(weight).max() / 100)


def test_pictures_of_quantised_maps_show_real_numbers_and_frame_what_is_silent() -> None:
    """The zero point is 128: integers of a silent map are not 0."""
    low = np.int32([400, -200000, 100, 0])
    body = f"q = QuantizeLinear(x, sx, zero8) [c] a = QLinearConv {SAME} (q, sx, zero8, w8, sw, zw, sy, zi, b32)"
    data = net(f"{body} e = MaxPool <kernel_shape=[1,1]> (a) y = DequantizeLinear(e, sy, zi)")
    data = with_bias(data, low)
    x = np.random.default_rng(3).normal(size=(1, 3, 6, 5)).astype(np.float32)
    view = load(data)
    assert view.taps()[0].zero_point == (-128,)
    (row,) = table(inspect(view, x, ["activations"]), "Feature maps")
    (maps,) = service.activations(view, x).values()
    real = (maps.astype(np.float64) + 128) * float(NUMBERS["sy"])
    assert (row["silent"], row["min"]) == (1, 0)
    assert row["max"] == pytest.approx(real.max(), rel=1e-6)
    _, grid = [b for b in inspect(view, x, ["activations"]).results[0].blocks if isinstance(b, Images)]
    assert [picture.mark for picture in grid.pictures] == ["", "silent", "", ""]
    np.testing.assert_allclose(grid.pictures[0].values, real[0, 0], rtol=1e-6)


def with_bias(data: bytes, bias: Array) -> bytes:
    """The model with another bias b32."""
    old, new = NUMBERS["b32"].tobytes(), bias.tobytes()
    assert data.count(old) == 1
    return data.replace(old, new)


def test_a_filter_that_no_integer_can_make_fire_is_structurally_dead() -> None:
    """Bounds of the input's type alone: by brute force over the best input of every weight, the second one is."""
    view = load(NETS["rectifying"].data)
    (low, high) = view.input_range("c")
    most = most_before_activation(view.filters("c"), low, high)
    bias = B32.copy()
    bias[1] -= int(most[1] / (float(X_SCALE) * 0.002)) + 10  # beyond the margin for rounding
    data = with_bias(NETS["rectifying"].data, bias)
    best = most_before_activation(load(data).filters("c"), low, high)
    assert [value > 0 for value in best] == [True, False, True, True]
    x = np.random.default_rng(3).normal(size=(4, 3, 6, 5)).astype(np.float32)
    (row,) = table(audit(data, x, ["sparsity"]), "Sparsity by layer")
    assert (row["structurally dead"], row["dead"]) == (1, 1)
    worst = np.where(REAL[1] > 0, high, low).astype(np.float32)  # the input that this filter likes best
    x = np.zeros((1, 3, 6, 5), np.float32)
    x[0, :, 1:4, 1:4] = worst
    maps = service.activations(data, x)["c:act"]
    assert maps[0, 1].max() == 0
    assert maps[0, 0].max() > 0


def test_connectivity_sees_a_weight_at_its_zero_point_as_no_link() -> None:
    rows = table(inspect(NETS["per_tensor"].data, analyses=["connectivity"]), "Links")
    assert (rows[0]["inputs"], rows[0]["outputs"], rows[0]["zero links"]) == (3, 4, 0)
    old = NUMBERS["u8"].tobytes()
    zeroed = NUMBERS["u8"].copy()
    zeroed[2, 1] = 7
    rows = table(inspect(NETS["per_tensor"].data.replace(old, zeroed.tobytes()), analyses=["connectivity"]), "Links")
    assert rows[0]["zero links"] == 1
