"""Recall at k by hand, towers that share a space with text, and a user's own pairs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from squares import SIDE, THINGS, sprites

from vlmloom.components.vision.cogvit import CogViT
from vlmloom.pipelines.cli import main
from vlmloom.pipelines.evaluate_vision import compare, pictures
from vlmloom.pipelines.evaluate_vision.pictures import Plan, draw_all
from vlmloom.pipelines.evaluate_vision.retrieval import both_ways, classes, guess, hits, instances, read_pairs
from vlmloom.pipelines.evaluate_vision.score import score
from vlmloom.registry.errors import UserError

TINY = "vision/cogvit,width=16,depth=1,heads=2,patch=8"
RECALLS = [f"{way}_r{at}" for way in ("image_to_text", "text_to_image") for at in (1, 5, 10)]


def test_recalls_are_those_of_a_case_by_hand() -> None:
    pictures = F.normalize(torch.tensor([[1.0, 0.1], [0.2, 1.0], [1.0, 0.6]]), dim=-1)
    captions = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    relevant = torch.tensor([[True, False], [False, True], [False, True]])
    # The third picture is nearer to the wrong caption; each caption is nearest to a picture of its own.
    assert hits(pictures, captions, relevant, 1).tolist() == [1, 1, 0]
    assert hits(captions, pictures, relevant.t(), 1).tolist() == [1, 1]
    found = {name: values.mean() for name, values, _ in both_ways(pictures, captions, relevant)}
    assert list(found) == RECALLS and found["image_to_text_r1"] == pytest.approx(2 / 3)
    assert found["image_to_text_r5"] == 1


@pytest.mark.parametrize("at", [1, 3])
def test_chance_is_what_random_orders_give(at: int) -> None:
    relevant = torch.zeros(400, 12, dtype=torch.bool)
    relevant[:, :2] = True
    drawn = torch.Generator().manual_seed(0)
    queries, gallery = (F.normalize(torch.randn(n, 64, generator=drawn), dim=-1) for n in (400, 12))
    assert hits(queries, gallery, relevant, at).mean() == pytest.approx(guess(relevant, at), abs=0.08)


def test_an_instance_is_found_among_five() -> None:
    known, things = np.repeat(np.arange(4), 6), np.array([0, 1, 2, 3])
    bank, queries = F.one_hot(torch.from_numpy(known)).float(), torch.eye(4)
    assert instances(bank, known, queries, things)[0].all()
    # Away from its own kind, and from one other: five of the remaining two kinds' twelve pictures come first.
    assert not instances(bank, known, queries[[1, 0, 3, 2]], things)[0].any()


class Words:
    """A space of so many words of the names, and, for pictures, of the thing that `CogViT` cannot know."""

    def __init__(self, truth: list[str]) -> None:
        self.truth, self.asked = truth, 0

    def embed_texts(self, texts: list[str]) -> torch.Tensor:
        numbers = torch.tensor([int("".join(filter(str.isdigit, text))) for text in texts])
        return F.one_hot(numbers, THINGS).float()

    def embed_pictures(self, features) -> torch.Tensor:
        names = self.truth[self.asked : self.asked + len(features.shapes)]
        self.asked += len(features.shapes)
        return self.embed_texts(names)


def test_zero_shot_and_retrieval_read_a_space_that_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "sprites_of", lambda source, option: sprites(tmp_path / "plain"))
    drawn = draw_all(Plan("plain", things=5, views=4, side=SIDE, sizes=(16,), templates=("a {}", "{}")))
    tower = CogViT(width=16, depth=1, heads=2, patch=8)
    shown = [drawn.names[thing] for scenes in drawn.tests.values() for thing in scenes.things]
    for truth, wanted in ((shown, 1.0), (shown[2:] + shown[:2], 0.0)):
        space = Words(truth)
        monkeypatch.setattr(tower, "shared_space", lambda space=space: space)
        found = {(own.probe, own.split): own for own in score(tower, drawn, ["zero_shot", "retrieval"])}
        assert found["zero_shot", "test"].values.mean() == wanted
        assert found["image_to_text_r1", "test"].values.mean() == wanted
        assert found["text_to_image_r1", "test"].values.mean() == wanted
        assert found["text_to_image_r5", "test"].chance < 1 == found["image_to_text_r5", "test"].chance
        assert {split for probe, split in found if probe == "zero_shot"} == {"test", "16 px"}


def test_a_class_is_the_mean_of_its_templates() -> None:
    class Space:
        def embed_texts(self, texts):
            return F.normalize(torch.tensor([[float(len(text)), 1.0] for text in texts]), dim=-1)

    space = Space()
    ensemble = classes(space, ["cat", "mouse"], ["a {}", "{}"])
    single = torch.stack([classes(space, ["cat", "mouse"], [template]) for template in ("a {}", "{}")])
    torch.testing.assert_close(ensemble, F.normalize(single.mean(0), dim=-1))


def test_own_pairs_are_read_and_ranked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pictures, "sprites_of", lambda source, option: sprites(tmp_path / "plain"))
    for number, size in enumerate([(20, 30), (40, 24), (16, 16)]):
        Image.new("RGB", size, (80 * number, 0, 0)).save(tmp_path / f"{number}.png")
    pairs = [("0.png", "0"), ("1.png", "1"), ("2.png", "1"), ("2.png", "2")]
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps({"image": p, "text": c}) + "\n" for p, c in pairs))
    own = read_pairs(file)
    assert own.captions == ["0", "1", "2"] and own.frames[0].shape == (30, 20, 3)
    assert own.relevant.tolist() == [[True, False, False], [False, True, False], [False, True, True]]
    built = compare.tower(TINY, 0)
    test = ["0"] * 2 * 2  # the plain test pictures are looked at first
    space = Words([*test, "0", "2", "2"])
    monkeypatch.setattr(built, "shared_space", lambda: space)
    plan = Plan("plain", things=2, views=4, side=SIDE, captions=str(file))
    found = {score.probe: score.values.tolist() for score in score(built, draw_all(plan), ["retrieval"])}
    assert found["image_to_text_r1"] == [1, 0, 1]

    for line, said in (
        ('{"image": "0.png"}', "pairs.jsonl:1: text is missing"),
        ('{"image": "9.png", "text": "a"}', "pairs.jsonl:1: 9.png cannot be read"),
        ('{"image": "0.png", "text": "a"}', "has 1 captions; 2 or more would be right"),
    ):
        file.write_text(line + "\n")
        with pytest.raises(UserError, match=r"pairs\.jsonl") as told:
            read_pairs(file)
        assert said in str(told.value) and "\n" not in str(told.value)
    assert main(["evaluate-vision", TINY, "--templates", "a dog"]) == 2
    assert "--templates 'a dog' has no place for the name; 'a {}' would be right" in capsys.readouterr().err
