"""The page about data: what it says of pictures is what happens to them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from test_docs import fenced, names_in, place, rows_of  # noqa: F401 - a fixture is used by its name

import inspector
from inspector.errors import ParameterError
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
    (code,) = fenced(PAGE, "python")
    exec(compile(code, "data.md", "exec"), {})
    with pytest.raises(AssertionError):
        exec(compile(code.replace('"unit"', '"signed"'), "data.md", "exec"), {})


def test_pictures_without_a_preset_are_an_error_that_says_what_to_give_and_where_it_is_explained() -> None:
    with pytest.raises(ParameterError, match=r"imagenet, .* or settings such as .*docs/data\.md") as caught:
        inspector.audit("inspector/samples/digits.onnx", "inspector/samples/pictures/digits")
    Preprocess.parse(str(caught.value).partition("such as ")[2].partition(". ")[0])
