"""Is it damaged, and where?"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from vlmloom.components.contracts.boxes import permille
from vlmloom.components.task.base import Item, placed, spread
from vlmloom.components.task.corrupt import TONAL
from vlmloom.components.task.draw import Draw, stable_hash
from vlmloom.components.task.drawing import RGB, Backdrop, Cutout, Drawing
from vlmloom.components.task.perception.asked import PerceptionTask
from vlmloom.components.task.silhouette import colours, silhouette
from vlmloom.components.task.vocabulary import Entry
from vlmloom.components.task.world import Style, World
from vlmloom.registry import register

KINDS = ("hole", "stain", "scratch", "faded")
VISIBLE = 48
"""By how much a pixel changes at the least to count as damaged, of 255."""


@dataclass(frozen=True)
class Damage:
    """A layer that changes the pixels of a mask: to one colour, or to their own grey where there is none."""

    mask: np.ndarray = field(repr=False, compare=False)
    name: str
    x: int
    y: int
    colour: RGB | None

    def paint(self, canvas: np.ndarray) -> None:
        """Change them."""
        height, width = self.mask.shape
        under = canvas[self.y : self.y + height, self.x : self.x + width]
        if self.colour is None:
            under[self.mask] = _grey(under[self.mask]).astype(np.uint8)
        else:
            under[self.mask] = self.colour


@register("task/anomaly")
class Anomaly(PerceptionTask):
    """Find the damage of a thing that two other pictures show whole, as a JSON list.

    The list is empty where there is none. The references are normal; the last picture is damaged in every
    second item: by a hole, a stain, a scratch or a faded spot. `truth["kind"]` says by which, and
    `truth["mask"]` holds the damaged pixels as uncompressed run lengths (as COCO's, column by column).

    Args:
        world: what is shared by the tasks of a suite.
        extent: the side of the damage in shares of the thing's; smaller is harder.
        language: see `PerceptionTask`.

    Reference: the normal-only setting of the Visual Anomaly and Novelty Detection challenges; MVTec AD
    (Bergmann et al., CVPR 2019).
    """

    name = "anomaly"
    held = False
    knob = "extent"
    corruptions = TONAL
    asks: ClassVar = {
        "en": "the first two pictures show the {0} whole; damage in the last one: JSON "
        '[{{"label": "damage", "bbox_2d": [x1,y1,x2,y2]}}] in thousandths, or [] for none?',
        "es": "las dos primeras imágenes muestran ({0}) sin daños; daño en la última: ¿JSON "
        '[{{"label": "damage", "bbox_2d": [x1,y1,x2,y2]}}] en milésimas, o [] si no hay?',
        "de": "die ersten beiden Bilder zeigen „{0}“ unbeschädigt; Schaden im letzten: JSON "
        '[{{"label": "damage", "bbox_2d": [x1,y1,x2,y2]}}] in Tausendsteln, oder [] ohne Schaden?',
        "zh": "前两张图中的{0}完好无损；最后一张图中的损坏：以千分之一为单位的 JSON "
        '[{{"label": "damage", "bbox_2d": [x1,y1,x2,y2]}}]，没有则为 []？',
    }

    def __init__(self, *, world: World, extent: float = 0.3, language: str = "en") -> None:
        super().__init__(world=world, language=language)
        if not 0.12 <= extent <= 0.5:
            raise ValueError(f"task/anomaly: extent is {extent}; 0.12 to 0.5 would be right")
        self.extent = extent

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Three views of one thing, of which the last may be damaged."""
        style = self.world.style_of(split, draw)
        entry = draw.choice(style.entries)
        views = [self._view(draw, style, entry, frame) for frame in range(3)]
        # What cannot be damaged so is not shown whole either, else whole ones would be more than half.
        kind = draw.choice(KINDS)
        damage = self._damage(draw, style, views[2][0], kind)
        if damage is None:
            return None
        truth: dict[str, Any] = {"kind": ""}
        found = []
        if draw.chance(0.5):
            truth["kind"] = kind
            last = views[2][0]
            whole = np.zeros((last.height, last.width), bool)
            whole[damage.y : damage.y + damage.mask.shape[0], damage.x : damage.x + damage.mask.shape[1]] = (
                damage.mask
            )
            rows, columns = np.nonzero(whole)
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            found = [{"label": "damage", "bbox_2d": list(permille(box, last.width, last.height))}]
            truth["mask"] = {"size": [last.height, last.width], "counts": _runs(whole)}
            views[2] = (
                Drawing(last.width, last.height, last.backdrop, ((*last.layers[0], damage),)),
                views[2][1],
            )
        answer = json.dumps(found, separators=(",", ":"))
        pictures = tuple(picture for picture, _ in views)
        things = tuple(thing for _, thing in views)
        return Item(self.ask(entry.name), answer, things, pictures, source=style.name, truth=truth)

    def _view(self, draw: Draw, style: Style, entry: Entry, frame: int) -> tuple[Drawing, Any]:
        """The thing, large, anywhere on a plain ground."""
        side = self.world.side
        size = spread(draw, 40, 60, side)
        x, y = draw.below(side - size + 1), draw.below(side - size + 1)
        layer, thing = placed(style, entry, x, y, size, side, side, flip=draw.chance(0.5), frame=frame)
        shade = (draw.between(205, 255), draw.between(205, 255), draw.between(205, 255))
        return Drawing(side, side, Backdrop(shade), ((layer,),)), thing

    def _damage(self, draw: Draw, style: Style, picture: Drawing, kind: str) -> Damage | None:
        """Damage that is seen: within the thing, of another colour than it has there; or None."""
        (cutout,) = picture.layers[0]
        assert isinstance(cutout, Cutout)
        opaque = silhouette(cutout.sprites, cutout.row, cutout.size, cutout.flip)
        own = colours(cutout.sprites, cutout.row, cutout.size, cutout.flip)
        extent = max(round(cutout.size * self.extent), 6)
        colour = {
            "hole": picture.backdrop.shade,
            "stain": (70 + draw.below(30), 45 + draw.below(20), 20 + draw.below(20)),
            "scratch": (245, 245, 245) if draw.chance(0.5) else (25, 25, 25),
            "faded": None,
        }[kind]
        shape = _shape(kind, extent, draw.chance(0.5))
        for _ in range(40):
            x, y = draw.below(cutout.size - extent + 1), draw.below(cutout.size - extent + 1)
            mask = shape & opaque[y : y + extent, x : x + extent]
            if mask.sum() < 0.8 * shape.sum():
                continue
            before = own[y : y + extent, x : x + extent]
            after = _grey(before) if colour is None else np.array(colour)
            changed = (np.abs(before - after).max(axis=2) >= VISIBLE) & mask
            if changed.sum() >= 0.7 * mask.sum():
                return Damage(
                    mask, f"{kind} {stable_hash(mask.tobytes())}", cutout.x + x, cutout.y + y, colour
                )
        return None

    def judge(self) -> dict[str, Any]:
        """By the boxes; nothing is found in what is whole."""
        return {"use": "reward/detections", "overlap": 0.3}


def _shape(kind: str, extent: int, down: bool) -> np.ndarray:
    """A disc, or a stroke from corner to corner (`down` to the right, or up), bool `[extent, extent]`."""
    y, x = np.mgrid[:extent, :extent] + 0.5
    if kind == "scratch":
        across = x if down else extent - x
        return np.abs(across - y) <= max(extent * 0.09, 1.0)
    return (x - extent / 2) ** 2 + (y - extent / 2) ** 2 <= (extent / 2) ** 2


def _grey(pixels: np.ndarray) -> np.ndarray:
    """Their light alone, paler, `[..., 3]`."""
    light = pixels @ np.array([0.299, 0.587, 0.114])
    return np.repeat((light * 0.4 + 150)[..., None], 3, axis=-1).clip(0, 255)


def _runs(mask: np.ndarray) -> list[int]:
    """Lengths of runs, column by column, of what is not in the mask and what is, in turn."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *runs] if flat[0] else runs
