"""`Reader`: what a line of writing says, from a crop of its box.

Shapes: K lines, C channels, H x W pixels of a line, T = W / 2 steps, A characters of the alphabet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.sample import Thing
from vlmloom.components.contracts.specialist import Specialist
from vlmloom.components.contracts.visuals import Pictures
from vlmloom.components.specialist.convolution import ConvUnit, Stack, idle_loss
from vlmloom.components.specialist.frames import FULL, crops
from vlmloom.components.specialist.vocabulary import Vocabulary
from vlmloom.registry import register


@register("specialist/reader")
class Reader(Specialist):
    """Line recogniser: convolutions down to one row of steps, CTC over an alphabet, greedy decoding.

    A line is cut to a fixed height, its aspect kept up to `length`; longer ones are squeezed. It reads the
    things that have text in the truth or whose category is `writing`.

    Reference: CTC, Graves et al. 2006; CRNN, arXiv 1507.05717, with convolutions along the line in place of
    the recurrence (as in Rosetta, arXiv 1910.05085).
    """

    steps: Tensor

    def __init__(
        self,
        *,
        alphabet: str | None = None,
        max_characters: int = 100,
        writing: str = "text",
        width: int = 32,
        depth: int = 2,
        height: int = 16,
        length: int = 64,
        margin: float = 0.15,
        shake: float = 0.08,
        seed: int = 0,
    ) -> None:
        """Make the network.

        Args:
            alphabet: the characters; None leaves them to `bind_vocabulary`.
            max_characters: room for characters where they are bound later.
            writing: the category that a detector gives to writing.
            width: channels at the full height; quadrupled when the height is folded.
            depth: residual blocks along the line.
            height: of a line in pixels, a multiple of 8.
            length: of a line in pixels.
            margin: what a crop shows around the box, as a share of its height.
            shake: the standard deviation of the noise on the sides of true boxes, as a share of the height.
            seed: of that noise.

        Raises:
            ValueError: a height that is no multiple of 8.
        """
        super().__init__()
        if height % 8:
            raise ValueError(f"height: a multiple of 8 is needed, found {height}")
        self.writing, self.height, self.length = writing, height, length
        self.margin, self.shake, self.seed = margin, shake, seed
        known = list(alphabet) if alphabet is not None else None
        self.alphabet = Vocabulary(
            "alphabet", len(known) if known is not None else max_characters, known, room="max_characters"
        )
        line = 3 * width
        self.trunk = Stack(
            ConvUnit(3, width, stride=(2, 1)),
            ConvUnit(width, 2 * width, stride=(2, 2)),
            ConvUnit(2 * width, 2 * width, stride=(2, 1)),
        )
        self.fold = nn.Conv2d(2 * width, line, (height // 8, 1), bias=False)
        self.line = nn.ModuleList(
            nn.Conv2d(line, line, (1, 5), padding=(0, 2), bias=False) for _ in range(depth)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(1, line) for _ in range(depth + 1))
        # Row 0 is CTC's blank.
        self.head = nn.Conv2d(line, 1 + self.alphabet.capacity, 1)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.to(memory_format=torch.channels_last)

    def bind_vocabulary(self, names: Sequence[str], colours: Sequence[str], alphabet: str) -> None:
        """See `Specialist.bind_vocabulary`."""
        self.alphabet.bind(list(alphabet))

    def logits(
        self, pixels: Float[Tensor, "lines 3 height length"]
    ) -> Float[Tensor, "steps lines characters"]:
        """Logits a step, the blank first."""
        x = F.silu(self.norms[0](self.fold(self.trunk(pixels))))
        for convolution, norm in zip(self.line, list(self.norms)[1:], strict=True):
            x = x + F.silu(norm(convolution(x)))
        logits_TKA = self.head(x).float().squeeze(2).permute(2, 0, 1)
        return torch.cat([logits_TKA[..., :1], self.alphabet.masked(logits_TKA[..., 1:])], dim=-1)

    def _written(self, thing: Thing) -> bool:
        return bool(thing.text) or thing.category == self.writing

    def _cut(self, pictures: Pictures, shaken: bool) -> tuple[list[Thing], Tensor]:
        lines = [(place, thing) for place, things in enumerate(pictures.things) for thing in things]
        lines = [(place, thing) for place, thing in lines if self._written(thing)]
        owners = [place for place, _ in lines]
        sizes = (
            torch.tensor([pictures.frames[place].shape[1::-1] for place in owners]).view(-1, 2).repeat(1, 2)
        )
        boxes = torch.tensor([thing.box for _, thing in lines]).view(-1, 4) * sizes / FULL
        tall = (boxes[:, 3:] - boxes[:, 1:2]).clamp(min=1.0)
        boxes = boxes + tall * self.margin * torch.tensor([-1.0, -1.0, 1.0, 1.0])
        if shaken:
            draw = torch.Generator().manual_seed(self.seed * 1_000_003 + int(self.steps))
            boxes = boxes + torch.randn(boxes.shape, generator=draw) * tall * self.shake
            self.steps.add_(1)
        wide, tall = (boxes[:, 2] - boxes[:, 0]).clamp(min=1.0), (boxes[:, 3] - boxes[:, 1]).clamp(min=1.0)
        # A short line ends before the crop does; what lies beyond it belongs to somebody else.
        window = torch.maximum(wide, tall * self.length / self.height)
        regions = torch.stack([boxes[:, 0], boxes[:, 1], boxes[:, 0] + window, boxes[:, 1] + tall], dim=1)
        device = self.head.weight.device
        pixels = crops(pictures.frames, owners, regions * FULL / sizes, (self.height, self.length), device)
        column = (torch.arange(self.length) + 0.5) / self.length
        inside = (column <= (wide / window)[:, None]).to(device)
        return [thing for _, thing in lines], pixels * inside[:, None, None, :]

    def loss(self, pictures: Pictures) -> tuple[Tensor, Metrics]:
        """See `Specialist.loss`: CTC a character, a mean over the lines; unknown characters are left out."""
        self.alphabet.need()
        things, pixels = self._cut(pictures, shaken=self.training)
        if not things:
            return idle_loss(self), {"lines": self.head.weight.new_zeros(())}
        targets = [
            [1 + self.alphabet.index[c] for c in thing.text if c in self.alphabet.index] for thing in things
        ]
        logp_TKA = self.logits(pixels).log_softmax(-1)
        steps, count = logp_TKA.shape[:2]
        lengths = torch.tensor([len(target) for target in targets])
        flat = torch.tensor([character for target in targets for character in target], dtype=torch.long)
        each = F.ctc_loss(
            logp_TKA,
            flat.to(pixels.device),
            torch.full((count,), steps),
            lengths,
            reduction="none",
            zero_infinity=True,
        )
        loss = (each / lengths.clamp(min=1).to(each.device)).mean()
        return loss, {"lines": loss.new_tensor(float(count))}

    @torch.inference_mode()
    def perceive(self, pictures: Pictures) -> list[tuple[Thing, ...]]:
        """See `Specialist.perceive`: things of the category of writing receive their text."""
        self.alphabet.need()
        things, pixels = self._cut(pictures, shaken=False)
        if not things:
            return [tuple(seen) for seen in pictures.things]
        read = iter(self.decode(self.logits(pixels)))
        return [
            tuple(replace(thing, text=next(read)) if self._written(thing) else thing for thing in seen)
            for seen in pictures.things
        ]

    def decode(self, logits_TKA: Float[Tensor, "steps lines characters"]) -> list[str]:
        """Greedy CTC: the best character of each step, repeats merged, blanks dropped.

        Steps `- G G - O O - O` read `GOO`.
        """
        lines = []
        for best in logits_TKA.argmax(-1).T.tolist():
            kept = [c for before, c in zip([0, *best[:-1]], best, strict=True) if c and c != before]
            lines.append("".join(self.alphabet.labels[c - 1] for c in kept))
        return lines

    def views(self, pictures: Pictures) -> list[tuple[int, int]]:
        """See `Specialist.views`: one crop a line of writing."""
        return [
            (self.height, self.length) for seen in pictures.things for thing in seen if self._written(thing)
        ]

    def flops(self, sizes: Sequence[tuple[int, int]]) -> int:
        """See `Specialist.flops`: every view is resized to one size."""
        total, (_, steps) = self.trunk.account((self.height, self.length))
        for convolution in (self.fold, *self.line, self.head):
            assert isinstance(convolution, nn.Conv2d)
            kernel = convolution.kernel_size[0] * convolution.kernel_size[1]
            total += 2 * steps * convolution.in_channels * kernel * convolution.out_channels
        return len(sizes) * total
