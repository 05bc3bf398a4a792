"""A step of contrastive training on ragged pairs, beside open_clip's towers and its SigLipLoss."""

from __future__ import annotations

import copy
from functools import partial
from itertools import product
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from benchmarks.batches import Ragged
from benchmarks.models import Shape, parameters
from benchmarks.timing import PRECISIONS, choose, contests, precision
from benchmarks.training import adamw
from benchmarks.vision import in_raster
from vlmloom.assemblies.two_tower import TwoTower
from vlmloom.components.alignment.sigmoid import SigmoidAlignment
from vlmloom.components.contracts.packed import Packed, Span, Tag
from vlmloom.components.contracts.visuals import Visuals
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.language import GLM, Layer
from vlmloom.components.objective.contrastive import Contrastive
from vlmloom.components.vision.cogvit import CogViT

GOALS = {"fp32": 1.2, "best": 1.2}
POOLS = ("class token", "attention pool")


def inner(width: int) -> int:
    """Inner width at which SwiGLU's three matrices hold what two four times as wide hold, in eights."""
    return -(-width // 3) * 8


def build_ours(shape: Shape, seed: int = 0) -> TwoTower:
    torch.manual_seed(seed)
    layers: list[Layer] = [{"ffn": partial(SwiGLU, hidden=inner(shape.width))} for _ in range(shape.depth)]
    return TwoTower(
        vision=CogViT(
            width=shape.vision_width,
            depth=shape.vision_depth,
            heads=shape.vision_heads,
            hidden=inner(shape.vision_width),
            patch=shape.patch,
            temporal=1,
        ),
        text=GLM(vocab=shape.vocab, width=shape.width, depth=shape.depth, heads=shape.heads, layers=layers),
        align=partial(SigmoidAlignment, width=shape.width, heads=shape.vision_heads),
    )


def build_theirs(shape: Shape, size: tuple[int, int], context: int, pool: str) -> Any:
    """CustomTextCLIP for pictures of one size in pixels and captions of at most `context` tokens."""
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP

    vision = CLIPVisionCfg(
        layers=shape.vision_depth, width=shape.vision_width, mlp_ratio=4.0, patch_size=shape.patch,
        head_width=shape.vision_width // shape.vision_heads, image_size=size,
        attentional_pool=pool == "attention pool", attn_pooler_queries=1,
        attn_pooler_heads=shape.vision_heads,
    )  # fmt: skip
    text = CLIPTextCfg(
        context_length=context, vocab_size=shape.vocab, width=shape.width, heads=shape.heads,
        layers=shape.depth, mlp_ratio=4.0,
    )  # fmt: skip
    scale, bias = torch.tensor(10.0).log().item(), -10.0
    return CustomTextCLIP(shape.width, vision, text, init_logit_scale=scale, init_logit_bias=bias)


def captions(ragged: Ragged, shape: Shape) -> list[Tensor]:
    """Ids of each caption; the last id, which is the greatest and no word's, ends it on both sides."""
    return [torch.cat((*runs, torch.tensor([shape.image_id]))) for runs in ragged.texts]


def packed(ragged: Ragged, shape: Shape, model: TwoTower) -> Packed:
    """Our batch: pictures at their own aspect and captions, each on a flat axis."""
    texts = captions(ragged, shape)
    lengths, grids = [len(text) for text in texts], [grid for own in ragged.grids for grid in own]
    ids = torch.cat(texts)
    positions = [torch.from_numpy(model.positions([Span(length)])) for length in lengths]
    return Packed(
        ids=ids,
        labels=ids,
        weights=torch.ones(len(ids)),
        positions=torch.cat(positions, dim=1),
        boundaries=torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32),
        lengths=lengths,
        visual_slots=ids[:0],
        modality=torch.zeros_like(ids),
        tags=[Tag("benchmark", index) for index in range(len(lengths))],
        visuals={"vision": Visuals(in_raster(ragged.patches, grids), torch.tensor(grids), grids, 1)},
        extras={"pairs": torch.arange(len(lengths))},
    )


def pictures(ragged: Ragged, shape: Shape) -> dict[str, Tensor]:
    """Their pictures, all of one size: squares of no more patches in all, or whole on the smallest canvas."""
    grids = [grid for own in ragged.grids for grid in own]
    areas = [rows * columns for _, rows, columns in grids]
    patches = in_raster(ragged.patches, grids).split(areas)
    form = "(r c) (k y x) -> 1 k (r y) (c x)"
    whole = [
        rearrange(own, form, r=rows, c=columns, k=3, y=shape.patch)
        for own, (_, rows, columns) in zip(patches, grids, strict=True)
    ]
    side = int((sum(areas) / len(areas)) ** 0.5) * shape.patch
    squares = [interpolate(one, (side, side), mode="bilinear", antialias=True) for one in whole]
    height, width = (max(one.shape[axis] for one in whole) for axis in (2, 3))
    canvas = [nn.functional.pad(one, (0, width - one.shape[3], 0, height - one.shape[2])) for one in whole]
    return {"squares": torch.cat(squares), "whole": torch.cat(canvas)}


class Ours:
    """Our side of the step."""

    def __init__(self, model: TwoTower, batch: Packed, cast: str) -> None:
        self.model, self.batch, self.cast = model.train(), batch, cast
        self.objective, self.optimizer = Contrastive(), adamw(model)

    def __call__(self) -> Tensor:
        with precision(self.cast, autocast=True):
            loss, _ = self.objective(self.model, self.batch)
            loss.backward()
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()


class Theirs:
    """Their side of the step."""

    def __init__(self, model: Any, batch: tuple[Tensor, Tensor], cast: str) -> None:
        from open_clip.loss import SigLipLoss

        self.model, self.batch, self.cast = model.train(), batch, cast
        self.objective, self.optimizer = SigLipLoss(), adamw(model)

    def __call__(self) -> Tensor:
        with precision(self.cast, autocast=True):
            loss = self.objective(*self.model(*self.batch))
            loss.backward()
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()


def losses_apart(align: SigmoidAlignment, theirs: Any, count: int) -> float:
    """How far the two losses of the same unit vectors are apart, relatively."""
    from open_clip.loss import SigLipLoss

    pictures, texts = normalize(torch.randn(2, count, align.width), dim=-1)
    with torch.no_grad():
        own, _ = align.compare(pictures, texts, torch.arange(count))
        other = SigLipLoss()(pictures, texts, theirs.logit_scale.exp(), theirs.logit_bias)
    return float((own - other).abs() / other)


def run(
    shape: Shape,
    repeats: int,
    tokens: tuple[int, int] = (7, 63),
    count: int = 16,
    sides: tuple[int, int] = (3, 10),
) -> dict[str, Any]:
    """Time both sides, each in its best precision; the peer with its quicker pooling, on either pictures."""
    ragged = Ragged.draw(shape, count, tokens, pictures=(1, 1), sides=sides)
    ours, seen = build_ours(shape), pictures(ragged, shape)
    batch, texts = (
        packed(ragged, shape, ours),
        nn.utils.rnn.pad_sequence(captions(ragged, shape), batch_first=True),
    )
    context = texts.shape[1]
    found: dict[str, Any] = {
        "parameters": {"ours": parameters(ours)},
        "patches": {"ours": len(ragged.patches)},
        "tokens": {"real": len(batch.ids), "padded": texts.numel(), "context": context},
        "apart": 0.0,
        "contests": [],
    }
    for way, frames in seen.items():
        height, width = frames.shape[2:]
        theirs = {pool: build_theirs(shape, (height, width), context, pool) for pool in POOLS}
        found["patches"][way] = count * (height // shape.patch) * (width // shape.patch)
        found["parameters"] |= {pool: parameters(model) for pool, model in theirs.items()}
        found["apart"] = max(
            found["apart"], *(losses_apart(ours.align, model, count) for model in theirs.values())
        )

        def sides_of(
            own: TwoTower, other: dict[str, Any], frames: Tensor = frames
        ) -> tuple[dict[str, Ours], dict[str, Theirs]]:
            return {cast: Ours(own, batch, cast) for cast in PRECISIONS}, {
                f"{pool}, {cast}": Theirs(other[pool], (frames, texts), cast)
                for pool, cast in product(POOLS, PRECISIONS)
            }

        # Trials train copies, so that all timed models start from the weights that were made.
        trials = tuple(choose(runs) for runs in sides_of(copy.deepcopy(ours), copy.deepcopy(theirs)))
        own_runs, peer_runs = sides_of(copy.deepcopy(ours), theirs)
        found["contests"] += contests(
            f"contrastive step, {way}",
            own_runs,
            peer_runs,
            repeats=repeats,
            count=count,
            unit="pairs",
            goals=GOALS,
            peer="open_clip",
            trials=trials,
        )
    return found


def notes(found: dict[str, Any]) -> list[str]:
    sizes = {name: f"{count / 1e6:.2f} M" for name, count in found["parameters"].items()}
    patches, tokens = found["patches"], found["tokens"]
    return [
        f"Ours sees {patches['ours']} patches at native aspect. The peer's pictures are all of one size: "
        f"squares of as many patches ({patches['squares']}), distorted but without padding, or whole, "
        f"on the smallest canvas that holds all ({patches['whole']}).",
        f"{tokens['real']} caption tokens, of which the peer computes {tokens['padded']}: its context is the "
        f"longest caption, {tokens['context']}; {1 - tokens['real'] / tokens['padded']:.0%} are padding.",
        f"Parameters: {sizes['ours']}; {', '.join(f'{sizes[pool]} with {pool}' for pool in POOLS)}. Widths, "
        "depths, heads, vocabulary and space are equal, and so are the parameters of an MLP: SwiGLU of 8/3 "
        "of the width, its activation on two of three matrices, beside GELU of four times.",
        "Weights cannot be equal: ours has RMSNorm, rotary positions, normed queries and keys in vision and "
        "an attention pool with an MLP; the peer LayerNorm and learned positions. Of equal embeddings both "
        f"losses are {found['apart']:.0e} apart, relatively. Pictures were resized beforehand.",
    ]
