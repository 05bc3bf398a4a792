"""What a stage sees of a sample, and what becomes of a pack whose pictures cannot be read."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from rich.console import Console

from vlmloom.components.contracts.sample import CorruptPicture, Picture, Thing
from vlmloom.components.contracts.visuals import Pictures
from vlmloom.components.objective.specialist import SpecialistLoss
from vlmloom.components.optimizer.adamw import AdamW
from vlmloom.components.specialist.reader import Reader
from vlmloom.components.specialist.tagger import Tagger
from vlmloom.components.task.perception.which_image import WhichImage
from vlmloom.components.task.suite import Nano
from vlmloom.components.task.video.order import Order
from vlmloom.pipelines import loom
from vlmloom.pipelines.account import labels
from vlmloom.pipelines.data.captions import CaptionView
from vlmloom.pipelines.experiment import Stage
from vlmloom.pipelines.loading import build_experiment, compose_experiment
from vlmloom.pipelines.run import train

TINY = Path(__file__).parents[1] / "tiny.yaml"


def test_a_caption_tells_all_frames_of_its_clip_and_nothing_of_other_pictures():
    experiment, _ = build_experiment(compose_experiment(TINY))
    experiment.data.connect(experiment.assembly)
    suite = Nano(shift=[], tasks={"order": Order, "which_image": WhichImage})
    view = CaptionView(suite, experiment.data.processor, experiment.assembly, split="train")
    clips = stills = 0
    for index in range(30):
        whole, seen = suite.plan("train", index), view.plan(index)
        names = {thing.name for thing in whole.scene.things}
        told = {name for name in names if name in seen.caption.replace("[", " ").split()}
        if whole.task == "order":
            clips += 1
            assert told == names and seen.caption == whole.caption
        else:
            stills += 1
            assert told == {next(t.name for t in whole.scene.things if t.frame == 0)}
            assert "second" not in seen.caption
    assert clips and stills


def test_labels_are_counted_as_specialists_are_taught():
    things = (
        Thing("dog", "animal", (0, 0, 500, 500)),
        Thing("hat", "clothes", (500, 0, 900, 400), "red"),
        Thing("word", "writing", (100, 600, 900, 900), "", "GO"),
    )
    frames = [torch.full((64, 64, 3), 200, dtype=torch.uint8)] * 2
    batch = Pictures(frames, [things, ()], ["a", "b"], [0, 1])

    def counted(part: str) -> dict[str, int]:
        return dict(labels(batch, Stage("s", SpecialistLoss(part=part), AdamW(), view="scenes")))

    assert counted("detector") == {"box": 3}
    assert counted("tagger") == {"name": 3, "colour": 1}
    assert counted("reader") == {"read": 1}
    tagger = Tagger(names=["dog", "hat", "word"], colours=["red"], width=8)
    taught, _ = tagger._cut(batch, shaken=False)
    assert sum(thing.name in tagger.names.index for thing in taught) == counted("tagger")["name"]
    _, metrics = Reader(alphabet="GO", width=8, depth=1).loss(batch)
    assert metrics["lines"] == counted("reader")["read"]


class Broken(Picture):
    frames, height, width, key = 1, 64, 64, "all/broken.png"

    def render(self) -> np.ndarray:
        raise CorruptPicture("all/broken.png: is truncated")


@pytest.mark.parametrize("assembly", ["tiny", "nano/cascade"])
def test_a_pack_of_nothing_but_corrupt_pictures_trains_on_nothing(assembly, tmp_path, monkeypatch):
    source = TINY if assembly == "tiny" else assembly
    sets = ["budget.flops=null", "budget.seconds=0.5", "data.suite.weights={arithmetic: 0.0}"]
    if assembly == "tiny":
        sets[0] = "budget.samples=null"
    composed = compose_experiment(source, sets=sets)
    experiment, resolved = build_experiment(composed)
    if assembly != "tiny":
        experiment.stages = experiment.stages[:3]
    suite, plan = experiment.data.suite, experiment.data.suite.plan

    def broken(split, index):
        sample = plan(split, index)
        sample.prompt = [Broken() if isinstance(part, Picture) else part for part in sample.prompt]
        return sample

    monkeypatch.setattr(suite, "plan", broken)
    monkeypatch.setattr(loom, "EMPTY", 10**6)  # else it would stop after a few such packs
    ledger = train(experiment, tmp_path, resolved=resolved, console=Console(quiet=True))
    assert ledger.samples == 0 and ledger.steps > 0 and sum(ledger.corrupt.values()) >= ledger.steps


class Truncated(Picture):
    """Its size is known, and that it cannot be decoded only once it is drawn."""

    def __init__(self, whole: Picture) -> None:
        self.frames, self.height, self.width, self.key = whole.frames, whole.height, whole.width, whole.key

    def render(self) -> np.ndarray:
        raise CorruptPicture(f"{self.key}: is truncated")


class Weights(Callback):
    """Notes of every micro-batch what its loss is divided by, the weights that it has, and what it lost."""

    def __init__(self) -> None:
        self.found: list[tuple[float, float, float]] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.found.append((batch.normaliser, float(batch.weights.sum()), batch.extras["lost_weight"]))


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_a_picture_found_truncated_takes_its_weight_along(micro_batches, tmp_path, monkeypatch):
    """One micro-batch a step is exact; of several, the last is, and each knows what was lost until then."""
    sets = ["budget.samples=120", f"trainer.accumulate_grad_batches={micro_batches}"]
    experiment, resolved = build_experiment(compose_experiment(TINY, sets=sets))
    suite, plan = experiment.data.suite, experiment.data.suite.plan

    def broken(split, index):
        sample = plan(split, index)
        if index % 3 == 0:
            parts = sample.prompt
            sample.prompt = [Truncated(part) if isinstance(part, Picture) else part for part in parts]
        return sample

    monkeypatch.setattr(suite, "plan", broken)
    weights = Weights()
    train(experiment, tmp_path, resolved=resolved, console=Console(quiet=True), callbacks=[weights])
    steps = [weights.found[at : at + micro_batches] for at in range(0, len(weights.found), micro_batches)]
    assert len(steps) > 4 and sum(lost > 0 for _, _, lost in weights.found) > 3
    for step in steps:
        present, lost = (sum(one[at] for one in step) for at in (1, 2))
        for normaliser, _, own in step:
            lost -= own
            assert normaliser * micro_batches == pytest.approx(present + lost)
