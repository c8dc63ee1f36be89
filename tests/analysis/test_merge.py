"""Files of summaries, added up: parts of a data set are the whole, and nothing else is let in."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import Says, installed

import inspector
from inspector import BatchInfo, First, Note, Report, service
from inspector.analysis import sums
from inspector.analysis.observe import Observer
from inspector.errors import InspectorError, LimitError, OutputError, ParameterError, SummaryError
from inspector.faces.cli import main
from inspector.faces.wire import report_from_json, report_to_json
from inspector.runtime.data import Raw
from inspector.samples import SAMPLES

DIGITS, HOT = SAMPLES[0], SAMPLES[1]
X = np.random.default_rng(5).random((30, 1, 16, 16), np.float32)
OPTIONS: dict[str, Any] = {"device": "cpu", "shard_size": 4, "batch_size": 3}


def content(report: Report) -> dict[str, Any]:
    """The report, without its times."""
    tree: dict[str, Any] = json.loads(report_to_json(report))
    for time in ("started", "seconds", "waited"):
        del tree["provenance"][time]
    return tree


def stored(path: Path, **options: Any) -> Path:
    service.audit(**{"model": DIGITS.model, "data": X, **OPTIONS, "summaries": path} | options)
    return path


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("parts")
    return [stored(folder / f"{k}.sum", part=f"{k}/3") for k in (1, 2, 3)]


@dataclass(frozen=True, eq=False)
class Names(First):
    """The first inputs."""


class Firsts(Says):
    """Which inputs came first."""

    name, summary = "firsts", Names

    def select(self, model: Any) -> Any:
        return model.taps(("conv1",))

    def observe(self, op: Any, x: Any, tap: Any) -> Any:
        return {"mean": op.mean(x)}

    def summarize(self, tap: Any, rows: Any, batch: BatchInfo) -> Names:
        return Names.of(7, batch.first, batch.ids, rows["mean"])

    def finalize(self, model: Any, summaries: Any) -> str:
        return " ".join(str(name) for s in summaries.values() for name in s.ids)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_parts_of_a_data_set_give_what_the_whole_gives_bit_for_bit(parts: list[Path], order: tuple[int, ...]) -> None:
    whole = service.audit(DIGITS.model, X, **OPTIONS)
    assert content(service.merge(DIGITS.model, [parts[i] for i in order])) == content(whole)


def test_a_part_counts_only_its_own_inputs(parts: list[Path]) -> None:
    counts = [service.merge(DIGITS.model, [path]).provenance.inputs for path in parts]
    assert counts == [4 + 4 + 4, 4 + 4 + 2, 4 + 4]  # 8 shards of 4, the last of 2, dealt out to three


def test_the_first_inputs_are_those_of_the_whole(tmp_path: Path) -> None:
    with installed(Firsts):
        files = [stored(tmp_path / f"{k}", analyses=["firsts"], part=f"{k}/2", shard_size=2) for k in (1, 2)]
        (note,) = service.merge(DIGITS.model, files).results[0].blocks
    assert isinstance(note, Note)
    assert note.text.split() == [f"array[{i}]" for i in range(7)]


def test_data_given_apart_adds_up(tmp_path: Path) -> None:
    files = [stored(tmp_path / "a", data=X[:13]), stored(tmp_path / "b", data=X[13:])]
    merged, whole = service.merge(DIGITS.model, files), service.audit(DIGITS.model, X, **OPTIONS)
    assert merged.provenance.inputs == 30
    described = {"arrays in memory (13 inputs)", "arrays in memory (17 inputs)"}
    assert set(merged.provenance.data.split(" + ")) == described
    rows, expected = (
        [dict(zip((c.name for c in t.columns), row, strict=True)) for row in t.rows]
        for report in (merged, whole)
        for t in report.result("sparsity").blocks
        if isinstance(t, inspector.Table) and t.title == "Sparsity by channel"
    )
    assert len(rows) > 10
    for row, other in zip(rows, expected, strict=True):
        for name, value in other.items():
            assert row[name] == (pytest.approx(value, rel=1e-12) if name in {"mean", "std"} else value), name


def test_a_shard_that_is_in_several_files_counts_once(parts: list[Path]) -> None:
    merged = content(service.merge(DIGITS.model, [*parts, parts[1], parts[1]]))
    assert merged["provenance"].pop("notes") == ["6 shards were given more than once; each counts once"]
    whole = content(service.merge(DIGITS.model, parts))
    del whole["provenance"]["notes"]
    assert merged == whole


def test_a_union_may_be_written_and_merged_again(parts: list[Path], tmp_path: Path) -> None:
    service.merge(DIGITS.model, parts[1:], summaries=tmp_path / "union.sum")
    merged = service.merge(DIGITS.model, [tmp_path / "union.sum", parts[0]])
    assert content(merged) == content(service.merge(DIGITS.model, parts))


def test_checkpoints_are_summaries_too(parts: list[Path], tmp_path: Path) -> None:
    service.audit(DIGITS.model, X, **OPTIONS, part="1/3", resume=tmp_path)
    merged = service.merge(DIGITS.model, [*tmp_path.glob("*.sum"), *parts[1:]])
    assert content(merged) == content(service.merge(DIGITS.model, parts))


def test_batch_size_and_device_are_recorded_and_bar_no_merge(parts: list[Path], tmp_path: Path) -> None:
    other = stored(tmp_path / "other", part="2/3", batch_size=16)
    merged = service.merge(DIGITS.model, [parts[0], other, parts[2]])
    assert (merged.provenance.batch, merged.provenance.device, merged.provenance.inputs) == (16, "cpu", 30)


def test_a_stream_is_known_by_what_it_held(tmp_path: Path) -> None:
    def raws(start: int, stop: int) -> list[Raw]:
        return [Raw(f"r{i}", tensors={"image": X[i]}) for i in range(start, stop)]

    files = [stored(tmp_path / n, data=raws(*s)) for n, s in (("a", (0, 5)), ("b", (5, 9)), ("c", (0, 5)))]
    merged = service.merge(DIGITS.model, files)
    assert (merged.provenance.inputs, len(merged.provenance.notes)) == (9, 1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"analyses": ["sparsity:near=0.5"]}, "the parameters of 'sparsity'"),
        ({"fidelity": "exact"}, "the fidelity; expected fast, found exact"),
        ({"shard_size": 5}, "the shard size; expected 4, found 5"),
        ({"model": HOT.model}, "the model; expected sha256"),
    ],
)
def test_summaries_of_another_run_are_refused_and_told_what_differs(
    parts: list[Path], tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    other = stored(tmp_path / "other", **options)
    with pytest.raises(SummaryError, match="another run, differing in") as caught:
        service.merge(DIGITS.model, [parts[0], other])
    assert says in str(caught.value)
    assert str(other) in str(caught.value)


def test_summaries_need_the_model_that_they_are_of(parts: list[Path]) -> None:
    with pytest.raises(SummaryError, match="they are of another model"):
        service.merge(HOT.model, parts)
    with pytest.raises(ParameterError, match="none to merge"):
        service.merge(DIGITS.model, [])


def test_another_version_of_an_analysis_here_is_refused(tmp_path: Path) -> None:
    with installed(Firsts):
        file = stored(tmp_path / "a", analyses=["firsts"])
    with (
        installed(type("Later", (Firsts,), {"version": "2"})),
        pytest.raises(SummaryError, match="the version of 'firsts'; expected 2, found 1"),
    ):
        service.merge(DIGITS.model, [file])


def test_the_same_shard_with_other_inputs_is_refused(tmp_path: Path) -> None:
    file, other = stored(tmp_path / "a", data=X[:4]), tmp_path / "b"
    rewrite(file, other, lambda tally: tally | {"digest": "0" * 256})
    with pytest.raises(SummaryError, match="two files hold it with different inputs"):
        service.merge(DIGITS.model, [file, other])


def frame(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little") + hashlib.sha256(data).digest() + data


def frames(data: bytes) -> list[bytes]:
    found, at = [], len(sums.MAGIC)
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        found.append(data[at + 40 : at + 40 + length])
        at += 40 + length
    return found


def rewrite(source: Path, target: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """The same file with its first tally changed and all checksums right."""
    head, tally, *rest = frames(source.read_bytes())
    changed = json.dumps(change(json.loads(tally))).encode()
    target.write_bytes(sums.MAGIC + b"".join(map(frame, (head, changed, *rest))))


@pytest.mark.parametrize(
    "change",
    [
        lambda tally: tally | {"inputs": -1},
        lambda tally: tally | {"index": 1 << 70},
        lambda tally: tally | {"skipped_count": -5},
        lambda tally: tally | {"incomplete": -1},
        lambda tally: tally | {"skipped_count": 9, "skipped": [{"id": "a", "reason": "b", "count": -3}] * 2},
        lambda tally: tally | {"skipped_count": 9, "skipped": [{"id": "a", "reason": "b", "count": 10}]},
        lambda tally: tally | {"provenance": 7},
        lambda tally: tally | {"digest": "0" * 64},
        lambda tally: tally | {"shard": None},
        lambda tally: tally | {"sets": []},
        lambda tally: tally | {"sets": [{"sha256": "0", "shards": 0}]},
        lambda tally: [tally],
    ],
)
def test_a_tally_that_makes_no_sense_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    rewrite(stored(tmp_path / "a", data=X[:4]), tmp_path / "b", change)
    with pytest.raises(SummaryError):
        service.merge(DIGITS.model, [tmp_path / "b"])


@pytest.mark.parametrize("params", ["[1]", "3", "", "{", "[" * 100_000])
def test_parameters_that_are_no_object_are_refused(tmp_path: Path, params: str) -> None:
    head, *rest = frames(stored(tmp_path / "a", data=X[:4]).read_bytes())
    identity = json.loads(head)
    identity["analyses"][0]["params"] = params
    (tmp_path / "b").write_bytes(sums.MAGIC + b"".join(map(frame, (json.dumps(identity).encode(), *rest))))
    with pytest.raises(SummaryError, match="the parameters of 'sparsity' cannot be read; expected a JSON object"):
        service.merge(DIGITS.model, [tmp_path / "b"])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(tmp_path_factory.mktemp("small") / "a.sum", data=X[:2], analyses=["sparsity:taps=conv1"])


@given(data=st.data())
def test_a_file_that_was_cut_short_is_refused(small: Path, tmp_path_factory: Any, data: st.DataObject) -> None:
    whole, victim = small.read_bytes(), small.with_suffix(".cut")
    victim.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(SummaryError):
        service.merge(DIGITS.model, [victim])


@given(data=st.data())
def test_a_file_with_one_bit_flipped_is_refused(small: Path, data: st.DataObject) -> None:
    whole, victim = bytearray(small.read_bytes()), small.with_suffix(".bad")
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    victim.write_bytes(whole)
    with pytest.raises(InspectorError):
        service.merge(DIGITS.model, [victim])


def test_something_after_the_end_is_refused(small: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(small.read_bytes() + b"x")
    with pytest.raises(SummaryError, match="something follows its end"):
        service.merge(DIGITS.model, [tmp_path / "a"])


def test_a_length_that_the_file_does_not_have_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(sums.MAGIC + (1 << 60).to_bytes(8, "little") + bytes(100))
    with pytest.raises(SummaryError, match="cut short"):
        service.merge(DIGITS.model, [tmp_path / "a"])


def test_texts_and_summaries_beyond_the_limits_are_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from inspector.analysis.merge import merged

    with pytest.raises(LimitError, match="too large"):
        merged(service.load(DIGITS.model), [small], most=100)
    monkeypatch.setattr(sums, "MAX_TEXT", 50)
    with pytest.raises(LimitError, match="too large"):
        service.merge(DIGITS.model, [small])


def test_a_channel_takes_the_bytes_that_the_guide_says(small: Path) -> None:
    from inspector.analysis.plan import make_plan

    plan = make_plan(service.load(DIGITS.model), ["sparsity:taps=conv1"], allow_maps=False)
    _, (shard,) = sums.scan(small)
    (activity,) = shard.part(plan).totals.summaries[0].values()
    fields: Any = vars(activity)
    per_channel = [a.nbytes for a in fields.values() if isinstance(a, np.ndarray) and a.shape == (8,)]
    marks = fields["first"].values  # of the 2 inputs that there are, of 8
    assert sum(per_channel) / 8 + 8 * marks[0].nbytes / 8 == 56


def test_policies_judge_what_was_merged(parts: list[Path]) -> None:
    merged = service.merge(DIGITS.model, parts, policies=["builtin:sparsity"])
    assert merged.results[-1].name == "policy"


def test_a_file_of_summaries_that_cannot_be_written_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Observer, "__init__", None)
    with pytest.raises(OutputError, match=r"nowhere/a\.sum': its folder does not exist; found '?[^ ]*nowhere"):
        stored(tmp_path / "nowhere" / "a.sum")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="what should be its folder is none"):
        stored(tmp_path / "file" / "a.sum")
    with pytest.raises(OutputError, match="it is a folder"):
        stored(tmp_path)
    with pytest.raises(OutputError, match="it is not a regular file"):
        stored(Path("/dev/null"))
    with pytest.raises(OutputError, match="its folder does not exist"):
        service.merge(DIGITS.model, [tmp_path / "absent"], summaries=tmp_path / "nowhere" / "a.sum")
    with pytest.raises(OutputError, match="a file is in its place"):
        stored(tmp_path / "a.sum", resume=tmp_path / "file" / "checkpoints")


def full(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """A disk that has room for so many writes of files of summaries."""
    write, count = sums._write, itertools.count()

    def limited(file: Any, content: bytes) -> None:
        if next(count) >= after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(file, content)

    monkeypatch.setattr(sums, "_write", limited)


@pytest.mark.parametrize("after", [1, 8, 17])
def test_a_disk_that_is_full_at_the_end_costs_the_file_and_not_the_report(
    after: int, tmp_path: Path, parts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 18 writes: one of what it is of, two for each of eight shards, the end."""
    options = OPTIONS | {"policies": ["builtin:sparsity"]}
    whole, made = service.audit(DIGITS.model, X, **options), service.merge(DIGITS.model, parts)
    full(monkeypatch, after)
    with pytest.raises(OutputError, match=r"a\.sum': it cannot be written; found No space left on device") as caught:
        service.audit(DIGITS.model, X, summaries=tmp_path / "a.sum", **options)
    assert content(caught.value.report) == content(whole)
    monkeypatch.undo()
    full(monkeypatch, after)
    with pytest.raises(OutputError, match="No space left") as caught:
        service.merge(DIGITS.model, parts, summaries=tmp_path / "a.sum")
    assert content(caught.value.report) == content(made)
    assert list(tmp_path.iterdir()) == []


def test_the_command_audits_parts_and_merges_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, pictures = str(DIGITS.model), str(DIGITS.pictures / "3")
    common = ["audit", model, "-d", pictures, "-p", "unit", "--shard-size", "5"]
    files = [str(tmp_path / f"{k}.sum") for k in (1, 2)]
    for k, file in enumerate(files, 1):
        assert main([*common, "--part", f"{k}/2", "--summaries", file]) == 0
    capsys.readouterr()
    assert main(["merge", model, *files, "--json", "-"]) == 0
    merged = report_from_json(capsys.readouterr().out)
    assert main([*common, "--resume", str(tmp_path / "points"), "--json", "-"]) == 0
    assert content(merged) == content(report_from_json(capsys.readouterr().out))
    assert main(["merge", str(HOT.model), *files]) == 2
    assert "they are of another model" in capsys.readouterr().err
