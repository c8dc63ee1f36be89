"""Parts of a data set that are empty, parts that were not given, and what is said of all of them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector import Report, Severity, service
from inspector.analysis import merge, parts
from inspector.analysis.sums import scan
from inspector.errors import InputError, InspectorError, SummaryError
from inspector.faces.cli import main
from inspector.faces.wire import report_from_json, report_to_json
from inspector.report import Provenance
from inspector.samples import SAMPLES

MODEL = SAMPLES[0].model
X = np.random.default_rng(5).random((8, 1, 16, 16), np.float32)


def audited(path: Path, part: str, *, shard_size: int) -> Report:
    return service.audit(MODEL, X, ["sparsity"], device="cpu", shard_size=shard_size, part=part, summaries=path)


def content(report: Report) -> str:
    """The report, without its times."""
    provenance = replace(report.provenance, started="", seconds=0, waited=0)
    return report_to_json(replace(report, provenance=provenance))


def test_a_part_without_a_shard_says_so_and_can_be_merged(tmp_path: Path) -> None:
    files = [tmp_path / f"{k}.sum" for k in (1, 2, 3)]
    first, second, third = (audited(file, f"{k}/3", shard_size=4) for k, file in enumerate(files, 1))
    assert first.results[0].blocks
    assert second.results[0].blocks
    assert (third.results, third.provenance.inputs, third.ok) == ((), 0, True)
    (note,) = third.provenance.notes
    assert note.startswith("part 3/3 is empty, as the data has only 2 shards: nothing was run.")
    assert report_from_json(report_to_json(third)) == third
    assert scan(files[2])[1] == ()
    whole = service.audit(MODEL, X, ["sparsity"], device="cpu", shard_size=4)
    for order in (files, files[::-1]):
        merged = service.merge(MODEL, order)
        assert content(merged) == content(whole)
    with pytest.raises(SummaryError, match="there are none to add up"):
        service.merge(MODEL, files[2:])


def test_the_command_runs_an_empty_part_and_merges_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(tmp_path / f"{k}.sum") for k in (1, 2)]
    points = str(tmp_path / "points")
    for k, file in enumerate(files, 1):
        common = ["audit", str(MODEL), "--data", "noise:8", "--device", "cpu", "--resume", points]
        assert main([*common, "--part", f"{k}/2", "--summaries", file]) == 0
    said = capsys.readouterr()
    assert "part 2/2 is empty, as the data has only 1 shard" in " ".join((said.out + said.err).split())
    assert main(["merge", str(MODEL), *files]) == 0


def test_data_without_any_input_stays_an_error_whatever_the_part(tmp_path: Path) -> None:
    for part in ("", "1/2", "2/2"):
        with pytest.raises(InputError):
            service.audit(MODEL, X[:0], ["sparsity"], device="cpu", part=part)
    assert list(tmp_path.iterdir()) == []


def test_a_merge_notes_the_shards_that_it_knows_to_be_missing(tmp_path: Path) -> None:
    files = [tmp_path / f"{k}.sum" for k in (1, 2, 3)]
    for k, file in enumerate(files, 1):
        audited(file, f"{k}/3", shard_size=1)

    def missing(*given: int) -> list[str]:
        notes = service.merge(MODEL, [files[k - 1] for k in given]).provenance.notes
        return [note for note in notes if "missing" in note]

    assert missing(1, 2, 3) == missing(3, 1, 2) == []
    assert missing(1) == ["5 shards of the data are missing, the first at place 2; a part may not have been given"]
    assert missing(2, 3)[0].startswith("3 shards of the data are missing, the first at place 1;")
    assert missing(1, 2)[0].startswith("2 shards of the data are missing, the first at place 3;")


def test_what_one_of_two_data_sets_lacks_is_not_hidden_by_the_other(tmp_path: Path) -> None:
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", X)
    paths = {"summaries": tmp_path / "a.sum"}, {"resume": tmp_path / "points"}
    for name, keep in zip("ab", paths, strict=True):
        service.audit(MODEL, tmp_path / f"{name}.npy", ["sparsity"], device="cpu", shard_size=2, **keep)
    points = sorted((tmp_path / "points").glob("*.sum"))
    merged = service.merge(MODEL, [tmp_path / "a.sum", points[0], *points[2:]])
    assert merged.provenance.missing_shards == 1
    (note,) = [note for note in merged.provenance.notes if "missing" in note]
    assert "b.npy" in note
    assert "the first at place 2;" in note
    assert service.merge(MODEL, [tmp_path / "a.sum", *points]).provenance.missing_shards == 0


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_part_that_ran_unchecked_leaves_the_whole_unchecked(tmp_path: Path, order: tuple[int, int]) -> None:
    for k in (1, 2):
        service.audit(
            MODEL, X, ["sparsity"], device="cpu", shard_size=4, part=f"{k}/2", self_check=k == 1,
            summaries=tmp_path / f"{k}.sum",
        )  # fmt: skip
    merged = service.merge(MODEL, [tmp_path / f"{k}.sum" for k in order])
    assert merged.provenance.check is None
    assert ("Check", "outputs not checked") in merged.lines


def folder(path: Path, *, seed: int, files: int = 3) -> Path:
    """A folder of arrays of two inputs each, which changed when their number says."""
    path.mkdir(parents=True, exist_ok=True)
    for n in range(files):
        file = path / f"{n}.npy"
        np.save(file, np.random.default_rng(seed + n).random((2, 1, 16, 16), np.float32))
        os.utime(file, (seed, seed + n))
    return path


def kept(data: Path, path: Path, **options: Any) -> Path:
    service.audit(MODEL, data, ["sparsity"], device="cpu", shard_size=2, **{"summaries": path} | options)
    return path


def missing_of(*files: Path) -> int:
    return service.merge(MODEL, files).provenance.missing_shards


def test_parts_of_copies_in_two_places_are_one_data_set_whatever_is_merged_with_them(tmp_path: Path) -> None:
    first, second = (kept(folder(tmp_path / f"m{k}", seed=1), tmp_path / f"{k}.sum", part=f"{k}/2") for k in (1, 2))
    other = kept(folder(tmp_path / "b", seed=9), tmp_path / "b.sum")
    assert missing_of(first, second) == missing_of(first, second, other) == 0
    assert missing_of(first, other) == 1
    assert missing_of(second, other) == 2


def test_two_data_sets_of_one_name_do_not_hide_what_the_other_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []
    for name, part in (("a", "1/2"), ("b", "1/1")):
        folder(tmp_path / name / "data", seed=ord(name))
        monkeypatch.chdir(tmp_path / name)
        files.append(kept(Path("data"), tmp_path / f"{name}.sum", part=part))
    assert missing_of(*files) == 1


def test_data_that_grew_is_whole_in_its_checkpoints_and_with_what_it_was(tmp_path: Path) -> None:
    data, points = folder(tmp_path / "data", seed=1), tmp_path / "points"
    before = kept(data, tmp_path / "before.sum", resume=points)
    after = kept(folder(data, seed=1, files=5), tmp_path / "after.sum", resume=points)
    assert missing_of(*sorted(points.glob("*.sum"))) == missing_of(after) == missing_of(before, after) == 0
    union = tmp_path / "union.sum"
    service.merge(MODEL, [before, after], summaries=union)
    assert missing_of(union) == 0


def test_a_file_of_an_earlier_format_is_refused_by_name_and_its_shard_run_again(tmp_path: Path) -> None:
    data, points = folder(tmp_path / "data", seed=1), tmp_path / "points"
    path = kept(data, tmp_path / "a.sum", resume=points)
    for file in (path, *points.glob("*.sum")):
        file.write_bytes(file.read_bytes().replace(b"inspector sums 2", b"inspector sums 1"))
    with pytest.raises(SummaryError, match="another version wrote it; expected format 2, found format 1"):
        service.merge(MODEL, [path])
    kept(data, path, resume=points)
    assert missing_of(*points.glob("*.sum")) == 0


def test_a_merge_without_a_shard_does_not_pass_the_release_policy(tmp_path: Path) -> None:
    files = [tmp_path / f"{k}.sum" for k in (1, 2)]
    data = "noise:90"
    for k, file in enumerate(files, 1):
        service.audit(MODEL, data, ["sparsity"], device="cpu", shard_size=30, part=f"{k}/2", summaries=file)
    whole = service.merge(MODEL, files, policies=["builtin:release"])
    assert (whole.provenance.inputs, whole.provenance.missing_shards) == (90, 0)
    torn = service.merge(MODEL, files[:1], policies=["builtin:release"])
    assert (torn.ok, torn.provenance.inputs, torn.provenance.missing_shards) == (False, 60, 1)
    broken = [{f.rule for f in report.findings if f.severity is Severity.ERROR} for report in (whole, torn)]
    assert broken[1] - broken[0] == {"policy/all-shards"}
    assert report_from_json(report_to_json(torn)).provenance.missing_shards == 1


@pytest.mark.parametrize("reads", ["t.tar", "d.npy"])
def test_what_broke_off_is_counted_over_shards_and_summaries(tmp_path: Path, reads: str) -> None:
    (tmp_path / "data").mkdir()
    for n in range(3):
        np.save(tmp_path / "data" / f"{n}.npy", X[n])
    (tmp_path / "data" / reads).write_bytes(b"x" * 700)
    kept = {"summaries": tmp_path / "a.sum", "resume": tmp_path / "points", "shard_size": 2}
    for _ in range(2):  # the second time from checkpoints
        report = service.audit(MODEL, tmp_path / "data", ["sparsity"], device="cpu", **kept)
        assert (report.provenance.inputs, report.skipped_count, report.provenance.incomplete) == (3, 1, 1)
    assert [skipped.incomplete for skipped in report.skipped] == [True]
    assert service.merge(MODEL, [tmp_path / "a.sum"]).provenance.incomplete == 1


def test_a_wrong_name_in_a_policy_is_said_before_a_merge_adds_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited(tmp_path / "a.sum", "", shard_size=4)

    def never(*_: object) -> None:
        raise AssertionError("it added up")

    monkeypatch.setattr(merge.Gathered, "add", never)
    for rule, says in (
        ('metric = "sparsity.ded"\nmax = 0', "Did you mean 'sparsity.dead'"),
        ('metric = "filters.zero"\nmax = 0', "Run the analysis 'filters' as well"),
        ('metric = "sparsity.dead"\nmax = 0\nlayers = ["cnov1"]', "Did you mean 'conv1'"),
        ('finding = "*/copy"', "Run the analysis 'filters' as well"),
    ):
        (tmp_path / "p.toml").write_text(f'[[rule]]\nid = "r"\n{rule}\n')
        with pytest.raises(InspectorError, match=says):
            service.merge(MODEL, [tmp_path / "a.sum"], policies=[tmp_path / "p.toml"])


def test_no_more_skipped_inputs_are_listed_however_many_shards_had_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MAX_LISTED_SKIPS", 3)
    for i in range(9):
        (tmp_path / f"{i}.png").write_bytes(b"no picture")
    np.save(tmp_path / "x.npy", X[:1])
    report = service.audit(MODEL, tmp_path, ["sparsity"], device="cpu", preprocess="unit", shard_size=2)
    assert [skipped.id for skipped in report.skipped] == ["0.png", "1.png", "2.png"]
    assert report.skipped_count == 9


def test_what_several_parts_ran_on_is_said_once() -> None:
    one = Provenance(
        "m", "ab", data="x", device="cpu", providers={"CPU": 7}, versions={"onnx": "1", "ray": "5"}, notes=("slow",)
    )
    other = Provenance(
        "m",
        "ab",
        data="y",
        device="cuda:0",
        providers={"CPU": 2, "CUDA": 5},
        versions={"onnx": "2"},
        fidelity="exact",
        notes=("slow", "rounded"),
    )
    both = parts.combined(parts.combined(one, other), parts.combined(other, one))
    assert (both.data, both.device) == ("x + y", "cpu + cuda:0")
    assert both.providers == {"CPU": 7, "CUDA": 5}
    assert both.versions == {"onnx": "1 + 2", "ray": "5"}
    assert both.notes == ("slow", "rounded")
    assert parts.combined(Provenance("m", "ab"), other).fidelity == "exact"
