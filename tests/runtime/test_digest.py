"""What identifies inputs: it does not depend on how they were divided, and sees everything else."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from listed import Feeds, Listed, broken, good

from inspector import service
from inspector.runtime.data import batches
from inspector.runtime.digest import FORM, PRIME, Digest

DIGITS = Path(service.__file__).parent / "samples"
ONE = "".join(f"{number:064x}" for number in (1, 0, 0, 1))
INPUTS = st.lists(st.tuples(st.text(max_size=5), st.binary(min_size=32, max_size=32)), max_size=12)


def of(inputs: list[tuple[str, bytes]]) -> Digest:
    result = Digest()
    for name, content in inputs:
        result.add(name, content)
    return result


def digest(source: Listed, size: int) -> str:
    found = ((key, x) for batch in batches(source, size) for key, x in zip(batch.info.ids, batch.contents, strict=True))
    return of(list(found)).sha256


@given(inputs=INPUTS, data=st.data())
def test_parts_put_together_in_any_grouping_are_the_whole(inputs: list[tuple[str, bytes]], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(inputs)), max_size=4)))
    edges = [0, *cuts, len(inputs)]
    whole, later = Digest(), Digest()
    for start, stop in itertools.pairwise(edges):
        whole.join(of(inputs[start:stop]).hex)
    for start, stop in itertools.pairwise(edges[1:]):  # all but the first part, put together elsewhere
        later.join(of(inputs[start:stop]).hex)
    first = of(inputs[: edges[1]])
    first.join(later.hex)
    assert whole.hex == first.hex == of(inputs).hex
    assert FORM.fullmatch(whole.hex)


@given(inputs=INPUTS.filter(bool), data=st.data())
def test_other_inputs_and_another_order_are_seen(inputs: list[tuple[str, bytes]], data: st.DataObject) -> None:
    other = data.draw(st.one_of(INPUTS, st.permutations(inputs)))
    assert (of(inputs).sha256 == of(other).sha256) == (inputs == other)


def test_the_digest_does_not_depend_on_the_batches_nor_on_what_was_left_out() -> None:
    reads = [good(i) for i in range(10)]
    assert len({digest(Listed(reads), size) for size in (1, 3, 7, 10)}) == 1
    assert digest(Listed([*reads, broken()]), 4) == digest(Listed(reads), 3)


def test_the_digest_is_what_its_description_promises() -> None:
    x = np.array([1.5, -2], np.float32)
    product = np.array([[1, 0], [0, 1]], object)
    for name in (b"i0", b"i1"):
        content = hashlib.sha256(b"'x' float32 (2,)\n" + x.astype("<f4").tobytes()).digest()
        drawn = hashlib.shake_256(bytes([2, 0, 0, 0, 0, 0, 0, 0]) + name + content).digest(128)
        numbers = [int.from_bytes(drawn[i : i + 32], "big") for i in (0, 32, 64, 96)]
        product = product @ np.array(numbers, object).reshape(2, 2) % (2**255 - 19)
    text = "".join(f"{number:064x}" for number in product.flat)
    assert digest(Listed([lambda: {"x": x}] * 2), 1) == hashlib.sha256(text.encode()).hexdigest()
    assert Digest().hex == ONE
    assert pow(3, PRIME - 1, PRIME) == 1


@pytest.mark.parametrize("text", ["", "0" * 64, "g" * 256, ONE.upper().replace("0", "A"), ONE + "0", ONE + "\n"])
def test_a_text_that_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no digest"):
        Digest().join(text)


def test_a_report_names_the_same_inputs_alike_whatever_the_shards() -> None:
    def fed(shard_size: int, first: int = 0) -> str:
        x = np.random.default_rng(2).random((9, 1, 16, 16), np.float32)[first:]
        model = str(DIGITS / "digits.onnx")
        return service.audit(model, x, shard_size=shard_size, self_check=False).provenance.data_sha256

    assert len({fed(size) for size in (1, 2, 4, 9, 4096)}) == 1
    assert fed(4) != fed(4, first=1)


def test_the_digest_sees_contents_names_types_shapes_and_order() -> None:
    zeros = np.zeros((2, 2), np.float32)

    def seen(*feeds: Feeds) -> str:
        return digest(Listed([lambda f=f: f for f in feeds]), 1)

    ones = zeros + 1
    variants = [
        seen({"x": zeros}, {"x": ones}),
        seen({"x": ones}, {"x": zeros}),
        seen({"x": zeros}),
        seen({"y": zeros}),
        seen({"x": zeros.reshape(4)}),
        seen({"x": zeros.astype(np.int32)}),
        seen({"x": zeros.astype(np.float16).repeat(2)}),
        seen({"x": zeros.astype(ml_dtypes.bfloat16)}),
        seen({"x": zeros, "y": zeros}),
    ]
    assert len(set(variants)) == len(variants)
    assert seen({"x": zeros, "y": ones}) == seen({"y": ones, "x": zeros})
