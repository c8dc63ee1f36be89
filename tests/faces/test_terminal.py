"""What a person sees: the numbers, in 80 columns or more, with and without colour."""

from __future__ import annotations

import dataclasses
import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from inspector.analysis.registry import PluginInfo
from inspector.contract import (
    Column,
    Curve,
    Finding,
    Graph,
    Heatmap,
    Images,
    Layer,
    MetricInfo,
    Node,
    Note,
    Picture,
    Scale,
    ScaleKind,
    Severity,
    Table,
    Tap,
    TapKind,
    TensorInfo,
)
from inspector.control import Progress
from inspector.faces.files import save_pictures
from inspector.faces.terminal import print_layers, print_plugins, print_report, progress
from inspector.faces.terminal_table import plain
from inspector.report import AnalysisResult, Check, Failure, Memory, OperatorCount, Provenance, Report, Skipped

UNIT = Scale(ScaleKind.SEQUENTIAL, 0.0, 1.0)
ORIGIN = Provenance(
    "squeezenet",
    "0123456789abcdef" * 4,
    data="photos",
    inputs=1200,
    batch=16,
    preprocess="imagenet",
    fidelity="fast",
    device="cuda:0",
    providers={"CUDAExecutionProvider": 65, "CPUExecutionProvider": 2},
    versions={"onnxruntime": "1.31.1"},
    notes=("The batch was fixed at 1 and has been made free.",),
    started="2026-01-02T03:04:05Z",
    seconds=12.34,
    check=Check(2, 0.25, 1e-7, equal=False, passed=True),
    operators=(
        OperatorCount("inspector", "Flatten", 0, 9),
        OperatorCount("", "Gemm", 1, 1),
        OperatorCount("com.microsoft", "FusedConv", 53, 49),
        OperatorCount("com.microsoft.nchwc", "ReorderOutput", 1, 5),
    ),
    memory=Memory(3 << 20, 2 << 30, 2),
)


def shown(what, *args, width=80, colour=False, **kwargs):
    """What is printed, as text."""
    stream = io.StringIO()
    system = "truecolor" if colour else None
    what(*args, Console(file=stream, width=width, force_terminal=colour, color_system=system), **kwargs)
    return stream.getvalue()


def report_of(*blocks, findings=(), **kwargs):
    return Report(ORIGIN, (AnalysisResult("sparsity", "1.2", "{}", tuple(blocks), tuple(findings), **kwargs),))


def wide_table(columns=14):
    names = tuple(Column(f"column {i}", unit="share") for i in range(columns))
    return Table("Wide", names, tuple(tuple(f"r{r}c{c}" for c in range(columns)) for r in range(3)))


def test_a_report_says_where_its_numbers_come_from():
    text = shown(print_report, report_of(), width=120)
    for part in ("squeezenet", "0123456789ab", "photos: 1,200 inputs, batches of 16", "imagenet", "cuda:0, fast",
                 "CUDAExecutionProvider 65 nodes, CPUExecutionProvider 2 nodes", "2026-01-02T03:04:05Z, 12.3 s",
                 "onnxruntime 1.31.1", "The batch was fixed at 1",
                 "watched and plain model are up to 0.25 apart, 1e-07 of the largest, in 2 outputs",
                 "FusedConv 53 → 49, nchwc.ReorderOutput 1 → 5, 1 node as without watching, 9 that measure",
                 "3.0 MiB estimated, 2,048.0 MiB allowed, in 2 waves of taps"):  # fmt: skip
        assert part in text


@pytest.mark.parametrize(
    ("waited", "seconds", "said", "advised"),
    [(0.0, 9.0, False, False), (0.9, 2.0, True, False), (1.5, 30.0, True, False), (1.5, 10.0, True, True)],
    ids=["not at all", "less than a second", "a twentieth", "three twentieths"],
)
def test_a_run_that_waits_for_inputs_says_so_and_what_to_do_where_it_is_much(waited, seconds, said, advised):
    origin = dataclasses.replace(ORIGIN, waited=waited, seconds=seconds)
    text = shown(print_report, Report(origin, ()), width=200)
    assert (f"{seconds:.1f} s, {waited:.1f} s of them waiting for inputs" in text) == said
    assert ("Nothing ran for 1.5 s of 10.0 s (15%), as inputs were still being read." in text) == advised
    assert ("more processors" in text) == advised


def test_what_did_not_run_is_not_mentioned():
    text = shown(print_report, Report(Provenance("m", "ab" * 32), ()))
    assert [line.split()[0] for line in text.splitlines()] == ["Verdict", "Model"]


def test_a_table_has_its_numbers_right_aligned_and_dashes_explained():
    columns = (Column("layer"), Column("zeros", unit="share"), Column("bound", "none where a channel fired"))
    rows = (("conv1", 0.5, None), ("a/much/longer/name", 12.125, 3))
    lines = shown(print_report, report_of(Table("Sparsity", columns, rows, "Of 10."))).splitlines()
    first = next(line for line in lines if line.startswith("conv1"))
    second = next(line for line in lines if line.startswith("a/much"))
    assert first.split() == ["conv1", "0.50", "\N{EN DASH}"]
    assert second.split() == ["a/much/longer/name", "12.12", "3"]
    assert first.index("0.50") + len("0.50") == second.index("12.12") + len("12.12")
    assert "\N{EN DASH} in 'bound': none where a channel fired" in lines
    assert "Of 10." in lines


def test_a_long_table_is_cut_and_says_what_is_left():
    table = Table("t", (Column("n"),), tuple((f"row {i}",) for i in range(1050)))
    text = shown(print_report, report_of(table), max_rows=50)
    assert "row 49" in text
    assert "row 50" not in text
    assert "1,000 more rows: --rows shows more, --json has all" in text
    assert "row 1049" in shown(print_report, report_of(table), max_rows=None)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_wide_table_goes_on_below_without_losing_a_cell(width):
    text = shown(print_report, report_of(wide_table()), width=width)
    assert all(f"r{r}c{c}" in text for r in range(3) for c in range(14))
    assert max(map(len, text.splitlines())) <= width
    assert text.count("r2c0 ") > 1 or width == 200


@pytest.mark.parametrize(
    ("heads", "keys"),
    [((("a", "b"), (0, 0)), 1), ((("a", "a"), (0, 1)), 2), ((("a", "a"), (0.0, 1.0)), 1), ((("a", "a"), (0, 0)), 1)],
    ids=["the first tells", "two tell", "fractions never tell", "nothing tells"],
)
def test_every_part_of_a_table_has_the_columns_that_tell_rows_apart(heads, keys):
    names = tuple(Column(f"{name}{'-' * 9}") for name in "kluvw")
    rows = tuple(zip(*heads, (1.5, 2.5), (3.5, 4.5), (5.5, 6.5), strict=True))
    text = shown(print_report, report_of(Table("t", names, rows)), width=48)
    assert [text.count(name) for name in ("k---", "l---", "w---")] == [2, keys, 1]


@pytest.mark.parametrize("columns", [10, 12, 20, 27, 30])
def test_however_many_columns_tell_rows_apart_all_of_them_are_printed(columns):
    names = tuple(Column(f"count{i}") for i in range(columns))
    text = shown(print_report, report_of(Table("t", names, ((1000,) * columns, (*(1000,) * (columns - 1), 2)))))
    assert {word for word in text.split() if word.startswith("count")} == {name.name for name in names}


def test_a_wrapped_cell_begins_on_its_own_row_and_takes_the_room_that_there_is():
    words = " ".join(["word"] * 15)
    table = Table("t", (Column("name", unit="unit"), Column("reason")), (("a", words), ("b", words)))
    narrow = shown(print_report, report_of(table), width=40).splitlines()
    rows = [line.split()[0] for line in narrow if line.endswith("word") or "word " in line]
    assert [row for row in rows if row != "word"] == ["a", "b"]
    assert rows[0] == "a"
    assert any(line.split() == ["unit", "reason"] for line in narrow)  # headings stand on the line
    assert f"a      {words}" in shown(print_report, report_of(table), width=200)


def test_colour_is_only_colour():
    finding = Finding("a/b", Severity.ERROR, "Bad.", "conv1", (1,), {"n": 5}, "Fix it.")
    report = report_of(wide_table(), Note("Text.", "Title"), findings=[finding])
    coloured, plain = shown(print_report, report, colour=True), shown(print_report, report)
    assert "\x1b[" in coloured
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_findings_have_severity_place_evidence_and_remedy():
    findings = [
        Finding("sparsity/dead", Severity.ERROR, "Dead.", "conv1", tuple(range(30)), {"share": 0.25}, "Prune."),
        Finding("sparsity/low", Severity.WARNING, "Low."),
    ]
    text = shown(print_report, report_of(findings=findings))
    assert "ERROR: Dead." in text
    assert "conv1, channels 0, 1, 2" in text
    assert "(30 in all)" in text
    assert "share = 0.25" in text
    assert "What to do: Prune." in text
    assert "WARNING: Low." in text
    assert text.rstrip().endswith("1 error, 1 warning")


def test_a_failure_and_an_inapplicable_analysis_are_told_apart():
    failed = shown(print_report, report_of(failure=Failure("PLUGIN_FAILED", "It broke.", "Report it.")))
    assert "Failed: It broke." in failed
    assert "Report it." in failed
    assert "1 analysis failure" in failed
    other = shown(print_report, report_of(failure=Failure("INAPPLICABLE", "No BatchNormalization.")))
    assert "Not applicable: No BatchNormalization." in other
    assert "failure" not in other


def test_skipped_inputs_are_counted():
    report = Report(ORIGIN, (), (Skipped("a.png", "not a picture"), Skipped("b.png", "cut short")), 1005)
    text = shown(print_report, report)
    assert "Skipped 1,005 inputs:" in text
    assert "a.png: not a picture" in text
    assert "1,003 more" in text
    assert "incomplete" not in text


def test_what_was_lost_is_said_plainly():
    rows, torn = Skipped("d.parquet[4:8]", "damaged", 4), Skipped("s.tar", "cut short", 1, incomplete=True)
    origin = dataclasses.replace(ORIGIN, incomplete=1, missing_shards=2)
    text = shown(print_report, Report(origin, (), (rows, torn), 5))
    assert "Skipped 5 inputs:" in text
    assert "more" not in text  # all five are in the list
    assert "1 file is incomplete: nobody knows how many inputs are lost; 2 shards are missing." in " ".join(
        text.split()
    )
    assert "1 file is incomplete" in Report(origin, ())._repr_html_()


def test_parameters_are_printed_in_short():
    result = AnalysisResult("filters", "1", '{"layers": ["*"], "fold": true, "mode": "rgb"}')
    assert 'layers=["*"], fold=true, mode=rgb' in shown(print_report, Report(ORIGIN, (result,)))


@pytest.mark.parametrize("params", ["[1, 2]", "no JSON", "[" * 100_000])
def test_parameters_that_are_no_names_and_values_are_printed_as_they_are(params):
    assert params in "".join(shown(print_report, Report(ORIGIN, (AnalysisResult("a", "1", params),))).split("\n"))


PICTURES = {
    "picture: Maps (2 images)": Images("Maps", (Picture(np.zeros((2, 2))),) * 2, 2, UNIT),
    "picture: Links (3 x 4)": Heatmap("Links", np.zeros((3, 4)), UNIT),
    "picture: Loss (0 lines)": Curve("Loss", "x", "y", ()),
    "picture: Net (1 node, 0 edges)": Graph("Net", (Node("a"),), ()),
}


@pytest.mark.parametrize("line", PICTURES)
def test_a_picture_is_a_line(line):
    assert line in shown(print_report, report_of(PICTURES[line]))


def test_saved_pictures_are_found_again_whole(tmp_path):
    report = report_of(*PICTURES.values(), Heatmap("broken", np.zeros(3), UNIT))
    saved = save_pictures(report, tmp_path / ("long" * 20))
    lines = shown(print_report, report, saved=saved).splitlines()
    for item in saved:
        assert all(f"  {path}" in lines for path in item.paths)
    assert any("Not drawn: heat map 'broken'" in line for line in lines)


def test_nothing_in_a_report_can_steer_the_terminal_or_the_markup():
    evil = "[red]a[/red] \x1b[2J \x07 \N{RIGHT-TO-LEFT OVERRIDE} [link=http://x]b[/link] :bomb:"
    blocks = (Note(evil, evil), Table(evil, (Column(evil, evil, evil),), ((evil,), (None,)), evil),
              Heatmap(evil, np.zeros((1, 1)), UNIT))  # fmt: skip
    finding = Finding(evil, Severity.INFO, evil, evil, (), {evil: evil}, evil)
    provenance = Provenance(evil, "ab", evil, notes=(evil,), versions={evil: evil})
    failed = AnalysisResult(evil, evil, evil, blocks, (finding,), Failure(evil, evil, evil))
    text = shown(print_report, Report(provenance, (failed,), (Skipped(evil, evil),), 1), width=300)
    assert not set(text) & {"\x1b", "\x07", "\N{RIGHT-TO-LEFT OVERRIDE}"}
    assert text.count("[red]a[/red]") >= 15
    assert text.count(":bomb:") >= 15


def layer(index, **changes):
    name = f"conv{index}"
    facts = {
        "name": name, "index": index, "op": "Conv", "weight_shape": (64, 3, 7, 7), "groups": 1, "kernel": (7, 7),
        "strides": (2, 2), "dilations": (1, 1), "pads": (0, 0, 0, 0), "auto_pad": "NOTSET", "in_channels": 3,
        "out_channels": 64, "parameters": 9472, "activation": "Relu",
        "taps": {TapKind.ACT: Tap(name, TapKind.ACT, f"{name}_out", 64)},
    }  # fmt: skip
    return Layer(**{**facts, **changes})


def view(*layers):
    return SimpleNamespace(
        name="net",
        sha256="ab" * 32,
        facts={"opset": "21"},
        inputs=(TensorInfo("x", "float32", ("N", 3, None, 224)),),
        outputs=(TensorInfo("y", "float32", None),),
        layers=layers,
    )


def test_layers_are_listed_with_what_matters():
    depthwise = layer(
        1, groups=3, weight_shape=(3, 1, 3, 3), strides=(1, 2), activation=None, linear="feeds Concat", taps={}
    )
    lines = shown(print_layers, view(layer(0), depthwise), width=120).splitlines()
    first = next(line for line in lines if " conv0 " in line).split()
    second = next(line for line in lines if " conv1 " in line)
    assert first == ["0", "conv0", "Conv", "64x3x7x7", "1", "2", "Relu", "conv0_out"]
    assert "3 depthwise" in second
    assert " 1x2 " in second
    assert "\N{EN DASH} feeds Concat" in second
    assert lines[-1].startswith("2 convolutions;")
    assert any("x  float32 [N, 3, ?, 224]" in line for line in lines)
    assert any("y  float32 of unknown rank" in line for line in lines)


def test_long_layer_names_are_never_cut():
    name = "/features/" + "block/" * 12 + "Conv"
    text = shown(print_layers, view(layer(0, name=name)))
    assert max(map(len, text.splitlines())) <= 80
    assert "Conv" in "".join(text.split())
    lines = text.splitlines()
    head = next(line for line in lines if "layer" in line)
    column = slice(head.index("layer"), head.index("op"))
    assert name in "".join(line[column].strip() for line in lines)


def test_a_model_without_convolutions_is_listed_too():
    assert "0 convolutions;" in shown(print_layers, view())
    assert "1 convolution;" in shown(print_layers, view(layer(0)))


def test_plugins_are_listed_with_parameters_or_the_reason():
    schema = (
        '{"properties": {"threshold": {"default": 0.5, "type": "number", "exclusiveMinimum": 0, "maximum": 1, '
        '"description": "counts as zero"}, "x": {}, "kind": {"$ref": "#/$defs/K", "default": "a"}, "list": {"type": '
        '"array", "items": {"type": "string"}}, "loop": {"$ref": "#/$defs/L"}}, "$defs": {"K": {"enum": ["a", "b"]}, '
        '"L": {"$ref": "#/$defs/L"}}}'
    )
    metrics = (MetricInfo("dead", "dead channels", "channels", per_channel=True), MetricInfo("mean", "their mean"))
    good = PluginInfo("sparsity", "1.0", "measured", "Counts zeros.", "onnx-inspector", schema, metrics=metrics)
    text = shown(
        print_plugins, [good, PluginInfo("broken", failure="it lacks torch"), PluginInfo("odd", params_schema="[")]
    )
    for part in ("sparsity  1.0  measured  onnx-inspector", "Counts zeros.",
                 "threshold = 0.5  number above 0 to 1  counts as zero",
                 'kind = "a"  a or b', "list  list (text)",
                 "    sparsity.dead  dead channels (channels, per channel)", "    sparsity.mean  their mean\n",
                 "broken", "Failed: it lacks torch", "odd"):  # fmt: skip
        assert part in text
    assert "No plugins" in shown(print_plugins, [])


def test_progress_is_silent_where_nobody_sees_it():
    stream = io.StringIO()
    with progress(Console(file=stream, force_terminal=False)) as watch:
        watch(Progress("batches", 1, 2))
    assert stream.getvalue() == ""


def test_progress_shows_every_stage_and_leaves_nothing_behind():
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=True, color_system=None, legacy_windows=False)
    with progress(console) as watch:
        watch(Progress("reading [b]", 3, None))
        watch(Progress("batches", 7, 9))
    text = stream.getvalue()
    assert "reading [b]" in text
    assert "3/?" in text
    assert "7/9" in text
    assert text.rstrip("\n").endswith("\x1b[2K")


def test_blanks_of_every_kind_are_blanks():
    assert plain("12\xa0% of\u3000a\u202fb\u200b\u202e\t") == "12 % of a b" + "\N{REPLACEMENT CHARACTER}" * 3
