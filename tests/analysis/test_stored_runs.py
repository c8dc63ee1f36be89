"""What is stored of a run can be read again, or is refused before it runs; and says what it is of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import Again, installed

from inspector import service
from inspector.analysis import sums
from inspector.analysis.observe import Observer
from inspector.analysis.parts import combined
from inspector.analysis.runner import UNUSED
from inspector.errors import LimitError, SummaryError
from inspector.report import Check
from inspector.runtime.items import Raw
from inspector.runtime.preprocess import Preprocess
from inspector.samples import SAMPLES

DIGITS = SAMPLES[0]
X = np.random.default_rng(5).random((10, 1, 16, 16), np.float32)
OPTIONS: dict[str, Any] = {"device": "cpu", "shard_size": 4, "batch_size": 3}


def stored(path: Path, **options: Any) -> Path:
    service.audit(**{"model": DIGITS.model, "data": X, **OPTIONS, "summaries": path} | options)
    return path


def test_an_analysis_that_explores_is_not_blamed_where_its_checkpoints_are_merged(tmp_path: Path) -> None:
    with installed(Again):
        service.audit(DIGITS.model, X, ["again", "sparsity"], **OPTIONS, resume=tmp_path)
        merged = service.merge(DIGITS.model, sorted(tmp_path.glob("*.sum")))
    failure = merged.result("again").failure
    assert failure is not None
    assert failure.kind == "INAPPLICABLE"
    assert "nothing to run" in failure.message
    assert merged.result("sparsity").failure is None


def test_another_choice_of_taps_is_another_run(tmp_path: Path) -> None:
    """A plugin may choose others without a new version."""
    identity, _ = sums.scan(stored(tmp_path / "a.sum"))
    (asked,) = identity.analyses
    with pytest.raises(SummaryError, match=r"the taps of 'sparsity'; expected \d taps, found 1 taps"):
        identity.check(replace(identity, analyses=(replace(asked, taps=asked.taps[:1]),)), "summaries")


def test_of_two_parts_the_larger_numbers_the_worse_check_and_what_one_of_them_did_are_kept() -> None:
    provenance = service.audit(DIGITS.model, X, **OPTIONS).provenance
    apart = Check(1, 3.5, 0.2, equal=False, passed=False)
    more = replace(
        provenance, batch=9, preprocess="unit", providers={"CPUExecutionProvider": 1000, "Other": 3}, check=apart
    )
    for a, b in ((provenance, more), (more, provenance)):
        both = combined(a, b)
        assert (both.batch, both.providers) == (9, {"CPUExecutionProvider": 1000, "Other": 3})
        assert (both.check, both.preprocess) == (apart, "unit")


def test_preprocessing_is_stated_where_a_picture_was_read_and_noted_where_it_was_not_needed(tmp_path: Path) -> None:
    def run(data: Any, **options: Any) -> tuple[str, bool]:
        origin = service.audit(DIGITS.model, data, ["sparsity"], preprocess="unit", **options).provenance
        return origin.preprocess, UNUSED in origin.notes

    picture = next(DIGITS.pictures.rglob("*.png"))
    np.save(tmp_path / "x.npy", X)
    stated = Preprocess.parse("unit").text
    for arrays in (X, "noise:3", tmp_path / "x.npy", [Raw("a", tensors={"image": X[:1]})]):
        assert run(arrays) == ("", True)
    for pictures in (picture, [tmp_path / "x.npy", picture], [Raw("a", picture=picture.read_bytes())]):
        assert run(pictures) == (stated, False)
    for _ in range(2):  # the second time all comes from checkpoints
        assert run(DIGITS.pictures, resume=tmp_path / "kept") == (stated, False)
    assert run(X, part="2/2") == ("", False)  # nothing ran


def test_a_merge_notes_as_its_run_does_that_preprocessing_was_not_needed(tmp_path: Path) -> None:
    file = tmp_path / "a.sum"
    for data, noted in ((X, True), (DIGITS.pictures, False)):
        run = service.audit(DIGITS.model, data, ["sparsity"], preprocess="unit", summaries=file).provenance
        merged = service.merge(DIGITS.model, [file]).provenance
        assert merged.notes == run.notes
        assert (UNUSED in merged.notes, merged.preprocess) == (noted, run.preprocess)


def test_preprocessing_that_was_not_needed_makes_no_comparison_unfair() -> None:
    before = service.audit(DIGITS.model, X, **OPTIONS)
    after = service.audit(DIGITS.model, X, **OPTIONS | {"preprocess": "unit"})
    assert service.compare(before, after, ["builtin:unchanged"]).ok


@pytest.mark.parametrize("where", ["summaries", "resume"])
def test_a_run_whose_files_could_not_be_read_again_is_refused_before_it_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    monkeypatch.setattr(sums, "MAX_TEXT", 400)
    monkeypatch.setattr(Observer, "__call__", None)
    with pytest.raises(LimitError, match="too long to be stored with summaries; expected at most 400 bytes"):
        service.audit(
            DIGITS.model, X, [f"sparsity:near={i + 1}" for i in range(9)], **OPTIONS, **{where: tmp_path / "x"}
        )


def test_the_longest_names_of_skipped_inputs_can_be_read_again(tmp_path: Path) -> None:
    """A character beyond the first 65,536 takes twelve bytes of JSON."""
    folder = tmp_path
    for _ in range(14):
        folder /= "😀" * 60
    folder.mkdir(parents=True)
    (tmp_path / "0.png").write_bytes(next(DIGITS.pictures.rglob("*.png")).read_bytes())
    for i in range(110):
        (folder / f"{i:03d}.png").write_bytes(b"no picture")
    file = stored(tmp_path / "a.sum", data=tmp_path, preprocess="unit", shard_size=200)
    merged = service.merge(DIGITS.model, [file])
    assert (merged.provenance.inputs, merged.skipped_count, len(merged.skipped)) == (1, 110, 100)
    assert [skipped.id.endswith(f"😀/{i:03d}.png") for i, skipped in enumerate(merged.skipped[:3])] == [True] * 3
