"""SigLIP 2: pairs told apart by a sigmoid, captions written from un-pooled features, and late a teacher."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmloom.components.contracts.component import Metrics, beside, declared_losses
from vlmloom.components.contracts.packed import IGNORE, Packed
from vlmloom.components.objective.contrastive import Contrastive, embed, lost, paired
from vlmloom.components.objective.late import Late, LateTerms
from vlmloom.components.objective.masking import generator_of
from vlmloom.registry import register


@register("objective/siglip2")
class SigLIP2(Contrastive):
    """Sigmoid alignment and a captioning decoder that reads the tower's tokens before they are pooled.

    The loss is `sigmoid * align/loss + captioning * caption/loss`, and what the towers declare (of experts,
    say). The alignment is the module's `align` part (`alignment/sigmoid`: b = -10, t = 10, attention
    pooling); the decoder is the objective's own and is not needed afterwards. In a share of the steps it
    predicts all words at once, from the picture and their places alone (CapPa), in the others each from those
    before it.

    With `late`, the tower is also taught by an average of its past, in the last part of the stage (`Late`).

    Not done here: LocCa's referring expressions and grounded captions, whose boxes this decoder is not asked
    for.

    >>> import torch
    >>> from vlmloom.components.contracts.packed import Packed
    >>> from vlmloom.components.contracts.visuals import Visuals
    >>> from vlmloom.registry import build, compose
    >>> towers = build(compose("two_tower"))
    >>> objective = SigLIP2(vision_width=128, vocab=1024, width=16, depth=1, heads=2, captioning=0.5)
    >>> pictures = {"vision": Visuals.noise([(1, 2, 2), (1, 2, 4)], patch=16)}
    >>> batch = Packed.texts([[5, 3, 8], [7, 2]], pictures, pairs=torch.arange(2))
    >>> loss, parts = objective(towers, batch)
    >>> torch.allclose(loss, parts["align/loss"] + 0.5 * parts["caption/loss"])
    True

    Reference: arXiv 2502.14786 (SigLIP 2); arXiv 2403.19596 (LocCa); arXiv 2306.07915 (CapPa).
    """

    updates: Tensor

    def __init__(
        self,
        *,
        vision_width: int,
        vocab: int,
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        sigmoid: float = 1.0,
        captioning: float = 1.0,
        parallel: float = 0.5,
        late: Late | None = None,
        seed: int = 0,
    ) -> None:
        """Make the decoder.

        Args:
            vision_width: of the tower's tokens.
            vocab: the number of ids of the text part.
            width: of the decoder.
            depth: its layers.
            heads: of its attention.
            sigmoid: weight of the alignment.
            captioning: weight of the captions.
            parallel: the share of steps in which all words are predicted at once.
            late: self-distillation and masked prediction; None does without, `{}` is as published.
            seed: of the draws of these steps, together with the step and the rank.

        Raises:
            ValueError: a number is out of range.
        """
        super().__init__()
        who = "objective/siglip2"
        sizes = {"vision_width": vision_width, "vocab": vocab, "width": width, "depth": depth, "heads": heads}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{who}: {name} is {size}; 1 or more would be right")
        if width % heads or width % 2:
            raise ValueError(f"{who}: width is {width}; an even multiple of heads ({heads}) would be right")
        if min(sigmoid, captioning) < 0 or not 0 <= parallel <= 1:
            raise ValueError(
                f"{who}: sigmoid is {sigmoid}, captioning {captioning}, parallel {parallel}; weights of 0 or "
                "more and a share in [0, 1] would be right"
            )
        self.sigmoid, self.captioning, self.parallel, self.seed = sigmoid, captioning, parallel, seed
        self.decoder = Captioner(
            vision_width=vision_width, vocab=vocab, width=width, depth=depth, heads=heads
        )
        self.late, self.terms = late, nn.ModuleList()
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    def check(self, module: Any) -> None:
        """See `Objective.check`."""
        super().check(module)
        for name, found, right in (
            ("vision_width", self.decoder.vision_width, module.vision.out_width),
            ("vocab", self.decoder.vocab, module.text.vocab),
        ):
            if found != right:
                raise ValueError(
                    f"objective/siglip2: {name} is {found}; the assembly's {right} would be right"
                )

    def meet(self, module: Any) -> None:
        """See `Objective.meet`: the late terms, with a teacher of the tower's shape."""
        if self.late is not None and not self.terms:
            try:
                self.terms.append(LateTerms(module.vision, self.late))
            except ValueError as fault:
                raise ValueError(f"objective/siglip2: {fault}") from None

    def forward(self, module: Any, batch: Packed) -> tuple[Tensor, Metrics]:
        """The weighted sum, its parts, and what the towers report.

        Args:
            module: an assembly with the parts `vision`, `text` and `align`.
            batch: as `objective/contrastive` takes it.

        Raises:
            ValueError: there are not as many pictures as captions.
        """
        visuals = paired(batch, "objective/siglip2")
        features, seen = module.vision(visuals)
        pictures, captions, read = embed(module, features, batch.ids, batch.positions, batch.lengths)
        told = beside(seen, read, "text")
        aligned, found = module.align.compare(pictures, captions, batch.extras["pairs"], lost(batch))
        at_once = generator_of(self.seed, int(self.updates)).random() < self.parallel
        counts = [math.prod(shape) for shape in features.shapes]
        written = self.decoder(features.tokens, counts, batch.ids, batch.lengths, at_once)
        loss = self.sigmoid * aligned + self.captioning * written
        found |= {"align/loss": aligned.detach(), "caption/loss": written.detach()}
        for terms in self.terms:
            added, parts = terms(module.vision, visuals, self.seed, int(self.updates))
            loss, found = loss + added, found | parts
        # What the crops of the late terms have been told is in their own loss.
        return loss + declared_losses(told) * visuals.weight, told | found

    def after_step(self, module: Any, progress: float) -> None:
        """See `Objective.after_step`: the next step draws anew, and a late teacher follows."""
        self.updates += 1
        for terms in self.terms:
            cast(LateTerms, terms).after_step(module.vision, progress, self.seed)

    def flops(self, module: Any, batch: Packed) -> dict[str, int]:
        """See `Objective.flops`."""
        grids = module.vision.token_grids(batch.visuals["vision"].shapes)
        account = super().flops(module, batch)
        account["objective"] = self.decoder.flops([math.prod(grid) for grid in grids], batch.lengths)
        for terms in self.terms:
            late = cast(LateTerms, terms).flops(module.vision, len(grids))
            # What is read from no trained part comes first.
            account = {"teacher": late.pop("teacher")} | account
            account |= {part: account[part] + more for part, more in late.items()}
        return account


class Captioner(nn.Module):
    """A transformer decoder over captions, with cross-attention to the tokens of each one's picture."""

    def __init__(self, *, vision_width: int, vocab: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.vision_width, self.vocab, self.width = vision_width, vocab, width
        self.look = nn.Linear(vision_width, width)
        self.embed = nn.Embedding(vocab, width)
        self.start = nn.Parameter(torch.randn(width))
        self.blank = nn.Parameter(torch.randn(width))
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.unembed = nn.Linear(width, vocab, bias=False)

    def forward(
        self, tokens: Tensor, counts: list[int], ids: Tensor, lengths: list[int], at_once: bool
    ) -> Tensor:
        """The mean cross-entropy of all words; 0 where there is none.

        Args:
            tokens: `[P, vision_width]` of all pictures.
            counts: how many each picture has.
            ids: `[T]` of all captions.
            lengths: of the captions.
            at_once: see neither a word nor those before it, and attend to all places.
        """
        if not lengths:
            return 0.0 * sum((one.sum() for one in self.parameters()), tokens.sum())
        pad = nn.utils.rnn.pad_sequence
        memory = pad(list(self.look(tokens).split(counts)), batch_first=True)
        words = pad(list(ids.split(lengths)), batch_first=True, padding_value=IGNORE)
        items, longest = words.shape
        before = self.embed(words[:, :-1].clamp(min=0))
        given = torch.cat([self.start.expand(items, 1, -1), before], 1)
        if at_once:
            given = self.blank.expand_as(given)
        # DDP wants a gradient, be it zero, of what this step does not use.
        unused = 0.0 * (self.start.sum() + self.blank.sum() + self.embed.weight.sum())
        x = given + _places(longest, self.width).to(given)
        device = x.device
        causal = None if at_once else torch.ones(longest, longest, dtype=torch.bool, device=device).triu(1)
        for layer in self.layers:
            x = layer(
                x,
                memory,
                tgt_mask=causal,
                tgt_key_padding_mask=words == IGNORE,
                memory_key_padding_mask=_beyond(counts, device),
            )
        logits = self.unembed(self.norm(x))
        return F.cross_entropy(logits.flatten(0, 1).float(), words.flatten(), ignore_index=IGNORE) + unused

    def flops(self, counts: list[int], lengths: list[int]) -> int:
        """Forward FLOPs, padding included: every caption is as long as the longest, so are the pictures."""
        items, longest, most = len(lengths), max(lengths, default=0), max(counts)
        width, words, seen = self.width, len(lengths) * longest, len(counts) * most
        # Self-attention has 4 matrices a word, cross-attention 2 a word and 2 a visual token, the MLP 8.
        layer = 2 * width**2 * (14 * words + 2 * seen) + 4 * width * items * longest * (longest + most)
        ends = 2 * width * (sum(counts) * self.vision_width + words * self.vocab)
        return len(self.layers) * layer + ends


def _beyond(counts: list[int], device: torch.device) -> Tensor:
    """`[items, longest]`, True where an item has ended."""
    sizes = torch.tensor(counts, device=device)
    return torch.arange(max(counts), device=device)[None] >= sizes[:, None]


def _places(count: int, width: int) -> Tensor:
    """Sinusoids `[count, width]` of positions (arXiv 1706.03762)."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(count)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)
