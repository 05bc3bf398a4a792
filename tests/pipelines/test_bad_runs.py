"""`ask` and `evaluate` of a run whose files are damaged: one line each, and nothing is written."""

import os
import shutil
from pathlib import Path

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
    assert "run: is not there; the folder of a finished run would be right" in refused(run)


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
