"""A tower that teaches itself by an average of its past: other crops, hidden patches, kept Gram matrices."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlmloom.components.contracts.component import Metrics, declared_losses
from vlmloom.components.contracts.intake import Intake, Towers
from vlmloom.components.contracts.objective import Objective
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.vision import Vision
from vlmloom.components.contracts.visuals import Grid, PatchSpec
from vlmloom.components.objective.dino.average import Average
from vlmloom.components.objective.dino.crops import Crops, joined, parted
from vlmloom.components.objective.dino.gram import Gram
from vlmloom.components.objective.dino.head import PrototypeHead
from vlmloom.components.objective.dino.losses import cross_entropy, koleo, likeness, sinkhorn
from vlmloom.components.objective.dino.masks import draw_masks
from vlmloom.components.objective.masking import flat, generator_of, hide
from vlmloom.registry import build, name_of, register
from vlmloom.registry.errors import UserError


@register("objective/dinov3")
class DINOv3(Objective):
    """Self-distillation without labels: DINO on crops, iBOT on hidden patches, KoLeo, Gram anchoring.

    The teacher is a moving average of the tower and its heads (`Average`). It sees the global crops whole;
    the tower sees them with patches hidden, and local crops as well. Over prototypes, the tower's summary of
    one crop is to be the teacher's of another (DINO), and its feature of a hidden patch the teacher's of that
    patch (iBOT); Sinkhorn-Knopp makes the targets use all prototypes alike. KoLeo spreads the summaries. An
    earlier teacher, the Gram teacher, which sees the crops undistorted, keeps the likeness between the places
    of a picture (`Gram`).

    The summary of a crop is its class token where the tower has one (`vision/dinov3`), else the mean of its
    normed tokens, so that all that is learned lies in the tower. Pictures are squeezed to
    squares before they are cropped; a clip gives its middle frame. Schedules run over the stage's share of
    the budget. In packs, a picture counts as many tokens as a global crop has.

    Not done here: the high-resolution phase, distillation to a family (`objective/distil`), alignment to
    text (`contrast`), stochastic depth and a last layer that is frozen at first.

    >>> from vlmloom.components.contracts.packed import Packed
    >>> from vlmloom.components.contracts.visuals import Visuals
    >>> from vlmloom.components.objective.dino.crops import Crops
    >>> from vlmloom.registry import build
    >>> tower = build({"use": "vision/cogvit", "width": 8, "depth": 1, "heads": 2, "hidden": 16, "patch": 4})
    >>> objective = DINOv3(crops=Crops(size=4, local_size=2, local=2), prototypes=32)
    >>> objective.prepare(tower)
    >>> squares = Visuals.noise([(1, 8, 8)] * 3, patch=4)
    >>> loss, parts = objective(tower, Packed.texts([], {"vision": squares}))
    >>> loss.backward()
    >>> sorted(parts), all(part.grad is not None for part in tower.parameters())
    (['global/loss', 'koleo/loss', 'likeness', 'local/loss', 'patch/loss'], True)

    Reference: arXiv 2508.10104 (DINOv3); arXiv 2304.07193 (DINOv2); arXiv 2111.07832 (iBOT).
    """

    views = ("pictures", "captions")
    supervised = False
    steps: Tensor
    updates: Tensor
    progress: Tensor

    def __init__(
        self,
        *,
        crops: Crops | None = None,
        gram: Gram | None = None,
        prototypes: int = 1024,
        patch_prototypes: int | None = None,
        hidden: int = 512,
        bottleneck: int = 128,
        momentum: float = 0.994,
        temperature: float = 0.1,
        teacher_temperature: tuple[float, float] = (0.04, 0.07),
        warmup: float = 0.3,
        local_weight: tuple[float, float] = (1.0, 0.5),
        koleo: float = 0.1,
        masked: float = 0.5,
        mask: tuple[float, float] = (0.1, 0.5),
        seed: int = 0,
    ) -> None:
        """Take the settings; the published ones are in brackets where the defaults are smaller.

        Args:
            crops: of each picture; None is two of 16 x 16 patches and eight of 7 x 7.
            gram: Gram anchoring; None does without.
            prototypes: of summaries (262,144).
            patch_prototypes: of hidden patches (98,304); None is as many as of summaries.
            hidden: width of both hidden layers of the heads.
            bottleneck: width of the sphere on which the prototypes lie.
            momentum: of the teacher, all the way.
            temperature: of the tower.
            teacher_temperature: of the teacher at first and after `warmup`, linear in between.
            warmup: the share of the stage in which the teacher's temperature grows.
            local_weight: of the loss on local crops at first and at the end, by a cosine.
            koleo: weight of KoLeo; 0 does without.
            masked: the share of global crops with hidden patches.
            mask: the least and the largest share of patches that are hidden in those, in blocks.
            seed: of all draws, together with the step and the rank.

        Raises:
            ValueError: a number is out of range.
        """
        super().__init__()
        who = "objective/dinov3"
        for name, value in (("prototypes", prototypes), ("hidden", hidden), ("bottleneck", bottleneck)):
            if value < 1:
                raise ValueError(f"{who}: {name} is {value}; 1 or more would be right")
        for name, share in (("momentum", momentum), ("warmup", warmup), ("masked", masked)):
            if not 0 <= share <= 1:
                raise ValueError(f"{who}: {name} is {share}; a share in [0, 1] would be right")
        if not 0 < mask[0] <= mask[1] < 1:
            raise ValueError(
                f"{who}: mask is {mask[0]} to {mask[1]}; shares in (0, 1), in order, would be right"
            )
        if min(temperature, *teacher_temperature) <= 0:
            raise ValueError(f"{who}: a temperature is 0 or below; above 0 would be right")
        if min(koleo, *local_weight) < 0:
            raise ValueError(f"{who}: a weight is below 0; 0 or more would be right")
        self.crops, self.gram, self.seed = crops or Crops(), gram, seed
        if self.crops.wide != 2:
            raise ValueError(f"{who}: crops.wide is {self.crops.wide}; 2 would be right")
        self.sizes = {"summary": prototypes, "patch": patch_prototypes or prototypes}
        self.hidden, self.bottleneck = hidden, bottleneck
        self.momentum, self.temperature, self.warmup = momentum, temperature, warmup
        self.teacher_temperature, self.local_weight = teacher_temperature, local_weight
        self.koleo, self.masked, self.mask = koleo, masked, mask
        # Gram anchoring takes the squares of the differences (by name: kinds know each other so).
        self.relation = build({"use": "distance/relation", "beta": None})
        self.heads = nn.ModuleDict()
        self.teacher = nn.ModuleDict()
        self.anchor: Average | None = None
        self.patch: nn.Parameter | None = None
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.register_buffer("progress", torch.zeros((), dtype=torch.double))

    def prepare(self, model: Any) -> None:
        """See `Objective.prepare`: make the heads, the teacher, and the patch that hides others."""
        who = "objective/dinov3"
        if not isinstance(model, Vision):
            name = name_of(model)
            raise ValueError(f"{who}: trains a vision tower, such as vision/cogvit, and {name} is none")
        crops = self.crops
        wide, _ = self._grids(model)
        if wide[1] * wide[2] < 2:
            raise ValueError(
                f"{who}: a global crop of {crops.size} x {crops.size} patches has one token, so nothing "
                "can be hidden; a larger crops.size would be right"
            )
        for name, prototypes in self.sizes.items():
            self.heads[name] = PrototypeHead(
                width=model.out_width, hidden=self.hidden, bottleneck=self.bottleneck, prototypes=prototypes
            )
        self.patch = nn.Parameter(torch.zeros(3 * model.patch_spec.patch**2))
        self.teacher["tower"] = Average(model)
        for name, head in self.heads.items():
            self.teacher[name] = Average(head)
        if self.gram is not None:
            self.anchor = Average(model)

    def spec(self, model: Vision) -> PatchSpec:
        """The squares that pictures are brought to: whole patches of the tower, normalised as it asks."""
        own, side = model.patch_spec, self.crops.source or 2 * self.crops.size
        return PatchSpec(own.patch, size=side * own.patch, mean=own.mean, std=own.std, sampling=own.sampling)

    def intake(self, model: Any) -> Intake:
        """See `Objective.intake`: squares for `vision`, each with as many tokens as a global crop."""
        wide, _ = self._grids(model)
        return Towers({"vision": self.spec(model)}, lambda grids: [wide] * len(grids))

    def _grids(self, model: Vision) -> list[Grid]:
        """The grids of tokens of a global and of a local crop."""
        sides = (self.crops.size, self.crops.local_size)
        return model.token_grids([(1, side, side) for side in sides])

    def forward(self, module: Any, batch: Packed) -> tuple[Tensor, Metrics]:
        """The loss and its parts, and how alike the summaries of different pictures are.

        Args:
            module: the tower.
            batch: with square pictures in `visuals["vision"]`, cut by `spec`.

        Raises:
            RuntimeError: `prepare` was not called.
            UserError: there is one picture, which has no neighbour for KoLeo.
        """
        if self.patch is None:
            raise RuntimeError("objective/dinov3: prepare(tower) comes before the first use")
        visuals, spec, step = batch.visuals["vision"], module.patch_spec, int(self.updates)
        real = visuals.weight != 0.0
        pictures, aspects = joined(visuals, spec)
        count = len(pictures)
        if real and count < 2 and self.koleo and not batch.extras.get("corrupt"):
            raise UserError(
                "objective/dinov3: found a pack of one picture, which has no neighbour for KoLeo; larger "
                "pack_tokens, or koleo: 0, would be right"
            )
        generator = generator_of(self.seed, int(self.steps))
        if self.training:
            if not self.steps:
                self._begin(module)
            self.steps.add_(1)
        finer = 1 if self.gram is None else self.gram.scale
        views = self.crops.draw(pictures, spec.patch, generator, finer, aspects)
        wide, narrow = self._grids(module)
        masks = draw_masks(wide, 2 * count, self.masked, self.mask, generator)
        hidden = torch.from_numpy(np.stack(masks).reshape(2 * count, -1)).to(pictures.device)

        shown = parted([views.wide, views.narrow], spec)
        blank = [np.zeros(narrow, bool)] * len(views.narrow)
        features, metrics = module(
            hide(shown, flat([*masks, *blank], shown.shapes, shown.block).to(pictures.device), self.patch)
        )
        areas = [math.prod(wide), math.prod(narrow)]
        split = [2 * count * areas[0], len(views.narrow) * areas[1]]
        tokens, local = (
            part.unflatten(0, (-1, area))
            for part, area in zip(features.tokens.split(split), areas, strict=True)
        )
        crops = [2 * count, len(views.narrow)]
        own_class, local_class = (None, None) if features.pooled is None else features.pooled.split(crops)
        summaries = summary_of(tokens, own_class)
        guessed = self.heads["summary"](torch.cat([summaries, summary_of(local, local_class)]))
        guessed_patches = self.heads["patch"](tokens[hidden])
        with torch.no_grad():
            seen, _ = self.teacher["tower"](parted([views.wide], spec))
            taught = seen.tokens.unflatten(0, (-1, areas[0]))
            target = self._target(self.teacher["summary"](summary_of(taught, seen.pooled)), real)
            patch_target = self._target(self.teacher["patch"](taught[hidden]), real)

        def loss(cosines: Tensor, wanted: Tensor) -> Tensor:
            return cross_entropy(cosines, wanted, self.temperature)

        first, second = target.split(count)
        own, others = guessed.split(crops)
        # Linear in the target, so that both targets of a local crop may be averaged.
        mean = ((first + second) / 2).repeat(self.crops.local, 1)
        # Every masked crop counts alike, however much of it is hidden; a whole one counts as 0.
        each = 1.0 / (hidden.sum(1, keepdim=True).expand_as(hidden)[hidden] * 2 * count)
        weight = self.gram.weight_at(step) if self.gram is not None else 0.0
        parts = {
            "global": loss(own, torch.cat([second, first])).mean(),
            "local": loss(others, mean).mean(),
            "patch": (loss(guessed_patches, patch_target) * each).sum(),
            "koleo": koleo(summaries[:count]) + koleo(summaries[count:]),
        }
        weights = self._dino_weights() | {"patch": 1.0, "koleo": self.koleo}
        if weight:
            parts["gram"] = self._gram(tokens, views.fine, wide, spec)
            weights["gram"] = weight
        total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        found = {f"{name}/loss": part.detach() for name, part in parts.items()}
        total = (total + declared_losses(metrics)) * visuals.weight
        return total, found | metrics | {"likeness": likeness(summaries[:count])}

    def _begin(self, module: Any) -> None:
        """Take the tower as it is now: since `prepare`, weights may have been read, or a stage run."""
        teacher = cast(Average, self.teacher["tower"])
        teacher.follow(module, 0.0)
        if self.anchor is not None:
            self.anchor.take(teacher)

    def _target(self, cosines: Tensor, real: bool) -> Tensor:
        progress = float(self.progress)
        low, high = self.teacher_temperature
        warm = low + (high - low) * min(1.0, progress / self.warmup if self.warmup else 1.0)
        if real:
            return sinkhorn(cosines, warm)
        # A process without pictures takes part in the sums of the others, and has no target itself.
        sinkhorn(cosines[:0], warm)
        return torch.zeros_like(cosines, dtype=torch.float32)

    def _dino_weights(self) -> dict[str, float]:
        """The weights of global and local crops, whose pairs with the teacher's crops all count alike."""
        crosswise, local = 2, 2 * self.crops.local
        start, end = self.local_weight
        weight = end + (start - end) * self._cosine()
        return {
            "global": crosswise / (crosswise + local),
            "local": weight * local / (crosswise + local),
        }

    def _cosine(self) -> float:
        """From 1 to 0 over the stage."""
        return 0.5 * (1.0 + math.cos(math.pi * float(self.progress)))

    def _gram(self, tokens: Tensor, fine: Tensor, grid: Grid, spec: PatchSpec) -> Tensor:
        """The mean of the squares of the differences between the cosines within each crop."""
        assert self.anchor is not None
        with torch.no_grad():
            taught, _ = self.anchor(parted([fine], spec))
            _, rows, columns = taught.shapes[0]
            planes = taught.tokens.float().unflatten(0, (-1, rows, columns)).permute(0, 3, 1, 2)
            if (rows, columns) != grid[1:]:
                planes = nn.functional.interpolate(planes, grid[1:], mode="bicubic", align_corners=False)
            wanted = planes.flatten(2).transpose(1, 2).flatten(0, 1)
        return self.relation(tokens.flatten(0, 1).float(), wanted, [tokens.shape[1]] * len(tokens))

    def after_step(self, module: Any, progress: float) -> None:
        """See `Objective.after_step`: the teacher follows, and becomes the Gram teacher where that is due."""
        self.progress.fill_(progress)
        self.updates.add_(1)
        for name, average in self.teacher.items():
            cast(Average, average).follow(module if name == "tower" else self.heads[name], self.momentum)
        if self.anchor is not None and self.gram is not None and self.gram.due(int(self.updates)):
            self.anchor.take(cast(Average, self.teacher["tower"]))

    def flops(self, module: Any, batch: Packed) -> dict[str, int]:
        """See `Objective.flops`; of the hidden patches, the mean number is counted."""
        crops, count = self.crops, len(batch.visuals["vision"].shapes)
        large, small = ([(1, side, side)] for side in (crops.size, crops.local_size))
        wide, _ = self._grids(module)
        patches = round(2 * count * self.masked * sum(self.mask) / 2 * math.prod(wide))
        summary, patch = (cast(PrototypeHead, self.heads[name]) for name in ("summary", "patch"))
        both = summary.flops(2 * count) + patch.flops(patches)
        teacher = {"teacher": module.flops(large * (2 * count)) + both}
        if self.gram is not None and self.gram.weight_at(int(self.updates)):
            side = crops.size * self.gram.scale
            teacher["gram"] = module.flops([(1, side, side)] * (2 * count))
        return teacher | {
            "model": module.flops(large * (2 * count) + small * (crops.local * count)),
            "objective": both + summary.flops(crops.local * count),
        }


def summary_of(tokens: Float[Tensor, "crops places width"], pooled: Tensor | None) -> Tensor:
    """What stands for each crop, `[crops, width]`: its class token, or the mean of its tokens."""
    return tokens.mean(1) if pooled is None else pooled
