"""Sums by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from inspector.contract.model import Array
from inspector.contract.summary import Same, Summary
from inspector.errors import LimitError, SummaryError

MAX_LABEL: Final = 256
"""Characters of a label. Every tap remembers all labels."""


@dataclass(frozen=True, eq=False)
class ByLabel(Summary):
    """Sums of rows by the class of their input; the classes of two parts are united.

    Attributes:
        limit: () int64, how many classes there may be.
        labels: (L,) text, ascending; the classes that were seen.
        inputs: (L,) int64, inputs of each class.
        sums: (L, ...) float64, sum of the rows of each class. Not finite where a row was not.
        unlabelled: () int64, inputs whose class is unknown; they are in no sum.
    """

    limit: Same
    labels: Array
    inputs: Array
    sums: Array
    unlabelled: Array

    @classmethod
    def of(cls, limit: int, labels: Sequence[str | None], values: Array) -> Self:
        """From one batch: `values` is (N, ...), `labels` its classes (None: unknown); empty: none is known.

        Raises:
            LimitError: there are more than `limit` classes, or a label is longer than 256 characters.
        """
        texts = [None if x is None else x.rstrip("\0") for x in labels or [None] * len(values)]  # as NumPy keeps them
        known = sorted({x for x in texts if x is not None})
        _check(limit, known)
        place = {label: i for i, label in enumerate(known)}
        labelled = [i for i, text in enumerate(texts) if text is not None]
        rows = np.array([place[str(texts[i])] for i in labelled], np.int64)
        inputs = np.bincount(rows, minlength=len(known)).astype(np.int64)
        by_class = values[np.array(labelled, np.int64)[np.argsort(rows, kind="stable")]].astype(np.float64)
        with np.errstate(invalid="ignore"):  # Inf and -Inf make NaN: not finite, as promised
            sums = np.add.reduceat(by_class, np.cumsum(inputs) - inputs, axis=0) if known else by_class
        unlabelled = np.array(len(texts) - len(labelled), np.int64)
        return cls(np.array(limit, np.int64), np.array(known, np.str_), inputs, sums, unlabelled)

    def __add__(self, other: Self) -> Self:
        if int(self.limit) != int(other.limit):
            raise SummaryError(
                "sums by class",
                "they allow different numbers of classes",
                expected=str(self.limit),
                found=str(other.limit),
            )
        known = sorted({*self.labels.tolist(), *other.labels.tolist()})
        _check(int(self.limit), known)
        labels = np.array(known, np.str_)
        inputs, sums = np.zeros(len(known), np.int64), np.zeros((len(known), *self.sums.shape[1:]))
        with np.errstate(invalid="ignore"):  # as above
            for part in (self, other):
                at = np.searchsorted(labels, part.labels)
                inputs[at] += part.inputs
                sums[at] += part.sums
        return type(self)(self.limit, labels, inputs, sums, self.unlabelled + other.unlabelled)


def _check(limit: int, labels: Sequence[str]) -> None:
    if len(labels) > limit:
        raise LimitError(
            "labels",
            "there are too many classes",
            expected=f"at most {limit}",
            found=f"{len(labels)} so far, among them {labels[0][:40]!r} and {labels[-1][:40]!r}",
            remedy="Check that the labels are classes and not names of inputs; allow more if they are.",
        )
    if long := next((x for x in labels if len(x) > MAX_LABEL), None):
        raise LimitError(
            f"label {long[:40]!r}…",
            "it is too long",
            expected=f"at most {MAX_LABEL} characters",
            found=str(len(long)),
            remedy="Use names of classes as labels.",
        )
