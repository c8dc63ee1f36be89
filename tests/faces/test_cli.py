"""The command line, as a user types it: exit codes, one clear line for every mistake, JSON that programs can read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import inspector
from inspector.faces.cli import main
from inspector.faces.wire import report_from_json
from inspector.samples import SAMPLES
from inspector.service import INSPECT_DEFAULT, STATIC_DEFAULT

DIGITS, HOT, PATCHES = SAMPLES
LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
Capture = pytest.CaptureFixture[str]


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


@pytest.fixture
def fails(capsys: Capture) -> Callable[..., str]:
    """Runs a command that cannot be done; gives its one line."""

    def run(*arguments: object) -> str:
        code = main([str(a) for a in arguments])
        output = capsys.readouterr()
        assert code == 2
        assert output.out == ""
        (line,) = lines(output.err)
        return line

    return run


def test_what_pillow_remarks_of_metadata_is_not_shown(
    tmp_path: Path, capsys: Capture, recwarn: pytest.WarningsRecorder
) -> None:
    exif = Image.Exif()
    exif[0x010F] = "maker"
    Image.new("L", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    data = (tmp_path / "a.jpg").read_bytes()
    at = data.index(b"Exif") + 14  # the number of entries
    (tmp_path / "a.jpg").write_bytes(data[:at] + b"\0\x09" + data[at + 2 :])
    assert main(["audit", str(DIGITS.model), "-d", str(tmp_path), "-p", "unit", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["provenance"]["inputs"] == 1
    assert [str(w.message) for w in recwarn if "PIL" in w.filename] == []


def test_describe_lists_every_layer_with_its_taps(capsys: Capture) -> None:
    assert main(["describe", str(PATCHES.model), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    layers = {layer["name"]: layer for layer in described["layers"]}
    assert list(layers) == ["stem/conv", "block/depthwise", "block/pointwise", "head/conv"]
    assert layers["block/depthwise"]["depthwise"] is True
    assert layers["stem/conv"]["taps"] == {"conv": "stem/conv:out", "norm": "stem/bn:out", "act": "stem/relu:out"}
    assert layers["head/conv"]["activation"] == "SiLU"
    assert layers["stem/conv"]["macs"] == 24 * 3 * 7 * 7 * 16 * 16
    field = layers["head/conv"]["receptive_field"]["image"]
    # 7, a pool of 2 (jump 2), then 3, 1 and 3 (jump 4): 7 + 1 * 2 + 2 * 4 + 0 * 4 + 2 * 4.
    assert (field["size"], field["stride"], field["offset"]) == ([25, 25], [4, 4], [-11, -11])
    assert described["model"]["inputs"] == [{"name": "image", "dtype": "float32", "shape": ["N", 3, 32, 32]}]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("bvlc_alexnet", 5), ("densenet121", 121), ("inception_v1", 57), ("inception_v2", 69), ("resnet50", 53),
        ("shufflenet", 49), ("squeezenet", 26), ("vgg19", 16), ("zfnet512", 5),
    ],
)  # fmt: skip
def test_describe_finds_every_convolution_of_the_light_models(name: str, count: int, capsys: Capture) -> None:
    assert main(["describe", str(LIGHT / f"light_{name}.onnx"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["layers"]) == count


def test_describe_for_people_names_the_layers(capsys: Capture) -> None:
    assert main(["describe", str(DIGITS.model)]) == 0
    assert {"conv1", "conv2", "conv3"} <= set(capsys.readouterr().out.split())


def test_describe_lists_every_tap_by_the_name_that_other_commands_take(capsys: Capture) -> None:
    assert main(["describe", str(PATCHES.model)]) == 0
    assert "4 convolutions; --taps lists where they can be watched" in capsys.readouterr().out
    assert main(["describe", str(PATCHES.model), "--taps"]) == 0
    rows = [line.split() for line in lines(capsys.readouterr().out)]
    assert ["stem/conv:conv", "stem/conv:out", "\N{EN DASH}"] in rows
    assert ["stem/conv:norm", "stem/bn:out", "\N{EN DASH}"] in rows
    assert ["stem/conv:act", "stem/relu:out", "Relu"] in rows


def test_an_audit_reports_dead_filters_of_the_badly_trained_model_and_none_of_the_sane_one(
    capsys: Capture, tmp_path: Path
) -> None:
    dead = {}
    for sample in (DIGITS, HOT):
        file = tmp_path / f"{sample.name}.json"
        code = main(["audit", str(sample.model), "-d", str(sample.pictures), "-p", "unit", "--json", str(file)])
        assert code == 0
        report = report_from_json(file.read_text())
        assert report.provenance.inputs == 200
        dead[sample.name] = {f.layer: f.channels for f in report.findings if f.rule == "sparsity/dead"}
    capsys.readouterr()
    assert dead["digits"] == {}
    assert dead["digits_hot"] == {
        "conv1": (0, 1, 3, 4, 6, 7),
        "conv2": (1, 2, 4, 5, 6, 7, 9, 12, 13, 14, 15),
        "conv3": (2, 5, 6, 7, 8, 11, 12, 15, 22, 24, 25, 26, 28),
    }


def test_json_to_standard_output_is_nothing_but_json(capsys: Capture) -> None:
    assert main(["inspect", str(DIGITS.model), "-a", "connectivity", "--json", "-"]) == 0
    report = report_from_json(capsys.readouterr().out)
    assert [r.name for r in report.results] == ["connectivity"]


def test_inspect_writes_its_report_and_pictures(capsys: Capture, tmp_path: Path) -> None:
    picture = min(PATCHES.pictures.rglob("*.png"))
    assert main(["inspect", str(PATCHES.model), "-i", str(picture), "-p", "signed", "-o", str(tmp_path)]) == 0
    report = report_from_json((tmp_path / "report.json").read_text())
    assert [r.name for r in report.results] == ["filters", "activations", "sparsity", "connectivity"]
    assert len(list(tmp_path.glob("*.png"))) > 10
    assert "stem/conv" in capsys.readouterr().out


def test_activations_writes_the_arrays(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "maps.npz"
    arrays = np.zeros((2, 1, 16, 16), np.float32)
    np.save(tmp_path / "in.npy", arrays)
    assert (
        main(["activations", str(DIGITS.model), "-i", str(tmp_path / "in.npy"), "-t", "conv1:*", "-o", str(file)]) == 2
    )
    capsys.readouterr()
    assert (
        main(["activations", str(DIGITS.model), "-i", str(tmp_path / "in.npy"), "-t", "conv1:conv", "-o", str(file)])
        == 0
    )
    with np.load(file) as maps:
        assert {name: m.shape for name, m in maps.items()} == {"conv1:conv": (2, 8, 16, 16)}
    assert "1 taps" in capsys.readouterr().out


def test_plugins_lists_the_analyses_with_their_schema(capsys: Capture) -> None:
    assert main(["plugins", "--json"]) == 0
    infos = {info["name"]: info for info in json.loads(capsys.readouterr().out)}
    assert infos["sparsity"]["kind"] == "measured"
    assert "near" in infos["sparsity"]["params_schema"]["properties"]


def test_help_is_no_failure(capsys: Capture) -> None:
    assert main(["--help"]) == 0
    assert "audit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 100, "not an ONNX model"),
        (DIGITS.model.read_bytes()[:1000], "cut short"),
    ],
    ids=["empty", "a picture", "truncated"],
)
def test_a_file_that_is_no_model_is_one_line(
    content: bytes, says: str, tmp_path: Path, fails: Callable[..., str]
) -> None:
    file = tmp_path / "broken.onnx"
    file.write_bytes(content)
    line = fails("describe", file)
    assert says in line
    assert "broken.onnx" in line


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path, fails: Callable[..., str]) -> None:
    assert "no such file" in fails("describe", tmp_path / "nowhere.onnx")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-a", "sparsty"], "Did you mean 'sparsity'?"),
        (["-a", "sparsity:neer=1"], "Did you mean 'near'?"),
        (["-a", "sparsity:near=-1"], "more than 0"),
        (["-a", "sparsity:near"], "name:key=value"),
        (["-a", "activations"], "inspect"),
        (["-p", "imagnet"], "imagenet"),
        (["--device", "cuda"], "CUDAExecutionProvider"),
        (["--device", "tpu"], "auto, cpu, cuda"),
    ],
)
def test_a_wrong_option_of_an_audit_is_one_line(options: list[str], says: str, capsys: Capture) -> None:
    preprocess = [] if "-p" in options else ["-p", "unit"]
    code = main(["audit", str(DIGITS.model), "-d", str(DIGITS.pictures), *preprocess, *options])
    output = capsys.readouterr()
    assert code == 2
    assert says in output.err + output.out


def test_an_unknown_tap_names_the_nearest_layer(fails: Callable[..., str], tmp_path: Path) -> None:
    picture = min(DIGITS.pictures.rglob("*.png"))
    line = fails("activations", DIGITS.model, "-i", picture, "-p", "unit", "-t", "conv9", "-o", tmp_path / "x.npz")
    assert "conv1" in line
    assert not (tmp_path / "x.npz").exists()


def test_an_array_of_the_wrong_shape_says_what_the_model_takes(fails: Callable[..., str], tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.zeros((2, 3, 8, 8), np.float32))
    line = fails("audit", DIGITS.model, "-d", tmp_path / "in.npy")
    assert "image" in line
    assert "16" in line


def test_an_empty_folder_is_one_line(fails: Callable[..., str], tmp_path: Path) -> None:
    assert str(tmp_path) in fails("audit", DIGITS.model, "-d", tmp_path, "-p", "unit")


def test_one_broken_picture_among_good_ones_is_reported_and_the_rest_is_done(capsys: Capture, tmp_path: Path) -> None:
    for k in range(5):
        Image.fromarray(np.full((16, 16), 40 * k, np.uint8)).save(tmp_path / f"{k}.png")
    (tmp_path / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nthis is none")
    assert main(["audit", str(DIGITS.model), "-d", str(tmp_path), "-p", "unit", "--json", "-"]) == 0
    report = report_from_json(capsys.readouterr().out)
    assert report.provenance.inputs == 4
    assert report.skipped_count == 1
    assert [s.id for s in report.skipped] == ["3.png"]


def test_a_model_with_nan_among_its_weights_fails_with_code_1(capsys: Capture, tmp_path: Path) -> None:
    model = onnx.load(DIGITS.model)
    weight = next(t for t in model.graph.initializer if t.name == "conv2.weight")
    values = onnx.numpy_helper.to_array(weight).copy()
    values[3, 0, 0, 0] = np.nan
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(model, tmp_path / "nan.onnx")
    assert main(["audit", str(tmp_path / "nan.onnx"), "-d", str(DIGITS.pictures), "-p", "unit"]) == 1
    assert "NaN or Inf" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["describe"], "Missing argument 'model'. An .onnx file. Usage: "),
        (["audit", DIGITS.model], "Missing option '--data' / '-d'. A folder, picture, .npy,"),
        (["describe", "x", "--nope"], "No such option: --nope. Usage: "),
        (["describe", "x", "[red]y"], "Got unexpected extra argument(s) ([red]y). Usage: "),
        (["nope"], "No such command 'nope'. Usage: "),
        (
            ["audit", "x", "-d", "y", "--batch-size", "-3"],
            "--batch-size: it is not valid; expected at least 0, found '-3'.",
        ),
        (["inspect", "x", "--fidelity", "slow"], "--fidelity: 'slow' is not one of 'fast', 'exact'. "),
        (["demo", "--out"], "Option '--out' requires an argument."),
    ],
    ids=["no model", "no data", "no such option", "too much", "no such command", "too small", "no choice", "no value"],
)
def test_a_command_typed_wrongly_says_how_in_one_line(
    arguments: list[object], said: str, fails: Callable[..., str]
) -> None:
    assert fails(*arguments).startswith(f"error: {said}")


def test_help_says_what_runs_by_default_what_options_mean_and_what_exit_codes_are(capsys: Capture) -> None:
    for arguments, said in (
        (["--help"], ["Exit codes: 0 fine", "Documentation: "]),
        (["inspect", "--help"], [*STATIC_DEFAULT, *INSPECT_DEFAULT, "every value as the graph says"]),
        (["audit", "--help"], ["Without --analysis: sparsity, and what the policies need."]),
    ):
        assert main(arguments) == 0
        text = " ".join(capsys.readouterr().out.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").split())
        assert all(part in text for part in said)


def test_strict_turns_a_skipped_input_into_a_failure(
    tmp_path: Path, fails: Callable[..., str], capsys: Capture
) -> None:
    Image.new("L", (16, 16)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"junk")
    arguments = ["audit", DIGITS.model, "--data", tmp_path, "--preprocess", "unit"]
    assert main([str(a) for a in arguments]) == 0
    capsys.readouterr()
    assert "input 'b.png': it cannot be used" in fails(*arguments, "--strict")


def test_urls_reach_the_file_system_that_they_name(fails: Callable[..., str]) -> None:
    assert "Install s3fs to access S3" in fails("audit", DIGITS.model, "--data", "s3://bucket/x.tar")


def test_the_version_is_printed_and_nothing_else(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{inspector.__version__}\n"
