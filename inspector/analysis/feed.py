"""The inputs of one run on their way in: counted, identified, limited, and what was skipped remembered."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from inspector.contract import Array, TensorInfo
from inspector.control import Progress, Stop, Watcher
from inspector.errors import InputError
from inspector.report import Skipped
from inspector.runtime.data import Batch, Digest, Source, batches, open_source
from inspector.runtime.preprocess import Preprocess

MAX_LISTED_SKIPS: Final = 100
"""Skipped inputs that a report names; all are counted."""


class Feed:
    """Opens a data source and passes its batches on.

    After the run: `count` inputs were used, `digest` identifies them, `skipped` names those that could not be used,
    `looked_at` holds the inputs that may be run again, `waited` is how many seconds the run waited for inputs.
    """

    def __init__(
        self,
        data: Any,
        inputs: tuple[TensorInfo, ...],
        preprocess: str,
        *,
        watch: Watcher,
        stop: Stop,
        most: int | None,
        strict: bool = False,
    ) -> None:
        """`most`: how many inputs are allowed, None for any number. `strict`: an input that is skipped is an error."""
        self.preprocess = Preprocess.parse(preprocess) if preprocess else None
        self.source: Source = open_source(data, inputs, self.preprocess)
        self._watch, self._stop, self._most, self._strict = watch, stop, most, strict
        self.waited = 0.0
        self.count = 0
        self._kept: list[Mapping[str, Array]] = []
        self.skipped: list[Skipped] = []
        self.skipped_count = 0
        self.digest = Digest()
        self._limit(self.source.total or 0)

    def batches(self, size: int) -> Iterator[Batch]:
        """Batches of up to `size` inputs.

        Raises:
            InputError: there were too many inputs, none that could be used, or (strict) one that could not.
        """
        with contextlib.closing(batches(self.source, size, stop=self._stop, on_skip=self._skip)) as inner:
            for batch in inner:
                self.waited += batch.waited
                self._keep(batch.feeds)
                self.count += len(batch.info.ids)
                self._limit(self.count)
                self.digest.update(batch)
                yield batch
                self._watch(Progress("run", self.count + self.skipped_count, self.source.total))
        if not self.count:
            reason = self.skipped[0].reason if self.skipped else "there was none"
            raise InputError(
                self.source.description, f"none of {self.skipped_count} inputs could be used", found=reason.rstrip(".")
            )

    @property
    def looked_at(self) -> Mapping[str, Array]:
        """Inputs for analyses that explore: all of the first one's shape where their number is limited, or a batch."""
        return {name: np.concatenate([feeds[name] for feeds in self._kept]) for name in self._kept[0]}

    def _keep(self, feeds: Mapping[str, Array]) -> None:
        limited = self._most is not None
        if not self._kept or (limited and all(a.shape[1:] == self._kept[0][n].shape[1:] for n, a in feeds.items())):
            self._kept.append(feeds)

    def _skip(self, skipped: Skipped) -> None:
        if self._strict:
            remedy = "Mend or remove it, or run without strict, which skips and counts such inputs."
            raise InputError(
                f"input {skipped.id!r}", "it cannot be used", found=skipped.reason.rstrip("."), remedy=remedy
            )
        self.skipped_count += 1
        if len(self.skipped) < MAX_LISTED_SKIPS:
            self.skipped.append(skipped)

    def _limit(self, count: int) -> None:
        if self._most is not None and count > self._most:
            raise InputError(
                "inputs",
                "there are too many to look at closely",
                expected=f"at most {self._most}",
                found=str(count),
                remedy="Give fewer, or use audit, which adds up any number.",
            )
