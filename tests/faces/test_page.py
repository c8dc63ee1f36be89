"""The page of a report: found through by keyboard and screen reader, fetching nothing, whatever the report holds."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from export_cases import decided, finding, hostile, made

from inspector import Severity
from inspector.contract import Column, Heatmap, Images, Overruled, Picture, Scale, ScaleKind, Table
from inspector.faces.exports import FORMATS
from inspector.faces.exports.html import MOST
from inspector.faces.wire import report_to_json
from inspector.render import html
from inspector.render.html import block_html
from inspector.render.style import COLOURS, IGNORED
from inspector.report import AnalysisResult, Check, Failure, Memory, OperatorCount, Provenance, Report, Skipped

UNIT = Scale(ScaleKind.SEQUENTIAL, 0.0, 1.0)
TABLE = Table("Sparsity", (Column("zeros", "Share of exact zeros."), Column("n")), ((0.5, 1),))


class Page(HTMLParser):
    """Tags with their attributes, and the texts of links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.links: list[tuple[str, str]] = []
        self.open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self.open = tag

    def handle_data(self, data: str) -> None:
        if self.open == "a":
            self.links.append((data, self.tags[-1][1]["href"]))
        self.open = ""

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]


def report(*findings, blocks=()) -> Report:
    return Report(Provenance("m", "ab"), (AnalysisResult("sparsity", "1", "{}", blocks, findings),))


def full() -> Report:
    blocks = (TABLE, Heatmap("Map", np.eye(2), UNIT), Images("Grid", (Picture(np.eye(2)),), 1, UNIT))
    return report(finding(Severity.INFO), blocks=blocks)


REPORTS = {"made": made(), "decided": decided(), "hostile": hostile('"><b id=x>'), "full": full(), "empty": report()}


@pytest.mark.parametrize("name", REPORTS)
def test_every_link_leads_somewhere_and_every_id_is_one(name: str) -> None:
    page = Page(FORMATS["html"](REPORTS[name]))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {to.removeprefix("#") for _, to in page.links} == set(ids)
    assert len(page.links) >= len(REPORTS[name].results)


@pytest.mark.parametrize("name", REPORTS)
def test_headings_go_down_step_by_step(name: str) -> None:
    levels = [int(tag[1]) for tag, _ in Page(FORMATS["html"](REPORTS[name])).tags if tag in {"h1", "h2", "h3"}]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_the_contents_have_findings_first_and_the_worst_of_these() -> None:
    ignored = Overruled(Severity.ERROR, "p", "Padding.", ignored=True)
    found = (
        replace(finding(Severity.INFO, message="Old"), overruled=ignored), finding(Severity.INFO, message="Known"),
        finding(Severity.WARNING, message="Rare"), finding(Severity.ERROR, message="Dead"),
    )  # fmt: skip
    assert Page(FORMATS["html"](report(*found))).links == [
        ("Error: Dead", "#finding-1-4"), ("Warning: Rare", "#finding-1-3"), ("Info: Known", "#finding-1-2"),
        ("Ignored (was error): Old", "#finding-1-1"), ("sparsity", "#analysis-1"), ("How it was run", "#run"),
    ]  # fmt: skip


def test_the_contents_say_what_an_analysis_has_and_why_it_has_nothing() -> None:
    failures = [Failure("INAPPLICABLE", "Nothing to see."), Failure("PLUGIN_ERROR", "Broken.")]
    results = [AnalysisResult("a", "1", "{}", failure=failure) for failure in failures]
    results.append(AnalysisResult("a", "1", "{}", (TABLE,), (finding(Severity.INFO),) * 2))
    page = FORMATS["html"](Report(Provenance("m", "ab"), tuple(results)))
    for at, words in enumerate(("not applicable", "failed", "2 findings, 1 block"), 1):
        assert f'<a href="#analysis-{at}">a</a>: {words}<' in page


def test_an_analysis_called_by_a_blank_can_be_followed_all_the_same() -> None:
    first, *_ = Page(FORMATS["html"](Report(Provenance("m", "ab"), (AnalysisResult(" ", "1", "{}"),) * 2))).links
    assert first == ("analysis-1", "#analysis-1")


def test_of_many_findings_the_contents_list_some_and_say_so() -> None:
    page = FORMATS["html"](report(*[finding(Severity.WARNING, message="x" * 500)] * (MOST + 1_234)))
    links = Page(page).links
    assert len(links) == MOST + 2
    assert max(len(text) for text, _ in links) < 200
    assert "… 1,234 more below" in page


def test_what_a_failed_analysis_found_is_there() -> None:
    page = FORMATS["html"](hostile("x"))
    assert 'id="finding-1-1"' in page


def test_a_browser_is_told_to_fetch_nothing() -> None:
    (policy,) = [a["content"] for a in Page(FORMATS["html"](full())).of("meta") if "http-equiv" in a]
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    (style,) = re.findall("<style>(.*?)</style>", FORMATS["html"](full()), re.DOTALL)
    known = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    only_itself = {"img-src": "data:", "style-src": f"'sha256-{known}'"}
    assert allowed == only_itself | dict.fromkeys(("default-src", "base-uri", "form-action"), "'none'")


def test_pictures_and_columns_are_told_to_those_who_do_not_see_them() -> None:
    tall = Images("Grid", tuple(Picture(np.zeros((4, 4)), str(i)) for i in range(600)), 1, UNIT, "Filters.")
    words = [attrs["alt"] for attrs in Page(block_html(tall)).of("img")]
    assert words[0] == f"Grid. Sheet 1 of {len(words)}. Filters."
    assert len(set(words)) == len(words) > 1
    page = Page(block_html(TABLE))
    assert [attrs["scope"] for attrs in page.of("th")] == ["col", "col", "row"]
    assert page.of("summary")
    assert [attrs.get("aria-label") for attrs in page.of("table")] == ["Sparsity", None]


def light(colour: str) -> float:
    """Relative luminance, by definition (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("paper", ["#ffffff", "#121212", "#1c1b22"])
def test_the_lines_beside_findings_are_seen_in_the_light_and_in_the_dark(paper: str) -> None:
    for colour in (*COLOURS.values(), IGNORED):
        low, high = sorted((light(colour), light(paper)))
        assert (high + 0.05) / (low + 0.05) >= 3
    assert not re.search("[{;](background|background-color|color):", FORMATS["html"](made()))


ORIGIN = Provenance(
    "net", "ab" * 32, "folder x", "cd" * 32, 1234, 64, "resize=none,crop=model", "fast", "cuda:7",
    {"CUDAExecutionProvider": 4321, "CPUExecutionProvider": 17}, {"onnx": "1.2.3", "onnxruntime": "4.5.6"},
    ("warning: the model is random",), "2026-01-02T03:04:05Z", 61.25, Check(3, 0.125, 0.0625, equal=False, passed=True),
    (OperatorCount("com.microsoft", "FusedConv", 53, 51), OperatorCount("inspector", "Gather", 0, 8)),
    Memory(987654321, 1987654321, 5), 1.375, 2, 3,
)  # fmt: skip
SKIPPED = (Skipped("a/1.png", "torn off", 1), Skipped("b.tar", "no header", 19, incomplete=True))
RUN = Report(ORIGIN, (AnalysisResult("a", "17.4", '{"taps":["conv*"],"near":0.0625,"kind":"act"}'),), SKIPPED, 20)


def told(report: Report, face: str) -> str:
    html = FORMATS["html"](report) if face == "page" else report._repr_html_()
    return unescape(re.sub("<[^>]*>", "|", html)).replace(",", "")


def leaves(tree: object) -> list[object]:
    if isinstance(tree, dict):
        return [leaf for name, value in tree.items() for leaf in leaves(value)]
    return [leaf for value in tree for leaf in leaves(value)] if isinstance(tree, list) else [tree]


@pytest.mark.parametrize("face", ["page", "notebook"])
def test_all_that_the_json_says_of_a_run_is_on_the_page(face: str) -> None:
    tree = json.loads(report_to_json(RUN))
    said = [*leaves(tree["provenance"]), *leaves(tree["skipped"]), tree["skipped_count"]]
    said += [tree["results"][0]["version"], *leaves(json.loads(tree["results"][0]["params"]))]
    text = told(RUN, face)
    words = [str(leaf).replace(",", "") for leaf in said if not isinstance(leaf, bool)]
    preprocess = ORIGIN.preprocess.replace(",", "")
    assert len(words) > 30
    assert [word for word in words if word != preprocess and word not in text] == []
    for name in (*ORIGIN.providers, *ORIGIN.versions, "taps", "near", "kind"):
        assert name in text


def test_a_comparison_and_a_report_of_weights_have_it_too() -> None:
    weights = Report(Provenance("net", "ab" * 32, versions={"onnx": "1.2.3"}), RUN.results)
    assert "ab" * 32 in told(weights, "page")
    assert "Skipped" not in told(weights, "page")


@pytest.mark.parametrize("params", ["", "{}"])
def test_an_analysis_without_parameters_has_its_version_alone(params: str) -> None:
    assert "Version 17.4|" in told(Report(ORIGIN, (AnalysisResult("a", "17.4", params),)), "page")


@pytest.mark.parametrize("params", ["no <b>JSON", "[1, 2]", "[" * 100_000, '{"a": ' + "9" * 5000 + "}", '"\ud800"'])
def test_parameters_that_are_no_names_and_values_are_shown_as_they_are(params: str) -> None:
    result = AnalysisResult("a", "1", params)
    assert params.encode(errors="backslashreplace").decode().replace(",", "") in told(Report(ORIGIN, (result,)), "page")


def test_what_is_skipped_and_not_listed_is_counted() -> None:
    assert "20 inputs of 1300; the others are not listed." in told(replace(RUN, skipped_count=1_300), "page")
    assert "not listed" not in told(RUN, "page")


def test_a_failure_says_what_to_do_unless_it_said_so_already() -> None:
    failures = Failure("PLUGIN_FAILED", "It broke.", "Mend it."), Failure("X", "It broke. Mend it.", "Mend it.")
    for failure in failures:
        assert told(Report(ORIGIN, (AnalysisResult("a", "1", "{}", failure=failure),)), "page").count("Mend it.") == 1


@pytest.mark.parametrize("name", REPORTS)
def test_no_element_has_a_look_of_its_own(name: str) -> None:
    assert not [attrs for _, attrs in Page(FORMATS["html"](REPORTS[name])).tags if "style" in attrs]


def test_the_sheet_of_a_notebook_reaches_nothing_else_there() -> None:
    (sheet,) = re.findall("<style>(.*?)</style>", RUN._repr_html_(), re.DOTALL)
    selectors = [name for rule in re.findall(r"([^{}\n]+)\{(?!\n)", sheet) for name in rule.split(",")]
    assert len(selectors) > 20
    assert all(name.startswith(".onnx-inspector") for name in selectors)


def test_every_picture_is_made_once_however_often_its_analysis_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(html, "block_sheets", lambda block: drawn.append(block) or ())
    FORMATS["html"](full())
    assert len(drawn) == 2
