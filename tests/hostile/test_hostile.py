"""Hostile files: each is used or refused in words. This is the short part of `make fuzz` that never changes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from hostile_files import MADE, NEVER_ENDS, PLACES, made
from hostile_mutations import mutant
from hostile_pool import Verdict, judged

import inspector
from inspector.control import Stop
from inspector.errors import InspectorError, ModelError, StoppedError
from inspector.graph.load import load

SLOW = {"doubled_weights"}
"""Whose weights are computed up to the limit on them, which takes seconds."""
MUTANTS = 200


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    cases = [f"made:{name}" for name in MADE if name not in NEVER_ENDS | SLOW]
    cases += [f"mutant:{number}" for number in range(MUTANTS)]
    return {verdict.case: verdict for verdict in judged(cases, children=2)}


def test_every_hostile_file_is_used_or_refused_in_words(verdicts: dict[str, Verdict]) -> None:
    bad = [f"{v.case}: {v.text}" for v in verdicts.values() if v.kind not in ("works", "refused")]
    assert bad == []
    assert len(verdicts) == len(MADE) - len(NEVER_ENDS | SLOW) + MUTANTS


def test_the_files_get_far_enough_to_hurt(verdicts: dict[str, Verdict]) -> None:
    """A corpus that the first check refuses would show nothing."""
    ran = [v for v in verdicts.values() if v.text == "works: run"]
    refused_late = [v for v in verdicts.values() if "RUNTIME_FAILED" in v.text or "no session" in v.text]
    assert len(ran) > 50
    assert len(refused_late) > 10


def test_what_never_ends_ends_when_its_caller_stops_it() -> None:
    stop = Stop()
    timer = threading.Timer(1.0, stop.set)
    timer.start()
    with pytest.raises(StoppedError):
        inspector.audit(made("endless_loop"), np.zeros((1, 3, 6, 5), np.float32), device="cpu", stop=stop)
    timer.join()


def test_the_harness_reports_what_it_is_there_to_find() -> None:
    (verdict,) = judged(["mutant:no number"], children=1)
    assert verdict.text.startswith("FAULT: ValueError at hostile_judge.py:")


def test_the_same_number_gives_the_same_mutant() -> None:
    assert [mutant(n) for n in range(20)] == [mutant(n) for n in range(20)]
    assert len({mutant(n) for n in range(20)}) > 15


@pytest.mark.parametrize("name", PLACES)
def test_weights_in_any_other_place_are_refused(name: str) -> None:
    with pytest.raises(ModelError):
        load(made(name))


@pytest.mark.parametrize("name", ["functions_2_to_the_60", "conv_stride_0", "norm_of_nan"])
def test_the_child_of_a_trial_says_of_a_file_what_loading_it_says(name: str) -> None:
    loaded = said(lambda: len(load(made(name), name="net").layers))
    assert said(lambda: inspector.vet(made(name), name="net").layers) == loaded


def said(work: Callable[[], int]) -> str:
    """The number of layers, or the error with its kind."""
    try:
        return str(work())
    except InspectorError as error:
        return f"{type(error).__name__}: {error}"
