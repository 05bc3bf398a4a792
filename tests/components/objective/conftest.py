"""A small native model and a batch for it, for objectives that stand on a trained model."""

from functools import partial

import numpy as np
import pytest
import torch

from vlmloom.assemblies.native import Native
from vlmloom.components.attention import SDPA
from vlmloom.components.contracts.frozen import Trunk
from vlmloom.components.contracts.packed import IGNORE, Packed, Span
from vlmloom.components.contracts.visuals import Visuals
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.head import LMHead, MMTPHead
from vlmloom.components.language import GLM
from vlmloom.components.projector.mlp import MLP
from vlmloom.components.vision.cogvit import CogViT

GRIDS = [(1, 2, 2), (1, 2, 4)]
WIDTH, VOCAB, IMAGE = 16, 23, 22


def make_tower(width=8, **arguments):
    arguments = {"depth": 1, "heads": 2, "hidden": 16, "patch": 2} | arguments
    return CogViT(width=width, attention=SDPA(), ffn=partial(SwiGLU, bias=True), **arguments)


@pytest.fixture
def tower():
    return make_tower


@pytest.fixture
def model():
    torch.manual_seed(0)
    layers = [{"ffn": partial(SwiGLU, hidden=24, init_std=0.3)}] * 2
    return Native(
        vision=make_tower(),
        projector=partial(MLP, hidden=12),
        language=GLM(
            vocab=VOCAB, width=WIDTH, depth=2, heads=4, layers=layers, attention=SDPA(), init_std=0.2
        ),
        head={"lm": LMHead, "mmtp": partial(MMTPHead, depth=2)},
    )


@pytest.fixture
def trunk(model):
    return Trunk(model)


@pytest.fixture
def visuals():
    return Visuals.noise


@pytest.fixture
def batch(model):
    """Two samples: two words, a picture, three words each."""
    layouts = [[Span(2), Span(f * r * c, (f, r, c)), Span(3)] for f, r, c in GRIDS]
    lengths = [sum(span.length for span in layout) for layout in layouts]
    modality = torch.tensor([int(s.grid is not None) for la in layouts for s in la for _ in range(s.length)])
    ids = torch.randint(0, IMAGE, (sum(lengths),), generator=torch.Generator().manual_seed(3))
    ids[modality == 1] = IMAGE
    return Packed(
        ids=ids,
        labels=torch.where(modality == 1, IGNORE, ids),
        weights=torch.ones(len(ids)),
        positions=torch.from_numpy(np.concatenate([model.positions(layout) for layout in layouts], axis=1)),
        boundaries=torch.tensor([0, *lengths]).cumsum(0).int(),
        lengths=lengths,
        visual_slots=modality.nonzero().squeeze(1),
        modality=modality,
        tags=[],
        visuals={
            "vision": Visuals.noise(GRIDS, 2, 5),
            "teacher.one": Visuals.noise([(1, 1, 1), (1, 1, 2)], 4, 6),
        },
        extras={"pairs": torch.tensor([1, 2])},
        normaliser=float((modality == 0).sum()),
    )
