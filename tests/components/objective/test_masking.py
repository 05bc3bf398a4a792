"""Masks hide as many places as asked, the same in all frames, and reach the right patches."""

import numpy as np
import pytest
import torch

from vlmloom.components.contracts.visuals import Visuals, raster
from vlmloom.components.objective.masking import draw_mask, flat, hide


@pytest.mark.parametrize("shape", ["random", "block"])
@pytest.mark.parametrize(
    ("grid", "share", "count"),
    [
        ((1, 8, 8), 0.35, 22),
        ((1, 14, 14), 0.75, 147),
        ((3, 4, 6), 0.5, 12),
        ((1, 1, 1), 0.35, 0),
        ((1, 1, 2), 0.9, 1),
    ],
)
def test_as_many_as_asked(shape, grid, share, count):
    for seed in range(20):
        mask = draw_mask(grid, share, shape, np.random.default_rng(seed))
        assert mask.shape == grid
        assert all(int(frame.sum()) == count for frame in mask)
        assert (mask == mask[:1]).all()


def test_draws_differ_and_repeat():
    one, other, again = (
        draw_mask((1, 8, 8), 0.35, "random", np.random.default_rng(seed)) for seed in (0, 1, 0)
    )
    assert (one != other).any() and (one == again).all()


def neighbours(shape):
    """How often the place to the right of a hidden one is hidden as well."""
    masks = [draw_mask((1, 16, 16), 0.35, shape, np.random.default_rng(seed))[0] for seed in range(50)]
    return np.mean([mask[:, 1:][mask[:, :-1]].mean() for mask in masks])


def test_blocks_hang_together_and_random_places_do_not():
    assert 0.3 < neighbours("random") < 0.4
    assert neighbours("block") > 0.6


def test_a_mask_of_tokens_hides_all_patches_of_a_token_in_the_order_of_groups():
    mask = draw_mask((1, 4, 4), 0.35, "random", np.random.default_rng(3))
    shape = (2, 4, 4)
    row, column = raster(shape, 2).T
    found = flat([mask], [shape], 2).view(2, 16)
    for frame in found:
        assert frame.tolist() == [bool(mask[0, y, x]) for y, x in zip(row, column, strict=True)]


def test_hidden_patches_are_the_learned_one_and_pass_it_their_gradient():
    visuals = Visuals(torch.randn(6, 12), torch.tensor([[1, 2, 3]]), [(1, 2, 3)])
    hidden = torch.tensor([0, 1, 0, 0, 1, 0], dtype=torch.bool)
    learned = torch.randn(12, requires_grad=True)
    out = hide(visuals, hidden, learned).patches
    assert torch.equal(out[hidden], learned.detach().expand(2, 12)) and torch.equal(
        out[~hidden], visuals.patches[~hidden]
    )
    out.sum().backward()
    assert torch.equal(learned.grad, torch.full((12,), 2.0))
