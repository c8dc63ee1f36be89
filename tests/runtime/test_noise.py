"""Noise: made from its seed and index alone, for any model that takes reals, and never without saying so."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import RAW, X, read
from models import ZOO

from inspector import service
from inspector.contract import TensorInfo
from inspector.errors import InputError, ParameterError
from inspector.runtime.sources import open_source

FREE = TensorInfo("x", "float32", ("N", 3, "h", None))


def stack(text: str, *inputs: TensorInfo) -> np.ndarray:
    return np.array([x for _, _, x in read(open_source(text, inputs or [X]))])


def test_noise_is_normal_and_every_input_its_own():
    wide = TensorInfo("x", "float32", (1, 3, 20, 20))
    made = stack("noise:100", wide)
    assert made.shape == (100, 3, 20, 20)
    assert made.dtype == np.float32
    assert abs(made.mean()) < 5 / np.sqrt(made.size)  # five standard errors
    assert abs(made.std() - 1) < 5 / np.sqrt(2 * made.size)
    assert len({x.tobytes() for x in made}) == 100


def test_a_shard_of_noise_of_another_size_or_seed_is_another_one():
    free = TensorInfo("x", "float32", ("N", 1, None, None))
    texts = ("noise:4,size=8", "noise:4,size=9", "noise:4,size=8,seed=1")
    assert len({shard.id for text in texts for shard in open_source(text, [free]).shards(8)}) == 3


def test_the_seed_decides_and_the_number_does_not():
    first = stack("noise:5,seed=7")
    np.testing.assert_array_equal(first, stack("noise:9,seed=7")[:5])
    np.testing.assert_array_equal(stack("noise:5"), stack("noise:5,seed=0"))
    assert not np.array_equal(first, stack("noise:5,seed=8"))
    expected = [np.random.default_rng([7, i]).standard_normal((1, 2, 2)).astype(np.float32) for i in range(5)]
    np.testing.assert_array_equal(first, expected)


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_every_real_type_can_be_fed(dtype):
    assert stack("noise:2", TensorInfo("x", dtype, (1, 4))).dtype.name == dtype


def test_several_inputs_are_fed_together_from_one_stream():
    (item,) = open_source("noise:1", [X, TensorInfo("y", "float32", ("N", 3))])
    feeds = item.read()
    numbers = np.random.default_rng([0, 0]).standard_normal(7).astype(np.float32)
    np.testing.assert_array_equal(np.concatenate([feeds["x"].ravel(), feeds["y"]]), numbers)


def test_free_axes_need_a_size():
    assert stack("noise:1,size=5", FREE).shape == (1, 3, 5, 5)
    with pytest.raises(ParameterError, match=r"leaves the size of input 'x' free; expected noise:N,size=PIXELS"):
        open_source("noise:1", [FREE])
    with pytest.raises(InputError, match="one input is too large"):
        open_source("noise:1,size=16384", [FREE])


@pytest.mark.parametrize(
    "text", ["noise:", "noise:x", "noise:-1", "noise:0", "noise:10000001", "noise:1,seed=x", "noise:1,size=99999",
             "noise:1,speed=3", "noise:²", f"noise:{'9' * 5000}"],
)  # fmt: skip
def test_senseless_noise_is_refused(text):
    with pytest.raises(ParameterError, match="noise"):
        open_source(text, [X])


@pytest.mark.parametrize("info", [TensorInfo("x", "int64", ("N", 2)), TensorInfo("x", "float32", None)])
def test_what_noise_cannot_feed_is_refused(info):
    with pytest.raises(InputError, match="noise cannot feed it"):
        open_source("noise:1", [info])


def test_what_has_no_axes_is_no_data_and_the_page_says_what_to_do():
    with pytest.raises(InputError, match=r"noise cannot feed it.* Fix its value in the model, .*docs/data\.md"):
        open_source("noise:1", [X, TensorInfo("sr", "int64", ())])


def test_noise_goes_alone():
    with pytest.raises(ParameterError, match="noise: it goes alone"):
        open_source(["noise:1", "noise:2"], [X], RAW)


def test_a_report_says_that_it_is_about_noise():
    case = ZOO["chain"]
    report = service.audit(case.data, "noise:6,seed=3")
    assert report.provenance.data == "Gaussian noise, no data (6 inputs, seed 3)"
    assert report.provenance.inputs == 6
    assert report.provenance.notes[0].startswith("the inputs are Gaussian noise: what is said to be dead")
    assert not any("noise" in note for note in service.audit(case.data, case.inputs(2)).provenance.notes)
