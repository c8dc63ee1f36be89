"""Well-known architectures that come with the onnx package, against what their papers say."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path

import onnx
import pytest

from inspector import TapKind
from inspector.graph.load import load
from inspector.graph.view import OnnxView

FOLDER = Path(onnx.__file__).parent / "backend/test/data/light"
CONVOLUTIONS = {
    "bvlc_alexnet": 5, "densenet121": 121, "inception_v1": 57, "inception_v2": 69, "resnet50": 53, "shufflenet": 49,
    "squeezenet": 26, "vgg19": 16, "zfnet512": 5,
}  # fmt: skip


@functools.cache
def light(name: str) -> OnnxView:
    return load(FOLDER / f"light_{name}.onnx")


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_every_convolution_is_found_and_has_its_fixed_weights(name: str) -> None:
    view = light(name)
    assert len(view.layers) == CONVOLUTIONS[name]
    assert view.left_out == ()
    for layer in view.layers:
        filters = view.filters(layer.name)
        assert filters.weight.shape == (layer.out_channels, layer.in_channels // layer.groups, *layer.kernel)
        assert filters.bias.shape == (layer.out_channels,)


@pytest.mark.parametrize(
    ("name", "activations"),
    [
        ("bvlc_alexnet", {"Relu": 5}),
        ("vgg19", {"Relu": 16}),
        ("squeezenet", {"Relu": 26}),
        ("inception_v1", {"Relu": 57}),
        ("resnet50", {"Relu": 53}),
        ("densenet121", {"Relu": 59, None: 62}),
        ("shufflenet", {"Relu": 30, None: 19}),
    ],
)
def test_layers_end_in_the_activations_of_the_paper(name: str, activations: dict[str | None, int]) -> None:
    assert Counter(layer.activation for layer in light(name).layers) == activations


def test_alexnet_has_two_groups_in_its_second_fourth_and_fifth_layer() -> None:
    assert [layer.groups for layer in light("bvlc_alexnet").layers] == [1, 2, 1, 2, 2]


def test_shufflenet_has_sixteen_depthwise_layers() -> None:
    assert sum(layer.depthwise for layer in light("shufflenet").layers) == 16


def test_the_blocks_of_resnet_share_their_last_activation_with_the_sum() -> None:
    """16 blocks end in a sum; in 4 of them a second convolution, on the shortcut, reaches it too."""
    shared = [layer.taps[TapKind.ACT] for layer in light("resnet50").layers if layer.tap().shared]
    assert len(shared) == 16 + 4
    assert len({tap.tensor for tap in shared}) == 16


def test_layers_without_an_activation_say_what_they_feed() -> None:
    """DenseNet: the second layers of 58 blocks, 3 transitions. ShuffleNet: 16 depthwise, 3 units that concatenate."""
    dense, shuffle = (Counter(x.linear for x in light(name).layers) for name in ("densenet121", "shufflenet"))
    assert dense == {"": 59, "feeds Concat": 58, "feeds AveragePool": 3, "is an output of the model": 1}
    assert shuffle == {"": 30, "feeds Conv": 16, "feeds Concat": 3}
