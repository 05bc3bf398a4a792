"""SigLIP 2's late terms: nothing before their time, a teacher that follows, loss where patches are hidden."""

import copy
import math
from functools import partial

import numpy as np
import pytest
import torch
from paired import paired
from torch.utils.flop_counter import FlopCounterMode

from vlmloom.components.alignment.sigmoid import SigmoidAlignment
from vlmloom.components.attention import SDPA
from vlmloom.components.contracts.patches import cut, join
from vlmloom.components.contracts.visuals import PatchSpec
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.language import GLM
from vlmloom.components.objective import late
from vlmloom.components.objective.dino import crops as cropping
from vlmloom.components.objective.dino.crops import Crops, draw_boxes, joined
from vlmloom.components.objective.dino.losses import sinkhorn
from vlmloom.components.objective.late import Late, LateTerms
from vlmloom.components.objective.siglip2 import SigLIP2

LENGTHS, SIZES = [3, 5, 4, 3], [(8, 16), (8, 8), (16, 8), (12, 8)]
SMALL = {"prototypes": 8, "hidden": 8, "bottleneck": 4, "crops": Crops(size=4, local_size=2, local=3, wide=1)}


class Towers(torch.nn.Module):
    """The parts that the objective asks for."""

    def __init__(self, vision):
        super().__init__()
        self.vision = vision
        layers = [{"ffn": partial(SwiGLU, hidden=24)}]
        self.text = GLM(vocab=32, width=16, depth=1, heads=2, layers=layers, attention=SDPA())
        self.align = SigmoidAlignment(vision_width=8, text_width=16, width=8, heads=2)


@pytest.fixture
def towers(tower):
    torch.manual_seed(0)
    return Towers(tower(8))


def pictures(block=1):
    """Smooth pictures of several sizes, cut natively."""
    generator = np.random.default_rng(2)
    spec = PatchSpec(2, block=block)
    frames = [
        np.kron(generator.integers(0, 256, (height // 4, width // 4, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        for height, width in SIZES
    ]
    return join([cut(one[None], spec) for one in frames], spec), spec, frames


def captions():
    ids = torch.randint(0, 32, (sum(LENGTHS),), generator=torch.Generator().manual_seed(1))
    return paired(ids, LENGTHS, pictures()[0], torch.arange(4))


def made(towers, **late):
    torch.manual_seed(1)
    objective = SigLIP2(vision_width=8, vocab=32, width=16, depth=1, heads=2, late=Late(**SMALL | late))
    objective.meet(towers)
    return objective


def train(objective, towers, steps, total, optimizer=None):
    """The steps `steps` of `total`; the losses."""
    optimizer = optimizer or torch.optim.AdamW([*towers.parameters(), *objective.parameters()], lr=5e-3)
    losses = []
    for step in steps:
        optimizer.zero_grad()
        loss, parts = objective(towers, captions())
        loss.backward()
        optimizer.step()
        objective.after_step(towers, (step + 1) / total)
        losses.append((float(loss.detach()), parts))
    return losses


def test_nothing_of_the_terms_is_there_before_four_fifths_of_the_stage(towers):
    objective, plain = made(towers), SigLIP2(vision_width=8, vocab=32, width=16, depth=1, heads=2)
    plain.decoder.load_state_dict(objective.decoder.state_dict())
    twins = copy.deepcopy(towers)
    found, wanted = (train(one, two, range(8), 10) for one, two in ((objective, towers), (plain, twins)))
    assert [loss for loss, _ in found] == [loss for loss, _ in wanted]
    for (name, value), other in zip(towers.named_parameters(), twins.parameters(), strict=True):
        assert torch.equal(value, other) and torch.equal(value.grad, other.grad), name
    assert all("prediction/loss" not in parts for _, parts in found)
    late = [parameter for name, parameter in objective.named_parameters() if name.startswith("terms")]
    # Zero and not None: DDP waits for a gradient of every parameter.
    assert late and all(parameter.grad is not None and not parameter.grad.any() for parameter in late)
    (_, parts), *_ = train(objective, towers, [8], 10)
    assert parts["distillation/loss"] > 0 and parts["prediction/loss"] > 0
    assert all(parameter.grad.any() for parameter in late)


def test_the_teacher_starts_as_the_tower_follows_it_and_is_not_trained(towers):
    objective = made(towers, start=0.5, momentum=0.75)
    (terms,) = objective.terms
    teacher = terms.teacher["tower"]
    train(objective, towers, range(5), 10)

    def of(name):
        return teacher.get_buffer(teacher.names[name])

    for name, value in towers.vision.named_parameters():
        assert torch.equal(of(name), value), name
    before = {name: of(name).clone() for name in teacher.names}
    train(objective, towers, [5], 10)
    momentum = 1 - 0.25 * 0.5 * (1 + math.cos(math.pi * 0.2))
    for name, value in towers.vision.named_parameters():
        wanted = momentum * before[name] + (1 - momentum) * value
        torch.testing.assert_close(of(name), wanted, rtol=1e-5, atol=1e-6)
    trained = {id(parameter) for parameter in objective.parameters()}
    assert not any(id(buffer) in trained or buffer.requires_grad for buffer in teacher.buffers())
    # At the end of the stage the momentum is 1.
    before = {name: of(name).clone() for name in teacher.names}
    objective.after_step(towers, 1.0)
    assert all(torch.equal(of(name), value) for name, value in before.items())


def test_the_heads_are_drawn_anew_at_the_start_whatever_decay_has_made_of_them(towers):
    objective = made(towers, start=0.5)
    head = objective.terms[0].heads["patch"]
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(1e-6)
    objective.after_step(towers, 0.4)
    assert head.mlp[0].weight.abs().max() < 1e-5
    objective.after_step(towers, 0.6)
    assert 0.5 < float(head.mlp[0].weight.detach().std()) * 8**0.5 < 1.5
    other = made(towers, start=0.5)
    other.after_step(towers, 0.6)
    assert torch.equal(other.terms[0].heads["patch"].mlp[0].weight, head.mlp[0].weight), "on every process"


def begun(towers, **late):
    objective = made(towers, start=0.0, **late)
    objective.after_step(towers, 0.0)
    return objective.terms[0]


def tapped(tower):
    """The tokens of every call of the tower, which keep their gradients."""
    seen = []

    def keep(_, __, out):
        out[0].tokens.retain_grad()
        seen.append(out[0].tokens)

    tower.register_forward_hook(keep)
    return seen


def test_masked_prediction_descends_hidden_tokens_alone(towers):
    """Half of the tokens of a global crop get a gradient, behind the tower, and no other does."""
    terms = begun(towers, distillation=0.0)
    seen = tapped(towers.vision)
    loss, _ = terms(towers.vision, pictures()[0], 0, 0)
    loss.backward()
    whole, narrow = 4 * 16, 4 * 3 * 4
    slopes = seen[0].grad.norm(dim=1) > 0
    assert len(slopes) == whole + narrow
    assert slopes[:whole].view(4, 16).sum(1).tolist() == [8] * 4 and not slopes[whole:].any()
    assert terms.patch.grad.any() and not terms.heads["summary"].mlp[0].weight.grad.any()


def test_self_distillation_descends_local_crops_alone(towers):
    terms = begun(towers, prediction=0.0)
    seen = tapped(towers.vision)
    loss, parts = terms(towers.vision, pictures()[0], 0, 0)
    loss.backward()
    slopes = seen[0].grad.norm(dim=1) > 0
    assert not slopes[: 4 * 16].any() and slopes[4 * 16 :].all()
    torch.testing.assert_close(loss.detach(), parts["distillation/loss"])


def judged(monkeypatch):
    """What every call of the cross-entropy compares: guesses and targets."""
    pairs, own = [], late.cross_entropy

    def keep(guessed, wanted, heat):
        pairs.append((guessed, wanted))
        return own(guessed, wanted, heat)

    monkeypatch.setattr(late, "cross_entropy", keep)
    return pairs


def test_a_local_crop_is_taught_by_the_global_crop_of_its_picture(towers, monkeypatch):
    """Targets are Sinkhorn-Knopp's; crops of pictures of one colour each say whose they are."""
    monkeypatch.setattr(cropping, "distort", lambda images, *given, **named: images)
    terms, pairs, shown, taught = begun(towers), judged(monkeypatch), [], []
    towers.vision.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    terms.teacher["summary"].register_forward_hook(lambda _, __, out: taught.append(out))
    spec = PatchSpec(2)
    plain = [np.full((8, 8, 3), 60 * number, np.uint8) for number in range(4)]
    terms(towers.vision, join([cut(one[None], spec) for one in plain], spec), 0, 0)
    (_, wanted), _ = pairs
    targets = sinkhorn(taught[0], terms.late.teacher_temperature)
    colours = shown[0].patches.detach()[4 * 16 :].view(4 * 3, 4, -1).mean((1, 2)).round(decimals=2)
    _, whose = colours.unique(return_inverse=True)
    assert whose.bincount().tolist() == [3, 3, 3, 3]
    assert not torch.allclose(targets[0], targets[3], atol=1e-3)
    torch.testing.assert_close(wanted, targets[whose])


def test_a_hidden_place_is_taught_by_what_the_teacher_sees_there(towers, monkeypatch):
    terms, pairs, seen, asked = begun(towers), judged(monkeypatch), tapped(towers.vision), []
    terms.patch.data.fill_(9.0)
    shown, answered = [], []
    towers.vision.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    terms.teacher["tower"].register_forward_hook(lambda _, __, out: answered.append(out[0].tokens))
    terms.teacher["patch"].register_forward_hook(lambda _, given, out: asked.append((given[0], out)))
    terms.heads["patch"].register_forward_hook(lambda _, given, __: asked.append((given[0], None)))
    terms(towers.vision, pictures()[0], 0, 0)
    hidden = (shown[0].patches[: 4 * 16] == 9.0).all(-1)
    (of_teacher, cosines), (of_tower, _) = asked
    assert hidden.sum() == 4 * 8
    assert torch.equal(of_teacher, answered[0][hidden]) and torch.equal(of_tower, seen[0][: 4 * 16][hidden])
    _, (_, wanted) = pairs
    torch.testing.assert_close(wanted, sinkhorn(cosines, terms.late.teacher_temperature))


def test_the_alignment_sees_the_pictures_as_they_are(towers):
    """The terms see other draws of them; the alignment's loss is that without the terms."""
    objective = made(towers, start=0.0)
    _, before = objective(towers, captions())
    objective.after_step(towers, 0.5)
    objective.updates.zero_()
    loss, after = objective(towers, captions())
    for name in ("align/loss", "caption/loss", "retrieval"):
        assert torch.equal(before[name], after[name]), name
    wanted = sum(
        weight * after[f"{name}/loss"]
        for name, weight in (("align", 1), ("caption", 1), ("distillation", 1), ("prediction", 0.25))
    )
    torch.testing.assert_close(loss.detach(), wanted)


@pytest.mark.parametrize("block", [1, 2])
def test_native_pictures_are_joined_and_cropped_at_their_aspect(block):
    visuals, spec, frames = pictures(block)
    images, aspects = joined(visuals, spec)
    assert images.shape == (4, 3, 16, 16) and aspects.tolist() == [2.0, 1.0, 0.5, 8 / 12]
    alone, _ = joined(join([cut(frames[0][None], spec)], spec), spec)
    wanted = torch.from_numpy(frames[0]).permute(2, 0, 1).float() / 255
    torch.testing.assert_close(alone[0], wanted, atol=1e-5, rtol=0)
    boxes = draw_boxes(4000, (0.1, 0.3), np.random.default_rng(0), aspects=2.0)
    _, _, height, width = boxes.T
    shapes = 2.0 * width / height
    assert 0.74 < shapes.min() < 0.78 and 1.28 < shapes.max() < 1.34
    assert 0.099 < (height * width).min() and (height * width).max() < 0.301


def test_resumed_in_the_late_phase_equals_uninterrupted(towers):
    def optimizer(objective, module):
        return torch.optim.AdamW([*module.parameters(), *objective.parameters()], lr=5e-3)

    objective, twins = made(towers, start=0.3), copy.deepcopy(towers)
    first = optimizer(objective, towers)
    train(objective, towers, range(6), 10, first)
    resumed = made(twins, start=0.3)
    second = optimizer(resumed, twins)
    resumed.load_state_dict(objective.state_dict())
    twins.load_state_dict(towers.state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for one, module, rule in ((objective, towers, first), (resumed, twins, second)):
        train(one, module, range(6, 9), 10, rule)
    for whole, again in ((objective, resumed), (towers, twins)):
        for name, value in whole.state_dict().items():
            assert torch.equal(value, again.state_dict()[name]), name


def test_flops_are_those_of_the_products_on_crops(towers, monkeypatch):
    (visuals, spec, _), terms = pictures(), begun(towers)
    views = terms.late.crops.draw(joined(visuals, spec)[0], 2, np.random.default_rng(0))
    monkeypatch.setattr(Crops, "draw", lambda *_, **__: views)
    account = terms.flops(towers.vision, 4)
    with (
        FlopCounterMode(display=False) as counter,
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
        torch.no_grad(),
    ):
        terms(towers.vision, visuals, 0, 0)
    assert sum(account.values()) == counter.get_total_flops()
    assert sum(LateTerms(towers.vision, Late(**SMALL)).flops(towers.vision, 4).values()) == 0


@pytest.mark.parametrize(
    ("late", "text"),
    [
        ({"start": 1.5}, "start is 1.5; a share in \\[0, 1\\] would be right"),
        (
            {"masked": 1.0},
            "masked is 1.0, so all patches would be hidden; a share in \\(0, 1\\)",
        ),
        ({"masked": 0.0}, "masked is 0.0, so nothing would be hidden"),
        ({"prediction": -1.0}, "a weight is below 0; 0 or more would be right"),
        (
            {"crops": Crops(size=1, wide=1)},
            "has one token, so nothing can be hidden; a larger",
        ),
    ],
)
def test_bad_numbers_are_refused_in_one_line(towers, late, text):
    with pytest.raises(ValueError, match=text) as refused:
        made(towers, **late)
    print(refused.value)
    with pytest.raises(ValueError, match="wide is 3; 1 or 2 would be right"):
        Crops(wide=3)
