"""A part of an assembly under an objective of its own: equal to the part alone, and nothing else moves."""

import copy

import pytest
import torch

from vlmloom.components.objective.contrastive import Contrastive
from vlmloom.components.objective.distil import Distil
from vlmloom.components.objective.part import OnPart

GRIDS = [(1, 4, 4), (1, 2, 6)]


class Two(torch.nn.Module):
    """Something with two parts."""

    def __init__(self, vision):
        super().__init__()
        self.vision, self.text = vision, torch.nn.Linear(2, 2)

    def parts(self):
        return {"vision": self.vision, "text": self.text}


@pytest.fixture
def pictures(batch, visuals):
    batch.visuals = {"vision": visuals(GRIDS, 2, 5), "teacher.one": visuals(GRIDS, 2, 6)}
    return batch


@pytest.fixture
def objectives(tower):
    def make():
        torch.manual_seed(3)
        return Distil(teachers={"one": tower(8)}, mask=0.5)

    return make


def test_loss_gradients_and_flops_are_those_of_the_part_alone(tower, objectives, pictures):
    module = Two(tower(8))
    alone, own = copy.deepcopy(module.vision), objectives()
    torch.manual_seed(4)
    own.prepare(alone)
    part = OnPart(objective=objectives())
    torch.manual_seed(4)
    part.check(module)
    wanted, told = own(alone, pictures)
    found, others = part(module, pictures)
    assert torch.equal(wanted, found) and told.keys() == others.keys()
    wanted.backward()
    found.backward()
    for one, other in zip(alone.parameters(), module.vision.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    assert all(parameter.grad is None for parameter in module.text.parameters())
    counts = own.flops(alone, pictures)
    assert part.flops(module, pictures) == {"vision": counts.pop("model"), **counts}
    assert part.intake(module).patch_specs().keys() == {"vision", "teacher.one"}


def test_heads_are_made_once_and_stand_in_the_state(tower, objectives):
    module, part = Two(tower(8)), OnPart(objective=objectives())
    part.check(module)
    first = part.objective.heads["one"]
    part.check(module)
    assert part.objective.heads["one"] is first
    assert any(name.startswith("objective.heads.one") for name in part.state_dict())


def test_what_is_done_once_a_step_reaches_the_objective(tower, objectives):
    seen = []
    part = OnPart(objective=objectives())
    part.objective.after_step = lambda module, progress: seen.append((module, progress))
    module = Two(tower(8))
    part.after_step(module, 0.25)
    assert seen == [(module.vision, 0.25)]


def test_a_part_that_is_not_there_or_no_tower_is_refused(tower, objectives):
    with pytest.raises(
        ValueError, match="objective/part: Two has no part eyes; one of vision, text would be"
    ):
        OnPart(objective=objectives(), part="eyes").check(Two(tower(8)))
    with pytest.raises(ValueError, match="objective/distil: teaches a vision tower"):
        OnPart(objective=objectives(), part="text").check(Two(tower(8)))
    with pytest.raises(ValueError, match="trains an assembly"):
        OnPart(objective=Contrastive()).check(Two(tower(8)))
