"""`Detector`: where things are. An anchor-free convnet with a heat map and a box a cell for each class.

Shapes: N frames of one size, C classes, R x W cells of `STRIDE` pixels, K things of the group.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms, generalized_box_iou_loss

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.sample import Thing
from vlmloom.components.contracts.specialist import Specialist
from vlmloom.components.contracts.visuals import Pictures
from vlmloom.components.specialist.convolution import ConvUnit, Stack, flops_of, idle_loss
from vlmloom.components.specialist.frames import FULL, equal_sizes
from vlmloom.registry import register

STRIDE = 4
"""Pixels a cell: two things are told apart when their centres lie two cells apart."""


@register("specialist/detector")
class Detector(Specialist):
    """Anchor-free detector: heat and four distances a class and cell, trained by focal and GIoU losses.

    The class of a thing is the last of `classes` (writing) where it has text, the class of its name where one
    is called so, else the first.

    Reference: CenterNet, arXiv 1904.07850 (heat and peaks); TTFNet, arXiv 1909.00700 (boxes from every cell
    near a centre, weighted by the heat); FCOS, arXiv 1904.01355 (distances to the four sides).
    """

    def __init__(
        self,
        *,
        classes: Sequence[str] = ("thing", "bar", "text"),
        width: int = 32,
        deep: int = 64,
        depth: int = 4,
        threshold: float = 0.3,
        top_k: int = 32,
        overlap: float = 0.6,
        box_weight: float = 2.0,
    ) -> None:
        """Make the network.

        Args:
            classes: what a detection is called; the last one is writing.
            width: channels at stride 4, where heat and boxes are read off.
            deep: channels at stride 8.
            depth: blocks at stride 8; each widens the view by 16 pixels.
            threshold: the least heat of a detection.
            top_k: the most detections a frame.
            overlap: of two detections of a class whose boxes overlap more (IoU), the weaker is dropped.
            box_weight: the weight of the box loss beside the heat loss.

        Raises:
            ValueError: fewer than two classes, or a threshold outside (0, 1).
        """
        super().__init__()
        if len(classes) < 2:
            raise ValueError(
                f"classes: a class of things and a class of writing are needed, found {list(classes)}"
            )
        if not 0.0 < threshold < 1.0:
            raise ValueError(f"threshold: a heat between 0 and 1 is needed, found {threshold}")
        self.classes = tuple(classes)
        self.threshold, self.top_k, self.overlap, self.box_weight = threshold, top_k, overlap, box_weight
        self.stem = Stack(ConvUnit(3, width // 2, stride=(2, 2)), ConvUnit(width // 2, width, stride=(2, 2)))
        self.trunk = Stack(
            ConvUnit(width, deep, stride=(2, 2)), *(ConvUnit(deep, deep, skip=True) for _ in range(depth))
        )
        self.lift = nn.Conv2d(deep, width, 1)
        self.neck = ConvUnit(width, width)
        self.read = nn.Conv2d(width, 5 * len(classes), 1)
        with torch.no_grad():
            # Nearly all cells are empty: a first heat of 3 % keeps the focal loss small at the start.
            self.read.bias[: len(classes)].fill_(-3.5)  # type: ignore[index]
        self.to(memory_format=torch.channels_last)

    def maps(
        self, pixels: Float[Tensor, "frames 3 height width"]
    ) -> tuple[Float[Tensor, "frames classes rows columns"], Float[Tensor, "frames classes 4 rows columns"]]:
        """Heat logits, and for each class and cell the box x1, y1, x2, y2 in cells.

        Every class has boxes of its own: writing often has its centre where the thing under it has.
        """
        fine = self.stem(pixels)
        deep = self.lift(self.trunk(fine))
        fine = self.neck(fine + F.interpolate(deep, size=fine.shape[-2:]))
        # Single precision from here on: a focal loss in bf16 would lose the many easy cells.
        heat_NCRW, sides = self.read(fine).float().split([len(self.classes), 4 * len(self.classes)], dim=1)
        sides_NC4RW = F.softplus(sides + 1.0).unflatten(1, (len(self.classes), 4))
        left_top, right_bottom = sides_NC4RW.chunk(2, dim=2)
        rows, columns = fine.shape[-2:]
        x = torch.arange(columns, device=pixels.device) + 0.5
        y = torch.arange(rows, device=pixels.device) + 0.5
        centre_2RW = torch.stack([x.expand(rows, columns), y[:, None].expand(rows, columns)])
        return heat_NCRW, torch.cat([centre_2RW - left_top, centre_2RW + right_bottom], dim=2)

    def class_of(self, thing: Thing) -> int:
        """The place of a thing's class in `classes`."""
        if thing.text:
            return len(self.classes) - 1
        return self.classes.index(thing.name) if thing.name in self.classes[:-1] else 0

    def loss(self, pictures: Pictures) -> tuple[Tensor, Metrics]:
        """See `Specialist.loss`: focal loss of the heat and GIoU loss of the boxes, both a thing."""
        heat_loss = box_loss = idle_loss(self)
        weight = self.read.weight.new_zeros(())
        count = 0
        for places, pixels in equal_sizes(pictures.frames, self.read.weight.device, self.read.weight.dtype):
            heat_NCRW, boxes_NC4RW = self.maps(pixels)
            things = [(row, thing) for row, place in enumerate(places) for thing in pictures.things[place]]
            count += len(things)
            heat, boxes, weights = self._compare(
                heat_NCRW, boxes_NC4RW, things, (pixels.shape[-2], pixels.shape[-1])
            )
            heat_loss, box_loss, weight = heat_loss + heat, box_loss + boxes, weight + weights
        heat_loss = heat_loss / max(1, count)
        box_loss = box_loss / weight.clamp(min=1.0)
        total = heat_loss + self.box_weight * box_loss
        return total, {"heat": heat_loss.detach(), "box": box_loss.detach()}

    def _compare(
        self,
        heat_NCRW: Tensor,
        boxes_NC4RW: Tensor,
        things: Sequence[tuple[int, Thing]],
        size: tuple[int, int],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Summed heat loss, summed weighted box loss, and the sum of the weights."""
        target_NCRW = torch.zeros_like(heat_NCRW, memory_format=torch.contiguous_format)
        box_loss = boxes_NC4RW.sum() * 0.0
        weight = box_loss.detach()
        if things:
            frames, classes, rows, columns = heat_NCRW.shape
            owner = torch.tensor([row for row, _ in things], device=heat_NCRW.device)
            kinds = torch.tensor([self.class_of(thing) for _, thing in things], device=heat_NCRW.device)
            boxes_K4 = torch.tensor([thing.box for _, thing in things], device=heat_NCRW.device)
            scale = torch.tensor([size[1], size[0]] * 2, device=heat_NCRW.device) / (FULL * STRIDE)
            boxes_K4 = boxes_K4.to(heat_NCRW.dtype) * scale
            bumps_KRW = bumps(boxes_K4, rows, columns)
            map_KRW = (owner * classes + kinds)[:, None, None].expand_as(bumps_KRW)
            flat = target_NCRW.view(frames * classes, rows, columns)
            flat.scatter_reduce_(0, map_KRW, bumps_KRW, "amax")
            # A cell's box belongs to the thing of the class whose bump is highest there.
            mine = (bumps_KRW > 0.3) & (bumps_KRW >= target_NCRW[owner, kinds])
            thing, row, column = mine.nonzero(as_tuple=True)
            near = bumps_KRW[thing, row, column]
            predicted = boxes_NC4RW[owner[thing], kinds[thing], :, row, column]
            overlap = generalized_box_iou_loss(predicted, boxes_K4[thing])
            distance = F.smooth_l1_loss(predicted, boxes_K4[thing], reduction="none", beta=0.25).mean(-1)
            box_loss = box_loss + ((overlap + distance) * near).sum()
            weight = near.sum()
        return focal(heat_NCRW, target_NCRW), box_loss, weight

    @torch.inference_mode()
    def detect(self, frames: Sequence[Tensor]) -> list[list[tuple[Thing, float]]]:
        """What is seen in each frame with its heat: things named by their class, in reading order."""
        found: list[list[tuple[Thing, float]]] = [[] for _ in frames]
        for places, pixels in equal_sizes(frames, self.read.weight.device, self.read.weight.dtype):
            heat_NCRW, boxes_NC4RW = self.maps(pixels)
            heat_NCRW = heat_NCRW.sigmoid()
            peaks = heat_NCRW * (heat_NCRW == F.max_pool2d(heat_NCRW, 3, 1, 1))
            cells = peaks.shape[-2] * peaks.shape[-1]
            score, index = peaks.flatten(1).topk(min(self.top_k, peaks[0].numel()))
            frame, rank = (score > self.threshold).nonzero(as_tuple=True)
            score, index = score[frame, rank], index[frame, rank]
            kinds = index // cells
            boxes = boxes_NC4RW.flatten(3)[frame, kinds, :, index % cells]
            kept = batched_nms(boxes.float(), score.float(), frame * len(self.classes) + kinds, self.overlap)
            scale = boxes.new_tensor([pixels.shape[-1], pixels.shape[-2]] * 2) / (FULL * STRIDE)
            boxes = (boxes / scale).round().clamp(0, FULL).long()
            for place in kept.tolist():
                x1, y1, x2, y2 = boxes[place].tolist()
                if x2 > x1 and y2 > y1:
                    called = self.classes[int(kinds[place])]
                    thing = Thing(name=called, category=called, box=(x1, y1, x2, y2))
                    found[places[int(frame[place])]].append((thing, float(score[place])))
        return [sorted(seen, key=lambda pair: (pair[0].box[1], pair[0].box[0])) for seen in found]

    def perceive(self, pictures: Pictures) -> list[tuple[Thing, ...]]:
        """See `Specialist.perceive`: boxes with a class for a name; what was known is dropped."""
        return [tuple(thing for thing, _ in seen) for seen in self.detect(pictures.frames)]

    def views(self, pictures: Pictures) -> list[tuple[int, int]]:
        """See `Specialist.views`: the frames."""
        return [(frame.shape[0], frame.shape[1]) for frame in pictures.frames]

    def flops(self, sizes: Sequence[tuple[int, int]]) -> int:
        """See `Specialist.flops`."""
        total = 0
        for size in sizes:
            stem, fine = self.stem.account(size)
            trunk, deep = self.trunk.account(fine)
            total += (
                stem
                + trunk
                + flops_of(self.lift, deep)
                + self.neck.account(fine)[0]
                + flops_of(self.read, fine)
            )
        return total


def bumps(boxes_K4: Tensor, rows: int, columns: int) -> Float[Tensor, "things rows columns"]:
    """A Gaussian a box, 1 at the cell of its centre and as wide as the box is on each axis.

    Args:
        boxes_K4: x1, y1, x2, y2 in cells.
        rows: cells down.
        columns: cells across.
    """
    x1, y1, x2, y2 = boxes_K4.unbind(1)

    def bump(low: Tensor, high: Tensor, cells: int) -> Tensor:
        centre = ((low + high) / 2).floor().clamp(0, cells - 1)
        # A ninth of the side leaves about the inner third of a box above one half; one cell is the least.
        spread = ((high - low) / 9).clamp(min=0.4)
        cell = torch.arange(cells, device=low.device, dtype=low.dtype)
        return torch.exp(-((cell - centre[:, None]) ** 2) / (2 * spread[:, None] ** 2))

    return bump(y1, y2, rows)[:, :, None] * bump(x1, x2, columns)[:, None, :]


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """Penalty-reduced focal loss, summed: cells near a peak are punished less (arXiv 1904.07850, eq. 1)."""
    chance = logits.sigmoid()
    hit = F.logsigmoid(logits) * (1 - chance) ** 2
    miss = F.logsigmoid(-logits) * chance**2 * (1 - target) ** 4
    return -torch.where(target >= 1.0, hit, miss).sum()
