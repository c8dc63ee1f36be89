"""Errors made of those of libraries."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pytest
from pydantic import AfterValidator, AnyUrl, BaseModel, ByteSize, ConfigDict, Field, Json, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ErrorType

from inspector.complaints import told
from inspector.errors import ParameterError


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("it is odd")
    return value


def _silent(value: int) -> int:
    raise ValueError


def _own(value: int) -> int:
    raise PydanticCustomError("too_odd", "it is odder than {most}", {"most": 4})


class Disc(BaseModel):
    kind: Literal["disc"]


class Ring(BaseModel):
    kind: Literal["ring"]


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sizes: list[Annotated[int, Field(gt=0)]]
    name: Annotated[str, Field(max_length=3)] = ""
    share: Annotated[float, Field(ge=0, le=1)] = 0
    norm: Literal["l1", "l2"] = "l1"
    even: Annotated[int, AfterValidator(_even)] = 0
    memory: ByteSize = ByteSize(0)
    word: Annotated[str, Field(min_length=1, max_length=1)] = "a"
    few: Annotated[list[int], Field(min_length=1, max_length=1)] = Field(default=[1])
    none: None = None
    path: Path = Path()
    span: timedelta = timedelta()
    code: Json[Any] = None
    shape: Annotated[Disc | Ring, Field(discriminator="kind")] = Disc(kind="disc")
    odd: Annotated[int, AfterValidator(_silent)] = 0
    own: Annotated[int, AfterValidator(_own)] = 0
    ends: Annotated[float, Field(ge=-1, le=1e30)] = 0
    address: AnyUrl = AnyUrl("http://a")


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


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("even", "9" * 5000, "expected a whole number of fewer digits, found "),
        ("ends", "nan", "expected a number, at most 1e+30, found 'nan'."),
        ("ends", 1e31, "expected at most 1e+30, found 1e+31."),
        ("word", "", "expected 1 character or more, found ''."),
        ("word", "ab", "expected 1 character or fewer, found 'ab'."),
        ("few", [], "expected 1 value or more, found []."),
        ("few", [1, 2], "expected 1 value or fewer, found [1, 2]."),
        ("none", 3, "expected nothing, found 3."),
        ("path", 3, "expected a path, found 3."),
        ("span", "x", "expected a length of time, found 'x'."),
        ("code", "{", "expected JSON, found '{'."),
        ("shape", {"kind": "cube"}, "expected 'kind' to be one of 'disc', 'ring', found {'kind': 'cube'}."),
        ("shape", {}, "expected 'kind' among the names, found {}."),
        ("odd", 3, "found 3."),
        ("address", "x", "expected a URL, found 'x'."),
    ],
)
def test_whatever_pydantic_complains_of_is_told_in_our_words(name: str, value: object, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Outer).validate_python(SIZES | {name: value})
    error = str(ParameterError.first_of(caught.value, lambda path: path[0]))
    assert error.startswith(f"{name}: it is not valid; {said}")


def test_checks_of_others_keep_their_words() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Outer).validate_python(SIZES | {"own": 3})
    assert str(ParameterError.first_of(caught.value, lambda path: path[0])) == "own: it is odder than 4; found 3."


@pytest.mark.parametrize("kind", sorted(get_args(ErrorType)))
def test_no_kind_of_complaint_is_told_in_the_words_of_pydantic(kind: str) -> None:
    """Nor does one without the facts that it should have raise anything."""
    said = told({"type": kind, "loc": (), "input": 3, "msg": "Words of pydantic", "url": "u"})
    if kind not in {"value_error", "assertion_error"}:
        assert "pydantic" not in str(said)


@pytest.mark.parametrize("problem", ["it is broken", "it is broken.", "it is broken.. "])
def test_a_sentence_has_one_full_stop(problem: str) -> None:
    assert str(ParameterError("x", problem)) == "x: it is broken."
    assert str(ParameterError("x", "odd", found=problem, remedy="Mend it.")) == "x: odd; found it is broken. Mend it."
