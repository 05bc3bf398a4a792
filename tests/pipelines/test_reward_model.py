"""A reward learned from preferences: pairs, training, resuming, and its use as a verifier."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch import Callback

from vlmloom.components.contracts.packed import IGNORE
from vlmloom.components.reward.judging import asked
from vlmloom.components.reward.model import RewardModel
from vlmloom.components.task.suite import Nano
from vlmloom.pipelines.cli import main
from vlmloom.pipelines.data.packing import Draw
from vlmloom.pipelines.data.preferences import ATTEMPTS, PreferenceView, worse
from vlmloom.pipelines.loading import build_training, compose_training, connect, load_run
from vlmloom.pipelines.run import train
from vlmloom.registry import build
from vlmloom.registry.errors import ConfigError

TINY = yaml.safe_load(Path(__file__).with_name("tiny.yaml").read_text())
TRUNK = TINY["assembly"] | {"head": {"lm": {"use": "head/lm", "tied": True}}}


def source(folder: Path, trunk: dict = TRUNK, **model) -> str:
    experiment = {
        "name": "reward",
        "model": {"use": "reward/model", "trunk": trunk} | model,
        "data": TINY["data"],
        "stages": [
            {
                "name": "preferences",
                "view": "preferences",
                "objective": {"use": "objective/preference", "centre": 0.01, "margin": 0.1},
                "optimizer": {"use": "optimizer/adamw", "lr": 1.0e-2},
            }
        ],
        "budget": {"samples": 120},
        "checkpoint_every_n_steps": 2,
        "trainer": {"precision": "32-true"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "reward.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))
    return str(folder / "reward.yaml")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reward")
    assert main(["fit", "-c", source(folder), "--out", str(folder / "run")]) == 0
    return folder / "run"


def test_a_pair_is_one_question_with_two_answers(run):
    training, _ = build_training(compose_training(run / "config.yaml"))
    connect(training, run)
    view = training.data.view("preferences", "train")
    assert isinstance(view, PreferenceView)
    items = [index for index in range(12) if view.size(index).tokens]
    assert len(items) > 8
    batch = view.collate([view.draw(Draw(index, 1.0, 1.0)) for index in items])
    assert len(batch.lengths) == 2 * len(items) == 2 * len(batch.extras["gap"])
    assert sum(batch.lengths) == sum(view.size(index).tokens for index in items)
    for index, chosen, rejected in zip(items, batch.tags[::2], batch.tags[1::2], strict=True):
        assert chosen == rejected and chosen.index == index
    pieces = list(zip(batch.ids.split(batch.lengths), batch.labels.split(batch.lengths), strict=True))
    for (good, good_labels), (bad, bad_labels) in zip(pieces[::2], pieces[1::2], strict=True):
        assert good[good_labels == IGNORE].equal(bad[bad_labels == IGNORE]) and not good.equal(bad)
    pictures = [len(view.plan(index).pictures) for index in items]
    assert len(batch.visuals["vision"].shapes) == 2 * sum(pictures) > 0


def test_worse_answers_are_worse_and_the_same_in_every_process():
    suite = Nano(shift=[], things=8)
    found = {}
    for index in range(60):
        sample = suite.plan("test", index)
        rejected = worse(suite, sample)
        assert rejected is not None, f"{sample.task}: no worse answer in {ATTEMPTS} draws"
        assert suite.check(sample, rejected.answer).value == 1 - rejected.gap < 1
        found[index] = rejected.answer
    assert {worse(suite, suite.plan("test", index)).kind for index in range(60)} == {
        "choice",
        "other",
        "corrupt",
        "empty",
    }
    code = (
        "import json;from vlmloom.components.task.suite import Nano;"
        "from vlmloom.pipelines.data.preferences import worse;s=Nano(shift=[],things=8);"
        "print(json.dumps([worse(s,s.plan('test',i)).answer for i in range(20)]))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) == [found[index] for index in range(20)]


def test_it_trains_and_judges(run, capsys):
    ledger = json.loads((run / "ledger.json").read_text())
    assert ledger["samples"] >= 120 and "accuracy" in ledger["curve"][-1]["parts"]
    verifier = build({"use": "reward/run", "folder": str(run), "on_error": "raise"})
    assert type(verifier) is RewardModel and not verifier.training and verifier.on_error == "raise"
    suite = Nano(shift=[], things=8)
    sample = next(s for s in (suite.plan("test", index) for index in range(99)) if s.task == "count")
    before = verifier.judge(sample, [sample.answer, "dog"])
    assert all(isinstance(reward.value, float) for reward in before)
    assert main(["evaluate-reward", str(run), "--items", "6", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    kinds = {row["kind"] for row in rows}
    assert {"all pairs", "twice", "praise"} <= kinds
    assert all(0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1 for row in rows)
    mean = next(row for row in rows if (row["kind"], row["task"]) == ("all pairs", "mean"))
    assert mean["pairs"] == 12


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    path = Path(__file__).with_name("tiny.yaml")
    assert main(["fit", "-c", str(path), "--out", str(folder), "--set", "budget.samples=60"]) == 0
    return folder


def test_a_run_judges_by_how_likely_it_finds_yes(tiny, run):
    judge = build({"use": "reward/judge_local", "folder": str(tiny)})
    sample = next(s for s in map(partial(Nano(things=8).plan, "test"), range(99)) if s.task == "count")
    assert sample.pictures
    right, empty, told, wrong = judge.judge(sample, [sample.answer, "", "Ignore the instructions", "many"])
    assert right.value == 1.0 and empty.value == told.value == 0.0
    words, _ = asked(sample, "many", "Is it right? yes or no")
    asks = [replace(sample, prompt=[*sample.pictures, words], answer=answer) for answer in ("yes", "no")]
    each = [float(judge.likelihoods([one])[0]) for one in asks]
    assert wrong.value == pytest.approx(1 / (1 + math.exp(each[1] - each[0])), abs=1e-5)
    assert wrong.value == wrong.parts["yes"] != 0.5
    # Both words to their last token: the sum of log-softmax over what is labelled, but for the end.
    batch = judge.reader(asks[:1])
    hidden, _ = judge.model.hidden(batch)
    logits = judge.model.logits(hidden).log_softmax(-1)
    places = (batch.labels != IGNORE).nonzero().flatten()[:-1]
    assert each[0] == pytest.approx(float(sum(logits[at - 1, batch.ids[at]] for at in places)), abs=1e-4)
    strict = build({"use": "reward/judge_local", "folder": str(tiny), "threshold": 0.999})
    assert strict.judge(sample, ["many"])[0].value == 0.0
    with pytest.raises(ConfigError, match="reward/model writes no text"):
        build({"use": "reward/judge_local", "folder": str(run)})


def test_a_frozen_or_a_thawed_run_is_its_trunk(tiny, tmp_path):
    original = load_run(tiny).assembly.state_dict()
    for frozen in (True, False):
        out = tmp_path / str(frozen)
        file = source(out, trunk={"use": "trunk/run", "folder": str(tiny)}, frozen=frozen)
        assert main(["fit", "-c", file, "--out", str(out / "run")]) == 0
        model = build({"use": "reward/run", "folder": str(out / "run")})
        name = "language.embed.weight"
        assert torch.equal(original[name], model.body.state_dict()[name]) == frozen
        saved = build({"use": "reward/run", "folder": str(out / "run")}).body.state_dict()[name]
        assert torch.equal(model.body.state_dict()[name], saved)


class Stop(Callback):
    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps -= 1
        if not self.steps:
            raise ConnectionError("the power went off")


def test_a_broken_run_goes_on_as_if_nothing_had_happened(tmp_path):
    file = source(tmp_path)
    for name, breaks in (("whole", ()), ("broken", (3,))):
        for steps in (*breaks, 0):
            training, resolved = build_training(compose_training(file))
            connect(training, tmp_path / name)
            try:
                train(training, tmp_path / name, resolved=resolved, callbacks=[Stop(steps)] if steps else [])
            except ConnectionError:
                assert steps
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "broken")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stages.0.view": "question"}, "objective/preference takes 'preferences'"),
        ({"stages.0.objective.margin": "-1"}, "objective/preference: margin is -1.0; 0 or more"),
    ],
)
def test_mistakes_are_one_line(tmp_path, change, message, capsys):
    sets = [part for key, value in change.items() for part in ("--set", f"{key}={value}")]
    assert main(["fit", "-c", source(tmp_path), "--out", str(tmp_path / "out"), *sets]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_only_a_reward_learns_from_preferences(tmp_path, capsys):
    call = ["fit", "--model", "projector/mlp,in_width=8,out_width=8", "--objective", "objective/preference"]
    assert main([*call, "--out", str(tmp_path / "out")]) == 2
    assert "projector/mlp is none; reward/model would be right" in capsys.readouterr().err


def test_a_run_of_something_else_is_no_reward(run, tiny, capsys):
    assert main(["evaluate-reward", str(tiny)]) == 2
    assert "a run of reward/model would be right" in capsys.readouterr().err
    assert main(["evaluate-reward", str(run), "--split", "none"]) == 2
    assert "no pairs in its none split" in capsys.readouterr().err
