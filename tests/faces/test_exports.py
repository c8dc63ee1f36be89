"""Files for other programs: right in form whatever a model's names hold, right in content."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from export_cases import ANY_TEXT, HOSTILE, decided, finding, hostile, made
from hypothesis import given, settings
from wire_strategies import REPORTS, laws

from inspector import InspectorError, Severity
from inspector.contract import Overruled
from inspector.faces.exports import FORMATS, parse_formats, write_format
from inspector.faces.exports.plain_text import in_markdown, in_xml
from inspector.faces.exports.summary import MOST
from inspector.faces.wire import report_from_json
from inspector.policy.judge import judged
from inspector.policy.rules import Policy, Rule
from inspector.report import AnalysisResult, Provenance, Report

# ---------------------------------------------------------------------------------------------------------- JUnit


def test_junit_has_a_case_for_every_analysis_rule_and_subject() -> None:
    suites = ET.fromstring(FORMATS["junit"](made()))
    (suite,) = suites
    cases = {(c.get("classname"), c.get("name")): [inner.tag for inner in c] for c in suite.iter("testcase")}
    assert cases == {
        ("analysis", "sparsity"): [],
        ("analysis", "filters"): ["error"],
        ("analysis", "odd"): ["skipped"],
        ("analysis", "policy"): [],
        ("policy.p", "few"): ["failure"],
        ("policy.p", "fed"): [],
        ("finding.sparsity/dead", "conv1"): ["system-out"],
        ("finding.sparsity/not-finite", "conv2"): ["failure"],
    }
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped", "time", "timestamp")}
    assert counts == {
        "tests": "9", "failures": "2", "errors": "1", "skipped": "1", "time": "2.000",
        "timestamp": "2026-01-02T03:04:05",
    }  # fmt: skip
    assert suites.get("tests") == "9"
    assert {p.get("name"): p.get("value") for p in suite.iter("property")}["sha256"] == "ab"


def test_junit_says_the_first_error_and_calls_what_is_of_no_layer_by_the_model() -> None:
    found = (
        finding(Severity.WARNING, "a/b", "", "Odd"), finding(Severity.ERROR, "a/b", "", "Wrong"),
        finding(Severity.WARNING, "a/b", "conv1"),
    )  # fmt: skip
    report = Report(Provenance("m", "ab"), (AnalysisResult("a", "1", "{}", findings=found),))
    _, model, layer = ET.fromstring(FORMATS["junit"](report)).iter("testcase")
    assert (model.get("name"), layer.get("name")) == ("m", "conv1")
    (failure,) = model
    assert (failure.get("message"), failure.text) == ("Wrong", "warning: Odd. Prune\nerror: Wrong. Prune")


@pytest.mark.parametrize("format_name", ["junit", "sarif"])
def test_a_message_that_ends_a_sentence_is_followed_by_what_to_do_without_a_second_stop(format_name: str) -> None:
    found = (finding(Severity.WARNING, message="No weight but 0: 3."),)
    text = FORMATS[format_name](Report(Provenance("m", "ab"), (AnalysisResult("a", "1", "{}", findings=found),)))
    assert "No weight but 0: 3. Prune" in text


@laws
@given(ANY_TEXT)
def test_junit_is_xml_whatever_the_names_hold_and_says_them_as_they_are(text: str) -> None:
    suite = ET.fromstring(FORMATS["junit"](hostile(text)).encode())[0]
    assert {c.get("classname") for c in suite.iter("testcase")} >= {"analysis", f"policy.{in_xml(text)}"}
    assert suite.find(".//testcase/error").get("message") == in_xml(text)  # type: ignore[union-attr]


def test_what_xml_cannot_hold_is_replaced_and_the_rest_stays() -> None:
    assert in_xml("a\x00b\x1b\ud800\ufffe") == "a\ufffdb\ufffd\ufffd\ufffd"
    assert in_xml("<&>\t\n\N{SNOWMAN}\U0001f600") == "<&>\t\n\N{SNOWMAN}\U0001f600"


# ------------------------------------------------------------------------------------- findings that are overruled


def test_junit_skips_what_is_ignored_and_fails_what_is_an_error_here() -> None:
    cases = {c.get("name"): c for c in ET.fromstring(FORMATS["junit"](decided())).iter("testcase")}
    outcomes = {
        name: [inner.tag for inner in case] for name, case in cases.items() if name in {"conv1", "conv2", "conv3"}
    }
    assert outcomes == {"conv1": ["skipped"], "conv2": ["failure"], "conv3": ["system-out"]}
    assert cases["conv1"][0].get("message") == "policy p: It is padding."
    assert cases["conv2"][0].text == "error (was warning): Dead. Prune policy p: It was pruned."


def test_junit_skips_nothing_of_which_a_finding_still_counts() -> None:
    counts = finding(Severity.WARNING)
    ignored = replace(counts, overruled=Overruled(Severity.WARNING, "p", "Padding.", ignored=True))
    report = Report(Provenance("m", "ab"), (AnalysisResult("sparsity", "1", "{}", findings=(ignored, counts)),))
    _, case = ET.fromstring(FORMATS["junit"](report)).iter("testcase")
    assert [inner.tag for inner in case] == ["system-out"]


def test_the_summary_says_what_was_overruled_and_why_with_the_ignored_ones_last() -> None:
    lines = FORMATS["summary"](decided()).splitlines()
    assert lines[0] == "## Failed with 1 error and 1 warning: m"
    rows = [cells(line) for line in lines if line.startswith("| ")][1:]
    assert [(row[0], row[2]) for row in rows] == [
        ("error (was warning)", "conv2"), ("warning", "conv3"), ("ignored (was warning)", "conv1"),
    ]  # fmt: skip
    assert rows[-1][3] == "Dead (policy p: It is padding.)"


def test_the_summary_has_notes_before_what_is_ignored() -> None:
    note = finding(Severity.INFO, layer="conv2")
    ignored = replace(note, layer="conv1", overruled=Overruled(Severity.ERROR, "p", "Padding.", ignored=True))
    report = Report(Provenance("m", "ab"), (AnalysisResult("sparsity", "1", "{}", findings=(ignored, note)),))
    rows = [cells(line) for line in FORMATS["summary"](report).splitlines() if line.startswith("| ")][1:]
    assert [row[2] for row in rows] == ["conv2", "conv1"]


def test_a_page_says_what_was_overruled_and_why() -> None:
    said = " ".join(Page(FORMATS["html"](decided())).texts)
    assert "Ignored (was warning)" in said
    assert "policy p: It was pruned." in said


def test_a_page_is_as_wide_as_its_screen_and_as_dark() -> None:
    page = FORMATS["html"](decided())
    assert '<meta name="viewport" content="width=device-width">' in page
    assert '<meta name="color-scheme" content="light dark">' in page


# ---------------------------------------------------------------------------------------- metrics, summary, all


def test_metrics_are_nested_numbers_without_what_json_lacks() -> None:
    assert json.loads(FORMATS["metrics"](made())) == {
        "run": {
            "inputs": 7,
            "skipped": 0,
            "incomplete": 0,
            "missing_shards": 0,
            "ok": 0,
            "errors": 3,
            "failed_analyses": 1,
        },
        "sparsity": {"dead": {"conv1:act": 2}},
        "sparsity#2": {"dead": {"conv1:act": 2}},
        "filters": {},
        "odd": {},
        "policy": {
            "rules": {"model": 2},
            "broken": {"model": 1},
            "overruled": {"model": 0},
            "ignored": {"model": 0},
        },
    }


def cells(line: str) -> list[str]:
    return [unescape(cell.strip()) for cell in line.strip("|").split("|")]


def test_the_summary_has_the_verdict_the_rules_and_the_findings_worst_first() -> None:
    lines = FORMATS["summary"](made()).splitlines()
    assert lines[0] == "## Failed with 3 errors, 1 warning and 1 failed analysis: m"
    rows = [cells(line) for line in lines if line.startswith("| ")]
    assert rows[1] == ["few", "sparsity.dead", "at most 1", "2 of 2", "broken"]
    assert [row[0] for row in rows if row[0] in {"error", "warning"}] == ["error"] * 3 + ["warning"]
    assert any("It broke" in line for line in lines)


def test_the_summary_says_what_is_lost() -> None:
    origin = Provenance("m", "ab", "s.tar", inputs=7, incomplete=2, missing_shards=1)
    text = FORMATS["summary"](Report(origin, (), skipped_count=3))
    assert "- Skipped: 3 inputs" in text
    for said in ("s.tar: 7 inputs", *origin.gaps):
        assert in_markdown(said) in text


def test_the_summary_lists_broken_rules_first_however_many_there_are() -> None:
    fine = [Rule(f"fine-{n}", report="inputs", min=1) for n in range(MOST + 60)]
    bad = [
        Rule("note", report="inputs", min=9, severity=Severity.INFO),
        Rule("stop", report="inputs", min=9),
        Rule("gone", metric="none.at-all", min=9, severity=Severity.WARNING),
        Rule("lets-pass", metric="none.at-all", min=9, missing="pass"),
    ]
    report = judged(Report(Provenance("m", "ab", inputs=7), ()), [Policy("p", "00", (*fine, *bad))])
    rows = [cells(line) for line in FORMATS["summary"](report).splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:5]] == ["stop", "gone", "note", "fine-0"]
    assert rows[MOST][0] == "fine-96"


def test_the_summary_of_a_step_is_added_to_and_any_other_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, step, other = FORMATS["summary"](made()), tmp_path / "step", tmp_path / "other"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    for file in (step, other):
        file.write_text("before\n")
        write_format("summary", made(), file)
        write_format("metrics", made(), tmp_path / "metrics")
    assert step.read_text() == "before\n\n" + text
    assert other.read_text() == text
    (tmp_path / "link").symlink_to(step)
    write_format("summary", made(), tmp_path / "link")
    assert step.read_text() == "before\n\n" + text + "\n" + text


def test_the_summary_is_of_limited_length() -> None:
    many = tuple(finding(Severity.INFO, layer=f"l{n}", message="*" * 5000) for n in range(5000))
    text = FORMATS["summary"](Report(Provenance("m", "ab"), (AnalysisResult("a", "1", "{}", findings=many),)))
    assert f"{5000 - MOST} more are in the report." in text
    assert len(text.encode()) < 1 << 20


@laws
@given(ANY_TEXT)
def test_a_name_in_markdown_is_one_line_without_markup_and_reads_as_it_is(text: str) -> None:
    line = in_markdown(text)
    assert line.isprintable() or line == ""
    left = re.sub(r"&#\d+;", "", line)
    left = left.replace("<!-- -->", "")
    assert set(left).isdisjoint("<>|`*_[]()#!\\~@$:{}+=\"'&")
    shown = "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)
    assert unescape(line.replace("<!-- -->", "")).strip() == shown.strip()


def test_no_name_becomes_a_link_or_a_mention() -> None:
    """What GitHub's parser, cmark-gfm, makes links of by itself: `www.`, schemes, and `@`, even as a reference."""
    assert in_markdown("www.evil.example.com WwW.a.b") == "www&#46;evil.example.com WwW&#46;a.b"
    assert in_markdown("http://a.b") == "http&#58;//a.b"
    assert in_markdown("a@b.com") == "a&#64;<!-- -->b.com"


def test_a_hostile_name_stays_in_its_cell() -> None:
    for line in FORMATS["summary"](hostile(HOSTILE)).splitlines():
        assert line.count("|") in {0, 5, 6}
        assert "<" not in line.replace("<!-- -->", "")
        assert "`" not in line


@laws
@given(REPORTS)
def test_every_report_can_be_written_in_every_format_without_pictures(report: Report) -> None:
    for name in FORMATS.keys() - {"html"}:
        assert FORMATS[name](report).encode()


@settings(laws, max_examples=5)
@given(REPORTS)
def test_every_report_can_be_written_as_a_page(report: Report) -> None:
    assert FORMATS["html"](report).encode()


class Page(HTMLParser):
    """The tags and texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not any(name.startswith("on") or name == "src" for name, _ in attrs)
        inner = r"#((analysis|finding|block)-[0-9-]+|skipped|run)"
        assert all(re.fullmatch(inner, value or "") for name, value in attrs if name == "href")
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@laws
@given(ANY_TEXT)
def test_a_name_on_a_page_is_text_and_nothing_else(text: str) -> None:
    page = Page(FORMATS["html"](hostile("<script>" + text)))
    assert page.tags <= {
        "html", "head", "body", "main", "nav", "section", "meta", "title", "style", "h1", "h2", "h3", "a", "details",
        "summary", "div", "ul", "li", "span", "strong", "table", "tr", "th", "td", "thead", "tbody",
    }  # fmt: skip
    assert any("<script>" in said for said in page.texts)


def test_a_report_of_an_earlier_version_lacks_fields_and_every_face_shows_it() -> None:
    finding = {"rule": "a/b", "severity": "SEVERITY_INFO", "message": "Said"}
    tree = {"provenance": {"model": "m"}, "results": [{"name": "a", "findings": [finding]}]}
    report = report_from_json(json.dumps(tree))
    assert (report.provenance, report.results[0].version) == (Provenance("m", ""), "")
    assert all("m" in FORMATS[name](report) for name in FORMATS.keys() - {"metrics"})
    assert "a" in json.loads(FORMATS["metrics"](report))
    assert "Version unknown" in report._repr_html_()
    assert not re.search(r"Version\s*[,<]", report._repr_html_())


@pytest.mark.parametrize("text", ["junit", "=x", "junit=", "xml=a"])
def test_a_format_is_a_known_name_and_a_file(text: str) -> None:
    with pytest.raises(InspectorError):
        parse_formats([text])
