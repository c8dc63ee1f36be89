from __future__ import annotations

import json
import math
from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pytest
from pydantic import BaseModel, Field
from toys import Again, Params, Peaks, Says, failing, installed

from inspector import Analysis, Explored, Max, Measured, MetricInfo, Note, Summary
from inspector.analysis import registry
from inspector.analysis.registry import AnalysisRequest, make, plugins
from inspector.errors import NotFoundError, ParameterError, PluginError


def test_the_four_built_in_analyses_are_listed_like_any_other() -> None:
    infos = {p.name: p for p in plugins()}
    kinds = {"filters": "static", "connectivity": "static", "sparsity": "measured", "activations": "measured"}
    assert {name: infos[name].kind for name in kinds} == kinds
    assert all(infos[name].distribution == "onnx-inspector" and not infos[name].failure for name in kinds)
    assert "near" in json.loads(infos["sparsity"].params_schema)["properties"]


def test_the_kind_of_an_analysis_is_what_it_can_do() -> None:
    with installed(Says, Peaks, Again):
        kinds = {p.name: p.kind for p in plugins()}
    assert (kinds["says"], kinds["peaks"], kinds["again"]) == ("static", "measured", "explored")


@pytest.mark.parametrize(
    ("text", "name", "params"),
    [
        ("says", "says", {}),
        ("says:word=hi", "says", {"word": "hi"}),
        ("says:level=0.25,word=hi", "says", {"level": 0.25, "word": "hi"}),
        ('says:names=["a,b","c"],level=1', "says", {"names": ["a,b", "c"], "level": 1}),
        ('says:{"word": "a=b,c"}', "says", {"word": "a=b,c"}),
        ('says:names={"a": 1, "b": [2]},level=1', "says", {"names": {"a": 1, "b": [2]}, "level": 1}),
        ("says:word=", "says", {"word": ""}),
        ("says:word=a=b", "says", {"word": "a=b"}),
    ],
)
def test_a_request_is_read_from_text(text: str, name: str, params: dict[str, object]) -> None:
    assert AnalysisRequest.parse(text) == AnalysisRequest(name, params)


@pytest.mark.parametrize("text", ["says:word", "says:,", 'says:{"word"', "says:{1}", "says:{" * 2_000])
def test_a_request_that_cannot_be_read_says_what_is_expected(text: str) -> None:
    with pytest.raises(ParameterError):
        AnalysisRequest.parse(text)


def test_parameters_are_filled_in_and_given_back_as_json() -> None:
    with installed(Says):
        params, analysis = make(AnalysisRequest("says", {"names": "one"}))
    assert json.loads(params) == {"word": "hello", "names": ["one"], "level": 0.5}
    assert isinstance(analysis, Says)


def test_an_unknown_analysis_names_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="Did you mean 'connectivity'"):
        make(AnalysisRequest("conectivity"))


def test_an_unknown_parameter_names_the_nearest() -> None:
    with installed(Says), pytest.raises(ParameterError, match="Did you mean 'word'"):
        make(AnalysisRequest("says", {"wrod": 1}))


def test_a_parameter_of_the_wrong_type_is_named_with_what_was_found() -> None:
    with installed(Says), pytest.raises(ParameterError, match=r"'level' of 'says'.*'much'"):
        make(AnalysisRequest("says", {"level": "much"}))


def test_two_plugins_of_one_name_are_refused() -> None:
    with installed(Says, Says), pytest.raises(PluginError, match="two plugins claim the name"):
        make(AnalysisRequest("says"))


@dataclass(frozen=True, eq=False)
class Vague(Summary):
    peak: int


class Undecorated(Summary):
    peak: Max


class Renamed(BaseModel):
    most: float = Field(1.0, alias="max")


class Endless(Peaks):
    """Its parameter has no word in JSON."""

    name = "endless"

    class Params(BaseModel):
        most: float = math.inf


def test_parameters_that_json_cannot_hold_are_refused() -> None:
    with installed(Endless):
        with pytest.raises(ParameterError, match=r"parameters of 'endless': written as JSON, they are not read back"):
            make(AnalysisRequest("endless"))
        assert make(AnalysisRequest("endless", {"most": 2}))[0] == '{"most":2.0}'


def broken(**members: object) -> type:
    return type("Broken", (Peaks,), {"name": "broken", **members})


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (broken(version=None), "no version"),
        (broken(Params=dict), "no pydantic model"),
        (broken(summary=int), "summary is no Summary"),
        (broken(summary=Vague), "does not say how it merges"),
        (broken(summary=Undecorated), "summary is no dataclass"),
        (broken(present=None), "no present"),
        (broken(rules=("other/rule",)), "rules is no tuple of texts"),
        (broken(metrics=["peak"]), "no tuple of MetricInfo"),
        (broken(metrics=(MetricInfo("Peak!", ""),)), "no name for a metric"),
        (broken(metrics=(MetricInfo("peak", ""), MetricInfo("peak", ""))), "two metrics have one name"),
        (broken(select=None), "no select"),
        (broken(Params=Renamed), "its parameter 'most' has an alias"),
        (type("Other", (Says,), {"name": "broken", "finalize": None}), "no finalize"),
    ],
)
def test_a_plugin_that_breaks_the_contract_is_listed_with_its_reason(kind: type, says: str) -> None:
    with installed(kind):
        info = next(p for p in plugins() if p.name == "broken")
        assert says in info.failure
        with pytest.raises(PluginError, match="breaks the contract"):
            make(AnalysisRequest("broken"))


class Bare:
    """As the guide writes one that explores: without `finalize`."""

    name, version, Params = "bare", "1", Params

    def __init__(self, params: Params) -> None: ...

    def explore(self, model: object, lab: object) -> int:
        return 1

    def present(self, result: int) -> list[Note]:
        return [Note(str(result))]


def test_kinds_are_told_apart_by_type_too() -> None:
    assert isinstance(Says(Params()), Analysis)
    assert isinstance(Peaks(Params()), Measured)
    assert isinstance(Bare(Params()), Explored)
    assert not isinstance(Bare(Params()), Analysis)


@pytest.mark.parametrize("error", [ImportError("no module"), SystemExit(3), SyntaxError("bad")])
def test_a_plugin_that_cannot_be_imported_hurts_nobody_else(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Point(EntryPoint):
        def load(self) -> object:
            raise error

    real = registry._points()
    monkeypatch.setattr(registry, "_points", lambda: (Point("sad", "x:y", registry.GROUP), *real))
    infos = {p.name: p for p in plugins()}
    assert type(error).__name__ in infos["sad"].failure
    assert not infos["sparsity"].failure


def test_the_toys_are_sound() -> None:
    assert Params().names == ["*"]
    assert failing("select").name == "failing"  # type: ignore[attr-defined]
