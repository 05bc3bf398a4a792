"""`ask` and `evaluate` of a run whose files are damaged: one line each, and nothing is written."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from damaged import flip, reheader
from PIL import Image
from safetensors.torch import load_file, save_file

from vlmloom.pipelines.cli import main

TINY = Path(__file__).with_name("tiny.yaml")
WEIGHTS, CHECKSUM = "model.safetensors", "model.safetensors.sha256"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["fit", "-c", str(TINY), "--out", str(folder), "--set", "budget.samples=40"]) == 0
    return folder


@pytest.fixture
def run(trained, tmp_path):
    Image.new("RGB", (64, 64), (10, 90, 200)).save(tmp_path / "cat.png")
    return Path(shutil.copytree(trained, tmp_path / "run"))


def asked(verb, folder):
    """The arguments that ask a run something."""
    if verb == "ask":
        return ["ask", str(folder), str(folder.parent / "cat.png"), "what is this ?"]
    return ["evaluate", str(folder), "--items", "1", "--other-items", "1"]


@pytest.fixture(params=["ask", "evaluate"])
def refused(request, capsys):
    """What a verb says that has to refuse, on one line."""

    def run_it(folder):
        before = sorted(folder.parent.rglob("*"))
        status = main(asked(request.param, folder))
        out, err = capsys.readouterr()
        assert status == 2 and out == "" and err.count("\n") == 1 and err[:-1].isprintable()
        assert str(folder) in err and sorted(folder.parent.rglob("*")) == before
        return err

    return run_it


@pytest.mark.parametrize("verb", ["ask", "evaluate"])
def test_a_sound_run_answers(run, verb, capsys):
    assert main(asked(verb, run)) == 0
    name, digest = WEIGHTS, (run / CHECKSUM).read_text().split()
    assert digest[1] == name and len(digest[0]) == 64


def test_files_that_are_missing(run, refused):
    for name in (WEIGHTS, "config.yaml", "tokenizer.json"):
        (run / name).rename(run / "kept")
        assert f"run: lacks {name}" in refused(run)
        (run / "kept").rename(run / name)
    shutil.rmtree(run)
    assert "run: is not there; the folder of a finished run or of an import would be right" in refused(run)


def test_weights_that_were_changed(run, refused):
    flip(run / WEIGHTS, -2)
    assert f"{WEIGHTS}: is damaged: its SHA-256 is" in refused(run)
    assert f"where {CHECKSUM} has" in refused(run)


def test_weights_that_were_changed_with_no_checksum(run, refused):
    (run / CHECKSUM).unlink()
    tensors = load_file(run / WEIGHTS)
    name = "language.norm.weight"
    for number in (float("nan"), float("inf")):
        tensors[name][3] = number
        save_file(tensors, run / WEIGHTS)
        assert f"{WEIGHTS}: {name} holds numbers that are not finite; the file is damaged" in refused(run)
    tensors["another.weight"] = tensors.pop(name)
    save_file(tensors, run / WEIGHTS)
    assert f"does not fit this model; 1 missing: {name}; 1 unknown: another.weight" in refused(run)


def test_weights_that_are_none(run, refused):
    whole = (run / WEIGHTS).read_bytes()
    for keep in (0, 5, 100, len(whole) - 3):
        (run / WEIGHTS).write_bytes(whole[:keep])
        assert f"{WEIGHTS}: is cut off" in refused(run)
    (run / WEIGHTS).write_bytes(whole)
    reheader(run / WEIGHTS, lambda header: {**header, "language.norm.weight": {"shape": [16]}})
    assert f"{WEIGHTS}: its header is damaged (language.norm.weight has no dtype)" in refused(run)


class Code:
    def __reduce__(self):
        return os.mkdir, ("this must never be made",)


def test_a_pickle_under_the_name_of_weights(run, refused):
    torch.save({"a": Code()}, run / WEIGHTS)
    assert f"{WEIGHTS}: is cut off, or no safetensors file" in refused(run)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.yaml", b"", "config.yaml:1: the file is empty"),
        ("config.yaml", b"\xff\xfe", "config.yaml:1: byte 0xff is not UTF-8"),
        (
            "config.yaml",
            b"a: !!python/object/apply:os.mkdir [x]",
            "is refused: a configuration is plain data",
        ),
        ("config.yaml", b"a: [1", "config.yaml:1: not valid YAML"),
        ("tokenizer.json", b"", "tokenizer.json: is no tokenizer.json (EOF while parsing"),
        ("tokenizer.json", b"[]", "tokenizer.json: is no tokenizer.json (invalid type"),
        ("tokenizer.json", b"\xff\xfe", "tokenizer.json: is no tokenizer.json (stream did not contain valid"),
    ],
)
def test_a_configuration_or_a_tokenizer_that_is_none(run, refused, name, content, message):
    (run / name).write_bytes(content)
    assert message in refused(run)


def test_a_configuration_of_another_model(run, refused):
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("width: 16", "width: 32", 1))
    assert "misshapen: " in refused(run)
    (run / "config.yaml").write_text(text.replace("depth: 1", "depth: 1000000000", 1))
    assert "vision/cogvit: depth is 1000000000; from 0 to 10000 would be right" in refused(run)


def test_a_question_that_is_longer_than_the_positions(tmp_path, capsys):
    Image.new("RGB", (64, 64)).save(tmp_path / "cat.png")
    limits = ["--set", "budget.samples=20", "--set", "assembly.language.max_positions=60"]
    assert main(["fit", "-c", str(TINY), "--out", str(tmp_path / "run"), *limits]) == 0
    assert main(asked("ask", tmp_path / "run")) == 0
    capsys.readouterr()
    command = asked("ask", tmp_path / "run")
    assert main([*command[:-1], "dog " * 200]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("language/glm: a context of ")
    assert err.endswith(" positions, but max_positions is 60; shorten it, or raise max_positions\n")


def test_a_question_that_is_no_text(run, capsys):
    assert main([*asked("ask", run)[:-1], "what\udcff"]) == 2
    assert capsys.readouterr().err == "ask: the question 'what\\udcff' is not UTF-8; text would be right\n"


def test_the_tokenizer_of_another_run(run, capsys):
    """It has more ids than the model."""
    tokenizer = json.loads((run / "tokenizer.json").read_text())
    last = max(tokenizer["model"]["vocab"].values())
    tokenizer["model"]["vocab"] |= {f"word{number}": last + 1 + number for number in range(900)}
    (run / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert main(asked("ask", run)) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "language.vocab: found 512, but the tokenizer has" in err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.png", "there is no such picture"),
        ("cut.png", "cannot be decoded (image file is truncated"),
        ("huge.bmp", "has 20000 x 10000 pixels, at most 67108864 are decoded"),
        ("empty.png", "is no picture"),
    ],
)
def test_pictures_that_are_none(run, capsys, name, message):
    folder = run.parent
    (folder / "empty.png").write_bytes(b"")
    Image.effect_noise((64, 64), 90).save(folder / "cut.png")
    (folder / "cut.png").write_bytes((folder / "cut.png").read_bytes()[:1500])
    Image.new("1", (1, 1)).save(folder / "huge.bmp")
    data = bytearray((folder / "huge.bmp").read_bytes())
    data[18:26] = (20000).to_bytes(4, "little") + (10000).to_bytes(4, "little")
    (folder / "huge.bmp").write_bytes(data)
    assert main(["ask", str(run), str(folder / name), "what is this ?"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith(f"{folder / name}: {message}")


@pytest.mark.parametrize("name", ["one.png", "wire.png", "ink.jpg", "deep.png", "moving.gif", "turned.jpg"])
@pytest.mark.parametrize("clip", [False, True])
def test_odd_pictures_are_answered(run, capsys, name, clip):
    folder = run.parent
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    Image.new("RGB", (1, 4000)).save(folder / "wire.png")
    Image.new("CMYK", (64, 64)).save(folder / "ink.jpg")
    Image.fromarray(np.full((64, 64), 40000, np.uint16)).save(folder / "deep.png")
    frames = [Image.new("RGB", (32, 32), (60 * shade, 0, 0)) for shade in range(3)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 32)).save(folder / "turned.jpg", exif=exif)
    assert main(["ask", str(run), str(folder / name), "what ?", *(["--clip"] if clip else [])]) == 0
    assert capsys.readouterr().err == ""
