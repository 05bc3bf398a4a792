"""Trainings that start from the weights of an import or of a run, with parts swapped."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from vlmloom.pipelines.cli import main
from vlmloom.pipelines.evaluate import Items
from vlmloom.pipelines.job import Job, work
from vlmloom.pipelines.weights.starting import STARTED, declarations

TINY = Path(__file__).parents[1] / "tiny.yaml"
FEW = ["--trainer.max_steps=2", "--trainer.enable_progress_bar=false"]
SWAP = ", swap: {projector: {use: projector/mlp, hidden: 24}}"
DATA = """
data:
  use: data/packed
  suite: {{use: suite/nano, tasks: {{count: {{use: task/count}}}}, things: 4}}
  tokenizer: {tokenizer}
  processor: {{use: processor/glm_chat}}
  pack_tokens: 2048
stages:
  - {{name: only, train: [projector],
     objective: {{use: objective/next_token}}, optimizer: {{use: optimizer/adamw}}}}
budget: {{samples: 4000}}
trainer: {{precision: 32-true}}
"""


def state(folder):
    """All tensors of a folder."""
    return {name: value for file in folder.glob("*.safetensors") for name, value in load_file(file).items()}


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """The import of a checkpoint whose model knows the words of a tokenizer like GLM's."""
    pytest.importorskip("transformers")
    from glm_folder import write_folder
    from released import CONFIGS, save

    folder = tmp_path_factory.mktemp("imported")
    vision, words = CONFIGS["glm_ocr"]
    save("glm_ocr", folder / "released", sizes=(vision, {**words, "vocab_size": 512}), shard="1MB")
    write_folder(folder / "released")
    assert main(["import", str(folder / "released"), str(folder / "ours")]) == 0
    return folder / "ours"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of the tiny experiment."""
    folder = tmp_path_factory.mktemp("run") / "first"
    assert main(["fit", "-c", str(TINY), "--out", str(folder), *FEW]) == 0
    return folder


def experiment(folder, imported, tokenizer=None):
    """The YAML of a training of a new projector between the tower and the language part of an import."""
    file = folder / "mine.yaml"
    file.write_text(
        f"assembly: {{extends: {imported}/assembly.yaml{SWAP}}}\n"
        f"weights: {{folder: {imported}}}"
        + DATA.format(tokenizer=tokenizer or f"{{use: tokenizer/hf, folder: {imported}/hf}}")
    )
    return file


def one_line(capsys, call):
    """What a refused call says."""
    capsys.readouterr()
    assert main([str(word) for word in call]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    print(line)
    return line


def test_a_new_projector_between_imported_parts(tmp_path, capsys, imported):
    file, out = experiment(tmp_path, imported), tmp_path / "run"
    assert main(["fit", "-c", str(file), "--out", str(out), *FEW]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "taken vision, language, head at random projector unused projector" in told
    ours, theirs = state(out), state(imported)
    kept = [name for name in theirs if not name.startswith("projector.")]
    assert kept and all((ours[name] == theirs[name]).all() for name in kept)
    assert {name for name in ours if name.startswith("projector.")} != theirs.keys() - set(kept)
    (line,) = declarations(out)
    assert line.startswith(f"{imported}: vision, language, head (") and line.endswith("at random: projector")
    line = one_line(capsys, ["export", out, tmp_path / "back"])
    assert "projector" in line and not (tmp_path / "back").exists()


def test_without_a_swap_a_run_goes_back_to_transformers(tmp_path, imported):
    file, out = experiment(tmp_path, imported), tmp_path / "run"
    file.write_text(file.read_text().replace(SWAP, ""))
    assert main(["fit", "-c", str(file), "--out", str(out), *FEW]) == 0
    trained, before = state(out), state(imported)
    changed = {name.partition(".")[0] for name in before if not (trained[name] == before[name]).all()}
    assert changed == {"projector"}
    like = imported.parent / "released"
    assert main(["export", str(out), str(tmp_path / "back"), "--like", str(like)]) == 0
    back, released = state(tmp_path / "back"), state(like)
    assert back.keys() == released.keys()
    assert {name for name in back if not (back[name] == released[name]).all()} == {
        name for name in back if ".merger." in name or ".downsample." in name
    }


def test_a_tower_alone_brings_no_words(tmp_path, run):
    """What takes a run's tower reads with a tokenizer of its own, here of fewer ids."""
    out = tmp_path / "second"
    call = ["fit", "-c", str(TINY), "--out", str(out), *FEW, "--set", f"weights.folder={run}"]
    call += ["--set", "weights.take=[vision]", "--set", "data.tokenizer.vocab=300"]
    assert main(call) == 0
    words = [json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"] for folder in (run, out)]
    assert len(words[1]) < len(words[0])


def test_a_run_from_a_run(tmp_path, capsys, run):
    """Tower and language are taken and frozen; a second call goes on and reads them no more."""
    out = tmp_path / "second"
    call = ["fit", "-c", str(TINY), "--out", str(out), *FEW, "--set", f"weights.folder={run}"]
    call += ["--set", "weights.take=[vision, language]", "--set", "stages.0.train=[projector]"]
    call += ["--set", "stages.1.train=[head]", "--set", "seed=1"]
    assert main(call) == 0
    told = capsys.readouterr().err
    assert "at random    projector, head" in told and "unused       head, projector" in told
    ours, before = state(out), state(run)
    kept = {name for name in before if name.startswith(("vision", "language"))}
    assert all((ours[name] == before[name]).all() for name in kept)
    assert all((ours[name] != before[name]).any() for name in before.keys() - kept if "weight" in name)
    assert (out / "tokenizer.json").read_bytes() == (run / "tokenizer.json").read_bytes()
    assert json.loads((out / STARTED).read_text())["folder"] == str(run)
    (out / "model.safetensors").unlink()
    (out / "stages" / "1-second.ckpt").unlink()
    assert main(call) == 0
    assert "weights of" not in capsys.readouterr().err
    again = state(out)
    assert all((again[name] == ours[name]).all() for name in ours)


def test_a_component_deep_inside_may_be_swapped(tmp_path, capsys, run):
    out = tmp_path / "out"
    call = ["fit", "-c", str(TINY), "--out", str(out), *FEW, "--set", f"weights.folder={run}"]
    assert (
        main([*call, "--swap", "assembly.language.layers.0.ffn=moe/sigmoid_bias,experts=2,top_k=1,hidden=8"])
        == 0
    )
    told = capsys.readouterr().err
    assert "at random    language.blocks.0.ffn\n" in told and "unused       language.blocks.0.ffn\n" in told


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["weights.folder=no"], "no: there is no such checkpoint; the folder of a run"),
        (["weights.take=[]"], "take: found an empty list"),
        (
            ["weights.take=[vision, bridge]"],
            "weights.take: bridge matches nothing that the model shares with",
        ),
        (
            ["assembly.vision.hidden=48"],
            "misshapen: vision.blocks.0.",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, capsys, run, changes, said):
    sets = [word for change in (f"weights.folder={run}", *changes) for word in ("--set", change)]
    line = one_line(capsys, ["fit", "-c", TINY, "--out", tmp_path / "out", *FEW, *sets])
    assert said in line
    assert not (tmp_path / "out" / "config.yaml").exists()


def test_other_words_are_refused(tmp_path, capsys, imported):
    file = experiment(tmp_path, imported, "{use: tokenizer/bpe, vocab: 512}")
    file.write_text(file.read_text().replace("processor/glm_chat", "processor/chat"))
    line = one_line(capsys, ["fit", "-c", file, "--out", tmp_path / "out", *FEW])
    assert line.endswith(f"data.tokenizer: {{use: tokenizer/hf, folder: {imported}/hf}} would be right")


def test_numbers_that_are_not_finite_are_refused(tmp_path, capsys, run):
    """Here those of a training checkpoint, which may be started from like a run."""
    broken = Path(shutil.copytree(run, tmp_path / "broken")) / "stages" / "1-second.ckpt"
    found = torch.load(broken, weights_only=True)
    found["state_dict"]["language.norm.weight"][3] = float("nan")
    torch.save(found, broken)
    line = one_line(
        capsys, ["fit", "-c", TINY, "--out", tmp_path / "out", "--set", f"weights.folder={broken}"]
    )
    assert line == f"{broken}: language.norm.weight holds numbers that are not finite; the file is damaged"


def test_a_comparison_declares_the_weights(tmp_path, run):
    sets = (f"weights.folder={run}", "weights.take=[vision]", "budget.samples=12", "pretrained=[words]")
    work(Job("mine", str(TINY), 0, tmp_path, sets, exam=Items(1, 1)), Console(quiet=True))
    told = json.loads((tmp_path / "run.json").read_text())["pretrained"]
    assert told == [
        "words",
        f"{run}: vision (27,360 parameters); at random: projector, language, head",
    ]
