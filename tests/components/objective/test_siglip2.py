"""Captions are written from the picture, and the total is the weighted sum."""

import copy
import math
from functools import partial

import pytest
import torch
from paired import paired
from torch.utils.flop_counter import FlopCounterMode

from vlmloom.components.alignment.sigmoid import SigmoidAlignment
from vlmloom.components.attention import SDPA
from vlmloom.components.contracts.visuals import Visuals
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.language import GLM
from vlmloom.components.objective.siglip2 import SigLIP2

SMALL = {"vision_width": 8, "vocab": 32, "width": 32, "depth": 1, "heads": 2}
LENGTHS, SHAPES = [3, 5, 4, 3], [(1, 2, 4), (1, 2, 2), (1, 4, 2), (1, 2, 2)]


class Towers(torch.nn.Module):
    """The parts that the objective asks for."""

    def __init__(self, vision):
        super().__init__()
        layers = [{"ffn": partial(SwiGLU, hidden=24)}]
        self.vision = vision
        self.text = GLM(vocab=32, width=16, depth=1, heads=2, layers=layers, attention=SDPA())
        self.align = SigmoidAlignment(vision_width=8, text_width=16, width=8, heads=2)


@pytest.fixture
def towers(tower):
    torch.manual_seed(0)
    return Towers(tower(8))


def captions(order=(0, 1, 2, 3)):
    """Four captions, the pictures in this order."""
    generator = torch.Generator().manual_seed(1)
    pictures = [torch.randn(math.prod(shape), 12, generator=generator) for shape in SHAPES]
    shapes = [SHAPES[item] for item in order]
    ids = torch.randint(0, 32, (sum(LENGTHS),), generator=generator)
    patches = torch.cat([pictures[item] for item in order])
    return paired(ids, LENGTHS, Visuals(patches, torch.tensor(shapes), shapes), torch.arange(4))


def made(**arguments):
    torch.manual_seed(1)
    return SigLIP2(**SMALL | arguments)


def train(objective, towers, steps):
    optimizer = torch.optim.AdamW([*towers.parameters(), *objective.parameters()], lr=5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        loss, _ = objective(towers, captions())
        loss.backward()
        optimizer.step()
        objective.after_step(towers, 0.0)


@pytest.mark.parametrize("parallel", [0.0, 1.0])
def test_captions_are_learned_from_their_pictures(towers, parallel):
    objective = made(parallel=parallel)
    train(objective, towers, 150)
    with torch.no_grad():
        own = objective(towers, captions())[1]["caption/loss"]
        others = objective(towers, captions((1, 2, 3, 0)))[1]["caption/loss"]
    assert own < 0.05
    assert others > own + 0.5


def test_the_loss_is_the_weighted_sum(towers):
    loss, metrics = made(sigmoid=0.5, captioning=2.0)(towers, captions())
    wanted = 0.5 * metrics["align/loss"] + 2.0 * metrics["caption/loss"]
    torch.testing.assert_close(loss.detach(), wanted)


def test_a_word_is_written_without_those_to_come_and_at_once_without_any(towers):
    decoder, batch = made().decoder, captions()
    with torch.no_grad():
        tokens = towers.vision(batch.visuals["vision"])[0].tokens

    def gradients(at_once):
        decoder.zero_grad()
        decoder(
            tokens, [math.prod(s) for s in SHAPES], torch.tensor([7, 8, 9]).repeat(4), [3] * 4, at_once
        ).backward()
        return decoder.embed.weight.grad.norm(dim=1)

    seen = gradients(False)
    assert seen[7] > 0 and seen[8] > 0 and seen[9] == 0, "the last word is a target only"
    assert gradients(True).count_nonzero() == 0


@pytest.mark.parametrize("at_once", [False, True])
def test_padding_changes_nothing(towers, at_once):
    decoder, batch = made().decoder, captions()
    with torch.no_grad():
        tokens = towers.vision(batch.visuals["vision"])[0].tokens
        counts = [math.prod(shape) for shape in SHAPES]
        whole = decoder(tokens, counts, batch.ids, LENGTHS, at_once)
        pieces = zip(tokens.split(counts), batch.ids.split(LENGTHS), strict=True)
        single = sum(len(i) * decoder(t, [len(t)], i, [len(i)], at_once) for t, i in pieces) / sum(LENGTHS)
    torch.testing.assert_close(whole, single)


def test_resumed_draws_and_trains_as_uninterrupted(towers):
    objective, twins = made(), copy.deepcopy(towers)
    train(objective, towers, 3)
    resumed = made()
    resumed.load_state_dict(objective.state_dict())
    twins.load_state_dict(towers.state_dict())
    for one, module in ((objective, towers), (resumed, twins)):
        train(one, module, 4)
    assert int(resumed.updates) == 7
    for name, value in objective.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_flops_are_those_of_the_decoders_products(towers):
    objective, batch = made(), captions()
    with torch.no_grad():
        tokens = towers.vision(batch.visuals["vision"])[0].tokens
    counts = [math.prod(shape) for shape in SHAPES]
    with (
        FlopCounterMode(display=False) as counter,
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
    ):
        objective.decoder(tokens, counts, batch.ids, LENGTHS, False)
    assert objective.flops(towers, batch)["objective"] == counter.get_total_flops()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"depth": 0}, "depth is 0; 1 or more would be right"),
        ({"heads": 3}, "an even multiple of heads \\(3\\) would be right"),
        ({"parallel": 2.0}, "parallel 2.0; weights of 0 or more and a share in"),
    ],
)
def test_bad_numbers_are_refused_in_one_line(arguments, text):
    with pytest.raises(ValueError, match=text):
        made(**arguments)


def test_an_assembly_that_does_not_fit_is_refused_in_one_line(towers):
    made().check(towers)
    with pytest.raises(ValueError, match="vocab is 30; the assembly's 32 would be right"):
        made(vocab=30).check(towers)
    with pytest.raises(
        ValueError, match="Linear has no part vision, text, align; assembly/two_tower has them"
    ):
        made().check(torch.nn.Linear(1, 1))
