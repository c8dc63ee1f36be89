"""The page about data: what it says of pictures is what happens to them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from models import W, model, numbers
from test_docs import fenced, names_in, place, rows_of  # noqa: F401 - a fixture is used by its name

import inspector
from inspector.errors import InputError, ParameterError
from inspector.runtime.preprocess import FILTERS, PRESETS, Preprocess

PAGE = Path(__file__).resolve().parent.parent / "docs" / "data.md"
TABLES = rows_of(PAGE, "Pictures")
PRESET_ROWS = [row for row in TABLES if len(row) == 7]
KEYS = {names_in(row[0])[0]: row for row in TABLES if row[0].strip("`") in Preprocess.__dataclass_fields__}
FRAMEWORKS = [row for row in TABLES if len(row) == 3 and not row[0].startswith("`")]


def test_the_presets_of_the_page_are_those_there_are_with_all_that_they_set() -> None:
    assert {names_in(row[0])[0] for row in PRESET_ROWS} == PRESETS.keys()
    for row in PRESET_ROWS:
        name, *values = (names_in(cell)[0] for cell in row if cell.startswith("`"))
        pairs = zip(("scale", "mean", "std", "order", "resize"), values, strict=True)
        assert Preprocess.parse(",".join(f"{key}={value}" for key, value in pairs)) == PRESETS[name]


def test_the_keys_of_the_page_are_those_there_are_with_their_defaults() -> None:
    assert KEYS.keys() == {field.name for field in fields(Preprocess)}
    assert Preprocess.parse(",".join(f"{key}={names_in(row[2])[0]}" for key, row in KEYS.items())) == Preprocess()
    assert set(names_in(KEYS["filter"][1])) <= FILTERS.keys()  # newer versions of Pillow know more


@pytest.mark.parametrize("text", [text for row in FRAMEWORKS for text in names_in(row[2])])
def test_what_the_page_gives_for_a_framework_can_be_given(text: str) -> None:
    assert (Preprocess.parse(text) == Preprocess()) is (text == "raw"), "only `raw` changes no default"


def test_the_comparison_of_the_page_passes_and_fails_for_another_preset(place: Path) -> None:  # noqa: F811
    code = next(text for text in fenced(PAGE, "python") if "assert_allclose" in text)
    exec(compile(code, "data.md", "exec"), {})
    with pytest.raises(AssertionError):
        exec(compile(code.replace('"unit"', '"signed"'), "data.md", "exec"), {})


def test_pictures_without_a_preset_are_an_error_that_says_what_to_give_and_where_it_is_explained() -> None:
    with pytest.raises(ParameterError, match=r"imagenet, .* or settings such as .*docs/data\.md") as caught:
        inspector.audit("inspector/samples/digits.onnx", "inspector/samples/pictures/digits")
    Preprocess.parse(str(caught.value).partition("such as ")[2].partition(". ")[0])


def test_what_is_no_data_can_be_fixed_as_the_page_says() -> None:
    """A sample rate without axes, and a state whose batch is not axis 0."""
    body = "[c] a = Conv(x, w) k = Cast <to=1> (sr) m = Mul(a, k) s = ReduceMax <keepdims=0> (state) b = Add(m, s)"
    data = model(f"{body} y = Relu(b)", inputs="float[N,3,6,5] x, float[2,1,4] state, int64 sr", weights={"w": W})
    x, state, rate = numbers(5, 3, 6, 5), np.ones((2, 1, 4), np.float32), np.array(2)
    every = {"x": x, "state": state, "sr": rate}
    with pytest.raises(InputError, match=r"'sr' has no batch axis.*Fix its value in the model, .*docs/data\.md"):
        inspector.audit(data, every)
    message, known = onnx.ModelProto.FromString(data), dict[str, Any]()
    exec(compile(next(text for text in fenced(PAGE, "python") if "def fix" in text), "data.md", "exec"), known)
    known["fix"](message, sr=rate)
    with pytest.raises(InputError, match=r"5 in 'x', 2 in 'state'.*such as a state: fix its value .*docs/data\.md"):
        inspector.audit(message.SerializeToString(), {"x": x, "state": state})
    known["fix"](message, state=state)
    assert inspector.audit(message.SerializeToString(), x).provenance.inputs == 5
