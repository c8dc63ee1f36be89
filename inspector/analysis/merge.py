"""Files of summaries, added up as if one run had made them all."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from inspector.analysis.identity import Identity
from inspector.analysis.parts import DataSet, Gathered, unread_inputs
from inspector.analysis.plan import Plan, make_plan
from inspector.analysis.registry import AnalysisRequest
from inspector.analysis.run import conclude
from inspector.analysis.runner import UNUSED
from inspector.analysis.store import MAX_BYTES
from inspector.analysis.sums import Saving, Stored, scan
from inspector.control import Stop
from inspector.errors import ParameterError, SummaryError
from inspector.graph.view import OnnxView
from inspector.paths import check_file
from inspector.report import Report


def merged(
    view: OnnxView, files: Sequence[Path], *, summaries: Path | None = None, most: int = MAX_BYTES,
    stop: Stop | None = None, planned: Callable[[Plan], None] | None = None,
) -> Report:  # fmt: skip
    """The report of all shards in the files, whichever file they are in; a shard that is in several counts once.

    Shards are added up in the order of the data, so that the parts of one data set give what a run of the whole gives.

    Args:
        view: the model that they are of.
        files: what `--summaries` wrote, or checkpoints.
        summaries: file to write the union to.
        most: bytes of a shard's summaries, unpacked.
        stop: ends it between two shards, or two analyses.
        planned: hears of the plan before anything is added up.

    Raises:
        SummaryError: a file is damaged, of another model or of other parameters, or holds nothing.
        LimitError: a part of a file is too large.
        OutputError: the union cannot be written; where that showed late, it has the report.
    """
    if summaries is not None:
        check_file(summaries, beside=True)
    if not files:
        raise ParameterError("summaries", "there are none to merge", expected="one file or more")
    identity, found = _scanned(view, files)
    plan = _plan(view, identity)
    if planned is not None:
        planned(plan)
    shards, twice = _distinct(found)
    gathered, asked = Gathered(plan), stop or Stop()
    with Saving(summaries, identity, plan) as saving:
        for shard in shards:
            asked.check()
            part = shard.part(plan, most)
            saving.add(part)
            gathered.add(part)
    if twice:
        some = "1 shard was" if twice == 1 else f"{twice} shards were"
        gathered.note(f"{some} given more than once; each counts once")
    if unread := [shard.tally.may_mend for shard in shards if shard.tally.may_mend]:
        gathered.note(unread_inputs(unread, "run these shards again, and merge what that gives too"))
    missing = _note_missing(gathered, _data_sets(shards))
    if identity.preprocess and not gathered.provenance.preprocess:
        gathered.note(UNUSED)
    results = conclude(view, plan, gathered.totals, None, asked)
    provenance = replace(gathered.provenance, model=view.name, missing_shards=missing)
    report = Report(provenance, results, tuple(gathered.skipped), gathered.skipped_count)
    if saving.problem:
        raise saving.problem.with_report(report)
    return report


def _scanned(view: OnnxView, files: Sequence[Path]) -> tuple[Identity, list[Stored]]:
    """What the files are of, all the same, and their shards."""
    first, shards = scan(files[0])
    if first.model != view.sha256:
        raise SummaryError(
            str(files[0]),
            "they are of another model",
            expected=f"sha256 {view.sha256[:12]}",
            found=f"sha256 {first.model[:12]}",
            remedy="Give the model that they were made with.",
        )
    found = list(shards)
    for path in files[1:]:
        other, shards = scan(path)
        first.check(other, str(path))
        found += shards
    return first, found


def _plan(view: OnnxView, identity: Identity) -> Plan:
    """The plan of the run that made them; SummaryError where this installation makes another one of it."""
    plan = make_plan(view, [_request(a.name, a.params) for a in identity.analyses], allow_maps=False)
    here = Identity.of(
        view, plan, fidelity=identity.fidelity, preprocess=identity.preprocess, shard_size=identity.shard_size
    )
    here.check(identity, "summaries")
    return plan


def _request(name: str, params: str) -> AnalysisRequest:
    try:
        values = json.loads(params)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise SummaryError("summaries", f"the parameters of {name[:80]!r} cannot be read", expected="a JSON object")
    return AnalysisRequest(name, values)


def _data_sets(shards: Sequence[Stored]) -> dict[DataSet, dict[int, str]]:
    """By data set the places that are there, and what the data of each was called."""
    found: dict[DataSet, dict[int, str]] = {}
    for shard in shards:
        for data in shard.tally.sets:
            found.setdefault(data, {})[shard.tally.index] = shard.tally.provenance.data
    return found


def _note_missing(gathered: Gathered, sets: Mapping[DataSet, Mapping[int, str]]) -> int:
    """How many shards of these data sets are not there; a note tells it of each."""
    missing = 0
    for data, known in sets.items():
        if count := data.shards - len(known):
            name = next(iter(known.values())) if len(sets) > 1 else ""
            gathered.note(_gap(name, count, known))
            missing += count
    return missing


def _gap(data: str, missing: int, known: Collection[int]) -> str:
    """What of one data set is missing."""
    first = next(i for i in itertools.count() if i not in known)
    of = f"of {data}" if data else "of the data"
    are = f"{missing:,} shards {of} are" if missing > 1 else f"1 shard {of} is"
    return f"{are} missing, the first at place {first + 1:,}; a part may not have been given"


def _distinct(found: Iterable[Stored]) -> tuple[list[Stored], int]:
    """Every shard once, of all its data sets, in the order of the data; and how many there were too many.

    One of which a store did not give all counts as it is in the file that has the most of it.
    """
    known: dict[str, Stored] = {}
    count = 0
    for shard in found:
        count += 1
        name = shard.tally.shard
        first = known.setdefault(name, shard)
        if first.tally.digest != shard.tally.digest and not (first.tally.may_mend or shard.tally.may_mend):
            raise SummaryError(
                f"shard {name!r}",
                "two files hold it with different inputs",
                expected=f"inputs {first.tally.digest[:12]} as in {first.path}",
                found=f"{shard.tally.digest[:12]} in {shard.path}",
                remedy="Run one of them again.",
            )
        sets = tuple(dict.fromkeys((*first.tally.sets, *shard.tally.sets)))
        fuller = min(first, shard, key=lambda found: found.tally.may_mend)
        known[name] = replace(fuller, tally=replace(fuller.tally, sets=sets))
    return sorted(known.values(), key=lambda shard: (shard.tally.index, shard.tally.shard)), count - len(known)
