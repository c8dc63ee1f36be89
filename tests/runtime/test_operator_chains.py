"""The optimiser leaves numbers alone: pads before pools, where it did not, and a sample of all chains."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from operator_chains import apart, variants

OPERATORS = variants(17)
PADS = [name for name in OPERATORS if name.startswith("Pad")]
POOLS = [name for name in OPERATORS if "Pool" in name]


@pytest.mark.parametrize(("pad", "pool"), list(itertools.product(PADS, POOLS)))
def test_what_is_padded_is_pooled_as_it_is(pad: str, pool: str) -> None:
    """Zeros are numbers to MaxPool; padding of its own is not. A pool takes no padding as wide as its window."""
    assert apart([OPERATORS[pad], OPERATORS[pool]], 17) == ""


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_a_sample_of_all_pairs_is_the_same(opset: int) -> None:
    operators, random = variants(opset), np.random.default_rng(opset)
    pairs = [random.choice(list(operators), 2).tolist() for _ in range(150)]
    found = {" > ".join(pair): apart([operators[name] for name in pair], opset) for pair in pairs}
    assert {pair: how for pair, how in found.items() if how} == {}
    assert sum(how is not None for how in found.values()) > 120
