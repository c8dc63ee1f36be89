"""Shards of a data set through one observer, and what each of them gave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from inspector.analysis.feed import Feed, ShardCount
from inspector.analysis.groups import Groups
from inspector.analysis.observe import Observer
from inspector.analysis.parts import Part, Tally
from inspector.analysis.plan import Plan
from inspector.report import Provenance
from inspector.runtime.data import Shard
from inspector.runtime.items import SHARD_STRIDE


def count(
    plan: Plan,
    observer: Observer,
    feed: Feed,
    shards: Iterable[Shard],
    *,
    provenance: Callable[[], Provenance],
    ids: Mapping[int, str],
    done: Callable[[Part], None],
) -> None:
    """Runs the shards in order; `done` hears of each when it is through, before the next is begun.

    `provenance` says how the observer ran so far; `ids` are of shards that are stored. A stream is known by what it
    held.
    """
    groups = Groups(plan)

    def ended(shard: Shard, found: ShardCount) -> None:
        index, digest = shard.first // SHARD_STRIDE, found.digest.hex
        name = f"{shard.name}@{found.digest.sha256[:16]}" if feed.source.is_stream else ids.get(index, "")
        tally = Tally(
            name, index, found.inputs, digest, tuple(found.skipped), found.skipped_count, provenance(),
            found.incomplete, found.may_mend,
        )  # fmt: skip
        done(Part(tally, groups.finish()))

    for rows, batch in observer(feed.batches(observer.together, shards, ended), feed.refuse):
        feed.accept(batch)
        groups.add(rows, batch)
    feed.waited += observer.waited
