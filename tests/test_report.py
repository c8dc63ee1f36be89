"""What every face says of a report first: the verdict, and where the numbers come from."""

from __future__ import annotations

import io
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from rich.console import Console

import inspector
from inspector import Finding, Report, Severity
from inspector.faces.exports import FORMATS
from inspector.faces.terminal import print_report
from inspector.report import AnalysisResult, Check, Failure, Provenance, Skipped

SAMPLES = Path(inspector.__file__).parent / "samples"
APART, NEAR = Check(1, 3.5, 0.2, equal=False, passed=False), Check(1, 1e-6, 1e-7, equal=False, passed=True)
ORIGIN = Provenance(
    "m", "ab" * 32, "pictures", "cd", 7, 4, "resize=none,crop=model", "fast", "cpu", {"CPUExecutionProvider": 9},
    {"onnx": "1.2.3"}, ("warning: the model is random",), "2026-01-02T03:04:05Z", 1.5, APART,
)  # fmt: skip


def printed(report: Report) -> str:
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=1000))
    return stream.getvalue()


FACES = {
    "terminal": printed,
    "notebook": lambda report: unescape(report._repr_html_()),
    "html": lambda report: unescape(FORMATS["html"](report)),
    "summary": lambda report: unescape(FORMATS["summary"](report)),
}


@pytest.mark.parametrize("face", FACES)
def test_every_face_has_all_lines_of_the_provenance_and_the_verdict_before_them(face: str) -> None:
    report = Report(ORIGIN, (), (Skipped("a", "torn"),), 1)
    text = FACES[face](report)
    labels = ("Model", "Data", "Preprocess", "Run", "Check", "Started", "Versions", "Note", "Skipped")
    assert tuple(label for label, _ in report.lines) == labels
    assert [said for _, said in report.lines if said not in text] == []
    assert 0 <= text.index("Passed, but the self-check failed") < text.index(report.lines[1][1])


@pytest.mark.parametrize(
    ("check", "severities", "verdict"),
    [
        (None, "", "Passed"),
        (NEAR, "", "Passed"),
        (NEAR, "wwi", "Passed with 2 warnings"),
        (APART, "w", "Passed with 1 warning, but the self-check failed"),
        (APART, "e", "Failed with 1 error, and the self-check failed"),
        (None, "ewe", "Failed with 2 errors and 1 warning"),
    ],
)
def test_the_verdict_names_warnings_and_a_failed_check(check: Check | None, severities: str, verdict: str) -> None:
    kinds = {"w": Severity.WARNING, "e": Severity.ERROR, "i": Severity.INFO}
    found = tuple(Finding("a/b", kinds[letter], "Said") for letter in severities)
    report = Report(replace(ORIGIN, check=check), (AnalysisResult("a", "1", "{}", findings=found),))
    assert report.verdict == verdict


def test_the_verdict_counts_analyses_that_failed() -> None:
    broken = AnalysisResult("a", "1", "{}", failure=Failure("PLUGIN_FAILED", "No."))
    plain = replace(ORIGIN, check=None)
    assert Report(plain, (broken,)).verdict == "Failed with 1 failed analysis"
    named = AnalysisResult("b", "1", "{}", findings=(Finding("b/c", Severity.WARNING, "Said"),))
    assert Report(plain, (broken, broken, named)).verdict == "Failed with 1 warning and 2 failed analyses"


def test_a_comparison_says_at_its_top_what_it_was_compared_with() -> None:
    report = inspector.inspect(SAMPLES / "digits.onnx")
    other = inspector.compare(report, inspector.inspect(SAMPLES / "digits_hot.onnx"))
    for face in FACES.values():
        assert "compared with model digits (sha256 " in face(other)


@pytest.mark.parametrize(
    ("data", "inputs", "batch", "said"),
    [
        ("folder x (200 pictures)", 200, 64, "folder x (200 pictures): 200 inputs, batches of 64"),
        ("file x.npy (5 inputs)", 5, 64, "file x.npy (5 inputs), batches of up to 64"),
        ("file x.png (1 picture)", 1, 1, "file x.png (1 picture): 1 input, one batch"),
    ],
    ids=["many", "few, counted already", "one"],
)
def test_the_line_about_data_counts_inputs_once_and_says_what_ran_at_a_time(
    data: str, inputs: int, batch: int, said: str
) -> None:
    origin = replace(ORIGIN, data=data, inputs=inputs, batch=batch)
    assert dict(Report(origin, ()).lines)["Data"] == said


def test_settings_of_pictures_are_apart_so_that_lines_are_broken_between_them() -> None:
    assert dict(Report(ORIGIN, ()).lines)["Preprocess"] == "resize=none, crop=model"


def test_an_infinite_distance_is_told_in_words() -> None:
    far = replace(ORIGIN, check=Check(1, float("inf"), float("nan"), equal=False, passed=False))
    said = dict(Report(far, ()).lines)["Check"]
    assert said == "watched and plain model are infinitely far apart (NaN or Inf in one alone), in 1 output: too far"
