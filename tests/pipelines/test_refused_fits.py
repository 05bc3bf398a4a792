"""A training that is refused: one line, and not a file or folder more or less than before."""

import json
import shutil
from pathlib import Path

import pytest
from damaged import flip, rewrite
from lightning.pytorch import Callback
from rich.console import Console
from safetensors.torch import load_file

from vlmloom.pipelines.cli import main
from vlmloom.pipelines.loading import build_experiment, compose_experiment
from vlmloom.pipelines.run import train
from vlmloom.registry.errors import UserError

TINY = Path(__file__).with_name("tiny.yaml")
FEW = ["--trainer.max_steps=1", "--trainer.enable_progress_bar=false"]
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["fit", "-c", str(TINY), "--out", str(folder), *FEW]) == 0
    return folder


@pytest.fixture
def run(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def refused(tmp_path, capsys):
    """What a verb says that has to refuse, on its last line."""

    def call(*words):
        before = sorted(tmp_path.rglob("*"))
        capsys.readouterr()
        assert main([str(word) for word in words]) == 2
        assert sorted(tmp_path.rglob("*")) == before
        err = capsys.readouterr().err
        assert "Traceback" not in err
        return err.splitlines()[-1]

    return call


def unsealed(run):
    (run / f"{WEIGHTS}.sha256").unlink()
    return run / WEIGHTS


def misshapen(tensors):
    tensors["language.norm.weight"] = tensors["language.norm.weight"][:8].clone()


def no_number(tensors):
    tensors["head.lm.unembed.weight"][3] = float("nan")


def a_shard_lost(run):
    names = {name: f"{name[:8]}.safetensors" for name in load_file(run / WEIGHTS)}
    (run / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    (run / WEIGHTS).rename(run / "vision.b.safetensors")


DAMAGE = {
    "a missing shard": (a_shard_lost, " shards missing: "),
    "a flipped byte": (lambda run: flip(run / WEIGHTS, -2), f"{WEIGHTS}: is damaged: its SHA-256 is"),
    "a misshapen tensor": (
        lambda run: rewrite(unsealed(run), misshapen),
        "1 misshapen: language.norm.weight [8] for [16]",
    ),
    "no number": (
        lambda run: rewrite(unsealed(run), no_number),
        "head.lm.unembed.weight holds numbers that are not finite",
    ),
    "no weights": (lambda run: (run / WEIGHTS).unlink(), "run: holds no weights; "),
    "half of them": (
        lambda run: (run / WEIGHTS).write_bytes((run / WEIGHTS).read_bytes()[:5000]),
        f"{WEIGHTS}: is cut off",
    ),
    "no run": (lambda run: shutil.rmtree(run), "run: there is no such checkpoint"),
    "another model": (
        lambda run: (run / "config.yaml").write_text("assembly: {use: assembly/none}"),
        "config.yaml:1: use: 'assembly/none' is no component",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("verb", ["fit", "compare", "ablate"])
def test_weights_that_cannot_be_started_from(run, tmp_path, refused, verb, damage):
    apply, said = DAMAGE[damage]
    apply(run)
    call = {
        "fit": ["fit", "-c", TINY],
        "compare": ["compare", TINY],
        "ablate": ["ablate", TINY],
    }[verb]
    more = {"fit": FEW, "compare": ["--no-blind"], "ablate": ["--axis", "assembly.vision.depth=2"]}[verb]
    line = refused(*call, *more, "--out", tmp_path / "deep" / "out", "--set", f"weights.folder={run}")
    print(line)
    assert said in line


@pytest.mark.parametrize("verb", ["fit", "ablate"])
@pytest.mark.parametrize(
    ("swap", "said"),
    [
        ("assembly.language.attention={use: attention/xformers}", "attention/xformers: "),
        (
            "assembly.language.layers.1.ffn={use: moe/megablocks, experts: 4, top_k: 2, hidden: 16}",
            "megablocks",
        ),
        ("assembly.vision={use: vision/cogvit, width: 16, heads: 2, depth: 1, colour: 1}", "vision.colour: "),
    ],
)
def test_parts_that_this_machine_or_nobody_has(tmp_path, refused, verb, swap, said):
    call = ["fit", "-c", TINY, *FEW] if verb == "fit" else ["ablate", TINY, "--axis", "seed=1"]
    line = refused(*call, "--out", tmp_path / "out", "--swap", swap)
    print(line)
    assert said in line


def test_a_folder_of_ones_own_stays_as_it_is(run, tmp_path, refused):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    flip(run / WEIGHTS, -2)
    refused("fit", "-c", TINY, *FEW, "--out", tmp_path / "out", "--set", f"weights.folder={run}")


def test_a_teacher_that_is_damaged(run, tmp_path, refused):
    flip(run / WEIGHTS, -2)
    tower = ["--model", "vision/cogvit,width=16,depth=1,heads=2,hidden=32,patch=16", "--data", "data/nano"]
    objective = f"objective/distil,teachers={{run: {{use: teacher/run, folder: {run}}}}}"
    line = refused("fit", *tower, "--objective", objective, *FEW, "--out", tmp_path / "out")
    assert f"{WEIGHTS}: is damaged" in line


@pytest.mark.parametrize("name", ["tokenizer.json", "chat_template.jinja", "started_from.json"])
def test_files_of_names_that_a_run_uses_stay_as_they_are(tmp_path, refused, name):
    file = tmp_path / "out" / name
    file.parent.mkdir()
    file.write_text("mine")
    line = refused("fit", "-c", TINY, *FEW, "--out", file.parent, "--set", "stages.0.pack_tokens=2")
    assert "pack_tokens is 2" in line and file.read_text() == "mine"


class Refusing(Callback):
    """Raises what a part may find wrong with a batch, before or after a step."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            raise UserError("no such batch")


@pytest.mark.parametrize("step", [0, 1])
def test_what_only_the_first_batch_tells(tmp_path, step):
    """A step that was taken has cost something, and what was noted of it stays."""
    out = tmp_path / "deep" / "out"
    experiment, resolved = build_experiment(compose_experiment(TINY))
    with pytest.raises(UserError, match="no such batch"):
        train(experiment, out, resolved=resolved, console=Console(quiet=True), callbacks=[Refusing(step)])
    assert out.exists() == (out / "config.yaml").exists() == (tmp_path / "deep").exists() == bool(step)
