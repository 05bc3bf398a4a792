"""Each specialist overfits sixteen frames; sizes, empties, FLOPs, state and determinism hold for all."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from torchvision.ops import box_iou

from vlmloom.components.contracts.sample import Thing
from vlmloom.components.contracts.specialist import Specialist
from vlmloom.components.contracts.visuals import Pictures
from vlmloom.components.objective.specialist import SpecialistLoss
from vlmloom.components.specialist.detector import Detector, bumps
from vlmloom.components.specialist.reader import Reader
from vlmloom.components.specialist.tagger import Tagger

NAMES, COLOURS, ALPHABET = ["disc", "square", "word"], ["blue", "red"], "AEGNOST"


def made(kind: type[Specialist], **arguments: object) -> Specialist:
    torch.manual_seed(0)
    part = kind(**arguments)
    part.bind_vocabulary(NAMES, COLOURS, ALPHABET)
    return part


def small() -> dict[str, Specialist]:
    return {
        "detector": made(Detector, width=16, deep=16, depth=1),
        "tagger": made(Tagger, width=8),
        "reader": made(Reader, width=8, depth=1),
    }


PARTS = sorted(small())


def overfitted(part: Specialist, pictures: Pictures, steps: int) -> Specialist:
    optimizer = torch.optim.AdamW(part.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    part.train()
    for _ in range(steps):
        loss, _ = part.loss(pictures)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return part.eval()


@pytest.fixture(scope="module")
def trained(sixteen: Pictures) -> dict[str, Specialist]:
    return {
        "detector": overfitted(made(Detector, width=24, deep=32, depth=2), sixteen, 150),
        "tagger": overfitted(made(Tagger, width=12), sixteen, 60),
        "reader": overfitted(made(Reader, width=16), sixteen, 200),
    }


def without_truth(pictures: Pictures) -> Pictures:
    return replace(pictures, things=[() for _ in pictures.frames])


def test_detector_finds_every_box_and_no_other(trained, sixteen):
    for found, true in zip(trained["detector"].perceive(without_truth(sixteen)), sixteen.things, strict=True):
        assert len(found) == len(true)
        overlap = box_iou(
            *(torch.tensor([thing.box for thing in things]).float() for things in (true, found))
        )
        best, which = overlap.max(1)
        assert (best > 0.5).all()
        for thing, place in zip(true, which.tolist(), strict=True):
            assert found[place].category == ("text" if thing.text else "thing")


def test_tagger_names_things_and_their_colours(trained, sixteen):
    untold = [tuple(replace(thing, name="", colour="") for thing in things) for things in sixteen.things]
    tagged = trained["tagger"].perceive(replace(sixteen, things=untold))
    assert tagged == sixteen.things


def test_reader_reads_what_is_writing_and_leaves_the_rest(trained, sixteen):
    unread = [
        tuple(replace(thing, text="", category="text") if thing.text else thing for thing in things)
        for things in sixteen.things
    ]
    read = trained["reader"].perceive(replace(sixteen, things=unread))
    assert [[t.text for t in things] for things in read] == [
        [t.text for t in things] for things in sixteen.things
    ]


@pytest.mark.parametrize("name", PARTS)
def test_frames_of_different_sizes_in_one_batch_equal_one_by_one(name, trained, sixteen):
    part = trained[name]
    together = part.perceive(sixteen)
    for place in range(6):
        one = Pictures([sixteen.frames[place]], [sixteen.things[place]], ["x"], [0])
        (alone,) = part.perceive(one)
        assert alone == together[place]


def test_detector_maps_do_not_depend_on_the_batch(sixteen):
    part = small()["detector"]
    pixels = (
        torch.stack([f for f in sixteen.frames if f.shape == (64, 64, 3)]).permute(0, 3, 1, 2).float() / 255
    )
    heat, boxes = part.maps(pixels)
    one_heat, one_boxes = part.maps(pixels[2:3])
    torch.testing.assert_close(heat[2:3], one_heat, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(boxes[2:3], one_boxes, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("which", ["nothing", "empty_frames"])
@pytest.mark.parametrize("name", PARTS)
def test_without_frames_or_things_every_parameter_still_has_a_finite_gradient(name, which, request):
    pictures, part = request.getfixturevalue(which), small()[name]
    loss, _ = part.loss(pictures)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in part.parameters())
    assert len(part.eval().perceive(pictures)) == len(pictures.frames)


@pytest.mark.parametrize("name", PARTS)
def test_declared_flops_are_those_that_torch_counts(name, sixteen):
    part = small()[name].eval()
    with FlopCounterMode(display=False) as counter:
        part.loss(sixteen)
    assert part.flops(part.views(sixteen)) == counter.get_total_flops()
    assert SpecialistLoss().flops(part, sixteen) == {"specialist": counter.get_total_flops()}


@pytest.mark.parametrize("name", PARTS)
def test_training_is_deterministic_and_resumes(name, sixteen):
    def steps(part: Specialist, count: int) -> float:
        optimizer = torch.optim.SGD(part.parameters(), lr=1e-2)
        for _ in range(count):
            loss, _ = part.loss(sixteen)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    straight = small()[name]
    last = steps(straight, 3)
    halted = small()[name]
    steps(halted, 2)
    resumed = type(halted)(**{"detector": {"width": 16, "deep": 16, "depth": 1}, "tagger": {"width": 8},
                              "reader": {"width": 8, "depth": 1}}[name])  # fmt: skip
    resumed.load_state_dict(halted.state_dict())
    assert steps(resumed, 1) == last


@pytest.mark.parametrize("name", ["tagger", "reader"])
def test_the_vocabulary_travels_with_the_weights(name, trained, sixteen, tmp_path):
    kind, arguments = {"tagger": (Tagger, {"width": 12}), "reader": (Reader, {"width": 16})}[name]
    torch.save(trained[name].state_dict(), tmp_path / "part.pt")
    fresh = kind(**arguments)
    fresh.load_state_dict(torch.load(tmp_path / "part.pt", weights_only=True))
    assert fresh.eval().perceive(sixteen) == trained[name].perceive(sixteen)


def test_vocabulary_given_at_construction_is_not_replaced():
    part = Tagger(names=["cat"], colours=["red"])
    part.bind_vocabulary(["dog"], ["blue"], "")
    assert part.names.labels == ["cat"] and part.colours.labels == ["", "red"]
    assert part.name_head.out_features == 1


def test_unbound_vocabulary_says_what_is_missing(sixteen):
    with pytest.raises(RuntimeError, match="names: no labels yet; name them or call bind_vocabulary"):
        Tagger().loss(sixteen)
    with pytest.raises(RuntimeError, match="alphabet: no labels yet"):
        Reader().loss(sixteen)


def test_vocabulary_refuses_more_labels_than_room_and_labels_twice():
    with pytest.raises(ValueError, match="names: 3 labels, but capacity is 2; set max_names to 3"):
        Tagger(max_names=2).bind_vocabulary(["a", "b", "c"], [], "")
    with pytest.raises(ValueError, match="alphabet: A stands twice"):
        Reader(alphabet="ABA")


def test_bad_arguments_say_what_would_be_right():
    with pytest.raises(ValueError, match="classes: a class of things and a class of writing are needed"):
        Detector(classes=["thing"])
    with pytest.raises(ValueError, match="threshold: a heat between 0 and 1 is needed, found 2"):
        Detector(threshold=2.0)
    with pytest.raises(ValueError, match="height: a multiple of 8 is needed, found 12"):
        Reader(height=12)


def test_objective_names_the_specialists_that_there_are(sixteen):
    holder = torch.nn.Module()
    holder.detector = small()["detector"]
    with pytest.raises(ValueError, match="has no specialist 'tagger'; it has detector"):
        SpecialistLoss(part="tagger")(holder, sixteen)
    loss, parts = SpecialistLoss(part="detector")(holder, sixteen)
    assert loss.requires_grad and set(parts) == {"heat", "box"}


def test_bump_is_one_at_the_centre_cell_and_wide_as_the_box():
    (bump,) = bumps(torch.tensor([[2.0, 4.0, 8.0, 5.0]]), 8, 12)
    assert bump[4, 5] == 1.0 and bump.argmax() == 4 * 12 + 5
    assert bump[4, 6] > bump[5, 5]


def test_greedy_ctc_merges_repeats_and_keeps_letters_that_a_blank_divides():
    part = Reader(alphabet="GO")
    path = torch.tensor([0, 1, 1, 0, 2, 2, 0, 2])
    logits = torch.nn.functional.one_hot(path, 3).float()[:, None]
    assert part.decode(logits) == ["GOO"]


def test_class_follows_text_then_name():
    part = Detector(classes=["thing", "bar", "text"])
    things = [Thing("dog"), Thing("bar", colour="red"), Thing("word", text="GO"), Thing("text")]
    assert [part.class_of(thing) for thing in things] == [0, 1, 2, 0]
