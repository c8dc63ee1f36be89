"""Reports for people at a terminal: wide or narrow, with colour or without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.rule import Rule
from rich.table import Table as Grid
from rich.text import Text

from inspector.analysis.registry import PluginInfo
from inspector.contract import (
    Block,
    Cell,
    Curve,
    Finding,
    Graph,
    Heatmap,
    Layer,
    ModelView,
    Note,
    Severity,
    Table,
    TapKind,
)
from inspector.control import Progress, Watcher
from inspector.faces.files import Saved
from inspector.faces.terminal_params import parameters
from inspector.faces.terminal_table import fitted, plain
from inspector.origin import many, options_of, waiting_text
from inspector.render.numbers import DASH, cell, listed
from inspector.render.sheet import is_drawn
from inspector.report import AnalysisResult, Report, Skipped

MAX_ROWS = 20
"""Rows of a table that are printed where nobody asks for more."""

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


def print_report(
    report: Report, console: Console, *, max_rows: int | None = MAX_ROWS, saved: Sequence[Saved] = ()
) -> None:
    """Prints where the numbers come from, every analysis, and what was skipped.

    Args:
        report: what to print.
        console: where to.
        max_rows: rows of a table before it is cut; None: all.
        saved: what `save_pictures` gave for this report, so that pictures can be found.
    """
    _pairs(console, [("Verdict", report.verdict), *report.lines])
    for result in report.results:
        _print_result(result, console, max_rows, saved)
    _print_skipped(report.skipped, report.skipped_count, console)
    _print_gaps(report.provenance.gaps, console)
    _print_count(report, console)
    if waiting := waiting_text(report.provenance):
        console.print()
        console.print(Text(waiting, style="yellow"), highlight=False)


def print_layers(view: ModelView, console: Console, *, taps: bool = False) -> None:
    """Prints what a model is, and one line for every convolution; with `taps`, one for every tap in place of these."""
    ports = [("Input", view.inputs), ("Output", view.outputs)]
    tensors = [(word, f"{t.name}  {t.dtype} {_shape(t.shape)}") for word, infos in ports for t in infos]
    facts = ", ".join(f"{name} {value}" for name, value in view.facts.items())
    _pairs(console, [("Model", view.name), ("SHA-256", view.sha256), ("File", facts), *tensors])
    headings, cells = _taps(view) if taps else _layers(view)
    console.print()
    _print_parts(headings, list(zip(*cells, strict=True)) or [()] * len(headings), console)
    more = "" if taps else "; --taps lists where they can be watched"
    console.print(Text(f"{many(len(view.layers), 'convolution')}{more}", style="dim"))


def print_plugins(infos: Sequence[PluginInfo], console: Console) -> None:
    """Prints every plugin with its parameters, or with the reason why it cannot be used."""
    for info in infos:
        head = Text.assemble(
            (plain(info.name), "bold"),
            f"  {plain(info.version)}  {info.kind}".rstrip(),
            (f"  {plain(info.distribution)}", "dim"),
        )
        console.print(head, highlight=False)
        if info.failure:
            _indented(console, Text.assemble(("Failed: ", "bold red"), plain(info.failure)))
            continue
        _indented(console, Text(plain(info.about)))
        for line in parameters(info.params_schema):
            _indented(console, line, 4)
        if info.rules:
            _indented(console, Text(plain(f"findings: {', '.join(info.rules)}"), style="dim"), 4)
        for metric in info.metrics:
            name, kind = f"{info.name}.{metric.name}", [metric.unit, "per channel" * metric.per_channel]
            unit = f" ({', '.join(filter(None, kind))})" if any(kind) else ""
            _indented(console, Text.assemble(plain(f"{name}  {metric.about}"), (plain(unit), "dim")), 4)
    if not infos:
        console.print("No plugins are installed.")


@contextmanager
def progress(console: Console) -> Iterator[Watcher]:
    """A watcher that moves a bar, one for every stage; it does nothing where nobody sees it."""
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(bar_width=None))
    bars = Bars(*columns, MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True)
    with bars:
        yield _mover(bars)


def _mover(bars: Bars) -> Watcher:
    tasks = dict[str, TaskID]()

    def move(step: Progress) -> None:
        if step.stage not in tasks:
            tasks[step.stage] = bars.add_task(plain(step.stage), total=step.total)
        bars.update(tasks[step.stage], completed=step.done, total=step.total)

    return move


def _pairs(console: Console, pairs: Sequence[tuple[str, str]]) -> None:
    """Prints names and values, the values below each other; those without a value are left out."""
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            grid.add_row(name, Text(plain(value)))
    console.print(grid, highlight=False)


def _print_result(result: AnalysisResult, console: Console, max_rows: int | None, saved: Sequence[Saved]) -> None:
    console.print()
    title = Text.assemble((plain(result.name), "bold"), (f" {plain(result.version)}", "dim"))
    console.print(Rule(title, align="left", style="dim"))
    settings = ", ".join("=".join(filter(None, option)) for option in options_of(result.params))
    if settings:
        console.print(Text(plain(settings), style="dim"), highlight=False)
    if result.failure is not None:
        word = ("Not applicable: ", "yellow") if result.failure.inapplicable else ("Failed: ", "bold red")
        console.print(Text.assemble(word, plain(result.failure.message)), highlight=False)
        if result.failure.remedy and result.failure.remedy not in result.failure.message:
            _indented(console, Text(plain(result.failure.remedy)))
    after_picture = False
    for block in result.blocks:
        if not (after_picture and is_drawn(block)):  # lines of pictures stand together
            console.print()
        _print_block(block, console, max_rows, saved)
        after_picture = is_drawn(block)
    for finding in result.findings:
        _print_finding(finding, console)


def _print_block(block: Block, console: Console, max_rows: int | None, saved: Sequence[Saved]) -> None:
    if is_drawn(block):
        _print_picture(block, console, saved)
    elif isinstance(block, Note):
        _paragraphs(console, block.title, block.text)
    elif isinstance(block, Table):
        _print_table(block, console, max_rows)


def _print_picture(block: Block, console: Console, saved: Sequence[Saved]) -> None:
    found = next((s for s in saved if s.block is block), None)
    console.print(
        Text.assemble(("picture: ", "dim"), plain(block.title), (f" ({_content(block)})", "dim")), highlight=False
    )
    if found is not None:
        for path in found.paths:
            console.print(Text(f"  {plain(str(path))}"), highlight=False, soft_wrap=True)  # whole, to be copied
        if found.problem:
            _indented(console, Text(plain(f"Not drawn: {found.problem}")))


def _content(block: Block) -> str:
    """How much there is in a picture."""
    if isinstance(block, Heatmap):
        return " x ".join(map(str, block.values.shape))
    if isinstance(block, Curve):
        return many(len(block.series), "line")
    if isinstance(block, Graph):
        return f"{many(len(block.nodes), 'node')}, {many(len(block.edges), 'edge')}"
    return many(len(getattr(block, "pictures", ())), "image")


def _paragraphs(console: Console, title: str, *texts: str) -> None:
    if title:
        console.print(Text(plain(title), style="bold"), highlight=False)
    for text in filter(None, texts):
        console.print(Text(plain(text)), highlight=False)


def _print_table(table: Table, console: Console, max_rows: int | None) -> None:
    _paragraphs(console, table.title)
    rows = table.rows[:max_rows]
    columns = [[row[at] if at < len(row) else None for row in rows] for at in range(len(table.columns))]
    names = [f"{c.name}\n{c.unit}" if c.unit and c.unit != c.name else c.name for c in table.columns]
    _print_parts(names, columns, console)
    more = len(table.rows) - len(rows)
    dashes = [
        f"{DASH} in {c.name!r}: {c.about}"
        for c, cells in zip(table.columns, columns, strict=True)
        if c.about and None in cells
    ]
    cut = f"… {many(more, 'more row')}: --rows shows more, --json has all" if more else ""
    for line in filter(None, [cut, *dashes, table.caption]):
        console.print(Text(plain(line), style="dim"), highlight=False)


def _print_parts(headings: Sequence[str], columns: Sequence[Sequence[Cell]], console: Console) -> None:
    for at, part in enumerate(fitted(headings, columns, console.width)):
        if at:
            console.print()
        console.print(part, highlight=False)


def _print_finding(finding: Finding, console: Console) -> None:
    console.print()
    word, _, before = finding.standing.partition(" ")
    style = "dim" if finding.ignored else _STYLES[finding.severity]
    said = Text(f"{' '.join(filter(None, [word.upper(), before]))}: ", style=style)
    console.print(Text.assemble(said, plain(finding.message)), highlight=False)
    evidence = ", ".join(f"{name} = {cell(value)}" for name, value in finding.evidence.items())
    where = ", ".join(filter(None, [finding.layer, listed("channel", finding.channels)]))
    for line in filter(None, [where, evidence, finding.rule, finding.because]):
        _indented(console, Text(plain(line), style="dim"))
    if finding.remedy:
        _indented(console, Text.assemble(("What to do: ", "bold"), plain(finding.remedy)))


def _print_skipped(skipped: Sequence[Skipped], count: int, console: Console) -> None:
    if not count:
        return
    console.print()
    console.print(Text(f"Skipped {many(count, 'input')}:", style="yellow"), highlight=False)
    for item in skipped[:MAX_ROWS]:
        _indented(console, Text(plain(f"{item.id}: {item.reason}")))
    more = count - sum(item.count for item in skipped[:MAX_ROWS])
    if more > 0:
        _indented(console, Text(f"… {more:,} more", style="dim"))


def _print_gaps(gaps: Sequence[str], console: Console) -> None:
    if gaps:
        console.print()
        console.print(Text(f"{'; '.join(gaps)}.", style="bold yellow"), highlight=False)


def _print_count(report: Report, console: Console) -> None:
    counted = [finding.severity for finding in report.findings if not finding.ignored]
    kinds = [(severity, counted.count(severity)) for severity in reversed(Severity)]
    ignored = len(report.findings) - len(counted)
    failed = sum(r.failure is not None and r.failure.kind != "INAPPLICABLE" for r in report.results)
    words = [many(n, "info" if s is Severity.INFO else s.value) for s, n in kinds if n]
    others = ((failed, many(failed, "analysis failure")), (ignored, f"{ignored:,} ignored"))
    parts = [*words, *(said for n, said in others if n)]
    if parts:
        console.print()
        console.print(Text(", ".join(parts), style="bold"), highlight=False)


def _indented(console: Console, text: Text, by: int = 2) -> None:
    console.print(Padding(text, (0, 0, 0, by), expand=False), highlight=False)


def _layers(view: ModelView) -> tuple[Sequence[str], Sequence[Sequence[Cell]]]:
    headings = ("#", "layer", "op", "weights", "groups", "stride", "activation", "act tensor")
    return headings, [_layer(layer) for layer in view.layers]


def _taps(view: ModelView) -> tuple[Sequence[str], Sequence[Sequence[Cell]]]:
    """The name of every tap, as `--tap` and the options of analyses take it, and what is watched there."""
    taps = [layer.taps[kind] for layer in view.layers for kind in TapKind if kind in layer.taps]
    return ("tap", "tensor", "after"), [(tap.name, tap.tensor, tap.activation) for tap in taps]


def _layer(layer: Layer) -> tuple[Any, ...]:
    groups = f"{layer.groups} depthwise" if layer.depthwise else str(layer.groups)
    act = layer.taps.get(TapKind.ACT)
    activation = layer.activation or f"{DASH} {layer.linear}".strip()
    weights, strides = _times(layer.weight_shape), _times(layer.strides)
    return (layer.index, layer.name, layer.op, weights, groups, strides, activation, act.tensor if act else None)


def _times(sizes: Sequence[int]) -> str:
    """`64x3x7x7`, and `2` for `(2, 2)`."""
    return "x".join(map(str, sizes[:1] if len(sizes) < 4 and len(set(sizes)) == 1 else sizes))


def _shape(shape: Sequence[int | str | None] | None) -> str:
    return "of unknown rank" if shape is None else "[" + ", ".join("?" if d is None else str(d) for d in shape) + "]"
