"""Real, trained models, where the machine has them beside the project; skipped elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from inspector import service
from inspector.faces.cli import main
from inspector.samples import SAMPLES

DATA = Path(__file__).parents[2] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the folder ../shared/data is not there")


def test_squeezenet_in_float16_has_26_layers_with_their_act_taps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", str(DATA / "squeezenet_fp16.onnx"), "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert len(layers) == 26
    assert all(layer["taps"]["act"] and layer["activation"] == "Relu" for layer in layers)


def test_a_model_with_its_batch_fixed_at_one_is_audited_in_batches_with_the_same_counts() -> None:
    pictures = SAMPLES[0].pictures
    together, single = (
        service.audit(DATA / "mnist.onnx", pictures, preprocess="raw", batch_size=size) for size in (16, 1)
    )
    assert together.provenance.inputs == 200
    assert any("made free" in note for note in together.provenance.notes)
    tables = [r.result("sparsity").blocks[2].rows for r in (together, single)]
    for batched, alone in zip(*tables, strict=True):
        assert batched[:4] == alone[:4]
        assert batched[4:7] == pytest.approx(alone[4:7], rel=1e-5, abs=1e-4)


def test_squeezenet_sees_what_is_in_the_pictures() -> None:
    """The whole way from a JPEG to the class: husky or malamute for the dog, by the channels of the last layer."""
    maps = service.activations(DATA / "squeezenet_fp16.onnx", DATA / "dog.jpg", ["conv10_1"], preprocess="caffe")
    scores = maps["conv10_1:act"][0].astype(np.float64).mean((1, 2))
    assert int(scores.argmax()) in (248, 249, 250)
