"""A tower that teaches itself: what it sees, what it is held to, what goes on after an interruption."""

import copy
import math

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.visuals import Visuals
from vlmloom.components.objective import dinov3
from vlmloom.components.objective.dino import crops as cropping
from vlmloom.components.objective.dino.crops import Crops, parted
from vlmloom.components.objective.dino.gram import Gram
from vlmloom.components.objective.dinov3 import DINOv3
from vlmloom.components.projector.linear import Linear
from vlmloom.components.vision.dinov3 import DINOv3Tower
from vlmloom.registry.errors import UserError

SMALL = {"prototypes": 32, "hidden": 32, "bottleneck": 16, "momentum": 0.95}
CROPS = Crops(size=4, local_size=2, local=2)


def prepared(student, **arguments):
    torch.manual_seed(1)
    objective = DINOv3(**{"crops": CROPS, **SMALL, **arguments})
    objective.prepare(student)
    return objective


def packed(visuals):
    return Packed.texts([], {"vision": visuals})


def pictures(objective, student, count=8, seed=0):
    """Smooth noise, in squares as the objective asks for them."""
    spec = objective.spec(student)
    noise = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return packed(parted([F.interpolate(noise, (spec.size, spec.size), mode="bilinear")], spec))


@pytest.fixture
def student(tower):
    torch.manual_seed(0)
    return tower(16, depth=2, hidden=32, patch=4)


def step(objective, student, optimizer, seed, progress=0.0):
    loss, metrics = objective(student, pictures(objective, student, seed=seed))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    objective.after_step(student, progress)
    return float(loss.detach()), metrics


def adamw(objective, student, lr=2e-3):
    return torch.optim.AdamW([*student.parameters(), *objective.parameters()], lr=lr)


def test_a_few_steps_on_noise_lower_the_loss(student):
    objective = prepared(student, gram=Gram(start=10, every=5))
    optimizer = adamw(objective, student)
    found = [step(objective, student, optimizer, seed, seed / 30) for seed in range(30)]
    assert sum(loss for loss, _ in found[-5:]) < 0.9 * sum(loss for loss, _ in found[:5])
    assert "gram/loss" not in found[9][1] and found[10][1]["gram/loss"] > 0
    names = {name.split(".")[0] for name, _ in objective.named_parameters()}
    assert names == {"heads", "patch"}, "the averages are no parameters"
    kept = {name.split(".")[0] for name in objective.state_dict()}
    assert kept == {"heads", "patch", "teacher", "anchor", "steps", "updates", "progress"}


def trained(student, monkeypatch):
    """Train on crops as they are; the last loss, what prototypes tell of new pictures, how many are used."""
    monkeypatch.setattr(cropping, "distort", lambda images, *given, **named: images)
    crops = Crops(size=4, local_size=2, local=1, scale=(0.5, 1.0), local_scale=(0.3, 0.5))
    heat = {"teacher_temperature": (0.04, 0.04), "momentum": 0.8}
    objective = prepared(student, crops=crops, koleo=0.0, **heat)
    optimizer = adamw(objective, student, 3e-3)
    for seed in range(60):
        _, metrics = step(objective, student, optimizer, seed)
    new = pictures(objective, student, 32, seed=1000)
    with torch.no_grad():
        features, _ = student(new.visuals["vision"])
        cosines = objective.heads["summary"](features.tokens.view(32, 64, -1).mean(1))
    shares = torch.softmax(cosines / objective.temperature, 1)
    told = (shares * (shares / shares.mean(0)).log()).sum(1).mean()
    return float(metrics["global/loss"]), float(told), len(shares.argmax(1).unique())


def test_prototypes_tell_pictures_apart_and_collapse_to_one_without_centring(student, monkeypatch):
    """Without Sinkhorn-Knopp all pictures come to one prototype: loss 0, and nothing more to learn from."""
    twin = copy.deepcopy(student)
    loss, told, used = trained(student, monkeypatch)
    assert 0.5 < loss < math.log(32) - 0.1, "better than to say nothing of a picture"
    assert told > 0.2 and used > 8
    monkeypatch.setattr(dinov3, "sinkhorn", lambda cosines, heat: torch.softmax(cosines / heat, -1))
    loss, told, used = trained(twin, monkeypatch)
    assert loss < 0.05 and told < 0.02 and used == 1


class Seen(torch.nn.Module):
    """A tower that remembers what it was shown."""

    def __init__(self, tower):
        super().__init__()
        self.tower, self.shown = tower, []
        self.token_grids, self.patch_spec = tower.token_grids, tower.patch_spec
        self.named_parameters, self.named_buffers = tower.named_parameters, tower.named_buffers

    def forward(self, given):
        self.shown.append(given)
        return self.tower(given)


def test_ibot_looks_at_hidden_patches_only(student):
    objective = prepared(student).eval()
    objective.patch.data.fill_(9.0)
    seen, batch = Seen(student), pictures(objective, student)
    taken = []
    objective.heads["patch"].register_forward_hook(lambda _, given, __: taken.append(len(given[0])))
    _, before = objective(seen, batch)
    hidden = (seen.shown[0].patches == 9.0).all(-1)
    wide = 2 * 8 * 16
    assert taken == [int(hidden.sum())] and not hidden[wide:].any(), "local crops are shown whole"
    assert sorted(hidden[:wide].view(16, 16).any(1).tolist()) == [False] * 8 + [True] * 8

    class Moved(torch.nn.Module):
        """A teacher whose features are others at some places."""

        def __init__(self, teacher, where):
            super().__init__()
            self.teacher, self.where = teacher, where

        def forward(self, visuals):
            assert not (visuals.patches == 9.0).any(), "the teacher sees pictures whole"
            features, metrics = self.teacher(visuals)
            features.tokens = torch.where(self.where[:, None], features.tokens.flip(-1), features.tokens)
            return features, metrics

    teacher = objective.teacher["tower"]
    for where, moves in ((~hidden[:wide], False), (hidden[:wide], True)):
        objective.teacher["tower"] = Moved(teacher, where)
        _, after = objective(seen, batch)
        assert bool((after["patch/loss"] - before["patch/loss"]).abs() > 1e-4) == moves
        assert (after["global/loss"] - before["global/loss"]).abs() > 1e-5


def test_the_teacher_is_what_the_formula_says_and_the_gram_teacher_an_earlier_one(student):
    objective = prepared(student, gram=Gram(start=4, snapshot=2, every=3, refreshments=1))
    optimizer = adamw(objective, student)
    name = next(key for key, value in student.named_parameters() if value.ndim == 2)
    expected, teachers = student.get_parameter(name).detach().clone(), []
    for number in range(7):
        progress = number / 10
        step(objective, student, optimizer, number, progress)
        expected = 0.95 * expected + 0.05 * student.get_parameter(name).detach()
        teacher = objective.teacher["tower"].get_buffer(name.replace(".", "/"))
        torch.testing.assert_close(teacher, expected)
        teachers.append(teacher.clone())
        anchor = objective.anchor.get_buffer(name.replace(".", "/"))
        if number + 1 in (2, 7):
            assert torch.equal(anchor, teacher)
        elif number + 1 > 2:
            assert torch.equal(anchor, teachers[1])


@pytest.mark.parametrize("progress", [0.0, 0.25, 1.0])
def test_the_loss_is_the_sum_of_its_terms_by_their_weights(student, progress):
    gram = Gram(start=0, weight=2.0)
    objective = prepared(student, gram=gram, koleo=0.3, local_weight=(1.0, 0.5))
    objective.after_step(student, progress)
    loss, parts = objective(student, pictures(objective, student))
    # Two global crops look at each other's targets, two local ones at both: 2 pairs and 4.
    local = 0.5 + 0.5 * (1 + math.cos(math.pi * progress)) / 2
    weights = {"global": 2 / 6, "local": local * 4 / 6, "patch": 1.0, "koleo": 0.3, "gram": gram.weight_at(1)}
    assert all(parts[f"{name}/loss"] != 0 for name in weights)
    wanted = sum(weight * float(parts[f"{name}/loss"]) for name, weight in weights.items())
    assert float(loss.detach()) == pytest.approx(wanted, rel=1e-5)


def test_the_temperature_of_the_teacher_rises_and_stays(student, monkeypatch):
    heats, centre = [], dinov3.sinkhorn
    monkeypatch.setattr(dinov3, "sinkhorn", lambda given, heat: heats.append(heat) or centre(given, heat))
    objective = prepared(student, teacher_temperature=(0.04, 0.07), warmup=0.3)
    for progress in (0.0, 0.15, 0.3, 0.9):
        objective.after_step(student, progress)
        objective(student, pictures(objective, student))
    assert heats == pytest.approx([0.04, 0.04, 0.055, 0.055, 0.07, 0.07, 0.07, 0.07])


def test_the_first_teacher_is_the_tower_that_the_training_begins_with(student):
    objective = prepared(student, gram=Gram())
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.1)
    objective(student, pictures(objective, student))
    for average in (objective.teacher["tower"], objective.anchor):
        for name, value in student.named_parameters():
            assert torch.equal(average.get_buffer(name.replace(".", "/")), value)
    student.norm.weight.data.zero_()
    objective(student, pictures(objective, student))
    assert objective.teacher["tower"].get_buffer("norm/weight").any(), "once, not at every step"


def test_a_resumed_training_equals_an_uninterrupted_one_to_the_bit(student, tower):
    def run(student, objective, optimizer, seeds):
        return [step(objective, student, optimizer, seed, seed / 8)[0] for seed in seeds]

    settings = {"gram": Gram(start=2, snapshot=1, every=2)}
    whole = prepared(copy.deepcopy(student), **settings)
    twin = copy.deepcopy(student)
    optimizer = adamw(whole, twin)
    first = run(twin, whole, optimizer, range(3))
    kept = copy.deepcopy([one.state_dict() for one in (twin, whole, optimizer)])
    rest = run(twin, whole, optimizer, range(3, 7))
    again = tower(16, depth=2, hidden=32, patch=4)
    objective = prepared(again, **settings)
    resumed = adamw(objective, again)
    for one, state in zip((again, objective, resumed), kept, strict=True):
        one.load_state_dict(state)
    assert run(again, objective, resumed, range(3, 7)) == rest and first[0] != rest[0]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, objective.state_dict()[name]), name


def test_draws_follow_seed_and_step(student):
    def shown(objective, steps):
        seen = Seen(student)
        for _ in range(steps):
            objective(seen, pictures(objective, student))
        return [one.patches for one in seen.shown]

    first = shown(prepared(student), 2)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], shown(prepared(student, seed=1), 1)[0])
    assert torch.equal(first[0], shown(prepared(student), 1)[0])
    still = shown(prepared(student).eval(), 2)
    assert torch.equal(still[0], still[1])


def test_a_batch_without_pictures_gives_zero_gradients_and_not_none(student):
    objective = prepared(student, gram=Gram(start=0))
    loss, metrics = objective(student, packed(Visuals.blank(objective.spec(student))))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert metrics.keys() == objective(student, pictures(objective, student))[1].keys()
    for name, parameter in [*student.named_parameters(), *objective.named_parameters()]:
        assert parameter.grad is not None and not parameter.grad.any(), name


def test_declared_flops_are_what_torch_counts(student):
    objective = prepared(student, gram=Gram(start=0))
    batch = pictures(objective, student)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        objective(student, batch)
    declared, counted = sum(objective.flops(student, batch).values()), counter.get_total_flops()
    assert set(objective.flops(student, batch)) == {"teacher", "gram", "model", "objective"}
    # Blurring and the matrices of cosines are not declared.
    assert abs(declared - counted) < 0.12 * counted, (declared, counted)


def test_pictures_come_as_squares_that_count_as_one_global_crop(student):
    intake = prepared(student).intake(student)
    spec = intake.patch_specs()["vision"]
    assert (spec.patch, spec.size) == (4, 32)
    assert intake.merged_grids([spec.grid(1, 40, 90), spec.grid(4, 90, 40)]) == [(1, 4, 4)] * 2


def alone(student):
    objective = prepared(student)
    return objective(student, pictures(objective, student, count=1))


def test_one_picture_that_is_left_of_corrupt_ones_has_no_koleo(student):
    objective = prepared(student)
    batch = pictures(objective, student, count=1)
    batch.extras["corrupt"] = ["photo.png: is truncated"]
    loss, parts = objective(student, batch)
    assert loss.isfinite() and parts["koleo/loss"] == 0


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (alone, "found a pack of one picture, which has no neighbour for KoLeo; larger pack_tokens"),
        (lambda _: DINOv3(prototypes=0), "prototypes is 0; 1 or more would be right"),
        (lambda _: DINOv3(momentum=1.5), "momentum is 1.5; a share in [0, 1] would be right"),
        (lambda _: DINOv3(mask=(0.5, 1.0)), "mask is 0.5 to 1.0; shares in (0, 1), in order, would be right"),
        (lambda _: DINOv3(temperature=0.0), "a temperature is 0 or below; above 0 would be right"),
        (lambda _: DINOv3(koleo=-1.0), "a weight is below 0; 0 or more would be right"),
        (
            lambda student: DINOv3(crops=Crops(size=1)).prepare(student),
            "a global crop of 1 x 1 patches has one token, so nothing can be hidden; a larger crops.size",
        ),
        (
            lambda _: DINOv3().prepare(Linear(in_width=8, out_width=8)),
            "trains a vision tower, such as vision/cogvit, and projector/linear is none",
        ),
    ],
)
def test_every_refusal_is_one_line_that_says_what_would_be_right(student, action, text):
    with pytest.raises((ValueError, UserError)) as caught:
        action(student)
    told = str(caught.value)
    assert told.startswith("objective/dinov3: ") and text in told and "\n" not in told


def test_the_class_token_is_the_summary_where_a_tower_has_one():
    """Local crops have class tokens too, so what is before the patches learns from DINO and from KoLeo."""
    torch.manual_seed(0)
    student = DINOv3Tower(width=16, depth=1, heads=2, hidden=32, patch=4, registers=2)
    objective = prepared(student, masked=0.0)
    for module in (student, objective):
        module.train()
    heard = {}
    for name, taken in (("student", objective.heads), ("teacher", objective.teacher)):
        taken["summary"].register_forward_pre_hook(lambda _, given, name=name: heard.update({name: given[0]}))
    seen = []
    student.register_forward_hook(lambda _, given, given_back: seen.append(given_back[0]))
    loss, _ = objective(student, pictures(objective, student))
    torch.testing.assert_close(heard["student"], seen[0].pooled, atol=0, rtol=0)
    assert heard["student"].shape == (8 * (2 + 2), 16)
    assert heard["teacher"].shape == (8 * 2, 16)
    loss.backward()
    assert student.prefix.grad.abs().amax(1).min() > 0
