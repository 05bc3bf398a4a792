"""CogViT's second stage: pictures of drawn sizes, captions in two languages, a course for each part."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vlmloom.components.contracts.resizing import Resolution
from vlmloom.components.contracts.visuals import PatchSpec
from vlmloom.pipelines.cli import main
from vlmloom.pipelines.loading import build_experiment, compose_experiment
from vlmloom.pipelines.loom import Loom

TOWERS = Path(__file__).with_name("two_towers.yaml")


@pytest.fixture(scope="module")
def experiment():
    built, _ = build_experiment(compose_experiment(TOWERS))
    built.data.connect(built.assembly)
    return built


@pytest.fixture(scope="module")
def batches(experiment):
    loader = iter(experiment.data.loader(experiment.stages[0]))
    return [next(loader) for _ in range(12)]


def test_every_picture_draws_a_number_of_tokens_and_keeps_its_aspect(experiment, batches):
    view = experiment.data.view("captions", "train", Resolution(tokens=(4, 16)))
    areas, drawn = Counter(), set()
    for batch in batches:
        for tag, (_, rows, columns) in zip(batch.tags, batch.visuals["vision"].shapes, strict=True):
            sample = view.suite.tasks[tag.task].plan("train", tag.index)
            budget = view.spec("vision", sample).max_patches
            assert 4 <= budget <= 16 and rows * columns <= budget
            picture = sample.pictures[0]
            # One row or column more in the picture's direction would not have fit.
            assert (rows + 1) * (columns + 1) > budget
            assert (rows > columns) <= (picture.height > picture.width)
            areas[rows * columns] += 1
            drawn.add(budget)
    assert len(drawn) == 13 and len(areas) > 3


def test_squares_are_the_other_choice(experiment):
    view = experiment.data.view("captions", "train", Resolution(square=64))
    grids = {tuple(view.grids(view.plan(index))[0]) for index in range(40)}
    assert grids == {(1, 4, 4)}


def test_a_number_of_tokens_enlarges_and_shrinks_at_the_picture_s_aspect():
    spec = PatchSpec(16)
    grown, shrunk = (spec.at(Resolution(tokens=(n, n)), "x", 0) for n in (200, 50))
    assert grown.grid(1, 64, 128) == (1, 10, 20)
    assert shrunk.grid(1, 320, 640) == (1, 5, 10)
    drawn = {Resolution(tokens=(4, 6)).drawn("a", index) for index in range(50)}
    assert drawn == {4, 5, 6}


def test_half_of_the_captions_are_chinese_and_equal_ones_are_pairs(experiment):
    view = experiment.data.view("captions", "train")
    captions = [view.plan(index).caption for index in range(300)]
    chinese = [any("\u4e00" <= letter <= "\u9fff" for letter in caption) for caption in captions]
    assert 0.4 < sum(chinese) / len(chinese) < 0.6
    assert captions == [view.plan(index).caption for index in range(300)]
    tokenizer = experiment.data.tokenizer
    caption = captions[chinese.index(True)]
    assert tokenizer.decode(tokenizer.encode(caption)).strip() == caption
    assert len(tokenizer.encode("苹果")) < len("苹果".encode()), "it has learned their characters"


def test_each_part_has_its_own_rate_weight_decay_and_course(experiment):
    loom = Loom(experiment.assembly, experiment.stages[0], experiment.budget, limit=60)
    optimizer = loom.configure_optimizers()
    names = {id(parameter): name for name, parameter in experiment.assembly.named_parameters()}
    found: dict[str, set] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            part = names.pop(id(parameter)).partition(".")[0]
            found.setdefault(part, set()).add(
                (group["kind"], group["lr"], round(group["weight_decay"], 6), group["decay"])
            )
    assert not names
    assert found["vision"] == {
        ("muon", 1e-3, 0.2, None),
        ("adamw", 5e-4, 0.2, None),
        ("adamw", 5e-4, 0.0, None),
    }
    assert found["text"] == {
        ("muon", 2e-3, 0.1, None),
        ("adamw", 1e-3, 0.1, None),
        ("adamw", 1e-3, 0.0, None),
    }
    assert {(rate, decay, course) for _, rate, decay, course in found["align"]} == {
        (2e-4, 0.0, "linear"),
        (1e-4, 0.0, "linear"),
    }
    recipe = experiment.stages[0].optimizer
    recipe.schedule(optimizer, 0.3)
    rates = {group["decay"]: group["lr"] / group["initial_lr"] for group in optimizer.param_groups}
    assert rates[None] == pytest.approx(recipe.factor(0.3, "cosine"))
    assert rates["linear"] == pytest.approx(recipe.factor(0.3, "linear"))
    assert rates["linear"] < rates[None]


def test_a_tower_of_the_first_stage_begins_the_second(tmp_path, capsys):
    tower = "vision/cogvit,width=16,depth=1,heads=2,hidden=32,patch=16"
    data = tmp_path / "data.yaml"
    data.write_text(
        "use: data/packed\npack_tokens: 256\ntokenizer: {use: tokenizer/bpe, vocab: 512}\n"
        "processor: {use: processor/chat}\n"
        "suite: {use: suite/nano, tasks: {count: {use: task/count}}, things: 8}\n"
    )
    first, second = tmp_path / "first", tmp_path / "second"
    objective = "objective/dinov3,crops={size: 4, local_size: 2, local: 2},prototypes=16"
    call = ["fit", "--model", tower, "--objective", objective, "--data", str(data), "--out", str(first)]
    assert main([*call, "--budget", "samples=20"]) == 0, capsys.readouterr().err
    weights = f"weights={{folder: {first}, take: [vision]}}"
    # Nothing is trained far: what is looked at is where it began.
    still = [f"stages.0.learning_rates={{{part}: 0}}" for part in ("vision",)]
    sets = [part for one in (weights, *still, "budget.samples=10") for part in ("--set", one)]
    capsys.readouterr()
    assert main(["fit", "-c", str(TOWERS), "--out", str(second), *sets]) == 0
    told = capsys.readouterr().err
    assert "taken        vision" in told and "at random    text, align" in told
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (second, first))
    assert all(torch.equal(ours[f"vision.{name}"], value) for name, value in theirs.items())
    compared = ["compare", str(TOWERS), "--seeds", "1", "--no-blind", "--out", str(tmp_path / "compared")]
    for verb in (["evaluate", str(second)], ["ask", str(second), "what is this?"], compared):
        assert main(verb) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        print(line)
        assert ": assembly/two_tower answers no questions; the native, adapter or cascade" in line
    assert not (tmp_path / "compared").exists()


MISTAKES = {
    "stages.0.resolution={tokens: null, square: 70}": "square: found 70, which does not divide into "
    "patches of 16 pixels; 64 would be right",
    "stages.0.resolution={tokens: [9, 4]}": "tokens: found 9 to 4; the least, 1 or more, and then the most",
    "stages.0.resolution={tokens: [4, 9], square: 64}": "found both of tokens and square; exactly one would",
    "stages.0.decays={text: steps}": "'steps'",
    "stages.0.weight_decays={tongue: 0.1}": "weight_decays.tongue: tongue matches no parameter; the parts",
    "data.languages={en: 1, eo: 1}": "captions in 'eo' are not known here; en or es or de or zh",
    "data.languages={en: -1}": "data/packed: languages is {'en': -1.0, 'zh': 0.5}; shares, not all 0, would",
    "data.languages={en: 0, zh: 0}": "shares, not all 0, would be right",
    "stages.0.view=question": "stages.0.view: found 'question'; objective/contrastive takes 'captions'",
    "assembly.text.max_positions=4": "tokens, but text.max_positions is 4; a shorter caption, or",
    "stages.0.pack_tokens=109": "found 1 pair; at least 2 are needed to tell apart, so a larger pack",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_one_line(mistake, tmp_path, capsys):
    assert main(["fit", "-c", str(TOWERS), "--out", str(tmp_path / "run"), "--set", mistake]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    print(told[-1])
    assert MISTAKES[mistake] in told[-1] and not any("Traceback" in line for line in told)
