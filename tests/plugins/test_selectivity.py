"""The selectivity analysis against its slow twin, on planted channels, and where it has nothing to say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from identity import identity_net, published, rows
from inspector_plugins._activation_bounds import sign_depends_on
from inspector_plugins._selectivity_result import Selectivities, TapSelectivity
from inspector_plugins._selectivity_view import show
from inspector_plugins.selectivity import Selectivity
from models import SAME, model, numbers
from reference import selectivity

from inspector import Array, Heatmap, Report, Tap, TapKind, service
from inspector.samples import SAMPLES, Sample

TITLES = ("Selectivity by layer", "Selectivity by channel")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the inputs of a test lie."""
    return tmp_path


def write(folder: Path, x: Array, labels: Sequence[str | None]) -> None:
    """Every input as a file, in the folder of its class; files that have none lie above."""
    for i, (one, label) in enumerate(zip(x, labels, strict=True)):
        place = folder / label if label else folder
        place.mkdir(exist_ok=True)
        np.save(place / f"{i:03}.npy", one)


def audited(folder: Path, net: bytes | None = None, batch_size: int = 0, **params: object) -> Report:
    request = service.AnalysisRequest("selectivity", params)
    return service.audit(net or identity_net(), folder, [request], fidelity="exact", batch_size=batch_size)


def check(report: Report, where: str, maps: Array, labels: Sequence[str | None]) -> None:
    """Index, class and means of every channel of a tap: index to 1e-5, as the graph's means are float32."""
    own = [row for row in rows(report, "selectivity", TITLES[1]) if row["tap"] == where]
    twins = [selectivity(maps[:, c], labels) for c in range(maps.shape[1])]
    for row, (index, best) in zip(own, twins, strict=True):
        assert (math.nan if row["index"] is None else row["index"]) == pytest.approx(index, abs=1e-5, nan_ok=True)
        assert row["class"] == (None if math.isnan(index) else best)
    found = published(report, "selectivity")[where]
    np.testing.assert_allclose(found["channel_index"], [index for index, _ in twins], atol=1e-5)
    known = [index for index, _ in twins if not math.isnan(index)]
    assert found["most"] == pytest.approx(max(known), abs=1e-5)
    assert found["median"] == pytest.approx(np.median(known), abs=1e-5)
    (layer,) = (row for row in rows(report, "selectivity", TITLES[0]) if row["tap"] == where)
    assert layer["with an index"] == len(known)
    assert layer["greatest index"] == pytest.approx(max(known), abs=1e-5)
    assert twins[layer["top channel"]] == (pytest.approx(max(known), abs=1e-5), layer["its class"])
    assert layer["unlabelled"] == found["unlabelled"] == list(labels).count(None)
    assert found["inputs"] == len(labels) - list(labels).count(None)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_every_number_on_the_samples_is_that_of_the_slow_twin(sample: Sample) -> None:
    view = service.load(sample.model)
    folders = sorted(sample.pictures.iterdir())
    labels = [f.name for f in folders for _ in f.iterdir()]
    maps = service.activations(view, sample.pictures, preprocess=sample.preprocess)
    report = service.audit(view, sample.pictures, ["selectivity"], preprocess=sample.preprocess, fidelity="exact")
    measured = [row["tap"] for row in rows(report, "selectivity", TITLES[0])]
    assert measured == [tap.name for tap in view.taps() if tap.activation == "Relu"]
    for where in measured:
        check(report, where, maps[where], labels)


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_classes_of_different_sizes_weigh_the_same_and_inputs_without_one_are_left_out(
    folder: Path, batch_size: int
) -> None:
    labels = [*["ant"] * 7, *["bee"] * 2, None, None, "cat"]
    x = numbers(len(labels), 3, 6, 5)
    x[:, 1] = -1
    write(folder, x, labels)
    report = audited(folder, batch_size=batch_size)
    check(report, "c:act", np.maximum(x, 0), labels)
    assert rows(report, "selectivity", "Classes") == [
        {"class": "ant", "inputs": 7}, {"class": "bee", "inputs": 2}, {"class": "cat", "inputs": 1},
    ]  # fmt: skip
    (layer,) = rows(report, "selectivity", TITLES[0])
    assert (layer["classes"], layer["fewest per class"], layer["unlabelled"]) == (3, 1, 2)
    (table,) = (b for b in report.result("selectivity").blocks if b.title == TITLES[0])
    assert table.caption.startswith("Over 10 inputs of 3 classes, 1 to 7 each; 2 without a label left out.")


def test_one_class_alone_is_1_all_alike_is_0_and_off_is_nothing(folder: Path) -> None:
    """Means of 3 and 1 for one class, 1 for the two others: (3 - 1) / (3 + 1)."""
    labels = ["ant", "bee", "cat"]
    x = np.ones((3, 3, 2, 2), np.float32)
    x[:, 0], x[1, 0], x[:, 2] = 1, 3, -1
    write(folder, x, labels)
    found = [(row["index"], row["class"]) for row in rows(audited(folder), "selectivity", TITLES[1])]
    assert found == [(0.5, "bee"), (0.0, "ant"), (None, None)]
    x[0, 1], x[2, 1] = 0, 0
    write(folder, x, labels)
    assert rows(audited(folder), "selectivity", TITLES[1])[1]["index"] == 1


def test_a_channel_that_is_not_finite_for_one_input_has_no_index(folder: Path) -> None:
    x = numbers(4, 3, 6, 5)
    x[2, 1, 0, 0] = np.nan
    write(folder, x, ["ant", "bee", "ant", "bee"])
    assert [row["index"] is None for row in rows(audited(folder), "selectivity", TITLES[1])] == [False, True, False]


def test_without_two_classes_it_says_how_labels_come(folder: Path) -> None:
    write(folder, numbers(3, 3, 6, 5), [None, "ant", "ant"])
    for data in (folder, numbers(3, 3, 6, 5)):
        failure = service.audit(identity_net(), data, ["selectivity"]).result("selectivity").failure
        assert failure is not None
        assert failure.kind == "INAPPLICABLE"
        assert "labels of at least 2 classes" in failure.message
        assert "one folder per class" in failure.message + failure.remedy


@pytest.mark.parametrize("activation", ["HardSwish", "LeakyRelu", "Tanh"])
def test_values_below_zero_are_no_ground_for_an_index(folder: Path, activation: str) -> None:
    failure = service.audit(identity_net(activation), numbers(3, 3, 6, 5), ["selectivity"]).results[0].failure
    assert failure is not None
    assert failure.kind == "INAPPLICABLE"
    assert f"after {activation} values can lie below zero" in failure.message


@pytest.mark.parametrize("alpha", [0.5, -0.5])
def test_where_the_sign_depends_on_a_number_that_the_tap_does_not_hold_nothing_is_said_of_it(alpha: float) -> None:
    net = identity_net(f"ThresholdedRelu <alpha={alpha}>")
    failure = service.audit(net, numbers(3, 3, 6, 5), ["selectivity"]).results[0].failure
    assert failure is not None
    assert "after ThresholdedRelu it depends on its alpha whether values can lie below zero" in failure.message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Clip(?,6)", "bounds that are computed"),
        ("Clip(0,?)", "bounds that are computed"),
        ("Clip(-1,?)", ""),
        ("Clip(-1,6)", ""),
        ("Tanh", ""),
        (None, ""),
    ],
)
def test_the_sign_behind_a_clip_is_known_where_its_bounds_are(name: str | None, said: str) -> None:
    assert sign_depends_on(Tap("c", TapKind.ACT, "y", 3, name)) == said


@pytest.mark.parametrize(
    "net", [identity_net("Sigmoid"), identity_net("Clip", lo=0.0, hi=6.0)], ids=["sigmoid", "clip"]
)
def test_other_activations_without_values_below_zero_are_measured(folder: Path, net: bytes) -> None:
    x, labels = numbers(4, 3, 6, 5), ["ant", "ant", "bee", "bee"]
    write(folder, x, labels)
    check(audited(folder, net), "c:act", service.activations(net, x)["c:act"], labels)


def test_taps_that_cannot_be_used_are_listed_with_the_reason(folder: Path) -> None:
    net = model(f"[c] a = Conv {SAME} (x, w) r = Relu(a) [d] e = Conv {SAME} (r, v) y = Tanh(e)",
                weights={"w": numbers(4, 3, 3, 3), "v": numbers(2, 4, 3, 3)})  # fmt: skip
    write(folder, numbers(2, 3, 6, 5), ["ant", "bee"])
    report = audited(folder, net)
    assert [row["tap"] for row in rows(report, "selectivity", TITLES[0])] == ["c:act"]
    (left_out,) = rows(report, "selectivity", "Without selectivity")
    assert (left_out["tap"], left_out["tensor"]) == ("d:act", "y")
    assert left_out["reason"].startswith("after Tanh values can lie below zero")


def test_more_classes_than_allowed_are_a_failure_that_says_what_was_found(folder: Path) -> None:
    write(folder, numbers(4, 3, 6, 5), ["ant", "bee", "cat", "dog"])
    failure = audited(folder, batch_size=1, most_classes=2).result("selectivity").failure
    assert failure is not None
    assert failure.kind == "LIMIT_EXCEEDED"
    assert "at most 2" in failure.message


def test_the_picture_shows_the_most_selective_channels_with_their_own_class_at_1(folder: Path) -> None:
    x = np.ones((3, 3, 2, 2), np.float32)
    x[2, 0], x[1, 1] = 2, 9
    write(folder, x, ["ant", "bee", "cat"])
    (picture,) = (b for b in audited(folder, top=2).result("selectivity").blocks if isinstance(b, Heatmap))
    assert picture.column_labels == ("c 1", "c 0")
    assert picture.row_labels == ("ant", "bee", "cat")
    np.testing.assert_allclose(picture.values, [[1 / 9, 0.5], [1, 0.5], [1 / 9, 1]], rtol=1e-6)


def test_the_classes_are_those_of_the_tap_that_saw_most_inputs() -> None:
    """In a model with branches not every input reaches every tap."""
    taps = [Tap("c", TapKind.ACT, "a", 1, "Relu"), Tap("d", TapKind.ACT, "b", 1, "Relu")]
    seen = [(("ant", "bee"), [1, 2]), (("ant", "bee", "cat"), [3, 4, 5])]
    found = [
        TapSelectivity.of(tap, names, np.array(inputs), 0, np.ones((len(names), 1)))
        for tap, (names, inputs) in zip(taps, seen, strict=True)
    ]
    (table,) = (b for b in show(Selectivities(found, {}), Selectivity.Params()) if b.title == "Classes")
    assert table.rows == (("ant", 3), ("bee", 4), ("cat", 5))


def test_of_many_classes_those_of_the_drawn_channels_are_drawn(folder: Path) -> None:
    x = np.ones((50, 3, 1, 1), np.float32)
    x[49, 0], x[48, 1], x[47, 2] = 4, 3, 2
    labels = [f"class {i:02}" for i in range(50)]
    write(folder, x, labels)
    (picture,) = (b for b in audited(folder).result("selectivity").blocks if isinstance(b, Heatmap))
    assert picture.row_labels == (*labels[:37], *labels[47:])
    assert "40 of 50 classes are drawn" in picture.caption
