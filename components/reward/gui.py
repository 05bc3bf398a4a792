"""Single steps on a phone's and a computer's screen, by the published formulas."""

from __future__ import annotations

import ast
import math
import re
from typing import Any

from vlmloom.components.contracts.boxes import GUI
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.json_text import read_json
from vlmloom.components.reward.leads import unled
from vlmloom.components.reward.overlap import overlaps
from vlmloom.components.reward.parsed import Corners, Parsed, Unreadable, shown, unfenced
from vlmloom.components.reward.typed import typed
from vlmloom.registry import register

Call = tuple[str, dict[str, Any]]
"""The name of an action and its arguments."""

OPTIONAL = {"element_info", "step"}
"""Arguments of a computer's action that may be left out."""


@register("reward/mobile_action")
class MobileAction(Parsed):
    """The product over the keys of a phone's action, in JSON; both actions have to have the same keys.

    Equal values give 1; `text` its longest common subsequence over the longer one; `box_2d`,
    `[[x1, y1, x2, y2]]`, the overlap; anything else, as the name of an app, 0. Boxes are whole numbers from 0
    to 999, in order; one without an area is none.

    Reference: arXiv 2507.01006; GLM-V, glmv_reward, `scripts/gui_agent/AndroidWorld.py`.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> gold = '{"action_type": "input_text", "text": "tea", "box_2d": [[0, 0, 100, 100]]}'
    >>> sample = Sample("t", "test", 0, [], gold, Scene(""))
    >>> half = gold.replace("tea", "ta").replace("100, 100", "100, 50")
    >>> answers = [gold, half, '{"action_type": "wait"}']
    >>> [round(reward.value, 3) for reward in MobileAction().judge(sample, answers)]
    [1.0, 0.333, 0.0]
    """

    longest = 10_000

    def read(self, text: str, sample: Sample) -> dict[str, Any]:
        """The action, with its box as corners."""
        value = read_json(acted(text))
        if not isinstance(value, dict) or not value:
            raise Unreadable(f"no action: {shown(text)}")
        if "box_2d" in value:
            value["box_2d"] = _whole_box(value["box_2d"])
        return value

    def compare(self, found: dict[str, Any], gold: dict[str, Any], sample: Sample) -> Reward:
        """The product."""
        if found.keys() != gold.keys():
            return Reward(0.0, reason=f"keys {', '.join(found)}; right are {', '.join(gold)}"[:300])
        parts = {key: _alike(key, found[key], gold[key]) for key in gold}
        worst = min(parts, key=lambda key: parts[key])
        return Reward(math.prod(parts.values()), parts, f"{worst} {parts[worst]:.2f}")


def _alike(key: str, found: Any, gold: Any) -> float:
    if key == "box_2d":
        return float(overlaps([found], [gold])[0, 0])
    if type(found) is type(gold) and found == gold:
        return 1.0
    if key == "text" and isinstance(found, str) and isinstance(gold, str):
        from rapidfuzz.distance import LCSseq

        return float(LCSseq.normalized_similarity(found, gold)) if found and gold else 0.0
    return 0.0


def _whole_box(value: Any) -> Corners:
    boxes = value if isinstance(value, list) and len(value) == 1 else [value]
    box = boxes[0]
    if not isinstance(box, list) or len(box) != 4 or any(type(one) is not int for one in box):
        raise Unreadable(f"box_2d is {shown(value)}; [[x1, y1, x2, y2]] in whole numbers would be right")
    x1, y1, x2, y2 = box
    if not (0 <= x1 < x2 <= GUI and 0 <= y1 < y2 <= GUI):
        raise Unreadable(f"box_2d is {box}; 0 <= x1 < x2 <= {GUI} and 0 <= y1 < y2 <= {GUI} would be right")
    return x1, y1, x2, y2


@register("reward/desktop_action")
class DesktopAction(Parsed):
    """A computer's action by its kind and its distance on the grid from 0 to 999.

    `left_click(start_box='[x,y]')` and other clicks: 1 - 0.2 d / 20 up to 20 marks away, else
    max(0, 1 - d / 50); `left_drag(start_box=.., end_box=..)`: the root of start times end;
    `scroll(start_box=.., direction=.., step=..)`: the place, if the direction is right, times
    max(0, 1 - steps off / twice the steps) where the gold action has a step (5 where the answer has none);
    `type(content=..)`: edits and pairs of letters, see `typed`; `key(keys=..)`: the same keys in lower case;
    `WAIT`, `DONE` and `FAIL`: themselves. `element_info` does not count. Another action is worth nothing.

    The formulas are the published ones. Reading is not: arguments that the action does not have make it
    nothing, quotes may be of both kinds, and spaces and capitals of keys and directions do not count.

    Reference: GLM-V, glmv_reward, `scripts/gui_agent/OSWorld.py`.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> sample = Sample("t", "test", 0, [], "left_click(start_box='[100,100]')", Scene(""))
    >>> answers = ["left_click(start_box='[100,110]', element_info='OK')"]
    >>> answers += ["left_click(start_box='[100,140]')", "WAIT"]
    >>> [round(reward.value, 2) for reward in DesktopAction().judge(sample, answers)]
    [0.9, 0.2, 0.0]
    """

    longest = 10_000

    def read(self, text: str, sample: Sample) -> Call:
        """The name and the arguments of the one call."""
        return read_call(acted(text))

    def compare(self, found: Call, gold: Call, sample: Sample) -> Reward:
        """The product of what the kind of action has."""
        (name, has), (right_name, wants) = found, gold
        if name != right_name:
            return Reward(0.0, {"action": 0.0}, f"{name}; right is {right_name}")
        if set(has) - OPTIONAL != set(wants) - OPTIONAL or ("step" in has and name != "scroll"):
            return Reward(
                0.0, {"action": 0.0}, f"arguments {', '.join(has)}; right are {', '.join(wants)}"[:300]
            )
        parts = {"action": 1.0}
        for key, value in wants.items():
            if key in ("start_box", "end_box"):
                parts[key] = nearness(math.dist(has[key], value))
            elif key == "content":
                parts[key] = typed(str(has[key]), str(value))
            elif key in ("keys", "direction"):
                parts[key] = float(_plain(has[key]) == _plain(value))
            elif key == "step":
                parts[key] = paced(has.get(key, 5), value)
        product = math.prod(parts.values())
        value = math.sqrt(product) if {"start_box", "end_box"} <= set(parts) else product
        worst = min(parts, key=lambda key: parts[key])
        return Reward(value, parts, f"{worst} {parts[worst]:.2f}")


def nearness(distance: float) -> float:
    """What a click so many marks away is worth.

    >>> nearness(0), nearness(20), nearness(25), nearness(60)
    (1.0, 0.8, 0.5, 0.0)
    """
    return 1 - 0.2 * distance / 20 if distance <= 20 else max(0.0, 1 - distance / 50)


def paced(steps: Any, gold: int) -> float:
    """What so many steps of scrolling are worth.

    >>> paced(5, 5), paced(3, 5), paced(50, 5), paced("5", 5)
    (1.0, 0.8, 0.0, 0.0)
    """
    return max(0.0, 1 - abs(steps - gold) / (2 * gold)) if type(steps) is int and gold > 0 else 0.0


def acted(text: str) -> str:
    r"""The action of an answer that may tell memory and reason first.

    >>> acted("Memory: []\nReason: it loads.\nAction: WAIT")
    'WAIT'
    """
    told = re.split(r"(?m)^[ \t]*\**Action\**:\**", text, maxsplit=1)[-1]
    return unled(unfenced(told)).strip("` \n")


def read_call(text: str) -> Call:
    """The name and the arguments of one call with constant arguments; places as pairs.

    Raises:
        Unreadable: it is something else.

    >>> read_call("scroll(start_box='[5, 6]', direction='down')")
    ('scroll', {'start_box': (5, 6), 'direction': 'down'})
    """
    if re.fullmatch(r"(?:WAIT|DONE|FAIL)(?:\(\))?", text):
        return text[:4], {}
    try:
        call = ast.parse(text, mode="eval").body
        alone = ast.get_source_segment(text, call) == text.strip()
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args or not alone:
            raise Unreadable(f"no action: {shown(text)}")
        arguments: dict[str, Any] = {}
        for word in call.keywords:
            if word.arg is None or not isinstance(word.value, ast.Constant):
                raise Unreadable(f"arguments that are no constants: {shown(text)}")
            if word.arg in arguments:
                raise Unreadable(f"{word.arg} twice: {shown(text)}")
            value = word.value.value
            if not isinstance(value, str) and not (type(value) is int and value < 1e9):
                raise Unreadable(f"{word.arg} is neither a text nor a number of steps: {shown(text)}")
            arguments[word.arg] = value
    except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
        raise error if isinstance(error, Unreadable) else Unreadable(f"no action: {shown(text)}") from None
    for key in ("start_box", "end_box"):
        if key in arguments:
            place = re.fullmatch(r"\s*\[\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\]\s*", str(arguments[key]), re.ASCII)
            if place is None:
                raise Unreadable(f"{key} is {shown(arguments[key])}; '[x,y]' from 0 to {GUI} would be right")
            arguments[key] = int(place[1]), int(place[2])
    return call.func.id, arguments


def _plain(value: Any) -> str:
    return "".join(str(value).lower().split())
