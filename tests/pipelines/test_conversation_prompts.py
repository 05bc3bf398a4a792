"""Experiments in GLM's chat template, with a tokenizer of our own and with that of a checkpoint's folder."""

import shutil
from pathlib import Path

import pytest
import yaml
from glm_folder import configuration, glm_engine, write_folder

from vlmloom.components.tokenizer.hf import HF
from vlmloom.pipelines.answering import Answerer
from vlmloom.pipelines.cli import main
from vlmloom.pipelines.loading import load_run

TINY = str(Path(__file__).with_name("tiny.yaml"))
SWAP = ["--swap", "data.processor=processor/glm_chat", "--set", "data.tokenizer.special=glm"]


def fit(out, *options):
    return main(["fit", "-c", TINY, "--out", str(out), "--trainer.max_steps=2", *options])


def test_the_processor_is_swapped_in_and_the_run_answers(tmp_path):
    assert fit(tmp_path, *SWAP) == 0
    experiment = load_run(tmp_path)
    samples = [experiment.data.suite.plan("test", index) for index in range(4)]
    assert any(sample.pictures for sample in samples)
    answers = Answerer(experiment, limit=3).answers(samples)
    assert len(answers) == 4 and all(isinstance(answer, str) for answer in answers)


def test_a_tokenizer_that_does_not_fit_is_one_line(tmp_path, capsys):
    assert fit(tmp_path, "--swap", "data.processor=processor/glm_chat") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "processor/glm_chat: tokenizer/bpe lacks the special tokens [gMASK] <sop> <|system|>" in line
    assert "tokenizer/bpe with special: glm, would be right" in line


def experiment_on(folder, path):
    """The tiny experiment with a checkpoint's tokenizer."""
    changes = {
        "extends": TINY,
        "swap": {
            "data.tokenizer": {"use": "tokenizer/hf", "folder": str(folder)},
            "data.processor": {"use": "processor/glm_chat", "train_on": ["content"]},
        },
        "set": {"assembly.language.vocab": 600, "data.pack_tokens": 512},
    }
    path.write_text(yaml.safe_dump(changes))
    return str(path)


def test_a_run_outlives_the_folder_of_its_tokenizer(tmp_path):
    folder = write_folder(
        tmp_path / "checkpoint", glm_engine(), tokenizer_config__json=configuration("Glm46VProcessor")
    )
    source, run = experiment_on(folder, tmp_path / "x.yaml"), tmp_path / "run"
    assert main(["validate", source]) == 0
    assert main(["fit", "-c", source, "--out", str(run), "--trainer.max_steps=2"]) == 0
    ids = HF(folder=str(folder)).encode("what is this?")
    shutil.rmtree(folder)
    experiment = load_run(run)
    assert experiment.data.tokenizer.encode("what is this?") == ids
    assert experiment.data.processor.release == "4.6v"


@pytest.mark.parametrize("found", ["nothing", "broken"])
def test_a_folder_without_a_tokenizer_is_told_before_anything_runs(tmp_path, capsys, found):
    if found == "broken":
        write_folder(tmp_path / "checkpoint")
        (tmp_path / "checkpoint" / "tokenizer.json").write_text("{")
    source = experiment_on(tmp_path / "checkpoint", tmp_path / "x.yaml")
    assert main(["fit", "-c", source, "--out", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "x.yaml:" in line and "data.tokenizer" in line
    assert ("there is no such folder" if found == "nothing" else "tokenizer.json: is no tokenizer (") in line
    assert not (tmp_path / "run").exists()
