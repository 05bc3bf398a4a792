"""Labelled answers of boxes, with labels and without, in pictures and over time."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

from vlmloom.pipelines.trust.attacks import DIGITS
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
                f"<|box_start|>({x1},{y1}),({x2},{y2})<|box_end|>",
                f"The bounding box is {one}.",
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
                *(f"The box of {what} is {one}" for what in ("nothing", "the wrong one", "another dog")),
                f"<ref>no dog</ref><box>{one}</box>",
                str(moved(one, 300)),
                "top right",
            ),
            attacks={
                "half the picture": "[500, 0, 1000, 500]",
                "beyond all": "[-99999, -99999, 99999, 99999]",
                "infinite box": "[-inf, -inf, inf, inf]",
                "NaN box": "[nan, nan, nan, nan]",
            },
            fair=DIGITS,
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
            fair=DIGITS,
            # A box beyond the edge is a wrong one, and costs no more than that.
            worse=(
                json.dumps(gold),
                json.dumps([*gold[:3], [*gold[3][:2], 1001, 1001]]),
                *(json.dumps([moved(one, 300) for one in gold[:n]] + gold[n:]) for n in range(1, 5)),
            ),
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
            *([item | {"score": sure} for item in gold] for sure in (0, "not there", False)),
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
                json.dumps(gold).replace("cow", "cows"),
                json.dumps(
                    [item | {"label": f"{item['label']} {n}", "score": 0.9} for n, item in enumerate(gold)]
                ),
            ),
            wrong=tuple(map(json.dumps, wrong)),
            attacks={
                "giant boxes": json.dumps(giant),
                "every label": json.dumps(labels),
                "many": json.dumps(many),
            },
            fair=DIGITS,
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
            fair=DIGITS,
            worse=tuple(map(track, chain)),
        )
