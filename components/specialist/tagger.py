"""`Tagger`: what a thing is called and which colour it has, from a crop of its box."""

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
from vlmloom.components.specialist.frames import crops
from vlmloom.components.specialist.vocabulary import Vocabulary
from vlmloom.registry import register


@register("specialist/tagger")
class Tagger(Specialist):
    """Crop classifier: name and colour of each boxed thing, over a closed vocabulary.

    It trains on true boxes, shaken as a detector's are, and tags found ones. A thing without a colour in the
    truth teaches that none is to be said; a name outside the vocabulary teaches nothing.

    Reference: Fast R-CNN, arXiv 1504.08083 (classification of pooled regions).
    """

    steps: Tensor

    def __init__(
        self,
        *,
        names: Sequence[str] | None = None,
        colours: Sequence[str] | None = None,
        max_names: int = 96,
        max_colours: int = 16,
        width: int = 32,
        depth: int = 1,
        side: int = 32,
        margin: float = 0.1,
        shake: float = 0.08,
        seed: int = 0,
    ) -> None:
        """Make the network.

        Args:
            names: the closed vocabulary; None leaves it to `bind_vocabulary`.
            colours: the closed vocabulary; None leaves it to `bind_vocabulary`.
            max_names: room for names where they are bound later.
            max_colours: room for colours where they are bound later.
            width: channels at half the crop's resolution; doubled at a quarter, tripled at an eighth.
            depth: residual blocks at a quarter and at an eighth.
            side: of a crop in pixels.
            margin: what a crop shows around the box, as a share of its sides.
            shake: the standard deviation of the noise on the sides of true boxes, as a share of the box.
            seed: of that noise.
        """
        super().__init__()
        self.side, self.margin, self.shake, self.seed = side, margin, shake, seed
        self.names = Vocabulary(
            "names", len(names) if names is not None else max_names, names, room="max_names"
        )
        told = None if colours is None else ["", *colours]
        self.colours = Vocabulary(
            "colours", len(told) if told is not None else max_colours + 1, told, room="max_colours"
        )
        half, quarter, eighth = width, 2 * width, 3 * width
        self.trunk = Stack(
            ConvUnit(3, half, stride=(2, 2)),
            ConvUnit(half, quarter, stride=(2, 2)),
            *(ConvUnit(quarter, quarter, skip=True) for _ in range(depth)),
            ConvUnit(quarter, eighth, stride=(2, 2)),
            *(ConvUnit(eighth, eighth, skip=True) for _ in range(depth)),
        )
        cells = (-(-side // 8)) ** 2
        self.name_head = nn.Linear(eighth * cells, self.names.capacity)
        self.colour_head = nn.Linear(eighth * cells, self.colours.capacity)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.to(memory_format=torch.channels_last)

    def bind_vocabulary(self, names: Sequence[str], colours: Sequence[str], alphabet: str) -> None:
        """See `Specialist.bind_vocabulary`."""
        self.names.bind(names)
        self.colours.bind(["", *(colour for colour in colours if colour)])

    def logits(
        self, pixels: Float[Tensor, "crops 3 side side"]
    ) -> tuple[Float[Tensor, "crops names"], Float[Tensor, "crops colours"]]:
        """Logits over names and over colours (the first one is no colour)."""
        features = self.trunk(pixels).flatten(1)
        return self.names.masked(self.name_head(features).float()), self.colours.masked(
            self.colour_head(features).float()
        )

    def _cut(self, pictures: Pictures, shaken: bool) -> tuple[list[Thing], Tensor]:
        owners = [place for place, things in enumerate(pictures.things) for _ in things]
        things = [thing for things in pictures.things for thing in things]
        boxes = torch.tensor([thing.box for thing in things], dtype=torch.float32).view(-1, 4)
        sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1.0)
        grow = torch.cat([-sides, sides], dim=1) * self.margin
        if shaken:
            # Counting the steps in the state makes a resumed training draw what the uninterrupted one draws.
            draw = torch.Generator().manual_seed(self.seed * 1_000_003 + int(self.steps))
            grow = grow + torch.randn(boxes.shape, generator=draw) * sides.repeat(1, 2) * self.shake
            self.steps.add_(1)
        return things, crops(
            pictures.frames, owners, boxes + grow, (self.side, self.side), self.name_head.weight.device
        )

    def loss(self, pictures: Pictures) -> tuple[Tensor, Metrics]:
        """See `Specialist.loss`: cross-entropy of names and of colours, each a mean over the things."""
        self.names.need()
        things, pixels = self._cut(pictures, shaken=self.training)
        if not things:
            return idle_loss(self), {}
        names, colours = self.logits(pixels)
        device = pixels.device
        name = torch.tensor(
            [self.names.index.get(thing.name, -100) for thing in things], device=device
        ).long()
        colour = torch.tensor(
            [self.colours.index.get(thing.colour, -100) for thing in things], device=device
        ).long()
        known = (name >= 0).sum()
        named = F.cross_entropy(names, name, reduction="sum") / known.clamp(min=1)
        coloured = F.cross_entropy(colours, colour, reduction="sum") / (colour >= 0).sum().clamp(min=1)
        right = (names.argmax(-1) == name).sum() / known.clamp(min=1)
        parts = {"name": named.detach(), "colour": coloured.detach(), "accuracy": right}
        return named + coloured, parts

    @torch.inference_mode()
    def perceive(self, pictures: Pictures) -> list[tuple[Thing, ...]]:
        """See `Specialist.perceive`: every thing receives its most likely name and colour."""
        self.names.need()
        things, pixels = self._cut(pictures, shaken=False)
        if not things:
            return [() for _ in pictures.frames]
        names, colours = (logits.argmax(-1).tolist() for logits in self.logits(pixels))
        tagged = iter(
            [
                replace(thing, name=self.names.labels[name], colour=self.colours.labels[colour])
                for thing, name, colour in zip(things, names, colours, strict=True)
            ]
        )
        return [tuple(next(tagged) for _ in seen) for seen in pictures.things]

    def views(self, pictures: Pictures) -> list[tuple[int, int]]:
        """See `Specialist.views`: one crop a thing."""
        return [(self.side, self.side) for things in pictures.things for _ in things]

    def flops(self, sizes: Sequence[tuple[int, int]]) -> int:
        """See `Specialist.flops`: every view is resized to one size."""
        heads = 2 * self.name_head.in_features * (self.names.capacity + self.colours.capacity)
        return len(sizes) * (self.trunk.account((self.side, self.side))[0] + heads)
