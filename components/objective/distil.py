"""A tower taught by the features of others, frozen, of pictures that it sees in part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from vlmloom.components.contracts.component import Metrics, declared_losses
from vlmloom.components.contracts.distance import Distance, Standard
from vlmloom.components.contracts.frozen import Frozen
from vlmloom.components.contracts.intake import Intake, Towers
from vlmloom.components.contracts.objective import Objective
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.patches import resample
from vlmloom.components.contracts.vision import Vision
from vlmloom.components.contracts.visuals import Grid, VisualFeatures
from vlmloom.components.objective.masking import Shape, draw_mask, flat, generator_of, hide
from vlmloom.registry import build, name_of, register


@register("objective/distil")
class Distil(Objective):
    """Masked distillation: of a picture it sees in part, a student predicts every teacher's patch features.

    Each teacher sees the same pictures whole, cut as it asks, and its features are resampled to the student's
    grid and standardised. One head a teacher maps the student's features to its width. The loss is the sum
    over teachers and distances, by their weights, over the hidden places or over all; `summary` teaches the
    mean of all places beside them.

    >>> import torch
    >>> from vlmloom.components.contracts.packed import Packed
    >>> from vlmloom.components.contracts.patches import cut, join
    >>> from vlmloom.registry import build
    >>> student = build({"use": "vision/cogvit", "width": 8, "depth": 1, "heads": 2, "hidden": 8, "patch": 8})
    >>> teacher = build({"use": "teacher/timm", "model": "resnet10t", "weights": None, "size": 64})
    >>> objective = Distil(teachers={"resnet": teacher})
    >>> objective.prepare(student)
    >>> pixels = torch.randint(256, (1, 64, 64, 3), dtype=torch.uint8).numpy()
    >>> specs = objective.intake(student).patch_specs()
    >>> batch = Packed.texts([], {name: join([cut(pixels, spec)], spec) for name, spec in specs.items()})
    >>> loss, parts = objective(student, batch)
    >>> loss.backward()
    >>> sorted(parts), [any(part.grad is not None for part in one.parameters()) for one in (student, teacher)]
    (['resnet/cosine', 'resnet/loss'], [True, False])

    Reference: arXiv 2604.26752 (GLM-5V-Turbo: two teachers, 35 % masked; losses, weights and heads are not
    published); arXiv 2312.06709 (AM-RADIO: a head a teacher, cosine and smooth-L1); arXiv 2410.01680 (PHI-S).
    """

    views = ("pictures", "captions")
    supervised = False
    steps: Tensor

    def __init__(
        self,
        *,
        teachers: dict[str, Vision],
        mask: float = 0.35,
        shape: Shape = "random",
        on: Literal["masked", "all"] = "masked",
        distances: dict[str, Distance] | None = None,
        standard: Callable[..., Standard] | None = None,
        teacher_weights: dict[str, float] | None = None,
        summary: float = 0.0,
        hidden: int | None = None,
        seed: int = 0,
    ) -> None:
        """Take the teachers.

        Args:
            teachers: trained towers by name, e.g. `{siglip2: {use: teacher/siglip2, ...}}`.
            mask: the share of places that the student does not see.
            shape: `random` places or rectangles (`block`).
            on: what the loss is taken over: the places that are hidden, or all.
            distances: parts of the loss by name; None is `distance/cosine` and `distance/smooth_l1`.
            standard: template of the scale of each teacher's features; None is `standard/phi_s`.
            teacher_weights: of teachers in the sum; 1 where there is none.
            summary: weight of 1 - cos between the means over all places of a picture, hidden or not, of what
                a head predicts and of the teacher's features: the picture as a whole, which a tower without a
                class token has in its mean.
            hidden: width of a hidden layer of each head; None is a linear head.
            seed: of the masks, together with the step and the rank.

        Raises:
            ValueError: there is no teacher or no distance, a weight has no teacher or is negative, the share
                is not in [0, 1), or nothing is hidden where the loss is taken over what is.
        """
        super().__init__()
        who = "objective/distil"
        if not teachers:
            raise ValueError(f"{who}: teachers is empty; one or more by name would be right")
        if not 0 <= mask < 1:
            raise ValueError(
                f"{who}: mask is {mask}, so all patches would be masked or a negative share; "
                "0 or more and below 1 would be right"
            )
        if mask == 0 and on == "masked":
            raise ValueError(f"{who}: mask is 0, so nothing is hidden; `on: all` would be right")
        if unknown := sorted(set(teacher_weights or {}) - set(teachers)):
            raise ValueError(
                f"{who}: teacher_weights names {', '.join(unknown)}; the teachers are {', '.join(teachers)}"
            )
        if below := [f"{name}: {one}" for name, one in (teacher_weights or {}).items() if not one >= 0]:
            raise ValueError(f"{who}: teacher_weights has {', '.join(below)}; 0 or more would be right")
        if distances is not None and not distances:
            raise ValueError(f"{who}: distances is empty; distance/cosine, say, would be right")
        if summary < 0:
            raise ValueError(f"{who}: summary is {summary}; a weight of 0 or more would be right")
        self.mask, self.shape, self.on, self.hidden, self.seed = mask, shape, on, hidden, seed
        self.summary = summary
        # By name, not by import: kinds know each other through the registry alone.
        usual = ("cosine", "smooth_l1")
        self.distances = distances or {name: build({"use": f"distance/{name}"}) for name in usual}
        self.frozen = nn.ModuleList(Frozen(teacher) for teacher in teachers.values())
        self.taught = dict(teachers)
        self.weights = {name: 1.0 for name in teachers} | (teacher_weights or {})
        widths = {name: teacher.out_width for name, teacher in teachers.items()}
        self.standards = nn.ModuleDict(
            {
                name: build({"use": "standard/phi_s", "width": width})
                if standard is None
                else standard(width=width)
                for name, width in widths.items()
            }
        )
        self.heads = nn.ModuleDict()
        self.patch: nn.Parameter | None = None
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def prepare(self, model: Any) -> None:
        """See `Objective.prepare`: make the heads, and the patch that stands for what is hidden."""
        if not isinstance(model, Vision):
            name = name_of(model)
            raise ValueError(
                f"objective/distil: teaches a vision tower, such as vision/cogvit, and {name} is none; "
                "objective/imitate takes other kinds"
            )
        for name, teacher in self.taught.items():
            self.heads[name] = _head(model.out_width, self.hidden, teacher.out_width)
        if self.mask:
            self.patch = nn.Parameter(torch.zeros(3 * model.patch_spec.patch**2))

    def intake(self, model: Any) -> Intake:
        """See `Objective.intake`: pictures for `vision`, and for each teacher as `teacher.NAME`."""
        cut = {f"teacher.{name}": teacher.patch_spec for name, teacher in self.taught.items()}
        return Towers({"vision": model.patch_spec} | cut, model.token_grids)

    def forward(self, module: Any, batch: Packed) -> tuple[Tensor, Metrics]:
        """The loss, its part and the cosine of every teacher, and what the student reports.

        Args:
            module: the student.
            batch: with the same pictures in `visuals["vision"]` and in `visuals["teacher.NAME"]` of each.

        Raises:
            RuntimeError: `prepare` was not called.
        """
        if not self.heads:
            raise RuntimeError("objective/distil: prepare(student) comes before the first use")
        visuals = batch.visuals["vision"]
        grids = module.token_grids(visuals.shapes)
        masks = self._masks(grids) if self.mask else []
        if self.patch is not None:
            hidden = flat(masks, visuals.shapes, visuals.block).to(visuals.patches.device)
            visuals = hide(visuals, hidden, self.patch)
        features, metrics = module(visuals)
        chosen, lengths = self._chosen(masks, features)
        loss = features.tokens.new_zeros(())
        found: Metrics = {}
        for name in self.taught:
            target = self.targets(name, batch, features)
            result = self.heads[name](features.tokens).float()
            whole = _likeness(result, target, features.shapes) if self.summary else None
            if chosen is not None:
                result, target = result[chosen], target[chosen]
            parts = [part.weight * part(result, target, lengths) for part in self.distances.values()]
            own = torch.stack(parts).sum() if lengths else result.sum()
            if whole is not None:
                own = own + self.summary * (1 - whole)
                found[f"{name}/summary"] = whole.detach()
            loss = loss + self.weights[name] * own
            cosine = nn.functional.cosine_similarity(result, target, dim=-1)
            found |= {
                f"{name}/loss": own.detach(),
                f"{name}/cosine": cosine.sum().detach() / max(len(cosine), 1),
            }
        loss = loss + declared_losses(metrics)
        if batch.visuals["vision"].weight == 0.0:
            loss = loss * 0.0
        return loss, found | metrics

    def _masks(self, grids: list[Grid]) -> list[np.ndarray]:
        generator = generator_of(self.seed, int(self.steps))
        if self.training:
            self.steps.add_(1)
        return [draw_mask(grid, self.mask, self.shape, generator) for grid in grids]

    def _chosen(self, masks: list[np.ndarray], features: VisualFeatures) -> tuple[Tensor | None, list[int]]:
        """The places that the loss is taken over (None is all), and how many each item has, without zeros."""
        if self.on == "all":
            return None, [frames * rows * columns for frames, rows, columns in features.shapes]
        chosen = flat(masks, features.shapes, features.block).to(features.tokens.device)
        return chosen, [count for mask in masks if (count := int(mask.sum()))]

    @torch.no_grad()
    def targets(self, name: str, batch: Packed, features: VisualFeatures) -> Tensor:
        """A teacher's standardised features `[P, D]` at the places of the student's."""
        visuals = batch.visuals[f"teacher.{name}"]
        taught, _ = self.taught[name](visuals)
        taught.tokens = taught.tokens.float()
        standard = cast(Standard, self.standards[name])
        if self.training and visuals.weight:
            standard.observe(taught.tokens)
        taught.tokens = standard(taught.tokens)
        return resample(taught, features.shapes, features.block)

    def flops(self, module: Any, batch: Packed) -> dict[str, int]:
        """See `Objective.flops`."""
        grids = batch.visuals["vision"].shapes
        places = sum(frames * rows * columns for frames, rows, columns in module.token_grids(grids))
        linear = [part for part in self.heads.modules() if isinstance(part, nn.Linear)]
        teachers = {
            f"teacher.{name}": teacher.flops(batch.visuals[f"teacher.{name}"].shapes)
            for name, teacher in self.taught.items()
        }
        return teachers | {
            "model": module.flops(grids),
            "objective": 2 * places * sum(part.weight.numel() for part in linear),
        }


def _likeness(result: Tensor, target: Tensor, shapes: Sequence[Grid]) -> Tensor:
    """The mean cosine, over items, of the means of their places."""
    sizes = [frames * rows * columns for frames, rows, columns in shapes]
    one, other = (torch.stack([part.mean(0) for part in side.split(sizes)]) for side in (result, target))
    return nn.functional.cosine_similarity(one, other, dim=-1).mean()


def _head(width: int, hidden: int | None, out: int) -> nn.Module:
    if hidden is None:
        return nn.Linear(width, out)
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, out))
