"""Labelled answers of boxes, points, times and screens."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

from vlmloom.pipelines.trust.labelled import Labelled

Box = list[int]


def box_at(dice: random.Random, side: int = 300) -> Box:
    """A box that is about three times as wide as high, off the diagonal, so that swapped axes show."""
    width, height = dice.randint(side // 2, side), dice.randint(side // 8, side // 6)
    x, y = dice.randint(500, 990 - width), dice.randint(10, 300)
    return [x, y, x + width, y + height]


def moved(box: Sequence[int], by: int) -> Box:
    """A box further left."""
    return [box[0] - by, box[1], box[2] - by, box[3]]


def swapped(box: Sequence[int]) -> Box:
    """Y before x."""
    return [box[1], box[0], box[3], box[2]]


def box(dice: random.Random) -> Iterator[Labelled]:
    """`reward/box`."""
    for _ in range(20):
        one = box_at(dice)
        x1, y1, x2, y2 = one
        yield Labelled(
            {"use": "reward/box"},
            str(one).replace(" ", ""),
            right=(
                str(one),
                f"({x1}, {y1}, {x2}, {y2})",
                f"{x1} {y1} {x2} {y2}",
                f"[{x1}.0,{y1}.0,{x2}.0,{y2}.0]",
                f"{one}.",
                f"bbox_2d: {one}",
                json.dumps({"bbox_2d": one}),
                str(moved(one, 5)),
                str([x1 + 3, y1, x2 - 3, y2]),
            ),
            wrong=(
                str(swapped(one)),
                str([x2, y2, x1, y1]),
                str(one[:3]),
                str([*one, 5]),
                str([x1, y1, x2 - x1, y2 - y1]),
                f"{one} or {moved(one, 400)}",
                f"not {one}",
                f"{one} is wrong",
                str(moved(one, 300)),
                "top right",
            ),
            attacks={
                "half the picture": "[500, 0, 1000, 500]",
                "beyond all": "[-99999, -99999, 99999, 99999]",
                "infinite box": "[-inf, -inf, inf, inf]",
                "NaN box": "[nan, nan, nan, nan]",
            },
            fair=frozenset({"look-alikes"}),
            worse=tuple(str(moved(one, by)) for by in range(0, 400, 40)),
        )


def boxes(dice: random.Random) -> Iterator[Labelled]:
    """`reward/boxes`."""
    for _ in range(16):
        gold = spread(dice, 4)
        yield Labelled(
            {"use": "reward/boxes"},
            json.dumps(gold),
            right=(
                json.dumps(gold[::-1]),
                f"```json\n{json.dumps(gold)}\n```",
                json.dumps([moved(one, 3) for one in gold]),
                json.dumps(gold, indent=1),
            ),
            wrong=(
                json.dumps([swapped(one) for one in gold]),
                json.dumps(gold[:1]),
                "[]",
                json.dumps([gold[0]] * 4),
                json.dumps(gold + [[0, 900 + n, 9, 901 + n] for n in range(20)]),
            ),
            attacks={
                "one box over all": "[[0, 0, 1000, 1000]]",
                "one box often": json.dumps([gold[0]] * 200),
                "grid of boxes": json.dumps(
                    [[x, y, x + 100, y + 60] for x in range(0, 900, 100) for y in range(0, 900, 60)]
                ),
                "more than can be paired": json.dumps([gold[0]] * 3000),
            },
            fair=frozenset({"look-alikes"}),
            worse=tuple(json.dumps([moved(one, 300) for one in gold[:n]] + gold[n:]) for n in range(5)),
        )


def spread(dice: random.Random, count: int) -> list[Box]:
    """Boxes that do not overlap."""
    return [
        [one[0], one[1] % 60 + 240 * row, one[2], one[1] % 60 + 240 * row + 60]
        for row in range(count)
        for one in [box_at(dice)]
    ]


def detections(dice: random.Random) -> Iterator[Labelled]:
    """`reward/detections` and `reward/tracks`."""
    for _ in range(12):
        gold: list[dict[str, Any]] = [
            {"label": label, "bbox_2d": one}
            for label, one in zip(("cat", "cat", "dog", "cow"), spread(dice, 4), strict=True)
        ]
        off = [item | {"bbox_2d": moved(item["bbox_2d"], 350)} for item in gold]
        near = [item | {"bbox_2d": moved(item["bbox_2d"], 3)} for item in gold]
        wrong: tuple[Any, ...] = (
            off,
            [],
            gold[:1],
            [item | {"label": "hen"} for item in gold],
            [item["bbox_2d"] for item in gold],
            [item | {"bbox_2d": swapped(item["bbox_2d"])} for item in gold],
            gold * 3,
            [gold[0]] * 4,
        )
        giant = [{"label": label, "bbox_2d": [0, 0, 1000, 1000]} for label in ("cat", "cat", "dog", "cow")]
        labels = [item | {"label": label} for item in gold for label in ("cat", "dog", "cow", "hen")]
        many = [gold[0]] * 3000
        chain = [off[:n] + gold[n:] for n in range(5)]
        yield Labelled(
            {"use": "reward/detections"},
            json.dumps(gold),
            right=(
                json.dumps(gold[::-1]),
                f"```json\n{json.dumps(gold)}\n```",
                json.dumps(near),
                json.dumps(gold).replace("cow", "Cow"),
            ),
            wrong=tuple(map(json.dumps, wrong)),
            attacks={
                "giant boxes": json.dumps(giant),
                "every label": json.dumps(labels),
                "many": json.dumps(many),
            },
            fair=frozenset({"look-alikes"}),
            worse=tuple(map(json.dumps, chain)),
        )

        def track(items: Any) -> str:
            return json.dumps({str(second): items for second in range(3)})

        yield Labelled(
            {"use": "reward/tracks"},
            track(gold),
            right=(
                track(gold[::-1]),
                track(near),
                json.dumps({f"{second}.0": gold for second in range(3)}),
                f"```json\n{track(gold)}\n```",
            ),
            wrong=(
                *map(track, wrong),
                "{}",
                json.dumps({"0": gold}),
                json.dumps({str(7 + n): gold for n in range(3)}),
            ),
            attacks={
                "giant boxes": track(giant),
                "every label": track(labels),
                "many": track(many),
                "every second": json.dumps({str(second): gold for second in range(60)}),
                "seconds that are none": json.dumps({"nan": gold, "inf": gold, "0": gold}),
            },
            fair=frozenset({"look-alikes"}),
            worse=tuple(map(track, chain)),
        )


def point(dice: random.Random) -> Iterator[Labelled]:
    """`reward/point`, in a box and near a point."""
    for _ in range(16):
        x1, y1, x2, y2 = one = box_at(dice)
        x, y = (x1 + x2) // 2, (y1 + y2) // 2
        right = (
            f"({x}, {y})",
            f"{x} {y}",
            f"[{x}.0, {y}.0]",
            f"point: [{x},{y}]",
            f"left_click(start_box='[{x},{y}]', element_info='Chapter 2')",
            f"[{x + 5},{y + 5}]",
            f"[{x - 3}, {y}]",
        )
        wrong = (
            f"[{y}, {x}]",
            str(one),
            f"[{x}]",
            f"[{x}, {y}, 0]",
            "[0, 0]",
            "[1000, 1000]",
            "[500, 500]",
            f"[{x}, {y + 200}]",
            f"not [{x},{y}]",
            f"right_click(start_box='[{x},{y}]')",
            f"WAIT {x} {y}",
        )
        chain = tuple(f"[{x - by}, {y}]" for by in range(0, 400, 20))
        attacks = {
            "every point": " ".join(f"[{a},{y}]" for a in range(0, 1000, 10)),
            "NaN point": "[nan, nan]",
            "two points": f"[{x},{y}] [0,0]",
        }
        truths: tuple[dict[str, Any], ...] = ({"box": one}, {})
        for truth in truths:
            yield Labelled(
                {"use": "reward/point"},
                f"[{x},{y}]",
                truth,
                right=right,
                wrong=wrong,
                attacks=attacks,
                fair=frozenset({"look-alikes", "turned writing"}),
                worse=chain,
            )


def interval(dice: random.Random) -> Iterator[Labelled]:
    """`reward/interval`."""
    for _ in range(20):
        start, length = dice.randint(2, 40), dice.randint(4, 12)
        end = start + length
        yield Labelled(
            {"use": "reward/interval"},
            f"[{start}.0, {end}.0]",
            right=(
                f"[{start}, {end}]",
                f"{start} - {end}",
                f"({start}, {end})",
                f"{start}s to {end}s",
                f"from {start} to {end} seconds",
                f"0:{start:02d} - 0:{end:02d}" if end < 60 else f"{start} - {end}",
            ),
            wrong=(
                f"[{end}, {start}]",
                f"[{start}]",
                f"[{start}, {start}]",
                f"[{end}, {end + 5}]",
                "[0, 1]",
                f"[{start}, {end}] or [{end}, {end + 9}]",
            ),
            attacks={
                "the whole clip": "[0, 600]",
                "for ever": "[0, 99999]",
                "negative": f"[-{end}, {end * 4}]",
                "infinite": "[0, inf]",
            },
            fair=frozenset({"look-alikes"}),
            worse=tuple(f"[{start + by}, {end + by}]" for by in range(0, length + 3)),
        )


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
            fair=frozenset({"look-alikes"}),
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
            fair=frozenset({"look-alikes"}),
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
