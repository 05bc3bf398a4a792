"""Labelled steps on a phone and on a desktop."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from vlmloom.pipelines.trust.attacks import DIGITS
from vlmloom.pipelines.trust.boxes import box_at, moved, swapped
from vlmloom.pipelines.trust.labelled import Labelled


def mobile(dice: random.Random) -> Iterator[Labelled]:
    """`reward/mobile_action`."""
    for _ in range(16):
        place = box_at(dice)
        text = dice.choice(("tea for two", "hello world", "green garden"))
        gold = {"action_type": "input_text", "text": text, "box_2d": [place]}
        yield Labelled(
            {"use": "reward/mobile_action"},
            json.dumps(gold),
            right=(
                json.dumps(dict(reversed(gold.items()))),
                f"```json\n{json.dumps(gold)}\n```",
                f"Memory: []\nReason: it asks.\nAction: {json.dumps(gold)}",
                json.dumps(gold, indent=1),
            ),
            wrong=(
                json.dumps(gold | {"action_type": "click"}),
                json.dumps({"action_type": "input_text"}),
                json.dumps(gold | {"more": 1}),
                json.dumps(gold | {"box_2d": [swapped(place)]}),
                json.dumps(gold | {"text": "zzz"}),
                json.dumps(gold | {"box_2d": [moved(place, 300)]}),
                json.dumps([gold, gold]),
                json.dumps(gold | {"text": [text]}),
            ),
            attacks={
                "giant": json.dumps(gold | {"box_2d": [[0, 0, 999, 999]]}),
                "many boxes": json.dumps(gold | {"box_2d": [place, [0, 0, 999, 999]]}),
                "text of everything": json.dumps(gold | {"text": "abcdefghijklmnopqrstuvwxyz " * 40}),
                "float boxes": json.dumps(gold | {"box_2d": [[float(one) for one in place]]}),
                "keys twice": json.dumps(gold)[:-1] + ', "action_type": "input_text"}',
            },
            partial=frozenset({"look-alikes"}),
            worse=tuple(json.dumps(gold | {"box_2d": [moved(place, by)]}) for by in range(0, 400, 40)),
        )


def desktop(dice: random.Random) -> Iterator[Labelled]:
    """`reward/desktop_action`: a click, a drag, a scroll, typing, keys, and the three words."""
    node = {"use": "reward/desktop_action"}
    for _ in range(8):
        x, y = dice.randint(600, 900), dice.randint(100, 300)
        gold = f"left_click(start_box='[{x},{y}]')"
        yield Labelled(
            node,
            gold,
            right=(
                f"left_click(start_box='[{x}, {y}]', element_info='OK')",
                f'left_click(start_box="[{x},{y}]")',
                f"Action: {gold}",
                f"```\n{gold}\n```",
            ),
            wrong=(
                gold.replace("left", "right"),
                f"left_click(start_box='[{y},{x}]')",
                "left_click()",
                "DONE",
                f"left_click(start_box='[{x},{y}]', end_box='[{x},{y}]')",
                f"left_click('[{x},{y}]')",
                f"click({x}, {y})",
            ),
            attacks={
                "two actions": f"{gold}\n{gold}",
                "a call inside": f"left_click(start_box=str([{x},{y}]))",
                "beyond the grid": "left_click(start_box='[5000,5000]')",
                "a list of all": f"[{gold}, WAIT, DONE]",
            },
            fair=DIGITS,
            worse=tuple(f"left_click(start_box='[{x - by},{y}]')" for by in range(0, 80, 4)),
        )
        drag = f"left_drag(start_box='[{x},{y}]', end_box='[{y},{x}]')"
        yield Labelled(
            node,
            drag,
            right=(f"left_drag(end_box='[{y},{x}]', start_box='[{x},{y}]')",),
            wrong=(
                f"left_drag(start_box='[{y},{x}]', end_box='[{x},{y}]')",
                gold,
                f"left_drag(start_box='[{x},{y}]')",
            ),
            fair=DIGITS,
            worse=tuple(
                f"left_drag(start_box='[{x - by},{y}]', end_box='[{y},{x}]')" for by in range(0, 80, 4)
            ),
        )
    cases = {
        "scroll(start_box='[500,400]', direction='down', step=5)": (
            [
                "scroll(start_box='[500,400]', direction='DOWN')",
                "scroll(direction='down', start_box='[500,400]', step=5)",
            ],
            [
                "scroll(start_box='[500,400]', direction='up', step=5)",
                "scroll(start_box='[500,400]', direction='down', step=50)",
            ],
        ),
        "key(keys='ctrl+c')": (
            ["key(keys='Ctrl+C')", "key(keys='ctrl + c')"],
            ["key(keys='ctrl+v')", "key(keys='')", "key(keys='c')"],
        ),
        "type(content='green tea')": (
            ["type(content='green  tea')"],
            ["type(content='')", "type(content='zzzzzz')", "type(content='" + "green tea " * 30 + "')"],
        ),
        "WAIT": (["WAIT()"], ["DONE", "FAIL", "WAIT DONE FAIL", "wait for it"]),
        "DONE": (["DONE()", "Action: DONE"], ["WAIT", "FAIL", "not DONE"]),
        "FAIL": (["FAIL()"], ["WAIT", "DONE"]),
    }
    for gold, (right, wrong) in cases.items():
        yield Labelled(
            node,
            gold,
            right=tuple(right),
            wrong=tuple(wrong),
            partial=frozenset({"look-alikes"}),
            worse=(gold, *wrong[:1]),
        )
