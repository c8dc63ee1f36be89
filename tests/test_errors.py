"""Errors made of those of libraries."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ByteSize, ConfigDict, Field, TypeAdapter, ValidationError

from inspector.errors import ParameterError


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("it is odd")
    return value


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sizes: list[Annotated[int, Field(gt=0)]]
    name: Annotated[str, Field(max_length=3)] = ""
    share: Annotated[float, Field(ge=0, le=1)] = 0
    norm: Literal["l1", "l2"] = "l1"
    even: Annotated[int, AfterValidator(_even)] = 0
    memory: ByteSize = ByteSize(0)


SIZES = {"sizes": [1]}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"sizes": [3, -1], "name": 7}, "sizes/1: it is not valid; expected more than 0, found -1."),
        ({"name": 7}, "sizes: it is missing."),
        ({"sizes": "x" * 900}, f"sizes: it is not valid; expected a list, found '{'x' * 199}."),
        (3, "the whole: it is not valid; expected names with values, found 3."),
        (SIZES | {"share": "abc"}, "share: it is not valid; expected a number, found 'abc'."),
        (SIZES | {"share": -1}, "share: it is not valid; expected at least 0, found -1."),
        (SIZES | {"sizes": [1.5]}, "sizes/0: it is not valid; expected a whole number, found 1.5."),
        (SIZES | {"norm": "l3"}, "norm: it is not valid; expected 'l1' or 'l2', found 'l3'."),
        (SIZES | {"name": "long"}, "name: it is not valid; expected 3 characters or fewer, found 'long'."),
        (SIZES | {"even": 3}, "even: it is odd; found 3."),
        (SIZES | {"other": 3}, "other: there is none of that name."),
        (SIZES | {"memory": "much"}, "memory: it is not valid; expected a size such as 2GiB or 500MB, found 'much'."),
    ],
    ids=["the first of two", "nothing there", "a long one", "no place", "no number", "too small", "a fraction",
         "none of these", "too long", "a check of its own", "unknown", "a size"],
)  # fmt: skip
def test_the_first_complaint_of_pydantic_is_told_with_its_place(value: object, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Outer).validate_python(value)
    error = ParameterError.first_of(caught.value, lambda path: "/".join(path) or "the whole")
    assert str(error) == said


@pytest.mark.parametrize("problem", ["it is broken", "it is broken.", "it is broken.. "])
def test_a_sentence_has_one_full_stop(problem: str) -> None:
    assert str(ParameterError("x", problem)) == "x: it is broken."
    assert str(ParameterError("x", "odd", found=problem, remedy="Mend it.")) == "x: odd; found it is broken. Mend it."
