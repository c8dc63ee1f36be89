"""Errors made of those of libraries."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from inspector.errors import ParameterError


class Outer(BaseModel):
    sizes: list[Annotated[int, Field(gt=0)]]
    name: str = ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"sizes": [3, -1], "name": 7}, "sizes/1: it is not valid; expected Input should be greater than 0, found -1."),
        ({"name": 7}, "sizes: it is not valid; expected Field required, found {'name': 7}."),
        ({"sizes": "x" * 900}, f"sizes: it is not valid; expected Input should be a valid list, found '{'x' * 199}."),
        (3, "the whole: it is not valid; expected Input should be a valid dictionary or instance of Outer, found 3."),
    ],
    ids=["the first of two", "nothing there", "a long one", "no place"],
)
def test_the_first_complaint_of_pydantic_is_told_with_its_place(value: object, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Outer).validate_python(value)
    error = ParameterError.first_of(caught.value, lambda path: "/".join(path) or "the whole")
    assert str(error) == said
