"""Chunks change what is held, and neither the loss nor a gradient."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from paired import paired

from vlmloom.components.alignment.sigmoid import SigmoidAlignment
from vlmloom.components.alignment.softmax import SoftmaxAlignment
from vlmloom.components.attention import SDPA
from vlmloom.components.contracts.patches import join
from vlmloom.components.contracts.visuals import Visuals
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.language import GLM
from vlmloom.components.moe import SigmoidBias
from vlmloom.components.objective.contrastive import Contrastive
from vlmloom.components.objective.dino.crops import Crops
from vlmloom.components.objective.late import Late
from vlmloom.components.objective.siglip2 import SigLIP2
from vlmloom.components.vision.llm_init import LLMInit

PAIRS = 12


class Towers(torch.nn.Module):
    """The parts that the objective asks for."""

    def __init__(self, vision, align):
        super().__init__()
        layers = [{"ffn": partial(SwiGLU, hidden=24, init_std=0.3)}] * 2
        self.vision = vision
        self.text = GLM(vocab=32, width=16, depth=2, heads=2, layers=layers, attention=SDPA(), init_std=0.2)
        self.align = align(vision_width=8, text_width=16, width=8, heads=2)


@pytest.fixture(params=[SigmoidAlignment, SoftmaxAlignment])
def towers(request, tower):
    torch.manual_seed(0)
    return Towers(tower(8, depth=2), request.param)


def pairs_of(count, pairs=None):
    """Captions of 1 to 5 tokens beside pictures of unequal grids; two captions are equal."""
    generator = torch.Generator().manual_seed(1)
    lengths = [1 + number % 5 for number in range(count)]
    shapes = [(1, 2 + 2 * (number % 3), 4) for number in range(count)]
    total, patches = sum(lengths), sum(f * r * c for f, r, c in shapes)
    labels = torch.arange(count) if pairs is None else pairs
    ids = torch.randint(0, 32, (total,), generator=generator)
    pixels = torch.randn(patches, 12, generator=generator)
    return paired(ids, lengths, Visuals(pixels, torch.tensor(shapes), shapes), labels)


def step(towers, chunk, batch):
    towers.zero_grad()
    held = []

    def pack(tensor):
        held.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss, metrics = Contrastive(chunk=chunk)(towers, batch)
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in held}
    loss.backward()
    return loss.detach(), [p.grad.clone() for p in towers.parameters()], metrics, sum(storages.values())


@pytest.mark.parametrize("chunk", [1, 5, 12, 100])
def test_chunks_give_the_loss_and_the_gradients_of_the_whole(towers, chunk):
    batch = pairs_of(PAIRS, torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 11]))
    wanted, slopes, metrics, _ = step(towers, None, batch)
    loss, others, found, _ = step(towers, chunk, batch)
    torch.testing.assert_close(loss, wanted)
    for slope, other in zip(slopes, others, strict=True):
        # Sums run in another order, so single entries that cancel are compared with their whole.
        assert (other - slope).norm() <= 1e-4 * slope.norm() + 1e-7
    torch.testing.assert_close(found["retrieval"], metrics["retrieval"])


@pytest.mark.parametrize("name", ["contrastive", "chunks", "siglip2"])
def test_what_the_towers_declare_is_descended_too(name):
    """The balance of experts; both towers call it alike."""
    torch.manual_seed(0)
    decoder = {"vision_width": 16, "vocab": 32, "width": 8, "depth": 1, "heads": 2}
    objective = {"contrastive": Contrastive(), "chunks": Contrastive(chunk=5), "siglip2": SigLIP2(**decoder)}[
        name
    ]

    def sparse():
        ffn = partial(SigmoidBias, hidden=8, experts=4, top_k=2, balance_loss=0.0)
        return GLM(vocab=32, width=16, depth=2, heads=2, layers=[{"ffn": ffn}] * 2, attention=SDPA())

    towers = Towers(
        LLMInit(language=sparse(), patch=2), lambda **own: SigmoidAlignment(**own | {"vision_width": 16})
    )
    towers.text, batch = sparse(), pairs_of(PAIRS)
    plain, _ = objective(towers, batch)
    for block in (*towers.vision.language.blocks, *towers.text.blocks):
        block.ffn.balance_loss = 0.5
    loss, metrics = objective(towers, batch)
    own = [metrics["loss/expert_balance"], metrics["text/loss/expert_balance"]]
    assert min(own) > 0.5
    torch.testing.assert_close(loss - plain, sum(own))
    routers = [tower.blocks[0].ffn.router for tower in (towers.vision.language, towers.text)]
    assert all(slope.any() for slope in torch.autograd.grad(sum(own), routers))


def test_what_is_held_does_not_grow_by_the_activations_of_a_pair(towers):
    def held(chunk, count):
        return step(towers, chunk, pairs_of(count))[3]

    whole = held(None, 48) - held(None, 24)
    chunked = held(2, 48) - held(2, 24)
    assert chunked < 0.25 * whole


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_batch_whose_pictures_were_corrupt_costs_nothing_and_every_gradient_is_there(towers, lost):
    blank = join([], towers.vision.patch_spec)
    # Of two pairs none is left, or one, which has nothing to be told apart from.
    batch = pairs_of(2 - lost) if lost < 2 else paired(torch.arange(0), [], blank, torch.arange(0))
    batch.extras["corrupt"] = ["photo.png: is truncated"] * lost
    late = Late(start=0.0, crops=Crops(size=2, local_size=2, local=1, wide=1), prototypes=8)
    siglip2 = SigLIP2(vision_width=8, vocab=32, width=8, depth=1, heads=2, captioning=0.0, late=late)
    siglip2.meet(towers)
    siglip2.after_step(towers, 0.0)
    siglip2.terms[0].late = replace(late, distillation=0.0, prediction=0.0)
    for objective in (Contrastive(), Contrastive(chunk=1), siglip2):
        towers.zero_grad()
        loss, metrics = objective(towers, batch)
        loss.backward()
        slopes = [part.grad for part in (*towers.parameters(), *objective.parameters())]
        assert all(slope is not None for slope in slopes)
        assert lost == 0 or (loss == 0 and not any(slope.any() for slope in slopes)), loss
        assert metrics["retrieval"].isfinite() and objective.flops(towers, batch)["text"] >= 0


def test_unequal_counts_and_a_bad_chunk_are_refused_in_one_line(towers):
    batch = pairs_of(3)
    batch.visuals["vision"].shapes.pop()
    with pytest.raises(ValueError, match="found 2 pictures for 3 captions; one a caption would be right"):
        Contrastive()(towers, batch)
    with pytest.raises(ValueError, match="chunk is 0; 1 or more, or null, would be right"):
        Contrastive(chunk=0)
