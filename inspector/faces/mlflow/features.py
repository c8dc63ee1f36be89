"""From the data that MLflow evaluates a model with to what is fed to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from inspector.contract import Array, TensorInfo
from inspector.errors import InputError
from inspector.runtime.arrays import Stack, only_input
from inspector.runtime.items import Raw
from inspector.runtime.sources import Data

_MISSING: Final = {"None", "nan", "<NA>", "NaT"}


def data_of(dataset: Any, inputs: Sequence[TensorInfo]) -> Data:
    """What a `mlflow.data.evaluation_dataset.EvaluationDataset` holds, as what is fed to a model with these inputs.

    One column of texts or paths: places, as on the command line. Columns whose cells are arrays: an array for every
    input of the model, by the column's name; a single one needs no name. Only numbers: a row for every input,
    (N, columns). Arrays are fed as they are. Targets are labels.

    Raises:
        InputError: nothing of that, or nothing at all.
    """
    features = dataset.features_data
    columns = _columns(features)
    if not len(features) or not columns:
        raise InputError("data", "it holds nothing to feed", expected="a row and a column at least, beside the targets")
    first = next(iter(columns.values()))
    if len(columns) == 1 and all(isinstance(cell, str | Path) for cell in first):
        return _places(first, labelled=dataset.has_targets)
    if any(column.dtype == object for column in columns.values()):
        arrays = {name: _stacked(name, column) for name, column in columns.items()}
    else:
        arrays = {"data": np.asarray(features)}
    if len(arrays) == 1:
        arrays = {only_input(inputs, "data").name: array for array in arrays.values()}
    return _labelled(arrays, inputs, dataset.labels_data) if dataset.has_targets else arrays


def _columns(features: Any) -> Mapping[str, Array]:
    """The columns of a data frame, or of an array (N, columns), by name."""
    if isinstance(features, np.ndarray):
        return {str(at): features[:, at] for at in range(features.shape[1])}
    if not features.columns.is_unique:
        raise InputError("data", "two of its columns have one name", remedy="Give every column a name of its own.")
    return {str(name): features[name].to_numpy() for name in features.columns}


def _places(cells: Array, *, labelled: bool) -> list[str | Path]:
    if labelled:
        raise InputError(
            "data",
            "files that are named in it take their labels from where they lie",
            expected="no targets beside names of files",
            remedy="Leave targets out; docs/data.md says where labels are looked for.",
        )
    return [cell if isinstance(cell, Path) else str(cell) for cell in cells]


def _stacked(name: str, cells: Array) -> Array:
    """The arrays in a column, one upon the other: (N, …)."""
    found = [np.asarray(cell) for cell in cells]
    forms = {(array.shape, array.dtype) for array in found}
    if len(forms) > 1 or found[0].dtype.kind not in "biufcV":
        raise InputError(
            f"column {name!r} of data",
            "its cells cannot be fed",
            expected="arrays of one shape and element type, as the model takes them; or names of files",
            found="; ".join(sorted(f"{dtype} {shape}" for shape, dtype in forms)[:4]),
            remedy="Or give `data` in evaluator_config.",
        )
    return np.stack(found)


def _labelled(arrays: Mapping[str, Array], inputs: Sequence[TensorInfo], labels: Array) -> list[Raw]:
    """Every row with its label."""
    stack = Stack.of(arrays, inputs, "data")
    rows = zip(stack.ids("data"), labels, strict=True)
    return [Raw(name, tensors=stack.one(at), label=_label(label)) for at, (name, label) in enumerate(rows)]


def _label(target: Any) -> str | None:
    """The class that a target says; none where it is missing, which pandas has several ways to say."""
    return None if not isinstance(target, str) and str(target) in _MISSING else str(target)
