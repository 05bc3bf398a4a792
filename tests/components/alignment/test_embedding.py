"""alignment/embedding: means of both sides, compared as alignment/sigmoid compares."""

import pytest
import torch
from torch.nn import functional as F

from vlmloom.components.alignment.embedding import EmbeddingAlignment
from vlmloom.components.alignment.pairs import sigmoid_pairs
from vlmloom.components.contracts.visuals import VisualFeatures

SHAPES = [(1, 2, 2), (2, 1, 3), (1, 1, 1)]


def draw():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(11, 8, generator=generator)
    words = torch.randn(9, 8, generator=generator)
    return VisualFeatures(tokens, SHAPES), words, torch.tensor([0, 2, 3, 9]), torch.tensor([4, 5, 4])


def test_the_loss_is_that_of_the_means():
    module = EmbeddingAlignment(vision_width=8, text_width=8)
    features, words, boundaries, pairs = draw()
    loss, metrics = module(features, words, boundaries, pairs)
    x, z = (
        F.normalize(torch.stack([part.mean(0) for part in whole.split(sizes)]), dim=-1)
        for whole, sizes in ((features.tokens, [4, 6, 1]), (words, [2, 1, 6]))
    )
    expected, _, found = sigmoid_pairs(x, z, module.log_scale.exp(), module.bias, pairs, pairs, 100)
    torch.testing.assert_close(loss, expected / 3)
    torch.testing.assert_close(metrics["retrieval"], (found == pairs).float().mean())
    assert {name for name, _ in module.named_parameters()} == {"log_scale", "bias"}


def test_pictures_that_lie_on_their_captions_are_all_found():
    module = EmbeddingAlignment(vision_width=8, text_width=8)
    features, words, boundaries, _ = draw()
    means = torch.stack([part.mean(0) for part in words.split([2, 1, 6])])
    features.tokens = means.repeat_interleave(torch.tensor([4, 6, 1]), 0)
    loss, metrics = module(features, words, boundaries, torch.arange(3))
    assert metrics["retrieval"] == 1
    features.tokens = -features.tokens
    assert module(features, words, boundaries, torch.arange(3))[0] > loss


def test_unequal_widths_are_refused_in_one_line():
    with pytest.raises(
        ValueError, match="vision_width 8 and text_width 16; equal widths, or alignment/sigmoid"
    ):
        EmbeddingAlignment(vision_width=8, text_width=16)
