"""What a user reads when something is wrong: what it is, where, and what to do, in words of the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import typer
from PIL import Image
from typer import rich_utils

from inspector.errors import InputError
from inspector.faces import cli
from inspector.faces.cli import main
from inspector.faces.files import read_report
from inspector.faces.grpc import server
from inspector.faces.saying import say
from inspector.policy.load import builtins, load_policy
from inspector.samples import SAMPLES

DIGITS = SAMPLES[0]
COMMANDS: Any = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def told(capsys: Capture) -> Callable[..., str]:
    """Runs a command that cannot be done; gives its one line."""

    def run(*arguments: object) -> str:
        assert main([str(a) for a in arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return run


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "x.xml",
            b"<x/>",
            "it is none; expected a report as JSON, found Expecting value: line 1 column 1 (char 0).",
        ),
        ("x.json", b'{"results": 3}', "it is none; expected a report as JSON, found "),
    ],
    ids=["no JSON", "other JSON"],
)
def test_a_file_that_is_no_report_is_named(
    name: str, content: bytes, said: str, tmp_path: Path, told: Callable[..., str]
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    assert told("check", file, "--policy", "builtin:release").startswith(f"error: report {str(file)!r}: {said}")


def test_summaries_that_are_not_there_or_are_a_folder_say_what_to_name(
    tmp_path: Path, told: Callable[..., str]
) -> None:
    missing = tmp_path / "no.sum"
    assert f"{missing}: there is no such file; expected a file of summaries. Check" in told(
        "merge", DIGITS.model, missing
    )
    assert f"it is a folder; expected a file of summaries. Name the files in it, such as {tmp_path}/*.sum." in told(
        "merge", DIGITS.model, tmp_path
    )


def test_a_broken_picture_is_named_once_and_its_bytes_are_called_bytes(
    tmp_path: Path, told: Callable[..., str], capsys: Capture
) -> None:
    Image.new("L", (16, 16)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"xx")
    arguments = ["audit", str(DIGITS.model), "-d", str(tmp_path), "-p", "unit"]
    assert main(arguments) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "b.png: it is no picture; expected one of JPEG, PNG, WEBP, BMP, GIF, TIFF, found the bytes 78 78 at" in shown
    line = told(*arguments, "--strict")
    assert line.startswith("error: input 'b.png': it cannot be used: it is no picture; expected one of JPEG")
    assert line.count("b.png") == line.count("found") == 1


def test_an_array_of_objects_is_told_as_such(tmp_path: Path, told: Callable[..., str]) -> None:
    np.save(tmp_path / "x.npy", np.array([None, {}], object), allow_pickle=True)
    line = told("audit", DIGITS.model, "-d", tmp_path / "x.npy")
    assert line == (
        "error: x.npy: it holds Python objects; expected an array of numbers. "
        "Store numbers, all inputs of one shape along axis 0."
    )


def test_noise_without_a_number_says_its_form(told: Callable[..., str]) -> None:
    assert told("audit", DIGITS.model, "-d", "noise").endswith(
        "Check the path. For noise in place of data write noise:N."
    )


def test_a_web_address_names_the_extra(told: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks(_: str, **__: object) -> None:
        raise ImportError("it takes aiohttp")

    monkeypatch.setattr("fsspec.core.url_to_fs", lacks)
    line = told("audit", DIGITS.model, "-d", "http://localhost/x.tar")
    assert line.endswith("Install onnx-inspector[http].")


def test_what_all_faces_share_names_no_option_as_the_command_does() -> None:
    """Remedies of the policies that come with the package, and what is said of a report that is not there."""
    remedies = [rule.remedy for name in builtins() for rule in load_policy(f"builtin:{name}").rules]
    with pytest.raises(InputError, match="expected a report stored as JSON") as caught:
        read_report("nope.json")
    assert not any("--" in text for text in (*remedies, str(caught.value)))


def test_messages_of_the_runtime_name_options_as_no_face_alone_does(told: Callable[..., str]) -> None:
    line = told("audit", DIGITS.model, "-d", DIGITS.pictures)
    assert line.startswith("error: preprocess: folder")
    assert line.endswith("Give what the model was trained with; docs/data.md says how to find out.")


def test_a_server_of_an_empty_folder_says_so_beside_its_address(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "serve", lambda _, ready: ready("127.0.0.1:1"))
    for folder, note in ((tmp_path, f"note: there is no .onnx file in {tmp_path} yet\n"), (DIGITS.model.parent, "")):
        assert main(["serve", "--models", str(folder)]) == 0
        assert capsys.readouterr() == ("listening on 127.0.0.1:1\n", note)


def test_a_policy_about_a_comparison_says_which_command_makes_one(
    tmp_path: Path, told: Callable[..., str], capsys: Capture
) -> None:
    file = tmp_path / "r.json"
    assert main(["inspect", str(DIGITS.model), "-a", "connectivity", "--json", str(file)]) == 0
    capsys.readouterr()
    line = told("check", file, "--policy", "builtin:unchanged")
    assert line.endswith("Judge what `inspector compare` says of two reports, with its policies.")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("inspect", "m", "-a"),
            "error: Option '-a' requires an argument. NAME or NAME:key=value,…, of `inspector plugins`; repeatable.",
        ),
        (
            ("serve", "--models", "nope"),
            "error: models: there is no such folder; found nope. Make it, or name another.",
        ),
        (
            ("serve", "--models", DIGITS.pictures, "--data", DIGITS.model),
            f"error: data: there is no such folder; found {DIGITS.model}. Make it, or name another.",
        ),
    ],
    ids=["no value", "no models", "no data"],
)
def test_a_command_that_is_typed_wrongly_says_how_it_is_called(
    arguments: tuple[object, ...], said: str, told: Callable[..., str]
) -> None:
    line = told(*arguments)
    assert line.startswith(said)
    assert "Option" not in said or line.endswith(" inspect [OPTIONS] {model}; see --help.")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_word_of_the_help_is_cut_at_80_columns(name: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rich_utils, "MAX_WIDTH", 80)
    assert main([name, "--help"]) == 0
    shown = set(capsys.readouterr().out.split())
    assert [word for param in COMMANDS[name].params for word in (param.help or "").split() if word not in shown] == []


def test_a_key_that_there_is_not_comes_before_where_it_is(tmp_path: Path, told: Callable[..., str]) -> None:
    policy = tmp_path / "p.toml"
    policy.write_text('[[rule]]\nid = "a"\nmetric = "sparsity.dead"\nmaxx = 1\n')
    line = told("audit", DIGITS.model, "-d", "noise:1", "--policy", policy)
    assert line.startswith("error: key 'maxx' of rule 'a' of policy 'p': there is none of that name; ")


def test_a_name_in_an_error_steers_no_terminal(told, tmp_path):
    model = onnx.load(DIGITS.model)
    model.graph.node[0].op_type = "Conv\x1b[31m"
    onnx.save(model, tmp_path / "m.onnx")
    assert "Conv\N{REPLACEMENT CHARACTER}[31m" in told("describe", tmp_path / "m.onnx")
    assert "\x1b" not in told("describe", "\x1b]0;x\x07.onnx")


def test_a_fault_of_the_inspector_steers_no_terminal_either(capsys):
    say("a\x1b[2J", "Traceback\n  b\x1b[2J\n")
    assert capsys.readouterr().err == "error: a\ufffd[2J\nTraceback\n  b\ufffd[2J\n"


def test_what_a_path_is_called_is_no_markup(capsys, tmp_path):
    out, image = tmp_path / "[red]x.npz", next(DIGITS.pictures.rglob("*.png"))
    read = [str(DIGITS.model), "-i", str(image), "-p", "unit", "--tap", "conv1"]
    assert main(["activations", *read, "--out", str(out)]) == 0
    assert f"-> {out}" in capsys.readouterr().out
