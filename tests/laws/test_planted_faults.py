"""Faults put into a sound, trained network: each is found, in exactly the channels it was put into."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping

import numpy as np
import onnx
import onnx.numpy_helper
import pytest

from inspector import Array, Finding, Report, Severity, Table, service
from inspector.runtime.session import Fidelity
from inspector.samples import SAMPLES

DIGITS = SAMPLES[0]
CHANNELS = {"conv1": 8, "conv2": 16, "conv3": 32}
LAYERS = pytest.mark.parametrize("layer", CHANNELS)
Change = Callable[[Array, Array], None]
"""Writes a fault into the weight (M, C, kh, kw) and the bias (M,) of a layer."""


@functools.cache
def original() -> bytes:
    return DIGITS.model.read_bytes()


def weights(data: bytes) -> dict[str, Array]:
    return {t.name: onnx.numpy_helper.to_array(t).copy() for t in onnx.load_from_string(data).graph.initializer}


def planted(layer: str, change: Change) -> bytes:
    """The digit reader with a fault in one layer."""
    proto, arrays = onnx.load_from_string(original()), weights(original())
    change(arrays[f"{layer}.weight"], arrays[f"{layer}.bias"])
    for tensor in proto.graph.initializer:
        tensor.CopyFrom(onnx.numpy_helper.from_array(arrays[tensor.name], tensor.name))
    return proto.SerializeToString()


def audit(data: bytes, fidelity: Fidelity = "fast") -> Report:
    """Over all 200 pictures."""
    return service.audit(data, DIGITS.pictures, ["sparsity"], preprocess="unit", fidelity=fidelity)


def found(report: Report, layer: str) -> Mapping[str, tuple[int, ...]]:
    """Channels of a layer by rule."""
    result = report.result("sparsity")
    assert result.failure is None
    return {f.rule.removeprefix("sparsity/"): f.channels for f in result.findings if f.layer == layer}


def severity(report: Report, rule: str) -> Severity:
    findings: list[Finding] = [f for f in report.result("sparsity").findings if f.rule == f"sparsity/{rule}"]
    return findings[0].severity


def verdicts(report: Report, layer: str) -> list[set[str]]:
    """Of every channel."""
    table = report.result("sparsity").blocks[2]
    assert isinstance(table, Table)
    return [set(str(row[-1]).split(", ")) for row in table.rows if row[0] == f"{layer}:act"]


def test_the_network_is_sound_before() -> None:
    assert audit(original()).result("sparsity").findings == ()


@LAYERS
@pytest.mark.parametrize("channels", [(0,), (2, 5), (7,)], ids=str)
def test_no_weights_and_a_negative_bias_are_structurally_dead(layer: str, channels: tuple[int, ...]) -> None:
    def change(weight: Array, bias: Array) -> None:
        weight[list(channels)], bias[list(channels)] = 0, -1

    report = audit(planted(layer, change))
    assert found(report, layer) == {"structurally-dead": channels}
    for c, verdict in enumerate(verdicts(report, layer)):
        assert ("dead" in verdict, "structurally dead" in verdict) == (c in channels, c in channels)


@LAYERS
def test_a_hugely_negative_bias_is_dead_over_the_data_and_not_for_every_input(layer: str) -> None:
    """Whatever the bias, an input that is large enough where a weight is positive fires the filter: none is bounded."""

    def change(weight: Array, bias: Array) -> None:
        assert (weight[3] > 0).any()
        bias[3] = -1e6

    report = audit(planted(layer, change))
    assert found(report, layer) == {"dead": (3,)}
    assert severity(report, "dead") is Severity.WARNING


@LAYERS
def test_only_negative_weights_are_structurally_dead_behind_a_rectifier_alone(layer: str) -> None:
    """The first layer reads the pictures, of which nothing is known; the others read what is not below zero."""

    def change(weight: Array, bias: Array) -> None:
        weight[3], bias[3] = -np.abs(weight[3]), -0.5

    expected = "dead" if layer == "conv1" else "structurally-dead"
    assert found(audit(planted(layer, change)), layer) == {expected: (3,)}


@LAYERS
@pytest.mark.parametrize("fidelity", ["fast", "exact"])
@pytest.mark.parametrize("channel", [0, 6])
def test_a_channel_that_one_picture_fires_is_rare_and_not_dead(layer: str, channel: int, fidelity: Fidelity) -> None:
    """Its bias lies half way between the largest values that the two best pictures give it."""
    maps = service.activations(original(), DIGITS.pictures, [f"{layer}:conv"], preprocess="unit")[f"{layer}:conv"]
    second, best = np.sort(maps[:, channel].max((1, 2)))[-2:]
    assert best - second > 1e-4 * abs(best)

    def change(weight: Array, bias: Array) -> None:
        bias[channel] -= (best + second) / 2

    report = audit(planted(layer, change), fidelity)
    (row,) = (row for row in report.result("sparsity").blocks[2].rows if row[:2] == (f"{layer}:act", channel))  # type: ignore[union-attr]
    assert (row[3], row[-1]) == (1, "rare")
    assert found(report, layer) == {}


@LAYERS
def test_nan_among_the_weights_is_an_error_there_and_in_all_that_follows(layer: str) -> None:
    def change(weight: Array, bias: Array) -> None:
        weight[4, 0, 1, 1] = np.nan

    report = audit(planted(layer, change), "exact")
    assert found(report, layer) == {"not-finite": (4,)}
    assert severity(report, "not-finite") is Severity.ERROR
    for later in list(CHANNELS)[list(CHANNELS).index(layer) + 1 :]:
        assert found(report, later) == {"not-finite": tuple(range(CHANNELS[later]))}


@LAYERS
def test_no_weights_and_a_positive_bias_are_constant(layer: str) -> None:
    def change(weight: Array, bias: Array) -> None:
        weight[1], bias[1] = 0, 0.5

    report = audit(planted(layer, change))
    assert found(report, layer) == {"constant": (1,)}
    assert severity(report, "constant") is Severity.WARNING
    assert [c for c, v in enumerate(verdicts(report, layer)) if "constant" in v] == [1]


@LAYERS
@pytest.mark.parametrize("pair", [(0, 7), (2, 3)], ids=str)
def test_a_copied_filter_is_reported_by_the_filters_analysis(layer: str, pair: tuple[int, int]) -> None:
    def change(weight: Array, bias: Array) -> None:
        weight[pair[1]], bias[pair[1]] = weight[pair[0]], bias[pair[0]]

    assert copies(original()) == {}
    assert copies(planted(layer, change)) == {layer: (pair[1],)}


def copies(data: bytes) -> Mapping[str, Collection[int]]:
    """Channels of the finding `filters/copy`, by layer."""
    result = service.inspect(data, analyses=["filters"]).result("filters")
    assert result.failure is None
    return {f.layer: f.channels for f in result.findings if f.rule == "filters/copy"}


def distribution(data: bytes, layer: str) -> Mapping[str, tuple[int, ...]]:
    """Channels of a layer by rule of the distribution analysis, which names every dormant one."""
    request = service.AnalysisRequest("distribution", {"many": 0})
    result = service.audit(data, DIGITS.pictures, [request], preprocess="unit").results[0]
    assert result.failure is None
    return {f.rule.removeprefix("distribution/"): f.channels for f in result.findings if f.layer == layer}


@LAYERS
def test_a_filter_that_is_scaled_down_to_a_thousandth_is_dormant(layer: str) -> None:
    def change(weight: Array, bias: Array) -> None:
        weight[5], bias[5] = weight[5] / 1000, bias[5] / 1000

    before = distribution(original(), layer)
    assert before.keys() <= {"dormant"}
    assert distribution(planted(layer, change), layer) == {"dormant": tuple(sorted({*before.get("dormant", ()), 5}))}


@LAYERS
def test_no_weights_and_a_positive_bias_are_unvarying(layer: str) -> None:
    def change(weight: Array, bias: Array) -> None:
        weight[1], bias[1] = 0, 0.5

    assert distribution(planted(layer, change), layer)["unvarying"] == (1,)
