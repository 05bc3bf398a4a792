"""Tiny native models with random weights, and packed prompts of text and pictures for them."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from vlmloom.assemblies.native.native import Native
from vlmloom.components.attention import SDPA
from vlmloom.components.contracts.packed import Packed, Span, Tag
from vlmloom.components.contracts.visuals import Visuals
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.head import LMHead, MMTPHead, MTPHead
from vlmloom.components.language import GLM, GLMDSA
from vlmloom.components.moe import SigmoidBias
from vlmloom.components.projector.merger import Merger
from vlmloom.components.vision.cogvit import CogViT

VOCAB, WIDTH, PATCH = 40, 32, 4
IMAGE = VOCAB - 1
DENSE = {"ffn": partial(SwiGLU, hidden=24, init_std=0.2)}
SPARSE = {
    "ffn": partial(SigmoidBias, hidden=16, experts=4, top_k=2, shared=partial(SwiGLU, hidden=8), init_std=0.2)
}


def native(
    layers: Sequence = (DENSE, SPARSE),
    head: str = "mmtp",
    vocab: int = VOCAB,
    width: int = WIDTH,
    seed: int = 0,
    dsa: bool = False,
    image_mask: str = "causal",
    glm: dict | None = None,
    **arguments,
) -> Native:
    """A model of a few thousand parameters, in evaluation mode; weights are large enough to matter."""
    torch.manual_seed(seed)
    common = {"vocab": vocab, "width": width, "depth": len(layers), "layers": list(layers), "init_std": 0.2}
    common |= {"attention": SDPA(), "image_mask": image_mask}
    if dsa:
        sizes = {"query_rank": 12, "kv_rank": 10, "nope_size": 6, "rope_size": 4, "value_size": 8}
        index = {"index_heads": 8, "index_size": 8, "index_top_k": 4}
        language = GLMDSA(heads=3, **sizes, **index, **common)
    else:
        language = GLM(heads=4, kv_heads=2, **common, **(glm or {}))
    heads = {"lm": partial(LMHead, init_std=0.3)}
    if head != "none":
        heads[head] = partial({"mtp": MTPHead, "mmtp": MMTPHead}[head], init_std=0.3, **arguments)
    return Native(
        vision=CogViT(width=16, depth=1, heads=2, hidden=16, patch=PATCH),
        projector=partial(Merger, block=2, hidden=24),
        language=language,
        head=heads,
    ).eval()


def guessing(share: float = 0.1, **arguments) -> Native:
    """A model (see `native`) with a head that drafts well, and errs.

    The next token mostly follows from the one before, which is all that the head looks at; where the blocks,
    which add so small a share, and with them what was read before, decide otherwise, a draft falls.
    """
    model = native(**{"layers": [DENSE]} | arguments)
    head = next(head for head in model.heads().values() if head.drafts)
    eye = torch.eye(model.language.width)
    with torch.no_grad():
        for name, weight in (*model.language.blocks.named_parameters(), *head.steps.named_parameters()):
            if name.endswith(("out.weight", "down.weight")):
                weight.mul_(share)
        for step in head.steps:
            step.eh_proj.weight.copy_(torch.cat([eye, torch.zeros_like(eye)], dim=1))
    return model


def prompt(*parts: int | tuple[int, ...], seed: int = 0) -> list:
    """A prompt of random words, pictures (rows, columns) and clips (frames, rows, columns), merged."""
    dice = np.random.default_rng(seed)
    return [
        dice.integers(0, IMAGE, part).tolist() if isinstance(part, int) else (part, dice.integers(1 << 30))
        for part in parts
    ]


def pixels(rows: int, columns: int, seed: int, frames: int = 1) -> torch.Tensor:
    """Patches `[4 * frames * rows * columns, 3 * patch * patch]` of noise."""
    shape = (4 * frames * rows * columns, 3 * PATCH**2)
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def pack(model: Native, prompts: Sequence[list], image: int = IMAGE) -> Packed:
    """Prompts (see `prompt`) as a batch; their token lists may be edited before.

    A clip stands as its frame pairs with a token of text between.
    """
    ids, positions, lengths, grids, patches = [], [], [], [], []
    for parts in prompts:
        own, spans = [], []
        for part in parts:
            if isinstance(part, list):
                own += part
                spans.append(Span(len(part)))
            else:
                (*clip, rows, columns), seed = part
                frames = clip[0] if clip else 1
                for pair in range(max(1, frames // 2)):
                    if pair:
                        own.append(pair)
                        spans.append(Span(1))
                    own += [image] * (rows * columns)
                    spans.append(Span(rows * columns, (1, rows, columns)))
                grids.append((frames, 2 * rows, 2 * columns))
                patches.append(pixels(rows, columns, seed, frames))
        ids += own
        lengths.append(len(own))
        positions.append(model.positions(spans))
    flat = torch.tensor(ids, dtype=torch.long)
    visual = flat == image
    seen = {"vision": Visuals(torch.cat(patches), torch.tensor(grids), grids, 2)} if grids else {}
    return Packed(
        ids=flat,
        labels=flat,
        weights=torch.ones(len(flat)),
        positions=torch.from_numpy(np.concatenate([*positions, np.zeros((3, 0), np.int64)], 1)),
        boundaries=torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32),
        lengths=lengths,
        visual_slots=visual.nonzero().squeeze(1),
        modality=visual.long(),
        tags=[Tag("t", number) for number in range(len(prompts))],
        visuals=seen,
    )
