"""Points."""

from __future__ import annotations

import math
import re

from vlmloom.components.contracts.reward import OnError
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.gui import OPTIONAL, acted, read_call
from vlmloom.components.reward.leads import spelled
from vlmloom.components.reward.parsed import Parsed, Unreadable, numbers, shown
from vlmloom.registry import register


@register("reward/point")
class Point(Parsed):
    """Full marks for a point in `truth["box"]`, or near the gold point where there is no box.

    Answers are `[x, y]` in thousandths, bare, as JSON or after a key, or `left_click(start_box='[x,y]')`;
    a gold point stands in `Sample.answer`.

    Args:
        click: only a left click is an answer, read as `reward/desktop_action` reads it.
        distance: how far from the gold point a right one may be, where there is no box.
        on_error: see `Verifier`.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> sample = Sample("t", "test", 0, [], "[50, 60]", Scene(""), truth={"box": (40, 40, 80, 80)})
    >>> [reward.value for reward in Point().judge(sample, ["(41, 79)", "[79, 81]", "[40, 40, 80, 80]"])]
    [1.0, 0.0, 0.0]
    """

    def __init__(self, *, click: bool = False, distance: float = 20.0, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        if not 0 <= distance < 1000:
            raise ValueError(f"reward/point: distance is {distance}; 0 to 1000 thousandths would be right")
        self.click = click
        self.distance = distance

    def read(self, text: str, sample: Sample) -> tuple[float, ...]:
        """X and y."""
        if not self.click and not re.search(r"\w\(", text):
            return numbers(text, 2, spelled(sample.prompt))
        name, has = read_call(acted(text))
        if name != "left_click" or set(has) - OPTIONAL != {"start_box"} or "step" in has:
            raise Unreadable(f"no left click: {shown(text)}; left_click(start_box='[x,y]') would be right")
        x, y = has["start_box"]
        return float(x), float(y)

    def compare(self, found: tuple[float, ...], gold: tuple[float, ...], sample: Sample) -> Reward:
        """1 or 0."""
        off = math.dist(found, gold)
        if (box := sample.truth.get("box")) is None:
            return Reward(float(off <= self.distance), {"distance": off}, f"{off:.0f} away")
        inside = box[0] <= found[0] <= box[2] and box[1] <= found[1] <= box[3]
        return Reward(float(inside), {"distance": off}, f"{'in' if inside else 'out'}side {tuple(box)}")
